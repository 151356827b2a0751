"""From records to preference data: labels, selection, near-duplicates, balance, split, files."""

from toolrm_guard.harvest.labels import (
    MIN_MARGIN,
    HarvestedPair,
    LabelSource,
    RejectedBy,
    Unused,
    labelled,
    pairs,
)

__all__ = [
    "MIN_MARGIN",
    "HarvestedPair",
    "LabelSource",
    "RejectedBy",
    "Unused",
    "labelled",
    "pairs",
]
