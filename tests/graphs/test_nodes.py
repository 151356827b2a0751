"""The guard in a real LangGraph: nothing runs that was not approved."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage, RemoveMessage, ToolMessage
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.types import Command, Send

from tests.support.scripted import Ledger, ScriptedModel, turn
from toolrm_guard import (
    ConfigurationError,
    FakeScorer,
    Guard,
    Policy,
    Rule,
    ScoreRequest,
    TraceStore,
    guard_node,
    guarded_tool_node,
)


def likes(*, transfer: float = 0.1, balance: float = 0.9, text: float = 0.9) -> FakeScorer:
    """A scorer that rates a candidate by its first call."""

    def rate(request: ScoreRequest) -> list[float]:
        rates = {"transfer": transfer, "get_balance": balance}
        return [rates.get(c.calls[0].name, 0.5) if c.calls else text for c in request.candidates]

    return FakeScorer(rate)


def build(
    model: ScriptedModel,
    guard: Guard,
    ledger: Ledger,
    *,
    n: int = 1,
    draws: bool = True,
    checkpointer: Any = None,
) -> Any:
    tools = [ledger.get_balance, ledger.transfer]
    graph = StateGraph(MessagesState)
    graph.add_node("model", lambda state: {"messages": [model.invoke(state["messages"])]})
    node = guard_node(guard, tools, model=model if draws else None, n=n, model_node="model")
    graph.add_node("guard", node)
    graph.add_node("tools", guarded_tool_node(tools, guard))
    graph.add_edge(START, "model")
    graph.add_edge("model", "guard")
    graph.add_edge("tools", "model")
    return graph.compile(checkpointer=checkpointer)


def ask(graph: Any, text: str = "How much is on checking?", **config: Any) -> list[Any]:
    return graph.invoke({"messages": [HumanMessage(text)]}, config or None)["messages"]


def assert_every_call_is_answered_once(messages: list[Any]) -> None:
    for index, message in enumerate(messages):
        if isinstance(message, AIMessage) and message.tool_calls:
            wanted = [call["id"] for call in message.tool_calls]
            answers = []
            for later in messages[index + 1 :]:
                if not isinstance(later, ToolMessage):
                    break
                answers.append(later.tool_call_id)
            assert sorted(answers) == sorted(wanted)


def test_an_approved_call_runs_and_the_agent_goes_on(ledger: Ledger) -> None:
    model = ScriptedModel(turns=[turn(("get_balance", {"account": "checking"})), turn(text="100")])
    messages = ask(build(model, Guard(likes()), ledger, draws=False))
    assert ledger.ran == [("get_balance", {"account": "checking"})]
    assert messages[-1].text == "100"
    assert_every_call_is_answered_once(messages)


def test_a_low_score_never_runs_and_its_critique_reaches_the_model(
    ledger: Ledger, tmp_path: Path
) -> None:
    model = ScriptedModel(
        turns=[turn(("transfer", {"amount": 5, "to": "bob"})), turn(text="I did nothing.")]
    )
    with TraceStore(tmp_path / "traces.db") as store:
        messages = ask(build(model, Guard(likes(), store=store), ledger, draws=False))
        store.flush()
        assert [record.decision for record in store.reviews()] == ["reject", "execute"]
    assert ledger.ran == []
    assert messages[2].status == "error"
    assert "was not accepted" in messages[2].content
    assert_every_call_is_answered_once(messages)


def test_the_best_of_n_replaces_the_proposal_in_place(ledger: Ledger) -> None:
    model = ScriptedModel(
        turns=[
            turn(("transfer", {"amount": 5, "to": "bob"})),
            turn(("get_balance", {"account": "checking"}), prefix="d"),
            turn(text="100"),
        ]
    )
    model.turns.append(turn(text="the second draft of the last turn"))
    messages = ask(build(model, Guard(likes()), ledger, n=2))
    assert ledger.ran == [("get_balance", {"account": "checking"})]
    assert [m.type for m in messages] == ["human", "ai", "tool", "ai"]
    assert "bob" not in str(messages), "a rejected draft must not stay in the history"


def test_a_correction_happens_off_the_history_and_is_capped(ledger: Ledger) -> None:
    bad = ("transfer", {"amount": 5, "to": "bob"})
    model = ScriptedModel(
        turns=[turn(bad), turn(("get_balance", {"account": "checking"})), turn(text="100")]
    )
    messages = ask(build(model, Guard(likes()), ledger))
    assert ledger.ran == [("get_balance", {"account": "checking"})]
    shown = model.seen[1]
    assert shown[-1].type == "tool"
    assert "was not accepted" in shown[-1].content
    assert "was not accepted" not in str(messages)
    assert [m.type for m in messages] == ["human", "ai", "tool", "ai"]


def test_corrections_end_when_the_policy_says(ledger: Ledger) -> None:
    bad = ("transfer", {"amount": 5, "to": "bob"})
    model = ScriptedModel(turns=[turn(bad, prefix=f"t{i}") for i in range(20)])
    guard = Guard(likes(), policy=Policy(max_corrections=2, max_rejections=1))
    messages = ask(build(model, guard, ledger))
    assert ledger.ran == []
    assert 20 - len(model.turns) == 6  # two proposals, each with two corrections
    assert messages[-1].text == "No proposed call was approved, so none was executed."
    assert_every_call_is_answered_once(messages)


def test_a_correction_that_scores_no_better_does_not_replace_its_draft(ledger: Ledger) -> None:
    model = ScriptedModel(
        turns=[
            turn(("transfer", {"amount": 5, "to": "bob"})),
            turn(("transfer", {"amount": 6, "to": "bob"})),
        ]
    )
    guard = Guard(likes(), policy=Policy(max_corrections=1, max_rejections=0))
    messages = ask(build(model, guard, ledger))
    assert messages[1].tool_calls[0]["args"]["amount"] == 5


def test_a_partial_rejection_runs_the_rest_and_keeps_every_call(ledger: Ledger) -> None:
    model = ScriptedModel(
        turns=[
            turn(("get_balance", {"account": "checking"}), ("transfer", {"amount": 5, "to": "b"})),
            turn(text="100"),
        ]
    )
    guard = Guard(
        FakeScorer(lambda request: [0.6]),
        policy=Policy(destructive=Rule(threshold=0.8), max_corrections=0),
    )
    messages = ask(build(model, guard, ledger, draws=False))
    assert ledger.ran == [("get_balance", {"account": "checking"})]
    assert len(messages[1].tool_calls) == 2
    assert_every_call_is_answered_once(messages)


@pytest.mark.parametrize("kind", ["state", "send"])
def test_no_other_route_to_the_tool_node_runs_an_unapproved_call(ledger: Ledger, kind: str) -> None:
    """A node that jumps to the tools, as other middleware does, gets a refusal, not a transfer."""
    call = turn(("transfer", {"amount": 5, "to": "bob"}))
    guard = Guard(likes())

    def jump(state: MessagesState) -> Command[str]:
        if kind == "state":
            return Command(update={"messages": [call]}, goto="tools")
        return Command(
            update={"messages": [call]}, goto=[Send("tools", [dict(call.tool_calls[0])])]
        )

    graph = StateGraph(MessagesState)
    graph.add_node("jump", jump)
    graph.add_node("tools", guarded_tool_node([ledger.transfer], guard))
    graph.add_edge(START, "jump")
    messages = ask(graph.compile())
    assert ledger.ran == []
    assert messages[-1].status == "error"


def test_an_edited_call_is_a_new_call_and_does_not_run(ledger: Ledger) -> None:
    model = ScriptedModel(turns=[turn(("get_balance", {"account": "checking"})), turn(text="?")])
    graph = build(model, Guard(likes()), ledger, draws=False, checkpointer=InMemorySaver())
    config = {"configurable": {"thread_id": "1"}}
    graph.invoke({"messages": [HumanMessage("?")]}, config, interrupt_before=["tools"])
    proposal = graph.get_state(config).values["messages"][-1]
    edited = proposal.model_copy(deep=True)
    edited.tool_calls[0]["args"] = {"account": "savings"}
    graph.update_state(config, {"messages": [edited]}, as_node="guard")
    graph.invoke(Command(goto="tools"), config)
    assert ledger.ran == []


def test_an_approved_call_that_is_answered_does_not_run_again(ledger: Ledger) -> None:
    model = ScriptedModel(turns=[turn(("get_balance", {"account": "checking"})), turn(text="100")])
    graph = build(model, Guard(likes()), ledger, draws=False, checkpointer=InMemorySaver())
    config = {"configurable": {"thread_id": "1"}}
    before = graph.invoke({"messages": [HumanMessage("?")]}, config)["messages"]
    graph.update_state(config, {"messages": [RemoveMessage(id=before[-1].id)]}, as_node="guard")
    model.turns.append(turn(text="still 100"))
    after = graph.invoke(Command(goto="tools"), config)["messages"]
    assert len(ledger.ran) == 1
    assert_every_call_is_answered_once(after)


def test_an_approval_survives_a_restart_in_the_middle_of_a_run(ledger: Ledger) -> None:
    saver = InMemorySaver()
    config = {"configurable": {"thread_id": "1"}}
    model = ScriptedModel(turns=[turn(("get_balance", {"account": "checking"})), turn(text="100")])
    first = build(model, Guard(likes()), ledger, draws=False, checkpointer=saver)
    first.invoke({"messages": [HumanMessage("?")]}, config, interrupt_before=["tools"])
    second = build(model, Guard(likes()), ledger, draws=False, checkpointer=saver)
    second.invoke(None, config)
    assert ledger.ran == [("get_balance", {"account": "checking"})]


def test_a_tool_error_is_told_to_the_model_and_recorded(ledger: Ledger, tmp_path: Any) -> None:
    model = ScriptedModel(
        turns=[turn(("transfer", {"amount": 5000, "to": "bob"})), turn(text="No funds.")]
    )
    with TraceStore(tmp_path / "traces.db") as store:
        graph = build(model, Guard(likes(transfer=0.9), store=store), ledger, draws=False)
        messages = ask(graph, configurable={"thread_id": "t-1"})
        assert store.flush()
        [outcome] = store.outcomes()
        reviews = list(store.reviews())
    assert messages[2].status == "error"
    assert not outcome.ok
    assert "insufficient funds" in outcome.content
    assert outcome.digest == reviews[0].candidates[0].calls[0].digest
    assert reviews[0].conversation_id == "t-1"


async def test_the_async_graph_behaves_like_the_sync_one(ledger: Ledger) -> None:
    model = ScriptedModel(
        turns=[
            turn(("transfer", {"amount": 5, "to": "bob"})),
            turn(("get_balance", {"account": "checking"})),
            turn(text="100"),
        ]
    )
    graph = build(model, Guard(likes()), ledger)
    result = await graph.ainvoke({"messages": [HumanMessage("How much?")]})
    assert ledger.ran == [("get_balance", {"account": "checking"})]
    assert_every_call_is_answered_once(result["messages"])


def test_drafts_do_not_leak_into_the_token_stream(ledger: Ledger) -> None:
    model = ScriptedModel(
        turns=[turn(text="weak"), turn(text="secret draft"), turn(text="better draft")]
    )
    guard = Guard(FakeScorer(lambda request: [0.1, 0.2, 0.9][: len(request.candidates)]))
    graph = build(model, guard, ledger, n=3)
    streamed = "".join(
        str(chunk.content)
        for chunk, _ in graph.stream({"messages": [HumanMessage("Hi")]}, stream_mode="messages")
    )
    assert "secret draft" not in streamed


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda guard: guard_node(guard, [], n=0), "n is 0"),
        (lambda guard: guard_node(guard, [], n=4), "no model to draw from"),
        (lambda guard: guard_node(guard, []), "or model_node=... to stand behind one"),
        (lambda guard: guard_node(guard, [{"name": "a"}, {"name": "a"}], model_node="m"), "'a'"),
        (
            lambda guard: guard_node(
                guard, [{"name": "a", "parameters": {"type": "objekt"}}], model_node="m"
            ),
            "objekt",
        ),
    ],
)
def test_a_wrong_set_up_fails_before_the_agent_starts(
    make: Callable[[Guard], object], says: str
) -> None:
    with pytest.raises(ConfigurationError, match=says):
        make(Guard(likes()))


def test_a_state_without_the_messages_key_is_named(ledger: Ledger) -> None:
    node = guard_node(Guard(likes()), [ledger.transfer], messages_key="chat", model_node="model")
    with pytest.raises(ConfigurationError, match="'chat'"):
        node.invoke({"messages": [turn(text="hi")]})


def test_unreadable_arguments_are_rejected_and_answered(ledger: Ledger) -> None:
    broken = AIMessage(
        content="",
        invalid_tool_calls=[
            {"name": "transfer", "args": '{"amount": ', "id": "c0", "error": "bad json"}
        ],
    )
    model = ScriptedModel(turns=[broken, turn(text="Sorry.")])
    messages = ask(build(model, Guard(likes(transfer=0.99)), ledger, draws=False))
    assert ledger.ran == []
    assert messages[2].tool_call_id == "c0"
    assert messages[-1].text == "Sorry."


def test_a_model_that_never_writes_readable_arguments_is_stopped(ledger: Ledger) -> None:
    def broken(index: int) -> AIMessage:
        call = {"name": "transfer", "args": "{", "id": f"b{index}", "error": "bad json"}
        return AIMessage(content="", invalid_tool_calls=[call])

    model = ScriptedModel(turns=[broken(index) for index in range(30)])
    messages = ask(build(model, Guard(likes()), ledger, draws=False))
    assert len(model.turns) == 27
    assert messages[-1].text == "No proposed call was approved, so none was executed."


def test_a_call_that_was_refused_once_may_be_approved_later(ledger: Ledger) -> None:
    rates = iter([0.1, 0.9, 0.9])
    call = ("transfer", {"amount": 5, "to": "bob"})
    model = ScriptedModel(turns=[turn(call), turn(call, prefix="d"), turn(text="Done.")])
    guard = Guard(FakeScorer(lambda request: [next(rates)]))
    ask(build(model, guard, ledger, draws=False))
    assert ledger.ran == [call]
