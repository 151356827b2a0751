"""Adaptive best of N: how many more candidates a turn is worth, as pure functions of its scores."""

from collections.abc import Sequence
from dataclasses import dataclass

from toolrm_guard.errors import ConfigurationError


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """Sample only while the best candidate is in doubt, and never beyond these limits.

    One candidate is drawn and scored first. More follow, twice as many each time, while the best
    one does not pass its rule, or its lead over the next different one is smaller than `margin`.

    Attributes:
        max_samples: Candidates of one turn, corrections included.
        max_ms: Milliseconds from the first draw after which no further one starts; an async draw
            under way is cut off then. None for no limit.
        max_tokens: Output tokens of all candidates after which no further one is drawn; counted
            as the model reports them, or estimated from its text. None for no limit.
        margin: Least lead in probability over the best different candidate, in [0, 1].
    """

    max_samples: int
    max_ms: float | None = None
    max_tokens: int | None = None
    margin: float = 0.0

    def __post_init__(self) -> None:
        if self.max_samples < 1:
            raise ConfigurationError(
                f"max_samples is {self.max_samples}; a decision needs at least 1 candidate"
            )
        for name in ("max_ms", "max_tokens"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise ConfigurationError(f"{name} is {value!r}; give a positive number or None")
        if not 0.0 <= self.margin <= 1.0:
            raise ConfigurationError(f"margin {self.margin!r} is no probability; give 0 to 1")

    def left(self, *, samples: int, elapsed_ms: float, tokens: int) -> int:
        """Return how many more candidates the limits allow.

        Args:
            samples: Candidates drawn so far.
            elapsed_ms: Since the first draw.
            tokens: Output tokens so far.
        """
        late = self.max_ms is not None and elapsed_ms >= self.max_ms
        dear = self.max_tokens is not None and tokens >= self.max_tokens
        return 0 if late or dear else max(0, self.max_samples - samples)


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowance:
    """What is left of a budget when a review begins.

    Attributes:
        left: Candidates that may still be drawn.
        of: The budget's `max_samples`: what a fixed N would have drawn.
        margin: Least lead of the best candidate.
    """

    left: int
    of: int
    margin: float


def more_samples(
    probabilities: Sequence[float],
    forms: Sequence[str],
    *,
    chosen: int,
    passes: bool,
    allowance: Allowance,
) -> int:
    """Return how many more candidates to draw before deciding; 0 means that these suffice.

    Args:
        probabilities: (candidates,) calibrated P(right); empty when the guard could not judge,
            and then more candidates would not help.
        forms: (candidates,) canonical forms; equal ones are no rivals.
        chosen: The best candidate.
        passes: Whether every call of the best candidate is approved.
        allowance: What the budget leaves.
    """
    if not probabilities or allowance.left < 1:
        return 0
    rivals = [p for p, form in zip(probabilities, forms, strict=True) if form != forms[chosen]]
    lead = probabilities[chosen] - max(rivals, default=0.0)
    if passes and lead >= allowance.margin:
        return 0
    # Doubling keeps the number of rounds, and so the wait, logarithmic in the samples.
    return min(allowance.left, len(probabilities))
