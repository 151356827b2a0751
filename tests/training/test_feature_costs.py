"""Costs are told apart by where the work is done, and add up."""

import sys

import pytest

from toolrm_guard.calls import Call, Candidate
from toolrm_guard.messages import Message
from toolrm_guard.scorers.base import ScoreRequest
from toolrm_guard.scorers.features import GROUPS
from toolrm_guard.tools import Tool, ToolSet
from training.feature_costs import measure

SAIL = Tool(
    name="book_sail",
    description="Book a sailing trip",
    parameters={
        "type": "object",
        "properties": {
            "harbour": {"type": "string"}, "seats": {"type": "integer"},
            "shade": {"type": "boolean"}, "boat": {"enum": ["sloop", "ketch"]},
        },
        "required": ["harbour"],
    },
)  # fmt: skip


def request(number: int) -> ScoreRequest:
    arguments = {"harbour": "Porto", "seats": number, "shade": True, "boat": "sloop"}
    return ScoreRequest(
        messages=(Message(role="user", text=f"Book a sloop with shade for {number} in Porto"),),
        tools=ToolSet([SAIL]),
        candidates=(
            Candidate(calls=(Call(name="book_sail", arguments=arguments),)), Candidate(text="no")
        ),
    )  # fmt: skip


def test_parts_add_up_and_every_group_has_its_share() -> None:
    costs = measure([request(number) for number in range(20)])
    assert costs.candidates == 2
    assert sum(costs.by_group.values()) == pytest.approx(costs.total)
    assert set(costs.by_group) <= {*GROUPS, ""}
    for group in ("schema", "grounding", "texts", "coverage", "tool fit", "context", "switches"):
        assert costs.by_group[group] > 0
    assert sys.getprofile() is None
