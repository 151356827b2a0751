from typing import Any

import pytest

from tests.training.preferences.made import WEATHER, kept, reasons, trajectory
from training.preferences.schemas import ref_loop, schemas


def tool(parameters: Any, name: str = "t") -> dict[str, Any]:
    return {"name": name, "description": "", "parameters": parameters}


def repaired(parameters: Any) -> Any:
    (row,) = kept(schemas(trajectory(tools=(tool(parameters),))))
    return row.tools[0]["parameters"]


def test_pythons_type_names_become_json_schemas() -> None:
    properties = {"a": {"type": "str, optional"}, "b": {"type": "List[int]"}, "c": "float"}
    fixed = repaired({"type": "dict", "properties": properties})
    assert fixed["type"] == "object"
    assert [inner["type"] for inner in fixed["properties"].values()] == [
        "string", "array", "number",
    ]  # fmt: skip


def test_required_inside_a_property_moves_to_the_object() -> None:
    fixed = repaired({"properties": {"a": {"type": "string", "required": True}}})
    assert fixed["required"] == ["a"]
    assert "required" not in fixed["properties"]["a"]


def test_required_names_without_a_property_are_left_out() -> None:
    assert repaired({"properties": {"a": {}}, "required": ["a", "ghost"]})["required"] == ["a"]


def test_a_tool_without_parameters_takes_none() -> None:
    assert repaired(None) == {"type": "object", "properties": {}}


def test_a_tool_listed_twice_is_kept_once_and_two_of_one_name_drop_the_row() -> None:
    (row,) = kept(schemas(trajectory(tools=(WEATHER, WEATHER))))
    assert len(row.tools) == 1
    other = {**WEATHER, "description": "other"}
    assert reasons(schemas(trajectory(tools=(WEATHER, other)))) == ["tool_name_collision"]


LOOP = {"$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"allOf": [{"$ref": "#/$defs/a"}]}}}
TREE = {
    "$defs": {"n": {"type": "object", "properties": {"kids": {"items": {"$ref": "#/$defs/n"}}}}},
    "properties": {"root": {"$ref": "#/$defs/n"}},
}


def test_a_ref_loop_is_told_from_a_tree() -> None:
    assert ref_loop(LOOP) in ("#/$defs/a", "#/$defs/b")
    assert ref_loop({"$ref": "#"}) == "#"
    assert ref_loop(TREE) is None


@pytest.mark.parametrize(
    ("parameters", "reason"),
    [
        (LOOP, "ref_loop"),
        ({"properties": {"a": {"$ref": "#/$defs/gone"}}}, "invalid_schema"),
        ({"properties": {"a": {"enum": "no list"}}}, "invalid_schema"),
        (["no", "object"], "invalid_schema"),
    ],
)
def test_what_cannot_be_repaired_drops_the_trajectory(parameters: Any, reason: str) -> None:
    assert reasons(schemas(trajectory(tools=(tool(parameters),)))) == [reason]


def test_a_schema_nested_beyond_reason_is_dropped_not_fatal() -> None:
    deep: dict[str, Any] = {}
    for _ in range(60):
        deep = {"properties": {"a": deep}}
    assert reasons(schemas(trajectory(tools=(tool(deep),)))) == ["too_deep"]


def test_a_tool_without_a_name_drops_the_trajectory() -> None:
    assert reasons(schemas(trajectory(tools=(tool({}, name=""),)))) == ["unnamed_tool"]


@pytest.mark.parametrize(
    "parameters",
    [
        {"anyOf": 5},
        {"properties": {"a": {"allOf": 3.5}}},
        {"properties": {"a": {"oneOf": {"type": "string"}}}},
        {"properties": {"a": {}}, "additionalProperties": 7},
    ],
)
def test_what_stands_where_a_schema_should_drops_one_row_not_the_build(parameters: Any) -> None:
    assert reasons(schemas(trajectory(tools=(tool(parameters),)))) == ["invalid_schema"]


def test_required_that_lists_no_names_is_left_out() -> None:
    assert repaired({"properties": {"a": {}}, "required": [["a"], {}, "a"]})["required"] == ["a"]
