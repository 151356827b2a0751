"""A chat model over scripted turns: these tests are about the graph, not about the model."""

from collections.abc import Sequence
from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatResult

CallSpec = tuple[str, dict[str, Any]]


class ScriptedModel(BaseChatModel):
    """Answers with the scripted turns in order; keeps what it was shown."""

    turns: list[AIMessage]
    seen: list[list[BaseMessage]] = []

    @property
    def _llm_type(self) -> str:
        return "scripted"

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: Any = None,
        **kwargs: Any,
    ) -> ChatResult:
        self.seen.append(list(messages))
        return ChatResult(generations=[ChatGeneration(message=self.turns.pop(0))])

    def bind_tools(self, tools: Sequence[Any], **kwargs: Any) -> "ScriptedModel":
        return self


class Ledger:
    """A bank that writes down every call that really ran."""

    def __init__(self) -> None:
        self.ran: list[CallSpec] = []

    def get_balance(self, account: str) -> str:
        """Read the balance of an account."""
        self.ran.append(("get_balance", {"account": account}))
        return "100"

    def transfer(self, amount: float, to: str) -> str:
        """Move money to an account."""
        self.ran.append(("transfer", {"amount": amount, "to": to}))
        if amount > 1000:
            raise ValueError("insufficient funds")
        return "done"


def turn(*calls: CallSpec, text: str = "", prefix: str = "c") -> AIMessage:
    """An assistant turn with calls whose ids are `c0`, `c1`, ..."""
    return AIMessage(
        content=text,
        tool_calls=[
            {"name": name, "args": args, "id": f"{prefix}{index}", "type": "tool_call"}
            for index, (name, args) in enumerate(calls)
        ],
    )
