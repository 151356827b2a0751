"""Two scorers on the same stored reviews: what changes, and what the outcomes say of it."""

import asyncio
import json
import math
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.stores import outcome, review, turn
from toolrm_guard import FakeScorer
from toolrm_guard.calls import Call
from toolrm_guard.errors import ScorerUnavailable
from toolrm_guard.records import CandidateRecord, OutcomeRecord, ReviewRecord, call_record
from toolrm_guard.redaction import Redactor
from toolrm_guard.replay.cases import Unjudged, as_recorded, judge_again, policy_of, read_cases
from toolrm_guard.replay.comparison import Comparison, compare, interval, mcnemar
from toolrm_guard.replay.gate import Gate
from toolrm_guard.scorers.base import ScoreRequest

Rate = Callable[[ScoreRequest], Sequence[float]]


def by_path(**rates: float) -> Rate:
    def rate(request: ScoreRequest) -> Sequence[float]:
        return [
            rates.get(str(c.calls[0].arguments["path"]).partition(".")[0], 0.5)
            for c in request.candidates
        ]

    return rate


def replayed(rate: Rate | FakeScorer, *entries: Any, timeout_s: float = 5.0) -> Comparison:
    reviews = [e for e in entries if isinstance(e, ReviewRecord)]
    outcomes = [e for e in entries if isinstance(e, OutcomeRecord)]
    cases, unreadable = read_cases(reviews, outcomes)
    scorer = rate if isinstance(rate, FakeScorer) else FakeScorer(rate)
    after = judge_again(cases, scorer, policy_of(reviews), timeout_s=timeout_s)
    before = [as_recorded(case) for case in cases]
    return compare(cases, before, after, unreadable=[why for _, why in unreadable])


def ran(key: str, path: str, *others: Any, ok: bool | None = True, **changed: Any) -> list[Any]:
    made = review(key, turn(f"{path}.txt", call_id=f"c{key}"), *others, **changed)
    return [made] if ok is None else [made, outcome(made, ok=ok)]


def test_the_same_scores_change_nothing() -> None:
    entries = [*ran("1", "a", turn("b.txt", p=0.2)), *ran("2", "b", ok=False)]
    found = replayed(by_path(a=0.9, b=0.9), *entries)
    assert not found.changes
    assert (found.base, found.p_value, found.difference) == (found.new, 1.0, 0.0)


def test_a_wrong_turn_that_is_withheld_is_gained_and_a_right_one_is_lost() -> None:
    entries = [*ran("1", "a", ok=False), *ran("2", "b", ok=False), *ran("3", "c")]
    found = replayed(by_path(a=0.1, b=0.9, c=0.1), *entries)
    assert (found.gained, found.lost) == (1, 1)
    assert (found.new.accuracy, found.base.accuracy) == (pytest.approx(1 / 3), pytest.approx(1 / 3))
    assert (found.new.false_block, found.new.false_pass) == (1.0, 0.5)
    assert (found.base.false_block, found.base.false_pass) == (0.0, 1.0)
    assert [change.case.review.id for change in found.changes] == ["3", "1"], "what got worse first"
    assert found.enforced == 3


def test_another_candidate_in_place_of_a_right_one_is_replaced_and_no_false_block() -> None:
    found = replayed(by_path(a=0.6, b=0.95), *ran("1", "a", turn("b.txt", p=0.2)))
    assert (found.new.replaced, found.new.false_block, found.new.accuracy) == (1.0, 0.0, 0.0)
    assert len(found.changes) == 1


def test_without_an_outcome_a_change_counts_and_the_accuracy_does_not() -> None:
    found = replayed(by_path(a=0.1), *ran("1", "a", ok=None))
    assert (found.known, found.new.accuracy, found.p_value, found.interval) == (0, None, None, None)
    assert len(found.changes) == 1


def test_a_withheld_turn_that_stays_withheld_is_no_change() -> None:
    held = review("1", turn("a.txt", p=0.4, verdict="escalate"), decision="escalate", round=0)
    assert not replayed(by_path(a=0.1), held).changes
    sent_back = review("1", turn("a.txt", p=0.4, verdict="reject"), decision="correct")
    assert not replayed(by_path(a=0.1), sent_back).changes
    assert len(replayed(by_path(a=0.9), sent_back).changes) == 1


def test_an_outage_is_counted_as_such_and_never_as_a_change() -> None:
    def fail(request: ScoreRequest) -> Sequence[float]:
        if request.messages[0].text == "Fail":
            raise ScorerUnavailable("it is away")
        return [0.9]

    found = replayed(fail, *ran("1", "a", says="Fail"), *ran("2", "b"))
    assert (found.reviews, found.judged, len(found.changes)) == (2, 1, 0)
    assert found.unjudged == {"ScorerUnavailable: it is away": 1}
    assert found.known == 1


def test_a_scorer_that_hangs_or_breaks_or_answers_nonsense_judges_nothing() -> None:
    async def hang(request: ScoreRequest) -> Sequence[float]:
        await asyncio.sleep(60)
        return [0.9]

    def crash(request: ScoreRequest) -> Sequence[float]:
        raise KeyError("oops")

    for rate, reason in (
        (hang, "ScorerTimeout"),
        (crash, "ScorerUnavailable"),
        (lambda request: [float("nan")], "InvalidScore"),
        (lambda request: [0.9, 0.9], "InvalidScore"),
    ):
        found = replayed(FakeScorer(rate), *ran("1", "a"), timeout_s=0.05)  # type: ignore[arg-type]
        assert (found.judged, len(found.changes)) == (0, 0)
        [why] = found.unjudged
        assert why.startswith((reason, "KeyError"))


def test_what_could_not_be_judged_then_is_no_baseline() -> None:
    away = review("1", turn("a.txt", p=None), judged=False, unjudged_reason="ScorerTimeout: late")
    found = replayed(by_path(a=0.1), away)
    assert found.unjudged == {"baseline: ScorerTimeout: late": 1}
    assert not found.changes


def test_a_review_whose_tools_cannot_be_read_is_counted_and_left() -> None:
    odd = review("1", turn("a.txt"), tools=[{"name": "x", "parameters": {"type": "nonsense"}}])
    found = replayed(by_path(a=0.9), odd, *ran("2", "b"))
    assert (found.reviews, found.judged) == (2, 1)
    assert any(reason.startswith("InvalidToolError") for reason in found.unjudged)


def test_arguments_that_could_not_be_read_stay_unreadable() -> None:
    good, bad = turn("a.txt", p=0.9), turn("b.txt", p=0.0)
    unreadable = bad.model_copy(
        update={"calls": [bad.calls[0].model_copy(update={"arguments": {}, "defect": "no JSON"})]}
    )
    cases, _ = read_cases([review("1", good, unreadable)], [])
    assert cases[0].request.candidates[1].calls[0].defect is not None
    [judged] = judge_again(cases, FakeScorer(lambda r: [0.7, 0.99]), policy_of([]))
    assert not isinstance(judged, Unjudged)
    assert judged.chosen == 0, "whatever its score, it can never be approved"


def test_in_shadow_the_proposal_is_what_ran() -> None:
    watched = review(
        "1", turn("a.txt", p=0.3, call_id="c1"), turn("b.txt", p=0.9), mode="shadow", chosen=1
    )
    found = replayed(by_path(a=0.9, b=0.1), watched, outcome(watched, ok=True))
    assert (found.base.accuracy, found.new.accuracy) == (0.0, 1.0)
    assert found.enforced == 0


def test_a_call_that_a_person_approved_was_withheld_by_the_guard_that_held_it() -> None:
    held = review("1", turn("a.txt", p=0.4, call_id="c1", verdict="escalate"), decision="escalate")
    found = replayed(by_path(a=0.9), held, outcome(held, ok=True, kind="human", label="approve"))
    assert (found.base.false_block, found.new.false_block, found.gained) == (1.0, 0.0, 1)


@settings(deadline=None)
@given(st.integers(0, 40), st.integers(0, 40))
def test_mcnemar_is_the_two_sided_binomial_test(gained: int, lost: int) -> None:
    n = gained + lost
    weights = [math.comb(n, k) for k in range(n + 1)]
    own = weights[gained]
    # Symmetric at 1/2, so as extreme means as unlikely.
    assert mcnemar(gained, lost) == pytest.approx(sum(w for w in weights if w <= own) / 2**n)


def test_mcnemar_stands_large_counts() -> None:
    assert mcnemar(5_000, 5_000) == pytest.approx(1.0)
    assert 0 <= mcnemar(6_000, 4_000) < 1e-80
    assert mcnemar(520, 480) == pytest.approx(mcnemar(480, 520))
    tail = Fraction(sum(math.comb(1_040, k) for k in range(501)), 2**1_040)
    assert mcnemar(540, 500) == pytest.approx(float(2 * tail))


def test_the_interval_draws_conversations_and_not_turns() -> None:
    one = interval(["a"] * 50 + ["b"], [1] * 50 + [0], 0)
    assert one == (0.0, 1.0), "50 turns of one conversation are one piece of evidence"
    assert interval(["a"] * 9, [1] * 9, 0) is None
    many = interval([str(n) for n in range(200)], [1, 0] * 100, 0)
    assert many is not None
    assert many[0] == pytest.approx(0.43, abs=0.03)
    assert many[1] == pytest.approx(0.57, abs=0.03)
    assert interval(["a", "b"], [1, -1], 3) == interval(["a", "b"], [1, -1], 3)


def test_the_figures_are_json(tmp_path: Path) -> None:
    found = replayed(by_path(a=0.1), *ran("1", "a"))
    data = json.loads(json.dumps(found.as_json(), allow_nan=False))
    assert data["changed"] == 1
    assert data["changes"][0]["after"]["decision"] == "correct"
    assert Gate.parse("changed>=1").check(found).passed


def test_a_redacted_turn_that_ran_is_no_block_of_the_baseline() -> None:
    call = Call(
        name="delete_file", arguments={"password": "gr8-otter", "new_password": "gr8-heron"}, id="c"
    )
    of = CandidateRecord(calls=[call_record(call, verdict="approve")], probability=0.9)
    made = Redactor().redact_record(review("1", of))
    found = replayed(FakeScorer(lambda request: [0.9]), made, outcome(made, ok=True))
    assert made.candidates[0].calls[0].arguments["new_password"] == "<redacted:credential:2>"
    assert (found.base.accuracy, found.base.false_block, found.gained) == (1.0, 0.0, 0)


def test_a_person_who_answers_in_the_tools_place_says_nothing_of_the_call() -> None:
    made, said = ran("1", "a", ok=False, decision="escalate")
    assert replayed(by_path(a=0.9), made, said).wrong == 1
    answered = said.model_copy(update={"kind": "human", "label": "respond"})
    assert replayed(by_path(a=0.9), made, answered).known == 0
    solved = said.model_copy(update={"ok": True})
    assert replayed(by_path(a=0.9), made, answered, solved).right == 1
