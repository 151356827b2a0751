"""Does a scorer rank the right answer above the wrong one? TRBench-style pairs.

    python -m bench.trbench --pairs FILE --records FILE --scorer all --json OUT

A pair is scored as a review of two candidates in an order that says nothing. Ties are wrong.
"""

import argparse
import hashlib
import json
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import track

from bench.metrics import (
    Report,
    accuracy_by,
    bootstrap,
    error_head,
    markdown_table,
    pairwise_wins,
    slice_of,
)
from toolrm_guard.calls import Candidate
from toolrm_guard.findings import Finder
from toolrm_guard.labelled import LabelledFileError, LabelledPair, read_pairs, read_records
from toolrm_guard.messages import Message
from toolrm_guard.scorers.base import ScoreRequest
from toolrm_guard.scorers.lite import LiteModel
from toolrm_guard.tools import ToolSet

console = Console(stderr=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A pair ready to be scored.

    Attributes:
        request: Both sides as a review of two candidates.
        chosen: Index of the right one; no scorer sees it.
        pool: Canonical calls of the record's candidates, for the vote.
    """

    pair: LabelledPair
    request: ScoreRequest
    chosen: int
    pool: Counter[str]


Rewards = Callable[[Case], Sequence[float]]


def main(argv: Sequence[str] | None = None) -> None:
    """Run from the command line."""
    args = _parser().parse_args(argv)
    names = list(SCORERS) if args.scorer == "all" else args.scorer.split(",")
    unknown = [name for name in names if name not in SCORERS]
    if unknown:
        sys.exit(f"no scorer {', '.join(unknown)}; known: {', '.join(SCORERS)}, or `all`")
    try:
        cases = load_pairs(args.pairs, args.records)
        model = LiteModel.load(args.model) if "lite" in names else None
        reports = [evaluate(cases, name, model) for name in names]
    except (ValueError, RuntimeError) as exc:
        sys.exit(str(exc))
    print(markdown_table(reports))
    if args.json:
        found = [report.as_json() for report in reports]
        text = json.dumps(found[0] if len(found) == 1 else found, indent=1)
        args.json.write_text(text + "\n", encoding="utf-8")


def load_pairs(pairs_path: Path, records_path: Path) -> list[Case]:
    """Return the pairs with their contexts.

    Raises:
        LabelledFileError: If a file is bad or a pair refers to a prompt that is not there.
    """
    pairs = read_pairs(pairs_path)
    wanted = {pair.prompt_id for pair in pairs}
    records = {record.id: record for record in read_records(records_path) if record.id in wanted}
    missing = sorted(wanted - records.keys())
    if missing:
        raise LabelledFileError(
            f"{pairs_path}: {len(missing)} prompt ids are not in {records_path}, e.g. "
            f"{', '.join(missing[:3])}; give the record file the pairs were made from"
        )
    contexts: dict[str, tuple[tuple[Message, ...], ToolSet, Counter[str]]] = {}
    for key, record in records.items():
        readable = [c for c in record.candidates if c.tool_calls is not None]
        pool = Counter(c.candidate().canonical for c in readable)
        contexts[key] = record.parsed_messages(), record.toolset(), pool
    return [_case(pair, *contexts[pair.prompt_id]) for pair in pairs]


def _case(
    pair: LabelledPair, messages: tuple[Message, ...], tools: ToolSet, pool: Counter[str]
) -> Case:
    sides = [pair.chosen.candidate(), pair.rejected.candidate()]
    # A hash of the id decides the order, so that position tells nothing.
    chosen = hashlib.sha256(pair.id.encode()).digest()[0] % 2
    if chosen:
        sides.reverse()
    request = ScoreRequest(messages=messages, tools=tools, candidates=tuple(sides))
    return Case(pair=pair, request=request, chosen=chosen, pool=pool)


def evaluate(cases: Sequence[Case], name: str, model: LiteModel | None = None) -> Report:
    """Return a scorer's report.

    Raises:
        ValueError: If a reward is not finite.
    """
    rewards = SCORERS[name](model)
    chosen, rejected = np.zeros(len(cases)), np.zeros(len(cases))
    started = time.perf_counter()
    for index, case in enumerate(track(cases, f"{name:>8}", console=console, transient=True)):
        both = rewards(case)
        if len(both) != 2:
            raise ValueError(f"{name} gave {len(both)} rewards for pair {case.pair.id!r}, not 2")
        chosen[index], rejected[index] = both[case.chosen], both[1 - case.chosen]
    elapsed_ms = (time.perf_counter() - started) * 1e3
    try:
        wins = pairwise_wins(chosen, rejected)
    except ValueError as exc:
        raise ValueError(f"scorer {name}: {exc}") from exc
    pairs = [case.pair for case in cases]
    splits = accuracy_by(wins, [pair.split for pair in pairs])
    return Report(
        scorer=name,
        pairs=len(pairs),
        weighted=float(wins.mean()),
        average=sum(part.accuracy for part in splits.values()) / len(splits),
        splits=splits,
        by_error=accuracy_by(wins, [error_head(pair.rejected_error_type) for pair in pairs]),
        values_only=slice_of(wins[np.array([is_values_only(pair) for pair in pairs])]),
        ci95=bootstrap(wins, [pair.prompt_id for pair in pairs]),
        ms_per_pair=elapsed_ms / len(pairs),
    )


def is_values_only(pair: LabelledPair) -> bool:
    """Tell whether the sides call the same tools with the same argument names, and some differ."""
    sides = [
        sorted((call.name, *sorted(call.arguments)) for call in side.tool_calls or ())
        for side in (pair.chosen, pair.rejected)
    ]
    return sides[0] == sides[1] and bool(sides[0])


# --- scorers ------------------------------------------------------------------------------------


def _random(_: LiteModel | None) -> Rewards:
    rng = np.random.default_rng(0)
    return lambda case: rng.random(2).tolist()


def _longer(_: LiteModel | None) -> Rewards:
    return lambda case: [float(_length(candidate)) for candidate in case.request.candidates]


def _length(candidate: Candidate) -> int:
    return len(candidate.canonical) + len(candidate.text)


def _schema(_: LiteModel | None) -> Rewards:
    """A candidate whose calls all pass the schema checks gets 1; so does one without calls."""

    def rewards(case: Case) -> Iterator[float]:
        finder = Finder(case.request.messages, case.request.tools)
        for candidate in case.request.candidates:
            found = [f for call in candidate.calls for f in finder.check(call)]
            yield float(not any(f.severity == "error" for f in found))

    return lambda case: list(rewards(case))


def _vote(_: LiteModel | None) -> Rewards:
    """Share of the record's other candidates with the same calls; the candidate itself is out."""

    def rewards(case: Case) -> list[float]:
        others = max(sum(case.pool.values()) - 1, 1)
        return [(case.pool[c.canonical] - 1) / others for c in case.request.candidates]

    return rewards


def _lite(model: LiteModel | None) -> Rewards:
    loaded = model or LiteModel.load()
    return lambda case: [score.reward for score in loaded.score(case.request)]


SCORERS: Mapping[str, Callable[[LiteModel | None], Rewards]] = {
    "random": _random,
    "longer": _longer,
    "schema": _schema,
    "vote": _vote,
    "lite": _lite,
}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=Path, required=True)
    parser.add_argument("--records", type=Path, required=True)
    parser.add_argument("--scorer", default="all", help="names separated by commas, or `all`")
    parser.add_argument(
        "--model", type=Path, help="folder of a lite model; default: the shipped one"
    )
    parser.add_argument("--json", type=Path, help="write the report here, too")
    return parser


if __name__ == "__main__":
    main()
