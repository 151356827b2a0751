"""The OpenAI chat format, both ways: a context as a request body, a reply as a response."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from toolrm_guard.calls import Call
from training.preferences.rows import Context, JsonObject
from training.preferences.samplers.base import CouldNotSample


class _Function(BaseModel):
    name: str
    arguments: str | dict[str, Any] | None = None


class _ToolCall(BaseModel):
    function: _Function


class _Message(BaseModel):
    content: str | None = None
    tool_calls: list[_ToolCall] | None = None


class _Choice(BaseModel):
    message: _Message


class _Usage(BaseModel):
    total_tokens: int = 0


class _Reply(BaseModel):
    model_config = ConfigDict(extra="ignore")

    choices: list[_Choice]
    usage: _Usage | None = None


class Answer(BaseModel):
    """What is kept of a reply.

    Attributes:
        refused: The reason why there is no turn, where asking again would not change it.
        detail: The reason for people.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    text: str = ""
    calls: list[dict[str, Any]] = []
    refused: str | None = None
    detail: str = ""


def request_body(
    context: Context, model: str, seed: int, options: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the body of a chat completion request."""
    body = {"model": model, "messages": _messages(context.messages), "seed": seed, **options}
    if context.tools:
        body["tools"] = [{"type": "function", "function": dict(tool)} for tool in context.tools]
    return body


def read_reply(body: bytes) -> tuple[Answer, int]:
    """Return the answer of a reply, and the tokens that it cost.

    Raises:
        CouldNotSample: `garbage` if it is no chat completion, `empty_answer` if it says nothing.
    """
    try:
        reply = _Reply.model_validate_json(body)
    except ValidationError as exc:
        shown = body[:80].decode("utf-8", "replace")
        first = exc.errors()[0]["msg"]
        raise CouldNotSample("garbage", f"no chat completion ({first}): {shown!r}") from exc
    # Servers that do not count are charged by length: about four characters a token.
    tokens = reply.usage.total_tokens if reply.usage else len(body) // 4
    if not reply.choices:
        raise CouldNotSample("empty_answer", "the reply has no choice")
    message = reply.choices[0].message
    calls = [Call.parse({"function": c.function.model_dump()}) for c in message.tool_calls or ()]
    text = (message.content or "").encode("utf-8", "replace").decode()
    if not calls and not text.strip():
        raise CouldNotSample("empty_answer", "the reply has neither text nor calls")
    for call in calls:
        if call.defect is not None:
            detail = f"{call.name[:80]}: {call.defect.message}"
            return Answer(refused="malformed_call", detail=detail), tokens
    written = [{"name": call.name, "arguments": dict(call.arguments)} for call in calls]
    return Answer(text=text, calls=written), tokens


def _messages(messages: Sequence[JsonObject]) -> list[dict[str, Any]]:
    """Return messages with call ids, which the format wants and trajectories do not have."""
    waiting: list[str] = []
    written = []
    for index, message in enumerate(messages):
        turned: dict[str, Any] = {"role": message["role"], "content": message.get("content") or ""}
        calls = message.get("tool_calls") or ()
        if calls:
            waiting = [f"call_{index}_{number}" for number in range(len(calls))]
            turned["tool_calls"] = [
                {
                    "id": key,
                    "type": "function",
                    "function": {"name": c["name"], "arguments": json.dumps(c["arguments"])},
                }
                for key, c in zip(waiting, calls, strict=True)
            ]
            waiting = list(waiting)
        elif message["role"] == "tool":
            # Results stand in the order of the calls; one too many gets an id nobody asked for.
            turned["tool_call_id"] = waiting.pop(0) if waiting else f"call_{index}_x"
        written.append(turned)
    return written
