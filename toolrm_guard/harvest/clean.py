"""Secrets leave the pairs once more, whatever the guard that recorded them was set to."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from toolrm_guard.harvest.labels import HarvestedPair
from toolrm_guard.harvest.rows import Kept
from toolrm_guard.records import CandidateRecord, ReviewRecord
from toolrm_guard.redaction import Redactor


def redacted(
    kept: Sequence[Kept], reviews: Mapping[str, ReviewRecord], redactor: Redactor
) -> list[Kept]:
    """Return the same pairs over records without secrets, their ids included.

    Labels, near-duplicates and sides were found on the records as they are stored, so nothing that
    is taken out here can tear a call from its outcome.

    Args:
        kept: Of a harvest.
        reviews: By id; those that hold a rejected side.
        redactor: Takes the secrets out.
    """
    done: dict[str, ReviewRecord] = {}

    def clean(review: ReviewRecord) -> ReviewRecord:
        if review.id not in done:
            done[review.id] = redactor.redact_record(review)
        return done[review.id]

    return [
        replace(
            item,
            root=redactor.redact_id(item.root),
            pair=redacted_pair(item.pair, reviews, clean),
        )
        for item in kept
    ]


def redacted_pair(
    pair: HarvestedPair,
    reviews: Mapping[str, ReviewRecord],
    clean: Callable[[ReviewRecord], ReviewRecord],
) -> HarvestedPair:
    """Return the same pair over records without secrets.

    Args:
        pair: Found on the records as they are stored.
        reviews: By id; those that hold a rejected side.
        clean: Returns a review without its secrets.
    """
    held_in = reviews[pair.rejected_in]
    return replace(
        pair,
        review=clean(pair.review),
        chosen=_same(pair.chosen, pair.review, clean(pair.review)),
        rejected=_same(pair.rejected, held_in, clean(held_in)),
    )


def _same(candidate: CandidateRecord, review: ReviewRecord, clean: ReviewRecord) -> CandidateRecord:
    """Return the candidate at the same place of the clean review."""
    return clean.candidates[review.candidates.index(candidate)]
