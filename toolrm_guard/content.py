"""What a span shows of a review's content, where that was opted into: redacted, and cut.

Messages have the form of OpenTelemetry's `gen_ai` conventions; OpenInference's `input.value` and
`output.value` hold the same text, since its backends show those.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from opentelemetry.util.types import AttributeValue

from toolrm_guard.records import (
    CallRecord,
    CandidateRecord,
    MessageRecord,
    ReviewRecord,
    clean_text,
)

VARIABLE = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"
"""OpenTelemetry's own switch; `true`, `span_only` and `span_and_event` put content into spans."""

MAX_TEXT_CHARS = 2_000
"""Of one text, and of the arguments of one call."""
MAX_CHARS = 16_000
"""Of one attribute."""

_IN_SPANS = {"true", "span_only", "span_and_event"}


def is_wanted(environ: Mapping[str, str]) -> bool:
    """Tell whether the environment asks for content in spans."""
    return environ.get(VARIABLE, "").strip().lower() in _IN_SPANS


def attributes_of(record: ReviewRecord) -> dict[str, AttributeValue]:
    """Return the attributes that show a record; it has been redacted already.

    Of a long conversation the newest messages are shown.
    """
    messages = _fitting([_message(m) for m in reversed(record.messages)], MAX_CHARS)
    shown_input = _json(messages[::-1])
    shown_output = _json(_fitting([_candidate(c) for c in record.candidates], MAX_CHARS))
    attributes: dict[str, AttributeValue] = {
        "gen_ai.input.messages": shown_input,
        "gen_ai.output.messages": shown_output,
        "input.value": shown_input,
        "input.mime_type": "application/json",
        "output.value": shown_output,
        "output.mime_type": "application/json",
    }
    if record.critique is not None:
        attributes["toolrm_guard.critique"] = _cut(record.critique)
    if record.unjudged_reason is not None:
        attributes["toolrm_guard.unjudged_message"] = _cut(record.unjudged_reason)
    return attributes


def _message(message: MessageRecord) -> dict[str, Any]:
    if message.role == "tool":
        answer = {
            "type": "tool_call_response",
            "id": message.call_id,
            "response": _cut(message.text),
        }
        return {"role": "tool", "parts": [answer]}
    return {"role": message.role, "parts": _parts(message.text, message.calls)}


def _candidate(candidate: CandidateRecord) -> dict[str, Any]:
    reason = "tool_call" if candidate.calls else "stop"
    parts = _parts(candidate.text, candidate.calls)
    return {"role": "assistant", "parts": parts, "finish_reason": reason}


def _parts(text: str, calls: Sequence[CallRecord]) -> list[dict[str, Any]]:
    parts: list[dict[str, Any]] = [{"type": "text", "content": _cut(text)}] if text else []
    for call in calls:
        arguments: object = call.arguments
        if len(as_text := _json(arguments)) > MAX_TEXT_CHARS:
            arguments = _cut(as_text)
        parts.append(
            {"type": "tool_call", "id": call.id, "name": _cut(call.name), "arguments": arguments}
        )
    return parts


def _fitting(turns: Sequence[dict[str, Any]], budget: int) -> list[dict[str, Any]]:
    """Return the first turns that fit, and in place of the others how many they are."""
    kept: list[dict[str, Any]] = []
    for index, turn in enumerate(turns):
        budget -= len(_json(turn))
        if budget < 0:
            left_out = f"[{len(turns) - index} more, too long to show]"
            parts = [{"type": "text", "content": left_out}]
            return [*kept, {"role": turn["role"], "parts": parts}]
        kept.append(turn)
    return kept


def _cut(text: str) -> str:
    text = clean_text(text)
    return text if len(text) <= MAX_TEXT_CHARS else f"{text[:MAX_TEXT_CHARS]} [...]"


def _json(value: object) -> str:
    # An exporter loses the whole batch over one lone surrogate.
    return clean_text(json.dumps(value, ensure_ascii=False, separators=(",", ":")))
