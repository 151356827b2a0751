"""A scorer of one's own: a name, thresholds, and one finite score per candidate.

This one knows a rule that no model was told: nothing above 100 euros is paid. It also shows that
an outage is not a no: where it cannot judge, the policy decides, and a payment waits for a human.

    python examples/06_own_scorer.py

Prints:

    pay 40: execute, probability 0.95
    pay 400: reject, probability 0.02
    pay None: escalate, not judged (ScorerUnavailable: the price list is not there)
"""

from collections.abc import Sequence

from toolrm_guard import Call, CouldNotJudge, Guard, Score, ScoreRequest
from toolrm_guard.errors import ScorerUnavailable


def pay(amount: float | None) -> str:
    """Pay an amount in euros."""
    return f"paid {amount}"


class HouseRule:
    """Likes small payments."""

    name = "house-rule"
    thresholds = {"read": 0.5, "write": 0.5, "destructive": 0.9, "answer": 0.0}

    async def score(
        self, requests: Sequence[ScoreRequest], deadline: float | None
    ) -> list[list[Score]]:
        """Return one score per candidate of each request."""
        return [[self._rate(c.calls[0]) for c in request.candidates] for request in requests]

    def _rate(self, call: Call) -> Score:
        amount = call.arguments["amount"]
        if amount is None:
            raise ScorerUnavailable("the price list is not there")
        probability = 0.95 if amount <= 100 else 0.02
        return Score(reward=-amount, probability=probability)


assert issubclass(ScorerUnavailable, CouldNotJudge)  # an outage is never a low score
guard = Guard(HouseRule())
for amount in (40, 400, None):
    call = {"name": "pay", "arguments": {"amount": amount}}
    review = guard.review(f"Pay {amount} euros", [pay], [{"tool_calls": [call]}], may_correct=False)
    said = (
        f"probability {review.scores[0].probability}"
        if review.judged
        else f"not judged ({review.unjudged_reason})"
    )
    print(f"pay {amount}: {review.decision}, {said}")
