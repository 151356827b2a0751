"""Six decisions with a known right call: for costs and for comparing two scorers.

They are made up, and too few and too easy to say how good a model is; a model that ranks most of
them wrong is not the one that was meant.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from toolrm_guard.calls import Candidate
from toolrm_guard.messages import parse_messages
from toolrm_guard.scorers.base import ScoreRequest
from toolrm_guard.tools import ToolSet


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One decision.

    Attributes:
        said: By the user.
        right: The turn that does what was asked.
        wrong: Turns that do not.
    """

    said: str
    right: Any
    wrong: tuple[Any, ...]

    def request(self, serial: int = 0) -> ScoreRequest:
        """Return the decision, its right candidate first.

        Args:
            serial: Another one makes another prompt, so that no cache knows its scores.
        """
        said = self.said if serial == 0 else f"{self.said} (My request no. {serial}.)"
        return ScoreRequest(
            messages=parse_messages([{"role": "system", "content": _SYSTEM}, _user(said)]),
            tools=TOOLS,
            candidates=tuple(Candidate.parse(turn) for turn in (self.right, *self.wrong)),
        )


def digest(requests: Sequence[ScoreRequest]) -> str:
    """Return what changes when the cases do; scores of other cases cannot be compared."""
    text = "\n".join(
        f"{request.messages} {request.tools.schemas()} {[c.canonical for c in request.candidates]}"
        for request in requests
    )
    return hashlib.sha256(text.encode()).hexdigest()


def _user(text: str) -> dict[str, str]:
    return {"role": "user", "content": text}


def _call(name: str, **arguments: Any) -> dict[str, Any]:
    return {"tool_calls": [{"name": name, "arguments": arguments}]}


def _tool(name: str, description: str, *required: str, **properties: dict[str, str]) -> Any:
    schema = {"type": "object", "properties": properties, "required": list(required)}
    return {"name": name, "description": description, "parameters": schema}


_SYSTEM = "You are an assistant that works with the user's files, money and calendar."
_TEXT = {"type": "string"}

TOOLS = ToolSet.of(
    [
        _tool("read_file", "Read a file.", "path", path={**_TEXT, "description": "Its path."}),
        _tool("delete_file", "Delete a file for good.", "path", path=_TEXT),
        _tool(
            "transfer",
            "Move money to an account.",
            "amount",
            "to",
            amount={"type": "number", "description": "In euros."},
            to={"type": "string", "description": "Name of the receiver."},
        ),
        _tool("get_balance", "Read the balance of an account.", "account", account=_TEXT),
        _tool(
            "book_meeting",
            "Put a meeting into the calendar.",
            "title",
            "date",
            title=_TEXT,
            date={"type": "string", "description": "As YYYY-MM-DD."},
        ),
        _tool("get_weather", "Say the weather of a city today.", "city", city=_TEXT),
    ]
)

CASES = (
    Case(
        said="Please delete report_old.txt.",
        right=_call("delete_file", path="report_old.txt"),
        wrong=(
            _call("delete_file", path="report.txt"),
            _call("read_file", path="report_old.txt"),
            _call("delete_file"),
        ),
    ),
    Case(
        said="Send 250 euros to Anna Weber.",
        right=_call("transfer", amount=250, to="Anna Weber"),
        wrong=(
            _call("transfer", amount=2500, to="Anna Weber"),
            _call("transfer", amount=250, to="Anna Becker"),
            _call("get_balance", account="Anna Weber"),
        ),
    ),
    Case(
        said="How much money is on my savings account?",
        right=_call("get_balance", account="savings"),
        wrong=(
            _call("get_balance", account="checking"),
            _call("transfer", amount=1, to="savings"),
            _call("get_balance", holder="savings"),
        ),
    ),
    Case(
        said="Book a meeting called Budget on the 3rd of March 2027.",
        right=_call("book_meeting", title="Budget", date="2027-03-03"),
        wrong=(
            _call("book_meeting", title="Budget", date="2027-03-04"),
            _call("book_meeting", title="Budget"),
            _call("get_weather", city="Budget"),
        ),
    ),
    Case(
        said="What is the weather in Lisbon?",
        right=_call("get_weather", city="Lisbon"),
        wrong=(
            _call("get_weather", city="Porto"),
            _call("get_wether", city="Lisbon"),
            _call("book_meeting", title="Lisbon", date="today"),
        ),
    ),
    Case(
        said="Thank you, that was all!",
        right="You are welcome.",
        wrong=(
            _call("delete_file", path="all"),
            _call("get_balance", account="all"),
            _call("transfer", amount=1, to="you"),
        ),
    ),
)
