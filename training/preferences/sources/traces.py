"""This project's own trace store: what guarded agents proposed, and what became of it.

`toolrm_guard.harvest` says which decisions teach something: what was executed and is not known to
have failed is the reference, the worse candidates of the same decision are its responses.
"""

import logging
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

from toolrm_guard.errors import ConfigurationError
from toolrm_guard.harvest import HarvestedPair, pairs
from toolrm_guard.harvest.clean import redacted_pair
from toolrm_guard.records import CandidateRecord, MessageRecord, ReviewRecord
from toolrm_guard.redaction import DEFAULT
from toolrm_guard.store import TraceStore
from training.preferences.rows import Dropped, Response, Trajectory
from training.preferences.sources import fields
from training.preferences.sources.fields import BadField, Json
from training.preferences.sources.row import dropped

_store_log = logging.getLogger("toolrm_guard.store")


def read(path: str | None, *, licence: str | None = None) -> Iterator[Trajectory | Dropped]:
    """Yield one trajectory a decision that gives pairs; every other review is dropped by reason.

    Corrections and their outcomes are joined over the whole store, which is held in memory.

    Args:
        path: SQLAlchemy URL, or the path of a SQLite file.
        licence: Of the traces; they are the user's own.

    Raises:
        ConfigurationError: If there is no store.
    """
    if path is None or ("://" not in path and not Path(path).expanduser().is_file()):
        raise ConfigurationError(f"no trace store at {path!r}; give its URL or its SQLite file")
    return _trajectories(path, licence)


def _trajectories(path: str, licence: str | None) -> Iterator[Trajectory | Dropped]:
    unread = _Unread()
    _store_log.addHandler(unread)
    try:
        with TraceStore(path) as store:
            reviews, outcomes = list(store.reviews()), list(store.outcomes())
    finally:
        _store_log.removeHandler(unread)
    for number, message in enumerate(unread.messages):
        yield dropped("bad_record", f"unreadable[{number}]", message)
    by_id = {review.id: review for review in reviews}
    by_review = {
        review_id: list(found)
        for review_id, found in groupby(pairs(reviews, outcomes), lambda pair: pair.review.id)
    }
    for review in reviews:
        found = by_review.get(review.id)
        if found is None:
            yield dropped(_why_not(review), review.id, f"decision {review.decision}")
            continue
        # Whatever the guard that recorded them was set to, secrets are no training data.
        clean = [redacted_pair(pair, by_id, DEFAULT.redact_record) for pair in found]
        try:
            yield _trajectory(clean[0].review, clean, licence)
        except BadField as exc:
            yield dropped(exc.reason, review.id, str(exc))
    if not reviews:
        yield dropped("empty_source", "traces", "the store holds no review")


class _Unread(logging.Handler):
    """Keeps what the store says of records that it leaves out."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.messages: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep the message."""
        self.messages.append(record.getMessage())


def _why_not(review: ReviewRecord) -> str:
    if not review.judged:
        return "not_judged"
    return "not_executed" if review.decision != "execute" else "no_pair"


def _trajectory(
    review: ReviewRecord, found: list[HarvestedPair], licence: str | None
) -> Trajectory:
    chosen, known = found[0].chosen, found[0].label != "score"
    messages = [*map(_message, review.messages), _answer(chosen)]
    return Trajectory(
        id=review.id,
        source="traces",
        licence=licence,
        tools=fields.tools(review.tools),
        messages=tuple(messages),
        targets=(len(messages) - 1,),
        recorded=(
            _response(chosen, review.scorer, label=True if known else None),
            *(_rejected(pair, review.scorer) for pair in found),
        ),
        group=f"traces:{review.conversation_id or review.id}",
    )


def _rejected(pair: HarvestedPair, scorer: str) -> Response:
    """Return a worse candidate; that only a score speaks against it makes it no wrong one."""
    broken = [found.code for found in pair.rejected.findings if found.severity == "error"]
    if pair.rejected_by == "score":
        return _response(pair.rejected, scorer, label=None)
    error = broken[0] if broken else f"by_{pair.rejected_by}"
    return _response(pair.rejected, scorer, label=False, error=error)


def _response(
    candidate: CandidateRecord, scorer: str, label: bool | None, error: str | None = None
) -> Response:
    calls = tuple({"name": c.name, "arguments": c.arguments} for c in candidate.calls)
    by = f"traced agent, reviewed by {scorer}"
    return Response(text=candidate.text, calls=calls, by=by, label=label, error=error)


def _answer(chosen: CandidateRecord) -> Json:
    if any(call.defect for call in chosen.calls):
        raise BadField("bad_arguments", "the executed turn has a call that could not be read")
    calls = [{"name": c.name, "arguments": c.arguments} for c in chosen.calls]
    return fields.said("assistant", chosen.text, calls)


def _message(record: MessageRecord) -> Json:
    calls = [{"name": c.name, "arguments": c.arguments} for c in record.calls]
    return fields.said(record.role, record.text, calls, record.name)
