r"""Does a judge rank the right answer above the wrong one? TRBench-style pairs.

    python -m bench.trbench --pairs FILE --records FILE --scorer all --json OUT
    python -m bench.trbench --pairs FILE --records FILE --scorer logprob --limit 300
    python -m bench.trbench --release trbench_test_think.parquet --scorer gen --think \
        --endpoint http://localhost:8000 --model ToolRM-Gen-Qwen3-4B-Thinking-2507 \
        --max-tokens 32768 --timeout 900
    python -m bench.trbench build ...   (makes the pairs: see bench.trbench_build)

`disc` and the other raters give both sides a reward in an order that says nothing; the right one
must get strictly more, a tie is wrong. `gen` is asked in both orders, and must be right in both.
`--release` takes the official file, which asks with its own prompts and conversations.

The JSON: `bench` "trbench", `run` (bench.runs), `sampled` {pairs, of, seed} or null, and `reports`,
one for each scorer:

- `scorer`, `pairs`, `weighted` (over all pairs; what could not be judged is not right; null if
  nothing was), `average` (mean of the splits), `ci95` (bootstrap over prompts), `ms_per_pair`
- `splits`, `by_error` {name: {pairs, accuracy}}, `values_only` {pairs, accuracy}
- `judged`, `weighted_judged` (over judged pairs alone), `unjudged` {reason: pairs}, `ties`,
  `unparsed` (answers without a choice), `notes` (sentences to be shown with the numbers)
- `extra`: `same_place_twice` for rankers: the share of pairs in which the order decided

With one scorer, the keys of its report stand at the top as well.
"""

import argparse
import importlib
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from bench import runs
from bench.endpoints import key_from
from bench.judges.attempts import console
from bench.judges.judging import judge_pairs, report_of
from bench.judges.kinds import JUDGES, LOCAL, make_judge
from bench.judges.protocol import Judge, JudgeSettings
from bench.metrics import Report, markdown_table
from bench.pairs import Case, load_pairs
from bench.pools import sample_of
from bench.release import read_release
from toolrm_guard.errors import GuardError


def main(argv: Sequence[str] | None = None) -> None:
    """Run from the command line."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if arguments[:1] == ["build"]:
        _build(arguments[1:])
        return
    parser = _parser()
    args = parser.parse_args(arguments)
    if bool(args.release) == bool(args.pairs) or bool(args.pairs) != bool(args.records):
        parser.error("give --pairs with --records, or --release alone")
    names = list(LOCAL) if args.scorer == "all" else args.scorer.split(",")
    try:
        judges = [make_judge(name, _settings(args)) for name in names]
        found = _cases(args)
        cases = sample_of(found, args.limit, args.seed)
        reports = [evaluate(cases, judge, args.timeout) for judge in judges]
    except (GuardError, OSError) as exc:
        sys.exit(f"bench.trbench: {exc}")
    if len(cases) < len(found):
        print(f"A sample: {len(cases)} of {len(found)} pairs, seed {args.seed}.\n")
    print(markdown_table(reports))
    if args.json:
        _write(args, reports, len(found))


def evaluate(cases: Sequence[Case], judge: Judge, timeout_s: float = 120.0) -> Report:
    """Return a judge's report.

    Raises:
        ConfigurationError: If the set-up is wrong; what merely cannot be judged is reported.
    """
    if judge.parallel > 1:
        calls = len(cases) * 2
        console.print(f"{judge.name}: {calls:,} requests or inputs for {len(cases):,} pairs")
    return report_of(cases, judge, judge_pairs(cases, judge, timeout_s))


def _cases(args: argparse.Namespace) -> list[Case]:
    splits = args.splits.split(",") if args.splits else None
    if args.release:
        return read_release(args.release, splits)
    return load_pairs(args.pairs, args.records, splits)


def _settings(args: argparse.Namespace) -> JudgeSettings:
    return JudgeSettings(
        model=args.model,
        url=args.endpoint,
        key=key_from(args.key_env),
        timeout_s=args.timeout,
        max_tokens=args.max_tokens,
        think=args.think,
        parallel=args.parallel,
        seed=args.seed,
        extra=args.body,
    )


def _write(args: argparse.Namespace, reports: Sequence[Report], pairs: int) -> None:
    inputs = [args.release] if args.release else [args.pairs, args.records]
    judged = reports[0].pairs
    sampled = {"pairs": judged, "of": pairs, "seed": args.seed} if judged < pairs else None
    found = [report.as_json() for report in reports]
    payload: dict[str, object] = {
        "bench": "trbench",
        "run": runs.describe(inputs, args.seed),
        "sampled": sampled,
        **(found[0] if len(found) == 1 else {}),
        "reports": found,
    }
    runs.write(args.json, payload)


def _build(arguments: Sequence[str]) -> None:
    try:
        trbench_build = importlib.import_module("bench.trbench_build")
    except ModuleNotFoundError as exc:
        sys.exit(f"bench.trbench build needs {exc.name}: pip install 'toolrm-guard[bench]'")
    trbench_build.main(arguments)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description="Judge pairs of a right and a wrong answer.",
        epilog="`bench.trbench build --help`: make the pairs.",
    )
    parser.add_argument("--pairs", type=Path, help="pair file, with --records")
    parser.add_argument("--records", type=Path, help="the records the pairs were made from")
    parser.add_argument("--release", type=Path, help="the official parquet file, in their place")
    parser.add_argument(
        "--scorer",
        default="all",
        help=f"names separated by commas, of {', '.join(JUDGES)}; `all` is {', '.join(LOCAL)}",
    )
    parser.add_argument("--splits", help="only these, separated by commas; default: all, complete")
    parser.add_argument("--limit", type=int, help="judge a random sample of so many pairs")
    parser.add_argument("--model", help="lite: a folder; disc and gen: the name the server knows")
    parser.add_argument("--endpoint", metavar="URL", help="server of disc or gen")
    parser.add_argument("--key-env", metavar="NAME", help="environment variable with its API key")
    parser.add_argument("--think", action="store_true", help="gen: ask to think before answering")
    parser.add_argument("--max-tokens", type=int, default=4096, help="gen: of one answer")
    parser.add_argument(
        "--body",
        type=json.loads,
        default={},
        metavar="JSON",
        help='gen: further fields, e.g. {"chat_template_kwargs": {"enable_thinking": false}}',
    )
    parser.add_argument("--parallel", type=int, default=16, help="pairs in flight at a server")
    parser.add_argument("--timeout", type=float, default=120.0, help="seconds for one pair")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, metavar="OUT", help="write the reports here, too")
    return parser


if __name__ == "__main__":
    main()
