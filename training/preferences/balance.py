"""Balanced Multi-Dimensional Sampling (BMDS, ToolRM, arXiv 2510.26167), and sampling at random.

Pairs are grouped by (source, intensity bin); the target is spread over the groups as water finds
its level, so a small group is taken whole and its share goes to the others; inside a group the
most complex pairs come first. Each of the three dimensions can be switched off: without source
the groups are the bins, without intensity the sources, without complexity a group is drawn by hash,
and without all three the pairs are a random sample.

The paper does not say how ties are broken or quotas rounded: ties by sha256 of the pair's id and
the seed, quotas from the smallest group to the largest.
"""

import hashlib
import math
from array import array
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from training.preferences.config import BalanceConfig

K = TypeVar("K", bound=Hashable)
Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Columns:
    """What sampling looks at, one row a pair: 27 bytes each once made.

    Making and sorting them needs more: 77 bytes a pair at the peak (measured on a million pairs),
    so ten million pairs take 770 MB.

    Attributes:
        source: (pairs,) code of the source.
        bin: (pairs,) intensity bin.
        complexity: (pairs,) calls plus arguments.
        natural: (pairs,) the rejected side is a model's own.
        order: (pairs,) uint64 hash that breaks ties.
        content: (pairs,) uint64 hash; equal pairs are taken once.
        names: Source names by code.
    """

    source: NDArray[np.int32]
    bin: NDArray[np.int16]
    complexity: NDArray[np.int32]
    natural: NDArray[np.bool_]
    order: NDArray[np.uint64]
    content: NDArray[np.uint64]
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """What was taken.

    Attributes:
        rows: Numbers of the pairs, rising.
        duplicates: How many pairs repeat an earlier one.
        groups: By group name, how many pairs there were and how many were taken.
    """

    rows: Ints
    duplicates: int
    groups: Mapping[str, tuple[int, int]]


def intensity_bin(intensity: float, bins: int) -> int:
    """Return the bin of an intensity in (0, 1]: (0, 1/bins] is 0."""
    # Rounded first: 0.3 * 10 is a little more than 3.
    return min(max(math.ceil(round(intensity * bins, 6)) - 1, 0), bins - 1)


def tie_break(pair_id: str, seed: int) -> int:
    """Return the 64-bit hash that orders pairs which are otherwise equal."""
    return int.from_bytes(hashlib.sha256(f"{seed}\n{pair_id}".encode()).digest()[:8], "big")


def water_fill(sizes: Mapping[K, int], total: int) -> dict[K, int]:
    """Return how much of each group to take, as equal as sizes allow, `total` in all.

    Groups of one size take what is left in their order in `sizes`.
    """
    quotas: dict[K, int] = {}
    left = min(total, sum(sizes.values()))
    smallest_first = sorted(sizes, key=lambda key: sizes[key])
    for index, key in enumerate(smallest_first):
        quotas[key] = min(sizes[key], left // (len(smallest_first) - index))
        left -= quotas[key]
    return quotas


def balance(columns: Columns, config: BalanceConfig) -> Chosen:
    """Return the pairs to keep.

    With `min_natural_share`, and if plain sampling falls short of it, natural and other pairs are
    two pools: each is sampled by itself, the natural one for its share of the target.
    """
    fresh = ~_repeats(columns.content)
    rows = np.flatnonzero(fresh)
    groups = _groups(columns, config)
    taken = _sample(columns, rows, groups, config.target, config)
    wanted = math.ceil(config.min_natural_share * len(taken))
    if int(columns.natural[taken].sum()) < wanted:
        natural = columns.natural[rows]
        own = _sample(columns, rows[natural], groups, wanted, config)
        rest = config.target - len(own)
        others = _sample(columns, rows[~natural], groups, rest, config)
        taken = np.sort(np.concatenate([own, others]))
    return Chosen(
        rows=taken,
        duplicates=int((~fresh).sum()),
        groups=_tallies(columns, rows, taken, config),
    )


def _groups(columns: Columns, config: BalanceConfig) -> Ints:
    """Return the group code of every pair; codes rise with the source's name, then the bin."""
    code = np.zeros(len(columns.bin), dtype=np.int64)
    if config.by_source:
        rank = np.argsort(np.argsort(np.array(columns.names)))
        code += rank[columns.source] * config.bins
    if config.by_intensity:
        code += columns.bin
    return code


def _sample(columns: Columns, rows: Ints, groups: Ints, total: int, config: BalanceConfig) -> Ints:
    codes, sizes = np.unique(groups[rows], return_counts=True)
    quotas = water_fill(dict(zip(codes.tolist(), sizes.tolist(), strict=True)), total)
    first = -columns.complexity[rows] if config.by_complexity else np.zeros(len(rows), np.int32)
    ordered = rows[np.lexsort((rows, columns.order[rows], first, groups[rows]))]
    starts = np.cumsum(sizes) - sizes
    parts = [
        ordered[start : start + quotas[code]]
        for code, start in zip(codes.tolist(), starts.tolist(), strict=True)
    ]
    return np.sort(np.concatenate([*parts, np.array([], dtype=np.int64)]))


def _repeats(content: NDArray[np.uint64]) -> NDArray[np.bool_]:
    """Return which rows repeat an earlier one."""
    repeated = np.ones(len(content), dtype=np.bool_)
    repeated[np.unique(content, return_index=True)[1]] = False
    return repeated


def _tallies(
    columns: Columns, rows: Ints, taken: Ints, config: BalanceConfig
) -> dict[str, tuple[int, int]]:
    """Return (there were, were taken) by `source, bin`, whatever dimensions are on."""
    code = columns.source.astype(np.int64) * config.bins + columns.bin
    before = np.bincount(code[rows], minlength=len(columns.names) * config.bins)
    after = np.bincount(code[taken], minlength=len(columns.names) * config.bins)
    names = sorted(range(len(columns.names)), key=lambda number: columns.names[number])
    return {
        f"{columns.names[number]}|{bin_}": (int(before[at]), int(after[at]))
        for number in names
        for bin_ in range(config.bins)
        if before[at := number * config.bins + bin_]
    }


def columns_of(rows: Iterable[tuple[str, float, int, bool, int, str]], bins: int) -> Columns:
    """Return columns from (source, intensity, complexity, natural, order, content) rows."""
    names: dict[str, int] = {}
    kept = {kind: array(kind) for kind in "ihlbQ"}
    content = array("Q")
    for source, intensity, size, natural, order, text in rows:
        kept["i"].append(names.setdefault(source, len(names)))
        kept["h"].append(intensity_bin(intensity, bins))
        kept["l"].append(size)
        kept["b"].append(natural)
        kept["Q"].append(order)
        content.append(int(text[:16], 16))
    return Columns(
        source=np.array(kept["i"], dtype=np.int32),
        bin=np.array(kept["h"], dtype=np.int16),
        complexity=np.array(kept["l"], dtype=np.int32),
        natural=np.array(kept["b"], dtype=np.bool_),
        order=np.array(kept["Q"], dtype=np.uint64),
        content=np.array(content, dtype=np.uint64),
        names=tuple(names),
    )
