"""Agents on both surfaces over the bank of `Ledger`, and models with a provider's quirks."""

from collections.abc import Iterator, Sequence
from typing import Any

from langchain.agents import create_agent
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage, HumanMessage
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langgraph.graph import START, MessagesState, StateGraph

from tests.support.scripted import CallSpec, Ledger, ScriptedModel
from toolrm_guard import FakeScorer, Guard, ScoreRequest, guard_node, guarded_tool_node
from toolrm_guard.middleware import GuardMiddleware

CHECKING: CallSpec = ("get_balance", {"account": "checking"})
SAVINGS: CallSpec = ("get_balance", {"account": "savings"})
PAY_BOB: CallSpec = ("transfer", {"amount": 5.0, "to": "bob"})
PAY_ANN: CallSpec = ("transfer", {"amount": 5.0, "to": "ann"})
ASKED = {"messages": [HumanMessage("Pay bob and ann 5 each, and tell me what is on checking.")]}


def rated(rates: dict[str, float], *, otherwise: float = 0.9) -> FakeScorer:
    """A scorer by the words of a call: the lowest rate of those that its arguments mention."""

    def rate(request: ScoreRequest) -> list[float]:
        return [_least(candidate.canonical, rates, otherwise) for candidate in request.candidates]

    return FakeScorer(rate)


def _least(form: str, rates: dict[str, float], otherwise: float) -> float:
    return min((rate for word, rate in rates.items() if word in form), default=otherwise)


def agent(
    model: BaseChatModel,
    guard: Guard,
    ledger: Ledger,
    *,
    before: Sequence[Any] = (),
    after: Sequence[Any] = (),
    checkpointer: Any = None,
    extra_tools: Sequence[Any] = (),
    response_format: Any = None,
    **options: Any,
) -> Any:
    """A `create_agent` agent with the guard between other middleware."""
    return create_agent(
        model,
        [ledger.get_balance, ledger.transfer, *extra_tools],
        middleware=[*before, GuardMiddleware(guard, **options), *after],
        checkpointer=checkpointer,
        response_format=response_format,
    )


def graph(
    model: BaseChatModel,
    guard: Guard,
    ledger: Ledger,
    *,
    in_place: bool = False,
    draws: bool = True,
    checkpointer: Any = None,
    **options: Any,
) -> Any:
    """A `StateGraph` whose guard node stands behind the model node, or in its place."""
    tools = [ledger.get_balance, ledger.transfer]
    built = StateGraph(MessagesState)
    first = "guard" if in_place else "model"
    drawing = model if draws or in_place else None
    model_node = None if in_place else "model"
    guarded = guard_node(guard, tools, model=drawing, model_node=model_node, **options)
    built.add_node("guard", guarded)
    built.add_node("tools", guarded_tool_node(tools, guard))
    built.add_edge(START, first)
    built.add_edge("tools", first)
    if not in_place:
        built.add_node("model", lambda state: {"messages": [model.invoke(state["messages"])]})
        built.add_edge("model", "guard")
    return built.compile(checkpointer=checkpointer)


def surface(kind: str, model: BaseChatModel, guard: Guard, ledger: Ledger, **options: Any) -> Any:
    """One of the three ways to put a guard into an agent."""
    if kind == "middleware":
        return agent(model, guard, ledger, **options)
    return graph(model, guard, ledger, in_place=kind == "in place", **options)


SURFACES = ["middleware", "behind", "in place"]


class StreamingModel(ScriptedModel):
    """Streams its scripted turns word by word, as providers do."""

    def _stream(self, messages: list[BaseMessage], *args: Any, **kwargs: Any) -> Iterator[Any]:
        message = self.turns.pop(0)
        words = message.text.split(" ")
        for index, word in enumerate(words):
            content = word if index == len(words) - 1 else word + " "
            yield ChatGenerationChunk(message=AIMessageChunk(content=content))


class ManyAtOnce(BaseChatModel):
    """Generates `n` answers in one request, as OpenAI-compatible providers do."""

    turns: list[AIMessage]
    requests: list[int] = []
    n: int | None = None

    @property
    def _llm_type(self) -> str:
        return "many"

    def _generate(self, messages: list[BaseMessage], *args: Any, **kwargs: Any) -> ChatResult:
        n = kwargs.get("n") or self.n or 1
        self.requests.append(n)
        drafts = [self.turns.pop(0) for _ in range(n)]
        return ChatResult(generations=[ChatGeneration(message=draft) for draft in drafts])

    def bind_tools(self, tools: Sequence[Any], **kwargs: Any) -> "ManyAtOnce":
        return self
