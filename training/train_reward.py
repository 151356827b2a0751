r"""Train ToolRM-Disc: a Bradley-Terry reward model on preference pairs of tool-using turns.

    python -m training.train_reward --recipe training/recipes/disc_qwen3_4b.toml \
        --data runs/toolpref/data/trl_explicit --out runs/disc
    accelerate launch --config_file training/recipes/accelerate/fsdp_8gpu.yaml \
        -m training.train_reward ...
    python -m training.train_reward --recipe training/recipes/disc_smollm2.toml \
        --data ../shared/data/train --out runs/disc_smollm2

`--data` is the pipeline's `trl_explicit` folder (train and validation), one file of that shape, or,
with a `[packs]` section in the recipe, a folder of labelled packs. Started again with the same
arguments a run goes on from its last checkpoint. The result in OUT/model is what the `local` and
`vllm` scorers serve: weights, `disc.json` and a model card.
"""

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from datasets import Dataset
from peft import get_peft_model
from pydantic import Field
from trl.trainer.reward_config import RewardConfig

from toolrm_guard.disc_prompt import Encode
from toolrm_guard.errors import ModelIntegrityError
from toolrm_guard.scorers.disc_folder import seal
from toolrm_guard.scorers.turn_tokens import TurnTokens
from training.bases import (
    Base,
    BaseModelError,
    fingerprint,
    load_base,
    lora_config,
    save_weights,
)
from training.commands import start
from training.decisions import Decision, encode
from training.disc_result import accuracy, fitted_map, rewards_of_folder
from training.model_cards import write_card
from training.packed_trainer import PackedRewardTrainer
from training.packing import EncodedDecision, read_packed, token_counts
from training.recipes import Recipe
from training.run_folder import RunFolder, Watch, console, trainer_settings, write_model
from training.sides import Packs, read_sides


class DiscRecipe(Recipe):
    """A Disc run.

    Attributes:
        max_tokens: The longest prompt and candidate together (paper: 16,384).
        skip_long: Leave out decisions that do not fit; otherwise they are an error.
        centre: Weight of (better + worse)^2, which keeps rewards of different prompts comparable
            (Eisenstein et al. 2023, arXiv 2312.09244).
        held: Share of the prompts held out for the reward map, where the data have no validation.
        packs: Set if the data are labelled packs.
    """

    max_tokens: int = Field(gt=1)
    skip_long: bool = False
    centre: float | None = Field(default=None, ge=0)
    held: float = Field(default=0.1, gt=0, lt=1)
    packs: Packs | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Data:
    """What is trained on and what is held out, decisions with their ids in the same order."""

    train: list[EncodedDecision]
    held: list[EncodedDecision]
    held_decisions: list[Decision]
    digest: str


def main(argv: Sequence[str] | None = None) -> None:
    """Train from the command line."""
    start("train_reward", __doc__, DiscRecipe, run, argv)


def run(recipe: DiscRecipe, data_path: Path, folder: RunFolder, command: str) -> None:
    """Train, calibrate and write OUT/model.

    Raises:
        ConfigurationError: Before the first step, if anything does not fit.
        TrainingDiverged: If a gradient is not finite.
    """
    base = load_base(recipe, recipe.max_tokens)
    data = read_data(recipe, data_path, _turn_tokens(base))
    trainer = make_trainer(recipe, base, data, folder)
    _say_cost(recipe, data, trainer.args.gradient_accumulation_steps)
    folder.go_on(trainer)
    _write(recipe, base, data, trainer, folder, command)


def read_data(recipe: DiscRecipe, path: Path, tokens_of: Encode) -> Data:
    """Return both sides, encoded.

    Raises:
        DatasetError: If the data do not fit.
    """
    sides = read_sides(path, recipe.packs, recipe.held, recipe.seed)
    train, decisions = encode(sides.train, tokens_of, recipe.max_tokens, recipe.skip_long)
    held, held_decisions = encode(sides.held, tokens_of, recipe.max_tokens, recipe.skip_long)
    if recipe.packs is not None:
        train, _ = _even(train, decisions, recipe.packs.per_source)
        held, held_decisions = _even(held, held_decisions, recipe.packs.per_source)
    return Data(train=train, held=held, held_decisions=held_decisions, digest=sides.digest)


def _turn_tokens(base: Base) -> TurnTokens:
    """Return the encoder that serving uses, too."""
    try:
        return TurnTokens(base.tokenizer.backend_tokenizer)
    except ModelIntegrityError as exc:
        raise BaseModelError(
            f"base {base.name!r}: {exc}, or a recipe that adds its tokens (`chatml = true`)"
        ) from exc


def make_trainer(
    recipe: DiscRecipe, base: Base, data: Data, folder: RunFolder
) -> PackedRewardTrainer:
    """Return the trainer; claims the folder for this run."""
    model = read_packed(base.classifier(recipe))
    folder.claim(recipe, "train_reward", data=data.digest, base=fingerprint(model))
    folder.log_here()
    if recipe.lora is not None:
        model = get_peft_model(model, lora_config(model, recipe.lora, base.name, "SEQ_CLS"))
    return PackedRewardTrainer(
        model,
        args=_settings(recipe, data, folder),
        train_dataset=Dataset.from_list([dict(row) for row in data.train]),
        processing_class=base.tokenizer,
        callbacks=[Watch(folder)],
    )


def _even(
    rows: list[EncodedDecision], decisions: list[Decision], per_source: int
) -> tuple[list[EncodedDecision], list[Decision]]:
    """Return at most so many of each source, in the same order."""
    seen: Counter[str] = Counter()
    kept = []
    for index, decision in enumerate(decisions):
        seen[decision.source] += 1
        if seen[decision.source] <= per_source:
            kept.append(index)
    return [rows[i] for i in kept], [decisions[i] for i in kept]


def _settings(recipe: DiscRecipe, data: Data, folder: RunFolder) -> RewardConfig:
    """Return TRL's settings; `batch` counts pairs, and a row holds several."""
    pairs = sum(len(row["better"]) for row in data.train) / len(data.train)
    devices = int(os.environ.get("WORLD_SIZE", "1"))
    per_device = recipe.optimiser.batch / (pairs * recipe.optimiser.micro_batch * devices)
    return RewardConfig(
        center_rewards_coefficient=recipe.centre,
        max_length=None,
        gradient_accumulation_steps=max(1, round(per_device)),
        **trainer_settings(recipe, folder),
    )


def _say_cost(recipe: DiscRecipe, data: Data, accumulate: int) -> None:
    counts = token_counts(data.train)
    console.print(
        f"{len(data.train):,} decisions, {sum(len(r['better']) for r in data.train):,} pairs: "
        f"{counts['packed']:,} tokens an epoch ({counts['pairs'] / counts['packed']:.1f} times as "
        f"many as pairs of whole sequences), {recipe.optimiser.epochs:g} epochs, "
        f"{accumulate} rows a step and device"
    )


def _write(
    recipe: DiscRecipe,
    base: Base,
    data: Data,
    trainer: PackedRewardTrainer,
    folder: RunFolder,
    command: str,
) -> None:
    """Write OUT/model: weights, then what the written weights reach on the held-out decisions."""
    whole = folder.path / "gathered" if trainer.args.world_size > 1 else None
    if whole is not None:
        trainer.save_model(str(whole))  # on every device: each may hold a part

    def build(path: Path) -> None:
        save_weights(trainer.model, path, base, whole)
        console.print(f"scoring {len(data.held):,} held-out decisions with the written weights")
        rewards = rewards_of_folder(path, base, recipe.max_tokens, data.held)
        pairs, share, ci = accuracy(data.held_decisions, rewards)
        fitted = fitted_map(data.held_decisions, rewards)
        seal(path, base=base.name, max_tokens=recipe.max_tokens, reward_map=fitted)
        counts = token_counts(data.train)
        write_card(
            path,
            title="ToolRM-Disc",
            what="A Bradley-Terry reward model of tool-using turns.",
            recipe=recipe,
            command=command,
            data=data.digest,
            facts={
                "Trained on": (
                    f"{len(data.train):,} decisions, {counts['packed']:,} tokens an epoch"
                ),
                "Steps": str(trainer.state.global_step),
                "Held-out pairs ranked right": (
                    f"{share:.3f} of {pairs:,} (95% over prompts: {ci[0]:.3f} to {ci[1]:.3f})"
                ),
                "Thresholds": fitted.rule,
            },
        )

    if trainer.is_world_process_zero():
        write_model(folder.model, build)
        console.print(f"wrote {folder.model}")


if __name__ == "__main__":
    main()
