"""Our scorers as the judge of AutoModeMiddleware."""

from typing import Any

import pytest
from langchain.agents import create_agent
from langchain_core.messages import AIMessage, HumanMessage

from tests.support.scripted import Ledger, ScriptedModel, turn
from toolrm_guard import FakeScorer, ScoreRequest
from toolrm_guard.peers.auto_mode import ToolRMDecision

QUESTIONS = {"is_risky": "would it be risky?"}


def rate(request: ScoreRequest) -> list[float]:
    return [0.2 if c.calls[0].name == "transfer" else 0.9 for c in request.candidates]


def ask(decision: ToolRMDecision, name: str, args: dict[str, Any]) -> float:
    proposal = AIMessage(content="", tool_calls=[{"name": name, "args": args, "id": "c"}])
    state = {
        "messages": [HumanMessage("What do I have?"), proposal],
        "tool_call": {"id": "c", "name": name, "args": args},
    }
    return decision.invoke({"state": state, "questions": QUESTIONS}).nouls["is_risky"].noul


def test_the_risk_is_the_probability_that_the_call_is_wrong(ledger: Ledger) -> None:
    decision = ToolRMDecision(FakeScorer(rate), [ledger.get_balance, ledger.transfer])
    assert ask(decision, "transfer", {"amount": 1, "to": "bob"}) == pytest.approx(0.8)
    assert ask(decision, "get_balance", {"account": "x"}) == pytest.approx(0.1)


def test_a_call_that_cannot_be_right_is_certain_to_be_wrong(ledger: Ledger) -> None:
    decision = ToolRMDecision(FakeScorer(lambda request: [0.99]), [ledger.transfer])
    assert ask(decision, "transfer", {"amount": "much"}) == 1.0


def test_the_turn_itself_is_not_part_of_the_evidence(ledger: Ledger) -> None:
    shown: list[int] = []

    def count(request: ScoreRequest) -> list[float]:
        shown.append(len(request.messages))
        return [0.9]

    ask(ToolRMDecision(FakeScorer(count), [ledger.get_balance]), "get_balance", {"account": "x"})
    assert shown == [1]


def test_the_middleware_blocks_by_our_score(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("langchain_typesafe", reason="AutoModeMiddleware is not installed")
    from langchain_typesafe.experimental.middleware import AutoModeMiddleware

    monkeypatch.setenv("TYPESAFE_API_KEY", "none; the classifier is replaced")
    middleware = AutoModeMiddleware(tools=["transfer", "get_balance"])
    tools = [ledger.get_balance, ledger.transfer]
    middleware.classifier = ToolRMDecision(FakeScorer(rate), tools)
    calls = [("transfer", {"amount": 5, "to": "bob"}), ("get_balance", {"account": "x"})]
    model = ScriptedModel(turns=[turn(*calls), turn(text="done")])
    create_agent(model, tools, middleware=[middleware]).invoke({"messages": [HumanMessage("?")]})
    assert ledger.ran == [("get_balance", {"account": "x"})]
