"""The critique names what is wrong, errors first."""

from collections.abc import Callable
from typing import Any

import pytest

from toolrm_guard.calls import Call, Candidate
from toolrm_guard.correction import MAX_CRITIQUE_FINDINGS, critique
from toolrm_guard.findings import Finding
from toolrm_guard.guard import Guard
from toolrm_guard.policy import CallVerdict
from toolrm_guard.scorers.base import ScoreRequest
from toolrm_guard.scorers.fake import FakeScorer

ERROR = Finding(
    code="missing_required", severity="error", path="$.a", message="`a` is missing", call=1
)
WARNING = Finding(
    code="ungrounded_value", severity="warning", path="$.b", message="`b` was never said", call=0
)
TWO = Candidate(calls=(Call(name="f"), Call(name="g")))


def test_errors_come_before_warnings_and_name_their_call() -> None:
    text = critique(TWO, [WARNING, ERROR], [])
    assert text.index("Call 2 (g): `a` is missing") < text.index("Call 1 (f): `b` was never said")


def test_nothing_that_blocks_is_cut_from_a_long_list() -> None:
    text = critique(TWO, [WARNING] * (MAX_CRITIQUE_FINDINGS + 3) + [ERROR], [])
    assert "`a` is missing" in text


def test_without_findings_the_verdicts_speak() -> None:
    verdict = CallVerdict(call=Call(name="f"), effect="read", verdict="reject", reason="0.10 < 0.5")
    assert "0.10 < 0.5" in critique(Candidate(calls=(Call(name="f"),)), [], [verdict])


def test_an_answer_without_a_call_is_called_an_answer() -> None:
    assert critique(Candidate(text="hi"), [], []).startswith("This answer was not accepted")


class Explaining(FakeScorer):
    """A scorer that likes nothing and says why."""

    def __init__(self, why: Callable[[], tuple[Finding, ...]], probability: float) -> None:
        super().__init__(lambda request: [probability] * len(request.candidates))
        self._why = why
        self.asked: list[int] = []

    def explain(self, request: ScoreRequest, index: int) -> tuple[Finding, ...]:
        self.asked.append(index)
        return self._why()


WHY = Finding(code="weak_evidence", severity="warning", message="a switch does not fit")
TOOL = {"name": "read_file", "parameters": {"type": "object", "properties": {}}}


def test_what_the_scorer_has_against_a_draft_is_told_once_and_kept() -> None:
    scorer = Explaining(lambda: (WHY,), 0.01)
    review = Guard(scorer).review("Read it", [TOOL], [{"tool_calls": [{"name": "read_file"}]}])
    assert review.decision == "correct"
    assert scorer.asked == [0]
    assert (review.critique or "").count("a switch does not fit") == 1
    assert WHY in review.scores[0].findings
    assert WHY in review.findings[0]


def test_a_draft_that_passes_is_not_explained() -> None:
    scorer = Explaining(lambda: (WHY,), 0.99)
    review = Guard(scorer).review("Read it", [TOOL], [{"tool_calls": [{"name": "read_file"}]}])
    assert (review.decision, scorer.asked) == ("execute", [])


def test_a_scorer_that_cannot_explain_has_still_judged(caplog: pytest.LogCaptureFixture) -> None:
    def broken() -> tuple[Finding, ...]:
        raise RuntimeError("s3cr" + "et")

    def of_another_kind() -> Any:
        return ["the amount is odd"]

    for explain in (broken, of_another_kind):
        caplog.clear()
        review = Guard(Explaining(explain, 0.01)).review(
            "Read it", [TOOL], [{"tool_calls": [{"name": "read_file"}]}]
        )
        assert (review.decision, review.judged) == ("correct", True)
        assert "could not explain" in caplog.text
        assert "s3cret" not in caplog.text
