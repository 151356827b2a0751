"""One run of an agent is one trace, whichever instrumentor watches it."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from langchain.agents.middleware import AgentMiddleware
from langchain_core.callbacks import BaseCallbackHandler
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import Command
from openinference.instrumentation import suppress_tracing
from openinference.instrumentation.langchain import LangChainInstrumentor as OpenInference
from opentelemetry import trace
from opentelemetry.instrumentation.genai.langchain import LangChainInstrumentor as Official
from opentelemetry.sdk.trace import ReadableSpan

from tests.support.agents import (
    ASKED,
    CHECKING,
    PAY_ANN,
    PAY_BOB,
    SAVINGS,
    SURFACES,
    rated,
    surface,
)
from tests.support.scripted import Ledger, ScriptedModel, turn
from tests.telemetry.conftest import Sink
from toolrm_guard import Guard, Policy, Rule

REVIEWS = 4  # a draft, its correction, a second turn, the answer


@pytest.fixture
def openinference(otel: Sink) -> Iterator[None]:
    OpenInference().instrument(tracer_provider=otel.tracers)
    yield
    OpenInference().uninstrument()


@pytest.fixture
def official(otel: Sink) -> Iterator[None]:
    Official().instrument(tracer_provider=otel.tracers)
    yield
    Official().uninstrument()


@pytest.fixture
def bare() -> None:
    """No instrumentor."""


def agent(kind: str) -> Any:
    drafts = [turn(PAY_ANN), turn(PAY_BOB), turn(CHECKING, prefix="d"), turn(text="done")]
    return surface(kind, ScriptedModel(turns=drafts), Guard(rated({"ann": 0.1})), Ledger())


async def run(built: Any, how: str) -> None:
    if how == "sync":
        built.invoke(ASKED)
    else:
        await built.ainvoke(ASKED)


def ancestors(span: ReadableSpan, spans: tuple[ReadableSpan, ...]) -> list[str]:
    by_id = {found.context.span_id: found for found in spans}
    names = []
    while span.parent is not None:
        span = by_id[span.parent.span_id]
        names.append(span.name)
    return names


@pytest.mark.parametrize("how", ["sync", "async"])
@pytest.mark.parametrize("kind", SURFACES)
async def test_under_openinference_a_run_is_one_trace_and_reviews_are_children_of_their_step(
    openinference: None, otel: Sink, kind: str, how: str
) -> None:
    await run(agent(kind), how)
    assert len({span.context.trace_id for span in otel.spans}) == 1
    step = ["GuardedChatModel", "model"] if kind == "middleware" else ["guard"]
    found = [ancestors(review, otel.spans) for review in otel.reviews]
    assert found == [[*step, "LangGraph"]] * REVIEWS


@pytest.mark.parametrize("how", ["sync", "async"])
@pytest.mark.parametrize("kind", SURFACES)
async def test_under_opentelemetrys_own_instrumentor_a_run_is_one_trace(
    official: None, otel: Sink, kind: str, how: str
) -> None:
    await run(agent(kind), how)
    assert len({span.context.trace_id for span in otel.spans}) == 1
    root = "invoke_agent" if kind == "middleware" else "invoke_workflow LangGraph"
    assert [ancestors(review, otel.spans)[-1:] for review in otel.reviews] == [[root]] * REVIEWS


@pytest.mark.parametrize("instrumentor", ["bare", "openinference", "official"])
@pytest.mark.parametrize("how", ["sync", "async"])
@pytest.mark.parametrize("kind", SURFACES)
async def test_a_run_inside_a_span_of_the_application_joins_its_trace(
    request: pytest.FixtureRequest, otel: Sink, kind: str, how: str, instrumentor: str
) -> None:
    request.getfixturevalue(instrumentor)
    with trace.get_tracer("app").start_as_current_span("request") as outer:
        await run(agent(kind), how)
    assert len({span.context.trace_id for span in otel.spans}) == 1
    for review in otel.reviews:
        assert review.parent is not None
        if instrumentor == "bare":
            assert review.parent.span_id == outer.get_span_context().span_id
        else:
            assert ancestors(review, otel.spans)[-1] == "request"


async def test_two_agents_at_once_keep_their_traces_apart(openinference: None, otel: Sink) -> None:
    await asyncio.gather(*(run(agent(kind), "async") for kind in SURFACES))
    assert len({span.context.trace_id for span in otel.spans}) == len(SURFACES)
    by_trace = [review.context.trace_id for review in otel.reviews]
    assert sorted(by_trace.count(trace_id) for trace_id in set(by_trace)) == [REVIEWS] * 3


async def test_the_review_of_a_humans_edit_belongs_to_the_run_that_resumed(
    openinference: None, otel: Sink
) -> None:
    asks = Rule(on_low="escalate")
    policy = Policy(write=asks, destructive=asks, max_corrections=0)
    guard = Guard(rated({"ann": 0.1}), policy=policy)
    drafts = [turn(PAY_ANN), turn(text="done")]
    built = surface(
        "in place", ScriptedModel(turns=drafts), guard, Ledger(), checkpointer=InMemorySaver()
    )
    config = {"configurable": {"thread_id": "t"}}
    await built.ainvoke(ASKED, config)
    otel.clear()
    edit = {"type": "edit", "edited_action": {"name": PAY_BOB[0], "args": PAY_BOB[1]}}
    await built.ainvoke(Command(resume={"decisions": [edit]}), config)
    assert len(otel.reviews) == 2  # the edited call, then the answer
    assert len({span.context.trace_id for span in otel.spans}) == 1
    assert all(ancestors(review, otel.spans) for review in otel.reviews)


@pytest.mark.parametrize("how", ["sync", "async"])
async def test_the_review_of_a_call_that_other_middleware_edited_is_part_of_the_run(
    openinference: None, otel: Sink, how: str
) -> None:
    ledger = Ledger()
    drafts = [turn(CHECKING), turn(text="done")]
    guard = Guard(rated({}))
    built = surface("middleware", ScriptedModel(turns=drafts), guard, ledger, before=[Editing()])
    await run(built, how)
    assert ledger.ran == [SAVINGS]
    assert len(otel.reviews) == 3  # the draft, the edited call, the answer
    assert len({span.context.trace_id for span in otel.spans}) == 1


class Editing(AgentMiddleware[Any, Any, Any]):
    """Changes what a call asks for."""

    def wrap_tool_call(self, request: Any, handler: Any) -> Any:
        return handler(request.override(tool_call={**request.tool_call, "args": SAVINGS[1]}))

    async def awrap_tool_call(self, request: Any, handler: Any) -> Any:
        return await handler(request.override(tool_call={**request.tool_call, "args": SAVINGS[1]}))


async def test_with_tracing_suppressed_there_are_no_spans_and_the_agent_still_runs(
    openinference: None, otel: Sink
) -> None:
    with suppress_tracing():
        built = agent("in place")
        await run(built, "async")
    assert {span.name for span in otel.spans} <= {"toolrm_guard.review"}


def test_a_handler_with_another_get_span_costs_no_turn(otel: Sink) -> None:
    class Other(BaseCallbackHandler):
        def get_span(self, *, name: str) -> object:
            return name

    out = agent("middleware").invoke(ASKED, {"callbacks": [Other()]})
    assert out["messages"][-1].text == "done"
    assert len(otel.reviews) == REVIEWS
