"""Odd but legal input: what a bare agent takes, a guarded one takes, too."""

from typing import Annotated, Any

import pytest
from langchain.agents import create_agent
from langchain.tools import ToolRuntime
from langchain_core.messages import ChatMessage, HumanMessage
from langchain_core.tools import tool
from langgraph.prebuilt import InjectedState

from tests.support.agents import SURFACES, surface
from tests.support.scripted import Ledger, ScriptedModel, turn
from toolrm_guard import (
    FakeScorer,
    Guard,
    GuardMiddleware,
    Policy,
    ScoreRequest,
    guard_node,
    guarded_tool_node,
)

BALANCE = ("get_balance", {"account": "checking"})


def guard(probability: float = 0.9, **policy: Any) -> Guard:
    scorer = FakeScorer(lambda request: [probability] * len(request.candidates))
    return Guard(scorer, policy=Policy(**policy))


@pytest.mark.parametrize("kind", SURFACES)
@pytest.mark.parametrize("mode", ["enforce", "shadow"])
def test_a_message_of_an_unheard_of_role_ends_no_run(ledger: Ledger, kind: str, mode: Any) -> None:
    model = ScriptedModel(turns=[turn(BALANCE), turn(text="100")])
    asked = [ChatMessage(role="moderator", content="Be kind."), HumanMessage("How much?")]
    done = surface(kind, model, guard(mode=mode), ledger).invoke({"messages": asked})
    assert ledger.ran == [BALANCE]
    assert done["messages"][-1].text == "100"


@pytest.mark.parametrize("mode", ["enforce", "shadow"])
def test_a_tool_with_an_odd_schema_ends_no_run(ledger: Ledger, mode: Any) -> None:
    odd = {"name": "odd", "description": "From a server.", "parameters": {"type": "any"}}
    model = ScriptedModel(turns=[turn(BALANCE), turn(text="100")])
    agent = create_agent(
        model, [ledger.get_balance, odd], middleware=[GuardMiddleware(guard(mode=mode))]
    )
    done = agent.invoke({"messages": [HumanMessage("How much?")]})
    assert ledger.ran == [BALANCE]
    assert done["messages"][-1].text == "100"


def test_arguments_that_the_graph_injects_are_asked_of_no_model() -> None:
    shown: list[ScoreRequest] = []

    def rate(request: ScoreRequest) -> list[float]:
        shown.append(request)
        return [0.9] * len(request.candidates)

    ran: list[str] = []

    def look(
        path: str, runtime: ToolRuntime, state: Annotated[dict[str, Any], InjectedState]
    ) -> str:
        """Look at a file."""
        assert state["messages"]
        assert runtime.tool_call_id == "c0"
        ran.append(path)
        return "seen"

    from langgraph.graph import START, MessagesState, StateGraph

    judge = Guard(FakeScorer(rate))
    model = ScriptedModel(turns=[turn(("look", {"path": "a.txt"})), turn(text="seen")])
    built = StateGraph(MessagesState)
    built.add_node("guard", guard_node(judge, [look], model=model))
    built.add_node("tools", guarded_tool_node([look], judge))
    built.add_edge(START, "guard")
    built.add_edge("tools", "guard")
    built.compile().invoke({"messages": [HumanMessage("Look at a.txt")]})
    assert ran == ["a.txt"]
    assert list(shown[0].tools["look"].properties) == ["path"]


def test_a_refused_call_of_a_tool_that_answers_directly_goes_back_to_the_model(
    ledger: Ledger,
) -> None:
    direct = tool("transfer", return_direct=True)(ledger.transfer)
    model = ScriptedModel(turns=[turn(("transfer", {"amount": 5, "to": "bob"})), turn(text="No.")])
    middleware = GuardMiddleware(guard(0.1, max_corrections=0))
    agent = create_agent(model, [direct], middleware=[middleware])
    done = agent.invoke({"messages": [HumanMessage("Pay bob")]})
    assert ledger.ran == []
    assert [m.type for m in done["messages"]] == ["human", "ai", "tool", "ai"]
    assert done["messages"][-1].text == "No."
