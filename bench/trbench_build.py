"""Build TRBench from what real models answered: result folders in, pairs and records out.

    python -m bench.trbench_build --results RUN [RUN ...] --out FOLDER
    python -m bench.trbench_build --records FILE [FILE ...] --out FOLDER

A run is a BFCL result folder of any generation; its outputs are decoded, judged by our checker (or,
for multi_turn_base, by executing the tools of the installed `bfcl-eval`) and written as records.
Records in the labelled format are taken as they are. Out come `records.jsonl.gz`, `pairs.jsonl.gz`
(for `python -m bench.trbench`) and `report.json` with the counts. The same inputs, options and seed
give the same bytes.
"""

import argparse
import dataclasses
import gzip
import json
import sys
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel

from bench import runs
from bench.bfcl.pair_selection import Pool, Selector, pool_of
from bench.bfcl.pools import Tally, find_sources, single_turn_records
from bench.bfcl.trajectories import multi_turn_records
from bench.bfcl.worlds import Backend
from bench.metrics import error_head
from toolrm_guard.bfcl.categories import SPLITS
from toolrm_guard.bfcl.prompts import prompt_folder
from toolrm_guard.errors import ConfigurationError
from toolrm_guard.labelled import LabelledPair, LabelledRecord, read_records

PAIRS, RECORDS, REPORT = "pairs.jsonl.gz", "records.jsonl.gz", "report.json"
SHOWN_PROBLEMS = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Built:
    """A benchmark with what it was made of.

    Attributes:
        report: The counts, as written to `report.json`.
    """

    records: tuple[LabelledRecord, ...]
    pairs: tuple[LabelledPair, ...]
    report: Mapping[str, object]


def main(argv: Sequence[str] | None = None) -> None:
    """Run from the command line."""
    args = parser().parse_args(argv)
    tally = Tally()
    try:
        if args.results:
            records = read_results(args.results, args.prompts, tally, trust_ids=args.trust_ids)
        else:
            records = read_labelled(args.records, tally)
        if args.strict and tally.problems:
            first = tally.problems[0]
            raise ConfigurationError(
                f"{first.where}: {first.reason}: {first.detail} (and {len(tally.problems) - 1} "
                "more problems); correct the input, or leave --strict out"
            )
        selector = Selector(
            cap=args.cap, per_split=args.per_split, per_model=args.per_model, seed=args.seed
        )
        built = build(records, selector, tally)
        inputs = [Path(path) for path in args.results or args.records]
        write(args.out, built, runs.describe(inputs, args.seed))
    except (ValueError, OSError) as exc:
        _print_unused(tally, "give --strict to stop at the first")
        sys.exit(f"bench.trbench_build: {exc}")
    _print(built, args.out)
    _print_unused(tally, f"see {args.out / REPORT}")


def read_results(
    results: Sequence[Path],
    prompts: Sequence[Path],
    tally: Tally,
    *,
    trust_ids: bool = False,
    backend: Backend | None = None,
) -> list[LabelledRecord]:
    """Return the labelled records of result folders.

    Args:
        results: Folders that hold a folder `result`.
        prompts: Folders of BFCL prompts, those to judge by first; none takes the installed ones.
        tally: Where what was read is counted.
        trust_ids: Take outputs of another generation whose prompts are not at hand.
        backend: The multi-turn tools; None takes those of the installed `bfcl-eval`.

    Raises:
        ConfigurationError: If results or prompts are not there, or a category is unknown.
    """
    sources = find_sources(results, tally)
    folders = [prompt_folder(folder) for folder in prompts] or [prompt_folder(None)]
    return [
        *single_turn_records(sources, folders, tally, trust_ids=trust_ids),
        *multi_turn_records(sources, folders[0], tally, backend=backend, trust_ids=trust_ids),
    ]


def read_labelled(paths: Sequence[Path], tally: Tally) -> list[LabelledRecord]:
    """Return the records of labelled files.

    Raises:
        ConfigurationError: If a file is bad, an id stands in two files, or a split is none of ours.
    """
    records: dict[str, LabelledRecord] = {}
    for path in paths:
        for record in read_records(path):
            if record.id in records:
                raise ConfigurationError(
                    f"{path}: id {record.id!r} stands in another file already; ids are unique"
                )
            if record.split not in SPLITS:
                raise ConfigurationError(
                    f"{path}: record {record.id!r} is of split {record.split!r}; TRBench has "
                    f"{', '.join(SPLITS)}"
                )
            records[record.id] = record
    for record in records.values():
        tally.counts["outputs"] += len(record.candidates)
        tally.counts["undecodable"] += sum(c.tool_calls is None for c in record.candidates)
    return list(records.values())


def build(records: Sequence[LabelledRecord], selector: Selector, tally: Tally) -> Built:
    """Return the benchmark.

    Raises:
        ConfigurationError: If no prompt has both a right and a wrong answer.
    """
    order = {split: number for number, split in enumerate(SPLITS)}
    ranked = sorted(records, key=lambda record: order[record.split])
    conflicts: Counter[str] = Counter()
    pools = [pool_of(record, conflicts) for record in ranked]
    pairs = selector.select(pools)
    if not pairs:
        raise ConfigurationError(
            f"no pair from {len(records)} prompts with {tally.counts['outputs']} outputs: none has "
            "both a right and a wrong answer; give the results of more models"
        )
    tally.counts["conflicting_labels"] = conflicts.total()
    kept = Counter(pair.split for pair in pairs)
    for split in SPLITS:
        if not kept[split]:
            tally.left_out.setdefault(split, _why_empty(split, pools))
    return Built(
        # A split without pairs must not look like one whose pairs were lost.
        records=tuple(record for record in ranked if kept[record.split]),
        pairs=tuple(pairs),
        report=_report(pools, pairs, selector, tally),
    )


def _why_empty(split: str, pools: Sequence[Pool]) -> str:
    mine = [pool for pool in pools if pool.split == split]
    if not mine:
        return "the input holds no output of it"
    right = sum(bool(pool.right) for pool in mine)
    wrong = sum(bool(pool.wrong) for pool in mine)
    return f"{len(mine)} prompts, {right} with a right and {wrong} with a wrong answer, none both"


def _report(
    pools: Sequence[Pool], pairs: Sequence[LabelledPair], selector: Selector, tally: Tally
) -> dict[str, object]:
    return {
        "options": dataclasses.asdict(selector),
        "read": dict(sorted(tally.counts.items())),
        "prompts": {
            "read": len(pools),
            "with_pairs": len({pair.prompt_id for pair in pairs}),
            "without_right": sum(not pool.right for pool in pools),
            "without_wrong": sum(not pool.wrong for pool in pools),
        },
        "pairs": len(pairs),
        "by_split": _counts((pair.split for pair in pairs), by_size=False),
        "by_error": _counts(error_head(pair.rejected_error_type) for pair in pairs),
        "rejected_no_call": sum(not pair.rejected.tool_calls for pair in pairs),
        "chosen_models": _counts(pair.chosen.model for pair in pairs),
        "rejected_models": _counts(pair.rejected.model for pair in pairs),
        "left_out": dict(tally.left_out),
        "problems": [
            {"where": p.where, "reason": p.reason, "detail": p.detail} for p in tally.problems
        ],
    }


def _counts(names: Iterable[str], *, by_size: bool = True) -> dict[str, int]:
    found = Counter(names)
    if by_size:
        return dict(sorted(found.items(), key=lambda item: (-item[1], item[0])))
    return {split: found[split] for split in SPLITS if found[split]}


def write(folder: Path, built: Built, run: Mapping[str, object]) -> None:
    """Write records, pairs and report.

    Raises:
        OSError: If the folder cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    _write_rows(folder / RECORDS, built.records)
    _write_rows(folder / PAIRS, built.pairs)
    runs.write(folder / REPORT, {"bench": "trbench_build", "run": run, **built.report})


def _write_rows(path: Path, rows: Sequence[BaseModel]) -> None:
    lines = [
        json.dumps(row.model_dump(mode="json", exclude_unset=True), ensure_ascii=False)
        for row in rows
    ]
    # Neither a time nor a name goes into the file, so that the same rows are the same bytes.
    data = gzip.compress(("\n".join(lines) + "\n").encode("utf-8", "backslashreplace"), mtime=0)
    unfinished = path.with_name(f"{path.name}.part")
    unfinished.write_bytes(data)
    unfinished.replace(path)


def _print(built: Built, out: Path) -> None:
    report = built.report
    print(f"{report['pairs']} pairs and {len(built.records)} records in {out}")
    for name in ("read", "prompts", "by_split", "by_error", "chosen_models", "rejected_models"):
        counts = report[name]
        shown = list(counts.items()) if isinstance(counts, dict) else []
        more = f", and {len(shown) - 12} more" if len(shown) > 12 else ""
        print(f"{name}: {', '.join(f'{key} {count}' for key, count in shown[:12])}{more}")


def _print_unused(tally: Tally, more: str) -> None:
    for split, reason in tally.left_out.items():
        print(f"left out: {split}: {reason}")
    for problem in tally.problems[:SHOWN_PROBLEMS]:
        print(f"not used: {problem.where}: {problem.reason}: {problem.detail}", file=sys.stderr)
    if len(tally.problems) > SHOWN_PROBLEMS:
        print(f"not used: {len(tally.problems) - SHOWN_PROBLEMS} more; {more}", file=sys.stderr)


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{number} is no count; give 1 or more")
    return number


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    found = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    source = found.add_mutually_exclusive_group(required=True)
    source.add_argument("--results", type=Path, nargs="+", help="BFCL runs, any generation")
    source.add_argument("--records", type=Path, nargs="+", help="labelled records instead")
    found.add_argument("--out", type=Path, required=True, help="folder for the three files")
    found.add_argument(
        "--prompts", type=Path, nargs="+", default=[],
        help="folders of BFCL prompts, those to judge by first; default: the installed bfcl-eval",
    )  # fmt: skip
    found.add_argument(
        "--trust-ids", action="store_true",
        help="take outputs of another generation without comparing its prompts",
    )  # fmt: skip
    found.add_argument("--cap", type=_positive, default=4, help="pairs of one prompt (default 4)")
    found.add_argument("--per-split", type=_positive, help="pairs of one split (default: all)")
    found.add_argument(
        "--per-model", type=_positive, default=50,
        help="pairs of one split that reject one model's answers (default 50)",
    )  # fmt: skip
    found.add_argument("--seed", type=int, default=0)
    found.add_argument("--strict", action="store_true", help="stop at the first bad line")
    return found


if __name__ == "__main__":
    main()
