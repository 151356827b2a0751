"""Can a scorer's probabilities be trusted, and what does a threshold on them buy?

    python -m bench.calibration --records FILE [FILE ...] --scorer lite --json OUT

Every labelled output is scored by itself, as a guard without sampling does (`--candidates N` for
the best of N). Reported with intervals over prompts, for all turns, by effect class and by split:
reliability, expected calibration error, Brier score, risk against coverage. Conformal thresholds
are fitted on one half of the prompts and checked on the other, many times.
"""

import argparse
import random
import sys
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import track
from rich.table import Table

from bench import runs
from bench.selective import FIGURES, Rows, curve, reliability, with_intervals
from toolrm_guard.calibration import (
    KINDS,
    JudgedTurn,
    conformal_threshold,
    groups_needed,
    measure,
    right_calls,
    share_below,
    wrong_calls,
    wrongly_blocked,
)
from toolrm_guard.errors import GuardError
from toolrm_guard.judged import Decision, Evidence, from_labelled, judge
from toolrm_guard.labelled import read_records
from toolrm_guard.scorers import resolve
from toolrm_guard.scorers.base import Scorer, ThresholdKind
from toolrm_guard.scorers.calibrated import ThresholdFile

RATES = (0.01, 0.02, 0.05, 0.1, 0.2)
HALVES = 100
"""Random halves of the prompts at least; more where few prompts make each of them noisy."""
LEAST_GROUPS = 10
"""A slice with fewer prompts gets no figures: its interval would say nothing."""

Json = dict[str, Any]


def main(argv: Sequence[str] | None = None) -> int:
    """Run from the command line."""
    arguments = _parser().parse_args(argv)
    console = Console(stderr=True)
    try:
        scorer = resolve(arguments.scorer)
        decisions = from_labelled(
            (record for path in arguments.records for record in read_records(path)),
            candidates=arguments.candidates,
            seed=arguments.seed,
        )
        found = judge(
            decisions,
            scorer,
            timeout_s=arguments.timeout_s,
            progress=lambda all_: track(all_, scorer.name, console=console, transient=True),
        )
        saved = ThresholdFile.load(arguments.thresholds) if arguments.thresholds else None
    except GuardError as exc:
        print(f"bench.calibration: {exc}", file=sys.stderr)
        return 1
    payload = {
        "bench": "calibration",
        "run": runs.describe(arguments.records, arguments.seed),
        "scorer": scorer.name,
        "candidates": arguments.candidates,
        **evaluate(decisions, found, scorer, arguments.rounds, arguments.seed),
        **({"saved": applied(found.turns, saved)} if saved else {}),
    }
    Console(width=110).print(table_of(payload))
    for note in payload["notes"]:
        print(f"note: {note}")
    if arguments.json:
        runs.write(arguments.json, payload)
    return 0


def evaluate(
    decisions: Sequence[Decision], found: Evidence, scorer: Scorer, rounds: int, seed: int
) -> Json:
    """Return everything that is measured of a scorer, ready for JSON."""
    turns = found.turns
    return {
        "decisions": len(decisions),
        "turns": sum(turn.count for turn in turns),
        "groups": len({turn.group for turn in turns}),
        "unjudged": dict(found.unjudged),
        "notes": notes(decisions, found),
        "slices": slices(turns, rounds, seed) if turns else [],
        "conformal": [row for kind in KINDS for row in held_out(turns, kind, seed)],
        "own_thresholds": applied_values(turns, dict(scorer.thresholds)),
    }


def notes(decisions: Sequence[Decision], found: Evidence) -> list[str]:
    """Return what a reader must know before the figures."""
    said = []
    if lost := sum(found.unjudged.values()):
        reason, count = max(found.unjudged.items(), key=lambda item: item[1])
        said.append(
            f"{lost:,} of {len(decisions):,} decisions could not be judged and are in no figure; "
            f"{count:,} of them: {reason}"
        )
    if not found.turns:
        said.append("no decision was judged: there is nothing to report")
    elif len({turn.probability for turn in found.turns}) == 1:
        said.append(
            f"every turn has probability {found.turns[0].probability:g}: the scorer tells nothing "
            "apart, and its calibration error says only how far that is from the mean"
        )
    return said


def slices(turns: Sequence[JudgedTurn], rounds: int, seed: int) -> list[Json]:
    """Return the figures for all turns, by effect class and by split."""
    parts = {"all": list(turns)}
    parts |= {f"effect {kind}": [turn for turn in turns if kind in turn.kinds] for kind in KINDS}
    for split in sorted({turn.split for turn in turns}):
        parts[f"split {split}"] = [turn for turn in turns if turn.split == split]
    return [_slice(name, kept, rounds, seed) for name, kept in parts.items() if kept]


def _slice(name: str, turns: Sequence[JudgedTurn], rounds: int, seed: int) -> Json:
    rows = rows_of(turns)
    groups = int(rows.group.max()) + 1
    facts: Json = {"name": name, "turns": round(float(rows.weight.sum())), "groups": groups}
    if groups < LEAST_GROUPS:
        return {**facts, "note": f"only {groups} prompts: too few for figures"}
    return {
        **facts,
        "figures": with_intervals(rows, rounds, seed),
        "reliability": reliability(rows, rounds, seed),
        "risk_coverage": curve(rows),
    }


def rows_of(turns: Sequence[JudgedTurn]) -> Rows:
    """Return the turns as columns."""
    _, group = np.unique(np.array([turn.group for turn in turns]), return_inverse=True)
    return Rows(
        probability=np.array([turn.probability for turn in turns]),
        right=np.array([float(turn.right) for turn in turns]),
        weight=np.array([float(turn.count) for turn in turns]),
        group=group.astype(np.int64),
    )


def held_out(turns: Sequence[JudgedTurn], kind: ThresholdKind, seed: int) -> list[Json]:
    """Return, per rate, what thresholds from one half of the prompts do on the other half.

    Means over random halves. A rate that half of the prompts cannot promise is left out.
    """
    groups, wrong = right_calls(turns, kind), wrong_calls(turns, kind)
    half = len(groups) // 2
    rng = random.Random(seed)
    halves = max(HALVES, 20_000 // max(half, 1))
    orders = [rng.sample(groups, len(groups)) for _ in range(halves)] if half else []
    found: list[Json] = []
    for rate in RATES:
        if not half or half < groups_needed(rate):
            continue
        values = [conformal_threshold(order[:half], rate) for order in orders]
        blocked = [
            wrongly_blocked(order[half:], value)
            for order, value in zip(orders, values, strict=True)
        ]
        found.append(
            {
                "kind": kind,
                "rate": rate,
                "groups": half,
                "halves": halves,
                "threshold": fmean(values),
                "wrongly_blocked": fmean(blocked),
                "wrongly_blocked_p95": float(np.quantile(blocked, 0.95)),
                "wrongly_passed": fmean(1 - share_below(wrong, v) for v in values)
                if wrong
                else None,
            }
        )
    return found


def applied(turns: Sequence[JudgedTurn], saved: ThresholdFile) -> Json:
    """Return what the thresholds of a file do on these turns, whatever they were fitted on."""
    values = {kind: entry.value for kind, entry in saved.thresholds.items()}
    return {
        "rate": saved.rate,
        "evidence": saved.evidence,
        "thresholds": applied_values(turns, values),
    }


def applied_values(
    turns: Sequence[JudgedTurn], values: dict[ThresholdKind, float]
) -> dict[str, Json]:
    """Return what thresholds block and pass of these turns, for kinds with right calls."""
    found: dict[str, Json] = {}
    for kind, value in values.items():
        if right_calls(turns, kind):
            done = measure(turns, kind, value)
            found[kind] = {
                "value": value,
                "groups": done.groups,
                "wrongly_blocked": done.wrongly_blocked,
                "wrongly_passed": done.wrongly_passed,
            }
    return found


def table_of(payload: Json) -> Table:
    """Return the figures of every slice as a table."""
    table = Table(title=f"{payload['scorer']}, {payload['candidates']} per decision")
    for head in ("slice", "turns", "prompts", *FIGURES):
        table.add_column(head, justify="left" if head == "slice" else "right")
    for row in payload["slices"]:
        figures = row.get("figures")
        cells = [f"{figures[name]['value']:.3f}" if figures else "-" for name in FIGURES]
        table.add_row(row["name"], f"{row['turns']:,}", f"{row['groups']:,}", *cells)
    return table


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--records", type=Path, nargs="+", required=True, metavar="FILE")
    parser.add_argument("--scorer", default="lite")
    parser.add_argument("--candidates", type=int, default=1, help="per decision (default 1)")
    parser.add_argument(
        "--thresholds",
        type=Path,
        metavar="FILE",
        help="of `toolrm-guard calibrate`; say what they do on these records",
    )
    parser.add_argument("--timeout-s", type=float, default=60.0, help="per decision (default 60)")
    parser.add_argument("--rounds", type=int, default=500, help="of the bootstrap (default 500)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, metavar="OUT")
    return parser


if __name__ == "__main__":
    sys.exit(main())
