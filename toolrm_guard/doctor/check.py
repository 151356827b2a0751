"""The outcome of one check, for people and for programs."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Status = Literal["ok", "warn", "fail", "skip"]

_USERINFO = re.compile(r"(://)[^/@\s]+@")


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """What was looked at and how it is.

    Attributes:
        name: Of the check.
        status: A `fail` makes the exit code 1; a `skip` was not looked at.
        message: What was found; user and password of a URL are left out.
        remedy: What to do about it; empty where nothing is to be done or the message says it.
        figures: What was measured, by name with unit.
    """

    name: str
    status: Status
    message: str
    remedy: str = ""
    figures: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "message", without_userinfo(self.message))


def without_userinfo(text: str) -> str:
    """Return a text without the user and password of any URL in it."""
    return _USERINFO.sub(r"\1", text)
