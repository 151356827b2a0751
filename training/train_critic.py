r"""Train ToolRM-Gen: a critic that says which of two tool-using turns is better, and why.

    accelerate launch --config_file training/recipes/accelerate/deepspeed_zero2_8gpu.yaml \
        -m training.train_critic --recipe training/recipes/gen_qwen3_4b.toml \
        --data runs/toolpref/data/trl_explicit --out runs/gen
    python -m training.train_critic --recipe training/recipes/gen_smollm2.toml \
        --data ../shared/data/train --out runs/gen_smollm2

Two stages, each of which goes on after a kill: supervised fine-tuning of the answer's form on
critiques written from findings (only with a `[form]` section, for bases that do not keep to it),
then GRPO with reward 1 for a parseable right choice and else 0. Half of the pairs show the worse
side first. The result in OUT/model is evaluated in both orders.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from datasets import Dataset
from peft import PeftModel, get_peft_model
from pydantic import Field
from trl.trainer.grpo_trainer import GRPOTrainer
from trl.trainer.sft_config import SFTConfig
from trl.trainer.sft_trainer import SFTTrainer

from toolrm_guard.critic_answer import choice_in
from toolrm_guard.critic_prompt import CriticMode
from training.bases import Base, fingerprint, load_base, lora_config, save_weights
from training.commands import start
from training.comparisons import Comparison, comparisons, judged, written_critique
from training.grpo import Rollouts, grpo_settings, numbers, say_cost
from training.model_cards import write_card
from training.recipes import Optimiser, Recipe, Section
from training.run_folder import RunFolder, Watch, console, trainer_settings, write_model
from training.sides import Packs, read_sides


class Form(Section):
    """Supervised fine-tuning of the answer's form.

    Attributes:
        pairs: So many pairs are shown with a written critique.
        optimiser: Of this stage; `batch` counts pairs.
    """

    pairs: int = Field(ge=1)
    optimiser: Optimiser


class GenRecipe(Recipe):
    """A Gen run.

    Attributes:
        max_prompt_tokens: The longest question; longer ones are an error, or left out.
        skip_long: Leave them out.
        mode: Whether the critic may think before it answers.
        rollouts: How answers are drawn.
        form: The first stage; None for a base that keeps to the form by itself.
        held: Share of the prompts held out, where the data have no validation side.
        judged: So many held-out pairs are judged in the end, in both orders.
        packs: Set if the data are labelled packs.
    """

    max_prompt_tokens: int = Field(default=12_288, gt=1)
    skip_long: bool = False
    mode: CriticMode = "think"
    rollouts: Rollouts = Rollouts()
    form: Form | None = None
    held: float = Field(default=0.1, gt=0, lt=1)
    judged: int = Field(default=500, ge=1)
    packs: Packs | None = None


def main(argv: Sequence[str] | None = None) -> None:
    """Train from the command line."""
    start("train_critic", __doc__, GenRecipe, run, argv)


def run(recipe: GenRecipe, data: Path, folder: RunFolder, command: str) -> None:
    """Run both stages and write OUT/model.

    Raises:
        ConfigurationError: Before the first step, if anything does not fit.
        TrainingDiverged: If a gradient is not finite.
    """
    base = load_base(recipe, recipe.max_prompt_tokens + recipe.rollouts.max_tokens)
    sides = read_sides(data, recipe.packs, recipe.held, recipe.seed)
    shown = {
        name: comparisons(side, base, recipe.mode, recipe.max_prompt_tokens, recipe.skip_long)
        for name, side in (("train", sides.train), ("held", sides.held))
    }
    model = base.language_model(recipe)
    folder.claim(recipe, "train_critic", data=sides.digest, base=fingerprint(model))
    settings = grpo_settings(recipe, recipe.rollouts, folder)
    if recipe.lora is not None:
        model = get_peft_model(model, lora_config(model, recipe.lora, base.name, "CAUSAL_LM"))
    formed = shown["train"][: recipe.form.pairs if recipe.form else 0]
    if recipe.form is not None:
        model = _learn_form(recipe, recipe.form, base, model, formed, folder)
    console.print(say_cost([c.tokens for c in shown["train"]], recipe, recipe.rollouts))
    trainer = GRPOTrainer(
        model,
        reward_funcs=right_choice,
        args=settings,
        train_dataset=Dataset.from_list(
            [{"prompt": c.prompt, "answer": c.answer} for c in shown["train"][len(formed) :]]
        ),
        processing_class=base.tokenizer,
        callbacks=[Watch(folder)],
    )
    folder.log_here()
    folder.go_on(trainer)
    if trainer.is_world_process_zero():
        _write(recipe, base, trainer, shown["held"], folder, sides.digest, command)


def right_choice(completions: Sequence[Any], answer: Sequence[int], **_: Any) -> list[float]:
    """Return 1 for an answer that names the better side in the required form, and else 0."""
    texts = [c if isinstance(c, str) else c[0]["content"] for c in completions]
    return [float(choice_in(t) == a) for t, a in zip(texts, answer, strict=True)]


def _learn_form(
    recipe: GenRecipe,
    form: Form,
    base: Base,
    model: Any,
    shown: Sequence[Comparison],
    folder: RunFolder,
) -> Any:
    """Return the model after the first stage, which is run only once."""
    stage = RunFolder(path=folder.path / "form")
    if not stage.model.exists():
        stage.path.mkdir(parents=True, exist_ok=True)
        stage.log_here()
        rows = [
            {
                "prompt": c.prompt,
                "completion": [{"role": "assistant", "content": written_critique(c)}],
            }
            for c in shown
        ]
        own = recipe.model_copy(update={"optimiser": form.optimiser})
        console.print(f"form: {len(rows)} pairs of {sum(c.tokens for c in shown):,} tokens")
        settings = SFTConfig(
            **trainer_settings(own, stage),
            gradient_accumulation_steps=max(1, form.optimiser.batch // form.optimiser.micro_batch),
            max_length=None,
        )
        trainer = SFTTrainer(
            model, args=settings, train_dataset=Dataset.from_list(rows),
            processing_class=base.tokenizer, callbacks=[Watch(stage)],
        )  # fmt: skip
        stage.go_on(trainer)
        if trainer.is_world_process_zero():
            write_model(stage.model, lambda path: save_weights(trainer.model, path, base))
        trainer.accelerator.wait_for_everyone()
    if isinstance(model, PeftModel):
        fresh = base.language_model(recipe)
        return PeftModel.from_pretrained(fresh, stage.model, is_trainable=True)
    return base.at(stage.model).language_model(recipe)


def _write(
    recipe: GenRecipe,
    base: Base,
    trainer: GRPOTrainer,
    held: Sequence[Comparison],
    folder: RunFolder,
    digest: str,
    command: str,
) -> None:
    def build(path: Path) -> None:
        save_weights(trainer.model, path, base)
        chosen = held[: recipe.judged]
        console.print(f"judging {len(chosen):,} held-out pairs in both orders")
        found = judged(trainer.model, base, chosen, recipe.mode, recipe.rollouts.max_tokens)
        rewards = numbers(trainer.state.log_history, "reward")
        write_card(
            path,
            title="ToolRM-Gen",
            what="A critic that compares two tool-using turns and says why.",
            recipe=recipe,
            command=command,
            data=digest,
            facts={
                "Steps": str(trainer.state.global_step),
                "Mean reward of the logged steps": ", ".join(f"{r:.2f}" for r in rewards),
                **found.facts(),
            },
        )

    write_model(folder.model, build)
    console.print(f"wrote {folder.model}")


if __name__ == "__main__":
    main()
