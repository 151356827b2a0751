"""Any function as a scorer, for users' own tests."""

import inspect
from collections.abc import Awaitable, Callable, Mapping, Sequence

from toolrm_guard.scorers.base import Score, ScoreRequest, ThresholdKind

Rate = Callable[[ScoreRequest], "Sequence[float] | Awaitable[Sequence[float]]"]


class FakeScorer:
    """Scores by a function of the request that returns one probability per candidate.

    Example:
        >>> scorer = FakeScorer(lambda request: [0.9] + [0.1] * (len(request.candidates) - 1))
    """

    name = "fake"

    def __init__(
        self, rate: Rate, *, thresholds: Mapping[ThresholdKind, float] | None = None
    ) -> None:
        """Take the function.

        Args:
            rate: Returns (candidates,) probabilities in [0, 1], or an awaitable of them. What it
                raises is treated like the failure of any scorer.
            thresholds: By effect class; 0.5 for all if left out.
        """
        self._rate = rate
        self.thresholds = thresholds or {
            "read": 0.5,
            "write": 0.5,
            "destructive": 0.5,
            "answer": 0.5,
        }

    async def score(
        self, requests: Sequence[ScoreRequest], deadline: float | None
    ) -> list[list[Score]]:
        """Return the function's probabilities as scores; the reward is the probability."""
        scored = []
        for request in requests:
            rated = self._rate(request)
            values = await rated if inspect.isawaitable(rated) else rated
            scored.append([Score(reward=value, probability=value) for value in values])
        return scored
