"""`disc.json`, the card of a ToolRM-Disc: the trainer writes it, whatever serves it checks it."""

import hashlib
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError

from toolrm_guard.errors import ModelIntegrityError
from toolrm_guard.scorers.reward_map import RewardMap

DISC_FILE = "disc.json"
EMBEDDED_BASE = "smollm2-135m-instruct"
"""The base that `toolrm_guard.embedded.weights` brings."""

PROMPT_FORMAT = 1
"""Rises whenever `prompt` or `disc_prompt` give other ids for the same decision."""


class DiscCard(RewardMap):
    """What a discriminative reward model is, beside its weights.

    Attributes:
        base: What it was trained from: a Hub id, a folder, or `EMBEDDED_BASE`.
        base_sha256: Of the base's tensors, as `disc_folder.tensors_sha256` hashes them; an adapter
            is refused over another base. None says nothing of it.
        weights: File name to sha256, in hex; every file that a score depends on.
        prompt_format: The form of the prompt it was trained on.
        max_tokens: The longest prompt and suffix together.
    """

    format: Literal[1] = 1
    base: str
    base_sha256: str | None = None
    weights: dict[str, str] = Field(min_length=1)
    prompt_format: int
    max_tokens: int = Field(gt=1)

    @classmethod
    def load(cls, folder: str | Path) -> "DiscCard":
        """Return the card of a folder.

        Raises:
            ModelIntegrityError: If it is missing or unreadable, or the model was trained on another
                form of the prompt.
        """
        path = Path(folder) / DISC_FILE
        remedy = "train the model with `python -m training.train_reward`, which writes it"
        try:
            card = cls.model_validate_json(path.read_bytes())
        except OSError as exc:
            raise ModelIntegrityError(f"{path}: {exc.strerror}; {remedy}") from exc
        except ValidationError as exc:
            raise ModelIntegrityError(f"{path}: {exc}; {remedy}") from exc
        if card.prompt_format != PROMPT_FORMAT:
            raise ModelIntegrityError(
                f"{path}: trained on prompt format {card.prompt_format}, but this version renders "
                f"format {PROMPT_FORMAT}; {remedy}"
            )
        return card

    @property
    def fingerprint(self) -> str:
        """Hash of everything that a probability depends on: the weights, the map, what is read."""
        weights = sorted(self.weights.items())
        read = f"{self.max_tokens} {self.rewards} {self.probabilities}"
        content = f"{self.base_sha256} {weights} {read}"
        return hashlib.sha256(content.encode()).hexdigest()
