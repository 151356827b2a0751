"""Best of N: is the candidate that a judge picks right, and how much of the gap does it close?

    python -m bench.best_of_n --records FILE --scorer lite --json OUT
    python -m bench.best_of_n --records FILE --scorer gen --scorer-endpoint URL --scorer-model NAME
    python -m bench.best_of_n --records FILE --endpoint URL --model POLICY --samples 16 \
        --save POOLS --scorer lite --json OUT

Offline, a record's labelled candidates are the pool, and N of them are drawn: `bench.pools` says
how. They come from many models, so a vote hears all of those models; samples of one model agree
more in their mistakes. Online, a model is sampled for the pool, and its answers are marked by the
record's accepted answers or its reference (`bench.answers.marking`).

The JSON: `bench` "best_of_n", `run`, `scorer_name`, `source` ("offline" or the model's name),
`prompts`, `left_out` (too few labelled candidates), `draws`, and lists of equal length over `n`:

- `random` (a uniform pick), `vote` (most frequent calls), `first` (the earliest), `scorer` and
  `oracle` (right if any is): shares of prompts; `scorer` is all null if it judged nothing
- `gap_closed`: (scorer - random) / (oracle - random), null where there is no gap; `vote_gap_closed`
- `minus_vote`: scorer - vote; its interval is paired, so that 0 outside of it is no chance
- `intervals`: {name: [[low, high], ...]}, 95% by bootstrap over prompts, for all of them
- `by_split`: {split: {prompts, and of these lists, over `n`, all but the intervals}}
- `strong`: only candidates of models that are right at least so often in the file; null for all
- `unjudged` {reason: prompts}: left out of every list above; `notes`; `ms_per_prompt`
"""

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench import runs
from bench.endpoints import key_from
from bench.judges.attempts import Attempts, ask_all
from bench.judges.kinds import JUDGES, make_judge
from bench.judges.protocol import Judge, JudgeSettings, Rater
from bench.pools import (
    Floats,
    Pool,
    drawn_vote,
    expected_first,
    expected_oracle,
    expected_random,
    load_pools,
    ranked,
    rated,
    sample_of,
)
from bench.sampling import SamplingSettings, sample_pools
from toolrm_guard.errors import ConfigurationError, GuardError

VOTE_DRAWS = 64
"""A vote costs nothing, so that it need not be as noisy as a judge's draws."""

NAMES = ("random", "vote", "first", "scorer", "oracle")
_ROUNDS = 1000

Lists = dict[str, list[float | None]]


def main(argv: Sequence[str] | None = None) -> None:
    """Run from the command line."""
    args = _parser().parse_args(argv)
    try:
        judge = make_judge(args.scorer, _settings(args))
        pools, left_out, source = _pools(args)
        found = {
            "strong": args.strong, **evaluate(pools, judge, _sizes(args), args.draws, args.seed)
        }  # fmt: skip
    except (GuardError, OSError) as exc:
        sys.exit(f"bench.best_of_n: {exc}")
    found = {"source": source, "left_out": left_out, **found}
    print(table(found))
    if args.json:
        run = runs.describe([args.records], args.seed)
        runs.write(args.json, {"bench": "best_of_n", "run": run, **found})


def evaluate(
    pools: Sequence[Pool],
    judge: Judge,
    sizes: Sequence[int],
    draws: int = 4,
    seed: int = 0,
    timeout_s: float = 600.0,
) -> dict[str, object]:
    """Return the lists of the JSON.

    Args:
        pools: Each with at least `max(sizes)` candidates.
        judge: A rater, or a ranker, which plays a knockout.
        sizes: The values of N.
        draws: Of a judge that compares; others are computed exactly.
        seed: Of the draws and the intervals.
        timeout_s: For all sets of one prompt.

    Raises:
        ConfigurationError: If the set-up is wrong.
    """

    async def picks(index: int) -> Floats:
        if isinstance(judge, Rater):
            return await rated(judge, pools[index], sizes, draws, seed)
        return await ranked(judge, pools[index], sizes, draws, seed)

    done = ask_all(len(pools), judge, picks, timeout_s)
    nothing = all(result is None for result in done.results)
    kept = [i for i, result in enumerate(done.results) if nothing or result is not None]
    rows = _rows([pools[i] for i in kept], sizes, seed)
    if not nothing:
        rows["scorer"] = np.array([done.results[i] for i in kept])
    splits = np.array([pools[i].split for i in kept])
    return {
        "scorer_name": judge.name,
        "prompts": len(kept),
        "draws": draws,
        "n": list(sizes),
        **_lists(rows, len(sizes)),
        "intervals": _intervals(rows, seed),
        "by_split": {
            str(name): {
                "prompts": int((splits == name).sum()),
                **_lists({key: row[splits == name] for key, row in rows.items()}, len(sizes)),
            }
            for name in np.unique(splits)
        },
        "unjudged": dict(done.failures),
        "notes": _notes(done, rows, nothing),
        "ms_per_prompt": done.seconds * 1e3 / len(pools),
    }


def _rows(pools: Sequence[Pool], sizes: Sequence[int], seed: int) -> dict[str, Floats]:
    """Return (prompts, sizes) for each way to pick that needs no judge."""
    return {
        "random": np.array([expected_random(pool.correct, sizes) for pool in pools]),
        "vote": np.array([drawn_vote(pool, sizes, VOTE_DRAWS, seed) for pool in pools]),
        "first": np.array([expected_first(pool.correct, sizes) for pool in pools]),
        "oracle": np.array([expected_oracle(pool.correct, sizes) for pool in pools]),
    }


def _lists(rows: Mapping[str, Floats], sizes: int) -> Lists:
    means = {name: row.mean(axis=0) for name, row in rows.items()}
    lists: Lists = {
        name: means[name].tolist() if name in means else [None] * sizes for name in NAMES
    }
    for key, name in (("gap_closed", "scorer"), ("vote_gap_closed", "vote")):
        lists[key] = [None] * sizes
        if name in means:
            closed = _gap_closed(means[name], means["random"], means["oracle"])
            lists[key] = [None if np.isnan(value) else float(value) for value in closed]
    known = "scorer" in means
    lists["minus_vote"] = (means["scorer"] - means["vote"]).tolist() if known else [None] * sizes
    return lists


def _gap_closed(picked: Floats, random: Floats, oracle: Floats) -> Floats:
    """Return the share of the gap that is closed; NaN where there is none (N = 1, for example)."""
    gap = oracle - random
    there = gap > 1e-9
    return np.where(there, (picked - random) / np.where(there, gap, 1.0), np.nan)


def _intervals(rows: Mapping[str, Floats], seed: int) -> dict[str, list[list[float | None]]]:
    """Return 95% intervals, drawing prompts with all they have, so that gaps are paired."""
    prompts = len(rows["random"])
    drawn = np.random.default_rng(seed).integers(prompts, size=(_ROUNDS, prompts))
    weights = np.stack([np.bincount(row, minlength=prompts) for row in drawn]) / prompts
    means = {name: weights @ row for name, row in rows.items()}  # (rounds, sizes)
    for key, name in (("gap_closed", "scorer"), ("vote_gap_closed", "vote")):
        if name in means:
            means[key] = _gap_closed(means[name], means["random"], means["oracle"])
    if "scorer" in means:
        means["minus_vote"] = means["scorer"] - means["vote"]
    return {name: _quantiles(row) for name, row in means.items()}


def _quantiles(row: NDArray[np.float64]) -> list[list[float | None]]:
    ends = []
    for column in row.T:
        known = column[~np.isnan(column)]
        low_high = np.quantile(known, (0.025, 0.975)).tolist() if len(known) else [None, None]
        ends.append(low_high)
    return ends


def _notes(done: Attempts[Floats], rows: Mapping[str, Floats], nothing: bool) -> list[str]:
    notes = done.notes("prompts")
    if nothing:
        notes.append("no prompt was judged, so there is no line for the scorer")
    elif done.failures:
        notes.append("prompts that could not be judged are left out of every line")
    if "scorer" in rows and np.allclose(rows["scorer"], rows["random"]):
        notes.append("picks like chance in every prompt: it gives all candidates the same reward")
    return notes


def table(found: Mapping[str, object]) -> str:
    """Return the means as a Markdown table, and the notes below it."""
    columns = ("n", *NAMES, "gap_closed", "vote_gap_closed", "minus_vote")
    values: list[list[float | None]] = [found[name] for name in columns]  # type: ignore[misc]  # lists, as documented
    head = f"{found['scorer_name']}: {found['prompts']} prompts, {found['left_out']} left out"
    lines = [head, "", "| " + " | ".join(columns) + " |", "|" + " --- |" * len(columns)]
    for n, *rest in zip(*values, strict=True):
        shares = ("-" if value is None else f"{value:.3f}" for value in rest)
        lines.append(f"| {n} | " + " | ".join(shares) + " |")
    notes: list[str] = found["notes"]  # type: ignore[assignment]  # a list, as documented
    return "\n".join([*lines, "", *(f"- {note}" for note in notes)]).rstrip()


def _pools(args: argparse.Namespace) -> tuple[list[Pool], int, str]:
    if not args.endpoint:
        pools, left_out = load_pools(args.records, args.max_n, args.strong)
        return sample_of(pools, args.limit, args.seed), left_out, "offline"
    if not args.model:
        raise ConfigurationError("--endpoint needs --model NAME, the policy it serves")
    settings = SamplingSettings(
        url=args.endpoint,
        model=args.model,
        key=key_from(args.key_env),
        samples=max(args.samples, args.max_n),
        temperature=args.temperature,
        max_tokens=args.max_tokens,
        seed=args.seed,
        parallel=args.parallel,
    )
    sampled = sample_pools(args.records, settings, limit=args.limit, save=args.save)
    pools = [pool for pool in sampled if pool.size >= args.max_n]
    if not pools:
        raise ConfigurationError(
            f"{args.model!r} gave no prompt {args.max_n} readable samples; see what it answers"
        )
    return pools, len(sampled) - len(pools), args.model


def _settings(args: argparse.Namespace) -> JudgeSettings:
    return JudgeSettings(
        model=args.scorer_model,
        url=args.scorer_endpoint,
        key=key_from(args.key_env),
        think=args.think,
        parallel=args.parallel,
        seed=args.seed,
    )


def _sizes(args: argparse.Namespace) -> list[int]:
    every = range(1, args.max_n + 1)
    return [n for n in every if not args.powers or n & (n - 1) == 0]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--records", type=Path, required=True, help="labelled records")
    parser.add_argument("--scorer", default="lite", help=f"one of {', '.join(JUDGES)}")
    parser.add_argument("--scorer-model", help="lite: a folder; disc and gen: the served name")
    parser.add_argument("--scorer-endpoint", metavar="URL", help="server of disc or gen")
    parser.add_argument("--think", action="store_true", help="gen: ask to think before answering")
    parser.add_argument(
        "--strong", type=float, metavar="SHARE", help="only models right so often, e.g. 0.85"
    )
    parser.add_argument("--max-n", type=int, default=16, help="N goes from 1 to this")
    parser.add_argument("--powers", action="store_true", help="of N only 1, 2, 4, 8, ...: faster")
    parser.add_argument("--draws", type=int, default=4, help="for judges that compare candidates")
    parser.add_argument("--limit", type=int, help="a random sample of so many prompts")
    parser.add_argument("--endpoint", metavar="URL", help="sample a policy's answers here")
    parser.add_argument("--model", help="the policy")
    parser.add_argument("--key-env", metavar="NAME", help="environment variable with the API key")
    parser.add_argument("--samples", type=int, default=16, help="answers of the policy a prompt")
    parser.add_argument("--temperature", type=float, default=0.7)
    parser.add_argument("--max-tokens", type=int, default=1024, help="of one answer")
    parser.add_argument("--save", type=Path, help="write the sampled pools here as records")
    parser.add_argument("--parallel", type=int, default=16, help="requests in flight at a server")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, metavar="OUT")
    return parser


if __name__ == "__main__":
    main()
