"""Patterns of effect classes: two that could disagree about a name are refused."""

from fnmatch import fnmatchcase

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolrm_guard.effects import check_patterns, common_name, effect_by_pattern
from toolrm_guard.errors import ConfigurationError
from toolrm_guard.tools import Effect

PATTERNS = st.text("ab*?", min_size=1, max_size=6)
NAMES = st.text("ab", max_size=6)


@pytest.mark.parametrize(
    ("first", "second", "name"),
    [
        ("delete_*", "*_file", "delete_file"),
        ("delete_*", "get_*", None),
        ("a", "a", "a"),
        ("a", "b", None),
        ("*", "delete", "delete"),
        ("a?c", "ab?", "abc"),
        ("a*", "a", "a"),
        ("*", "*", ""),
        ("?", "", None),
        ("***", "?", "x"),
        ("*a*b", "a*?", "ab"),
    ],
)
def test_the_shortest_name_that_both_match(first: str, second: str, name: str | None) -> None:
    assert common_name(first, second) == name
    assert common_name(second, first) == name


@given(PATTERNS, PATTERNS)
def test_a_witness_is_matched_by_both_patterns(first: str, second: str) -> None:
    name = common_name(first, second)
    if name is not None:
        assert fnmatchcase(name, first)
        assert fnmatchcase(name, second)


@given(PATTERNS, PATTERNS, NAMES)
def test_no_name_is_matched_by_both_where_there_is_no_witness(
    first: str, second: str, name: str
) -> None:
    if fnmatchcase(name, first) and fnmatchcase(name, second):
        witness = common_name(first, second)
        assert witness is not None
        assert len(witness) <= len(name)


@given(PATTERNS, NAMES)
def test_a_name_that_a_pattern_matches_is_common_to_both(pattern: str, name: str) -> None:
    assert common_name(pattern, name) == (name if fnmatchcase(name, pattern) else None)


def test_patterns_of_two_effects_that_meet_are_refused_with_the_name() -> None:
    patterns: dict[str, Effect] = {"delete_*": "destructive", "*_draft": "write"}
    with pytest.raises(ConfigurationError, match="both match 'delete_draft'"):
        check_patterns(patterns)


def test_patterns_of_one_effect_may_meet() -> None:
    check_patterns({"delete_*": "destructive", "*_all": "destructive", "get_?": "read"})


@pytest.mark.parametrize(
    ("pattern", "effect", "says"),
    [
        ("", "read", "cannot be used"),
        ("get_[ab]", "read", "cannot be used"),
        ("get_*", "harmless", "'harmless'"),
    ],
)
def test_a_pattern_that_cannot_be_used_is_refused(pattern: str, effect: Effect, says: str) -> None:
    with pytest.raises(ConfigurationError, match=says):
        check_patterns({pattern: effect})


@pytest.mark.parametrize(
    ("name", "effect"),
    [("get_mail", "read"), ("GET_mail", None), ("mail_get_", None), ("wipe", "destructive")],
)
def test_a_pattern_matches_the_whole_name_and_its_case(name: str, effect: Effect | None) -> None:
    assert effect_by_pattern(name, {"get_*": "read", "w?pe": "destructive"}) == effect
