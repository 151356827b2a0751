"""What a scorer is: requests in, one finite score per candidate out."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, Protocol, runtime_checkable

from toolrm_guard.calls import Candidate
from toolrm_guard.errors import InvalidScore
from toolrm_guard.findings import Finder, Finding
from toolrm_guard.messages import Message
from toolrm_guard.tools import Effect, ToolSet

ThresholdKind = Effect | Literal["answer"]
"""What a threshold is for: an effect class of calls, or a turn that answers in text."""


@dataclass(frozen=True, kw_only=True)
class ScoreRequest:
    """The candidates of one decision with everything that they are judged by.

    Attributes:
        messages: The conversation before the candidates.
        tools: The tools that were offered to the model; they always reach the scorer.
        candidates: One or more proposed turns, in the order they were sampled.
    """

    messages: tuple[Message, ...]
    tools: ToolSet
    candidates: tuple[Candidate, ...]

    @cached_property
    def finder(self) -> Finder:
        """What reads the conversation and the schemas, once for the scorer and the guard."""
        return Finder(self.messages, self.tools)

    @cached_property
    def findings(self) -> tuple[tuple[Finding, ...], ...]:
        """The findings of each candidate; computed when first asked for."""
        return tuple(self.finder.find(candidate) for candidate in self.candidates)


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """One candidate's score.

    Attributes:
        reward: Raw; compare only within one request and one model.
        probability: Calibrated P(the candidate is right); thresholds use only this.
        findings: What was found wrong; the material of critiques.

    Raises:
        InvalidScore: If a number is not finite or the probability is outside [0, 1].
    """

    reward: float
    probability: float
    findings: tuple[Finding, ...] = ()

    def __post_init__(self) -> None:
        if not math.isfinite(self.reward):
            raise InvalidScore(f"reward is {self.reward!r}; a finite number is needed")
        if not 0.0 <= self.probability <= 1.0:  # False for NaN, too
            raise InvalidScore(f"probability is {self.probability!r}, outside [0, 1]")


def joined(found: tuple[Finding, ...], more: tuple[Finding, ...]) -> tuple[Finding, ...]:
    """Return a candidate's findings and more of them, each once."""
    return (*found, *(item for item in more if item not in found))


@runtime_checkable
class Scorer(Protocol):
    """Judges candidates.

    Attributes:
        name: What records and spans call this scorer, e.g. `lite`.
        thresholds: Probability below which a candidate should not pass, by effect class; from the
            model's calibration.
    """

    @property
    def name(self) -> str:
        """What records and spans call this scorer."""
        ...

    @property
    def thresholds(self) -> Mapping[ThresholdKind, float]:
        """Probability below which a candidate should not pass."""
        ...

    async def score(
        self, requests: Sequence[ScoreRequest], deadline: float | None
    ) -> list[list[Score]]:
        """Return one list of scores per request, one score per candidate, in order.

        Args:
            requests: Judged as one batch.
            deadline: `time.monotonic()` seconds after which the answer is of no use; None for none.

        Raises:
            CouldNotJudge: If no score can be given; an outage is never a low score.
        """
        ...


@runtime_checkable
class Explainer(Protocol):
    """A scorer that can say more of a candidate than its findings; asked of drafts sent back."""

    def explain(self, request: ScoreRequest, index: int) -> tuple[Finding, ...]:
        """Return warnings about one candidate, the weightiest first."""
        ...


@runtime_checkable
class Critic(Protocol):
    """Writes what the policy model is told about a draft that is sent back."""

    async def critique(self, request: ScoreRequest, index: int, deadline: float | None) -> str:
        """Return the critique of one candidate, as text for the policy model.

        Args:
            request: The decision.
            index: The candidate that is sent back.
            deadline: As for `Scorer.score`.

        Raises:
            CouldNotJudge: If there is none; the findings then stand in.
        """
        ...


def fingerprint_of(scorer: Scorer) -> str | None:
    """Return what changes whenever a candidate may get another probability, if a scorer says."""
    found = getattr(scorer, "fingerprint", None)
    return found if isinstance(found, str) else None


async def close(scorer: object) -> None:
    """Close a scorer that holds something open, such as connections."""
    aclose = getattr(scorer, "aclose", None)
    if aclose is not None:
        await aclose()
