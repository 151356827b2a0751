"""Secrets leave a record before it is stored or exported."""

from typing import TypeVar

from toolrm_guard.records import OutcomeRecord, ReviewRecord
from toolrm_guard.redaction.redactor import Redactor
from toolrm_guard.redaction.scanner import Found
from toolrm_guard.redaction.substitution import hidden_id

__all__ = ["DEFAULT", "Found", "Redactor", "hidden_id", "redact_record", "redact_text"]

_R = TypeVar("_R", ReviewRecord, OutcomeRecord)

DEFAULT = Redactor()
"""What a guard uses unless it is given another one."""


def redact_text(text: str) -> str:
    """Return the text with its secrets replaced, by the default redactor."""
    return DEFAULT.redact_text(text)


def redact_record(record: _R) -> _R:
    """Return the record without its secrets, by the default redactor."""
    return DEFAULT.redact_record(record)
