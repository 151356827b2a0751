"""Retrain `lite` on a guard's own traces, as `toolrm-guard harvest --shape pointwise` wrote them.

    toolrm-guard harvest traces.db --shape pointwise --out own.jsonl
    python -m training.update_lite --traces own.jsonl --out runs/candidate
    python -m training.update_lite --traces own.jsonl --out runs/candidate --data PACKS

With the packs that `lite` was trained on, it is trained from the start with the traces as one more
source, as `training.train_lite` does. Without them the model at `--base` goes on: a few more trees
with a small step (LightGBM's `init_model`), and its map from reward to probability is shifted and
stretched to rewards of conversations that the trees did not see. Thresholds stay: they follow from
what a wrong call costs.
"""

import argparse
import hashlib
import shlex
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import lightgbm
import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from toolrm_guard.errors import ConfigurationError, GuardError
from toolrm_guard.labelled import LabelledRecord, read_records
from toolrm_guard.scorers.lite import CALIBRATION_FILE, MODEL_FILE, Calibration, LiteModel
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
from training.train_lite import calibrate, leave_out, tabulate

MORE = 40
"""Trees that are added."""

SMALL: Mapping[str, object] = {
    "learning_rate": 0.05,
    "num_leaves": 15,
    "min_data_in_leaf": 20,
    "feature_pre_filter": False,  # else LightGBM fails where no feature can be split
}
"""Settings of these trees: a store holds tens or hundreds of decisions, the packs thousands."""

FOLDS = 4
_PRIOR = (0.5, 0.25)
"""Standard deviations of the map's shift, in log-odds, and of the logarithm of its stretch: a
hundred candidates of one's own move it a little, thousands as far as they say."""

console = Console(stderr=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Updated:
    """A new model, and what is known of it.

    Attributes:
        text: The trees.
        calibration: What belongs to them.
        notes: Lines for the card, the figures among them.
    """

    text: str
    calibration: Calibration
    notes: tuple[str, ...]


def main(argv: Sequence[str] | None = None) -> int:
    """Retrain from the command line; return the exit code."""
    args = _parser().parse_args(argv)
    try:
        records = [record for path in args.traces for record in read_records(path)]
        base = read_packs(args.data) if args.data else None
        made = (
            continued(records, args.base, seed=args.seed, cap=args.cap)
            if base is None
            else retrained(records, base, seed=args.seed, cap=args.cap, rounds=args.rounds,
                           fold_rounds=args.fold_rounds)
        )  # fmt: skip
        command = shlex.join(["python", "-m", "training.update_lite", *(argv or sys.argv[1:])])
        save(made, args.out, [f"Command: `{command}`", *map(_digest, args.traces)])
    except GuardError as exc:
        print(f"update_lite: {exc}", file=sys.stderr)
        return 1
    console.print("\n".join([*made.notes, f"wrote {args.out}"]))
    return 0


def continued(
    records: Sequence[LabelledRecord], base: Path | None, *, seed: int, cap: int = 450
) -> Updated:
    """Return the base model with more trees, fitted to the traces alone.

    Args:
        records: Harvested, in the pointwise shape.
        base: Folder of the model to go on from; None for the one that ships.
        seed: Of everything random.
        cap: As for `make_groups`.

    Raises:
        ConfigurationError: If the traces give no group with a right and a wrong candidate.
        ModelIntegrityError: If the base cannot be loaded.
    """
    groups, table = _table(records, seed, cap)
    model = LiteModel.load(base)
    start = lightgbm.Booster(model_str=model.text)
    sets, before, after = _cross_fitted(start, groups, table, seed)
    # A group's members are not so many pieces of evidence: together they count as one.
    weight = balanced(table, sets)
    shift, stretch = fit_map(
        model.calibration.probability(after),
        table.right[sets.row],
        weight * (len(groups) / weight.sum()),
    )
    (pairs, won), (_, then) = (pair_accuracy(table, sets, x)["all"] for x in (before, after))
    text = _grown(table, seed, start).model_to_string()
    calibration = model.calibration.model_copy(
        update={
            "model_sha256": hashlib.sha256(text.encode()).hexdigest(),
            "probabilities": tuple(
                round(float(p), 6)
                for p in mapped(np.array(model.calibration.probabilities), shift, stretch)
            ),
        }
    )
    kinds = ", ".join(
        f"{kind} {count}" for kind, count in sorted(Counter(g.kind for g in groups).items())
    )
    return Updated(
        text=text,
        calibration=Calibration.model_validate(calibration.model_dump()),
        notes=(
            f"Went on from model {model.calibration.model_sha256[:12]} with {MORE} trees, "
            f"step {SMALL['learning_rate']}, seed {seed}",
            f"Groups: {len(groups):,} ({kinds}); candidates: {len(table.right):,}",
            f"Pairs of conversations held out in turn ({pairs:,}): {won:.3f} before, "
            f"{then:.3f} after",
            f"Map to probability: log-odds x {stretch:.3f} {shift:+.3f}",
        ),
    )


def retrained(
    records: Sequence[LabelledRecord],
    base: Sequence[LabelledRecord],
    *,
    seed: int,
    cap: int,
    rounds: int = ROUNDS,
    fold_rounds: int,
) -> Updated:
    """Return a model trained on the base data and the traces together.

    Raises:
        ConfigurationError: If the traces give no group with a right and a wrong candidate.
    """
    _table(records, seed, cap)
    table = tabulate(make_groups([*base, *records], seed, cap))
    folds, held = leave_out(table, seed, fold_rounds)
    text = fit(table, seed, rounds).model_to_string()
    own = next(fold for fold in folds if fold.source == records[0].source)
    pairs, accuracy = own.accuracy["all"]
    return Updated(
        text=text,
        calibration=calibrate(held, hashlib.sha256(text.encode()).hexdigest()),
        notes=(
            f"Trained from the start: {rounds} trees, seed {seed}, the traces as one of "
            f"{len(folds)} sources",
            f"Pairs of the traces ({pairs:,}), trained on the other sources: {accuracy:.3f}",
        ),
    )


def save(made: Updated, folder: Path, origin: Sequence[str]) -> None:
    """Write model, calibration and card.

    Raises:
        ConfigurationError: If the folder cannot be written.
    """
    card = "\n".join(
        ["# lite, retrained on traces", "", *(f"- {x}" for x in [*origin, *made.notes])]
    )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in (
            (MODEL_FILE, made.text),
            (CALIBRATION_FILE, made.calibration.model_dump_json(indent=1) + "\n"),
            ("MODEL_CARD.md", card + "\n"),
        ):
            (folder / name).write_text(text, encoding="utf-8", newline="\n")
    except OSError as exc:
        raise ConfigurationError(f"cannot write {str(folder)!r}: {exc.strerror}") from exc


def fit_map(probabilities: Floats, right: NDArray[np.bool_], weight: Floats) -> tuple[float, float]:
    """Return (shift, stretch) of the log-odds that fit the labels best, drawn towards (0, 1).

    Platt's scaling on the log-odds of a map that exists, with a Gaussian prior on the shift and on
    the logarithm of the stretch, so that a few labels change little and the map always rises.

    Args:
        probabilities: (n,) of the map as it is.
        right: (n,) labels.
        weight: (n,) how much each counts.
    """
    z = _logit(probabilities)
    shift, log_stretch = 0.0, 0.0
    for _ in range(50):  # Fisher scoring; two parameters, so it converges in a few steps
        stretch = np.exp(log_stretch)
        p = 1.0 / (1.0 + np.exp(-(shift + stretch * z)))
        slope = np.stack([np.ones_like(z), stretch * z])
        gradient = slope @ (weight * (p - right))
        curve = (slope * (weight * p * (1.0 - p))) @ slope.T
        gradient += np.array([shift / _PRIOR[0] ** 2, log_stretch / _PRIOR[1] ** 2])
        curve += np.diag([1.0 / _PRIOR[0] ** 2, 1.0 / _PRIOR[1] ** 2])
        step = np.clip(np.linalg.solve(curve, gradient), -1.0, 1.0)
        shift, log_stretch = shift - float(step[0]), log_stretch - float(step[1])
        if np.abs(step).max() < 1e-9:
            break
    return shift, float(np.exp(log_stretch))


def mapped(probabilities: Floats, shift: float, stretch: float) -> Floats:
    """Return probabilities with their log-odds stretched and shifted; never certain."""
    moved = 1.0 / (1.0 + np.exp(-(shift + stretch * _logit(probabilities))))
    return np.clip(moved, 0.002, 0.998)


def _cross_fitted(
    start: lightgbm.Booster, groups: Sequence[Group], table: Table, seed: int
) -> tuple[Sets, Floats, Floats]:
    """Return sets, the rewards of their members at the start, and after training on others.

    Members of one conversation are rewarded by a model that saw none of it. With fewer than `FOLDS`
    conversations there is nothing to hold out, and the rewards are those of the start.
    """
    sets = make_sets(table, seed)
    keys, number = np.unique([group.key for group in groups], return_inverse=True)
    before = rewards(start, table, sets)
    after = before.copy()
    if len(keys) < FOLDS:
        return sets, before, after
    fold = (np.random.default_rng(seed).permutation(len(keys)) % FOLDS)[number]
    for out in range(FOLDS):
        grown = _grown(table.select(fold != out), seed, start)
        members = fold[table.group[sets.row]] == out
        after[members] = rewards(grown, table, sets)[members]
    return sets, before, after


def _grown(table: Table, seed: int, start: lightgbm.Booster) -> lightgbm.Booster:
    return fit(table, seed, MORE, start=start, settings=SMALL)


def _table(records: Sequence[LabelledRecord], seed: int, cap: int) -> tuple[list[Group], Table]:
    groups = make_groups(records, seed, cap)
    groups = [group for group in groups if len(set(group.right)) == 2]
    if not groups:
        raise ConfigurationError(
            f"{len(records)} decisions of the traces hold no right beside a wrong candidate; "
            "harvest with --shape pointwise, from a store with several candidates a turn"
        )
    return groups, tabulate(groups)


def _logit(probabilities: Floats) -> Floats:
    p = np.clip(probabilities, 1e-4, 1.0 - 1e-4)
    return np.asarray(np.log(p / (1.0 - p)), dtype=np.float64)


def _digest(path: Path) -> str:
    return f"Traces: `{path.name}`, sha256 `{hashlib.sha256(path.read_bytes()).hexdigest()}`"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "--traces", type=Path, nargs="+", required=True, metavar="FILE",
        help="harvested in the pointwise shape",
    )  # fmt: skip
    parser.add_argument("--out", type=Path, required=True, help="folder of the new model")
    parser.add_argument("--data", type=Path, help="folder of the packs `lite` was trained on")
    parser.add_argument("--base", type=Path, help="model to go on from (default: the shipped one)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--cap", type=int, default=450, help="groups of edits a source")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="trees, with --data")
    parser.add_argument("--fold-rounds", type=int, default=ROUNDS, help="trees a fold, with --data")
    return parser


if __name__ == "__main__":
    sys.exit(main())
