"""A human decides about held calls in plain LangGraph: the guard node asks, and only it."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.types import Command

from tests.support.agents import ASKED, CHECKING, PAY_ANN, PAY_BOB, SAVINGS, graph, rated
from tests.support.histories import assert_valid_history
from tests.support.scripted import CallSpec, Ledger, ScriptedModel, turn
from toolrm_guard import Guard, Policy, Rule, TraceStore

THREAD: Any = {"configurable": {"thread_id": "1"}}
PLACES = pytest.mark.parametrize("in_place", [True, False], ids=["in place", "behind"])
PAY_MALLORY: CallSpec = ("transfer", {"amount": 5.0, "to": "mallory"})


def holds(**options: Any) -> Guard:
    """A guard that asks about every transfer, and finds mallory unlikely."""
    policy = Policy(
        destructive=Rule(threshold=0.8, on_low="escalate"),
        read=Rule(threshold=0.5),
        max_corrections=0,
    )
    return Guard(rated({"mallory": 0.1, "ann": 0.85}, otherwise=0.6), policy=policy, **options)


def edit_to(call: CallSpec) -> dict[str, Any]:
    return {"type": "edit", "edited_action": {"name": call[0], "args": call[1]}}


def answer(*decisions: dict[str, Any]) -> Command[Any]:
    return Command(resume={"decisions": list(decisions)})


APPROVE = {"type": "approve"}
REJECT = {"type": "reject", "message": "Not to bob."}
RESPOND = {"type": "respond", "message": "I paid him in cash."}


@PLACES
@pytest.mark.parametrize(
    ("decision", "ran", "told"),
    [
        (APPROVE, [PAY_BOB], "done"),
        (edit_to(PAY_ANN), [PAY_ANN], "done"),
        (edit_to(PAY_MALLORY), [], "A human edited this call, and the edited one was not approved"),
        (REJECT, [], "They said: Not to bob."),
        (RESPOND, [], "I paid him in cash."),
    ],
    ids=["approve", "edit to good", "edit to bad", "reject", "respond"],
)
def test_what_the_human_says_is_what_happens(
    ledger: Ledger, in_place: bool, decision: dict[str, Any], ran: list[CallSpec], told: str
) -> None:
    model = ScriptedModel(turns=[turn(PAY_BOB), turn(text="The end.")])
    app = graph(model, holds(), ledger, in_place=in_place, checkpointer=InMemorySaver())
    [asked] = app.invoke(ASKED, THREAD)["__interrupt__"]
    assert asked.value["action_requests"][0]["name"] == "transfer"
    assert ledger.ran == []
    messages = app.invoke(answer(decision), THREAD)["messages"]
    assert ledger.ran == ran
    assert told in messages[2].text
    assert messages[2].status == ("success" if ran or decision is RESPOND else "error")
    assert messages[-1].text == "The end."
    assert_valid_history(messages)


@PLACES
def test_approved_calls_of_a_held_turn_wait_and_run_exactly_once(
    ledger: Ledger, in_place: bool
) -> None:
    model = ScriptedModel(turns=[turn(CHECKING, PAY_BOB, SAVINGS, PAY_BOB_AGAIN), turn(text="!")])
    app = graph(model, holds(), ledger, in_place=in_place, checkpointer=InMemorySaver())
    [asked] = app.invoke(ASKED, THREAD)["__interrupt__"]
    assert [r["args"] for r in asked.value["action_requests"]] == [PAY_BOB[1], PAY_BOB_AGAIN[1]]
    assert ledger.ran == [], "the turn is one step: nothing of it runs while a human is asked"
    messages = app.invoke(answer(APPROVE, REJECT), THREAD)["messages"]
    assert sorted(map(str, ledger.ran)) == sorted(map(str, [CHECKING, PAY_BOB, SAVINGS]))
    assert_valid_history(messages)


PAY_BOB_AGAIN: CallSpec = ("transfer", {"amount": 7.0, "to": "bob"})


@PLACES
def test_answers_that_cannot_be_read_are_asked_for_again(ledger: Ledger, in_place: bool) -> None:
    model = ScriptedModel(turns=[turn(PAY_BOB), turn(text="The end.")])
    app = graph(model, holds(), ledger, in_place=in_place, checkpointer=InMemorySaver())
    app.invoke(ASKED, THREAD)
    for garbage in ("yes", {"decisions": []}, [{"type": "fly"}], {"decisions": [{"type": "edit"}]}):
        [asked] = app.invoke(Command(resume=garbage), THREAD)["__interrupt__"]
        assert "could not be read" in asked.value["action_requests"][0]["description"]
        assert ledger.ran == []
    app.invoke(answer(APPROVE), THREAD)
    assert ledger.ran == [PAY_BOB]
    assert len(model.seen) == 2


@PLACES
def test_every_call_refused_by_the_human_sends_the_agent_back_to_the_model(
    ledger: Ledger, in_place: bool
) -> None:
    model = ScriptedModel(turns=[turn(PAY_BOB, PAY_BOB_AGAIN), turn(CHECKING, prefix="d")])
    model.turns.append(turn(text="100"))
    app = graph(model, holds(), ledger, in_place=in_place, checkpointer=InMemorySaver())
    app.invoke(ASKED, THREAD)
    messages = app.invoke(answer(REJECT, RESPOND), THREAD)["messages"]
    assert ledger.ran == [CHECKING]
    assert messages[-1].text == "100"
    assert_valid_history(messages)


@PLACES
def test_without_a_checkpointer_a_held_call_is_refused_and_nobody_is_asked(
    ledger: Ledger, in_place: bool
) -> None:
    model = ScriptedModel(turns=[turn(PAY_BOB, CHECKING), turn(text="The end.")])
    state = graph(model, holds(), ledger, in_place=in_place).invoke(ASKED)
    assert "__interrupt__" not in state
    assert ledger.ran == [CHECKING]
    assert any("could not wait" in m.text for m in state["messages"] if m.type == "tool")
    assert_valid_history(state["messages"])


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Path]:
    return tmp_path / "checkpoints.db"


def saver(path: Path) -> SqliteSaver:
    return SqliteSaver(sqlite3.connect(path, check_same_thread=False))


@PLACES
def test_a_question_survives_a_restart_and_samples_nothing_again(
    ledger: Ledger, in_place: bool, database: Path
) -> None:
    before = saver(database)
    first = ScriptedModel(turns=[turn(PAY_BOB, CHECKING)])
    graph(first, holds(), ledger, in_place=in_place, checkpointer=before).invoke(ASKED, THREAD)
    before.conn.close()
    after = saver(database)
    # Another process: a new graph, a new guard, and a model that was never asked for this turn.
    second = ScriptedModel(turns=[turn(text="The end.")])
    app = graph(second, holds(), ledger, in_place=in_place, checkpointer=after)
    messages = app.invoke(answer(APPROVE), THREAD)["messages"]
    after.conn.close()
    assert sorted(map(str, ledger.ran)) == sorted(map(str, [PAY_BOB, CHECKING]))
    assert len(second.seen) == 1
    assert_valid_history(messages)


def test_the_humans_decision_is_recorded_beside_the_review(ledger: Ledger, tmp_path: Path) -> None:
    with TraceStore(tmp_path / "traces.db") as store:
        model = ScriptedModel(turns=[turn(PAY_BOB), turn(text="The end.")])
        app = graph(model, holds(store=store), ledger, checkpointer=InMemorySaver())
        app.invoke(ASKED, THREAD)
        app.invoke(answer(REJECT), THREAD)
        assert store.flush()
        [outcome] = store.outcomes("c0")
    assert (outcome.kind, outcome.ok, outcome.conversation_id) == ("human", False, "1")
    assert "Not to bob." in outcome.content


@PLACES
async def test_the_async_graph_asks_and_heeds_as_the_sync_one(
    ledger: Ledger, in_place: bool
) -> None:
    model = ScriptedModel(turns=[turn(PAY_BOB), turn(text="The end.")])
    app = graph(model, holds(), ledger, in_place=in_place, checkpointer=InMemorySaver())
    await app.ainvoke(ASKED, THREAD)
    assert ledger.ran == []
    state = await app.ainvoke(answer(edit_to(PAY_ANN)), THREAD)
    assert ledger.ran == [PAY_ANN]
    assert_valid_history(state["messages"])


def test_agent_inbox_is_asked_and_heard_in_its_own_form(ledger: Ledger) -> None:
    model = ScriptedModel(turns=[turn(PAY_BOB), turn(text="The end.")])
    app = graph(model, holds(), ledger, checkpointer=InMemorySaver(), inbox="agent_inbox")
    [asked] = app.invoke(ASKED, THREAD)["__interrupt__"]
    assert asked.value[0]["action_request"] == {"action": "transfer", "args": PAY_BOB[1]}
    edit = {"type": "edit", "args": {"action": PAY_ANN[0], "args": PAY_ANN[1]}}
    app.invoke(Command(resume=[edit]), THREAD)
    assert ledger.ran == [PAY_ANN]


def test_a_turn_answered_in_part_is_reviewed_again_without_drawing_another(
    ledger: Ledger,
) -> None:
    """A draft in its place left the answers that were there to no call at all."""
    drafts = [turn(PAY_BOB, CHECKING), turn(text="a draft"), turn(text="The end."), turn(text="-")]
    model = ScriptedModel(turns=drafts)
    app = graph(model, holds(), ledger, checkpointer=InMemorySaver())
    app.invoke(ASKED, THREAD)
    app.invoke(answer(REJECT), THREAD, interrupt_before=["tools"])
    proposal = app.get_state(THREAD).values["messages"][1]
    changed = proposal.model_copy(deep=True)
    changed.tool_calls[1]["args"] = SAVINGS[1]
    app.update_state(THREAD, {"messages": [changed]}, as_node="model")
    messages = app.invoke(Command(goto="guard"), THREAD)["messages"]
    assert ledger.ran == [SAVINGS]
    assert_valid_history(messages)
