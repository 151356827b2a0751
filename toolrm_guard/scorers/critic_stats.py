"""What a critic asked and what it wrote, counted."""

import threading
from dataclasses import dataclass, fields


@dataclass(frozen=True, slots=True, kw_only=True)
class CriticStats:
    """A snapshot.

    Attributes:
        requests: Questions sent to the server.
        failures: Of these without an answer: late, refused, or nobody there.
        comparisons: Of two candidates; each asks in both orders.
        disagreements: Comparisons whose orders did not name the same candidate: ties.
        verdicts: On one candidate by itself.
        unreadable: Answers without a label.
        from_logprobs: Answers whose label was read from log-probabilities.
        prompt_tokens: As the server counts them.
        output_tokens: Likewise, thoughts included.
    """

    requests: int = 0
    failures: int = 0
    comparisons: int = 0
    disagreements: int = 0
    verdicts: int = 0
    unreadable: int = 0
    from_logprobs: int = 0
    prompt_tokens: int = 0
    output_tokens: int = 0


class Counts:
    """Counts, and adds the same to a total; from any thread."""

    def __init__(self, into: "Counts | None" = None) -> None:
        """Start at nothing."""
        self._into = into
        self._lock = threading.Lock()
        self._numbers = dict.fromkeys((field.name for field in fields(CriticStats)), 0)

    def add(self, **numbers: int) -> None:
        """Add to the counts of these names."""
        with self._lock:
            for name, number in numbers.items():
                self._numbers[name] += number
        if self._into is not None:
            self._into.add(**numbers)

    def snapshot(self) -> CriticStats:
        """Return the counts as they are now."""
        with self._lock:
            return CriticStats(**self._numbers)
