"""Near-duplicates: the same two turns in answer to almost the same words.

Two pairs are near-duplicates if their sides are equal calls (letter case and spacing aside) and the
Jaccard similarity of their prompts' word 3-shingles is at least the threshold. Values inside the
calls must be equal: pairs that differ in a value alone teach what is hardest to learn.

The similarity join is exact. Two sets with Jaccard >= t share an item among the first
|s| - ceil(t |s|) + 1 of each in any common order (Bayardo, Ma and Srikant, WWW 2007), so only sets
that share such an item are compared; with the rarest first these are few.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Hashable, Iterator, Mapping

SIMILAR = 0.8
_SHINGLE = 3
_SLACK = 1e-9
"""0.7 * 10 is a little more than 7."""


def distinct(pairs: Mapping[str, tuple[Hashable, str]], threshold: float = SIMILAR) -> set[str]:
    """Return the keys of the pairs that repeat no earlier one that is kept.

    Args:
        pairs: By key, in order: (sides, prompt). Equal sides mean equal turns; the prompt is the
            text that they answer.
        threshold: Least Jaccard similarity of near-duplicates, in (0, 1].
    """
    shingled = {key: frozenset(_shingles(prompt)) for key, (_, prompt) in pairs.items()}
    counts = Counter(item for items in shingled.values() for item in items)
    kept: set[str] = set()
    holders: dict[tuple[Hashable, str], list[frozenset[str]]] = defaultdict(list)
    for key, (sides, _) in pairs.items():
        own = shingled[key]
        rarest = sorted(own, key=lambda item: (counts[item], item))
        prefix = rarest[: len(own) - math.ceil(threshold * len(own) - _SLACK) + 1]
        near = (other for item in prefix for other in holders[sides, item])
        if any(_alike(own, other, threshold) for other in near):
            continue
        kept.add(key)
        for item in prefix:
            holders[sides, item].append(own)
    return kept


def _alike(left: frozenset[str], right: frozenset[str], threshold: float) -> bool:
    shared = len(left & right)
    return shared >= threshold * (len(left) + len(right) - shared) - _SLACK


def normal(text: str) -> str:
    """Return text with its letter case and spacing taken away."""
    return " ".join(text.casefold().split())


def _shingles(text: str) -> Iterator[str]:
    """Yield runs of three words; a shorter text is one shingle, and so is an empty one."""
    words = normal(text).split(" ")
    for start in range(max(1, len(words) - _SHINGLE + 1)):
        yield " ".join(words[start : start + _SHINGLE])
