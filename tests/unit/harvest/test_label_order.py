"""Outcomes beat humans, humans beat scores, and every pair says what it rests on."""

from typing import Any

from tests.support.stores import outcome, review, turn
from toolrm_guard.harvest import HarvestedPair, Unused, labelled
from toolrm_guard.records import OutcomeRecord, ReviewRecord


def harvested(*entries: ReviewRecord | OutcomeRecord) -> tuple[list[Any], list[str]]:
    reviews = [e for e in entries if isinstance(e, ReviewRecord)]
    outcomes = [e for e in entries if isinstance(e, OutcomeRecord)]
    found = list(labelled(reviews, outcomes))
    pairs = [
        (
            [c.arguments["path"] for c in item.chosen.calls],
            [c.arguments["path"] for c in item.rejected.calls],
            item.label,
            item.rejected_by,
        )
        for item in found
        if isinstance(item, HarvestedPair)
    ]
    return pairs, [item.reason for item in found if isinstance(item, Unused)]


def held(**changed: Any) -> ReviewRecord:
    """A review whose call waits for a person."""
    return review(
        "r1", turn("b.txt", p=0.4, call_id="c1", verdict="escalate"), decision="escalate", **changed
    )


def edit_of(first: ReviewRecord, path: str = "a.txt", **changed: Any) -> ReviewRecord:
    return review(
        "r2",
        turn(path, p=0.45, call_id="c1"),
        conversation_id=first.conversation_id,
        parent_id=first.id,
        minute=1,
        **changed,
    )


def test_an_edit_is_the_chosen_side_and_the_models_own_call_the_rejected_one() -> None:
    first = held()
    edit = edit_of(first)
    said = outcome(edit, ok=True, kind="human", label="edit")
    assert harvested(first, edit, said) == (
        [(["a.txt"], ["b.txt"], "human", "human")],
        ["joined to a later review"],
    )


def test_an_edit_that_solved_the_task_is_right_by_outcome_over_what_it_replaced() -> None:
    first = held()
    edit = edit_of(first)
    said = outcome(edit, ok=True, kind="human", label="edit")
    assert harvested(first, edit, said, outcome(edit, ok=True))[0] == [
        (["a.txt"], ["b.txt"], "outcome", "human")
    ]


def test_a_circle_of_parents_ends() -> None:
    circle = [
        review("r1", turn("b.txt", p=0.1), decision="correct", parent_id="r2"),
        review("r2", turn("c.txt", p=0.1), decision="correct", parent_id="r1", minute=1),
        review("r3", turn("a.txt"), parent_id="r1", minute=2),
    ]
    pairs, _ = harvested(*circle)
    assert [pair[1] for pair in pairs] == [["b.txt"], ["c.txt"]]


def test_an_edit_that_then_failed_is_not_right_because_a_person_made_it() -> None:
    first = held()
    edit = edit_of(first)
    said = outcome(edit, ok=True, kind="human", label="edit")
    assert harvested(first, edit, said, outcome(edit, ok=False))[0] == []


def test_what_a_person_approved_is_right_by_them_though_the_guard_held_it() -> None:
    first = review(
        "r1",
        turn("a.txt", p=0.4, call_id="c1", verdict="escalate"),
        turn("b.txt", p=0.1),
        decision="escalate",
    )
    said = outcome(first, ok=True, kind="human", label="approve")
    assert harvested(first, said)[0] == [(["a.txt"], ["b.txt"], "human", "score")]
    assert harvested(first, said, outcome(first, ok=True))[0][0][2] == "outcome"
    assert harvested(first) == ([], ["not executed"])


def test_what_a_person_rejected_gives_no_chosen_side() -> None:
    first = review(
        "r1",
        turn("a.txt", call_id="c1", verdict="escalate"),
        turn("b.txt", p=0.1),
        decision="escalate",
    )
    said = outcome(first, ok=False, kind="human", label="reject")
    assert harvested(first, said) == ([], ["went wrong"])


def test_an_unjudged_turn_that_a_person_edited_still_teaches() -> None:
    first = review(
        "r1",
        turn("b.txt", p=None, call_id="c1", verdict="escalate"),
        decision="escalate",
        judged=False,
    )
    edit = edit_of(first)
    said = outcome(edit, ok=True, kind="human", label="edit")
    assert harvested(first, edit, said)[0] == [(["a.txt"], ["b.txt"], "human", "human")]


def test_half_approved_is_not_approved() -> None:
    first = review(
        "r1",
        turn("a.txt", "c.txt", p=0.4, call_id="c", verdict="escalate"),
        turn("b.txt", p=0.1),
        decision="escalate",
    )
    said = outcome(first, ok=True, kind="human", label="approve")
    assert harvested(first, said) == ([], ["not executed"])


def test_in_shadow_a_failed_proposal_is_rejected_by_its_outcome() -> None:
    watched = review(
        "r1", turn("b.txt", p=0.3, call_id="c1"), turn("a.txt", p=0.9), mode="shadow", chosen=1
    )
    assert harvested(watched, outcome(watched, ok=False))[0] == [
        (["a.txt"], ["b.txt"], "score", "outcome")
    ]


def test_in_shadow_a_proposal_that_went_well_is_right_against_what_the_scorer_wanted() -> None:
    watched = review(
        "r1",
        turn("a.txt", p=0.3, call_id="c1"),
        turn("b.txt", p=0.9),
        turn("c.txt", p=0.05),
        mode="shadow",
        chosen=1,
    )
    # Nothing says that b.txt was worse, so only c.txt is a rejected side.
    assert harvested(watched, outcome(watched, ok=True))[0] == [
        (["a.txt"], ["c.txt"], "outcome", "score")
    ]
    assert harvested(watched) == ([], ["not executed"])


def test_the_same_prompt_that_ended_badly_elsewhere_gives_the_rejected_side() -> None:
    good = review("r1", turn("a.txt", call_id="c1"))
    bad = review("r2", turn("b.txt", call_id="c2"), minute=1)
    pairs, unused = harvested(good, bad, outcome(good, ok=True), outcome(bad, ok=False))
    assert pairs == [(["a.txt"], ["b.txt"], "outcome", "outcome")]
    assert unused == ["went wrong"]
    other = review("r2", turn("b.txt", call_id="c2"), says="Delete b.txt", minute=1)
    assert harvested(good, other, outcome(good, ok=True), outcome(other, ok=False))[0] == []


def test_what_went_well_once_is_not_the_rejected_side_of_the_same_prompt() -> None:
    first = review("r1", turn("a.txt", call_id="c1"))
    second = review("r2", turn("b.txt", call_id="c2"), minute=1)
    third = review("r3", turn("b.txt", call_id="c3"), minute=2)
    entries = [first, second, third]
    known = [outcome(first, ok=True), outcome(second, ok=True), outcome(third, ok=False)]
    assert harvested(*entries, *known)[0] == []


def test_every_review_is_used_or_says_why_not() -> None:
    reviews = [
        review("r1", turn("a.txt")),
        review("r2", turn("a.txt"), turn("b.txt", p=0.8)),
        review("r3", turn("a.txt", p=None), judged=False),
        review("r4", turn("a.txt", verdict="reject"), decision="reject"),
    ]
    _, reasons = harvested(*reviews)
    assert reasons == ["no other candidate", "below the margin", "not judged", "not executed"]
