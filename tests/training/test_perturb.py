"""Edits of a right answer are different, labelled, and repeatable."""

import random
from collections.abc import Iterator
from typing import Any

import pytest

from toolrm_guard.calls import Call
from toolrm_guard.tools import Tool, ToolSet
from training.perturb import (
    CALL_EDITS,
    NO_CALL_EDITS,
    PARALLEL_EDITS,
    Subject,
    ValuePool,
    edit_names,
    perturb,
    right_variants,
)
from training.value_edits import only_rewritten

TRIP = Tool(
    name="book_trip",
    description="Book a trip",
    parameters={
        "type": "object",
        "properties": {
            "origin": {"type": "string"},
            "goal": {"type": "string"},
            "date": {"type": "string"},
            "people": {"type": "integer"},
            "rate": {"type": "number"},
            "class": {"type": "string", "enum": ["first", "second"]},
            "meal": {"type": "boolean", "default": False},
            "stops": {"type": "array", "items": {"type": "string"}},
        },
        "required": ["origin", "goal"],
    },
)
OTHER = Tool(
    name="find_hotel",
    parameters={
        "type": "object",
        "properties": {"goal": {"type": "string"}, "people": {"type": "integer"}},
        "required": ["goal"],
    },
)
THREE = Call(name="book_trip", arguments={"origin": "Rome", "goal": "Boise", "meal": True})
REQUEST = (
    "Book a trip from New York to Salt Lake City on 2024-05-06 for 4 people in first class with "
    "stops in Denver and Boise, and another from Boise to Denver for 2 people at 5%."
)
ONE = Call(
    name="book_trip",
    arguments={
        "origin": "New York", "goal": "Salt Lake City", "date": "2024-05-06", "people": 4,
        "class": "first", "stops": ["Denver", "Boise"],
    },
)  # fmt: skip
TWO = Call(
    name="book_trip", arguments={"origin": "Boise", "goal": "Denver", "people": 2, "rate": 0.05}
)


def subject(*calls: Call, seed: int = 0) -> Subject:
    pool = ValuePool()
    pool.learn([ONE, TWO, Call(name="book_trip", arguments={"origin": "Rome", "people": 9})])
    return Subject(
        request=REQUEST,
        tools=ToolSet([TRIP, OTHER]),
        calls=calls,
        pool=pool,
        rng=random.Random(seed),
    )


def made(*calls: Call) -> Iterator[Any]:
    for seed in range(60):
        yield from perturb(subject(*calls, seed=seed), 8)


def test_no_edit_returns_the_right_answer_and_none_comes_twice() -> None:
    for seed in range(20):
        found = perturb(subject(ONE, TWO, seed=seed), 8)
        forms = [item.candidate.canonical for item in found]
        assert len(set(forms)) == len(forms) == 8
        assert not any(item.right for item in found)
        assert "\n".join(sorted([ONE.canonical, TWO.canonical])) not in forms


def test_every_edit_can_be_made() -> None:
    errors = {item.error for item in (*made(ONE, TWO, THREE), *made(ONE), *made())}
    assert errors == set(edit_names()) == {*CALL_EDITS, *PARALLEL_EDITS, *NO_CALL_EDITS}


def test_the_same_seed_makes_the_same_edits() -> None:
    one, other = (perturb(subject(ONE, TWO, seed=5), 8) for _ in range(2))
    assert one == other


@pytest.mark.parametrize(
    ("error", "holds"),
    [
        ("call_dropped", lambda calls: len(calls) == 1),
        ("calls_merged", lambda calls: len(calls) == 1),
        ("call_repeated", lambda calls: len({c.canonical for c in calls}) < len(calls)),
        ("call_added", lambda calls: len(calls) == 3),
        ("no_call", lambda calls: calls == ()),
        ("tool_wrong", lambda calls: any(c.name == "find_hotel" for c in calls)),
        ("required_dropped", lambda calls: any(len({"origin", "goal"} & {*c.arguments}) == 1
                                               for c in calls)),
    ],
)  # fmt: skip
def test_an_edit_makes_the_error_that_it_names(error: str, holds: Any) -> None:
    found = [item for item in made(ONE, TWO) if item.error == error]
    assert found
    assert all(holds(item.candidate.calls) for item in found)


def test_a_variant_spells_out_defaults_and_stays_right() -> None:
    variants = [v for seed in range(10) for v in right_variants(subject(ONE, seed=seed))]
    assert variants
    assert all(v.right and v.candidate.calls[0].arguments["meal"] is False for v in variants)


def test_where_no_call_is_right_every_edit_calls() -> None:
    assert all(item.candidate.calls for item in made())


def rewritten(right: object, new: object, **schema: Any) -> bool:
    tool = Tool(name="t", parameters={"type": "object", "properties": {"a": schema}})
    asked = Subject(
        request="x", tools=ToolSet([tool]), calls=(Call(name="t", arguments={"a": right}),),
        pool=ValuePool(), rng=random.Random(0),
    )  # fmt: skip
    return only_rewritten(asked, (Call(name="t", arguments={"a": new}),))


@pytest.mark.parametrize(
    ("right", "new", "same"),
    [
        ("New York", "new_york", True),
        ("New York", "NewYork.", True),
        ("A-1", "a 1", True),
        ("New York", "York", False),
        ("2024-05-06", "06/05/2024", True),
        ("2024-05-06", "05/06/2024", True),
        ("2024-05-06", "May 6, 2024", True),
        ("2024-05-06", "2024-05-06T00:00:00", True),
        ("2024-05-06", "2024-05-07", False),
        ("2024-05-06", "2024-06-05", False),
        ("1.5", "15", False),
        ("-5", "5", False),
        ("C++", "C", False),
        ("", "?", False),
        (["Bern", {"b": "x y"}], ["bern", {"b": "x_y"}], True),
        (["Bern"], "Bern", False),
        (1, 1.0, False),
        (1, True, False),
    ],
)
def test_another_writing_of_a_value_is_told_from_another_value(
    right: object, new: object, same: bool
) -> None:
    assert rewritten(right, new) is same


@pytest.mark.parametrize(
    "schema", [{"enum": ["New York"]}, {"format": "date"}, {"pattern": "^N"}, {"const": "New York"}]
)
def test_writing_counts_where_the_schema_fixes_it(schema: dict[str, Any]) -> None:
    assert not rewritten("New York", "new york", **schema)


def test_no_edit_only_rewrites_the_right_answer() -> None:
    for seed in range(60):
        asked = subject(ONE, seed=seed)
        assert not any(only_rewritten(asked, item.candidate.calls) for item in perturb(asked, 8))
