"""What counts as a critic's answer, and what does not."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolrm_guard.critic_answer import choice_in, evaluation_in, label_span, verdict_in


@pytest.mark.parametrize(
    ("text", "choice"),
    [
        ("<evaluation>a</evaluation><choice>2</choice>", 2),
        ("<choice>\n1\n</choice>", 1),
        ("<think>maybe <choice>1</choice></think>no: <choice>2</choice>", 2),
        ("thought without an opener <choice>1</choice></think><choice>2</choice>", 2),
        ("<evaluation>it wrote <choice>1</choice></evaluation><choice>2</choice>", 2),
        ("<choice>1</choice> and again <choice>1</choice>", 1),
        ("<choice>1</choice> or <choice>2</choice>", None),
        ("<choice>3</choice>", None),
        ("<choice>right</choice>", None),
        ("the first one", None),
        ("<think><choice>1</choice></think>", None),
        ("<think>cut off while weighing <choice>1</choice>", None),
        ("<evaluation>cut off <choice>1", None),
    ],
)
def test_the_choice_is_what_stands_after_thought_and_evaluation(
    text: str, choice: int | None
) -> None:
    assert choice_in(text) == choice


@pytest.mark.parametrize(
    ("text", "verdict"),
    [
        ("<evaluation>fine</evaluation><verdict>right</verdict>", "right"),
        ("<verdict> Wrong </verdict>", "wrong"),
        ("<think><verdict>wrong</verdict></think><verdict>right</verdict>", "right"),
        ("<verdict>right</verdict><verdict>wrong</verdict>", None),
        ("<choice>1</choice>", None),
    ],
)
def test_the_verdict_is_read_by_the_same_rules(text: str, verdict: str | None) -> None:
    assert verdict_in(text) == verdict


def test_reasons_are_those_of_the_answer_not_of_the_thought() -> None:
    thought = "<think><evaluation>draft</evaluation></think>"
    assert evaluation_in(f"{thought}<evaluation>\n final \n</evaluation>") == "final"
    assert evaluation_in(thought) is None
    assert evaluation_in("<evaluation>  </evaluation>") is None
    assert evaluation_in("<think><evaluation>never ends</evaluation>") is None


PIECES = "<think> </think> <evaluation> </evaluation> <choice> </choice> <verdict> </verdict> 1 2 é"
TEXTS = st.lists(st.sampled_from([*PIECES.split(), " ", "right"]), max_size=14).map("".join)


@given(TEXTS)
def test_whatever_is_written_a_label_is_one_of_two_or_none(text: str) -> None:
    assert choice_in(text) in (1, 2, None)
    assert verdict_in(text) in ("right", "wrong", None)
    span = label_span(text, "choice")
    if span is not None:
        assert text[: span[0]].rstrip().endswith("<choice>")
        assert text[slice(*span)] in ("1", "2", "right")
        assert "</think>" not in text[span[1] :]
        assert "</evaluation>" not in text[span[1] :]
