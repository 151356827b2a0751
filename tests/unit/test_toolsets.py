"""Tools are read once, and never taken for others."""

import copy

from langchain_core.tools import tool

from toolrm_guard.toolsets import ToolSets


@tool
def read(path: str) -> str:
    """Read a file."""
    return path


def test_the_same_tools_are_read_once() -> None:
    known = ToolSets()
    schema = {"name": "a", "parameters": {"type": "object", "properties": {}}}
    assert known.of([read, schema]) is known.of([read, copy.deepcopy(schema)])


def test_a_fresh_schema_beside_an_object_is_never_taken_for_an_older_one() -> None:
    known = ToolSets()
    for index in range(300):  # an identity is soon used again once its object is gone
        assert list(known.of([read, {"name": f"tool{index}"}])) == ["read", f"tool{index}"]


def test_a_schema_that_is_changed_in_place_is_another_one() -> None:
    known = ToolSets()
    schema = {"name": "a", "x-effect": "read"}
    assert known.of([schema])["a"].effect == "read"
    schema["x-effect"] = "destructive"
    assert known.of([schema])["a"].effect == "destructive"


def test_schemas_that_python_finds_equal_are_told_apart() -> None:
    known = ToolSets()
    one, true = (
        {"name": "a", "parameters": {"type": "object", "properties": {"x": {"const": value}}}}
        for value in (1, True)
    )
    assert known.of([one]) is not known.of([true])


def test_a_tool_with_an_invalid_schema_may_be_let_in_unchecked() -> None:
    bad = {"name": "odd", "parameters": {"type": "any"}}
    offered = ToolSets().of([bad, {"name": "good"}], lenient=True)
    assert list(offered) == ["odd", "good"]
    assert offered["odd"].parameters == {"type": "object"}
