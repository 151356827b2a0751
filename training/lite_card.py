"""The card of `lite`: what it is, how it was made, what it reaches, what it sees, what it costs."""

import argparse
import datetime
import hashlib
import shlex
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from toolrm_guard.scorers.features import FEATURES, GROUPS
from toolrm_guard.scorers.lite import Calibration
from training.feature_costs import Costs
from training.lite_search import ABLATION_ROUNDS, FOLDS
from training.ranker import Table


@dataclass(frozen=True, slots=True, kw_only=True)
class Fold:
    """One source's result with a model that never saw it; (pairs, accuracy) by error and `all`."""

    source: str
    groups: int
    accuracy: dict[str, tuple[int, float]]


def model_card(
    argv: Sequence[str] | None,
    args: argparse.Namespace,
    table: Table,
    folds: Sequence[Fold],
    calibration: Calibration,
    costs: Costs,
    losses: Mapping[str, float],
    dev: str,
) -> str:
    """Return the card as markdown.

    Args:
        argv: The command's arguments; those of the process if None.
        args: The same, parsed.
        table: What the model was trained on.
        folds: Results out of source.
        calibration: That of the model.
        costs: Of the features, measured.
        losses: What leaving a group of features out costs, by group; empty if not measured.
        dev: The benchmark's table; empty if there is none.
    """
    command = shlex.join(["python", "-m", "training.train_lite", *(argv or sys.argv[1:])])
    kinds, counts = np.unique(table.kinds[~table.pool], return_counts=True)
    made = ", ".join(f"{k} {c:,}" for k, c in zip(kinds, counts, strict=True))
    agreement = calibration.agreement
    lines = [
        "# lite", "",
        "Gradient-boosted trees (LightGBM) that rank candidate turns of a tool-using agent.", "",
        f"- Command: `{command}`",
        f"- Date: {datetime.datetime.now(tz=datetime.UTC).date()}",
        f"- Data sha256 (of all packs, by name): `{data_digest(args.data)}`",
        f"- Groups: {len(table.source):,} ({made}; pools {int(table.pool.sum()):,}); candidates: "
        f"{len(table.right):,}",
        f"- Objective: pairwise logistic plus a small pointwise term; {args.rounds} trees, "
        f"seed {args.seed}",
        f"- Agreement, from three candidates on: A = {agreement.calls:g} log(share with the same "
        f"calls); candidates are chosen by "
        f"{agreement.trust:g} trees + A and judged by trees + min(A + {agreement.whole:g}, "
        f"{agreement.most:g})",
        f"- Thresholds: {calibration.rule}",
        "- Licence: the model is Apache-2.0 like the code. Some sources of the training data have "
        "no licence; none of their records is shipped, only these trees.",
        "- Not for: judging world knowledge, long computed values, or harm; it sees evidence only.",
        "", "## Out of source: each judged by a model that never saw it", "",
        *_fold_table(folds),
    ]  # fmt: skip
    if dev:
        lines += ["", "## Development pairs (never trained on)", "", dev]
    lines += ["", "## Groups of features", "", *_group_table(costs, losses)]
    lines += ["", "## Features", "", *_feature_table()]
    return "\n".join(lines) + "\n"


def _fold_table(folds: Sequence[Fold]) -> Iterator[str]:
    yield "| source | groups | pairs | accuracy | weakest errors |"
    yield "| --- | --- | --- | --- | --- |"
    for fold in folds:
        pairs, accuracy = fold.accuracy["all"]
        parts = [(a, n, e) for e, (n, a) in fold.accuracy.items() if e != "all" and n >= 20]
        weakest = ", ".join(f"{e} {a:.2f} ({n})" for a, n, e in sorted(parts)[:3])
        yield f"| {fold.source} | {fold.groups} | {pairs} | {accuracy:.3f} | {weakest} |"
    mean = np.mean([fold.accuracy["all"][1] for fold in folds])
    yield f"| mean | | | {mean:.3f} | |"


def _group_table(costs: Costs, losses: Mapping[str, float]) -> Iterator[str]:
    """Yield a row a group; what is read once for all of them has rows of its own."""
    if losses:
        yield f"Left out one by one, {FOLDS} folds of sources, {ABLATION_ROUNDS} trees.\n"
    yield "| group | features | microseconds a candidate | accuracy out of source without it |"
    yield "| --- | --- | --- | --- |"
    for group in GROUPS:
        size = sum(spec.group == group for spec in FEATURES)
        loss = f"{losses[group]:+.4f}" if group in losses else "not measured"
        yield f"| {group} | {size} | {costs.by_group.get(group, 0.0):.1f} | {loss} |"
    rest = sum(us for name, us in costs.by_group.items() if name not in GROUPS)
    yield f"| shared: reading texts, comparing candidates | | {rest:.1f} | |"
    yield f"| all, {costs.candidates:.1f} candidates a review | | {costs.total:.1f} | |"


def _feature_table() -> Iterator[str]:
    yield "| name | group | meaning | range | monotone |"
    yield "| --- | --- | --- | --- | --- |"
    for f in FEATURES:
        span = f"{f.range[0]:g} to {f.range[1]:g}"
        yield f"| {f.name} | {f.group} | {f.meaning} | {span} | {f.monotone:+d} |"


def data_digest(folder: Path) -> str:
    """Return the sha256 of the packs' names and bytes."""
    digest = hashlib.sha256()
    for path in sorted(folder.glob("*.jsonl*")):
        digest.update(path.name.encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()


def dev_table(pairs: Path, records: Path, folder: Path) -> str:
    """Return the benchmark's table for the new model.

    In a process of its own: training imports no bench.
    """
    command = [
        sys.executable, "-m", "bench.trbench", "--scorer", "all", "--model", str(folder),
        "--pairs", str(pairs), "--records", str(records),
    ]  # fmt: skip
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
