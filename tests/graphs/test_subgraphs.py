"""Guarded agents inside other graphs: nothing is approved for a call that was never shown."""

from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.types import Command

from tests.support.agents import SURFACES, surface
from tests.support.scripted import Ledger, ScriptedModel, turn
from toolrm_guard import FakeScorer, Guard, Policy, Rule

ANN, BOB = ("transfer", {"amount": 5, "to": "ann"}), ("transfer", {"amount": 5, "to": "bob"})
HELD = Policy(destructive=Rule(on_low="escalate"), max_corrections=0)
APPROVE = Command(resume={"decisions": [{"type": "approve"}]})


def nested(kind: str, ledger: Ledger, *, checkpointer: Any) -> Any:
    """A guarded agent as a subgraph of a graph that has a checkpointer."""
    guard = Guard(FakeScorer(lambda request: [0.1] * len(request.candidates)), policy=HELD)
    model = ScriptedModel(turns=[turn(ANN), turn(BOB), AIMessage("done"), AIMessage("done")])
    built = StateGraph(MessagesState)
    built.add_node("agent", surface(kind, model, guard, ledger, checkpointer=checkpointer))
    built.add_edge(START, "agent")
    return built.compile(checkpointer=InMemorySaver())


@pytest.mark.parametrize("kind", SURFACES)
@pytest.mark.parametrize("durability", ["async", "exit"])
@pytest.mark.parametrize("stored", [True, False])
def test_an_answer_meets_only_the_call_that_it_was_given_for(
    ledger: Ledger, kind: str, durability: Any, stored: bool
) -> None:
    """A subgraph that stores nothing draws again on resume, and the answer was for another call.

    Without the check in `routing.settled_turn`, bob was paid where ann had been approved.
    """
    graph = nested(kind, ledger, checkpointer=None if stored else False)
    config = {"configurable": {"thread_id": "1"}}
    asked = graph.invoke({"messages": [HumanMessage("Pay")]}, config, durability=durability)
    assert asked["__interrupt__"][0].value["action_requests"][0]["args"]["to"] == "ann"
    graph.invoke(APPROVE, config, durability=durability)
    assert ledger.ran == ([ANN] if stored else [])


@pytest.mark.parametrize("kind", SURFACES)
async def test_it_is_the_same_in_async_code(ledger: Ledger, kind: str) -> None:
    graph = nested(kind, ledger, checkpointer=False)
    config = {"configurable": {"thread_id": "1"}}
    await graph.ainvoke({"messages": [HumanMessage("Pay")]}, config)
    await graph.ainvoke(APPROVE, config)
    assert ledger.ran == []


def test_of_two_agents_in_a_row_both_are_asked(ledger: Ledger) -> None:
    """The second one must not take the answer of the first for its own proposal."""
    guard = Guard(FakeScorer(lambda request: [0.9] * len(request.candidates)))
    built = StateGraph(MessagesState)
    for name in ("first", "second"):
        model = ScriptedModel(turns=[turn(text=f"{name} says")])
        built.add_node(name, surface("in place", model, guard, ledger))
    built.add_edge(START, "first")
    built.add_edge("first", "second")
    done = built.compile().invoke({"messages": [HumanMessage("Hi")]})
    assert [m.text for m in done["messages"]] == ["Hi", "first says", "second says"]
