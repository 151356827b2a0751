"""Thresholds from a file that `toolrm-guard calibrate` wrote, in place of a scorer's own."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from toolrm_guard.errors import ModelIntegrityError
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
from toolrm_guard.scorers.written_file import WrittenFile

_Share = Annotated[float, Field(ge=0.0, le=1.0)]


class ThresholdEntry(BaseModel):
    """One threshold with its evidence; fields as in `calibration.Threshold`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    value: _Share
    groups: int
    right_calls: int
    wrongly_blocked: _Share
    wrongly_passed: _Share | None


class ThresholdFile(WrittenFile):
    """What was promised, for which model, on which evidence.

    Attributes:
        scorer: Name of the scorer whose probabilities were used.
        fingerprint: Of that scorer's model; None if it has none, and then only names are compared.
        method: How the thresholds were chosen.
        rate: The share of right calls that may be blocked, for each kind on its own.
        candidates: How many candidates each decision had; another number has other probabilities.
        evidence: Where the judged turns came from.
        thresholds: By kind; kinds that are not here keep the scorer's own.
    """

    command = "toolrm-guard calibrate"

    format: Literal[1] = 1
    scorer: str
    fingerprint: str | None
    method: str
    rate: float = Field(gt=0.0, lt=1.0)
    candidates: int | None
    evidence: dict[str, str]
    thresholds: dict[ThresholdKind, ThresholdEntry]


class CalibratedScorer:
    """A scorer with thresholds that were calibrated on your own data.

    Example:
        >>> guard = Guard(CalibratedScorer("lite", "thresholds.json"))
    """

    def __init__(self, scorer: str | Scorer, thresholds: str | Path | ThresholdFile) -> None:
        """Take a scorer and the file that was made with it.

        Args:
            scorer: A name or an object, as `Guard` takes it.
            thresholds: The file that `toolrm-guard calibrate` wrote, or its content.

        Raises:
            ConfigurationError: If the file cannot be read.
            ModelIntegrityError: If it was made with another scorer or another model.
        """
        self._scorer = resolve(scorer)
        given = thresholds if isinstance(thresholds, ThresholdFile) else None
        self.file = given or ThresholdFile.load(thresholds)  # type: ignore[arg-type]
        _check(self.file, self._scorer, "these thresholds" if given else str(thresholds))
        stated = {kind: entry.value for kind, entry in self.file.thresholds.items()}
        self.thresholds: Mapping[ThresholdKind, float] = {**self._scorer.thresholds, **stated}

    @property
    def name(self) -> str:
        """That of the scorer inside: the scores are its own."""
        return self._scorer.name

    @property
    def fingerprint(self) -> str | None:
        """That of the scorer inside."""
        return fingerprint_of(self._scorer)

    def explain(self, request: ScoreRequest, index: int) -> tuple[Finding, ...]:
        """Return what the scorer inside says of a candidate beyond its findings, if it does."""
        inner = self._scorer
        return inner.explain(request, index) if isinstance(inner, Explainer) else ()

    async def score(
        self, requests: Sequence[ScoreRequest], deadline: float | None
    ) -> list[list[Score]]:
        """Return the scores of the scorer inside."""
        return await self._scorer.score(requests, deadline)

    async def aclose(self) -> None:
        """Close the scorer inside."""
        await close(self._scorer)


def _check(file: ThresholdFile, scorer: Scorer, source: str) -> None:
    remedy = "run `toolrm-guard calibrate` again with the scorer you use"
    if file.scorer != scorer.name:
        raise ModelIntegrityError(
            f"{source} was made with scorer {file.scorer!r}, not {scorer.name!r}; {remedy}"
        )
    if file.fingerprint != fingerprint_of(scorer):
        raise ModelIntegrityError(
            f"{source} was made with model {_short(file.fingerprint)} of {scorer.name!r}, but the "
            f"one in use is {_short(fingerprint_of(scorer))}: their probabilities differ; {remedy}"
        )


def _short(digest: str | None) -> str:
    return digest[:12] if digest else "without a fingerprint"
