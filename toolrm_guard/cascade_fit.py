"""Which decisions a cascade should escalate, from what both scorers make of labelled records.

The `cascade` command: every decision is judged by both scorers, so that each band's accuracy is
known and not estimated. An outcome is right if a right turn passes or a wrong one is held back.
"""

import hashlib
import json
import random
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from toolrm_guard import blocking, judged
from toolrm_guard.errors import ConfigurationError, CouldNotJudge
from toolrm_guard.files import check_file, write_text
from toolrm_guard.labelled import read_records
from toolrm_guard.scorers import resolve
from toolrm_guard.scorers.base import Score, Scorer, ScoreRequest, ThresholdKind, fingerprint_of
from toolrm_guard.scorers.cascade import Band, CascadeScorer, sureness

Floats = NDArray[np.float64]
Sureness = Callable[[ScoreRequest, Sequence[Score]], float]

_MOST_UNJUDGED = 0.01
_ROUNDS = 1_000
_SLACK = 1e-9


@dataclass(frozen=True, slots=True, kw_only=True)
class TwiceJudged:
    """A decision with both scorers' scores, and the milliseconds they took."""

    decision: judged.Decision
    first: Sequence[Score]
    second: Sequence[Score]
    first_ms: float
    second_ms: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """Decisions judged by both scorers, as columns, each (decisions,).

    Attributes:
        sureness: Of the first scorer.
        first: 1 where its outcome is right, else 0.
        second: Likewise of the second scorer.
        first_ms: That it took.
        second_ms: Likewise.
        weight: How often the very same decision was given.
        group: Index of what is drawn together, from 0.
    """

    sureness: Floats
    first: Floats
    second: Floats
    first_ms: Floats
    second_ms: Floats
    weight: Floats
    group: NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """What a cascade does with a band.

    Attributes:
        below: The band.
        escalated: Share of decisions.
        accuracy: Share of right outcomes.
        ms: Mean cost of a decision.
    """

    below: float
    escalated: float
    accuracy: float
    ms: float


def judge_by_both(
    decisions: Sequence[judged.Decision],
    first: Scorer,
    second: Scorer,
    *,
    timeout_s: float = 60.0,
    progress: judged.Progress = iter,
) -> list[TwiceJudged]:
    """Return every decision with both scorers' scores, asked in turn so that noise hits both.

    Raises:
        CouldNotJudge: If more than 1% of the decisions could not be judged by both.
    """
    found: list[TwiceJudged] = []
    lost: Counter[str] = Counter()
    for decision in progress(decisions):
        try:
            timed = [_timed(scorer, decision, timeout_s) for scorer in (first, second)]
        except CouldNotJudge as exc:
            lost[f"{type(exc).__name__}: {exc}"] += 1
        else:
            (one, one_ms), (other, other_ms) = timed
            found.append(
                TwiceJudged(
                    decision=decision, first=one, second=other, first_ms=one_ms, second_ms=other_ms
                )
            )
    if lost.total() > _MOST_UNJUDGED * len(decisions):
        raise CouldNotJudge(
            f"{lost.total()} of {len(decisions)} decisions could not be judged by both scorers "
            f"({lost.most_common(1)[0][0]}); a band from the rest would promise nothing for these"
        )
    return found


def rows_of(
    twice: Sequence[TwiceJudged],
    thresholds: Mapping[ThresholdKind, float],
    *,
    sure: Sureness = sureness,
) -> Rows:
    """Return the decisions as columns; those without a label for what is chosen are left out.

    Args:
        twice: From `judge_by_both`.
        thresholds: Of the cascade, for either scorer's probabilities.
        sure: How sure the first scorer is.

    Raises:
        ConfigurationError: If none is left.
    """
    found: list[tuple[float, ...]] = []
    groups: dict[str, int] = {}
    for row in twice:
        decision = row.decision
        outcomes = [_is_right(decision, scores, thresholds) for scores in (row.first, row.second)]
        known = [float(outcome) for outcome in outcomes if outcome is not None]
        if len(known) == len(outcomes):
            group = groups.setdefault(decision.group, len(groups))
            sureness_of = sure(decision.request, row.first)
            found.append((sureness_of, *known, row.first_ms, row.second_ms, decision.count, group))
    if not found:
        raise ConfigurationError("no decision has a label for the turn that is chosen")
    columns = np.array(found, dtype=np.float64).T
    return Rows(
        sureness=columns[0],
        first=columns[1],
        second=columns[2],
        first_ms=columns[3],
        second_ms=columns[4],
        weight=columns[5],
        group=columns[6].astype(np.int64),
    )


def _timed(
    scorer: Scorer, decision: judged.Decision, timeout_s: float
) -> tuple[list[Score], float]:
    started = time.perf_counter()
    scores = blocking.run(judged.scores_of(scorer, decision.request, timeout_s))
    return scores, (time.perf_counter() - started) * 1e3


def _is_right(
    decision: judged.Decision, scores: Sequence[Score], thresholds: Mapping[ThresholdKind, float]
) -> bool | None:
    """Tell whether the outcome is right; None if the label of what is chosen is not known."""
    chosen = judged.chosen_of(decision, scores)
    right = decision.right[chosen]
    if right is None:
        return None
    request = decision.request
    kinds = judged.kinds_of(request.candidates[chosen], request.tools, decision.effect_of)
    passes = all(scores[chosen].probability >= thresholds[kind] for kind in kinds)
    return passes == right


# --- bands ----------------------------------------------------------------------------------------


def curve(rows: Rows) -> list[Point]:
    """Return a point for every band that makes a difference, from the narrowest to the widest.

    The widest is 1. It leaves out what the first scorer is fully sure of: no band escalates that.
    """
    total = rows.weight.sum()
    kept = float((rows.weight * rows.first).sum())
    first_ms, second_ms = (
        float(np.average(ms, weights=rows.weight)) for ms in (rows.first_ms, rows.second_ms)
    )
    # The next value above: a band escalates what is below it.
    order = np.argsort(rows.sureness, kind="stable")
    points = [Point(below=0.0, escalated=0.0, accuracy=kept / total, ms=first_ms)]
    moved = 0.0
    for value, block in groupby(order.tolist(), key=lambda row: rows.sureness[row]):
        if value >= 1.0:
            break
        for row in block:
            moved += rows.weight[row]
            kept += rows.weight[row] * (rows.second[row] - rows.first[row])
        share = moved / total
        points.append(
            Point(
                below=float(np.nextafter(value, 1.0)),
                escalated=share,
                accuracy=kept / total,
                ms=first_ms + share * second_ms,
            )
        )
    return points


def for_share(points: Sequence[Point], share: float) -> Point:
    """Return the widest band that escalates at most this share of the decisions."""
    return max(
        (point for point in points if point.escalated <= share + _SLACK),
        key=lambda point: point.escalated,
    )


def for_loss(points: Sequence[Point], loss: float) -> Point:
    """Return the narrowest band from which on accuracy stays within `loss` of the widest.

    From which on: a narrower band that is as good by chance, with worse ones above it, is not it.
    """
    wanted = points[-1].accuracy - loss - _SLACK
    chosen = points[-1]
    for point in reversed(points):
        if point.accuracy < wanted:
            break
        chosen = point
    return chosen


def interval(rows: Rows, below: float, seed: int) -> tuple[float, float]:
    """Return the 95% interval of accuracy minus that of the widest band; groups are drawn."""
    kept = (rows.sureness >= below) & (rows.sureness < 1.0)
    gain = np.where(kept, rows.first - rows.second, 0.0) * rows.weight
    groups = int(rows.group.max()) + 1
    gains = np.bincount(rows.group, gain, groups)
    weights = np.bincount(rows.group, rows.weight, groups)
    drawn = np.random.default_rng(seed).integers(groups, size=(_ROUNDS, groups))
    low, high = np.quantile(gains[drawn].sum(axis=1) / weights[drawn].sum(axis=1), (0.025, 0.975))
    return float(low), float(high)


# --- the command ----------------------------------------------------------------------------------


def run_command(
    *,
    first: str,
    second: str,
    records: Sequence[Path],
    candidates: int,
    escalate: float | None,
    within: float | None,
    limit: int | None,
    seed: int,
    out: Path,
) -> int:
    """Judge, choose, write the file, print what it does.

    Raises:
        GuardError: If an input is bad, or too little of it can be judged.
    """
    check_file(out)
    for name, value in (("--escalate", escalate), ("--within", within)):
        if value is not None and not 0.0 <= value <= 1.0:
            raise ConfigurationError(f"{name} {value:g} is not between 0 and 1, e.g. 0.2")
    one, other = resolve(first), resolve(second)
    decisions = judged.from_labelled(
        (record for path in records for record in read_records(path)),
        candidates=candidates,
        seed=seed,
    )
    if limit is not None and limit < len(decisions):
        decisions = random.Random(seed).sample(decisions, limit)
    thresholds = CascadeScorer(one, other, band=0.0).thresholds
    rows = rows_of(judge_by_both(decisions, one, other), thresholds)
    points = curve(rows)
    if within is not None:
        chosen, goal = for_loss(points, within), f"accuracy within {within:g} of the widest band"
    else:
        share = 0.0 if escalate is None else escalate
        chosen, goal = for_share(points, share), f"at most {share:.1%} escalated"
    band = Band(
        below=chosen.below,
        first=one.name,
        second=other.name,
        first_fingerprint=fingerprint_of(one),
        second_fingerprint=fingerprint_of(other),
        candidates=candidates,
        goal=goal,
        evidence={path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in records},
        escalated=chosen.escalated,
        accuracy=chosen.accuracy,
        accuracy_first=points[0].accuracy,
        accuracy_second=points[-1].accuracy,
    )
    write_text(out, json.dumps(band.model_dump(), indent=1) + "\n")
    print(render(rows, points, chosen, band, seed))
    print(f'use: CascadeScorer("{first}", "{second}", band="{out.name}")')
    return 0


def render(rows: Rows, points: Sequence[Point], chosen: Point, band: Band, seed: int) -> str:
    """Return the chosen band beside its alternatives, as text."""
    shown = [(f"{band.first} alone", points[0])]
    shown += [("", for_share(points, share)) for share in (0.05, 0.1, 0.2, 0.3, 0.5)]
    shown += [(f"{band.second} wherever a band can", points[-1]), (f"chosen: {band.goal}", chosen)]
    lines = [
        f"{int(rows.weight.sum()):,} decisions of {band.candidates} candidate(s), "
        f"{int(rows.group.max()) + 1:,} groups",
        f"{'escalate if sureness below':>26} {'escalated':>9} {'accuracy':>8} {'ms':>8}",
    ]
    for name, point in shown:
        lines.append(
            f"{point.below:>26.3f} {point.escalated:>9.1%} {point.accuracy:>8.3f} "
            f"{point.ms:>8.1f}  {name}".rstrip()
        )
    low, high = interval(rows, chosen.below, seed)
    lines.append(f"accuracy against the widest band: {low:+.3f} to {high:+.3f} (95%)")
    if points[-1].accuracy <= points[0].accuracy:
        lines.append(
            f"note: {band.second} is no better than {band.first} on these decisions; "
            "escalating costs time and buys nothing"
        )
    return "\n".join(lines)
