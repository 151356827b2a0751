"""The policy: thresholds, effect classes, and what happens without a judgement."""

import math

import pytest

from toolrm_guard.calls import Call, Candidate
from toolrm_guard.effects import effect_by_name
from toolrm_guard.errors import ConfigurationError
from toolrm_guard.findings import Finding
from toolrm_guard.policy import (
    CallVerdict,
    Decision,
    Policy,
    Rule,
    Verdict,
    decide,
    judge,
    threshold_for,
)
from toolrm_guard.tools import Effect, ToolSet

TOOLS = ToolSet.of([{"name": "get_mail"}, {"name": "save_note"}, {"name": "delete_mail"}])
THRESHOLDS = {"read": 0.2, "write": 0.5, "destructive": 0.8, "answer": 0.3}


def verdict_of(name: str, probability: float | None, policy: Policy | None = None) -> Verdict:
    [verdict] = judge(
        Candidate(calls=(Call(name=name),)),
        probability=probability,
        findings=(),
        tools=TOOLS,
        policy=policy or Policy(),
        thresholds=THRESHOLDS,  # type: ignore[arg-type]
    )
    return verdict.verdict


@pytest.mark.parametrize(
    ("name", "effect"),
    [
        ("get_user", "read"),
        ("searchFlights", "read"),
        ("list-files", "read"),
        ("deleteFile", "destructive"),
        ("send_to_everyone", "destructive"),
        ("update_profile", "write"),
        ("get_or_create_user", "write"),
        ("frobnicate", "write"),
        ("", "write"),
    ],
)
def test_the_verbs_of_a_name_tell_the_effect(name: str, effect: Effect) -> None:
    assert effect_by_name(name) == effect


def test_an_unknown_tool_counts_as_destructive() -> None:
    assert Policy().effect_of("nowhere", TOOLS) == "destructive"


def test_the_stated_effect_and_the_users_own_classes_come_before_the_name() -> None:
    tools = ToolSet.of([{"name": "get_mail", "x-effect": "write"}])
    assert Policy().effect_of("get_mail", tools) == "write"
    assert Policy(classify=lambda tool: "destructive").effect_of("get_mail", tools) == "destructive"


@pytest.mark.parametrize(
    ("name", "probability", "verdict"),
    [
        ("get_mail", 0.2, "approve"),
        ("get_mail", 0.19, "reject"),
        ("save_note", 0.49, "reject"),
        ("delete_mail", 0.79, "reject"),
        ("delete_mail", 0.8, "approve"),
    ],
)
def test_each_effect_class_has_its_own_threshold(
    name: str, probability: float, verdict: Verdict
) -> None:
    assert verdict_of(name, probability) == verdict


@pytest.mark.parametrize(
    ("name", "verdict"),
    [("get_mail", "approve"), ("save_note", "reject"), ("delete_mail", "escalate")],
)
def test_without_a_judgement_the_effect_class_decides(name: str, verdict: Verdict) -> None:
    assert verdict_of(name, None) == verdict


def test_a_low_score_can_ask_a_human() -> None:
    assert verdict_of("delete_mail", 0.1, Policy(destructive=Rule(on_low="escalate"))) == "escalate"


def test_an_error_rejects_only_its_own_call_and_beats_any_score() -> None:
    error = Finding(
        code="missing_required", severity="error", path="$.a", message="`a` is missing", call=1
    )
    verdicts = judge(
        Candidate(calls=(Call(name="get_mail"), Call(name="save_note"))),
        probability=0.99,
        findings=[error],
        tools=TOOLS,
        policy=Policy(),
        thresholds=THRESHOLDS,  # type: ignore[arg-type]
    )
    assert [v.verdict for v in verdicts] == ["approve", "reject"]
    assert verdicts[1].reason == "`a` is missing"


@pytest.mark.parametrize(
    ("verdicts", "answer_accepted", "may_correct", "decision"),
    [
        (["approve"], False, True, "execute"),
        (["approve", "reject"], False, True, "correct"),
        (["approve", "reject"], False, False, "execute"),
        (["reject"], False, False, "reject"),
        (["reject", "escalate"], False, False, "escalate"),
        (["approve", "escalate"], False, False, "escalate"),
        ([], True, True, "execute"),
        ([], False, True, "correct"),
        ([], False, False, "execute"),
    ],
)
def test_the_decision_follows_from_the_verdicts(
    verdicts: list[Verdict], answer_accepted: bool, may_correct: bool, decision: Decision
) -> None:
    given = [CallVerdict(call=Call(name="f"), effect="read", verdict=v) for v in verdicts]
    assert decide(given, answer_accepted=answer_accepted, may_correct=may_correct) == decision


@pytest.mark.parametrize("threshold", [-0.1, 1.1, math.nan])
def test_a_threshold_that_is_no_probability_is_refused(threshold: float) -> None:
    with pytest.raises(ConfigurationError, match="not a probability"):
        Rule(threshold=threshold)


def test_wrong_choices_are_named_with_the_known_ones() -> None:
    with pytest.raises(ConfigurationError, match="on_unjudged 'ajar' is none of open, closed"):
        Rule(on_unjudged="ajar")  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="deadline_s"):
        Policy(deadline_s=0)
    with pytest.raises(ConfigurationError, match="max_corrections is -1"):
        Policy(max_corrections=-1)


def test_a_threshold_that_nobody_states_is_an_error_that_says_how_to_state_it() -> None:
    with pytest.raises(ConfigurationError, match=r"Policy\(read=Rule\(threshold=...\)\)"):
        threshold_for("read", Policy(), {})
    assert threshold_for("read", Policy(read=Rule(threshold=0.4)), {}) == 0.4


@pytest.mark.parametrize(
    ("name", "verdict"),
    [("get_mail", "approve"), ("save_note", "reject"), ("delete_mail", "reject")],
)
def test_what_already_succeeded_runs_again_only_if_it_changes_nothing(
    name: str, verdict: Verdict
) -> None:
    call = Call(name=name)
    repeated = Finding(
        code="repeated_call", severity="warning", path="$", message="already done", call=0
    )
    for policy, expected in [
        (Policy(), verdict),
        (Policy(write=Rule(repeats=True), destructive=Rule(repeats=True)), "approve"),
    ]:
        [judged] = judge(
            Candidate(calls=(call,)),
            probability=0.99,
            findings=[repeated],
            tools=TOOLS,
            policy=policy,
            thresholds=THRESHOLDS,  # type: ignore[arg-type]
        )
        assert judged.verdict == expected
