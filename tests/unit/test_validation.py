"""The quick check may clear only what the exact one would."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolrm_guard.quick_fit import quick_fit
from toolrm_guard.tools import Tool

PARAMETERS: dict[str, Any] = {
    "type": "object",
    "properties": {
        "day": {"type": "string", "format": "date"},
        "at": {"format": "date-time"},
        "pattern": {"type": "string", "format": "regex"},
        "seats": {"type": "integer", "minimum": 1, "exclusiveMaximum": 9},
        "price": {"exclusiveMinimum": 0, "maximum": 10.5},
        "tags": {"type": "array", "items": {"enum": ["a", "b"]}},
        "open": {"type": "object"},
        "extra": {"type": "object", "properties": {"x": {}}, "additionalProperties": True},
    },
    "required": ["day"],
}
TOOL = Tool(name="book", parameters=PARAMETERS)
VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-2, 12),
    st.floats(),
    st.sampled_from(["2026-05-04", "2026-13-01", "2026-05-04T10:00:00", "(", "(" * 3000, "\ud800"]),
    st.lists(st.sampled_from(["a", "c", 1]), max_size=2),
    st.dictionaries(st.sampled_from("xy"), st.integers(), max_size=2),
)


@given(st.dictionaries(st.sampled_from([*PARAMETERS["properties"], "unknown"]), VALUES))
def test_what_is_cleared_is_valid_and_named(arguments: dict[str, Any]) -> None:
    if quick_fit(arguments, PARAMETERS):
        assert TOOL.validator.is_valid(arguments)
        assert "unknown" not in arguments


@pytest.mark.parametrize(
    "arguments",
    [
        {"day": "2026-05-04", "seats": 1, "price": 10.5, "tags": ["a"]},
        {"day": "2026-05-04", "open": {"anything": 1}, "extra": {"y": 2}},
    ],
)
def test_bounds_and_formats_need_no_second_look(arguments: dict[str, Any]) -> None:
    assert quick_fit(arguments, PARAMETERS)


@pytest.mark.parametrize(
    "wrong",
    [
        {"seats": 0}, {"seats": 9}, {"price": 0}, {"price": float("nan")}, {"day": "4 May"},
        {"pattern": "("}, {"tags": ["c"]}, {"unknown": 1},
    ],
)  # fmt: skip
def test_what_breaks_a_bound_or_a_format_is_looked_at(wrong: dict[str, Any]) -> None:
    assert not quick_fit({"day": "2026-05-04", **wrong}, PARAMETERS)
