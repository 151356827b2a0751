"""Train `lite` and write it as package data.

    python -m training.train_lite --data ../shared/data/train --out toolrm_guard/models/lite

Reads labelled packs, makes candidate groups (real outputs and edits of references), extracts the
features that serving uses, checks each source with a model trained on the others, fits the final
model on everything, and writes model.txt, calibration.json and MODEL_CARD.md. The same data and
seed give the same files, bit by bit, in any process.
"""

import argparse
import datetime
import hashlib
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import track

from toolrm_guard.findings import Finder
from toolrm_guard.scorers.features import AGREEMENT, FEATURES, INPUTS, NAMES, extract
from toolrm_guard.scorers.lite import CALIBRATION_FILE, MODEL_FILE, Calibration
from training.lite_data import Group, make_groups, read_packs
from training.ranker import (
    ROUNDS,
    Floats,
    Sets,
    Table,
    balanced,
    fit,
    make_sets,
    pair_accuracy,
    rewards,
)
from training.reward_maps import reward_map

console = Console(stderr=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fold:
    """One source's result with a model that never saw it."""

    source: str
    groups: int
    accuracy: dict[str, tuple[int, float]]


@dataclass(frozen=True, slots=True)
class Held:
    """A left-out source with the rewards of its sets."""

    table: Table
    sets: Sets
    scores: Floats


def main(argv: Sequence[str] | None = None) -> None:
    """Train from the command line."""
    args = _parser().parse_args(argv)
    started = time.monotonic()
    with _step("reading packs and making groups"):
        groups = make_groups(read_packs(args.data), args.seed, args.cap)
    table = tabulate(groups)
    console.print(f"{len(groups):,} groups, {len(table.right):,} rows, {len(INPUTS)} inputs")
    folds, held = leave_one_out(table, args.seed, args.fold_rounds)
    with _step(f"fitting {args.rounds} trees on everything"):
        booster = fit(table, args.seed, args.rounds)
    args.out.mkdir(parents=True, exist_ok=True)
    text = booster.model_to_string()
    (args.out / MODEL_FILE).write_text(text, encoding="utf-8", newline="\n")
    calibration = calibrate(held, hashlib.sha256(text.encode()).hexdigest())
    (args.out / CALIBRATION_FILE).write_text(
        calibration.model_dump_json(indent=1) + "\n", encoding="utf-8", newline="\n"
    )
    dev = dev_table(args.dev, args.dev_records, args.out) if args.dev else ""
    card = model_card(argv, args, table, folds, calibration.rule, dev)
    (args.out / "MODEL_CARD.md").write_text(card, encoding="utf-8", newline="\n")
    console.print(f"wrote {args.out} in {time.monotonic() - started:.0f} s")


def tabulate(groups: Sequence[Group]) -> Table:
    """Return the rows of all groups; candidates that repeat inside a group are one row.

    Where candidates are no true pool their agreement means nothing, so its features are zero, as
    they are when serving fewer than three candidates.
    """
    voting = [NAMES.index(name) for name in AGREEMENT]
    features, right, index, errors, text = [], [], [], [], []
    for number, group in enumerate(track(groups, "extracting features", console=console)):
        rows = extract(group.request, Finder(group.request.messages, group.request.tools))
        if not group.votes:
            rows[:, voting] = 0.0
        first = {c.canonical: i for i, c in reversed(list(enumerate(group.request.candidates)))}
        kept = sorted(first.values())
        features.append(rows[kept])
        right += [group.right[i] for i in kept]
        errors += [group.errors[i] or "" for i in kept]
        index += [number] * len(kept)
        text += [not group.request.candidates[i].calls for i in kept]
    return Table(
        features=np.vstack(features),
        right=np.array(right, dtype=np.bool_),
        group=np.array(index, dtype=np.int64),
        source=np.array([group.source for group in groups]),
        errors=np.array(errors),
        kinds=np.array([group.kind for group in groups]),
        votes=np.array([group.votes for group in groups], dtype=np.bool_),
        text=np.array(text, dtype=np.bool_),
    )


def leave_one_out(table: Table, seed: int, rounds: int) -> tuple[list[Fold], list[Held]]:
    """Return each source's accuracy with a model that never saw it, and the rewards it gave."""
    folds, held = [], []
    sources = np.unique(table.source)
    if len(sources) < 2:
        raise SystemExit("one source only: leave-one-source-out needs two or more packs")
    for source in track(sources, "leaving one source out", console=console):
        out = table.source == source
        test = table.select(out)
        sets = make_sets(test, seed)
        scores = rewards(fit(table.select(~out), seed, rounds), test, sets)
        held.append(Held(test, sets, scores))
        accuracy = pair_accuracy(test, sets, scores)
        folds.append(Fold(source=str(source), groups=int(out.sum()), accuracy=accuracy))
    return folds, held


def calibrate(held: Sequence[Held], digest: str) -> Calibration:
    """Return the map from reward to probability and the thresholds, from held-out rewards.

    Right and wrong candidates weigh the same in all: the probability is that of a candidate which
    is right as often as not.
    """
    scores = np.concatenate([part.scores for part in held])
    right = np.concatenate([part.table.right[part.sets.row] for part in held])
    text = np.concatenate([part.table.text[part.sets.row] for part in held])
    weight = np.concatenate([balanced(part.table, part.sets) for part in held])
    fields = reward_map(
        scores, right, text, weight, "the single candidates of sources left out of training"
    )
    return Calibration.model_validate({"model_sha256": digest, "features": INPUTS, **fields})


# --- the card -----------------------------------------------------------------------------------


def model_card(
    argv: Sequence[str] | None,
    args: argparse.Namespace,
    table: Table,
    folds: Sequence[Fold],
    rule: str,
    dev: str,
) -> str:
    """Return the card: what it is, how it was made, what it reaches, what it may be used for."""
    command = shlex.join(["python", "-m", "training.train_lite", *(argv or sys.argv[1:])])
    kinds, counts = np.unique(table.kinds, return_counts=True)
    made = ", ".join(f"{k} {c:,}" for k, c in zip(kinds, counts, strict=True))
    lines = [
        "# lite", "",
        "Gradient-boosted trees (LightGBM) that rank candidate turns of a tool-using agent.", "",
        f"- Command: `{command}`",
        f"- Date: {datetime.datetime.now(tz=datetime.UTC).date()}",
        f"- Data sha256 (of all packs, by name): `{data_digest(args.data)}`",
        f"- Groups: {len(table.source):,} ({made}); candidates: {len(table.right):,}",
        f"- Objective: pairwise logistic plus a small pointwise term; {args.rounds} trees, "
        f"seed {args.seed}",
        f"- Thresholds: {rule}",
        "- Licence: the model is Apache-2.0 like the code. Some sources of the training data have "
        "no licence; none of their records is shipped, only these trees.",
        "- Not for: judging world knowledge, long computed values, or harm; it sees evidence only.",
        "", "## Out of source: trained on all sources but the one tested", "",
        *_fold_table(folds),
    ]  # fmt: skip
    if dev:
        lines += ["", "## Development pairs (never trained on)", "", dev]
    lines += ["", "## Features", "", "| name | meaning | range | monotone |"]
    lines += ["| --- | --- | --- | --- |"]
    lines += [
        f"| {f.name} | {f.meaning} | {f.range[0]:g} to {f.range[1]:g} | {f.monotone:+d} |"
        for f in FEATURES
    ]
    return "\n".join(lines) + "\n"


def _fold_table(folds: Sequence[Fold]) -> Iterator[str]:
    yield "| source | groups | pairs | accuracy | weakest errors |"
    yield "| --- | --- | --- | --- | --- |"
    for fold in folds:
        pairs, accuracy = fold.accuracy["all"]
        parts = [(a, n, e) for e, (n, a) in fold.accuracy.items() if e != "all" and n >= 20]
        weakest = ", ".join(f"{e} {a:.2f} ({n})" for a, n, e in sorted(parts)[:3])
        yield f"| {fold.source} | {fold.groups} | {pairs} | {accuracy:.3f} | {weakest} |"


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


@contextmanager
def _step(title: str) -> Iterator[None]:
    started = time.monotonic()
    with console.status(title):
        yield
    console.print(f"{title}: {time.monotonic() - started:.0f} s")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of labelled packs")
    parser.add_argument("--out", type=Path, required=True, help="folder of the model")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="trees of the final model")
    parser.add_argument("--fold-rounds", type=int, default=120, help="trees per left-out source")
    parser.add_argument("--cap", type=int, default=700, help="groups of edits a source")
    parser.add_argument("--dev", type=Path, help="pairs for the table in the card")
    parser.add_argument("--dev-records", type=Path, help="records the pairs refer to")
    return parser


if __name__ == "__main__":
    main()
