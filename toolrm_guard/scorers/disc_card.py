"""`disc.json`, the card of a ToolRM-Disc: the trainer writes it, whatever serves it checks it."""

from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError

from toolrm_guard.errors import ModelIntegrityError
from toolrm_guard.scorers.reward_map import RewardMap

DISC_FILE = "disc.json"
PROMPT_FORMAT = 1
"""Rises whenever `prompt` or `disc_prompt` give other ids for the same decision."""


class DiscCard(RewardMap):
    """What a discriminative reward model is, beside its weights.

    Attributes:
        base: What it was trained from: a Hub id, or `smollm2-135m-instruct` for the embedded one.
        weights: File name to sha256, in hex; every file that a score depends on.
        prompt_format: The form of the prompt it was trained on.
        max_tokens: The longest prompt and suffix together.
    """

    format: Literal[1] = 1
    base: str
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
