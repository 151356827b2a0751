"""How far candidates agree, as evidence that is added to what a scorer says of each alone.

Samples of a model that mostly say the same are mostly right, and in pools nothing else tells as
much: it weighs most where one of several is chosen. But they may agree in a mistake, so what it
adds to a probability is bounded, and there a scorer's reward keeps its full weight.
"""

from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from toolrm_guard.calls import Candidate

Floats = NDArray[np.float64]

LEAST = 3
"""Two cannot outvote each other."""


class Agreement(BaseModel):
    """Weights of agreement, in units of a scorer's reward; as they stand, it does not count.

    Attributes:
        calls: Of the logarithm of the share of candidates that make the same calls.
        trust: Of the scorer's own reward where agreement helps to choose among candidates.
        whole: What full agreement adds to the reward that a probability is read from.
        most: What agreement may add at most: a wrong call must not pass for being repeated.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    calls: float = Field(default=0.0, ge=0.0, allow_inf_nan=False)
    trust: float = Field(default=1.0, gt=0.0, le=1.0)
    whole: float = Field(default=0.0, allow_inf_nan=False)
    most: float = Field(default=1.0, ge=0.0, allow_inf_nan=False)

    def to_choose(self, rewards: Floats, candidates: Sequence[Candidate]) -> Floats:
        """Return rewards (n,) that rank the candidates; as they are for one or two."""
        if len(candidates) < LEAST:
            return rewards
        return self.trust * rewards + self._shared(candidates)

    def to_judge(self, rewards: Floats, candidates: Sequence[Candidate]) -> Floats:
        """Return rewards (n,) to read probabilities from; as they are for one or two.

        The scorer's reward keeps its full weight, so that it decides where all agree.
        """
        if len(candidates) < LEAST:
            return rewards
        return rewards + np.minimum(self._shared(candidates) + self.whole, self.most)

    def _shared(self, candidates: Sequence[Candidate]) -> Floats:
        return self.calls * evidence(candidates)


def evidence(candidates: Sequence[Candidate]) -> Floats:
    """Return the logarithm of the share of candidates with the same calls (n,), at most 0.

    Text is not compared. All 0 for fewer than `LEAST` candidates.
    """
    size = len(candidates)
    if size < LEAST:
        return np.zeros(size)
    times = Counter(candidate.canonical for candidate in candidates)
    return np.log([times[candidate.canonical] / size for candidate in candidates])
