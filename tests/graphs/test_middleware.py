"""`GuardMiddleware` in `create_agent`: what it does, beside what others do around it."""

import sqlite3
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Annotated, Any

import pytest
from langchain.agents import create_agent
from langchain.agents.middleware import (
    AgentMiddleware,
    HumanInTheLoopMiddleware,
    ModelFallbackMiddleware,
)
from langchain_core.messages import AIMessage, ToolMessage
from langchain_core.tools import InjectedToolCallId, tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.types import Command

from tests.support.agents import (
    ASKED,
    CHECKING,
    PAY_ANN,
    PAY_BOB,
    SAVINGS,
    ManyAtOnce,
    agent,
    rated,
)
from tests.support.histories import assert_valid_history
from tests.support.scripted import CallSpec, Ledger, ScriptedModel, turn
from toolrm_guard import (
    Budget,
    Call,
    ConfigurationError,
    FakeScorer,
    Guard,
    Policy,
    Rule,
    ScoreRequest,
    TraceStore,
)
from toolrm_guard.middleware import GuardMiddleware
from toolrm_guard.verdicts import METADATA_KEY

THREAD: Any = {"configurable": {"thread_id": "1"}}
NO_BOB = {"bob": 0.1}
STRICT = Policy(max_corrections=0)
ASKS = Policy(destructive=Rule(on_low="escalate"), max_corrections=0)


async def run(app: Any, way: str, value: Any = ASKED, config: Any = None) -> list[Any]:
    """Run an agent sync or async, check its history, and return its messages."""
    state = app.invoke(value, config) if way == "sync" else await app.ainvoke(value, config)
    assert_valid_history(state["messages"], waiting="__interrupt__" in state)
    return list(state["messages"])


WAYS = pytest.mark.parametrize("way", ["sync", "async"])


@WAYS
async def test_an_approved_call_runs_and_a_rejected_one_is_told_to_the_model(
    ledger: Ledger, way: str
) -> None:
    model = ScriptedModel(turns=[turn(PAY_BOB), turn(CHECKING, prefix="d"), turn(text="100")])
    app = agent(model, Guard(rated(NO_BOB), policy=STRICT), ledger)
    messages = await run(app, way)
    assert ledger.ran == [CHECKING]
    assert "was not accepted" in model.seen[1][-1].text
    assert [m.type for m in messages] == ["human", "ai", "tool", "ai", "tool", "ai"]


@WAYS
async def test_a_part_of_a_turn_may_run(ledger: Ledger, way: str) -> None:
    model = ScriptedModel(turns=[turn(PAY_BOB, CHECKING, SAVINGS), turn(text="Both.")])
    policy = Policy(destructive=Rule(threshold=0.8), max_corrections=0)
    messages = await run(agent(model, Guard(rated({}, otherwise=0.6), policy=policy), ledger), way)
    assert sorted(map(str, ledger.ran)) == sorted(map(str, [CHECKING, SAVINGS]))
    assert [m.status for m in messages if m.type == "tool"].count("error") == 1


@WAYS
async def test_a_correction_is_drawn_off_the_history(ledger: Ledger, way: str) -> None:
    model = ScriptedModel(turns=[turn(PAY_BOB), turn(CHECKING, prefix="d"), turn(text="100")])
    messages = await run(agent(model, Guard(rated(NO_BOB)), ledger), way)
    assert ledger.ran == [CHECKING]
    assert [m.type for m in messages] == ["human", "ai", "tool", "ai"]
    assert "bob" not in str(messages[1:])


@WAYS
@pytest.mark.parametrize("allowed", [0, 1, 3])
async def test_rejected_turns_in_a_row_are_capped(ledger: Ledger, way: str, allowed: int) -> None:
    model = ScriptedModel(turns=[turn(PAY_BOB, prefix=f"t{i}.") for i in range(9)])
    guard = Guard(rated(NO_BOB), policy=Policy(max_corrections=0, max_rejections=allowed))
    messages = await run(agent(model, guard, ledger), way)
    assert len(model.seen) == allowed + 1
    assert messages[-1].text == "No proposed call was approved, so none was executed."
    assert ledger.ran == []


@WAYS
async def test_unreadable_calls_beside_readable_ones_are_answered(ledger: Ledger, way: str) -> None:
    broken = {"name": "transfer", "args": "{", "id": "b0", "error": "bad JSON"}
    mixed = turn(CHECKING).model_copy(update={"invalid_tool_calls": [broken]})
    model = ScriptedModel(turns=[mixed, turn(text="100")])
    messages = await run(agent(model, Guard(rated({}), policy=STRICT), ledger), way)
    assert ledger.ran == [CHECKING]
    assert {m.tool_call_id for m in messages if m.type == "tool"} == {"b0", "c0"}


@WAYS
async def test_unreadable_calls_for_ever_are_capped(ledger: Ledger, way: str) -> None:
    broken = [{"name": "transfer", "args": "{", "id": f"b{i}", "error": "bad"} for i in range(9)]
    model = ScriptedModel(turns=[AIMessage(content="", invalid_tool_calls=[b]) for b in broken])
    guard = Guard(rated({}), policy=Policy(max_corrections=0, max_rejections=2))
    messages = await run(agent(model, guard, ledger), way)
    assert len(model.seen) == 3
    assert messages[-1].text == "No proposed call was approved, so none was executed."


class Fails(ScriptedModel):
    def _generate(self, *args: Any, **kwargs: Any) -> Any:
        raise ConnectionError("the provider is down")


@WAYS
@pytest.mark.parametrize("place", ["before", "after"])
async def test_a_fallback_model_is_judged_like_the_first(
    ledger: Ledger, way: str, place: str
) -> None:
    fallback = ScriptedModel(turns=[turn(PAY_BOB), turn(CHECKING, prefix="d"), turn(text="100")])
    placed: Any = {place: [ModelFallbackMiddleware(fallback)]}
    app = agent(Fails(turns=[]), Guard(rated(NO_BOB), policy=STRICT), ledger, **placed)
    messages = await run(app, way)
    assert ledger.ran == [CHECKING]
    assert messages[-1].text == "100"


class AnswersItself(AgentMiddleware[Any, Any, Any]):
    """Gives the turn in the model's place, once."""

    def __init__(self, message: AIMessage) -> None:
        super().__init__()
        self.messages = [message]

    def wrap_model_call(self, request: Any, handler: Any) -> Any:
        return self.messages.pop() if self.messages else handler(request)

    async def awrap_model_call(self, request: Any, handler: Any) -> Any:
        return self.messages.pop() if self.messages else await handler(request)


@WAYS
@pytest.mark.parametrize("place", ["before", "after"])
@pytest.mark.parametrize(("call", "ran"), [(PAY_BOB, []), (PAY_ANN, [PAY_ANN])])
async def test_a_turn_of_other_middleware_is_reviewed_before_it_runs(
    ledger: Ledger, way: str, place: str, call: CallSpec, ran: list[CallSpec]
) -> None:
    model = ScriptedModel(turns=[turn(text="The end.")])
    placed: Any = {place: [AnswersItself(turn(call))]}
    # No model call has shown the guard the tools by then.
    tools = [ledger.get_balance, ledger.transfer]
    app = agent(model, Guard(rated(NO_BOB), policy=STRICT), ledger, tools=tools, **placed)
    await run(app, way)
    assert ledger.ran == ran


class Binds(ScriptedModel):
    """Remembers what was bound."""

    bound: list[Any] = []

    def bind_tools(self, tools: Any, **kwargs: Any) -> "Binds":
        self.bound.append(list(tools))
        return self


@WAYS
async def test_tools_of_the_provider_are_offered_and_not_judged(ledger: Ledger, way: str) -> None:
    offered: list[set[str]] = []

    def rate(request: ScoreRequest) -> list[float]:
        offered.append(set(request.tools))
        return [0.9]

    search = {"type": "web_search", "max_uses": 3}
    model = Binds(turns=[turn(CHECKING), turn(text="100")])
    await run(agent(model, Guard(FakeScorer(rate)), ledger, extra_tools=[search]), way)
    assert search in model.bound[0]
    assert offered == [{"get_balance", "transfer"}] * 2
    assert ledger.ran == [CHECKING]


def as_shown(messages: list[Any]) -> list[Any]:
    return [
        (m.type, m.content, getattr(m, "tool_calls", None), m.response_metadata) for m in messages
    ]


@WAYS
async def test_shadow_mode_changes_nothing_and_records_what_it_would_have_done(
    ledger: Ledger, way: str, tmp_path: Path
) -> None:
    def script() -> ScriptedModel:
        return ScriptedModel(turns=[turn(PAY_BOB, CHECKING), turn(text="Done.")])

    bare = create_agent(script(), [ledger.get_balance, ledger.transfer])
    expected = await run(bare, way)
    with TraceStore(tmp_path / "traces.db") as store:
        shadow = Guard(rated(NO_BOB), policy=Policy(mode="shadow"), store=store)
        model = script()
        messages = await run(agent(model, shadow, ledger, n=4), way)
        assert store.flush()
        reviews = list(store.reviews())
    assert as_shown(messages) == as_shown(expected)
    assert len(model.seen) == 2
    assert [(r.mode, r.decision) for r in reviews] == [("shadow", "reject"), ("shadow", "execute")]
    assert sorted(map(str, ledger.ran)) == sorted(map(str, [PAY_BOB, CHECKING] * 2))


@WAYS
async def test_a_budget_draws_one_where_one_is_good_and_more_where_not(
    ledger: Ledger, way: str
) -> None:
    drafts = [turn(CHECKING), *(turn(PAY_BOB, prefix=f"t{i}.") for i in range(3))]
    model = ScriptedModel(turns=[*drafts, turn(PAY_ANN, prefix="a"), turn(text="Done.")])
    app = agent(model, Guard(rated(NO_BOB), policy=STRICT), ledger, n=Budget(max_samples=4))
    await run(app, way)
    # 1 for the balance; 1, 1 and 2 more until ann is among them; 1 for the text.
    assert len(model.seen) == 1 + 4 + 1
    assert ledger.ran == [CHECKING, PAY_ANN]


@WAYS
async def test_a_native_n_is_one_request_a_round(ledger: Ledger, way: str) -> None:
    drafts = [turn(PAY_BOB, prefix=f"t{i}.") for i in range(3)] + [turn(PAY_ANN, prefix="a")]
    model = ManyAtOnce(turns=[*drafts, *(turn(text="Done.") for _ in range(4))])
    await run(agent(model, Guard(rated(NO_BOB)), ledger, n=4), way)
    assert model.requests == [4, 4]
    assert ledger.ran == [PAY_ANN]


EDITED = {"name": PAY_ANN[0], "args": PAY_ANN[1]}
EDITED_INBOX = {"action": PAY_ANN[0], "args": PAY_ANN[1]}


@WAYS
@pytest.mark.parametrize(
    ("inbox", "decision", "ran", "told"),
    [
        ("langchain", {"type": "approve"}, [PAY_BOB], "done"),
        ("langchain", {"type": "edit", "edited_action": EDITED}, [PAY_ANN], "done"),
        ("langchain", {"type": "reject", "message": "Never."}, [], "They said: Never."),
        ("langchain", {"type": "respond", "message": "Did it."}, [], "Did it."),
        ("agent_inbox", {"type": "accept", "args": None}, [PAY_BOB], "done"),
        ("agent_inbox", {"type": "edit", "args": EDITED_INBOX}, [PAY_ANN], "done"),
        ("agent_inbox", {"type": "ignore", "args": None}, [], "A human rejected this call"),
        ("agent_inbox", {"type": "response", "args": "Did it."}, [], "Did it."),
    ],
)
async def test_a_human_decides_in_either_form(
    ledger: Ledger, way: str, inbox: Any, decision: Any, ran: list[CallSpec], told: str
) -> None:
    model = ScriptedModel(turns=[turn(PAY_BOB), turn(text="The end.")])
    guard = Guard(rated(NO_BOB), policy=ASKS)
    app = agent(model, guard, ledger, checkpointer=InMemorySaver(), inbox=inbox)
    await run(app, way, config=THREAD)
    assert ledger.ran == []
    [asked] = app.get_state(THREAD).interrupts
    form = "action_requests" if inbox == "langchain" else 0
    assert PAY_BOB[1] in str_values(asked.value[form])
    # An answer that cannot be read is asked for again, and runs nothing.
    await run(app, way, Command(resume={"decisions": "yes"}), THREAD)
    assert "could not be read" in str(app.get_state(THREAD).interrupts[0].value)
    assert ledger.ran == []
    answer = {"decisions": [decision]} if inbox == "langchain" else [decision]
    messages = await run(app, way, Command(resume=answer), THREAD)
    assert ledger.ran == ran
    assert told in messages[2].text
    assert len(model.seen) == 2


def str_values(value: Any) -> list[Any]:
    """The arguments in a question of either form."""
    if isinstance(value, list):
        return [request["args"] for request in value]
    return [value["action_request"]["args"]]


@WAYS
async def test_without_a_checkpointer_a_held_call_is_refused(ledger: Ledger, way: str) -> None:
    model = ScriptedModel(turns=[turn(PAY_BOB), turn(text="The end.")])
    messages = await run(agent(model, Guard(rated(NO_BOB), policy=ASKS), ledger), way)
    assert ledger.ran == []
    assert "could not wait" in messages[2].text
    assert messages[-1].text == "The end."


@WAYS
async def test_a_subagent_in_a_graph_is_guarded_and_asks_through_it(
    ledger: Ledger, way: str
) -> None:
    model = ScriptedModel(turns=[turn(PAY_BOB), turn(text="The end.")])
    sub = agent(model, Guard(rated(NO_BOB), policy=ASKS), ledger)
    outer = StateGraph(MessagesState)
    outer.add_node("sub", sub)
    outer.add_edge(START, "sub")
    app = outer.compile(checkpointer=InMemorySaver())
    await run(app, way, config=THREAD)
    assert ledger.ran == []
    assert len(app.get_state(THREAD).interrupts) == 1
    approve = Command(resume={"decisions": [{"type": "approve"}]})
    messages = await run(app, way, approve, THREAD)
    assert ledger.ran == [PAY_BOB]
    assert messages[-1].text == "The end."


@WAYS
async def test_a_subagent_that_is_a_tool_is_guarded_inside_and_outside(
    ledger: Ledger, way: str
) -> None:
    inner_model = ScriptedModel(turns=[turn(PAY_BOB), turn(text="I could not pay.")])
    inner = agent(inner_model, Guard(rated(NO_BOB), policy=STRICT), ledger)

    def ask_the_bank(question: str) -> str:
        """Ask the bank's agent."""
        return str(inner.invoke({"messages": [("user", question)]})["messages"][-1].text)

    outer_model = ScriptedModel(
        turns=[turn(("ask_the_bank", {"question": "Pay him."})), turn(text="The end.")]
    )
    guard = GuardMiddleware(Guard(rated({}), policy=STRICT))
    app = create_agent(outer_model, [ask_the_bank], middleware=[guard])
    messages = await run(app, way)
    assert ledger.ran == []
    assert messages[2].text == "I could not pay."


def saved(path: Path) -> SqliteSaver:
    return SqliteSaver(sqlite3.connect(path, check_same_thread=False))


FIRST_PROCESS = """
import sys
from tests.graphs.test_middleware import *
from tests.support.scripted import Ledger
saver = saved(sys.argv[1])
model = ScriptedModel(turns=[turn(PAY_BOB, CHECKING)])
guard = Guard(rated(NO_BOB, otherwise=0.9), policy=ASKS)
app = agent(model, guard, ledger := Ledger(), checkpointer=saver)
app.invoke(ASKED, THREAD)
assert ledger.ran == [] and app.get_state(THREAD).interrupts
saver.conn.close()
"""


def test_a_held_turn_is_approved_in_another_process_and_drawn_in_none(
    ledger: Ledger, tmp_path: Path, pytestconfig: pytest.Config
) -> None:
    path = tmp_path / "checkpoints.db"
    command = [sys.executable, "-c", FIRST_PROCESS, str(path)]
    subprocess.run(command, check=True, cwd=pytestconfig.rootpath, timeout=60)
    saver = saved(path)
    model = ScriptedModel(turns=[turn(text="The end.")])
    policy = Policy(
        read=Rule(threshold=0.05), destructive=Rule(on_low="escalate"), max_corrections=0
    )
    app = agent(model, Guard(rated(NO_BOB), policy=policy), ledger, checkpointer=saver)
    approve = Command(resume={"decisions": [{"type": "approve"}]})
    messages = app.invoke(approve, THREAD)["messages"]
    saver.conn.close()
    assert ledger.ran == [PAY_BOB], "the balance was refused by the process that judged it"
    assert len(model.seen) == 1
    assert_valid_history(messages)


def test_an_approval_that_waited_for_its_tools_survives_a_restart(
    ledger: Ledger, tmp_path: Path
) -> None:
    first = saved(tmp_path / "checkpoints.db")
    model = ScriptedModel(turns=[turn(CHECKING)])
    app = agent(model, Guard(rated({})), ledger, checkpointer=first)
    app.invoke(ASKED, THREAD, interrupt_before=["tools"])
    first.conn.close()
    second = saved(tmp_path / "checkpoints.db")
    model = ScriptedModel(turns=[turn(text="100")])
    app = agent(model, Guard(rated({})), ledger, checkpointer=second)
    messages = app.invoke(None, THREAD)["messages"]
    second.conn.close()
    assert ledger.ran == [CHECKING]
    assert_valid_history(messages)


def test_a_verdict_of_another_version_approves_nothing_and_is_recorded_as_blocked(
    ledger: Ledger, tmp_path: Path
) -> None:
    model = ScriptedModel(turns=[turn(CHECKING), turn(text="The end.")])
    with TraceStore(tmp_path / "traces.db") as store:
        app = agent(model, Guard(rated({}), store=store), ledger, checkpointer=InMemorySaver())
        app.invoke(ASKED, THREAD, interrupt_before=["tools"])
        proposal = app.get_state(THREAD).values["messages"][-1]
        verdict = {**proposal.response_metadata[METADATA_KEY], "version": 99}
        older = proposal.model_copy(update={"response_metadata": {METADATA_KEY: verdict}})
        app.update_state(THREAD, {"messages": [older]}, as_node="GuardMiddleware.after_model")
        messages = app.invoke(None, THREAD)["messages"]
        assert store.flush()
        [outcome] = store.outcomes("c0")
    assert ledger.ran == []
    assert "could not judge" in messages[2].text
    assert "version 99" in messages[2].text
    assert (outcome.kind, outcome.ok) == ("blocked", False)
    assert_valid_history(messages)


@WAYS
async def test_an_outage_does_not_overrule_the_score_that_sent_a_draft_back(
    ledger: Ledger, way: str
) -> None:
    """The scorer says no, then fails over the correction: an open policy ran the first draft."""
    rates = iter([[0.1]])
    model = ScriptedModel(turns=[turn(CHECKING), turn(SAVINGS, prefix="d"), turn(text="The end.")])
    app = agent(model, Guard(FakeScorer(lambda request: next(rates))), ledger)
    await run(app, way)
    assert ledger.ran == []


@WAYS
async def test_an_outage_does_not_overrule_the_score_that_a_budget_doubted(
    ledger: Ledger, way: str
) -> None:
    rates = iter([[0.1]])
    model = ScriptedModel(turns=[turn(CHECKING), turn(SAVINGS, prefix="d"), turn(text="The end.")])
    guard = Guard(FakeScorer(lambda request: next(rates)), policy=STRICT)
    await run(agent(model, guard, ledger, n=Budget(max_samples=2)), way)
    assert ledger.ran == []


class AddsACall(AgentMiddleware[Any, Any, Any]):
    """Adds a call to the turn before the guard settles it."""

    def after_model(self, state: Any, runtime: Any) -> Any:
        message = state["messages"][-1]
        if not message.tool_calls:
            return None
        extra = {
            "name": "get_balance",
            "args": {"account": "third"},
            "id": "x0",
            "type": "tool_call",
        }
        calls = [*message.tool_calls, extra]
        return {"messages": [message.model_copy(update={"tool_calls": calls})]}


@WAYS
async def test_an_outage_over_an_edited_turn_keeps_what_was_refused_of_it(
    ledger: Ledger, way: str
) -> None:
    rates = iter([[0.1]])
    model = ScriptedModel(turns=[turn(CHECKING), turn(text="The end.")])
    guard = Guard(FakeScorer(lambda request: next(rates)), policy=STRICT)
    await run(agent(model, guard, ledger, after=[AddsACall()]), way)
    assert ledger.ran == [("get_balance", {"account": "third"})]


@pytest.mark.parametrize(
    ("options", "says"),
    [({"n": 0}, "n is 0"), ({"tools": [{"name": "a"}, {"name": "a"}]}, "'a'")],
)
def test_a_wrong_set_up_fails_before_the_agent_starts(options: Any, says: str) -> None:
    with pytest.raises(ConfigurationError, match=says):
        GuardMiddleware(Guard(rated({})), **options)


@WAYS
@pytest.mark.parametrize(
    ("decision", "ran"),
    [
        ({"type": "approve"}, []),
        ({"type": "reject"}, []),
        ({"type": "respond", "message": "Did it."}, []),
        ({"type": "edit", "edited_action": EDITED}, [PAY_ANN]),
    ],
)
async def test_what_the_guard_refused_and_another_human_decides_is_answered_once(
    ledger: Ledger, way: str, decision: Any, ran: list[CallSpec]
) -> None:
    """HumanInTheLoopMiddleware asks about refused calls, too; its answers were second ones."""
    model = ScriptedModel(turns=[turn(PAY_BOB, CHECKING), turn(text="The end.")])
    policy = Policy(destructive=Rule(threshold=0.8), max_corrections=0)
    guard = Guard(rated({"bob": 0.6}), policy=policy)
    human: Any = HumanInTheLoopMiddleware(interrupt_on={"transfer": True})
    app = agent(model, guard, ledger, before=[human], checkpointer=InMemorySaver())
    await run(app, way, config=THREAD)
    await run(app, way, Command(resume={"decisions": [decision]}), THREAD)
    assert sorted(map(str, ledger.ran)) == sorted(map(str, [CHECKING, *ran]))


@WAYS
async def test_a_rejection_on_its_normal_way_is_not_recorded_as_blocked(
    ledger: Ledger, tmp_path: Path, way: str
) -> None:
    model = ScriptedModel(turns=[turn(PAY_BOB), turn(text="The end.")])
    with TraceStore(tmp_path / "traces.db") as store:
        await run(agent(model, Guard(rated(NO_BOB), policy=STRICT, store=store), ledger), way)
        assert store.flush()
        assert list(store.outcomes()) == []
    assert ledger.ran == []


@WAYS
@pytest.mark.parametrize(("to", "kind"), [("ann", "execution"), ("bob", "blocked")])
async def test_the_review_of_an_edit_outside_the_guard_names_the_one_it_replaces(
    ledger: Ledger, tmp_path: Path, way: str, to: str, kind: str
) -> None:
    model = ScriptedModel(turns=[turn(("transfer", {"amount": 5.0, "to": "cat"})), turn(text="!")])
    human: Any = HumanInTheLoopMiddleware(interrupt_on={"transfer": True})
    action = {"name": "transfer", "args": {"amount": 5.0, "to": to}}
    edit = Command(resume={"decisions": [{"type": "edit", "edited_action": action}]})
    with TraceStore(tmp_path / "traces.db") as store:
        guard = Guard(rated(NO_BOB), policy=STRICT, store=store)
        app = agent(model, guard, ledger, before=[human], checkpointer=InMemorySaver())
        await run(app, way, config=THREAD)
        await run(app, way, edit, THREAD)
        assert store.flush()
        first, edited, _ = store.reviews()
        [outcome] = store.outcomes("c0")
    assert edited.parent_id == first.id
    assert outcome.kind == kind
    assert outcome.digest == edited.candidates[0].calls[0].digest


@tool
def returns_command(x: str, tool_call_id: Annotated[str, InjectedToolCallId]) -> Any:
    """Fail in the way of tools that write to the state."""
    failed = ToolMessage("it failed", tool_call_id=tool_call_id, status="error")
    return Command(update={"messages": [failed]})


@WAYS
async def test_an_error_inside_a_command_is_recorded_as_one(
    ledger: Ledger, tmp_path: Path, way: str
) -> None:
    model = ScriptedModel(turns=[turn(("returns_command", {"x": "y"})), turn(text="The end.")])
    with TraceStore(tmp_path / "traces.db") as store:
        guard = Guard(rated({}), store=store)
        await run(agent(model, guard, ledger, extra_tools=[returns_command]), way)
        assert store.flush()
        [outcome] = store.outcomes()
    assert (outcome.ok, outcome.content) == (False, "it failed")


REPLY = ToolMessage("no", tool_call_id="c0", status="error")
OTHER = ToolMessage("yes", tool_call_id="c1")


@pytest.mark.parametrize(
    ("result", "ok"),
    [
        (Command(update=[OTHER, REPLY]), False),
        (Command(update={"messages": REPLY}), False),
        ([OTHER, Command(update={"messages": [REPLY]})], False),
        (Command(update={"messages": [OTHER], "other": [REPLY]}), True),
        (Command(goto="elsewhere"), True),
    ],
)
def test_the_reply_to_a_call_is_found_wherever_a_tool_puts_it(
    tmp_path: Path, result: Any, ok: bool
) -> None:
    state = {"messages": [turn(CHECKING)]}
    with TraceStore(tmp_path / "traces.db") as store:
        guard = Guard(rated({}), policy=Policy(mode="shadow"), store=store)
        request: Any = SimpleNamespace(
            tool_call=turn(CHECKING).tool_calls[0],
            state=state,
            tool=None,
            runtime=SimpleNamespace(config={}),
        )
        assert GuardMiddleware(guard).wrap_tool_call(request, lambda _: result) is result
        assert store.flush()
        [outcome] = store.outcomes()
    assert outcome.ok == ok


@WAYS
async def test_a_tool_that_changes_its_arguments_is_recorded_with_those_it_was_given(
    ledger: Ledger, tmp_path: Path, way: str
) -> None:
    call = turn(PAY_ANN).tool_calls[0]

    def changes(request: Any) -> ToolMessage:
        request.tool_call["args"].clear()
        return ToolMessage("done", tool_call_id="c0")

    async def achanges(request: Any) -> ToolMessage:
        return changes(request)

    with TraceStore(tmp_path / "traces.db") as store:
        middleware = GuardMiddleware(Guard(rated({}), policy=Policy(mode="shadow"), store=store))
        given = Call.parse(call).digest
        request: Any = SimpleNamespace(
            tool_call=call, state={}, runtime=SimpleNamespace(config={}), tool=None
        )
        if way == "sync":
            middleware.wrap_tool_call(request, changes)
        else:
            await middleware.awrap_tool_call(request, achanges)
        assert store.flush()
        [outcome] = store.outcomes()
    assert outcome.digest == given
