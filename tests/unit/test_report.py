"""The report: what was, or in shadow would have been, blocked, corrected and escalated."""

import json
from pathlib import Path
from typing import Any

import pytest

from toolrm_guard import Budget, Call, FakeScorer, Guard, Policy, Rule, ScoreRequest, TraceStore
from toolrm_guard.budget import Allowance
from toolrm_guard.cli import main
from toolrm_guard.report import ModeFigures, render, summarise

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


PATH = {"type": "object", "properties": {"path": {"type": "string"}}}
BY_PATH = [{"name": "delete_mail", "parameters": PATH}]


def delete(path: str, call_id: str = "c0") -> dict[str, Any]:
    return {"tool_calls": [{"name": "delete_mail", "args": {"path": path}, "id": call_id}]}


def digest(path: str) -> str:
    return Call(name="delete_mail", arguments={"path": path}).digest


def guarded(store: TraceStore, rates: dict[str, float], **policy: Any) -> Guard:
    """A guard that rates a call by its first argument."""

    def rated(request: ScoreRequest) -> list[float]:
        return [rates.get(c.calls[0].arguments["path"], 0.9) for c in request.candidates]

    return Guard(FakeScorer(rated), store=store, policy=Policy(max_corrections=0, **policy))


def figures_of(store: TraceStore) -> ModeFigures:
    assert store.flush()
    return summarise(store.reviews(), store.outcomes())["enforce"]


def test_a_call_id_that_comes_again_in_a_later_turn_is_another_call(tmp_path: Path) -> None:
    with TraceStore(tmp_path / "t.db") as store:
        guard = guarded(store, {})
        for path, ok in (("a", True), ("b", False)):
            guard.review("Tidy", BY_PATH, [delete(path)])
            guard.record_outcome("c0", ok=ok, kind="execution", digest=digest(path))
        tool = figures_of(store).tools["delete_mail"]
    assert (tool.succeeded["passed"], tool.failed["passed"]) == (1, 1)


def test_an_outcome_without_a_digest_is_joined_by_its_id(tmp_path: Path) -> None:
    with TraceStore(tmp_path / "t.db") as store:
        guard = guarded(store, {})
        guard.review("Tidy", BY_PATH, [delete("a")])
        guard.record_outcome("c0", ok=False, kind="task")
        tool = figures_of(store).tools["delete_mail"]
    assert tool.failed == {"passed": 1}


@pytest.mark.parametrize("went", [(False, True), (True, False)])
def test_a_call_that_was_tried_again_went_as_it_did_last(
    tmp_path: Path, went: tuple[bool, bool]
) -> None:
    with TraceStore(tmp_path / "t.db") as store:
        guard = guarded(store, {})
        guard.review("Tidy", BY_PATH, [delete("a")])
        for ok in went:
            guard.record_outcome("c0", ok=ok, kind="execution", digest=digest("a"))
        tool = figures_of(store).tools["delete_mail"]
    assert (tool.succeeded["passed"], tool.failed["passed"]) == (went[1], went[0])


def test_an_edited_call_is_counted_once_as_its_last_review_left_it(tmp_path: Path) -> None:
    with TraceStore(tmp_path / "t.db") as store:
        guard = guarded(store, {"a": 0.1, "b": 0.1}, destructive=Rule(on_low="escalate"))
        first = guard.review("Tidy", BY_PATH, [delete("a")])
        for path in ("b", "c"):  # edited, held again, and edited once more
            guard.review("Tidy", BY_PATH, [delete(path)], parent_id=first.id)
        found = figures_of(store)
    assert found.tools["delete_mail"].fates == {"passed": 1}
    assert found.decisions == {"escalate": 2, "execute": 1}
    assert not found.effects


def test_what_a_turn_held_beside_an_edited_call_keeps_its_fate(tmp_path: Path) -> None:
    both = {"tool_calls": [*delete("a")["tool_calls"], *delete("b", "c1")["tool_calls"]]}
    with TraceStore(tmp_path / "t.db") as store:
        guard = guarded(store, {"a": 0.1}, destructive=Rule(on_low="escalate"))
        first = guard.review("Tidy", BY_PATH, [both])
        guard.review("Tidy", BY_PATH, [delete("c")], parent_id=first.id)
        found = figures_of(store)
    assert found.tools["delete_mail"].fates == {"escalated": 1, "passed": 1}


def test_a_draft_that_was_sent_back_counts_as_corrected_beside_its_correction(
    tmp_path: Path,
) -> None:
    with TraceStore(tmp_path / "t.db") as store:
        guard = Guard(FakeScorer(rate), store=store)
        first = guard.review("Tidy", TOOLS, [call("delete_mail", "c0")])
        candidates = [call("delete_mail", "c0"), call("get_mail", "d0")]
        guard.review("Tidy", TOOLS, candidates, round=1, parent_id=first.id)
        found = figures_of(store)
    assert found.tools["delete_mail"].fates == {"corrected": 1}
    assert found.tools["get_mail"].fates == {"passed": 1}
