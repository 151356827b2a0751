"""Made-up records: reviews and outcomes as a guard would have written them."""

import datetime
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from toolrm_guard.calls import Call
from toolrm_guard.messages import Message
from toolrm_guard.records import (
    CandidateRecord,
    FindingRecord,
    OutcomeRecord,
    ReviewRecord,
    call_record,
    message_records,
)
from toolrm_guard.store import TraceStore

NOW = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)

TOOLS: list[dict[str, Any]] = [
    {
        "name": name,
        "description": f"{name.replace('_', ' ')} by path.",
        "parameters": {
            "type": "object",
            "properties": {"path": {"type": "string"}},
            "required": ["path"],
        },
    }
    for name in ("get_file", "delete_file", "rename_file")
]


def turn(
    *paths: str,
    p: float | None = 0.9,
    tool: str = "delete_file",
    call_id: str | None = None,
    text: str = "",
    verdict: Any = "approve",
    error: str | None = None,
    effect: Any = None,
) -> CandidateRecord:
    """A candidate that calls the tool once a path."""
    calls = [
        call_record(
            Call(
                name=tool, arguments={"path": path}, id=f"{call_id}{n or ''}" if call_id else None
            ),
            verdict=verdict,
            effect=effect,
        )
        for n, path in enumerate(paths)
    ]
    findings = [FindingRecord(code=error, severity="error", path="", message="")] if error else []
    return CandidateRecord(text=text, calls=calls, reward=p, probability=p, findings=findings)


def review(
    key: str,
    *candidates: CandidateRecord,
    says: str | tuple[Message, ...] = "Delete a.txt",
    minute: int = 0,
    **changed: Any,
) -> ReviewRecord:
    """A review that executed its first candidate, unless told otherwise."""
    messages = (Message(role="user", text=says),) if isinstance(says, str) else says
    fields: dict[str, Any] = {
        "id": key,
        "created_at": NOW + datetime.timedelta(minutes=minute),
        "conversation_id": f"talk-{key}",
        "scorer": "lite",
        "scorer_fingerprint": "f" * 64,
        "messages": message_records(messages),
        "tools": TOOLS,
        "candidates": list(candidates),
        "chosen": 0,
        "decision": "execute",
        "judged": True,
        "total_ms": 1.5,
        "scorer_ms": 1.0,
        **changed,
    }
    return ReviewRecord(**fields)


def outcome(of: ReviewRecord, *, ok: bool, kind: Any = "task", **changed: Any) -> OutcomeRecord:
    """What became of the first call of the first candidate."""
    call = of.candidates[0].calls[0]
    fields: dict[str, Any] = {
        "call_id": call.id or "",
        "kind": kind,
        "ok": ok,
        "created_at": NOW + datetime.timedelta(hours=1),
        "conversation_id": of.conversation_id,
        "digest": call.digest,
        **changed,
    }
    return OutcomeRecord(**fields)


def stored(path: Path, *entries: ReviewRecord | OutcomeRecord) -> str:
    """Write the entries to a SQLite store and return its path."""
    with TraceStore(path) as store:
        for entry in entries:
            store.put(lambda entry=entry: entry)
        assert store.flush()
    return str(path)


def many(count: int, talks: int = 5) -> Iterable[ReviewRecord | OutcomeRecord]:
    """Distinct decisions over some conversations, each right and with a worse candidate."""
    for n in range(count):
        tool = ("get_file", "delete_file", "rename_file")[n % 3]
        made = review(
            f"r{n:03}",
            turn(f"{n}.txt", call_id=f"c{n}", tool=tool),
            turn(f"{n}.bak", p=0.2, tool=tool),
            says=f"Please take care of the file {n}.txt, the number {n} of my list",
            minute=n,
            conversation_id=f"talk{n % talks}",
        )
        yield made
        yield outcome(made, ok=True)
