"""What the two GRPO trainers share: how rollouts are drawn and counted (Shao et al. 2024).

Differences from TRL's defaults: every step draws its own rollouts (`steps_per_generation`), there
is no KL term as in the paper (arXiv 2510.26167), and vLLM draws where there is a GPU and vLLM.
"""

import os
from importlib.util import find_spec
from typing import Any

import torch
from pydantic import Field
from trl.trainer.grpo_config import GRPOConfig

from toolrm_guard.errors import ConfigurationError
from training.recipes import Recipe, RecipeError, Section
from training.run_folder import RunFolder, trainer_settings


class Rollouts(Section):
    """How a policy or a critic is sampled.

    Attributes:
        generations: Rollouts of one prompt (paper: 8).
        max_tokens: Of one response (paper: 4,096 for the critic).
        temperature: Of sampling.
        vllm: Draw with vLLM in the training processes; None: where there is a GPU and vLLM.
        vllm_memory: Share of the GPU's memory that vLLM takes.
    """

    generations: int = Field(default=8, ge=2)
    max_tokens: int = Field(default=4096, ge=1)
    temperature: float = Field(default=1.0, gt=0)
    vllm: bool | None = None
    vllm_memory: float = Field(default=0.3, gt=0, lt=1)


def grpo_settings(
    recipe: Recipe, rollouts: Rollouts, folder: RunFolder, *, skip_cut: bool = False
) -> GRPOConfig:
    """Return TRL's settings; `optimiser.batch` counts prompts, `micro_batch` rollouts.

    Args:
        recipe: What is trained, and how.
        rollouts: How it is sampled.
        folder: Where the run is kept.
        skip_cut: Whether responses that do not end are left out of the loss.

    Raises:
        RecipeError: If the rollouts of a step do not divide into micro-batches.
    """
    shared = trainer_settings(recipe, folder)
    devices = int(os.environ.get("WORLD_SIZE", "1"))
    drawn = recipe.optimiser.batch * rollouts.generations
    at_once = recipe.optimiser.micro_batch * devices
    if drawn % at_once:
        raise RecipeError(
            f"optimiser.batch x rollouts.generations is {drawn} rollouts a step, which do not "
            f"divide into micro-batches of {recipe.optimiser.micro_batch} on {devices} devices"
        )
    return GRPOConfig(
        **shared,
        gradient_accumulation_steps=drawn // at_once,
        num_generations=rollouts.generations,
        max_completion_length=rollouts.max_tokens,
        temperature=rollouts.temperature,
        beta=0.0,
        mask_truncated_completions=skip_cut,
        use_vllm=_use_vllm(rollouts),
        vllm_gpu_memory_utilization=rollouts.vllm_memory,
    )


def say_cost(prompts: list[int], recipe: Recipe, rollouts: Rollouts) -> str:
    """Return what a step will compute, as a sentence.

    Args:
        prompts: Tokens of each prompt.
        recipe: For the batch.
        rollouts: For how many and how long.
    """
    drawn = recipe.optimiser.batch * rollouts.generations
    mean = sum(prompts) / len(prompts)
    return (
        f"{len(prompts):,} prompts of {mean:,.0f} tokens on average; a step draws {drawn} rollouts "
        f"of at most {rollouts.max_tokens:,} tokens and reads up to "
        f"{drawn * (mean + rollouts.max_tokens):,.0f} tokens forward and back"
    )


def _use_vllm(rollouts: Rollouts) -> bool:
    there = torch.cuda.is_available() and find_spec("vllm") is not None
    if rollouts.vllm and not there:
        raise ConfigurationError(
            "rollouts.vllm is true, but there is no GPU, or vLLM is not installed "
            "(pip install vllm); leave the key out to draw with transformers"
        )
    return there if rollouts.vllm is None else rollouts.vllm


def numbers(log: list[dict[str, Any]], key: str) -> list[float]:
    """Return one number's course through a trainer's log."""
    return [float(entry[key]) for entry in log if key in entry]
