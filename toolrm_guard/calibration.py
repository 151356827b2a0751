"""Thresholds that keep a promise: right calls are blocked no more often than a stated rate.

Conformal risk control (Angelopoulos, Bates, Fisch, Lei and Schuster, ICLR 2024, arXiv:2208.02814,
theorem 1). The unit that is drawn is a group: a prompt or a dialog with everything answered to it.
Its loss at a threshold is the share of its right calls that fall below, in [0, 1] and never falling
as the threshold rises. If the groups seen and the next one are exchangeable, the threshold found
here has an expected loss of at most `rate` on the next one, whatever the scorer and however few the
groups. With one call a group it is the split-conformal quantile.

The promise is an average over draws of the calibration groups, and over groups like them: traffic
of another kind is not covered by it.
"""

import itertools
import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import get_args

from toolrm_guard.errors import ConfigurationError
from toolrm_guard.scorers.base import ThresholdKind
from toolrm_guard.tools import Effect

KINDS: tuple[ThresholdKind, ...] = (*get_args(Effect), "answer")
METHOD = "conformal risk control over groups (arXiv:2208.02814, theorem 1)"

_SLACK = 1e-9
"""Sums of shares such as 1/3 are inexact; a bound that is met exactly must count as met."""


class TooFewGroups(ConfigurationError):
    """There is not enough evidence for the rate that was asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgedTurn:
    """A turn with its probability, and whether it was right.

    Attributes:
        group: What is drawn together: a prompt or a dialog.
        split: Part of the data set; empty for a trace store.
        kinds: Of each of its calls; `("answer",)` for a turn without calls.
        probability: What the scorer gave the turn, in [0, 1].
        right: Whether every call of it was right.
        count: How often the very same turn was given in this group.
    """

    group: str
    split: str = ""
    kinds: tuple[ThresholdKind, ...]
    probability: float
    right: bool
    count: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Threshold:
    """A threshold with the evidence for it.

    Attributes:
        value: Least probability that passes.
        groups: Number of groups with a right call of this kind.
        right_calls: Number of right calls, of all groups.
        wrongly_blocked: Mean over those groups of the share of right calls below `value`.
        wrongly_passed: Share of the calls of wrong turns at or above `value`; None without any.
    """

    value: float
    groups: int
    right_calls: int
    wrongly_blocked: float
    wrongly_passed: float | None


def conformal_threshold(groups: Sequence[Mapping[float, float]], rate: float) -> float:
    """Return the highest threshold whose expected loss on the next group is at most `rate`.

    That is sup{t: (sum_g L_g(t) + 1) / (n + 1) <= rate}, with L_g(t) the share of group g's weight
    at probabilities below t. It is one of the probabilities, since losses only rise after one.

    Args:
        groups: Weight of right calls by probability, one mapping per group, none empty.
        rate: In (0, 1).

    Raises:
        ConfigurationError: If the rate is not in (0, 1).
        TooFewGroups: If (n + 1) * rate < 1: then no threshold above 0 can promise the rate.
    """
    if not 0.0 < rate < 1.0:
        raise ConfigurationError(f"a rate of {rate!r} is not between 0 and 1, e.g. 0.05")
    n = len(groups)
    allowed = rate * (n + 1) - 1.0 + _SLACK
    if allowed < 0.0:
        raise TooFewGroups(
            f"{n} groups with a right call; a rate of {rate:g} needs {groups_needed(rate)}"
        )
    blocked = 0.0
    best = 0.0
    shares = sorted(
        (probability, weight / total)
        for group in groups
        for total in [sum(group.values())]
        for probability, weight in group.items()
    )
    for probability, step in itertools.groupby(shares, key=lambda pair: pair[0]):
        if blocked > allowed:
            break
        best = probability
        blocked += sum(share for _, share in step)
    return best


def groups_needed(rate: float) -> int:
    """Return the least number of groups that can promise the rate."""
    return math.ceil(1.0 / rate - _SLACK) - 1


def fit(
    turns: Iterable[JudgedTurn], rate: float, kinds: Sequence[ThresholdKind] = KINDS
) -> dict[ThresholdKind, Threshold]:
    """Return a threshold for each kind of call, each keeping the rate on its own.

    Args:
        turns: Right and wrong ones; the wrong ones only say what passes.
        rate: Of right calls wrongly blocked, in (0, 1).
        kinds: For which a threshold is wanted.

    Raises:
        TooFewGroups: If any kind has too few groups; the message names each with its number.
    """
    judged = list(turns)
    found: dict[ThresholdKind, Threshold] = {}
    refused = []
    for kind in kinds:
        try:
            found[kind] = _fit_one(judged, rate, kind)
        except TooFewGroups as exc:
            refused.append(f"{kind}: {exc}")
    if refused:
        raise TooFewGroups(
            f"too little evidence for a promise: {'; '.join(refused)}. Give more records or a "
            "higher rate, or name only the other kinds: these then keep the scorer's own thresholds"
        )
    return found


def _fit_one(turns: Sequence[JudgedTurn], rate: float, kind: ThresholdKind) -> Threshold:
    groups = right_calls(turns, kind)
    return measure(turns, kind, conformal_threshold(groups, rate))


def measure(turns: Sequence[JudgedTurn], kind: ThresholdKind, value: float) -> Threshold:
    """Return a threshold with what it blocks and passes of these turns.

    Raises:
        TooFewGroups: If there is no right call of this kind.
    """
    groups, wrong = right_calls(turns, kind), wrong_calls(turns, kind)
    if not groups:
        raise TooFewGroups(f"no right call of kind {kind!r}, so nothing that could be blocked")
    return Threshold(
        value=value,
        groups=len(groups),
        right_calls=round(sum(sum(group.values()) for group in groups)),
        wrongly_blocked=wrongly_blocked(groups, value),
        wrongly_passed=1.0 - share_below(wrong, value) if wrong else None,
    )


def right_calls(turns: Iterable[JudgedTurn], kind: ThresholdKind) -> list[dict[float, float]]:
    """Return the number of right calls of a kind by probability, for each group that has any."""
    groups: dict[str, dict[float, float]] = defaultdict(lambda: defaultdict(float))
    for turn in turns:
        if turn.right and (calls := turn.kinds.count(kind) * turn.count):
            groups[turn.group][turn.probability] += calls
    return [dict(group) for group in groups.values()]


def wrong_calls(turns: Iterable[JudgedTurn], kind: ThresholdKind) -> dict[float, float]:
    """Return the number of calls of a kind in wrong turns, by probability."""
    wrong: dict[float, float] = defaultdict(float)
    for turn in turns:
        if not turn.right and (calls := turn.kinds.count(kind) * turn.count):
            wrong[turn.probability] += calls
    return dict(wrong)


def wrongly_blocked(groups: Sequence[Mapping[float, float]], threshold: float) -> float:
    """Return the mean over groups of the share of right calls below the threshold."""
    return sum(share_below(group, threshold) for group in groups) / len(groups)


def share_below(weights: Mapping[float, float], threshold: float) -> float:
    """Return the share of weight at probabilities below the threshold."""
    below = sum(weight for probability, weight in weights.items() if probability < threshold)
    return below / sum(weights.values())
