"""Drafts: a failed one costs itself and not the turn, and nobody but a tracer hears of any."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from langchain_core.callbacks import (
    AsyncCallbackHandler,
    BaseCallbackHandler,
    UsageMetadataCallbackHandler,
)
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage
from langchain_core.outputs import ChatResult
from langchain_core.runnables import RunnableConfig
from langchain_core.tracers.base import BaseTracer
from langgraph.errors import GraphBubbleUp

from tests.support.agents import (
    ASKED,
    PAY_ANN,
    PAY_BOB,
    SURFACES,
    ManyAtOnce,
    StreamingModel,
    agent,
    rated,
    surface,
)
from tests.support.scripted import Ledger, ScriptedModel, turn
from toolrm_guard import Budget, FakeScorer, Guard, Policy
from toolrm_guard.chat_model import GuardedChatModel, client_tools
from toolrm_guard.drafts import adraw, draw
from toolrm_guard.errors import ConfigurationError

OK = AIMessage("ok")
ONE_ROUND = Policy(max_corrections=0)
CONFIG: RunnableConfig = {}
HELLO = [HumanMessage("hello")]


class Flaky(ScriptedModel):
    """Raises instead of answering at some of its calls, counted from 1."""

    fails: dict[int, BaseException]
    asked: int = 0

    def _generate(self, *args: Any, **kwargs: Any) -> ChatResult:
        self.asked += 1
        if (error := self.fails.get(self.asked)) is not None:
            raise error
        return super()._generate(*args, **kwargs)


def flaky(turns: Sequence[AIMessage], *failing: int) -> Flaky:
    return Flaky(turns=list(turns), fails={at: RuntimeError(f"429 at {at}") for at in failing})


async def drawn(model: Any, n: int, *, sync: bool, **options: Any) -> list[str]:
    if sync:
        return sorted(m.text for m in await asyncio.to_thread(draw, model, HELLO, n, CONFIG))
    return sorted(m.text for m in await adraw(model, HELLO, n, CONFIG, **options))


@pytest.mark.parametrize("sync", [True, False])
async def test_a_failed_draft_costs_only_itself(sync: bool) -> None:
    model = flaky([AIMessage("a"), AIMessage("b"), AIMessage("c")], 2)
    assert await drawn(model, 4, sync=sync) == ["a", "b", "c"]


async def test_a_draft_that_fails_before_the_time_is_up_costs_only_itself() -> None:
    model = flaky([AIMessage("a")], 1)
    assert await drawn(model, 2, sync=False, timeout_s=5.0) == ["a"]


@pytest.mark.parametrize("sync", [True, False])
async def test_an_error_is_raised_when_every_draft_failed(sync: bool) -> None:
    with pytest.raises(RuntimeError, match="429"):
        await drawn(flaky([], 1, 2), 2, sync=sync)


@pytest.mark.parametrize("sync", [True, False])
async def test_control_flow_of_langgraph_is_no_failure(sync: bool) -> None:
    model = Flaky(turns=[AIMessage("a")], fails={1: GraphBubbleUp()})
    with pytest.raises(GraphBubbleUp):
        await drawn(model, 2, sync=sync)


class Slow(ManyAtOnce):
    """Takes longer than any test."""

    async def _agenerate(self, *args: Any, **kwargs: Any) -> ChatResult:
        self.requests.append(kwargs.get("n", 1))
        await asyncio.sleep(30)
        raise AssertionError("it was not cut off")


@pytest.mark.parametrize("native", [True, False])
@pytest.mark.parametrize("timeout_s", [None, 20.0])
async def test_a_cancelled_draw_ends_at_once(native: bool, timeout_s: float | None) -> None:
    model = Slow(turns=[], requests=[])
    asked = model if native else model.with_config(tags=["its own configuration"])
    task = asyncio.create_task(adraw(asked, HELLO, 2, CONFIG, timeout_s=timeout_s))
    while not model.requests:  # noqa: ASYNC110  # the model is a pydantic one, and holds no event
        await asyncio.sleep(0.001)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert model.requests == ([2] if native else [1, 1]), "nothing is asked for again"


def test_a_keyboard_interrupt_passes_through() -> None:
    model = Flaky(turns=[AIMessage("a")], fails={2: KeyboardInterrupt()})
    with pytest.raises(KeyboardInterrupt):
        draw(model, HELLO, 2, CONFIG)


def test_an_agent_survives_a_failed_draft(ledger: Ledger) -> None:
    model = flaky([turn(PAY_ANN), turn(PAY_ANN), turn(PAY_ANN), *[OK] * 4], 3)
    agent(model, Guard(rated({}), policy=ONE_ROUND), ledger, n=4).invoke(ASKED)
    assert ledger.ran == [PAY_ANN]


@pytest.mark.parametrize("kind", SURFACES)
@pytest.mark.parametrize("sync", [True, False])
async def test_a_failed_correction_leaves_the_draft_and_its_verdict(
    ledger: Ledger, kind: str, sync: bool
) -> None:
    # Call 1 is the draft (or the proposal), call 2 its correction.
    model = flaky([turn(PAY_BOB), OK], 2)
    guard = Guard(rated({"bob": 0.1}), policy=Policy(max_corrections=3))
    app = surface(kind, model, guard, ledger)
    result = app.invoke(ASKED) if sync else await app.ainvoke(ASKED)
    assert ledger.ran == []
    assert [m.status for m in result["messages"] if m.type == "tool"] == ["error"]
    [verdict] = [m.response_metadata["toolrm_guard"] for m in result["messages"] if _calls(m)]
    assert verdict["decision"] == "reject", "the decision is final"
    assert result["messages"][-1].text == "ok"
    assert model.asked == 3, "no correction follows one that could not be drawn"


def _calls(message: BaseMessage) -> bool:
    return bool(getattr(message, "tool_calls", None))


def test_a_failed_correction_of_an_answer_gives_the_answer(ledger: Ledger) -> None:
    guard = Guard(FakeScorer(lambda request: [0.1] * len(request.candidates)))
    result = agent(flaky([AIMessage("draft")], 2), guard, ledger).invoke(ASKED)
    assert result["messages"][-1].text == "draft"


def test_a_failed_extra_round_is_decided_on_what_is_there(ledger: Ledger) -> None:
    model = flaky([turn(PAY_BOB), OK], 2)
    guard = Guard(rated({"bob": 0.1}), policy=Policy(max_corrections=3))
    agent(model, guard, ledger, n=Budget(max_samples=8)).invoke(ASKED)
    assert ledger.ran == []
    assert model.asked == 3, "one draft, one failure, and the answer to the refusal"


def test_a_failed_first_draw_ends_the_turn(ledger: Ledger) -> None:
    with pytest.raises(RuntimeError, match="429"):
        agent(flaky([OK], 1), Guard(rated({})), ledger).invoke(ASKED)


def test_a_failed_draw_beside_a_proposal_leaves_the_proposal(ledger: Ledger) -> None:
    model = flaky([turn(PAY_ANN), OK], 2, 3, 5, 6)
    surface("behind", model, Guard(rated({})), ledger, n=3).invoke(ASKED)
    assert ledger.ran == [PAY_ANN]


def test_an_interrupt_in_an_optional_draw_is_no_failure() -> None:
    model = Flaky(turns=[turn(PAY_BOB)], fails={2: GraphBubbleUp()})
    guarded = GuardedChatModel.over(model, Guard(rated({"bob": 0.1})))
    with pytest.raises(GraphBubbleUp):
        guarded.invoke("Pay bob.")


class IgnoresN(ManyAtOnce):
    def _generate(self, messages: list[BaseMessage], *args: Any, **kwargs: Any) -> ChatResult:
        kwargs.pop("n", None)
        return super()._generate(messages, *args, **kwargs)


class RefusesN(ManyAtOnce):
    def _generate(self, messages: list[BaseMessage], *args: Any, **kwargs: Any) -> ChatResult:
        if kwargs.get("n", 1) > 1:
            raise ValueError("400: n must be 1")
        return super()._generate(messages, *args, **kwargs)


@pytest.mark.parametrize("sync", [True, False])
@pytest.mark.parametrize("kind", [IgnoresN, RefusesN])
@pytest.mark.parametrize("timeout_s", [None, 5.0])
async def test_drafts_that_a_native_n_did_not_bring_are_drawn_one_by_one(
    kind: type[ManyAtOnce], sync: bool, timeout_s: float | None
) -> None:
    model = kind(turns=[AIMessage("a"), AIMessage("b"), AIMessage("c")], requests=[])
    assert await drawn(model, 3, sync=sync, timeout_s=timeout_s) == ["a", "b", "c"]
    assert model.requests == [1, 1, 1]


async def test_a_native_draw_that_is_late_is_not_started_again() -> None:
    model = Slow(turns=[], requests=[])
    assert await drawn(model, 3, sync=False, timeout_s=0.05) == []
    assert model.requests == [3]


class Talkative(StreamingModel):
    """Streams unasked, if `streaming` is set."""

    streaming: bool = False


class Tokens(BaseCallbackHandler):
    def __init__(self) -> None:
        self.heard: list[str] = []

    def on_llm_new_token(self, token: str, **kwargs: Any) -> None:
        self.heard.append(token)


class AsyncTokens(AsyncCallbackHandler):
    def __init__(self) -> None:
        self.heard: list[str] = []

    async def on_llm_new_token(self, token: str, **kwargs: Any) -> None:
        self.heard.append(token)


class Trace(BaseTracer):
    def __init__(self) -> None:
        super().__init__()
        self.text = ""

    def _persist_run(self, run: Any) -> None:
        """Keep nothing: runs are read as they end."""

    def _on_llm_end(self, run: Any) -> None:
        self.text += str(run.outputs)


@pytest.mark.parametrize("kind", ["middleware", "in place"])
@pytest.mark.parametrize("handler", [Tokens, AsyncTokens])
@pytest.mark.parametrize("as_list", [True, False])
async def test_token_callbacks_hear_no_draft_and_tracers_hear_all(
    ledger: Ledger, kind: str, handler: Any, as_list: bool
) -> None:
    tokens, trace = handler(), Trace()
    drafts = [AIMessage("SECRET draft"), AIMessage("good one")]
    model = Talkative(turns=drafts, streaming=True)
    scorer = FakeScorer(lambda r: [0.9 if "good" in c.text else 0.1 for c in r.candidates])
    app = surface(kind, model, Guard(scorer, policy=ONE_ROUND), ledger, n=2)
    if as_list:
        config: RunnableConfig = {"callbacks": [tokens, trace]}
        result = await app.ainvoke(ASKED, config)
    else:
        result = await app.with_config(callbacks=[tokens, trace]).ainvoke(ASKED)
    assert result["messages"][-1].text == "good one"
    assert not any("SECRET" in token for token in tokens.heard)
    assert "SECRET" in trace.text


def test_a_handler_that_wants_no_tokens_still_counts_the_drafts() -> None:
    usage = UsageMetadataCallbackHandler()
    answer = AIMessage(
        "a",
        usage_metadata={"input_tokens": 1, "output_tokens": 2, "total_tokens": 3},
        response_metadata={"model_name": "m"},
    )
    draw(ScriptedModel(turns=[answer, answer]), HELLO, 2, {"callbacks": [usage]})
    assert usage.usage_metadata["m"]["output_tokens"] == 4


@pytest.mark.parametrize(
    "wrap",
    [
        lambda model: model.with_config(tags=["x"]),
        lambda model: model.with_fallbacks([ScriptedModel(turns=[])]),
    ],
)
def test_a_model_in_a_wrapper_is_guarded(ledger: Ledger, wrap: Any) -> None:
    model = wrap(ScriptedModel(turns=[turn(PAY_BOB), turn(PAY_ANN), OK]))
    guard = Guard(rated({"bob": 0.1}), policy=Policy(max_corrections=1))
    agent(model, guard, ledger).invoke(ASKED)
    assert ledger.ran == [PAY_ANN]


class NoTools(ScriptedModel):
    def bind_tools(self, tools: Any, **kwargs: Any) -> Any:
        raise NotImplementedError


@pytest.mark.parametrize(
    "model",
    [NoTools(turns=[]), ScriptedModel(turns=[]).with_retry(), ScriptedModel(turns=[]) | str],
)
def test_a_model_that_cannot_bind_tools_is_named(model: Any) -> None:
    guarded = GuardedChatModel.over(model, Guard(rated({})))
    with pytest.raises(ConfigurationError, match=f"{type(model).__name__} cannot bind tools"):
        guarded.bind_tools([])


def test_tools_that_a_provider_defines_are_known_by_their_names() -> None:
    schema = {"type": "object", "properties": {"q": {"type": "string"}}}
    tools = client_tools(
        [
            {"type": "function", "function": {"name": "f", "parameters": schema}},
            {"type": "bash_20250124", "name": "bash"},
            {"type": "custom", "name": "code"},
            {"type": "custom", "custom": {"name": "grammar", "description": "d"}},
            {"type": "custom", "name": "lookup", "input_schema": schema},
            {"type": "computer_20250124", "name": "computer", "display_width_px": 9},
            {"type": "web_search"},
            {"type": "mcp", "server_label": "s"},
        ],
        Guard(rated({})),
    )
    assert list(tools) == ["f", "bash", "code", "grammar", "lookup", "computer"]
    assert tools["bash"].parameters == {"type": "object"}
    assert tools["lookup"].parameters == schema
    assert tools["bash"].effect == "destructive", "nothing is known of what it does"
    assert tools["lookup"].effect is None


def test_a_tool_that_is_given_itself_is_not_replaced_by_the_providers_name() -> None:
    def bash(command: str) -> str:
        """Run it."""
        return command

    tools = client_tools([{"type": "bash_20250124", "name": "bash"}, bash], Guard(rated({})))
    assert list(tools["bash"].properties) == ["command"]


def test_a_call_of_a_tool_that_the_provider_defines_is_approved() -> None:
    model = ScriptedModel(turns=[turn(("bash", {"command": "ls"}))])
    offered = [{"type": "bash_20250124", "name": "bash"}]
    guarded = GuardedChatModel.over(model, Guard(rated({}), policy=ONE_ROUND)).bind_tools(offered)
    verdict = guarded.invoke("List the files.").response_metadata["toolrm_guard"]
    assert verdict["decision"] == "execute"
