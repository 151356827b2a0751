"""Small record and pair files about the weather."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

TOOL = {
    "name": "weather",
    "description": "Get the weather of a city",
    "parameters": {
        "type": "object",
        "properties": {"city": {"type": "string"}},
        "required": ["city"],
    },
}


def side(*cities: Any) -> dict[str, Any]:
    calls = [{"name": "weather", "arguments": {"city": city}} for city in cities]
    return {"model": "m", "origin": "o", "content": None, "tool_calls": calls}


def labelled(city: Any, correct: bool | None) -> dict[str, Any]:
    return {**side(city), "correct": correct, "error_type": None if correct else "value_error"}


def record(number: int, split: str = "simple", pool: Sequence[Any] = ()) -> dict[str, Any]:
    """A question about Oslo; the pool's cities are right if they are Oslo."""
    cities = list(pool) or ["Oslo", "Oslo", "Lima"]
    return {
        "id": f"r{number}", "source": "s", "split": split, "tools": [TOOL], "accept": None,
        "messages": [{"role": "user", "content": "What's the weather in Oslo?"}],
        "reference": {"content": None, "tool_calls": side("Oslo")["tool_calls"]},
        "candidates": [labelled(city, city == "Oslo") for city in cities],
    }  # fmt: skip


def pair(number: int, rejected: dict[str, Any], split: str = "simple") -> dict[str, Any]:
    return {
        "id": f"p{number}", "prompt_id": f"r{number}", "split": split, "chosen": side("Oslo"),
        "rejected": rejected, "rejected_error_type": "value_error:string",
    }  # fmt: skip


SPLITS = ("simple", "simple", "simple", "parallel")


def pairs() -> list[dict[str, Any]]:
    wrong = (side("Lima"), side(7), side("Oslo", "Lima"), side())
    return [pair(n, each, SPLITS[n]) for n, each in enumerate(wrong)]


def records() -> list[dict[str, Any]]:
    return [record(n, split) for n, split in enumerate(SPLITS)]


def write(path: Path, rows: Sequence[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path
