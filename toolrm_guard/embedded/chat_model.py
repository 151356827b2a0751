"""The embedded policy as a LangChain chat model: an agent without a server, a key or a network."""

import asyncio
import hashlib
import threading
from collections.abc import Callable, Sequence
from typing import Any

from toolrm_guard.calls import Call, Candidate
from toolrm_guard.embedded.sampler import (
    DEFAULT_MAX_TOKENS,
    DEFAULT_TEMPERATURE,
    EmbeddedSampler,
    Sampled,
)
from toolrm_guard.errors import ConfigurationError, MissingExtraError
from toolrm_guard.messages import parse_messages
from toolrm_guard.tools import ToolSet

try:
    from langchain_core.callbacks import (
        AsyncCallbackManagerForLLMRun,
        CallbackManagerForLLMRun,
    )
    from langchain_core.language_models import BaseChatModel, LanguageModelInput
    from langchain_core.messages import AIMessage, BaseMessage, InvalidToolCall, ToolCall
    from langchain_core.messages.ai import InputTokenDetails, UsageMetadata
    from langchain_core.outputs import ChatGeneration, ChatResult
    from langchain_core.runnables import Runnable
    from langchain_core.tools import BaseTool
    from langchain_core.utils.function_calling import convert_to_openai_tool
    from pydantic import Field, PrivateAttr
except ImportError as exc:
    raise MissingExtraError(
        f"EmbeddedChatModel needs {exc.name}: pip install 'toolrm-guard[local,langgraph]'"
    ) from exc

MODEL_NAME = "smollm2-135m-instruct"


class EmbeddedChatModel(BaseChatModel):
    """SmolLM2-135M-Instruct under a grammar, for demos and tests; see `sampler` for its limits.

    A model and whatever `bind_tools` makes of it draw from one sequence of seeds: the first draw
    uses `seed`, each further one the next number. A program that makes the same calls in the same
    order gets the same messages, tool-call ids included.
    """

    seed: int = 0
    """Seed of the first draw."""
    temperature: float = Field(default=DEFAULT_TEMPERATURE, ge=0)
    """Of the distribution under the grammar; 0 takes the likeliest token."""
    max_tokens: int = Field(default=DEFAULT_MAX_TOKENS, ge=1)
    """Most tokens of one message."""
    n: int = Field(default=1, ge=1)
    """Candidates of one draw, read in one pass over the prompt; `generate` returns them all."""

    _sampler: EmbeddedSampler | None = PrivateAttr(default=None)
    _draws: int = PrivateAttr(default=0)
    _lock: Any = PrivateAttr(default_factory=threading.Lock)

    def __init__(self, *, sampler: EmbeddedSampler | None = None, **settings: Any) -> None:
        """Take a sampler to share, or load one at the first draw."""
        super().__init__(**settings)
        self._sampler = sampler

    @property
    def _llm_type(self) -> str:
        return "toolrm-guard-embedded"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        return {
            "model_name": MODEL_NAME,
            "seed": self.seed,
            "temperature": self.temperature,
            "max_tokens": self.max_tokens,
        }

    def bind_tools(
        self,
        tools: Sequence[dict[str, Any] | type | Callable[..., Any] | BaseTool],
        *,
        tool_choice: str | bool | None = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, AIMessage]:
        """Offer tools to the model.

        Args:
            tools: Anything that LangChain takes for a tool.
            tool_choice: "any", "required" or True rules plain text out; "none" rules calls out; a
                tool's name leaves only that tool.
            kwargs: Further arguments of a draw, such as `n`.
        """
        formatted = [convert_to_openai_tool(tool) for tool in tools]
        return self.bind(tools=formatted, tool_choice=tool_choice, **kwargs)

    def sample(
        self,
        messages: Sequence[BaseMessage],
        tools: Sequence[object] = (),
        *,
        n: int,
        tool_choice: str | bool | None = None,
    ) -> list[AIMessage]:
        """Draw n candidate messages in one pass over the prompt.

        Input tokens are counted on the first message alone, since the prompt was read once.

        Args:
            messages: The conversation so far.
            tools: Anything that LangChain or `ToolSet.of` takes for a tool.
            n: How many.
            tool_choice: As in `bind_tools`.

        Raises:
            ConfigurationError: If `n`, a tool or `tool_choice` is wrong.
        """
        toolset, text_allowed = _offered(ToolSet.of(tools), tool_choice)
        sampler, seed = self._next_draw()
        sampled = sampler.sample(
            parse_messages(messages),
            toolset,
            n=n,
            seed=seed,
            temperature=self.temperature,
            max_tokens=self.max_tokens,
            text_allowed=text_allowed,
        )
        return [_message(sampled, index, seed) for index in range(n)]

    async def asample(
        self,
        messages: Sequence[BaseMessage],
        tools: Sequence[object] = (),
        *,
        n: int,
        tool_choice: str | bool | None = None,
    ) -> list[AIMessage]:
        """As `sample`, in a thread, so that the event loop goes on."""
        return await asyncio.to_thread(self.sample, messages, tools, n=n, tool_choice=tool_choice)

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        *,
        tools: Sequence[object] = (),
        tool_choice: str | bool | None = None,
        n: int | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        drawn = self.sample(messages, tools, n=n or self.n, tool_choice=tool_choice)
        return ChatResult(generations=[ChatGeneration(message=message) for message in drawn])

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        return await asyncio.to_thread(self._generate, messages, stop, None, **kwargs)

    def _next_draw(self) -> tuple[EmbeddedSampler, int]:
        with self._lock:
            if self._sampler is None:
                self._sampler = EmbeddedSampler()
            seed = self.seed + self._draws
            self._draws += 1
        return self._sampler, seed


def _offered(tools: ToolSet, tool_choice: str | bool | None) -> tuple[ToolSet, bool]:
    """Return the tools on offer and whether plain text is."""
    if tool_choice in (None, "auto", False):
        return tools, True
    if tool_choice == "none":
        return ToolSet(()), True
    if tool_choice in ("any", "required", True):
        return tools, False
    if isinstance(tool_choice, str) and tool_choice in tools:
        return ToolSet((tools[tool_choice],)), False
    raise ConfigurationError(
        f"tool_choice {tool_choice!r} is none of auto, any, required, none or a bound tool "
        f"({', '.join(tools) or 'no tools are bound'})"
    )


def _message(sampled: Sampled, index: int, seed: int) -> AIMessage:
    candidate: Candidate = sampled.candidates[index]
    calls: list[ToolCall] = []
    invalid: list[InvalidToolCall] = []
    for position, call in enumerate(candidate.calls):
        call_id = _call_id(seed, index, position, call)
        if call.defect is None:
            calls.append(ToolCall(name=call.name, args=dict(call.arguments), id=call_id))
        else:
            invalid.append(
                InvalidToolCall(
                    name=call.name,
                    args=None,
                    id=call_id,
                    error=call.defect.message,
                    type="invalid_tool_call",
                )
            )
    read = sampled.prompt_tokens if index == 0 else 0
    cached = sampled.cached_tokens if index == 0 else 0
    written = sampled.generated_tokens[index]
    return AIMessage(
        content=candidate.text,
        tool_calls=calls,
        invalid_tool_calls=invalid,
        usage_metadata=UsageMetadata(
            input_tokens=read,
            output_tokens=written,
            total_tokens=read + written,
            input_token_details=InputTokenDetails(cache_read=cached),
        ),
        response_metadata={"model_name": MODEL_NAME, "seed": seed},
    )


def _call_id(seed: int, index: int, position: int, call: Call) -> str:
    """Return an id that the same run gives again; unique within a run, since seeds advance."""
    text = f"{seed}/{index}/{position}/{call.canonical}"
    return f"call_{hashlib.sha256(text.encode()).hexdigest()[:24]}"
