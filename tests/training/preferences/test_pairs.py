import pytest

from tests.training.preferences.made import WEATHER, call, context, kept, reasons, response
from training.preferences.pairs import Link, complexity, pairs

RIGHT = response(call(city="Oslo", days=1), by="a", score=1.0)
HALF = response(call(city="Oslo"), by="b", score=0.5)
EDIT = response(call(city="Bern"), by="edit:x", score=0.25)
NONE = response(text="No.", by="c", score=0.0)


def links(*responses: object, **settings: object) -> list[Link]:
    return kept(pairs(context(*responses), **settings))  # type: ignore[arg-type]


def test_every_better_response_is_paired_with_every_worse_one() -> None:
    found = [(x.chosen, x.rejected, x.intensity) for x in links(NONE, RIGHT, HALF)]
    assert found == [(1, 0, 1.0), (1, 2, 0.5), (2, 0, 0.5)]


def test_an_edit_is_chosen_only_where_that_is_asked_for() -> None:
    assert len(links(RIGHT, EDIT, NONE)) == 2
    assert len(links(RIGHT, EDIT, NONE, edits_chosen=True)) == 3


def test_natural_says_who_wrote_the_rejected_side() -> None:
    assert [x.natural for x in links(RIGHT, HALF, EDIT)] == [True, False, False]


def test_complexity_counts_calls_and_arguments_of_the_chosen_side() -> None:
    assert complexity(response(call(a=1, b=2), call())) == 4
    assert links(RIGHT, NONE)[0].complexity == 3


def test_what_is_too_complex_is_dropped() -> None:
    rows = list(pairs(context(RIGHT, NONE), max_complexity=2))
    assert reasons(rows) == ["too_complex"]


def test_a_full_context_keeps_the_same_pairs_for_the_same_seed() -> None:
    rows = list(pairs(context(NONE, RIGHT, HALF), max_per_context=1, seed=3))
    assert reasons(rows) == ["context_full"] * 2
    assert kept(rows) == links(NONE, RIGHT, HALF, max_per_context=1, seed=3)


def test_a_link_can_be_read_back() -> None:
    link = links(RIGHT, HALF)[0]
    assert Link.from_json(link.to_json()) == link
    assert link.intensity == pytest.approx(0.5)


def test_links_of_other_prompts_and_tools_have_other_keys() -> None:
    (one,) = links(RIGHT, NONE)
    (other,) = kept(pairs(context(RIGHT, NONE, messages=(), tools=())))
    assert one.prompt != other.prompt
    assert one.toolset
    assert not other.toolset


def test_the_prompt_is_the_messages_whatever_tools_stand_beside_them() -> None:
    one, other = (
        kept(pairs(context(RIGHT, NONE, tools=tools)))[0]
        for tools in ((WEATHER,), (WEATHER, {**WEATHER, "name": "other"}))
    )
    assert one.prompt == other.prompt
    assert one.content != other.content
