"""Our scorers inside its_hub's Best-of-N."""

from typing import Any

import pytest

its_hub = pytest.importorskip("its_hub")

from toolrm_guard import FakeScorer, ScoreRequest  # noqa: E402
from toolrm_guard.peers.its_hub import ToolRMReward  # noqa: E402

TOOLS = [{"name": "get_mail"}, {"name": "delete_mail"}]


def answer(name: str) -> dict[str, Any]:
    call = {"id": "c", "type": "function", "function": {"name": name, "arguments": "{}"}}
    return {"role": "assistant", "content": None, "tool_calls": [call]}


class Recorded(its_hub.AbstractLanguageModel):  # type: ignore[misc,name-defined]
    """Gives its answers in order."""

    def __init__(self, answers: list[dict[str, Any]]) -> None:
        self.answers = answers

    async def agenerate(self, messages: Any, stop: Any = None, **kwargs: Any) -> Any:
        return await self.agenerate_single(messages)

    async def agenerate_single(self, messages: Any, stop: Any = None, **kwargs: Any) -> Any:
        return self.answers.pop(0)


def prefers_reading(request: ScoreRequest) -> list[float]:
    assert list(request.tools) == ["get_mail", "delete_mail"], "the tools reach the scorer"
    return [0.9 if c.calls[0].name == "get_mail" else 0.2 for c in request.candidates]


async def test_best_of_n_selects_by_our_scores() -> None:
    reward = ToolRMReward(FakeScorer(prefers_reading), TOOLS)
    model = Recorded([answer("delete_mail"), answer("get_mail")])
    chosen = await its_hub.BestOfN(reward).ainfer(model, "What is new?", 2, tools=TOOLS)
    assert chosen["tool_calls"][0]["function"]["name"] == "get_mail"


def test_candidates_of_one_context_are_judged_together() -> None:
    sizes: list[int] = []

    def rate(request: ScoreRequest) -> list[float]:
        sizes.append(len(request.candidates))
        return prefers_reading(request)

    reward = ToolRMReward(FakeScorer(rate), TOOLS)
    first, second = {"role": "user", "content": "a"}, {"role": "user", "content": "b"}
    talks = [
        [first, answer("get_mail")],
        [second, answer("delete_mail")],
        [first, answer("delete_mail")],
    ]
    assert reward.score(talks) == [0.9, 0.2, 0.2]
    assert sorted(sizes) == [1, 2]
    assert reward.score(talks[0]) == 0.9
