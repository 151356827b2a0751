"""The `traces` commands."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from rich.console import Console

from toolrm_guard.errors import ConfigurationError
from toolrm_guard.files import check_file, write_text
from toolrm_guard.records import OutcomeIndex, OutcomeRecord, ReviewRecord
from toolrm_guard.redaction import DEFAULT
from toolrm_guard.store import TraceStore
from toolrm_guard.traces.conversation import conversation_page
from toolrm_guard.traces.listing import Filter, chosen_of, find
from toolrm_guard.traces.terminal import print_list, print_review


def list_reviews(store: TraceStore, asked: Filter) -> int:
    """Print the reviews that fit, one a line."""
    index = OutcomeIndex(store.outcomes())
    print_list(Console(), chosen_of(store.reviews(), asked), index)
    return 0


def show(store: TraceStore, key: str) -> int:
    """Print one review.

    Raises:
        NoSuchReview: If no review, or several, begin with the key.
    """
    print_review(Console(), find(store.reviews(), key), OutcomeIndex(store.outcomes()))
    return 0


def export_html(store: TraceStore, conversation: str, file: Path, *, name: str) -> int:
    """Write a conversation as a page, without its secrets.

    Raises:
        ConfigurationError: If there is no such conversation, or the file cannot be written.
    """
    check_file(file)
    found = list(store.reviews(conversation))
    if not found:
        raise ConfigurationError(
            f"no conversation {conversation[:80]!r} in {name}; `traces list` shows their ids"
        )
    outcomes = _outcomes_without_secrets(store, found)
    page = conversation_page(list(_without_secrets(found)), outcomes, store=name)
    write_text(file, page)
    print(f"wrote {file}: {len(found)} reviews")
    return 0


def export_parquet(store: TraceStore, asked: Filter, file: Path) -> int:
    """Write the reviews that fit as a table, without their secrets.

    Raises:
        ConfigurationError: If the file cannot be written.
    """
    from toolrm_guard.traces.parquet import write_parquet

    check_file(file)

    def reviews() -> Iterable[ReviewRecord]:
        if asked.limit is not None:
            return chosen_of(store.reviews(), asked)
        return (review for review in store.reviews() if asked.takes(review))

    outcomes = _outcomes_without_secrets(store, reviews())
    count = write_parquet(_without_secrets(reviews()), outcomes, file)
    print(f"wrote {file}: {count} reviews")
    return 0


def _without_secrets(reviews: Iterable[ReviewRecord]) -> Iterator[ReviewRecord]:
    return (DEFAULT.redact_record(review) for review in reviews)


def _outcomes_without_secrets(store: TraceStore, reviews: Iterable[ReviewRecord]) -> OutcomeIndex:
    """Return the outcomes of what ran, redacted with their calls.

    The call says what in its outcome is secret, and gives the digest under which the two still
    join after both were redacted.
    """
    index = OutcomeIndex(store.outcomes())
    clean: dict[int, OutcomeRecord] = {}
    for review in reviews:
        DEFAULT.redact_record(review)  # what the conversation told is remembered
        for call in review.candidates[0 if review.mode == "shadow" else review.chosen].calls:
            for outcome in index.of(call, review):
                if id(outcome) not in clean:
                    of = (call.name, call.arguments)
                    clean[id(outcome)] = DEFAULT.redact_outcome(outcome, of, review.tools)
    return OutcomeIndex(clean.values())
