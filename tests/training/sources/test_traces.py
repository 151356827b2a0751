"""This project's own traces as trajectories."""

import datetime
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from tests.training.sources.made import BAKE, reasons, taken
from toolrm_guard.calls import Call, Candidate
from toolrm_guard.errors import ConfigurationError
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
from training.preferences.sources import open_source

NOW = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
RIGHT = Candidate(calls=(Call(name="bake", arguments={"what": "bread"}, id="c1"),))
WRONG = Candidate(calls=(Call(name="bake", arguments={"what": "cake"}),))
INVALID = Candidate(calls=(Call(name="fry", arguments={}),))


def candidate(proposed: Candidate, probability: float, *codes: str) -> CandidateRecord:
    findings = [FindingRecord(code=c, severity="error", path="", message=c) for c in codes]
    return CandidateRecord(
        text=proposed.text,
        calls=[call_record(call) for call in proposed.calls],
        probability=probability,
        findings=findings,
    )


def review(key: str, **changed: Any) -> ReviewRecord:
    fields: dict[str, Any] = {
        "id": key,
        "created_at": NOW,
        "conversation_id": "talk",
        "scorer": "lite",
        "messages": message_records((Message(role="user", text="Bread."),)),
        "tools": [BAKE],
        "candidates": [
            candidate(RIGHT, 0.9),
            candidate(WRONG, 0.3),
            candidate(INVALID, 0.1, "unknown_tool"),
        ],
        "chosen": 0,
        "decision": "execute",
        "judged": True,
        "total_ms": 1.0,
        "scorer_ms": 1.0,
        **changed,
    }
    return ReviewRecord(**fields)


def stored(path: Path, *entries: ReviewRecord | OutcomeRecord) -> str:
    with TraceStore(path) as store:
        for entry in entries:
            store.put(lambda entry=entry: entry)
        assert store.flush()
    return str(path)


def outcome(*, ok: bool) -> OutcomeRecord:
    return OutcomeRecord(call_id="c1", kind="task", ok=ok, created_at=NOW, conversation_id="talk")


def test_what_went_well_is_the_reference_and_the_worse_ones_its_responses(tmp_path: Path) -> None:
    path = stored(tmp_path / "t.db", review("r1"), outcome(ok=True))
    (got,), dropped = taken("traces", path, licence="LicenseRef-own")
    assert not dropped
    assert got.messages == (
        {"role": "user", "content": "Bread."},
        {
            "role": "assistant",
            "content": "",
            "tool_calls": [{"name": "bake", "arguments": {"what": "bread"}}],
        },
    )
    assert got.targets == (1,)
    # What only scored worse has no label; what broke the schema has one.
    assert [(r.calls[0]["arguments"], r.label, r.error) for r in got.recorded] == [
        ({"what": "bread"}, True, None),
        ({"what": "cake"}, None, None),
        ({}, False, "unknown_tool"),
    ]
    assert (got.group, got.licence) == ("traces:talk", "LicenseRef-own")


def test_without_an_outcome_the_executed_turn_has_no_label(tmp_path: Path) -> None:
    (got,), _ = taken("traces", stored(tmp_path / "t.db", review("r1")))
    assert got.recorded[0].label is None


def test_reviews_that_teach_nothing_are_dropped_by_reason(tmp_path: Path) -> None:
    path = stored(
        tmp_path / "t.db",
        review("failed"),
        outcome(ok=False),
        review("rejected", decision="reject"),
        review("silent", judged=False, candidates=[CandidateRecord()]),
    )
    rows, dropped = taken("traces", path)
    assert not rows
    assert sorted(reasons(dropped)) == [
        ("failed", "no_pair"),
        ("rejected", "not_executed"),
        ("silent", "not_judged"),
    ]


def test_a_record_of_another_version_is_counted(tmp_path: Path) -> None:
    path = stored(tmp_path / "t.db", review("r1"), review("r2"))
    with sqlite3.connect(path) as db:
        db.execute("UPDATE reviews SET payload = '{}' WHERE id = 'r2'")
    db.close()
    rows, dropped = taken("traces", path)
    assert len(rows) == 1
    assert reasons(dropped) == [("unreadable[0]", "bad_record")]


def test_secrets_that_a_guard_without_a_redactor_stored_are_no_training_data(
    tmp_path: Path,
) -> None:
    secret = "ghp_" + "a1B2c3D4e5" * 4
    proposed = Candidate(calls=(Call(name="bake", arguments={"what": secret}, id="c1"),))
    made = review(
        "r1",
        messages=message_records((Message(role="user", text=f"Use {secret}."),)),
        candidates=[candidate(proposed, 0.9), candidate(WRONG, 0.3)],
        conversation_id=f"talk {secret}",
    )
    told = outcome(ok=True).model_copy(update={"conversation_id": None})
    (got,), dropped = taken("traces", stored(tmp_path / "t.db", made, told))
    assert not dropped
    assert got.recorded[0].label is True
    assert "<redacted:github_token>" in str(got)
    assert secret not in str(got)


def test_a_store_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="no trace store"):
        open_source("traces", str(tmp_path / "none.db"))
    assert not (tmp_path / "none.db").exists()
    _, dropped = taken("traces", stored(tmp_path / "empty.db"))
    assert reasons(dropped) == [("traces", "empty_source")]
