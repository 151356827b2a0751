"""Which reviews are asked for, and what became of what they let pass."""

import datetime
import re
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from toolrm_guard.errors import ConfigurationError
from toolrm_guard.records import OutcomeIndex, OutcomeRecord, ReviewRecord

Result = Literal["right", "wrong", "unknown"]

_AGO = re.compile(r"(\d{1,6})\s*(m|h|d|w)")
_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_TELLING = ("execution", "task", "human")


class NoSuchReview(ConfigurationError):
    """No review of the store, or more than one, fits what was asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """What a review must be like; None asks nothing.

    Attributes:
        decision: `execute`, `correct`, `escalate` or `reject`.
        tool: Called by the chosen candidate.
        conversation: Its id.
        scorer: Its name.
        since: Not older than this.
        limit: The latest so many.
    """

    decision: str | None = None
    tool: str | None = None
    conversation: str | None = None
    scorer: str | None = None
    since: datetime.datetime | None = None
    limit: int | None = None

    def takes(self, review: ReviewRecord) -> bool:
        """Tell whether a review is one of those asked for, the limit aside."""
        called = [call.name for call in review.candidates[review.chosen].calls]
        return (
            self.decision in (None, review.decision)
            and (self.tool is None or self.tool in called)
            and self.conversation in (None, review.conversation_id)
            and self.scorer in (None, review.scorer)
            and (self.since is None or review.created_at >= self.since)
        )


def chosen_of(reviews: Iterable[ReviewRecord], asked: Filter) -> list[ReviewRecord]:
    """Return the reviews that fit, oldest first; of a limit the latest.

    Args:
        reviews: Oldest first, as a store yields them.
        asked: What fits.
    """
    return list(deque((review for review in reviews if asked.takes(review)), asked.limit))


def find(reviews: Iterable[ReviewRecord], key: str) -> ReviewRecord:
    """Return the review whose id begins with the key.

    Raises:
        NoSuchReview: If there is none, or several; the message lists some of them.
    """
    found = [review for review in reviews if key and review.id.startswith(key)]
    if len(found) == 1 or (found and found[0].id == key):
        return found[0]
    if not found:
        raise NoSuchReview(f"no review {key[:80]!r} in this store; `traces list` shows their ids")
    some = ", ".join(review.id for review in found[:5])
    raise NoSuchReview(f"{len(found)} reviews begin with {key[:80]!r}: {some}; give more of the id")


def since(text: str, now: datetime.datetime) -> datetime.datetime:
    """Return the time that `2h`, `3d` or an ISO date stands for.

    Args:
        text: A number with m, h, d or w; or a date, with a time or without, UTC unless it says so.
        now: What ago is counted from.

    Raises:
        ConfigurationError: If it is none of these.
    """
    try:
        if found := _AGO.fullmatch(text.strip()):
            return now - datetime.timedelta(**{_UNITS[found[2]]: int(found[1])})
        moment = datetime.datetime.fromisoformat(text.strip())
    except (ValueError, OverflowError) as exc:
        raise ConfigurationError(
            f"time {text[:80]!r} is neither like 30m, 2h, 3d or 1w nor like 2026-01-31T12:00"
        ) from exc
    return moment if moment.tzinfo else moment.replace(tzinfo=datetime.UTC)


def outcomes_of_review(review: ReviewRecord, index: OutcomeIndex) -> list[OutcomeRecord]:
    """Return what became of the calls of the candidate that ran."""
    ran = review.candidates[0 if review.mode == "shadow" else review.chosen]
    return [outcome for call in ran.calls for outcome in index.of(call, review)]


def result(outcomes: Sequence[OutcomeRecord]) -> Result:
    """Return whether what is known of the calls is good."""
    known = [
        outcome.ok
        for outcome in outcomes
        # Who answers in the tool's place says nothing of the call.
        if outcome.kind in _TELLING and (outcome.kind, outcome.label) != ("human", "respond")
    ]
    return ("right" if all(known) else "wrong") if known else "unknown"
