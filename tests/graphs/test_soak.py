"""Random agents on both surfaces: whatever they do, what was approved runs, and nothing else does.

`TOOLRM_SOAK_RUNS` sets the number of runs; `make soak` takes 100,000.
"""

import asyncio
import itertools
import os
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal, get_args

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from langchain.agents import create_agent
from langchain.agents.middleware import AgentMiddleware, ToolRetryMiddleware, hook_config
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.types import Command, Send

from tests.support.histories import assert_valid_history, call_ids
from tests.support.worlds import (
    Draft,
    Ids,
    PlannedModel,
    Stage,
    World,
    identity_of,
    rule,
)
from toolrm_guard import Budget, Policy, guard_node, guarded_tool_node
from toolrm_guard.drafts import with_call_ids
from toolrm_guard.middleware import GuardMiddleware

RUNS = int(os.environ.get("TOOLRM_SOAK_RUNS", "5000"))
STAGE = Stage()
SAVER = InMemorySaver()
THREADS = itertools.count()
SEEN: Counter[str] = Counter()
"""What happened over all runs, so that the test can tell that it tested something."""

Amount = int | Budget
AMOUNTS: tuple[Amount, ...] = (1, 2, 3, 4, Budget(max_samples=4), Budget(max_samples=3, margin=0.3))
Answer = Literal["approve", "edit to good", "edit to bad", "reject", "respond", "garbage"]
EVENTS = ("ran", "had to run", "refused", "interrupted", "paused", "human: approve")
RARE_EVENTS = tuple(f"human: {answer}" for answer in get_args(Answer))


def edited(message: AIMessage, *, quality: int) -> AIMessage:
    """The message with its first call changed, its id kept: what an editing node does."""
    first, *rest = message.tool_calls
    args = {**first["args"], "quality": quality, "tag": first["args"].get("tag", "") + "~"}
    return message.model_copy(update={"tool_calls": [{**first, "args": args}, *rest]})


def extended(message: AIMessage, *, quality: int) -> AIMessage:
    """The message with a call that no model drafted and nobody judged."""
    args = STAGE.world.args(quality)
    extra = {"name": "delete_item", "args": args, "id": f"x{args['tag']}", "type": "tool_call"}
    return message.model_copy(update={"tool_calls": [*message.tool_calls, extra]})


def open_calls(messages: list[Any]) -> tuple[AIMessage | None, bool]:
    """The last AIMessage if nothing but answers follow it, and whether all calls are answered."""
    answered = set()
    for message in reversed(messages):
        if isinstance(message, ToolMessage):
            answered.add(message.tool_call_id)
        elif isinstance(message, AIMessage):
            return message, set(call_ids(message)) <= answered
        else:
            break
    return None, True


class Meddler(AgentMiddleware[Any, Any, Any]):
    """Middleware that is in the guard's way, for a few steps of each run."""

    def __init__(self, *, times: int = 2) -> None:
        super().__init__()
        self.times = times
        self.meddled: tuple[World, int] = (STAGE.world, 0)

    def may(self) -> bool:
        world, times = self.meddled
        times = times if world is STAGE.world else 0
        self.meddled = (STAGE.world, times + 1)
        return times < self.times


class JumpsToTools(Meddler):
    @hook_config(can_jump_to=["tools"])
    def after_model(self, state: Any, runtime: Any) -> Any:
        message, _ = open_calls(state["messages"])
        # A jump past the guard leaves unreadable calls to `create_agent`, which repairs them only
        # where no earlier turn used the same id.
        if message is None or not message.tool_calls or message.invalid_tool_calls:
            return None
        return {"jump_to": "tools"} if self.may() else None


class JumpsBackToTools(Meddler):
    """Runs the last turn's calls once more."""

    @hook_config(can_jump_to=["tools"])
    def before_model(self, state: Any, runtime: Any) -> Any:
        message, _ = open_calls(state["messages"])
        return {"jump_to": "tools"} if message and message.tool_calls and self.may() else None


class JumpsOn(Meddler):
    """Jumps to the model or the end, where that leaves no call unanswered."""

    @hook_config(can_jump_to=["model", "end"])
    def after_model(self, state: Any, runtime: Any) -> Any:
        message, answered = open_calls(state["messages"])
        if message is None or not answered or not self.may():
            return None
        return {"jump_to": "model" if message.tool_calls else "end"}


class Edits(Meddler):
    def after_model(self, state: Any, runtime: Any) -> Any:
        message, _ = open_calls(state["messages"])
        if message is None or not message.tool_calls or not self.may():
            return None
        return {"messages": [edited(message, quality=9 if len(message.tool_calls) > 1 else 1)]}


class Extends(Meddler):
    def after_model(self, state: Any, runtime: Any) -> Any:
        message, answered = open_calls(state["messages"])
        if message is None or not message.tool_calls or answered or not self.may():
            return None
        return {"messages": [extended(message, quality=9)]}


class Replaces(Meddler):
    """Answers in the model's place; nobody has judged what it says."""

    def wrap_model_call(self, request: Any, handler: Callable[[Any], Any]) -> Any:
        return self.answer() if self.may() else handler(request)

    async def awrap_model_call(self, request: Any, handler: Callable[[Any], Awaitable[Any]]) -> Any:
        return self.answer() if self.may() else await handler(request)

    def answer(self) -> AIMessage:
        """A turn whose calls have ids: one without them would be a broken history at once."""
        return with_call_ids(STAGE.world.draft())


class Swaps(Meddler):
    """Takes a model of its own, as a fallback does."""

    def wrap_model_call(self, request: Any, handler: Callable[[Any], Any]) -> Any:
        return handler(request.override(model=PlannedModel(STAGE)))

    async def awrap_model_call(self, request: Any, handler: Callable[[Any], Awaitable[Any]]) -> Any:
        return await handler(request.override(model=PlannedModel(STAGE)))


class AsksTwice(Meddler):
    def wrap_model_call(self, request: Any, handler: Callable[[Any], Any]) -> Any:
        handler(request)
        return handler(request)

    async def awrap_model_call(self, request: Any, handler: Callable[[Any], Awaitable[Any]]) -> Any:
        await handler(request)
        return await handler(request)


def retry() -> ToolRetryMiddleware[Any, Any]:
    return ToolRetryMiddleware(max_retries=1, initial_delay=0.0, jitter=False)


Extra = Callable[[], AgentMiddleware[Any, Any, Any]]
OUTSIDE: tuple[Extra, ...] = (
    JumpsToTools,
    JumpsBackToTools,
    JumpsOn,
    Edits,
    Extends,
    Replaces,
    AsksTwice,
    retry,
)
# What edits a call on its way into the tool stands outside, as the guard's documentation says.
INSIDE: tuple[Extra, ...] = (JumpsToTools, Edits, Extends, Replaces, Swaps, AsksTwice, retry)
ROUTES = ("guard", "tools", "send")
Detour = Literal["none", "edit", "extend", "send"]


@lru_cache(maxsize=1_024)
def agent(
    outside: Extra | None, inside: Extra | None, n: Amount, inbox: Any, *, saves: bool
) -> Any:
    middleware: list[Any] = [GuardMiddleware(STAGE.guard, n=n, inbox=inbox)]
    if outside is not None:
        middleware.insert(0, outside())
    if inside is not None and inside is not outside:
        middleware.append(inside())
    return create_agent(
        PlannedModel(STAGE),
        STAGE.tools(fails=retry in (outside, inside)),
        middleware=middleware,
        checkpointer=SAVER if saves else None,
    )


@lru_cache(maxsize=1_024)
def graph(
    in_place: bool, draws: bool, n: Amount, detour: Detour, inbox: Any, *, saves: bool
) -> Any:
    """A graph whose guard stands behind the model or in its place, its tools perhaps bypassed."""
    model, tools = PlannedModel(STAGE), STAGE.tools(fails=True)
    guard = guard_node(
        STAGE.guard,
        STAGE.guard.toolset(tools),
        model=model if draws or in_place else None,
        n=n if draws or in_place else 1,
        state_schema=MessagesState,
        model_node=None if in_place else "model",
        tools_node="tools" if detour in ("none", "send") else "detour",
        inbox=inbox,
    )
    taken: list[World] = []

    def once() -> bool:
        """Whether the detour is still to be taken in this run: later turns go the plain way."""
        first = not taken or taken[-1] is not STAGE.world
        taken[:] = [STAGE.world]
        return first

    def change(state: MessagesState) -> dict[str, Any]:
        message, _ = open_calls(state["messages"])
        if message is None or not message.tool_calls or not once():
            return {}
        change = edited if detour == "edit" else extended
        return {"messages": [change(message, quality=9)]}

    def draft(state: MessagesState) -> Any:
        message = model.invoke(state["messages"])
        update = {"messages": [message]}
        # A fan-out straight to the tool node, past the guard; only where every call can be read.
        if detour == "send" and call_ids(message) and not message.invalid_tool_calls and once():
            return Command(
                update=update, goto=[Send("tools", [dict(call)]) for call in message.tool_calls]
            )
        return Command(update=update, goto="guard")

    built = StateGraph(MessagesState)
    built.add_node("guard", guard)
    built.add_node("tools", guarded_tool_node(tools, STAGE.guard))
    built.add_node("detour", change)
    built.add_edge("detour", "tools")
    if in_place:
        built.add_edge(START, "guard")
        built.add_edge("tools", "guard")
    else:
        built.add_node("model", draft)
        built.add_edge(START, "model")
        built.add_edge("tools", "model")
    return built.compile(checkpointer=SAVER if saves else None)


@dataclass(frozen=True)
class Run:
    """How a graph is run, and what the human says."""

    asynchronous: bool
    saves: bool
    answers: tuple[Answer, ...]
    inbox: Literal["langchain", "agent_inbox"]
    pauses: Literal["never", "edit for the guard", "edit past the guard"]


CALLS = st.tuples(
    st.sampled_from(["get_item", "save_item", "delete_item"] * 3 + ["no_such_tool", "unreadable"]),
    st.integers(0, 9),
)
DRAFTS: st.SearchStrategy[Draft] = st.lists(CALLS, max_size=3).map(tuple)  # type: ignore[assignment]
RULES = st.builds(
    rule,
    st.sampled_from([0.2, 0.5, 0.8, None]),
    st.sampled_from(["escalate", "escalate", "reject"]),
    st.sampled_from(["open", "closed", "escalate"]),
)
POLICIES = st.builds(
    Policy,
    read=RULES,
    write=RULES,
    destructive=RULES,
    max_corrections=st.integers(0, 2),
    max_rejections=st.integers(0, 2),
)
WORLDS = st.builds(
    World,
    drafts=st.lists(DRAFTS, min_size=1, max_size=6).map(tuple),
    outages=st.one_of(st.just(()), st.lists(st.booleans(), min_size=1, max_size=4).map(tuple)),
    policy=POLICIES,
)
HOW = st.builds(
    Run,
    asynchronous=st.booleans(),
    saves=st.sampled_from([True, True, True, False]),
    answers=st.sampled_from([*itertools.permutations(get_args(Answer))]),
    inbox=st.sampled_from(["langchain", "agent_inbox"]),
    pauses=st.sampled_from(["never", "never", "edit for the guard", "edit past the guard"]),
)
SOAK = settings(
    max_examples=RUNS // 2,
    deadline=None,
    database=None,
    print_blob=True,
    suppress_health_check=list(HealthCheck),
)


class Human:
    """Answers interrupts as planned, and tells the world what was approved."""

    def __init__(self, run: Run, world: World) -> None:
        self._answers = itertools.cycle(run.answers)
        self._patience = 3
        self._world = world

    def answer(self, asked: Any) -> Any:
        listed = isinstance(asked, list)
        requests = [r["action_request"] for r in asked] if listed else asked["action_requests"]
        kinds = [next(self._answers) for _ in requests]
        SEEN.update(f"human: {kind}" for kind in kinds)
        if "garbage" in kinds:
            self._patience -= 1
            if self._patience > 0:
                return ["what?", {"decisions": []}][self._patience % 2]
            kinds = ["reject"] * len(requests)
        decisions = [self._decide(*pair) for pair in zip(kinds, requests, strict=True)]
        return decisions if listed else {"decisions": decisions}

    def _decide(self, kind: Answer, request: Any) -> dict[str, Any]:
        name, args = request.get("name", request.get("action")), request["args"]
        self._world.heed(identity_of(name, args), approves=kind == "approve")
        match kind:
            case "approve":
                return {"type": "approve" if "name" in request else "accept", "args": None}
            case "edit to good" | "edit to bad":
                quality = 9 if kind == "edit to good" else 1
                args = {"quality": quality, "tag": args.get("tag", "") + "h"}
                key = "edited_action" if "name" in request else "args"
                inner = {"name": name} if "name" in request else {"action": name}
                return {"type": "edit", key: {**inner, "args": args}}
            case "respond":
                return {"type": "respond", "message": "I did it myself."}
            case _:
                return {"type": "reject", "message": "No."}


def play(app: Any, world: World, run: Run, *, retried: bool = False) -> None:
    """Run a graph until it ends or has asked too often, and check what must hold."""
    STAGE.enter(world)
    thread = str(next(THREADS))
    config: Any = {"recursion_limit": 100, "configurable": {"thread_id": thread}}
    human = Human(run, world)
    pausing: dict[str, Any] = {}
    if run.saves and run.pauses != "never":
        pausing = {"interrupt_before": ["tools"]}

    def step(value: Any) -> Any:
        if run.asynchronous:
            return runner().run(app.ainvoke(value, config, **pausing))
        return app.invoke(value, config, **pausing)

    try:
        state = step({"messages": [HumanMessage("Look after the items.")]})
        waiting = False
        for _ in range(8):
            if not run.saves:
                break
            snapshot = app.get_state(config)
            waiting = bool(snapshot.next)
            if not waiting:
                break
            assert_valid_history(snapshot.values["messages"], waiting=True)
            if snapshot.interrupts:
                SEEN["interrupted"] += 1
                state = step(Command(resume=human.answer(snapshot.interrupts[0].value)))
                continue
            value = None
            if pausing:
                SEEN["paused"] += 1
                value = meddle(app, config, snapshot, run)
                pausing.clear()
            state = step(value)
        messages = app.get_state(config).values["messages"] if run.saves else state["messages"]
        SEEN["runs"] += 1
        SEEN["ran"] += len(world.ran)
        SEEN["refused"] += sum(getattr(m, "status", "") == "error" for m in messages)
        world.assert_only_approved_calls_ran(retried=retried)
        assert_valid_history(messages, waiting=waiting)
        for message in messages:
            if isinstance(message, ToolMessage) and message.text.endswith(" done"):
                assert message.text.removesuffix(" done") in {tag for *_, tag in world.ran}
        assert_approved_calls_ran(world, messages)
    finally:
        if run.saves:
            SAVER.delete_thread(thread)


def assert_approved_calls_ran(world: World, messages: list[Any]) -> None:
    """Every answered call that was approved as it stands is answered by its tool."""
    turn: dict[str | None, Any] = {}
    for message in messages:
        if isinstance(message, AIMessage):
            turn = {call["id"]: call for call in message.tool_calls}
        elif isinstance(message, ToolMessage) and message.tool_call_id in turn:
            call = turn[message.tool_call_id]
            identity = identity_of(call["name"], call["args"])
            if not world.must_run(identity):
                continue
            SEEN["had to run"] += 1
            told = any(f"{identity[-1]} {end}" in message.text for end in ("done", "failed"))
            assert identity in world.ran, f"{identity} was approved, but: {message.text!r}"
            assert told, f"{identity} ran, but its answer is {message.text!r}"


def meddle(app: Any, config: Any, snapshot: Any, run: Run) -> Any:
    """Edit the last turn from outside, while the graph waits before its tools."""
    message, _ = open_calls(snapshot.values["messages"])
    if message is None or not message.tool_calls or "guard" not in app.nodes:
        return None
    proposal = edited(message, quality=9)
    answered = {m.tool_call_id for m in snapshot.values["messages"] if isinstance(m, ToolMessage)}
    over = [call for call in proposal.tool_calls if call["id"] in answered]
    STAGE.world.over.update(identity_of(call["name"], call["args"]) for call in over)
    changed = {"messages": [proposal]}
    if run.pauses == "edit for the guard" and "model" in app.nodes:
        app.update_state(config, changed, as_node="model")
        return Command(goto="guard")
    app.update_state(config, changed, as_node="guard")
    return Command(goto="tools")


@lru_cache(maxsize=1)
def runner() -> asyncio.Runner:
    return asyncio.Runner()


@SOAK
@given(
    WORLDS,
    HOW,
    st.sampled_from([None, *OUTSIDE]),
    st.sampled_from([None, None, *INSIDE]),
    st.sampled_from(AMOUNTS),
    st.sampled_from(["unique", "unique", "repeated", "missing"]),
)
def play_agents(
    world: World, run: Run, outside: Extra | None, inside: Extra | None, n: Amount, ids: Ids
) -> None:
    world.ids = ids
    app = agent(outside, inside, n, run.inbox, saves=run.saves)
    play(app, world, run, retried=retry in (outside, inside))


@SOAK
@given(
    WORLDS,
    HOW,
    st.booleans(),
    st.booleans(),
    st.sampled_from(AMOUNTS),
    st.sampled_from(["none", "none", "edit", "extend", "send"]),
)
def play_graphs(
    world: World, run: Run, in_place: bool, draws: bool, n: Amount, detour: Detour
) -> None:
    play(graph(in_place, draws, n, detour, run.inbox, saves=run.saves), world, run)


@pytest.mark.timeout(3_600)
@pytest.mark.parametrize("play_many", [play_agents, play_graphs], ids=["agents", "graphs"])
def test_what_was_approved_runs_and_nothing_else_does(play_many: Callable[[], None]) -> None:
    SEEN.clear()
    play_many()
    if RUNS >= 1_000:  # fewer may well miss one
        wanted = {*EVENTS, *(RARE_EVENTS if RUNS >= 5_000 else ())}
        assert not wanted - {*SEEN}, f"these runs tested too little: {SEEN}"
