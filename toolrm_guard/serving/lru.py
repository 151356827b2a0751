"""A bounded map that forgets what was not used for longest."""

from collections import OrderedDict
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class Lru(Generic[K, V]):
    """Holds values up to a total weight; not safe across threads."""

    def __init__(self, capacity: int) -> None:
        """Hold at most `capacity` of weight; 0 holds nothing."""
        self._capacity = capacity
        self._weight = 0
        self._entries: OrderedDict[K, tuple[V, int]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: K) -> V | None:
        """Return the value and make it the most recent, or None."""
        entry = self._entries.get(key)
        if entry is None:
            return None
        self._entries.move_to_end(key)
        return entry[0]

    def put(self, key: K, value: V, weight: int = 1) -> None:
        """Hold a value; the oldest go until it fits, and what never fits is not held."""
        if (old := self._entries.pop(key, None)) is not None:
            self._weight -= old[1]
        if weight > self._capacity:
            return
        self._entries[key] = (value, weight)
        self._weight += weight
        while self._weight > self._capacity:
            _, (_, freed) = self._entries.popitem(last=False)
            self._weight -= freed
