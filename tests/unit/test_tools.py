"""Tools: four shapes in, one form out, and a clear error before the agent starts."""

from typing import Annotated, Any, Literal

import pytest
from langchain_core.tools import tool as langchain_tool
from pydantic import BaseModel, Field

from toolrm_guard.errors import InvalidToolError
from toolrm_guard.tools import Tool, ToolSet, effect, words


@effect("write")
def book(city: Annotated[str, Field(description="Where to")], seats: int = 1) -> str:
    """Book a trip."""
    return f"{seats} to {city}"


class Book(BaseModel):
    """Book a trip."""

    city: str = Field(description="Where to")
    seats: int = 1


SCHEMA = {
    "name": "book",
    "description": "Book a trip.",
    "parameters": {
        "type": "object",
        "properties": {
            "city": {"type": "string", "description": "Where to"},
            "seats": {"type": "integer", "default": 1},
        },
        "required": ["city"],
    },
}


@pytest.mark.parametrize(
    "raw",
    [SCHEMA, {"type": "function", "function": SCHEMA}, Book, book, langchain_tool(book)],
    ids=["schema", "openai", "pydantic", "callable", "langchain"],
)
def test_every_shape_gives_the_same_tool(raw: Any) -> None:
    tool = Tool.parse(raw)
    assert tool.name.lower() == "book"
    assert tool.description == "Book a trip."
    assert list(tool.properties) == ["city", "seats"]
    assert tool.properties["city"] == {"description": "Where to", "type": "string"}
    assert tool.required == ("city",)
    assert "description" not in tool.parameters


def test_the_effect_class_travels_with_the_function() -> None:
    assert Tool.parse(book).effect == "write"
    assert Tool.parse(langchain_tool(book)).effect == "write"
    assert Tool.parse({**SCHEMA, "x-effect": "destructive"}).effect == "destructive"
    assert Tool.parse(Book).effect is None


def test_two_tools_of_one_name_are_refused() -> None:
    with pytest.raises(InvalidToolError, match="two tools are called 'book'"):
        ToolSet.of([SCHEMA, book])


@pytest.mark.parametrize(
    ("parameters", "says"),
    [
        ({"type": "objekt"}, "objekt"),
        ({"type": "object", "properties": {"a": {"type": 3}}}, "properties/a/type"),
        ({"properties": {"a": {"$ref": "#/$defs/missing"}}}, "#/\\$defs/missing"),
        ({"properties": {"a": {"$ref": "http://127.0.0.1:9/x.json"}}}, "nothing is fetched"),
        ("string", "not a JSON Schema object"),
    ],
)
def test_a_schema_that_is_not_json_schema_is_named(parameters: Any, says: str) -> None:
    with pytest.raises(InvalidToolError, match=says) as caught:
        Tool.parse({"name": "broken", "parameters": parameters})
    assert "'broken'" in str(caught.value)


def test_a_schema_that_refers_to_itself_is_fine() -> None:
    tree = {"type": "object", "properties": {"child": {"$ref": "#"}}}
    tool = Tool.parse({"name": "grow", "parameters": tree})
    assert tool.validator.is_valid({"child": {"child": {}}})


@pytest.mark.parametrize("raw", [3, None, "book", {"parameters": {}}])
def test_what_is_no_tool_is_refused(raw: Any) -> None:
    with pytest.raises(InvalidToolError):
        ToolSet.of([raw])


def test_an_unknown_effect_class_is_refused() -> None:
    with pytest.raises(InvalidToolError, match="'nuclear'"):
        Tool.parse({**SCHEMA, "x-effect": "nuclear"})


def test_a_literal_becomes_an_enum_that_the_validator_holds() -> None:
    def set_mode(mode: Literal["day", "night"]) -> None:
        """Set the mode."""

    tool = Tool.parse(set_mode)
    assert tool.validator.is_valid({"mode": "day"})
    assert not tool.validator.is_valid({"mode": "dusk"})
    assert not tool.validator.is_valid({"mode": "day", "extra": 1})


@pytest.mark.parametrize(
    ("kind", "good", "bad"),
    [
        ("date", "2026-11-22", "22.11.2026"),
        ("date-time", "2026-11-22T10:00:00Z", "tomorrow"),
        ("time", "10:30", "half past ten"),
        ("email", "a@b.c", "ab.c"),
    ],
)
def test_formats_are_checked(kind: str, good: str, bad: str) -> None:
    schema = {"type": "object", "properties": {"x": {"type": "string", "format": kind}}}
    tool = Tool(name="f", parameters=schema)
    assert tool.validator.is_valid({"x": good})
    assert not tool.validator.is_valid({"x": bad})


@pytest.mark.parametrize(
    ("identifier", "spoken"),
    [
        ("getUserById", "get user by id"),
        ("get_user.by-id", "get user by id"),
        ("HTTPServer2Go", "http server2 go"),
    ],
)
def test_identifiers_are_split_into_words(identifier: str, spoken: str) -> None:
    assert words(identifier) == spoken
