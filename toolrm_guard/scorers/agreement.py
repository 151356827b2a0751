"""How far candidates agree, as evidence that is added to what a scorer says of each alone.

Samples of a model that mostly say the same are mostly right, and in pools nothing else tells as
much: it weighs most where one of several is chosen. But they may agree in a mistake, so what it
adds to a probability is bounded, and there a scorer's reward keeps its full weight.
"""

import math
from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from toolrm_guard.calls import Candidate

Floats = NDArray[np.float64]
_Value = tuple[str, str, str]

LEAST = 3
"""Two cannot outvote each other."""


class Agreement(BaseModel):
    """Weights of agreement, in units of a scorer's reward; as they stand, it does not count.

    Attributes:
        calls: Of the logarithm of the share of candidates that make the same calls.
        values: Of the mean likeness of the other candidates in their values, minus 1.
        trust: Of the scorer's own reward where agreement helps to choose among candidates.
        whole: What full agreement adds to the reward that a probability is read from.
        most: What agreement may add at most: a wrong call must not pass for being repeated.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    calls: float = Field(default=0.0, ge=0.0, allow_inf_nan=False)
    values: float = Field(default=0.0, ge=0.0, allow_inf_nan=False)
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
        found = evidence(candidates)
        return self.calls * found[:, 0] + self.values * found[:, 1]


def evidence(candidates: Sequence[Candidate]) -> Floats:
    """Return how far the others agree with each candidate.

    Returns:
        (n, 2), at most 0 and 0 where all say the same: log of the share of candidates with the same
        calls (text is not compared), and the mean likeness of the others, minus 1. Likeness is the
        share of values that two candidates have in common among all that either gives (Jaccard),
        so that a call left out or added counts against it. Choosing by it is minimum Bayes risk
        (Kumar and Byrne 2004). All 0 for fewer than `LEAST` candidates.
    """
    size = len(candidates)
    if size < LEAST:
        return np.zeros((size, 2))
    form_of = {candidate.canonical: candidate for candidate in candidates}
    times = Counter(candidate.canonical for candidate in candidates)
    values = {form: _values(candidate) for form, candidate in form_of.items()}
    found = {}
    for form, own in values.items():
        alike = sum(times[other] * _likeness(own, theirs) for other, theirs in values.items())
        found[form] = (math.log(times[form] / size), (alike - 1.0) / (size - 1) - 1.0)
    return np.array([found[candidate.canonical] for candidate in candidates])


def _likeness(one: frozenset[_Value], other: frozenset[_Value]) -> float:
    """Return the share in common; two turns without a call are alike."""
    return len(one & other) / len(one | other) if one or other else 1.0


def _values(candidate: Candidate) -> frozenset[_Value]:
    """Return each (tool, argument, value); a call without arguments counts as one."""
    return frozenset(
        (call.name, str(name), repr(value)[:300])
        for call in candidate.calls
        for name, value in call.arguments.items() or (("", ""),)
    )
