"""Behaviours of LangGraph and LangChain that break a naive guard, one test each.

The numbers are those of the list in the project's notes. Each docstring says how the test failed
when the protection was taken out of a copy of the library.
"""

import contextvars
import logging
from typing import Any

import pytest
from langchain.agents.middleware import AgentMiddleware, HumanInTheLoopMiddleware, hook_config
from langchain.agents.structured_output import AutoStrategy, ToolStrategy
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatResult
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from langgraph.types import Command
from pydantic import BaseModel

from tests.support.agents import (
    ASKED,
    CHECKING,
    PAY_ANN,
    PAY_BOB,
    SAVINGS,
    SURFACES,
    ManyAtOnce,
    StreamingModel,
    agent,
    rated,
    surface,
)
from tests.support.histories import assert_valid_history
from tests.support.scripted import CallSpec, Ledger, ScriptedModel, turn
from toolrm_guard import FakeScorer, Guard, Policy, Rule, ScoreRequest

THREAD: Any = {"configurable": {"thread_id": "1"}}
STRICT = Policy(max_corrections=0)
ASKS = Policy(read=Rule(on_low="escalate"), destructive=Rule(on_low="escalate"), max_corrections=0)


class JumpsToTools(AgentMiddleware[Any, Any, Any]):
    @hook_config(can_jump_to=["tools"])
    def after_model(self, state: Any, runtime: Any) -> Any:
        calls = getattr(state["messages"][-1], "tool_calls", None)
        return {"jump_to": "tools"} if calls or state["messages"][-1].type == "tool" else None


@pytest.mark.parametrize("place", ["before", "after"])
def test_pitfall_01_a_jump_to_tools_does_not_run_a_rejected_call(
    ledger: Ledger, place: str
) -> None:
    """Without the check in `wrap_tool_call` bob was paid."""
    model = ScriptedModel(turns=[turn(PAY_BOB), turn(text="Sorry.")])
    guard = Guard(rated({"bob": 0.1}), policy=STRICT)
    app = agent(model, guard, ledger, **{place: [JumpsToTools()]})
    messages = app.invoke(ASKED)["messages"]
    assert ledger.ran == []
    assert messages[-1].text == "Sorry."
    assert_valid_history(messages)


@pytest.mark.parametrize("kind", SURFACES)
def test_pitfall_02_a_partial_rejection_runs_the_rest_and_answers_every_call_once(
    ledger: Ledger, kind: str
) -> None:
    """Without the look for an answer, a rejected call on the graphs was answered twice."""
    model = ScriptedModel(turns=[turn(PAY_BOB, CHECKING), turn(text="100")])
    policy = Policy(destructive=Rule(threshold=0.8), max_corrections=0)
    guard = Guard(FakeScorer(lambda request: [0.6]), policy=policy)
    messages = surface(kind, model, guard, ledger).invoke(ASKED)["messages"]
    assert ledger.ran == [CHECKING]
    assert [call["id"] for call in messages[1].tool_calls] == ["c0", "c1"]
    assert messages[-1].text == "100"
    assert_valid_history(messages)


def provider_turn(*calls: CallSpec) -> AIMessage:
    """A turn as Anthropic sends it: its calls are blocks of the content, too."""
    message = turn(*calls)
    blocks = [
        {"type": "tool_use", "id": call["id"], "name": call["name"], "input": call["args"]}
        for call in message.tool_calls
    ]
    return message.model_copy(update={"content": blocks})


@pytest.mark.parametrize("kind", SURFACES)
def test_pitfall_03_content_and_calls_stay_in_step_after_a_rejection_and_an_edit(
    ledger: Ledger, kind: str
) -> None:
    """Without the edit of the content blocks, they still paid bob; dropped calls left blocks."""
    model = ScriptedModel(turns=[provider_turn(CHECKING, PAY_BOB), turn(text="Done.")])
    guard = Guard(
        rated({"bob": 0.6}),
        policy=Policy(
            destructive=Rule(threshold=0.8, on_low="escalate"),
            read=Rule(threshold=0.7),
            max_corrections=0,
        ),
    )
    app = surface(kind, model, guard, ledger, checkpointer=InMemorySaver())
    app.invoke(ASKED, THREAD)
    edit = {"name": PAY_ANN[0], "args": PAY_ANN[1]}
    answer = {"decisions": [{"type": "edit", "edited_action": edit}]}
    messages = app.invoke(Command(resume=answer), THREAD)["messages"]
    assert ledger.ran == [PAY_ANN]
    in_content = [(block["id"], block["name"], block["input"]) for block in messages[1].content]
    in_calls = [(call["id"], call["name"], call["args"]) for call in messages[1].tool_calls]
    assert in_content == in_calls == [("c0", *CHECKING), ("c1", *PAY_ANN)]
    assert_valid_history(messages)


def test_pitfall_04_the_winner_takes_the_proposals_place_in_the_history(ledger: Ledger) -> None:
    """Without the proposal's id on the winner, both drafts stayed in the history."""
    model = ScriptedModel(
        turns=[turn(PAY_BOB), turn(CHECKING, prefix="d"), turn(text="100"), turn(text="also 100")]
    )
    guard = Guard(rated({"bob": 0.1}), policy=STRICT)
    messages = surface("behind", model, guard, ledger, n=2).invoke(ASKED)["messages"]
    assert [m.type for m in messages] == ["human", "ai", "tool", "ai"]
    assert "'bob'" not in str(messages[1:])
    assert ledger.ran == [CHECKING]


@pytest.mark.parametrize("kind", SURFACES)
def test_pitfall_05_a_resumed_run_samples_nothing_and_runs_the_call_that_was_asked_about(
    ledger: Ledger, kind: str
) -> None:
    """With the question asked where the model is called, the resumed run drew and paid ann."""
    drafts = [turn(PAY_BOB), turn(PAY_ANN, prefix="d"), turn(text="Done."), turn(text="Done!")]
    model = ScriptedModel(turns=drafts)
    # The second draft would win if it were drawn: nobody asked a human about it.
    guard = Guard(rated({"bob": 0.1, "ann": 0.2}), policy=ASKS)
    app = surface(kind, model, guard, ledger, checkpointer=InMemorySaver())
    asked = app.invoke(ASKED, THREAD)["__interrupt__"][0].value
    assert asked["action_requests"][0]["args"] == PAY_BOB[1]
    drawn = len(model.seen)
    app.invoke(Command(resume={"decisions": [{"type": "approve"}]}), THREAD)
    assert ledger.ran == [PAY_BOB]
    assert len(model.seen) == drawn + 1, "only the turn after the tool is drawn"


DRAFTS = ["the secret draft", "the better answer", "another secret"]


def rates_of_drafts(request: ScoreRequest) -> list[float]:
    return [0.9 if "better" in c.text else 0.1 for c in request.candidates]


@pytest.mark.parametrize("kind", ["middleware", "in place"])
def test_pitfall_06_only_the_winner_is_in_the_token_stream(ledger: Ledger, kind: str) -> None:
    """Without the quiet configuration of drafts, every one of them was streamed."""
    model = StreamingModel(turns=[turn(text=text) for text in DRAFTS])
    app = surface(kind, model, Guard(FakeScorer(rates_of_drafts)), ledger, n=3)
    chunks = app.stream(ASKED, stream_mode="messages")
    streamed = "".join(chunk.text for chunk, _ in chunks)
    assert streamed == "the better answer"


@pytest.mark.parametrize("kind", ["middleware", "in place"])
async def test_pitfall_06_only_the_winner_is_in_the_event_stream(ledger: Ledger, kind: str) -> None:
    """With the tag alone, `astream_events` showed every draft's tokens."""
    model = StreamingModel(turns=[turn(text=text) for text in DRAFTS])
    app = surface(kind, model, Guard(FakeScorer(rates_of_drafts)), ledger, n=3)
    events = [event async for event in app.astream_events(ASKED, version="v2")]
    assert "secret" not in str([event["data"] for event in events])
    assert "the better answer" in str(events[-1]["data"])


@pytest.mark.parametrize("kind", ["middleware", "in place"])
def test_pitfall_07_every_generation_of_a_native_n_is_a_candidate(
    ledger: Ledger, kind: str
) -> None:
    """Without the native path there were three requests; one bound `invoke` kept only bob's."""
    seen: list[int] = []

    def rate(request: ScoreRequest) -> list[float]:
        seen.append(len(request.candidates))
        return [0.1 if "bob" in c.canonical else 0.9 for c in request.candidates]

    drafts = [turn(PAY_BOB), turn(CHECKING, prefix="d"), turn(SAVINGS, prefix="e")]
    model = ManyAtOnce(turns=[*drafts, *(turn(text="100") for _ in range(3))])
    surface(kind, model, Guard(FakeScorer(rate)), ledger, n=3).invoke(ASKED)
    assert model.requests == [3, 3]
    assert seen == [3, 3]
    assert ledger.ran == [CHECKING]


@pytest.mark.parametrize("kind", SURFACES)
def test_pitfall_08_a_turn_of_unreadable_calls_only_is_drawn_again(
    ledger: Ledger, kind: str
) -> None:
    """Without the jump to the model the agent ended in silence."""
    broken = {"name": "transfer", "args": '{"amount": ', "id": "b0", "error": "bad JSON"}
    model = ScriptedModel(turns=[AIMessage(content="", invalid_tool_calls=[broken])])
    model.turns += [turn(CHECKING), turn(text="100")]
    guard = Guard(rated({}), policy=STRICT)
    messages = surface(kind, model, guard, ledger).invoke(ASKED)["messages"]
    assert messages[-1].text == "100"
    assert ledger.ran == [CHECKING]
    assert_valid_history(messages)


@pytest.mark.parametrize("kind", SURFACES)
@pytest.mark.parametrize(("call", "ran"), [(CHECKING, [CHECKING]), (PAY_BOB, [])])
def test_pitfall_09_a_scorer_that_raises_ends_no_run_and_follows_the_policy(
    ledger: Ledger, kind: str, call: CallSpec, ran: list[CallSpec]
) -> None:
    """Without the guard's own `except` the ZeroDivisionError ended the run."""
    model = ScriptedModel(turns=[turn(call), turn(text="The end.")])
    guard = Guard(FakeScorer(lambda request: [1 / 0]))
    messages = surface(kind, model, guard, ledger).invoke(ASKED)["messages"]
    assert ledger.ran == ran
    assert messages[-1].text == "The end."
    assert_valid_history(messages)


WHO: contextvars.ContextVar[str] = contextvars.ContextVar("WHO", default="nobody")


class Tells(ScriptedModel):
    """Writes down for whom it was asked."""

    asked_for: list[str] = []

    def _generate(self, messages: list[BaseMessage], *args: Any, **kwargs: Any) -> ChatResult:
        self.asked_for.append(WHO.get())
        return super()._generate(messages)


@pytest.mark.parametrize("way", ["invoke", "ainvoke"])
@pytest.mark.parametrize("kind", SURFACES)
async def test_pitfall_10_sync_and_async_runs_agree_and_keep_the_callers_context(
    ledger: Ledger, kind: str, way: str
) -> None:
    """Without the async hooks `ainvoke` raised; drafts of a bare thread pool saw 'nobody'."""
    drafts = [turn(PAY_BOB), turn(CHECKING, prefix="d"), turn(PAY_BOB, prefix="e")]
    model = Tells(turns=[*drafts, *(turn(text="100") for _ in range(3))])
    scored_for: list[str] = []

    def rate(request: ScoreRequest) -> list[float]:
        scored_for.append(WHO.get())
        return [0.1 if "bob" in c.canonical else 0.9 for c in request.candidates]

    app = surface(kind, model, Guard(FakeScorer(rate), policy=STRICT), ledger, n=3)
    token = WHO.set("the caller")
    try:
        state = app.invoke(ASKED) if way == "invoke" else await app.ainvoke(ASKED)
    finally:
        WHO.reset(token)
    assert ledger.ran == [CHECKING]
    assert_valid_history(state["messages"])
    assert model.asked_for == ["the caller"] * 6
    assert scored_for == ["the caller"] * 2


@pytest.mark.parametrize("kind", SURFACES)
def test_pitfall_11_a_model_that_never_learns_is_stopped_by_the_policy(
    ledger: Ledger, kind: str
) -> None:
    """Without the count of rejections the model was asked until its script ran out."""
    model = ScriptedModel(turns=[turn(PAY_BOB, prefix=f"t{i}.") for i in range(60)])
    guard = Guard(rated({"bob": 0.1}), policy=Policy(max_corrections=1, max_rejections=2))
    messages = surface(kind, model, guard, ledger).invoke(ASKED)["messages"]
    assert len(model.seen) == 6  # three turns, each with one correction
    assert messages[-1].text == "No proposed call was approved, so none was executed."
    assert ledger.ran == []
    assert_valid_history(messages)


def edit_to(call: CallSpec) -> Command[Any]:
    action = {"name": call[0], "args": call[1]}
    return Command(resume={"decisions": [{"type": "edit", "edited_action": action}]})


@pytest.mark.parametrize(
    ("edit", "order", "ran"),
    [
        (PAY_ANN, "before", [PAY_ANN]),
        (("transfer", {"amount": 5, "to": "mallory"}), "before", []),
        (PAY_ANN, "after", []),
        (("transfer", {"amount": 5, "to": "mallory"}), "after", []),
    ],
)
def test_pitfall_12_a_humans_edit_is_scored_or_refused(
    ledger: Ledger, edit: CallSpec, order: str, ran: list[CallSpec]
) -> None:
    """Without the digest check mallory was paid; listed after, without the look at the edit."""
    model = ScriptedModel(turns=[turn(PAY_BOB), turn(text="Done.")])
    guard = Guard(rated({"mallory": 0.1}), policy=STRICT)
    human: Any = HumanInTheLoopMiddleware(interrupt_on={"transfer": True})
    placed: Any = {order: [human]}
    app = agent(model, guard, ledger, checkpointer=InMemorySaver(), **placed)
    app.invoke(ASKED, THREAD)
    messages = app.invoke(edit_to(edit), THREAD)["messages"]
    assert ledger.ran == ran
    assert_valid_history(messages)
    if order == "after":
        assert "List GuardMiddleware after it" in messages[2].text


def assert_plain(value: object) -> None:
    assert type(value) in (dict, list, str, int, float, bool, type(None)), repr(value)
    inside = (
        value.items()
        if isinstance(value, dict)
        else enumerate(value)
        if isinstance(value, list)
        else ()
    )
    for key, item in inside:
        assert_plain(key)
        assert_plain(item)


@pytest.mark.parametrize("kind", SURFACES)
def test_pitfall_13_a_checkpoint_holds_plain_data_only(
    ledger: Ledger, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    """With the review's `CallVerdict`s themselves in the message, they were in the state, too."""
    caplog.set_level(logging.WARNING)
    saver = InMemorySaver(serde=JsonPlusSerializer(allowed_msgpack_modules=None))
    model = ScriptedModel(turns=[turn(PAY_BOB, CHECKING), turn(text="Done.")])
    guard = Guard(
        rated({"bob": 0.6}),
        policy=Policy(destructive=Rule(threshold=0.8, on_low="escalate"), max_corrections=0),
    )
    app = surface(kind, model, guard, ledger, checkpointer=saver)
    for message in app.invoke(ASKED, THREAD)["messages"]:
        assert_plain(message.response_metadata)  # as it was put in, before any round trip
    app.invoke(Command(resume={"decisions": [{"type": "approve"}]}), THREAD)
    assert sorted(ledger.ran) == sorted([CHECKING, PAY_BOB])
    for snapshot in app.get_state_history(THREAD):
        for message in snapshot.values.get("messages", []):
            assert_plain(message.response_metadata)
    assert caplog.messages == []


class Weather(BaseModel):
    """The weather of a city."""

    city: str
    celsius: int


@pytest.mark.parametrize("way", ["invoke", "ainvoke"])
async def test_pitfall_14_a_structured_output_tool_is_known_and_answers(
    ledger: Ledger, way: str
) -> None:
    """With `request.tools` as the tools on offer, the answer was an unknown tool and rejected."""
    answer: CallSpec = ("Weather", {"city": "Oslo", "celsius": 3})
    model = ScriptedModel(turns=[turn(CHECKING), turn(answer, prefix="d")])
    model.turns += [turn(text="never said")]
    app = agent(model, Guard(rated({})), ledger, response_format=ToolStrategy(Weather))
    state = app.invoke(ASKED) if way == "invoke" else await app.ainvoke(ASKED)
    assert state["structured_response"] == Weather(city="Oslo", celsius=3)
    assert ledger.ran == [CHECKING]
    assert len(model.turns) == 1
    assert_valid_history(state["messages"])


def test_pitfall_14_structured_output_of_the_provider_is_recognised_through_the_guard(
    ledger: Ledger,
) -> None:
    """Without the inner model's profile the agent fell back to a tool, and no JSON was parsed."""
    model = ScriptedModel(
        turns=[turn(CHECKING), turn(text='{"city": "Oslo", "celsius": 3}')],
        profile={"structured_output": True},
    )
    app = agent(model, Guard(rated({})), ledger, response_format=AutoStrategy(Weather))
    state = app.invoke(ASKED)
    assert state["structured_response"] == Weather(city="Oslo", celsius=3)
    assert ledger.ran == [CHECKING]
