"""Train `lite` and write it as package data.

    python -m training.train_lite --data ../shared/data/train --out toolrm_guard/models/lite
    python -m training.train_lite --data ../shared/data/train --search

Reads labelled packs, makes candidate groups (real outputs and edits of references), extracts the
features that serving uses, checks each source with a model that never saw it, fits the final model
on everything, and writes model.txt, calibration.json and MODEL_CARD.md. The same data and
seed give the same files, bit by bit, in any process. `--search` tries hyper-parameters instead and
writes nothing; `--ablate` also leaves out each group of features, for the card.
"""

import argparse
import hashlib
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import track

from toolrm_guard.findings import Finder
from toolrm_guard.scorers.agreement import Agreement, evidence
from toolrm_guard.scorers.features import INPUTS, extract
from toolrm_guard.scorers.lite import CALIBRATION_FILE, MODEL_FILE, Calibration
from toolrm_guard.scorers.reward_map import RewardMap
from training.feature_costs import measure
from training.lite_card import Fold, dev_table, model_card
from training.lite_data import Group, make_groups, read_packs
from training.lite_search import ablate, search, source_folds
from training.pool_weights import Pools, fit_agreement, shift_of, slope_of
from training.ranker import (
    ROUNDS,
    Floats,
    Sets,
    Table,
    balanced,
    equally_long,
    fit,
    make_sets,
    pair_accuracy,
    pool_sets,
    rewards,
)
from training.reward_maps import reward_map

FOLDS = 5
"""Parts that the sources are left out in."""

console = Console(stderr=True)


@dataclass(frozen=True, slots=True)
class Held:
    """A left-out source: its sets and pools, and what a model that never saw it says of them."""

    table: Table
    sets: Sets
    scores: Floats
    pools: Sets
    pool_scores: Floats


def main(argv: Sequence[str] | None = None) -> None:
    """Train from the command line."""
    parser = _parser()
    args = parser.parse_args(argv)
    if args.out is None and not args.search:
        parser.error("--out is needed: the folder that the model is written to")
    started = time.monotonic()
    with _step("reading packs and making groups"):
        groups = make_groups(read_packs(args.data), args.seed, args.cap)
    table = tabulate(groups)
    console.print(f"{len(groups):,} groups, {len(table.right):,} rows, {len(INPUTS)} inputs")
    if len(np.unique(table.source)) < 2:
        raise SystemExit("one source only: leave-one-source-out needs two or more packs")
    if args.search:
        print(search(table, args.seed, args.rounds))
        return
    costs = measure([group.request for group in groups[:: max(len(groups) // 400, 1)]])
    folds, held = leave_out(table, args.seed, args.rounds, args.folds)
    losses = ablate(table, args.seed) if args.ablate else {}
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
    card = model_card(argv, args, table, folds, calibration, costs, losses, dev)
    (args.out / "MODEL_CARD.md").write_text(card, encoding="utf-8", newline="\n")
    console.print(f"wrote {args.out} in {time.monotonic() - started:.0f} s")


def tabulate(groups: Sequence[Group]) -> Table:
    """Return the rows of all groups; candidates that repeat inside a group are one row."""
    features, right, index, errors, calls, agreement, copies = [], [], [], [], [], [], []
    for number, group in enumerate(track(groups, "extracting features", console=console)):
        candidates = group.request.candidates
        forms = [candidate.canonical for candidate in candidates]
        first = {form: i for i, form in reversed(list(enumerate(forms)))}
        kept = sorted(first.values())
        finder = Finder(group.request.messages, group.request.tools)
        features.append(extract(group.request, finder)[kept])
        shared = evidence(candidates) if group.pool else np.zeros(len(candidates))
        agreement.append(shared[kept])
        copies += [forms.count(forms[i]) for i in kept]
        right += [group.right[i] for i in kept]
        errors += [group.errors[i] or "" for i in kept]
        index += [number] * len(kept)
        calls += [len(candidates[i].calls) for i in kept]
    return Table(
        features=np.vstack(features),
        right=np.array(right, dtype=np.bool_),
        group=np.array(index, dtype=np.int64),
        source=np.array([group.source for group in groups]),
        errors=np.array(errors),
        kinds=np.array([group.kind for group in groups]),
        pool=np.array([group.pool for group in groups], dtype=np.bool_),
        agreement=np.concatenate(agreement),
        copies=np.array(copies, dtype=np.int64),
        calls=np.array(calls, dtype=np.int64),
    )


def leave_out(
    table: Table, seed: int, rounds: int, folds: int = FOLDS
) -> tuple[list[Fold], list[Held]]:
    """Return each source's accuracy with a model that never saw it, and the rewards it gave.

    The models have as many trees as the final one: rewards grow with the trees, and the map to
    probability is made from these.
    """
    found, held = [], []
    for fold in track(source_folds(table, folds), "leaving sources out", console=console):
        booster = fit(table.select(~np.isin(table.source, fold)), seed, rounds)
        for source in fold:
            test = table.select(table.source == source)
            sets, pools = make_sets(test, seed), pool_sets(test)
            scores = rewards(booster, test, sets)
            of_pools = rewards(booster, test, pools) if len(pools.row) else np.zeros(0)
            held.append(Held(test, sets, scores, pools, of_pools))
            accuracy = pair_accuracy(test, sets, scores)
            found.append(Fold(source=source, groups=len(test.source), accuracy=accuracy))
    return sorted(found, key=lambda fold: fold.source), held


def calibrate(held: Sequence[Held], digest: str) -> Calibration:
    """Return the map from reward to probability, the thresholds, and the weights of agreement.

    All from rewards of held-out sources. Right and wrong candidates weigh the same in all: the
    probability is that of a candidate which is right as often as not.
    """
    scores = np.concatenate([part.scores for part in held])
    right = np.concatenate([part.table.right[part.sets.row] for part in held])
    text = np.concatenate([part.table.text[part.sets.row] for part in held])
    weight = np.concatenate([balanced(part.table, part.sets) for part in held])
    fields = reward_map(
        scores, right, text, weight, "the single candidates of sources left out of training"
    )
    known = RewardMap.model_validate(fields)
    return Calibration(
        model_sha256=digest,
        features=INPUTS,
        agreement=weigh_agreement(held, known),
        **known.model_dump(),
    )


def weigh_agreement(held: Sequence[Held], known: RewardMap) -> Agreement:
    """Return the weights of agreement, from the held-out sources that have pools."""
    slopes = [
        slope_of(part.scores[part.sets.right], part.scores[part.sets.wrong], part.sets.weight)
        for part in held
    ]
    parts = [part for part in held if len(part.pools.row)]
    if not parts:
        return Agreement()
    alone = [
        shift_of(part.scores[one], part.table.right[part.sets.row[one]], np.ones(one.sum()), known)
        for part in parts
        for one in [part.sets.size == 1]
    ]
    sizes = np.cumsum([0, *(part.pools.number.max() + 1 for part in parts)])
    pools = Pools(
        scores=np.concatenate([part.pool_scores for part in parts]),
        agreement=np.concatenate([part.table.agreement[part.pools.row] for part in parts]),
        right=np.concatenate([part.table.right[part.pools.row] for part in parts]),
        copies=np.concatenate([part.table.copies[part.pools.row] for part in parts]),
        number=np.concatenate(
            [part.pools.number + first for part, first in zip(parts, sizes[:-1], strict=True)]
        ),
        even=np.concatenate(
            [equally_long(part.table.calls[part.pools.row], part.pools.number) for part in parts]
        ),
    )
    weight = np.diff(sizes) / sizes[-1]
    return fit_agreement(pools, float(np.mean(slopes)), known, float(weight @ np.array(alone)))


@contextmanager
def _step(title: str) -> Iterator[None]:
    started = time.monotonic()
    with console.status(title):
        yield
    console.print(f"{title}: {time.monotonic() - started:.0f} s")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of labelled packs")
    parser.add_argument("--out", type=Path, help="folder of the model; not needed to --search")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="trees of every model")
    parser.add_argument("--folds", type=int, default=FOLDS, help="parts of the sources")
    parser.add_argument("--cap", type=int, default=700, help="groups of edits a source")
    parser.add_argument("--search", action="store_true", help="try hyper-parameters, then stop")
    parser.add_argument("--ablate", action="store_true", help="also leave out groups of features")
    parser.add_argument("--dev", type=Path, help="pairs for the table in the card")
    parser.add_argument("--dev-records", type=Path, help="records the pairs refer to")
    return parser


if __name__ == "__main__":
    main()
