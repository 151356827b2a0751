import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.training.preferences.made import call, context, kept, reasons, response
from training.preferences.codec import meaning_key
from training.preferences.difficulty import difficulty
from training.preferences.rows import Response
from training.preferences.scoring import has_wrong, rule_scores, score_responses

RIGHT = response(call(city="Oslo"), by="right")
HALF = response(call(city="Oslo", days=2), by="half")


def scores(*responses: object) -> dict[str, float | None]:
    (row,) = kept(score_responses(context(*responses)))  # type: ignore[arg-type]
    return {r.by: r.score for r in row.responses}


def test_without_a_label_the_rule_decides() -> None:
    assert scores(HALF, RIGHT) == {"half": 0.5, "right": 1.0}


def test_a_label_that_says_right_is_trusted() -> None:
    assert scores(response(call(city="Oslo", days=2), by="half", label=True))["half"] == 1.0


def test_a_label_that_says_wrong_against_a_full_score_is_a_conflict() -> None:
    rows = list(score_responses(context(response(call(city="Oslo"), label=False))))
    assert reasons(rows) == ["label_conflict"]
    assert [r.by for r in kept(rows)[0].responses] == ["reference"]


def test_labels_that_disagree_about_one_answer_drop_both() -> None:
    answer = call(city="Bern")
    rows = list(
        score_responses(
            context(
                response(answer, by="a", label=True),
                response(answer, by="b", label=False, text="x"),
            )
        )
    )
    assert reasons(rows) == ["label_conflict"] * 2


def test_an_edit_that_meets_an_answer_labelled_right_is_dropped_alone() -> None:
    answer = call(city="Oslo", days=5)
    rows = list(
        score_responses(
            context(
                response(answer, by="a", label=True),
                response(answer, by="edit:optional_added", label=False),
            )
        )
    )
    assert reasons(rows) == ["label_conflict"]
    assert [r.by for r in kept(rows)[0].responses] == ["a", "reference"]


def test_the_same_turn_is_kept_once_under_the_name_of_the_first() -> None:
    rows = list(score_responses(context(RIGHT, response(call(city="Oslo"), by="again"))))
    assert reasons(rows) == ["same_turn"]
    assert [r.by for r in kept(rows)[0].responses] == ["right"]


def test_a_malformed_response_is_dropped_not_scored_0() -> None:
    bad = response({"name": "weather", "arguments": "{"}, by="bad")
    rows = list(score_responses(context(bad, RIGHT)))
    assert reasons(rows) == ["malformed_response"]


def test_an_empty_reference_is_no_response() -> None:
    empty = context(response(text="Rain.", by="a"), reference=response(by="reference"))
    (row,) = kept(score_responses(empty))
    assert [(r.by, r.score) for r in row.responses] == [("a", 1.0)]


def test_contexts_without_a_difference_are_dropped_by_reason() -> None:
    def reason(*pairs: float) -> list[str]:
        made = (response(call(days=i), score=score) for i, score in enumerate(pairs))
        return reasons(difficulty(context(*made)))

    assert reason(1.0, 0.5) == []
    assert reason(1.0, 1.0) == ["all_right"]
    assert reason(0.9, 0.5) == ["none_right"]
    assert reason() == ["no_response"]


def test_a_context_with_an_error_is_known_before_it_is_scored() -> None:
    assert has_wrong(context(HALF))
    assert not has_wrong(context(RIGHT))
    assert not has_wrong(context())


OTHER = call(city="Bern", days=1)


@pytest.mark.parametrize("turn", [0, 1])
def test_what_means_the_same_as_an_answer_labelled_right_is_right(turn: int) -> None:
    pair = [
        response(OTHER, by="a", label=True),
        response(call(days=1.0, city="Bern"), by="b", text="Here:"),
    ]
    assert scores(*(pair if turn else pair[::-1])) == {"a": 1.0, "b": 1.0, "reference": 1.0}


@pytest.mark.parametrize("turn", [0, 1])
def test_of_the_same_turn_the_labelled_one_stays_and_a_model_before_an_edit(turn: int) -> None:
    def stays(*rows: Response) -> str:
        ordered = rows if turn else rows[::-1]
        (row,) = kept(score_responses(context(*ordered), include_reference=False))
        (left,) = row.responses
        return str(left.by)

    labelled = response(OTHER, by="labelled", label=False)
    plain = response(OTHER, by="plain")
    edit = response(OTHER, by="edit:x", label=False)
    assert stays(labelled, plain) == "labelled"
    assert stays(plain, edit) == "plain"


def test_texts_are_the_same_answer_whatever_the_space_around_them() -> None:
    said = [response(text=t, by=t, label=True) for t in ("Rain.", " Rain.\n", "Snow.")]
    empty = context(*said, reference=response(by="reference"))
    rows = list(score_responses(empty))
    assert reasons(rows) == ["same_turn"]
    assert [r.by for r in kept(rows)[0].responses] == ["Rain.", "Snow."]


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.sampled_from([1.0, 0.5, -0.0, "1", "a"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("ab"), inner),
    max_leaves=5,
)


@given(VALUES, VALUES)
def test_two_answers_mean_the_same_exactly_where_the_rule_score_is_1(
    left: object, right: object
) -> None:
    one, other = response(call(a=left)), response(call(a=right))
    same = rule_scores(context(reference=one), other) == [1.0]
    assert (meaning_key(one) == meaning_key(other)) is same
