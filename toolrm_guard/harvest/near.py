"""Near-duplicates: the same two turns in answer to almost the same words.

Two pairs are near-duplicates if their sides are equal calls (letter case and spacing aside) and the
Jaccard similarity of their prompts' word 3-shingles is at least the threshold. Values inside the
calls must be equal: pairs that differ in a value alone teach what is hardest to learn.

The similarity join is exact. Two sets with Jaccard >= t share an item among the first
|s| - ceil(t |s|) + 1 of each in any common order (Bayardo, Ma and Srikant, WWW 2007), so only sets
that share such an item are compared.
"""

import math
from collections import defaultdict
from collections.abc import Hashable, Iterator
from dataclasses import dataclass, field

SIMILAR = 0.8
_SHINGLE = 3
_SLACK = 1e-9
"""0.7 * 10 is a little more than 7."""


@dataclass(slots=True)
class NearIndex:
    """What was kept so far.

    Attributes:
        threshold: Least Jaccard similarity of near-duplicates, in (0, 1].
    """

    threshold: float = SIMILAR
    _kept: dict[tuple[Hashable, str], list[frozenset[str]]] = field(
        default_factory=lambda: defaultdict(list)
    )

    def add(self, sides: Hashable, prompt: str) -> bool:
        """Keep a pair; False, and nothing is kept, if a near-duplicate was kept before.

        Args:
            sides: Equal for pairs whose sides are equal.
            prompt: The text that the sides answer.
        """
        shingles = frozenset(_shingles(prompt))
        size = len(shingles)
        prefix = sorted(shingles)[: size - math.ceil(self.threshold * size - _SLACK) + 1]
        for item in prefix:
            if any(self._alike(shingles, other) for other in self._kept[sides, item]):
                return False
        for item in prefix:
            self._kept[sides, item].append(shingles)
        return True

    def _alike(self, left: frozenset[str], right: frozenset[str]) -> bool:
        shared = len(left & right)
        return shared >= self.threshold * (len(left) + len(right) - shared) - _SLACK


def normal(text: str) -> str:
    """Return text with its letter case and spacing taken away."""
    return " ".join(text.casefold().split())


def _shingles(text: str) -> Iterator[str]:
    """Yield runs of three words; a shorter text is one shingle, and so is an empty one."""
    words = normal(text).split(" ")
    for start in range(max(1, len(words) - _SHINGLE + 1)):
        yield " ".join(words[start : start + _SHINGLE])
