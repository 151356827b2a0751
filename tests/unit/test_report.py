"""The report: what was, or in shadow would have been, blocked, corrected and escalated."""

import json
from pathlib import Path

import pytest

from toolrm_guard import Budget, FakeScorer, Guard, Policy, Rule, ScoreRequest, TraceStore
from toolrm_guard.budget import Allowance
from toolrm_guard.cli import main
from toolrm_guard.report import render, summarise

TOOLS = [{"name": "get_mail"}, {"name": "delete_mail"}]
RATES = {"get_mail": 0.9, "delete_mail": 0.1}


def rate(request: ScoreRequest) -> list[float]:
    return [RATES[candidate.calls[0].name] for candidate in request.candidates]


def call(name: str, call_id: str) -> dict[str, object]:
    return {"tool_calls": [{"name": name, "args": {}, "id": call_id}]}


def record(path: Path, policy: Policy) -> None:
    with TraceStore(path) as store:
        guard = Guard(FakeScorer(rate), policy=policy, store=store)
        for index in range(3):
            guard.review("Tidy up", TOOLS, [call("delete_mail", f"d{index}")], may_correct=False)
            guard.record_outcome(f"d{index}", ok=index == 0, kind="execution")
        guard.review("Tidy up", TOOLS, [call("delete_mail", "d9")], may_correct=True)
        guard.review("Read", TOOLS, [call("get_mail", "g0")])
        assert store.flush()


def test_shadow_says_what_would_have_been_blocked_and_whether_that_was_right(
    tmp_path: Path,
) -> None:
    record(tmp_path / "t.db", Policy(mode="shadow"))
    with TraceStore(tmp_path / "t.db") as store:
        figures = summarise(store.reviews(), store.outcomes())
    [(mode, found)] = figures.items()
    assert mode == "shadow"
    assert found.decisions == {"reject": 3, "correct": 1, "execute": 1}
    tool = found.tools["delete_mail"]
    assert tool.fates == {"blocked": 3, "corrected": 1}
    assert (tool.failed["blocked"], tool.succeeded["blocked"]) == (2, 1)
    text = render(figures)
    assert "would be blocked" in text
    assert "1 of 3" in text


def test_an_escalation_is_counted_apart_from_a_rejection(tmp_path: Path) -> None:
    record(tmp_path / "t.db", Policy(destructive=Rule(on_low="escalate"), max_corrections=0))
    with TraceStore(tmp_path / "t.db") as store:
        found = summarise(store.reviews(), store.outcomes())["enforce"]
    assert found.tools["delete_mail"].fates == {"escalated": 4}
    assert found.effects == {"destructive": 4}


def test_samples_saved_are_counted_against_a_fixed_n(tmp_path: Path) -> None:
    budget = Budget(max_samples=8)
    with TraceStore(tmp_path / "t.db") as store:
        guard = Guard(FakeScorer(rate), store=store)
        allowance = Allowance(left=7, of=budget.max_samples, margin=0.0)
        sure = guard.review("Read", TOOLS, [call("get_mail", "g0")], allowance=allowance)
        unsure = guard.review("Tidy", TOOLS, [call("delete_mail", "d0")], allowance=allowance)
        assert (sure.more, unsure.more) == (0, 1)
        assert store.flush()
        assert [review.id for review in store.reviews()] == [sure.id], "provisional: no record"
        found = summarise(store.reviews(), store.outcomes())["enforce"]
    assert (found.samples, found.samples_allowed) == (1, 8)
    assert "88% saved" in render({"enforce": found})


def test_the_command_prints_and_writes_the_figures(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    record(tmp_path / "t.db", Policy(mode="shadow"))
    assert main(["report", str(tmp_path / "t.db"), "--json", str(tmp_path / "r.json")]) == 0
    assert "shadow: 5 reviews" in capsys.readouterr().out
    written = json.loads((tmp_path / "r.json").read_text())
    assert written["shadow"]["tools"]["delete_mail"]["fates"]["blocked"] == 3


def test_a_store_that_is_not_there_is_named_and_not_created(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    missing = tmp_path / "none.db"
    assert main(["report", str(missing)]) == 1
    assert "none.db" in capsys.readouterr().err
    assert not missing.exists()


def test_an_empty_store_says_so(tmp_path: Path) -> None:
    with TraceStore(tmp_path / "t.db") as store:
        assert render(summarise(store.reviews(), store.outcomes())) == "The store holds no reviews."
