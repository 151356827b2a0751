"""Small trajectories, contexts and configurations to test with."""

from typing import Any

from training.preferences.rows import Context, Dropped, Response, Trajectory

WEATHER = {
    "name": "weather",
    "description": "Weather of a city",
    "parameters": {
        "type": "object",
        "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
        "required": ["city"],
    },
}


def call(name: str = "weather", /, **arguments: Any) -> dict[str, Any]:
    return {"name": name, "arguments": arguments}


def user(text: str = "Weather in Oslo?") -> dict[str, Any]:
    return {"role": "user", "content": text}


def said(text: str = "", *calls: dict[str, Any]) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": text}
    return {**message, "tool_calls": list(calls)} if calls else message


def result(text: str = "rain") -> dict[str, Any]:
    return {"role": "tool", "content": text, "name": "weather"}


def trajectory(*messages: dict[str, Any], **changes: Any) -> Trajectory:
    values: dict[str, Any] = {
        "id": "t1",
        "source": "made",
        "licence": "MIT",
        "tools": (WEATHER,),
        "messages": messages or (user(), said("", call(city="Oslo"))),
        "group": "g1",
    }
    return Trajectory(**{**values, **changes})


def response(*calls: dict[str, Any], **changes: Any) -> Response:
    return Response(**{"calls": calls, "by": "model", **changes})


def context(*responses: Response, **changes: Any) -> Context:
    values: dict[str, Any] = {
        "id": "made:t1:1",
        "source": "made",
        "licence": "MIT",
        "group": "g1",
        "tools": (WEATHER,),
        "messages": (user(),),
        "reference": response(call(city="Oslo"), by="reference"),
        "responses": responses,
    }
    return Context(**{**values, **changes})


def reasons(rows: Any) -> list[str]:
    return [row.reason for row in rows if isinstance(row, Dropped)]


def kept(rows: Any) -> list[Any]:
    return [row for row in rows if not isinstance(row, Dropped)]


def record(number: int, source: str = "one") -> dict[str, Any]:
    """A labelled record of a pack, with one right and some wrong outputs."""
    city = f"City{number}"
    right = [{"name": "weather", "arguments": {"city": city, "days": number}}]
    wrong = [{"name": "weather", "arguments": {"city": city, "days": number + 1}}]
    candidates = [
        {"model": "a", "content": None, "tool_calls": right, "correct": True, "error_type": None},
        {"model": "b", "content": None, "tool_calls": wrong, "correct": False,
         "error_type": "value"},
        {"model": "c", "content": "No.", "tool_calls": [], "correct": False,
         "error_type": "no_call"},
    ]  # fmt: skip
    tools = [WEATHER, {"name": f"tool_{number // 3}", "description": "", "parameters": None}]
    return {
        "id": f"{source}-{number}", "source": source, "split": "s",
        "tools": [{**tool, "parameters": tool["parameters"] or {}} for tool in tools],
        "messages": [user(f"Weather in {city} for {number} days?")],
        "reference": {"content": None, "tool_calls": right}, "accept": None,
        "candidates": candidates if number % 2 else [],
    }  # fmt: skip
