from tests.training.preferences.made import (
    WEATHER,
    call,
    context,
    kept,
    reasons,
    response,
    result,
    said,
    trajectory,
    user,
)
from training.preferences.faults import faults
from training.preferences.references import references
from training.preferences.segment import segment

CALL = said("Let me see.", call(city="Oslo"))


def test_each_target_becomes_a_context_with_what_came_before() -> None:
    rows = list(segment(trajectory(user(), CALL, result(), said("Rain."), targets=(1, 3))))
    assert [row.id for row in rows] == ["made:t1:1", "made:t1:3"]
    assert [len(row.messages) for row in rows] == [1, 3]
    assert rows[0].reference == response(call(city="Oslo"), text="Let me see.", by="reference")


def test_recorded_responses_belong_to_the_last_target() -> None:
    recorded = (response(call(city="Bern")),)
    rows = list(
        segment(trajectory(user(), CALL, result(), CALL, targets=(1, 3), recorded=recorded))
    )
    assert [len(row.responses) for row in rows] == [0, 1]


def test_a_reference_that_does_not_fit_its_tool_is_dropped_by_its_finding() -> None:
    def dropped(**arguments: object) -> list[str]:
        reference = response(call(**arguments), by="reference")
        return reasons(references(context(reference=reference)))

    assert dropped(city="Oslo") == []
    assert dropped() == ["missing_required"]
    assert dropped(city=3) == ["wrong_type"]
    assert dropped(city="Oslo", mood="good") == ["unexpected_argument"]


def test_a_reference_to_a_tool_that_is_not_offered_is_dropped() -> None:
    reference = response(call("other"), by="reference")
    assert reasons(references(context(reference=reference))) == ["unknown_tool"]


def test_an_answer_in_text_needs_no_tool() -> None:
    reference = response(text="Hello.", by="reference")
    assert kept(references(context(reference=reference, tools=(WEATHER,))))


def test_recorded_responses_go_with_the_target_that_they_answer() -> None:
    recorded = (response(call(city="Bern")),)
    failed = result("Error: no such city")
    dialog = trajectory(
        user(), CALL, result(), CALL, failed, said("Sorry."), targets=(1, 3), recorded=recorded
    )
    (row,) = kept(faults(dialog))
    assert row.targets == (1,)
    assert [context.responses for context in segment(row)] == [()]
    (row,) = kept(faults(trajectory(user(), CALL, result(), CALL, targets=(1, 3),
                                    recorded=recorded)))  # fmt: skip
    assert [len(context.responses) for context in segment(row)] == [0, 1]
