"""What a cascade escalated, counted."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class CascadeStats:
    """What was escalated since the scorer was made: a snapshot.

    Attributes:
        decisions: Judged by the first scorer.
        escalated: Of these, asked of the second.
        fallbacks: Escalated ones that the second did not judge in time.
        first_ms: Spent in the first scorer, all decisions together.
        second_ms: Spent in the second.
    """

    decisions: int = 0
    escalated: int = 0
    fallbacks: int = 0
    first_ms: float = 0.0
    second_ms: float = 0.0
