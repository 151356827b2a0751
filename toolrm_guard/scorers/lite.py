"""`lite`, the embedded default: gradient-boosted trees over evidence features.

No torch, no network, about a millisecond for eight candidates. The model is LightGBM text plus a
calibration file that holds its hash, the feature names, the weights of agreement, the map from
reward to probability, and the thresholds.
"""

import asyncio
import hashlib
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Literal

import lightgbm
import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from toolrm_guard.errors import ModelIntegrityError
from toolrm_guard.findings import Finder, Finding
from toolrm_guard.scorers.agreement import Agreement
from toolrm_guard.scorers.attribution import remarks
from toolrm_guard.scorers.base import Score, ScoreRequest, ThresholdKind
from toolrm_guard.scorers.features import INPUTS, compare, extract
from toolrm_guard.scorers.reward_map import RewardMap

Floats = NDArray[np.float64]

MODEL_FILE = "model.txt"
CALIBRATION_FILE = "calibration.json"
_REMEDY = "reinstall toolrm-guard, or train again with `python -m training.train_lite`"


class Calibration(RewardMap):
    """What belongs to a model file but is no tree.

    Attributes:
        model_sha256: Of the model file, in hex.
        features: Names of the columns, in the order the trees use.
        agreement: What agreement among candidates adds to what the trees say of each.
    """

    format: Literal[3] = 3
    model_sha256: str
    features: tuple[str, ...]
    agreement: Agreement

    @property
    def fingerprint(self) -> str:
        """Hash of all that a probability depends on: the trees, agreement and the map."""
        content = f"{self.model_sha256} {self.rewards} {self.probabilities} {self.agreement}"
        return hashlib.sha256(content.encode()).hexdigest()


class LiteModel:
    """The trees with their calibration; pure and thread-safe."""

    def __init__(self, booster: lightgbm.Booster, calibration: Calibration) -> None:
        """Hold both; `load` is the way to get them from files."""
        self._booster = booster
        self.calibration = calibration

    @classmethod
    def load(cls, folder: str | Path | None = None) -> "LiteModel":
        """Return the model in a folder, or the one that ships with the package.

        Raises:
            ModelIntegrityError: If a file is missing, unreadable, or belongs to another.
        """
        root = files("toolrm_guard") / "models" / "lite" if folder is None else Path(folder)
        model_path, calibration_path = root / MODEL_FILE, root / CALIBRATION_FILE
        try:
            text = model_path.read_bytes()
            raw = calibration_path.read_bytes()
        except OSError as exc:
            raise ModelIntegrityError(f"{exc.filename}: {exc.strerror}; {_REMEDY}") from exc
        try:
            calibration = Calibration.model_validate_json(raw)
        except ValidationError as exc:
            raise ModelIntegrityError(f"{calibration_path}: {exc}; {_REMEDY}") from exc
        digest = hashlib.sha256(text).hexdigest()
        if digest != calibration.model_sha256:
            raise ModelIntegrityError(
                f"{model_path} has sha256 {digest}, but {CALIBRATION_FILE} was made for "
                f"{calibration.model_sha256}; {_REMEDY}"
            )
        if calibration.features != INPUTS:
            differing = sorted(set(calibration.features) ^ set(INPUTS)) or ["their order"]
            raise ModelIntegrityError(
                f"{model_path} was trained on other features than this version computes: "
                f"{', '.join(differing[:6])}; {_REMEDY}"
            )
        return cls(_booster(text, model_path), calibration)

    @property
    def text(self) -> str:
        """The trees as LightGBM writes them, from which training can go on."""
        return str(self._booster.model_to_string())

    def score(self, request: ScoreRequest) -> list[Score]:
        """Return one score per candidate, in order."""
        if not request.candidates:
            return []
        trees = self.trees(inputs(request, request.finder))
        agreement, candidates = self.calibration.agreement, request.candidates
        rewards = agreement.to_choose(trees, candidates)
        probabilities = self.calibration.probability(agreement.to_judge(trees, candidates))
        return [
            Score(reward=float(r), probability=float(p), findings=found)
            for r, p, found in zip(rewards, probabilities, request.findings, strict=True)
        ]

    def explain(self, request: ScoreRequest, index: int) -> tuple[Finding, ...]:
        """Return what pushed a candidate's reward down most, beyond its findings, as warnings.

        Costs several times what scoring does.
        """
        row = inputs(request, request.finder)[index]
        shares = self._booster.predict(row[None], pred_contrib=True, num_threads=1)
        return remarks(np.asarray(shares[0, :-1], dtype=np.float64), row, request.findings[index])

    def rewards(self, request: ScoreRequest, finder: Finder | None = None) -> Floats:
        """Return the rewards (candidates,): the trees' scores, and agreement.

        Args:
            request: One or more candidates.
            finder: One that has read the same conversation and tools; the request's own if None.
        """
        trees = self.trees(inputs(request, finder or request.finder))
        return self.calibration.agreement.to_choose(trees, request.candidates)

    def trees(self, features: NDArray[np.float32]) -> Floats:
        """Return the trees' raw scores (n,) for inputs (n, len(INPUTS))."""
        # One thread: for a few rows the thread pool costs more than the trees.
        return np.asarray(
            self._booster.predict(
                features, raw_score=True, num_threads=1, predict_disable_shape_check=True
            ),
            dtype=np.float64,
        )


def inputs(request: ScoreRequest, finder: Finder) -> NDArray[np.float32]:
    """Return the model's inputs (candidates, len(INPUTS)); equal candidates have equal rows.

    Candidates are compared with the other *distinct* ones: five copies of a rival say no more than
    one; how often something was said is what agreement is for.
    """
    features = extract(request, finder)
    row_of: dict[str, int] = {}
    for index, candidate in enumerate(request.candidates):
        row_of.setdefault(candidate.canonical, index)
    distinct = list(row_of.values())
    number = {row: k for k, row in enumerate(distinct)}
    against = compare(features[distinct], np.zeros(len(distinct), dtype=np.int64))
    chosen = [number[row_of[candidate.canonical]] for candidate in request.candidates]
    return np.hstack([features, against[chosen]])


class LiteScorer:
    """The model behind the scorer protocol."""

    name = "lite"

    def __init__(self, model: LiteModel | None = None) -> None:
        """Take a model, or load the one that ships with the package."""
        self._model = LiteModel.load() if model is None else model

    @property
    def thresholds(self) -> Mapping[ThresholdKind, float]:
        """From the model's calibration."""
        return self._model.calibration.thresholds

    @property
    def fingerprint(self) -> str:
        """Hash of the trees and of the map to probability; thresholds hold for one of both."""
        return self._model.calibration.fingerprint

    def explain(self, request: ScoreRequest, index: int) -> tuple[Finding, ...]:
        """Return what speaks against a candidate beyond its findings."""
        return self._model.explain(request, index)

    async def score(
        self, requests: Sequence[ScoreRequest], deadline: float | None
    ) -> list[list[Score]]:
        """Return the scores of each request.

        One request takes about a millisecond, less than a hop to a thread is worth; between
        requests the event loop gets its turn, so that a deadline can fire.
        """
        scores = []
        for index, request in enumerate(requests):
            if index:
                await asyncio.sleep(0)
            scores.append(self._model.score(request))
        return scores


def _booster(text: bytes, path: object) -> lightgbm.Booster:
    try:
        return lightgbm.Booster(model_str=text.decode("utf-8"))
    except (lightgbm.basic.LightGBMError, UnicodeDecodeError) as exc:
        raise ModelIntegrityError(f"{path}: not a LightGBM model ({exc}); {_REMEDY}") from exc
