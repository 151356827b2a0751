"""Traces become the next reward model: run, harvest, retrain, replay, promote, run again.

A LangGraph agent on the embedded 135M model works on tasks of the demo. Its records become
preference data, `lite` is retrained on them, the new model is replayed on reviews it was not
trained on, and it serves only if it passes the gate. Tasks held out from all of that say whether it
was worth it. From a checkout; needs the extras train and langgraph, no network once SmolLM2 is
cached, and some minutes of one core. With `--data` `lite` is trained from the start on the packs
it came from, the traces among them; without, the shipped trees go on.

    python examples/07_improve.py

Prints (other machines round other draws):

    seed 0: 15 reviews of 8 tasks gave 31 pairs
    seed 0: replay of 7 other reviews: 0 would change
    seed 0: holds: accuracy >= base (accuracy 1, base 1)
    seed 0: holds: false_block <= base + 0.05 (false_block 0, base 0)
    seed 0: holds: unjudged <= 0.05 (unjudged 0)
    seed 0: gate passed
    seed 0: promoted: runs/improve/seed-0/models/current -> lite-1
    seed 0: 8 held-out tasks before: {'runs': 8, 'solved': 4, 'wrong_calls': 4}
    seed 0: 8 held-out tasks after:  {'runs': 8, 'solved': 5, 'wrong_calls': 1}
    seed 0: solved +12.5% of 8 runs, 95% interval +0.0% to +37.5%
"""

import argparse
import json
import random
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from toolrm_guard import Guard, TraceStore, __version__
from toolrm_guard.demo.run import CANDIDATES, ModelFor, Run, run_guarded, wrong_calls
from toolrm_guard.demo.task import Task
from toolrm_guard.demo.tasks import ALL_TASKS
from toolrm_guard.harvest.command import run_command as harvest
from toolrm_guard.harvest.funnel import Settings
from toolrm_guard.harvest.rows import Origin
from toolrm_guard.labelled import read_records
from toolrm_guard.replay.cases import as_recorded, judge_again, policy_of, read_cases
from toolrm_guard.replay.comparison import Comparison, compare
from toolrm_guard.replay.gate import Gate
from toolrm_guard.scorers.lite import LiteModel, LiteScorer
from training import promotion, update_lite
from training.lite_data import read_packs

GATE = "accuracy>=base and false_block<=base+0.05 and unjudged<=0.05"
ROUNDS = 2_000  # bootstrap samples


def main(argv: Sequence[str] | None = None, model_for: ModelFor | None = None) -> int:
    """Run the loop for each seed, and print before and after."""
    args = parser().parse_args(argv)
    model = model_for or embedded()
    results: list[dict[str, Any]] = []
    for seed in args.seeds:
        results.append(one_loop(args, seed, model))
        if args.json:
            args.json.write_text(json.dumps({"gate": GATE, "seeds": results}, indent=1) + "\n")
    if len(results) > 1 and all("after" in result for result in results):
        print("all seeds:", paired([row for result in results for row in result["tasks"]]))
    return 0


def one_loop(args: argparse.Namespace, seed: int, model_for: ModelFor) -> dict[str, Any]:
    """Run the loop once; return its figures."""
    tasks = random.Random(seed).sample(ALL_TASKS, args.train + args.gate + args.held_out)
    own, gating = tasks[: args.train], tasks[args.train : args.train + args.gate]
    held_out = tasks[args.train + args.gate :]
    folder = args.out / f"seed-{seed}"
    shutil.rmtree(folder, ignore_errors=True)  # a store holds the records of one run
    folder.mkdir(parents=True)

    def say(text: str) -> None:
        print(f"seed {seed}: {text}", flush=True)

    def run(some: Sequence[Task], scorer: LiteScorer, store: str, episodes: int = 1) -> list[Run]:
        guard = Guard(scorer, store=folder / store)
        done = [
            run_guarded(task, model_for, guard, seed=100 * seed + episode, n=args.candidates)
            for episode in range(episodes)
            for task in some
        ]
        assert guard.store is not None
        guard.store.close()
        return done

    shipped = LiteScorer()
    run(own, shipped, "own.db", args.episodes)
    run(gating, shipped, "gate.db")
    before = run(held_out, shipped, "before.db")

    with TraceStore(folder / "own.db") as store:
        funnel = harvest(
            store,
            out=folder / "own.jsonl",
            shape="pointwise",
            settings=Settings(seed=seed),
            origin=Origin(store="own.db", version=__version__),
        )
    say(f"{funnel.reviews} reviews of {len(own)} tasks gave {funnel.kept} pairs")
    if not funnel.kept:
        return {"seed": seed, "pairs": 0}
    records = read_records(folder / "own.jsonl")
    made = (
        update_lite.continued(records, None, seed=seed)
        if args.data is None
        else update_lite.retrained(
            records, read_packs(args.data), seed=seed, cap=450, fold_rounds=70
        )
    )
    update_lite.save(made, folder / "candidate", [f"Traces of {len(own)} demo tasks"])

    candidate = LiteScorer(LiteModel.load(folder / "candidate"))
    found = replayed(folder / "gate.db", candidate)
    verdict = Gate.parse(GATE).check(found)
    say(f"replay of {found.judged} other reviews: {len(found.changes)} would change")
    for line in (*verdict.lines, f"gate {'passed' if verdict.passed else 'failed'}"):
        say(line)
    result: dict[str, Any] = {
        "seed": seed,
        "pairs": funnel.kept,
        "funnel": funnel.as_json(),
        "model": list(made.notes),
        "replay": {**found.as_json(), "changes": len(found.changes)},
        "promoted": verdict.passed,
        "before": figures(before),
    }
    if not verdict.passed and not args.run_anyway:
        say("the model that was there goes on serving")
        return result
    if verdict.passed:
        now = promotion.promote(folder / "candidate", folder / "models")
        say(f"promoted: {folder / 'models' / 'current'} -> {now.name}")
        candidate = LiteScorer(LiteModel.load(folder / "models" / "current"))
    after = run(held_out, candidate, "after.db")
    rows = [
        {"task": f"{seed}/{old.task.id}", "before": old.solved, "after": new.solved}
        for old, new in zip(before, after, strict=True)
    ]
    say(f"{len(held_out)} held-out tasks before: {figures(before)}")
    say(f"{len(held_out)} held-out tasks after:  {figures(after)}")
    say(paired(rows))
    return {**result, "after": figures(after), "tasks": rows}


def replayed(store: Path, scorer: LiteScorer) -> Comparison:
    """Return what the scorer would change in a store."""
    with TraceStore(store) as traces:
        reviews = list(traces.reviews())
        cases, unreadable = read_cases(reviews, traces.outcomes())
    old = [as_recorded(case) for case in cases]
    new = judge_again(cases, scorer, policy_of(reviews))
    return compare(cases, old, new, unreadable=[why for _, why in unreadable])


def figures(runs: Sequence[Run]) -> dict[str, int]:
    """Return what is counted of some runs."""
    return {
        "runs": len(runs),
        "solved": sum(done.solved for done in runs),
        "wrong_calls": sum(len(wrong_calls(done)) for done in runs),
    }


def paired(rows: Sequence[dict[str, Any]]) -> str:
    """Return the difference of solved runs with its interval, drawing tasks."""
    by_task: dict[str, list[int]] = {}
    for row in rows:
        by_task.setdefault(row["task"], []).append(row["after"] - row["before"])
    groups = list(by_task.values())
    rng = random.Random(0)
    drawn = sorted(
        sum(map(sum, some)) / sum(map(len, some))
        for some in (rng.choices(groups, k=len(groups)) for _ in range(ROUNDS))
    )
    low, high = drawn[int(0.025 * ROUNDS)], drawn[int(0.975 * ROUNDS) - 1]
    mean = sum(map(sum, groups)) / len(rows)
    return f"solved {mean:+.1%} of {len(rows)} runs, 95% interval {low:+.1%} to {high:+.1%}"


def embedded() -> ModelFor:
    """Return the embedded policy; its prompt cache is shared by all runs."""
    from toolrm_guard.embedded.chat_model import EmbeddedChatModel
    from toolrm_guard.embedded.sampler import EmbeddedSampler

    sampler = EmbeddedSampler()
    return lambda seed: EmbeddedChatModel(sampler=sampler, seed=seed)


def parser() -> argparse.ArgumentParser:
    """Return the flags."""
    flags = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    flags.add_argument("--train", type=int, default=8, help="tasks whose traces are learned from")
    flags.add_argument("--episodes", type=int, default=1, help="runs of each of these")
    flags.add_argument("--gate", type=int, default=4, help="tasks whose reviews are replayed")
    flags.add_argument("--held-out", type=int, default=8, help="tasks run before and after")
    flags.add_argument("--candidates", type=int, default=CANDIDATES, help="per round")
    flags.add_argument("--seeds", type=int, nargs="+", default=[0])
    flags.add_argument("--data", type=Path, help="packs that `lite` was trained on")
    flags.add_argument("--run-anyway", action="store_true", help="run again though the gate failed")
    flags.add_argument("--out", type=Path, default=Path("runs/improve"), help="folder of the runs")
    flags.add_argument("--json", type=Path, help="write the figures there too")
    return flags


if __name__ == "__main__":
    raise SystemExit(main())
