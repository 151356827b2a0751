"""Fifty kinds of secrets go through a guarded agent; none is in what it leaves behind."""

import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.tools import StructuredTool
from langgraph.graph import START, MessagesState, StateGraph
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from tests.support.scripted import ScriptedModel
from tests.support.secrets import made_up, settings_of
from toolrm_guard import FakeScorer, Guard, TraceStore, guard_node, guarded_tool_node, tracing
from toolrm_guard.cli import main

SECRETS = made_up(7)
PASSWORD = SECRETS.pop("password")
PIN = "4" + "815"
MARKED = "harbour" + "-seal-" + "lantern"


def send(body: str, headers: dict[str, Any], pin: int, phrase: str) -> str:
    """Send a request."""
    if "fail" in body:
        raise ValueError(f"cannot send {body} with {headers} {pin} {phrase}")
    return f"sent {body} with {headers}; pin {pin}, phrase {phrase}"


TOOL = StructuredTool.from_function(
    send,
    args_schema={
        "type": "object",
        "properties": {
            "body": {"type": "string"},
            "headers": {"type": "object"},
            "pin": {"type": "integer", "x-sensitive": True},
            "phrase": {"type": "string", "x-sensitive": True},
        },
        "required": ["body", "headers", "pin", "phrase"],
    },
)


def places(kind: str, secret: str) -> Iterator[str]:
    """Where a user or a tool may leave a secret: in prose, nested, in a URL, next to base64."""
    yield f"Here is my {kind}: {secret}. Please use it."
    yield json.dumps({"a": [{"b": json.dumps({"c": secret})}]})
    yield f"https://api.example/v1?x={secret}&y=1"
    yield f"data:text/plain,QUJD+{secret}/QUJD=="


@pytest.fixture
def spans(monkeypatch: pytest.MonkeyPatch) -> InMemorySpanExporter:
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(tracing, "_tracer", provider.get_tracer("toolrm_guard"))
    return exporter


def agent(guard: Guard, turns: list[AIMessage]) -> Any:
    model = ScriptedModel(turns=turns)
    built = StateGraph(MessagesState)
    built.add_node("model", lambda state: {"messages": [model.invoke(state["messages"])]})
    built.add_node("guard", guard_node(guard, [TOOL], model_node="model"))
    built.add_node("tools", guarded_tool_node([TOOL], guard))
    built.add_edge(START, "model")
    built.add_edge("model", "guard")
    built.add_edge("tools", "model")
    return built.compile()


def turns_with(kind: str, secret: str) -> list[AIMessage]:
    headers = {"X-Token": secret, "nested": {secret: [secret]}}
    args = {"body": secret, "headers": headers, "pin": int(PIN), "phrase": MARKED}
    failing = {**args, "body": f"fail {secret}"}
    calls = [
        {"name": "send", "args": args, "id": f"call-{secret}"},
        {"name": "send", "args": failing, "id": f"again-{secret}"},
        {"name": f"tool {secret}", "args": {"password": PASSWORD}, "id": "unknown"},
    ]
    typed = [{**call, "type": "tool_call"} for call in calls]
    return [
        AIMessage(content=f"I use {secret}", tool_calls=typed),
        AIMessage(content=f"Done with {secret}, pin {PIN} and {MARKED}."),
    ]


def test_no_planted_secret_is_in_the_store_the_spans_the_logs_or_the_harvest(
    tmp_path: Path, spans: InMemorySpanExporter, caplog: pytest.LogCaptureFixture
) -> None:
    assert len(SECRETS) + len(settings_of(PASSWORD)) >= 50
    caplog.set_level(logging.DEBUG)
    path = tmp_path / "traces.db"
    store = TraceStore(path)

    def rate(request: Any) -> list[float]:
        if "github" in request.messages[-1].text:
            raise ValueError(f"cannot score {request.messages[-1].text}")
        return [0.9, 0.2][: len(request.candidates)]

    guard = Guard(FakeScorer(rate), store=store, capture_content=True)
    for kind, secret in SECRETS.items():
        asked = [HumanMessage(text) for text in places(kind, secret)]
        config = {"configurable": {"thread_id": f"thread {secret}"}}
        agent(guard, turns_with(kind, secret)).invoke({"messages": asked}, config)
        guard.record_outcome(
            f"call-{secret}", ok=False, label="user_complained", content=f"no {secret}, {MARKED}",
            conversation_id=f"thread {secret}",
        )  # fmt: skip
        right, wrong = (
            {"tool_calls": [{**c, "args": {**c["args"], "headers": {"n": n}}}]}
            for n, c in enumerate([turns_with(kind, secret)[0].tool_calls[0]] * 2)
        )
        guard.review(f"Send {secret}", [TOOL], [right, wrong], conversation_id=f"pairs {secret}")
    for text in settings_of(PASSWORD).values():
        agent(guard, [AIMessage(content=text)]).invoke({"messages": [HumanMessage(text)]})
    assert store.flush(60)
    files = b"".join(file.read_bytes() for file in tmp_path.iterdir())  # with the write-ahead log
    assert (tmp_path / "traces.db-wal").exists()
    store.close()
    main(["harvest", str(path), "--out", str(tmp_path / "pairs")])
    left = {
        "store": files.decode("utf-8", "replace"),
        "spans": "\n".join(span.to_json() for span in spans.get_finished_spans()),
        "logs": "\n".join(map(logging.Formatter().format, caplog.records)),
        "harvest": "\n".join(
            file.read_text() for file in (tmp_path / "pairs").rglob("*") if file.is_file()
        ),
    }
    for place, least in {"store": 500, "spans": 50, "harvest": 50}.items():
        assert left[place].count("<redacted:") > least, place
    assert "scorer 'fake' failed: ValueError" in left["logs"]
    for place, text in left.items():
        leaked = [kind for kind, secret in planted().items() if secret in text]
        assert leaked == [], place


def planted() -> dict[str, str]:
    """What must be nowhere: the secrets, whole and, where they are long, in their middle."""
    return {
        **SECRETS,
        **{f"{kind}, a part": s[12:32] for kind, s in SECRETS.items() if len(s) > 40},
        "private key, a line": SECRETS["private key"].splitlines()[2],
        "password": PASSWORD.rstrip("!"),
        "marked": MARKED,
        "marked pin": f" {PIN}",
        "stored pin": f":{PIN}",
    }


def test_what_was_planted_would_have_been_found(tmp_path: Path) -> None:
    path = tmp_path / "traces.db"
    with TraceStore(path) as store:
        guard = Guard(FakeScorer(lambda r: [0.9]), store=store, redactor=None)
        for kind, secret in SECRETS.items():
            guard.review(next(places(kind, secret)), [], [secret])
        assert store.flush()
        text = b"".join(file.read_bytes() for file in tmp_path.iterdir()).decode("utf-8", "replace")
    found = [kind for kind, secret in SECRETS.items() if json.dumps(secret)[1:-1] in text]
    assert found == list(SECRETS)
