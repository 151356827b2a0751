"""Content is in spans only when asked for, and then without secrets and not without end."""

import json
from typing import Any

import pytest
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans

from tests.telemetry.conftest import Sink
from tests.unit.conftest import TOOLS, proposal
from toolrm_guard import FakeScorer, Guard, content
from toolrm_guard.errors import ScorerUnavailable
from toolrm_guard.redaction import Redactor

TOKEN = "ghp_" + "a1B2" * 9
VAULT = {
    "name": "open_vault",
    "parameters": {
        "type": "object",
        "properties": {"pin": {"type": "string", "x-sensitive": True}, "door": {"type": "string"}},
    },
}


def shown(otel: Sink, candidates: list[Any], said: Any = "read a", **options: Any) -> Any:
    """The attributes of a review's span."""
    guard = Guard(FakeScorer(lambda r: [0.2] * len(r.candidates)), **options)
    guard.review(said, [*TOOLS, VAULT], candidates)
    [span] = otel.reviews
    return dict(span.attributes or {})


def test_by_default_there_is_none(otel: Sink, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(content.VARIABLE, raising=False)
    found = shown(otel, [proposal("get_file", path="needle")], said="haystack")
    assert not any(key.startswith(("input.", "output.", "gen_ai.input")) for key in found)
    assert "toolrm_guard.critique" not in found
    assert "needle" not in otel.everything()


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        ("true", True),
        ("SPAN_ONLY", True),
        ("span_and_event", True),
        ("EVENT_ONLY", False),
        ("NO_CONTENT", False),
        ("false", False),
        ("", False),
    ],
)
def test_the_variable_of_opentelemetry_asks_for_it(
    otel: Sink, monkeypatch: pytest.MonkeyPatch, value: str, wanted: bool
) -> None:
    monkeypatch.setenv(content.VARIABLE, value)
    found = shown(otel, [proposal("get_file", path="needle")])
    assert ("needle" in found.get("output.value", "")) == wanted


def test_a_guards_own_word_goes_before_the_variable(
    otel: Sink, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(content.VARIABLE, "true")
    found = shown(otel, [proposal("get_file", path="needle")], capture_content=False)
    assert "output.value" not in found


def test_messages_have_the_form_of_the_conventions(otel: Sink) -> None:
    said = [
        {"role": "user", "content": "read a"},
        {
            "role": "assistant",
            "content": "",
            "tool_calls": [{"name": "get_file", "arguments": {"path": "a"}, "id": "c0"}],
        },
        {"role": "tool", "content": "no such file", "tool_call_id": "c0"},
    ]
    candidates = [proposal("get_file", "c1", path="b"), "I cannot."]
    found = shown(otel, candidates, said, capture_content=True)
    call = {"type": "tool_call", "name": "get_file"}
    assert json.loads(found["gen_ai.input.messages"]) == [
        {"role": "user", "parts": [{"type": "text", "content": "read a"}]},
        {"role": "assistant", "parts": [{**call, "id": "c0", "arguments": {"path": "a"}}]},
        {
            "role": "tool",
            "parts": [{"type": "tool_call_response", "id": "c0", "response": "no such file"}],
        },
    ]
    assert json.loads(found["gen_ai.output.messages"]) == [
        {
            "role": "assistant",
            "parts": [{**call, "id": "c1", "arguments": {"path": "b"}}],
            "finish_reason": "tool_call",
        },
        {
            "role": "assistant",
            "parts": [{"type": "text", "content": "I cannot."}],
            "finish_reason": "stop",
        },
    ]
    assert found["input.value"] == found["gen_ai.input.messages"]
    assert found["toolrm_guard.critique"]


def test_secrets_are_replaced_by_shape_and_by_annotation_wherever_they_stand(otel: Sink) -> None:
    candidates = [proposal("open_vault", pin="4711-x", door="4711-x is no door"), TOKEN]
    found = shown(otel, candidates, said=f"My token is {TOKEN}.", capture_content=True)
    assert "<redacted:" in found["input.value"]
    assert TOKEN not in otel.everything()
    assert "4711-x" not in otel.everything()
    assert "door" in found["output.value"]


def test_long_content_is_cut_and_stays_json_with_the_newest_messages(otel: Sink) -> None:
    said = [
        {"role": "user" if k % 2 == 0 else "assistant", "content": f"message {k} " + "x" * 5_000}
        for k in range(99)
    ]
    candidates = [
        proposal("get_file", path="y" * 100_000),
        *(f"{k}" + "z" * 9_999 for k in range(20)),
    ]
    found = shown(otel, candidates, said, capture_content=True)
    for key in ("gen_ai.input.messages", "gen_ai.output.messages"):
        assert len(found[key]) <= content.MAX_CHARS + 200
    messages = json.loads(found["gen_ai.input.messages"])
    assert messages[-1]["parts"][0]["content"].startswith("message 98 ")
    assert "more, too long to show" in messages[0]["parts"][0]["content"]
    outputs = json.loads(found["gen_ai.output.messages"])
    assert "more, too long to show" in outputs[-1]["parts"][0]["content"]


def test_a_secret_across_the_cut_does_not_come_out_by_half(otel: Sink) -> None:
    text = "x" * (content.MAX_TEXT_CHARS - 10) + " " + TOKEN
    found = shown(otel, [text], said=text, capture_content=True)
    assert "ghp_" not in found["input.value"] + found["output.value"]


def test_what_utf8_cannot_hold_costs_no_batch_of_spans(otel: Sink) -> None:
    odd = "\ud800\x00"
    guard = Guard(FakeScorer(lambda _: [0.2]), capture_content=True)
    guard.review(odd, TOOLS, [proposal("get_file", odd, path=odd)], conversation_id=odd)
    [span] = otel.reviews
    encode_spans([span])  # raises what an exporter would
    json.loads(str((span.attributes or {})["output.value"]))


def test_a_redactor_that_fails_shows_nothing(otel: Sink, caplog: pytest.LogCaptureFixture) -> None:
    def broken(text: str) -> Any:
        raise RuntimeError("out of order")

    redactor = Redactor(finder=broken)
    found = shown(
        otel, [proposal("get_file", path="needle")], capture_content=True, redactor=redactor
    )
    assert "output.value" not in found
    assert "shows none" in caplog.text


def test_an_id_that_cannot_be_redacted_is_not_shown_and_ends_no_review(otel: Sink) -> None:
    def broken(text: str) -> Any:
        raise RuntimeError("out of order")

    guard = Guard(FakeScorer(lambda r: [0.9]), redactor=Redactor(finder=broken))
    call = {"id": "id-of-ann", "name": "get_file", "arguments": {"path": "a"}}
    review = guard.review("read a", TOOLS, [{"tool_calls": [call]}], conversation_id="ann")
    assert review.decision == "execute"
    [span] = otel.reviews
    assert (span.attributes or {})["gen_ai.conversation.id"] == "(not shown)"
    assert "ann" not in otel.everything()


def test_why_a_guard_could_not_judge_is_content(otel: Sink) -> None:
    def rate(request: Any) -> list[float]:
        raise ScorerUnavailable(f"cannot score needle with {TOKEN}")

    Guard(FakeScorer(rate), capture_content=True).review("x", TOOLS, ["y"])
    [span] = otel.reviews
    told = str((span.attributes or {})["toolrm_guard.unjudged_message"])
    assert told.startswith("ScorerUnavailable: cannot score needle with <redacted")


def test_an_exception_of_a_users_own_code_leaves_its_type_on_the_span_and_no_more(
    otel: Sink, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*args: Any, **kwargs: Any) -> Any:
        raise RuntimeError("needle")

    guard = Guard(FakeScorer(lambda _: [0.9]))
    monkeypatch.setattr(guard, "_decide", fail)
    with pytest.raises(RuntimeError):
        guard.review("x", TOOLS, ["y"])
    [span] = otel.reviews
    assert span.status.description == "RuntimeError"
    assert "needle" not in otel.everything()
