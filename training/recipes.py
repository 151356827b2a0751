"""Recipes: what a training run does, read from a TOML file; an unknown key is an error."""

import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from toolrm_guard.errors import ConfigurationError


class RecipeError(ConfigurationError):
    """A recipe is wrong; the message names the key and the remedy."""


class Section(BaseModel):
    """A part of a recipe."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Optimiser(Section):
    """How the weights move.

    Attributes:
        epochs: Passes over the data; `max_steps` cuts them short.
        batch: Examples of one step, over all devices and accumulations: pairs for a reward model,
            generated responses' prompts for a critic or a policy.
        micro_batch: Examples that one device computes at once.
        learning_rate: Its peak.
        schedule: How it goes on from there, a name that transformers knows.
        warmup: Share of the steps in which it rises.
        weight_decay: Of AdamW.
        max_grad_norm: Beyond it gradients are scaled down.
        save_steps: Steps between checkpoints; a killed run loses at most so many.
        log_steps: Steps between lines of the log.
    """

    epochs: float = Field(default=1.0, gt=0)
    max_steps: int = Field(default=-1, ge=-1)
    batch: int = Field(ge=1)
    micro_batch: int = Field(default=1, ge=1)
    learning_rate: float = Field(gt=0)
    schedule: Literal["linear", "cosine", "constant", "constant_with_warmup"] = "cosine"
    warmup: float = Field(default=0.0, ge=0, le=1)
    weight_decay: float = Field(default=0.0, ge=0)
    max_grad_norm: float = Field(default=1.0, gt=0)
    save_steps: int = Field(default=50, ge=1)
    log_steps: int = Field(default=5, ge=1)


class Lora(Section):
    """Low-rank adapters on the linear layers (Hu et al. 2021, arXiv 2106.09685).

    Attributes:
        rank: r.
        alpha: Their scale is alpha / r.
        last_layers: Only so many of the last layers; None for all. The layers below need no
            backward pass.
    """

    rank: int = Field(default=8, ge=1)
    alpha: float = Field(default=16.0, gt=0)
    last_layers: int | None = Field(default=None, ge=1)


class Recipe(Section):
    """What every trainer is told.

    Attributes:
        base: `smollm2-135m-instruct`, a Hub id, or a folder.
        seed: Of data order, new weights and sampling.
        precision: Of the base's weights and of the arithmetic; adapters and heads stay in fp32.
        gradient_checkpointing: Computes activations twice to keep fewer.
        pad_token: For a tokenizer whose pad token is none, or its end-of-turn token.
        chatml: Add the two control tokens of ChatML to a tokenizer that lacks them.
        lora: Adapters; None trains every weight.
        licence: Of the trained weights, for the card.
    """

    base: str
    seed: int = 0
    precision: Literal["fp32", "bf16"] = "fp32"
    gradient_checkpointing: bool = False
    licence: str = "as the base model; some sources of the training data may add their own terms"
    pad_token: str | None = None
    chatml: bool = False
    lora: Lora | None = None
    optimiser: Optimiser


R = TypeVar("R", bound=Recipe)


def load_recipe(kind: type[R], path: Path, changes: Sequence[str] = ()) -> R:
    """Return a recipe.

    Args:
        kind: Of which trainer.
        path: The TOML file.
        changes: `section.key=value`, the value as TOML writes it; for a run that differs in little.

    Raises:
        RecipeError: Naming the key.
    """
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as exc:
        raise RecipeError(f"{path}: {exc.strerror}; recipes stand in training/recipes") from exc
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as exc:
        raise RecipeError(f"{path}: {exc}") from exc
    for change in changes:
        _apply(raw, change)
    try:
        return kind.model_validate(raw)
    except ValidationError as exc:
        shown = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in exc.errors()[:3])
        raise RecipeError(f"{path}: {shown}") from exc


def _apply(raw: dict[str, Any], change: str) -> None:
    """Set one key, in place."""
    name, equals, text = change.partition("=")
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError as exc:
        raise RecipeError(
            f"--set {change!r} is not `key=value` with a TOML value (text in quotes): {exc}"
        ) from exc
    if not equals:
        raise RecipeError(f"--set {change!r} is not `key=value`")
    *sections, key = name.strip().split(".")
    for section in sections:
        raw = raw.setdefault(section, {})
        if not isinstance(raw, dict):
            raise RecipeError(f"--set {change!r}: {section!r} is a value, not a section")
    raw[key] = value
