"""The main job: every task twice on the same seeds, bare and guarded, and what came of it."""

import statistics
import time
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.language_models import BaseChatModel
from langchain_core.outputs import LLMResult

from toolrm_guard import harvest
from toolrm_guard.calls import Call
from toolrm_guard.demo.agent import Episode, Graph, ask, bare_agent, guarded_agent
from toolrm_guard.demo.task import Task, is_right
from toolrm_guard.drafts import ChatRunnable
from toolrm_guard.guard import Guard
from toolrm_guard.records import ReviewRecord
from toolrm_guard.store import TraceStore

CANDIDATES = 8
"""Candidates per round of the guarded agent."""

ModelFor = Callable[[int], BaseChatModel]
"""Makes the policy model for a seed."""


class TokenMeter(BaseCallbackHandler):
    """Counts the tokens that a model read and wrote, drafts included."""

    def __init__(self) -> None:
        self.tokens = 0

    def on_llm_end(self, response: LLMResult, **kwargs: Any) -> None:
        """Add what the messages of one request say they used."""
        for generation in response.generations[0]:
            usage = getattr(getattr(generation, "message", None), "usage_metadata", None)
            self.tokens += usage["total_tokens"] if usage else 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """What one agent did over all tasks."""

    tasks: int
    solved: int
    wrong_calls: int
    destructive_wrong_calls: int
    tokens: int
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoResult:
    """Both agents, what the guard blocked and cost, and what its records are good for."""

    bare: Tally
    guarded: Tally
    blocked_right: int
    added_ms_p50: float
    added_ms_p95: float
    records: int
    pairs: int
    store: Path

    def to_json(self) -> dict[str, Any]:
        """Return the documented JSON object."""
        return {
            "bare": _plain(self.bare),
            "guarded": {
                **_plain(self.guarded),
                "blocked_right": self.blocked_right,
                "added_ms_p50": round(self.added_ms_p50, 3),
            },
            "records": self.records,
            "pairs": self.pairs,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One task by one agent."""

    task: Task
    thread_id: str
    executed: tuple[Call, ...]
    solved: bool
    tokens: int
    seconds: float


Pair = tuple[Run, Run]
"""The same task bare and guarded."""


def run_task(task: Task, model_for: ModelFor, guard: Guard, *, seed: int, n: int) -> Pair:
    """Run a task bare and guarded, one after the other, on the same seed.

    Args:
        task: The task.
        model_for: Makes the policy model for a seed.
        guard: Of the guarded agent; it must keep records.
        seed: Of the whole demo; the task's own seed follows from it and the task's id.
        n: Candidates per round of the guarded agent.
    """
    model = model_for(_task_seed(task, seed))
    bare = _run_one(task, model, f"bare-{seed}-{task.id}", bare_agent)
    return bare, run_guarded(task, model_for, guard, seed=seed, n=n)


def run_guarded(task: Task, model_for: ModelFor, guard: Guard, *, seed: int, n: int) -> Run:
    """Run a task guarded alone, and record what became of its calls.

    Args:
        task: The task.
        model_for: As for `run_task`, and so are the others.
        guard: It must keep records.
        seed: Of the whole run.
        n: Candidates per round.
    """

    def build(episode: Episode, model: ChatRunnable) -> Graph:
        return guarded_agent(episode, model, guard, n=n)

    model = model_for(_task_seed(task, seed))
    guarded = _run_one(task, model, f"guarded-{seed}-{task.id}", build)
    _record_task_outcome(guard, guarded)
    return guarded


def wrong_calls(done: Run) -> list[Call]:
    """Return the executed calls that were wrong, in order."""
    return [call for call, _ in _wrong_calls(done)]


def _task_seed(task: Task, seed: int) -> int:
    return zlib.crc32(f"{seed}/{task.id}".encode())


def summarize(pairs: Sequence[Pair], store: Path) -> DemoResult:
    """Count what the agents did; the store says what the guard did, and what that is good for."""
    with TraceStore(store) as traces:
        reviews = list(traces.reviews())
        harvested = sum(1 for _ in harvest.pairs(reviews, traces.outcomes()))
    added = sorted(_added_ms(reviews))
    return DemoResult(
        bare=_tally([bare for bare, _ in pairs]),
        guarded=_tally([guarded for _, guarded in pairs]),
        blocked_right=sum(_blocked_right(guarded, reviews) for _, guarded in pairs),
        added_ms_p50=statistics.median(added),
        added_ms_p95=added[min(len(added) - 1, int(len(added) * 0.95))],
        records=len(reviews),
        pairs=harvested,
        store=store,
    )


def _run_one(
    task: Task,
    model: BaseChatModel,
    thread_id: str,
    build: Callable[[Episode, ChatRunnable], Graph],
) -> Run:
    episode = Episode.start(task)
    meter, started = TokenMeter(), time.perf_counter()
    graph = build(episode, model.bind_tools(episode.tools))
    ask(graph, episode, thread_id=thread_id, callbacks=[meter])
    return Run(
        task=task,
        thread_id=thread_id,
        executed=tuple(episode.executed),
        solved=episode.solved,
        tokens=meter.tokens,
        seconds=time.perf_counter() - started,
    )


def _record_task_outcome(guard: Guard, done: Run) -> None:
    """Tell the guard how each executed call turned out, as an application would later."""
    traces = guard.store
    assert traces is not None
    traces.flush()
    for review in traces.reviews(done.thread_id):
        for call in review.candidates[review.chosen].calls:
            if call.verdict == "approve" and review.decision == "execute" and call.id:
                guard.record_outcome(
                    call.id, ok=done.solved, kind="task", conversation_id=done.thread_id
                )
    traces.flush()


def _tally(runs: Sequence[Run]) -> Tally:
    wrong = [call for done in runs for call in _wrong_calls(done)]
    return Tally(
        tasks=len(runs),
        solved=sum(done.solved for done in runs),
        wrong_calls=len(wrong),
        destructive_wrong_calls=sum(destructive for _, destructive in wrong),
        tokens=sum(done.tokens for done in runs),
        seconds=sum(done.seconds for done in runs),
    )


def _wrong_calls(done: Run) -> list[tuple[Call, bool]]:
    """Return the executed calls that were wrong, each with whether its tool is destructive."""
    effects = {f.__name__: getattr(f, "effect", None) for f in done.task.start().tools}
    return [
        (call, effects.get(call.name) == "destructive")
        for index, call in enumerate(done.executed)
        if not is_right(done.task, call.name, call.arguments, done.executed[:index])
    ]


def _blocked_right(done: Run, reviews: Sequence[ReviewRecord]) -> int:
    """Count the right calls that the guard withheld and that no later turn executed."""
    withheld = {
        call.canonical
        for review in reviews
        if review.conversation_id == done.thread_id
        for verdict in review.candidates[review.chosen].calls
        if verdict.verdict != "approve"
        for call in [Call(name=verdict.name, arguments=verdict.arguments)]
        # Right, and not made up for: an executed twin would make it a repeat, which is wrong.
        if is_right(done.task, call.name, call.arguments, done.executed)
    }
    return len(withheld)


def _added_ms(reviews: Sequence[ReviewRecord]) -> list[float]:
    """Return the guard's own time per agent turn: its review and those of its corrections."""
    by_id = {review.id: review for review in reviews}
    total: dict[str, float] = {}
    for review in reviews:
        first = review
        while first.parent_id is not None:
            first = by_id[first.parent_id]
        total[first.id] = total.get(first.id, 0.0) + review.total_ms
    return list(total.values())


def _plain(tally: Tally) -> dict[str, int]:
    return {
        "tasks": tally.tasks,
        "solved": tally.solved,
        "wrong_calls": tally.wrong_calls,
        "destructive_wrong_calls": tally.destructive_wrong_calls,
        "tokens": tally.tokens,
    }
