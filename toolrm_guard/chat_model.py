"""A chat model whose answers are reviewed: best of N, corrected, and with their verdicts.

It stands in for an agent's model. Its drafts are invisible to the caller and to every stream; what
it returns, and what streams, is the winner.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from langchain_core.callbacks import (
    AsyncCallbackManager,
    AsyncCallbackManagerForLLMRun,
    BaseCallbackManager,
    CallbackManager,
    CallbackManagerForLLMRun,
)
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.runnables import RunnableConfig
from langchain_core.runnables.config import ensure_config
from pydantic import ConfigDict, Field

from toolrm_guard.budget import Budget
from toolrm_guard.drafts import ChatRunnable
from toolrm_guard.errors import ConfigurationError
from toolrm_guard.guard import Guard
from toolrm_guard.steps import adrive, drive
from toolrm_guard.tools import ToolSet
from toolrm_guard.turns import TurnReviewer


class GuardedChatModel(BaseChatModel):
    """Draws from `model`, and answers with the turn that the guard chose.

    It has no `_stream`: the winner exists only once every draft is judged, so it streams as one
    message.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True)

    # LangChain writes out a model's fields for every run; these would be pages.
    model: ChatRunnable = Field(repr=False)
    guard: Guard = Field(repr=False)
    tools: ToolSet = Field(repr=False)
    n: int | Budget = 1
    on_tools: Callable[[ToolSet], None] | None = Field(default=None, repr=False)
    # An answer from a cache would bring an approval that nobody gave.
    cache: bool | None = Field(default=False, exclude=True)

    @classmethod
    def over(
        cls,
        model: ChatRunnable,
        guard: Guard,
        *,
        n: int | Budget = 1,
        on_tools: Callable[[ToolSet], None] | None = None,
    ) -> "GuardedChatModel":
        """Return a guarded model that offers no tools yet.

        Args:
            model: The model to draw from; with fallbacks or a configuration, if need be.
            guard: Decides.
            n: Candidates per round, or a budget.
            on_tools: Told which tools are bound, whenever that happens.
        """
        return cls(
            model=model,
            guard=guard,
            tools=ToolSet([]),
            n=n,
            on_tools=on_tools,
            profile=getattr(model, "profile", None),
        )

    @property
    def model_name(self) -> str:
        """The name of the model behind it: `create_agent` chooses by it how to ask for output."""
        inner: Any = self.model
        names = (getattr(inner, name, None) for name in ("model_name", "model", "model_id"))
        return next((name for name in names if isinstance(name, str)), "")

    @property
    def _llm_type(self) -> str:
        return "toolrm-guard"

    def bind_tools(self, tools: Sequence[Any], **kwargs: Any) -> "GuardedChatModel":
        """Return the guarded model with tools offered, and known to the guard.

        Raises:
            ConfigurationError: If the model behind it cannot bind tools.
        """
        # A model with fallbacks or a configuration is no chat model, but it passes this on to one.
        bind = getattr(self.model, "bind_tools", None)
        if bind is None:
            raise self._cannot_bind()
        try:
            bound = bind(tools, **kwargs)
        except NotImplementedError as exc:
            raise self._cannot_bind() from exc
        offered = client_tools(tools, self.guard)
        if self.on_tools is not None:
            self.on_tools(offered)
        return self.model_copy(update={"model": bound, "tools": offered})

    def _cannot_bind(self) -> ConfigurationError:
        return ConfigurationError(
            f"{type(self.model).__name__} cannot bind tools, so it cannot be guarded; "
            "pass a chat model that can"
        )

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        config = _child(run_manager, CallbackManager)
        return _result(drive(self._reviewer(stop, kwargs).steps(messages, None), config))

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        config = _child(run_manager, AsyncCallbackManager)
        return _result(await adrive(self._reviewer(stop, kwargs).steps(messages, None), config))

    def _reviewer(self, stop: list[str] | None, kwargs: dict[str, Any]) -> TurnReviewer:
        options = {**kwargs, **({"stop": stop} if stop else {})}
        model = self.model.bind(**options) if options else self.model
        return TurnReviewer(guard=self.guard, tools=self.tools, model=model, n=self.n)


def client_tools(tools: Sequence[Any], guard: Guard) -> ToolSet:
    """Return the tools whose calls may come back here.

    What a provider defines (`{"type": "bash_20250124", "name": "bash"}`) may run on its servers,
    unseen, or here, as Anthropic's bash does and OpenAI's custom tools do. The name is what a call
    would come back under, so such a tool is known by it, with whatever arguments; one without a
    name (`{"type": "web_search"}`) is left out. A schema that is invalid ends no run: it is logged.
    """
    own = guard.toolset([tool for tool in tools if not _is_providers(tool)], lenient=True)
    open_ones = [_open_schema(tool) for tool in tools if _is_providers(tool)]
    named = {schema["name"]: schema for schema in open_ones if schema["name"]}
    more = [schema for name, schema in named.items() if name not in own]
    return ToolSet([*own.values(), *guard.toolset(more, lenient=True).values()]) if more else own


def _is_providers(tool: object) -> bool:
    return isinstance(tool, Mapping) and tool.get("type", "function") != "function"


def _open_schema(tool: Mapping[str, Any]) -> dict[str, Any]:
    custom = tool.get("custom")  # where OpenAI's chat completions put the name
    inner = custom if isinstance(custom, Mapping) else tool
    return {
        "name": inner.get("name"),
        "description": inner.get("description", ""),
        "parameters": inner.get("input_schema") or {"type": "object"},
        # A name like `bash` says nothing of what it may do. A policy's patterns come before this.
        "x-effect": tool.get("x-effect", None if "input_schema" in inner else "destructive"),
    }


def _child(
    run_manager: CallbackManagerForLLMRun | AsyncCallbackManagerForLLMRun | None,
    manager: type[BaseCallbackManager],
) -> RunnableConfig:
    """Return the surrounding run's configuration, with the drafts as children of this model run."""
    config = ensure_config()
    if run_manager is not None:  # LangChain gives model runs no `get_child`
        config["callbacks"] = manager(
            handlers=run_manager.inheritable_handlers,
            inheritable_handlers=run_manager.inheritable_handlers,
            parent_run_id=run_manager.run_id,
            inheritable_tags=run_manager.inheritable_tags,
            inheritable_metadata=run_manager.inheritable_metadata,
        )
    return config


def _result(winner: AIMessage) -> ChatResult:
    return ChatResult(generations=[ChatGeneration(message=winner)])
