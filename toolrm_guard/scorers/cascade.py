"""`cascade`: a cheap scorer first, a costly one only for the decisions that the first is unsure of.

Rewards compare only inside one model, so a decision is judged by one scorer as a whole: where it is
escalated, every candidate has the second scorer's score and nothing of the first's is left. The
critic is no third stage: `Guard(cascade, critic=...)` asks it only where a draft is sent back.
"""

import asyncio
import hashlib
import logging
import os
import time
import weakref
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal, get_args

from toolrm_guard import tracing
from toolrm_guard.errors import (
    ConfigurationError,
    CouldNotJudge,
    InvalidScore,
    ModelIntegrityError,
    ScorerTimeout,
)
from toolrm_guard.findings import Finding
from toolrm_guard.scorers import resolve
from toolrm_guard.scorers.base import (
    Explainer,
    Score,
    Scorer,
    ScoreRequest,
    ThresholdKind,
    close,
    fingerprint_of,
)
from toolrm_guard.scorers.cascade_stats import CascadeStats
from toolrm_guard.scorers.reward_map import Share
from toolrm_guard.scorers.written_file import WrittenFile

_log = logging.getLogger(__name__)

Fallback = Literal["first", "unjudged"]

RESERVE_S = 0.02
"""Kept of the deadline for what follows a second scorer that is late."""


class Band(WrittenFile):
    """Which decisions are escalated, and the evidence for it; `toolrm-guard cascade` writes it.

    Attributes:
        below: A decision whose sureness is lower is escalated; 0 escalates none, and 1 all but
            those of full sureness.
        first: Name of the cheap scorer.
        second: Name of the costly one.
        first_fingerprint: Of its model; None if it has none.
        second_fingerprint: Likewise.
        candidates: How many each decision had; another number has other surenesses.
        goal: What was asked for.
        evidence: Where the decisions came from.
        escalated: Share of these decisions that is escalated.
        accuracy: Share of right outcomes: a right turn passes, or a wrong one is held back.
        accuracy_first: The same if nothing is escalated.
        accuracy_second: The same with the widest band, 1, which escalates all but full sureness.
    """

    command = "toolrm-guard cascade"

    format: Literal[1] = 1
    below: Share
    first: str
    second: str
    first_fingerprint: str | None
    second_fingerprint: str | None
    candidates: int
    goal: str
    evidence: dict[str, str]
    escalated: Share
    accuracy: Share
    accuracy_first: Share
    accuracy_second: Share


def sureness(request: ScoreRequest, scores: Sequence[Score]) -> float:
    """Return how sure a scorer is of a decision, in [0, 1]: |p - 1/2| + lead / 2.

    p is the probability of the best candidate, the lead its distance to the best rival that makes
    other calls; without a rival |p - 1/2| counts twice. Candidates that cannot be right whatever
    their score are passed over, as the guard does; if all of them are, nothing can be unsure.

    No measure is the best for every number of candidates; among the least sure tenth this one finds
    the most of what `lite` gets wrong with four and eight (docs/decisions/0011-cascade.md).
    """
    able = [
        index
        for index, candidate in enumerate(request.candidates)
        if all(f.severity != "error" for f in request.finder.find_certain(candidate))
    ]
    if not able:
        return 1.0
    best = max(able, key=lambda index: scores[index].reward)
    probability = scores[best].probability
    distance = abs(probability - 0.5)
    form = request.candidates[best].canonical
    rivals = [
        scores[index].probability for index in able if request.candidates[index].canonical != form
    ]
    if not rivals:
        return 2.0 * distance
    return distance + abs(probability - max(rivals)) / 2.0


class CascadeScorer:
    """Two scorers as one.

    Example:
        >>> cascade = CascadeScorer("lite", "vllm", band="band.json")
        >>> guard = Guard(cascade, critic=critic)
    """

    name = "cascade"

    def __init__(
        self,
        first: str | Scorer,
        second: str | Scorer,
        *,
        band: float | str | Path | Band,
        fallback: Fallback = "first",
        thresholds: Mapping[ThresholdKind, float] | None = None,
    ) -> None:
        """Load both.

        Args:
            first: Asked about every decision; a name or an object, as `Guard` takes it.
            second: Asked about those of which the first is unsure.
            band: The file that `toolrm-guard cascade` wrote, its content, or the sureness itself
                below which a decision is escalated.
            fallback: What an escalated decision becomes if the second scorer fails or would be
                late. `first` keeps the first scorer's judgement, which is valid though unsure, and
                traces that it did; `unjudged` says that the guard could not judge.
            thresholds: Default: by kind the higher one of both scorers', so that nothing passes
                here that one of them would hold back at this probability.

        Raises:
            ConfigurationError: If the band cannot be read or is outside [0, 1].
            ModelIntegrityError: If the band was made with other scorers or models.
        """
        self.first, self.second = resolve(first), resolve(second)
        if fallback not in get_args(Fallback):
            raise ConfigurationError(f"fallback {fallback!r} is neither 'first' nor 'unjudged'")
        self._below = _below(band, self.first, self.second)
        self._fallback = fallback
        one, other = self.first.thresholds, self.second.thresholds
        kinds = {*one, *other}
        stricter = {kind: max(one.get(kind, 0.0), other.get(kind, 0.0)) for kind in kinds}
        self.thresholds: Mapping[ThresholdKind, float] = thresholds or stricter
        self._stats = CascadeStats()
        self._judged_by_second: weakref.WeakValueDictionary[int, ScoreRequest] = (
            weakref.WeakValueDictionary()
        )

    @property
    def fingerprint(self) -> str | None:
        """Hash of both models and of who judges what; None if one of them has none."""
        parts = (fingerprint_of(self.first), fingerprint_of(self.second))
        if None in parts:
            return None
        content = f"{parts} {self._below} {self._fallback}"
        return hashlib.sha256(content.encode()).hexdigest()

    @property
    def stats(self) -> CascadeStats:
        """What was escalated so far: a snapshot."""
        return self._stats

    async def score(
        self, requests: Sequence[ScoreRequest], deadline: float | None
    ) -> list[list[Score]]:
        """Return the first scorer's scores, and for what it is unsure of the second's.

        Raises:
            CouldNotJudge: As the first scorer; with fallback `unjudged` as the second, too.
        """
        started = time.perf_counter()
        found = list(await self.first.score(requests, deadline))
        first_ms = (time.perf_counter() - started) * 1e3
        _check(found, requests, self.first)
        unsure = [
            index
            for index, (request, scores) in enumerate(zip(requests, found, strict=True))
            if scores and sureness(request, scores) < self._below
        ]
        started = time.perf_counter()
        failure: CouldNotJudge | None = None
        if unsure:
            try:
                better = await self._escalate([requests[index] for index in unsure], deadline)
                for index, scores in zip(unsure, better, strict=True):
                    found[index] = scores
                    self._judged_by_second[id(requests[index])] = requests[index]
            except CouldNotJudge as exc:
                failure = exc
        second_ms = (time.perf_counter() - started) * 1e3
        self._note(len(requests), len(unsure), failure, first_ms, second_ms)
        if failure is not None and self._fallback == "unjudged":
            raise failure
        return found

    def explain(self, request: ScoreRequest, index: int) -> tuple[Finding, ...]:
        """Return what the scorer that judged a candidate has against it beyond its findings.

        A second scorer that cannot say so leaves it to the first.
        """
        by_second = self._judged_by_second.get(id(request)) is request
        for scorer in (self.second, self.first) if by_second else (self.first,):
            if isinstance(scorer, Explainer) and (found := scorer.explain(request, index)):
                return found
        return ()

    async def aclose(self) -> None:
        """Close both scorers."""
        try:
            await close(self.first)
        finally:
            await close(self.second)

    async def _escalate(
        self, requests: Sequence[ScoreRequest], deadline: float | None
    ) -> list[list[Score]]:
        limit = None if deadline is None else deadline - RESERVE_S
        left_s = None if limit is None else limit - time.monotonic()
        if left_s is not None and left_s <= 0:
            raise ScorerTimeout(f"no time is left to ask {self.second.name!r}")
        try:
            async with asyncio.timeout(left_s):
                scores = list(await self.second.score(requests, limit))
        except TimeoutError as exc:
            raise ScorerTimeout(f"{self.second.name!r}: no scores in time") from exc
        _check(scores, requests, self.second)
        return scores

    def _note(
        self,
        decisions: int,
        escalated: int,
        failure: CouldNotJudge | None,
        first_ms: float,
        second_ms: float,
    ) -> None:
        old = self._stats
        self._stats = CascadeStats(
            decisions=old.decisions + decisions,
            escalated=old.escalated + escalated,
            fallbacks=old.fallbacks + (escalated if failure else 0),
            first_ms=old.first_ms + first_ms,
            second_ms=old.second_ms + second_ms,
        )
        tracing.annotate({"cascade.escalated": escalated})
        if failure is not None:
            # The kind alone, in the log too: a message may hold what a server said.
            kind = type(failure).__name__
            tracing.annotate({"cascade.failure": kind})
            outcome = "the first judgement stands" if self._fallback == "first" else "no judgement"
            _log.warning("cascade: %s of %r; %s", kind, self.second.name, outcome)


def from_environment() -> CascadeScorer:
    """Return `lite` and a second scorer as the environment names them.

    `TOOLRM_GUARD_CASCADE_SECOND` is the second one's name, `TOOLRM_GUARD_CASCADE_BAND` the file
    that `toolrm-guard cascade` wrote for both.

    Raises:
        ConfigurationError: If one is missing or wrong.
    """
    second = os.environ.get("TOOLRM_GUARD_CASCADE_SECOND")
    band = os.environ.get("TOOLRM_GUARD_CASCADE_BAND")
    if not second or not band:
        raise ConfigurationError(
            "scorer 'cascade' needs to know its second scorer and when to ask it: set "
            "TOOLRM_GUARD_CASCADE_SECOND (e.g. vllm) and TOOLRM_GUARD_CASCADE_BAND (a file of "
            "`toolrm-guard cascade`), or make it yourself: CascadeScorer('lite', 'vllm', band=...)"
        )
    return CascadeScorer("lite", second, band=band)


def _below(band: float | str | Path | Band, first: Scorer, second: Scorer) -> float:
    if isinstance(band, (int, float)):
        if not 0.0 <= band <= 1.0:
            raise ConfigurationError(f"band {band!r} is no sureness; give 0 (none) to 1 (most)")
        return float(band)
    source = "this band" if isinstance(band, Band) else str(band)
    file = band if isinstance(band, Band) else Band.load(band)
    for scorer, name, made_with in (
        (first, file.first, file.first_fingerprint),
        (second, file.second, file.second_fingerprint),
    ):
        if (scorer.name, fingerprint_of(scorer)) != (name, made_with):
            raise ModelIntegrityError(
                f"{source} was made with {name!r} of another model than the {scorer.name!r} in "
                "use: its probabilities differ; run `toolrm-guard cascade` again"
            )
    return file.below


def _check(
    found: Sequence[Sequence[Score]], requests: Sequence[ScoreRequest], scorer: Scorer
) -> None:
    counts = [len(scores) for scores in found]
    wanted = [len(request.candidates) for request in requests]
    if counts != wanted:
        raise InvalidScore(f"{scorer.name!r}: {counts} scores came for {wanted} candidates")
