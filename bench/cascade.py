"""What does escalating unsure decisions to a costly scorer buy, and what does it cost?

    python -m bench.cascade --records FILE [FILE ...] --second NAME --json OUT

Both scorers judge every decision, in turn. Reported: accuracy and cost for every share escalated,
beside escalating at random; what other measures of sureness would have bought; and what a band that
was chosen on one half of the prompts does on the other half.
"""

import argparse
import dataclasses
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import track

from bench import runs
from bench.pools import sample_of
from toolrm_guard.cascade_fit import (
    Point,
    Rows,
    Sureness,
    TwiceJudged,
    curve,
    for_loss,
    for_share,
    interval,
    judge_by_both,
    rows_of,
)
from toolrm_guard.errors import GuardError
from toolrm_guard.judged import from_labelled
from toolrm_guard.labelled import read_records
from toolrm_guard.scorers import resolve
from toolrm_guard.scorers.base import Score, ScoreRequest, ThresholdKind
from toolrm_guard.scorers.cascade import CascadeScorer, sureness

SHARES = (0.0, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 1.0)
LOSSES = (0.0, 0.005, 0.01, 0.02)
_HALVES = 100

Json = dict[str, Any]


def main(argv: Sequence[str] | None = None) -> int:
    """Run from the command line."""
    arguments = _parser().parse_args(argv)
    console = Console(stderr=True)
    try:
        first, second = resolve(arguments.first), resolve(arguments.second)
        every = from_labelled(
            (record for path in arguments.records for record in read_records(path)),
            candidates=arguments.candidates,
            seed=arguments.seed,
        )
        decisions = sample_of(every, arguments.limit, arguments.seed)
        twice = judge_by_both(
            decisions,
            first,
            second,
            timeout_s=arguments.timeout_s,
            progress=lambda all_: track(all_, "both", console=console, transient=True),
        )
        found = evaluate(twice, CascadeScorer(first, second, band=0.0).thresholds, arguments.seed)
    except GuardError as exc:
        print(f"bench.cascade: {exc}", file=sys.stderr)
        return 1
    payload = {
        "bench": "cascade",
        "run": runs.describe(arguments.records, arguments.seed),
        "first": first.name,
        "second": second.name,
        "candidates": arguments.candidates,
        "asked": len(decisions),
        **found,
    }
    print(table_of(payload))
    if arguments.json:
        runs.write(arguments.json, payload)
    return 0


def evaluate(
    twice: Sequence[TwiceJudged], thresholds: Mapping[ThresholdKind, float], seed: int
) -> Json:
    """Return everything that is measured, ready for JSON."""
    rows = rows_of(twice, thresholds)
    points = curve(rows)
    low, high = points[0].accuracy, points[-1].accuracy
    slope = (high - low) / (points[-1].escalated or 1.0)
    return {
        "decisions": int(rows.weight.sum()),
        "groups": int(rows.group.max()) + 1,
        "ms": {"first": _quantiles(rows.first_ms), "second": _quantiles(rows.second_ms)},
        "accuracy_first": low,
        "accuracy_second": high,
        # Without any escalation the interval is that of the first minus the widest band.
        "second_minus_first_ci95": [0.0 - end for end in interval(rows, 0.0, seed)][::-1],
        "shares": [
            {
                **dataclasses.asdict(point),
                "at_random": low + point.escalated * slope,
                "against_widest_ci95": interval(rows, point.below, seed),
            }
            for point in (for_share(points, share) for share in SHARES)
        ],
        "losses": [{"loss": loss, **dataclasses.asdict(for_loss(points, loss))} for loss in LOSSES],
        "measures": measures(twice, thresholds),
        "held_out": held_out(rows, seed),
    }


def measures(twice: Sequence[TwiceJudged], thresholds: Mapping[ThresholdKind, float]) -> list[Json]:
    """Return what each measure of sureness finds of the first scorer's wrong outcomes, by share."""
    rules: dict[str, Sureness] = {
        "sureness": sureness,
        "lead alone": lead,
        "distance to 1/2": toss,
        "distance to threshold": lambda request, scores: to_threshold(scores, thresholds),
        "probability alone": lambda request, scores: _best(scores).probability,
    }
    return [
        {"measure": name, **_found(rows_of(twice, thresholds, sure=rule))}
        for name, rule in rules.items()
    ]


def lead(request: ScoreRequest, scores: Sequence[Score]) -> float:
    """Return the distance to the best rival in probability; 1 without one."""
    best = max(range(len(scores)), key=lambda index: scores[index].reward)
    form = request.candidates[best].canonical
    rivals = [
        score.probability
        for candidate, score in zip(request.candidates, scores, strict=True)
        if candidate.canonical != form
    ]
    return abs(scores[best].probability - max(rivals)) if rivals else 1.0


def toss(request: ScoreRequest, scores: Sequence[Score]) -> float:
    """Return how far the best candidate is from being as likely right as wrong."""
    return abs(_best(scores).probability - 0.5)


def to_threshold(scores: Sequence[Score], thresholds: Mapping[ThresholdKind, float]) -> float:
    """Return the distance to the nearest threshold that may apply."""
    return min(abs(_best(scores).probability - value) for value in thresholds.values())


def _best(scores: Sequence[Score]) -> Score:
    return max(scores, key=lambda score: score.reward)


def _found(rows: Rows) -> Json:
    """Return the share of wrong outcomes among the least sure, and what escalating them gains."""
    points = curve(rows)
    wrong = (rows.weight * (1.0 - rows.first)).sum()
    shares = {}
    for share in (0.1, 0.2, 0.3, 0.5):
        point = for_share(points, share)
        unsure = rows.sureness < point.below
        caught = (rows.weight * (1.0 - rows.first))[unsure].sum()
        shares[str(share)] = {
            "escalated": point.escalated,
            "wrong_found": float(caught / wrong) if wrong else 0.0,
            "accuracy": point.accuracy,
        }
    return {"shares": shares}


def held_out(rows: Rows, seed: int) -> list[Json]:
    """Return, per goal, what bands from one half of the groups do on the other; means of halves."""
    groups = int(rows.group.max()) + 1
    if groups < 2:
        return []
    rng = np.random.default_rng(seed)
    goals: list[tuple[str, float]] = [("escalate", share) for share in SHARES[1:-1]]
    goals += [("within", loss) for loss in LOSSES]
    done: dict[tuple[str, float], list[Point]] = {goal: [] for goal in goals}
    widest: list[float] = []
    for _ in range(_HALVES):
        inside = np.isin(rows.group, rng.permutation(groups)[: groups // 2])
        points, other = curve(_some(rows, inside)), _some(rows, ~inside)
        widest.append(_point(other, 1.0).accuracy)
        for goal, value in goals:
            chosen = for_share(points, value) if goal == "escalate" else for_loss(points, value)
            done[goal, value].append(_point(other, chosen.below))
    return [
        {
            "goal": goal,
            "value": value,
            "escalated": fmean(point.escalated for point in points),
            "accuracy": fmean(point.accuracy for point in points),
            "minus_widest": fmean(p.accuracy - a for p, a in zip(points, widest, strict=True)),
        }
        for (goal, value), points in done.items()
    ]


def _some(rows: Rows, kept: Any) -> Rows:
    return Rows(**{f.name: getattr(rows, f.name)[kept] for f in dataclasses.fields(rows)})


def _point(rows: Rows, below: float) -> Point:
    """Return what this very band does."""
    up = rows.sureness < below
    right = np.where(up, rows.second, rows.first)
    ms = rows.first_ms + np.where(up, rows.second_ms, 0.0)
    return Point(
        below=below,
        escalated=float(np.average(up, weights=rows.weight)),
        accuracy=float(np.average(right, weights=rows.weight)),
        ms=float(np.average(ms, weights=rows.weight)),
    )


def _quantiles(ms: Any) -> Json:
    p50, p95 = np.quantile(ms, (0.5, 0.95))
    return {"mean": float(ms.mean()), "p50": float(p50), "p95": float(p95)}


def table_of(payload: Json) -> str:
    """Return the curve, the measures and the held-out bands as text."""
    first, second = payload["first"], payload["second"]
    low, high = payload["second_minus_first_ci95"]
    lines = [
        f"{first} then {second}: {payload['decisions']:,} decisions of {payload['candidates']} "
        f"candidate(s), {payload['groups']:,} prompts",
        f"{second} minus {first}: {low:+.3f} to {high:+.3f} (95%)",
        "escalated  accuracy  at random  ms/decision",
    ]
    lines += [
        f"{row['escalated']:>9.1%} {row['accuracy']:>9.3f} {row['at_random']:>10.3f} "
        f"{row['ms']:>12.1f}"
        for row in payload["shares"]
    ]
    lines.append("wrong outcomes found among the least sure 10, 20, 30, 50%, and accuracy there")
    for row in payload["measures"]:
        cells = "  ".join(
            f"{part['wrong_found']:.2f} {part['accuracy']:.3f}" for part in row["shares"].values()
        )
        lines.append(f"{row['measure']:>22}  {cells}")
    lines.append("chosen on one half of the prompts, on the other half:")
    lines += [
        f"{row['goal']:>9} {row['value']:<6g} escalated {row['escalated']:.1%}, accuracy "
        f"{row['accuracy']:.3f}, against the widest band {row['minus_widest']:+.4f}"
        for row in payload["held_out"]
    ]
    return "\n".join(lines)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--records", type=Path, nargs="+", required=True, metavar="FILE")
    parser.add_argument("--first", default="lite", help="the cheap scorer (default lite)")
    parser.add_argument("--second", required=True, help="the costly scorer")
    parser.add_argument("--candidates", type=int, default=4, help="per decision (default 4)")
    parser.add_argument("--limit", type=int, metavar="N", help="a sample of N decisions")
    parser.add_argument("--timeout-s", type=float, default=60.0, help="per decision (default 60)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, metavar="OUT")
    return parser


if __name__ == "__main__":
    sys.exit(main())
