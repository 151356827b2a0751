"""The `traces` commands."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from rich.console import Console

from toolrm_guard.errors import ConfigurationError
from toolrm_guard.files import write_text
from toolrm_guard.records import OutcomeIndex, ReviewRecord
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
    # A conversation whose id holds a secret is stored under a hash of it.
    ids = (conversation, DEFAULT.redact_id(conversation))
    found = [review for key in dict.fromkeys(ids) for review in store.reviews(key)]
    if not found:
        raise ConfigurationError(
            f"no conversation {conversation[:80]!r} in {name}; `traces list` shows their ids"
        )
    outcomes = OutcomeIndex(DEFAULT.redact_record(outcome) for outcome in store.outcomes())
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

    outcomes = OutcomeIndex(DEFAULT.redact_record(outcome) for outcome in store.outcomes())
    reviews: Iterable[ReviewRecord] = (r for r in store.reviews() if asked.takes(r))
    if asked.limit is not None:
        reviews = chosen_of(reviews, asked)
    count = write_parquet(_without_secrets(reviews), outcomes, file)
    print(f"wrote {file}: {count} reviews")
    return 0


def _without_secrets(reviews: Iterable[ReviewRecord]) -> Iterator[ReviewRecord]:
    return (DEFAULT.redact_record(review) for review in reviews)
