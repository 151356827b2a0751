"""The critique names what is wrong, errors first."""

from toolrm_guard.calls import Call, Candidate
from toolrm_guard.correction import MAX_CRITIQUE_FINDINGS, critique
from toolrm_guard.findings import Finding
from toolrm_guard.policy import CallVerdict

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
