"""Python type names as JSON Schema."""

from typing import Any

import pytest

from training.preferences.sources.python_types import parameters_of, schema_of, split_optional


@pytest.mark.parametrize(
    ("name", "schema"),
    [
        ("str", {"type": "string"}),
        ("int", {"type": "integer"}),
        ("float", {"type": "number"}),
        ("bool", {"type": "boolean"}),
        ("Dict", {"type": "object"}),
        ("List", {"type": "array"}),
        ("List[int]", {"type": "array", "items": {"type": "integer"}}),
        ("list[list[str]]", {"type": "array", "items": schema_of("list[str]")}),
        ("Dict[str, float]", {"type": "object", "additionalProperties": {"type": "number"}}),
        ("Dict[str, Any]", {"type": "object"}),
        ("Tuple[int, int]", {"type": "array", "items": {"type": "integer"}}),
        ("Union[int, str]", {"anyOf": [{"type": "integer"}, {"type": "string"}]}),
        ("int | str", {"anyOf": [{"type": "integer"}, {"type": "string"}]}),
        ("Union[int, Any]", {}),
        ("typing.List[int]", {"type": "array", "items": {"type": "integer"}}),
        ("Literal['a', 'b']", {"enum": ["a", "b"]}),
        ("Callable[[float], float]", {"x-type": "Callable[[float], float]"}),
        ("np.ndarray", {"x-type": "np.ndarray"}),
    ],
)
def test_a_type_name_becomes_a_schema(name: str, schema: dict[str, Any]) -> None:
    assert schema_of(name) == schema


def test_optional_is_told_from_the_type() -> None:
    assert split_optional("str, optional") == ("str", True)
    assert split_optional("Optional[List[int]]") == ("List[int]", True)
    assert split_optional("Tuple[int, str]") == ("Tuple[int, str]", False)
    assert split_optional("Dict[str, int], optional") == ("Dict[str, int]", True)


def test_a_default_alone_does_not_make_an_argument_optional() -> None:
    schema = parameters_of(
        {"a": {"type": "int", "default": 3}, "b": {"type": "str, optional", "description": "B"}}
    )
    assert schema["required"] == ["a"]
    assert schema["properties"]["a"] == {"type": "integer", "default": 3}
    assert schema["properties"]["b"] == {"type": "string", "description": "B"}


def test_endless_nesting_ends() -> None:
    assert "x-type" in str(schema_of("List[" * 500 + "int" + "]" * 500))
