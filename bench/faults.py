"""What a review does when the reward server is killed, stalls, lies or is somebody else.

    python -m bench.faults [--reviews 1000] [--fault NAME,...] [--json OUT]

A stand-in for vLLM runs as a process of its own on loopback and misbehaves in about a third of its
answers, or is killed and started again all the time. Agents of every effect class ask for reviews
meanwhile, under a deadline of a fifth of a second. Every review is checked against what the policy
says, every score against the one that the server should have given, every record against both.
A violation makes the exit code 1.
"""

import argparse
import asyncio
import contextlib
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal, get_args

from rich.console import Console
from rich.table import Table

from bench import runs
from bench.stand_in.process import free_port, start, stop
from bench.stand_in.replies import byte_tokenizer, reward, unweighted_folder
from bench.stand_in.server import Fault
from toolrm_guard.calls import Call, Candidate
from toolrm_guard.disc_prompt import encode_decision
from toolrm_guard.guard import Guard
from toolrm_guard.policy import Decision, Policy, threshold_for
from toolrm_guard.records import ReviewRecord
from toolrm_guard.review import Review
from toolrm_guard.scorers.turn_tokens import TurnTokens
from toolrm_guard.scorers.vllm import VllmScorer
from toolrm_guard.store import TraceStore
from toolrm_guard.tools import ToolSet

Scenario = Fault | Literal["killed"]
Kind = Literal["read", "write", "destructive", "answer"]

SHARE = 0.3
AGENTS = 8
DEADLINE_S = 0.2
ALLOWED_OVER_MS = 20.0
_UNJUDGED: dict[Kind, Decision] = {
    "read": "execute",
    "write": "reject",
    "destructive": "escalate",
    "answer": "execute",
}
_TOOL_OF = {"read": "list_files", "write": "write_file", "destructive": "delete_file"}
_PATH = {"type": "object", "properties": {"path": {"type": "string"}}, "required": ["path"]}
TOOLS = ToolSet.of(
    [
        {"name": name, "description": f"{kind} a path", "parameters": _PATH, "x-effect": kind}
        for kind, name in _TOOL_OF.items()
    ]
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One review's input."""

    kind: Kind
    text: str
    candidates: tuple[Candidate, ...]


@dataclass(slots=True, kw_only=True)
class Outcome:
    """What happened in one scenario.

    Attributes:
        fault: What went wrong with the server.
        reviews: How many were asked for.
        judged: How many came with scores.
        unjudged: How many could not be judged.
        crashed: How many raised; must be 0.
        against_policy: Decisions that are not the policy's; must be 0.
        wrong_scores: Reviews with a score that is not the server's; must be 0.
        stored_wrong: Records that are missing, or hold a score that the review had not; must be 0.
        late: Reviews that ended more than `ALLOWED_OVER_MS` after their deadline; must be 0.
        worst_over_ms: The latest end after a deadline; negative if all were in time.
        timer_over_ms: The latest end of a bare `asyncio.sleep` of the same length, which one agent
            more slept all the time: what the machine alone is late by.
        p50_ms: Median duration of a review.
        batches: Requests that were sent.
        breaker_opened: How often the server was left alone.
        seconds: Of the scenario.
    """

    fault: Scenario
    reviews: int
    judged: int = 0
    unjudged: int = 0
    crashed: int = 0
    against_policy: int = 0
    wrong_scores: int = 0
    stored_wrong: int = 0
    late: int = 0
    worst_over_ms: float = -1e9
    timer_over_ms: float = 0.0
    p50_ms: float = 0.0
    batches: int = 0
    breaker_opened: int = 0
    seconds: float = 0.0

    @property
    def sound(self) -> bool:
        """Whether nothing happened that must not."""
        return not (
            self.crashed or self.against_policy or self.wrong_scores or self.stored_wrong
            or self.late
        )  # fmt: skip


@dataclass(slots=True, kw_only=True)
class Judge:
    """Knows what each review must give."""

    policy: Policy
    scorer: VllmScorer
    tokens: TurnTokens = field(default_factory=lambda: TurnTokens(byte_tokenizer()))

    def true_rewards(self, review: Review) -> list[float]:
        """Return what the server gives when it is sound."""
        request = review.request
        made = encode_decision(
            self.tokens, request.messages, request.tools, request.candidates,
            max_tokens=self.scorer.card.max_tokens,
        )  # fmt: skip
        return [reward(made.prompt + suffix) for suffix in made.suffixes]

    def decision(self, case: Case, review: Review) -> Decision:
        """Return what the policy says to it."""
        if not review.judged:
            return _UNJUDGED[case.kind]
        if case.kind == "answer":  # nothing would execute; without a correction it is given
            return "execute"
        threshold = threshold_for(case.kind, self.policy, self.scorer.thresholds)
        return "execute" if review.scores[review.chosen].probability >= threshold else "reject"


def cases(count: int, seed: int) -> list[Case]:
    """Return reviews of every effect class, no two alike."""
    rng = random.Random(seed)
    made = []
    for number in range(count):
        kind: Kind = rng.choice(get_args(Kind))
        options = range(rng.randint(1, 4))
        if kind == "answer":
            drafts = tuple(Candidate(text=f"Answer {number}.{k}") for k in options)
        else:
            drafts = tuple(
                Candidate(calls=(Call(name=_TOOL_OF[kind], arguments={"path": f"{number}.{k}"}),))
                for k in options
            )
        made.append(Case(kind=kind, text=f"Task {number}: take care of it.", candidates=drafts))
    return made


async def run(fault: Scenario, reviews: int, seed: int = 0) -> Outcome:
    """Return what `reviews` reviews did while the server misbehaved."""
    started = time.perf_counter()
    outcome = Outcome(fault=fault, reviews=reviews)
    with tempfile.TemporaryDirectory() as scratch:
        async with misbehaving(fault, seed) as url:
            # Half-open soon again: outages here last tenths of a second.
            scorer = VllmScorer(
                url, folder=unweighted_folder(Path(scratch)), breaker_cooldown_s=0.05
            )
            policy = Policy(deadline_s=DEADLINE_S, max_corrections=0)
            with TraceStore(Path(scratch) / "traces.db") as store:
                guard = Guard(scorer, policy=policy, store=store)
                judge = Judge(policy=policy, scorer=scorer)
                seen = await _load(guard, cases(reviews, seed), judge, outcome)
                store.flush(60)
                outcome.stored_wrong = _stored_wrong(seen, store.reviews())
            stats = scorer.stats.servers[0]
            outcome.batches, outcome.breaker_opened = stats.batches, stats.opened
            await scorer.aclose()
    outcome.seconds = time.perf_counter() - started
    return outcome


async def _load(guard: Guard, todo: Sequence[Case], judge: Judge, outcome: Outcome) -> list[Review]:
    """Ask for every review, by `AGENTS` agents that pause between theirs; return the reviews."""
    waiting = iter(todo)
    seen: list[Review] = []
    took: list[float] = []
    rng = random.Random(outcome.reviews)

    async def agent() -> None:
        for case in waiting:
            await asyncio.sleep(rng.uniform(0.0, 0.03))
            began = time.perf_counter()
            try:
                review = await guard.areview(case.text, TOOLS, case.candidates)
            except Exception:  # noqa: BLE001  # that none is raised is what is measured
                outcome.crashed += 1
                continue
            took.append((time.perf_counter() - began) * 1e3)
            seen.append(review)
            outcome.judged += review.judged
            outcome.unjudged += not review.judged
            outcome.against_policy += review.decision != judge.decision(case, review)

    async def timer() -> None:
        while True:
            began = time.perf_counter()
            await asyncio.sleep(DEADLINE_S)
            over_ms = (time.perf_counter() - began - DEADLINE_S) * 1e3
            outcome.timer_over_ms = max(outcome.timer_over_ms, over_ms)

    control = asyncio.ensure_future(timer())
    await asyncio.gather(*(agent() for _ in range(AGENTS)))
    control.cancel()
    over = [duration - DEADLINE_S * 1e3 for duration in took]
    outcome.worst_over_ms = max(over, default=0.0)
    outcome.late = sum(late > ALLOWED_OVER_MS for late in over)
    outcome.p50_ms = sorted(took)[len(took) // 2] if took else 0.0
    outcome.wrong_scores = sum(
        [score.reward for score in review.scores] != judge.true_rewards(review)
        for review in seen
        if review.judged
    )
    return seen


def _stored_wrong(seen: Sequence[Review], records: Iterable[ReviewRecord]) -> int:
    by_id = {record.id: record for record in records}
    wrong = 0
    for review in seen:
        given: list[float | None] = [score.reward for score in review.scores]
        given = given or [None] * len(review.request.candidates)
        record = by_id.get(review.id)
        wrong += (
            record is None
            or [candidate.reward for candidate in record.candidates] != given
            or (record.unjudged_reason is None) != review.judged
        )
    return wrong


@contextlib.asynccontextmanager
async def misbehaving(fault: Scenario, seed: int) -> AsyncIterator[str]:
    """Run the server in a process of its own; `killed` ends it again and again."""
    port = free_port()

    def start_it() -> subprocess.Popen[bytes]:
        wrong = "none" if fault == "killed" else fault
        return start(port, fault=wrong, share=SHARE, seed=seed)

    running = [await asyncio.to_thread(start_it)]

    ending = asyncio.Event()

    async def keep_killing() -> None:
        rng = random.Random(seed)
        while not ending.is_set():
            await asyncio.sleep(rng.uniform(0.3, 0.9))
            stop(running[0])
            await asyncio.sleep(rng.uniform(0.0, 0.3))
            running[0] = await asyncio.to_thread(start_it)

    killer = asyncio.ensure_future(keep_killing()) if fault == "killed" else None
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        if killer is not None:
            ending.set()
            await killer  # not cancelled: it may be starting one, which must not be left behind
        stop(running[0])


def table_of(outcomes: Sequence[Outcome]) -> Table:
    """Return one row a scenario."""
    table = Table(title=f"Reviews under faults; deadline {DEADLINE_S * 1e3:.0f} ms")
    table.add_column("fault", no_wrap=True)
    heads = ("reviews", "judged", "unjudged", "crashed", "against policy", "wrong scores")
    times = (f"late > {ALLOWED_OVER_MS:.0f} ms", "worst over, ms", "bare timer over, ms", "p50, ms")
    for head in (*heads, "stored wrong", *times, "requests", "breaker opened", "s"):
        table.add_column(head, justify="right")
    for o in outcomes:
        table.add_row(
            o.fault, f"{o.reviews:,}", f"{o.judged:,}", f"{o.unjudged:,}", str(o.crashed),
            str(o.against_policy), str(o.wrong_scores), str(o.stored_wrong), str(o.late),
            f"{o.worst_over_ms:+.1f}", f"{o.timer_over_ms:+.1f}", f"{o.p50_ms:.1f}",
            f"{o.batches:,}", str(o.breaker_opened), f"{o.seconds:.0f}",
        )  # fmt: skip
    return table


def scenarios() -> tuple[Scenario, ...]:
    """Return all of them; `none` shows what the others cost."""
    return (*get_args(Fault), "killed")


def main(argv: Sequence[str] | None = None) -> int:
    """Run every scenario and print the table; 1 if something happened that must not."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], allow_abbrev=False)
    parser.add_argument("--reviews", type=int, default=1_000, help="per fault (default 1000)")
    parser.add_argument("--fault", default="", metavar="NAME,...", help="default: all")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, metavar="OUT")
    arguments = parser.parse_args(argv)
    wanted = [name for name in arguments.fault.split(",") if name]
    if unknown := set(wanted) - set(scenarios()):
        parser.error(f"unknown fault {sorted(unknown)}; known: {', '.join(scenarios())}")
    outcomes = []
    for fault in scenarios():
        if not wanted or fault in wanted:
            print(f"{fault} ...", file=sys.stderr, flush=True)
            outcomes.append(asyncio.run(run(fault, arguments.reviews, arguments.seed)))
    Console(width=170).print(table_of(outcomes))
    if arguments.json:
        payload = {
            "bench": "faults",
            "run": runs.describe([], arguments.seed),
            "deadline_s": DEADLINE_S,
            "share": SHARE,
            "agents": AGENTS,
            "rows": [asdict(outcome) for outcome in outcomes],
        }
        runs.write(arguments.json, payload)
    return 0 if all(outcome.sound for outcome in outcomes) else 1


if __name__ == "__main__":
    sys.exit(main())
