r"""Which dimension of BMDS helps: `lite` trained on equal numbers of pairs, drawn in five ways.

    python -m training.ablate_balance --build runs/toolpref \\
        --pairs ../shared/data/dev/trbench_dev_pairs.jsonl.gz \\
        --records ../shared/data/dev/bfcl_dev.jsonl.gz

Draws from the stages of a finished build at random, by BMDS, and by BMDS without each of its
dimensions, trains one model a draw and seed, and prints the accuracy on the development pairs with
95% intervals over prompts, and the difference to random sampling, paired. `lite` sees features of
one pair at a time; every source weighs what its pairs do. `min_natural_share` is 0 in every arm,
whatever the build's own was: a share that is held up by itself would be a sixth dimension.
"""

import argparse
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from toolrm_guard.calls import Call, Candidate
from toolrm_guard.labelled import read_pairs, read_records
from toolrm_guard.messages import parse_messages
from toolrm_guard.scorers.base import ScoreRequest
from toolrm_guard.tools import ToolSet
from training.lite_data import Group
from training.preferences.balance import balance, columns_of, tie_break
from training.preferences.codec import context_from_json
from training.preferences.config import BalanceConfig
from training.preferences.pairs import Link
from training.preferences.rows import Context, Response
from training.preferences.schemas import toolset
from training.preferences.shards import read_rows, rows_of
from training.ranker import Ints, Sets, Table, fit, rewards
from training.reward_maps import interval
from training.train_lite import tabulate

ARMS: Mapping[str, Mapping[str, bool]] = {
    "random": {"by_source": False, "by_intensity": False, "by_complexity": False},
    "BMDS": {},
    "BMDS without source": {"by_source": False},
    "BMDS without intensity": {"by_intensity": False},
    "BMDS without complexity": {"by_complexity": False},
}
ROUNDS = 150
"""Trees; fewer than the shipped model's, since there is less data."""

console = Console(stderr=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Arm:
    """One way to draw, with its result.

    Attributes:
        wins: (seeds, dev pairs) which pairs were ranked right.
        natural: Share of drawn pairs whose rejected side a model wrote.
        complexity: Mean complexity of the drawn pairs.
    """

    name: str
    wins: NDArray[np.bool_]
    natural: float
    complexity: float


def main(argv: Sequence[str] | None = None) -> None:
    """Run from the command line."""
    args = _parser().parse_args(argv)
    started = time.monotonic()
    links = [Link.from_json(row) for row in rows_of(_shards(args.build, "pairs"))]
    draws = {
        (name, seed): _draw(links, args.size, settings, seed)
        for name, settings in ARMS.items()
        for seed in range(args.seeds)
    }
    used = np.unique(np.concatenate(list(draws.values())))
    console.print(f"{len(links):,} pairs, {len(used):,} of them drawn by any arm")
    table = _uniform(tabulate(_groups(args.build, set(used.tolist()))))
    dev, prompts = _dev(args.pairs, args.records)
    arms = []
    for name in ARMS:
        wins = []
        for seed in range(args.seeds):
            chosen = np.isin(used, draws[name, seed])
            wins.append(_wins(table.select(chosen), dev, seed, args.rounds))
        taken = [links[i] for seed in range(args.seeds) for i in draws[name, seed].tolist()]
        arms.append(
            Arm(
                name=name,
                wins=np.stack(wins),
                natural=float(np.mean([link.natural for link in taken])),
                complexity=float(np.mean([link.complexity for link in taken])),
            )
        )
        console.print(f"{name}: {np.mean(wins):.3f}")
    print(report(arms, prompts))
    console.print(f"{time.monotonic() - started:.0f} s")
    if args.json:
        found = {arm.name: arm.wins.mean(axis=1).tolist() for arm in arms}
        args.json.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


def report(arms: Sequence[Arm], prompts: Sequence[str]) -> str:
    """Return the table; intervals draw prompts, and average over the seeds inside each draw."""
    lines = [
        "| sampling | accuracy | 95% interval | seeds | minus random | 95% interval | natural "
        "| complexity |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    base = arms[0].wins.mean(axis=0)
    for arm in arms:
        mean = arm.wins.mean(axis=0)
        low, high = interval(mean, prompts)
        less, more = interval(mean - base, prompts)
        seeds = ", ".join(f"{value:.3f}" for value in arm.wins.mean(axis=1))
        lines.append(
            f"| {arm.name} | {mean.mean():.3f} | {low:.3f} to {high:.3f} | {seeds} "
            f"| {(mean - base).mean():+.3f} | {less:+.3f} to {more:+.3f} | {arm.natural:.2f} "
            f"| {arm.complexity:.1f} |"
        )
    return "\n".join(lines)


# --- draws and features -------------------------------------------------------------------------


def _draw(links: Sequence[Link], size: int, settings: Mapping[str, bool], seed: int) -> Ints:
    config = BalanceConfig(target=size, **settings)
    rows = (
        (x.source, x.intensity, x.complexity, x.natural, tie_break(x.id, seed), x.content)
        for x in links
    )
    return balance(columns_of(rows, config.bins), config).rows


def _groups(build: Path, used: set[int]) -> list[Group]:
    """Return one group of two per pair that any arm drew, in the order of the pairs."""
    rows = (
        (origin, Link.from_json(row))
        for key, origin, row in read_rows(_shards(build, "pairs"))
        if key in used
    )
    wanted = groupby(rows, key=lambda row: row[0])
    groups: list[Group] = []
    following = next(wanted, None)
    for key, _, text in read_rows(_shards(build, "score")):
        if following is not None and following[0] == key:
            context = context_from_json(text)
            groups += [_group(context, link) for _, link in following[1]]
            following = next(wanted, None)
    return groups


def _group(context: Context, link: Link) -> Group:
    sides = context.responses[link.chosen], context.responses[link.rejected]
    request = ScoreRequest(
        messages=parse_messages(context.messages),
        tools=toolset(context.tools),
        candidates=tuple(_candidate(side) for side in sides),
    )
    return Group(
        source=context.source,
        key=context.group,
        kind="pair",
        request=request,
        right=(True, False),
        errors=(None, sides[1].error),
    )


def _candidate(response: Response) -> Candidate:
    calls = tuple(Call(name=raw["name"], arguments=raw["arguments"]) for raw in response.calls)
    return Candidate(text=response.text, calls=calls)


def _dev(pairs: Path, records: Path) -> tuple[Table, list[str]]:
    """Return the development pairs as a table of two rows a pair, and their prompts."""
    by_id = {record.id: record for record in read_records(records)}
    tools: dict[str, ToolSet] = {}
    groups, prompts = [], []
    for pair in read_pairs(pairs):
        record = by_id[pair.prompt_id]
        request = ScoreRequest(
            messages=record.parsed_messages(),
            tools=tools.setdefault(record.id, record.toolset()),
            candidates=(pair.chosen.candidate(), pair.rejected.candidate()),
        )
        groups.append(
            Group(source="dev", key=pair.prompt_id, kind="pair", request=request,
                  right=(True, False), errors=(None, pair.rejected_error_type))
        )  # fmt: skip
        prompts.append(pair.prompt_id)
    return tabulate(groups), prompts


def _uniform(table: Table) -> Table:
    """Return the table as of one source: the trainer's own weights would undo an arm's balance."""
    return replace(table, source=np.full(len(table.source), "all"))


def _wins(train: Table, dev: Table, seed: int, rounds: int) -> NDArray[np.bool_]:
    scores = rewards(fit(train, seed, rounds), dev, _sets_of_two(dev))
    return np.asarray(scores[0::2] > scores[1::2])


def _sets_of_two(table: Table) -> Sets:
    rows = np.arange(len(table.right))
    right = rows[0::2]
    if not np.array_equal(table.group, rows // 2):
        raise ValueError("every development pair must have two different sides")
    return Sets(
        row=rows, number=rows // 2, right=right, wrong=right + 1, weight=np.ones(len(right)),
        size=np.full(len(rows), 2),
    )  # fmt: skip


def _shards(build: Path, stage: str) -> list[Path]:
    found = sorted((build / "stages").glob(f"*-{stage}/part-*.parquet"))
    if not found:
        raise SystemExit(f"{build} holds no stage {stage!r}; run the build first")
    return found


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", type=Path, required=True, help="folder of a finished build")
    parser.add_argument("--pairs", type=Path, required=True, help="development pairs")
    parser.add_argument("--records", type=Path, required=True, help="records they refer to")
    parser.add_argument("--size", type=int, default=4000, help="pairs a draw")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--json", type=Path, help="write the accuracies here, too")
    return parser


if __name__ == "__main__":
    main()
