"""Conversations in one form, read from OpenAI dicts or LangChain messages."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from toolrm_guard.calls import MAPPING, Call, Candidate, content_text
from toolrm_guard.errors import InvalidConversationError

Role = Literal["system", "user", "assistant", "tool"]

_ROLES: Mapping[str, Role] = {
    **{role: role for role in get_args(Role)},
    "developer": "system",
    "human": "user",
    "ai": "assistant",
    "function": "tool",
    "observation": "tool",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One turn of the context that precedes the candidates.

    `failed` is what a tool message says of its call; None where the format does not say.
    """

    role: Role
    text: str = ""
    calls: tuple[Call, ...] = ()
    name: str | None = None
    call_id: str | None = None
    failed: bool | None = None

    @classmethod
    def parse(cls, raw: object) -> "Message":
        """Read one message.

        Raises:
            InvalidConversationError: If it has no role that we know.
        """
        if isinstance(raw, Message):
            return raw
        if isinstance(raw, MAPPING):
            role, content = raw.get("role", raw.get("type")), raw.get("content")
            name, call_id = raw.get("name"), raw.get("tool_call_id")
            status = raw.get("status")
            has_calls = bool(raw.get("tool_calls"))
        else:
            role = getattr(raw, "type", None)
            if role is None:  # the openai client's messages
                role = getattr(raw, "role", None)
            elif role == "chat":  # LangChain's ChatMessage takes any role; who it is says `name`
                said = getattr(raw, "role", None)
                role = said if said in _ROLES else "user"
            content, name = getattr(raw, "content", None), getattr(raw, "name", None)
            # Asked only where they can be: pydantic is slow to say that it has no such attribute.
            call_id = getattr(raw, "tool_call_id", None) if role == "tool" else None
            status = getattr(raw, "status", None) if role == "tool" else None
            has_calls = role in ("ai", "assistant") and bool(getattr(raw, "tool_calls", None))
        if not isinstance(role, str) or role not in _ROLES:
            raise InvalidConversationError(
                f"message of type {type(raw).__name__} has role {role!r}; "
                f"expected one of {', '.join(get_args(Role))}, or a LangChain message"
            )
        return cls(
            role=_ROLES[role],
            text=content_text(content),
            calls=Candidate.parse(raw).calls if has_calls else (),
            name=name if isinstance(name, str) else None,
            call_id=call_id if isinstance(call_id, str) else None,
            failed=status == "error" if status in ("error", "success") else None,
        )


def parse_messages(raw: Sequence[object] | str) -> tuple[Message, ...]:
    """Read a conversation; a plain string is one user message."""
    if isinstance(raw, str):
        return (Message(role="user", text=raw),)
    return tuple(Message.parse(message) for message in raw)
