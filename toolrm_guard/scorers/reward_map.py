"""From a raw reward to P(the candidate is right), and the thresholds that go with it.

Every trained scorer ships one: rewards compare only inside one model, probabilities everywhere.
"""

import itertools
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

from toolrm_guard.scorers.base import ThresholdKind

Share = Annotated[float, Field(ge=0.0, le=1.0)]


class RewardMap(BaseModel):
    """A rising map, linear between its knots, and thresholds by kind.

    Attributes:
        rewards: Knots of the map to probability, rising.
        probabilities: P(the candidate is right) at the knots, never falling; linear between.
        thresholds: Probability below which a turn of this kind should not pass.
        rule: How the thresholds were chosen.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    rewards: tuple[float, ...] = Field(min_length=2)
    probabilities: tuple[Share, ...] = Field(min_length=2)
    thresholds: dict[ThresholdKind, Share]
    rule: str

    @model_validator(mode="after")
    def _is_a_map(self) -> "RewardMap":
        if len(self.rewards) != len(self.probabilities):
            raise ValueError("rewards and probabilities differ in length")
        rising = all(a < b for a, b in itertools.pairwise(self.rewards))
        steady = all(a <= b for a, b in itertools.pairwise(self.probabilities))
        if not (rising and steady):
            raise ValueError("rewards must rise and probabilities must not fall")
        if missing := {"read", "write", "destructive", "answer"} - set(self.thresholds):
            raise ValueError(f"thresholds lack {', '.join(sorted(missing))}")
        return self

    def probability(self, rewards: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return P(right) for rewards (n,), each in [0, 1]."""
        return np.interp(rewards, self.rewards, self.probabilities)
