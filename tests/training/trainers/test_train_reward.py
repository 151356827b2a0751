"""Runs of two to four steps on a tiny base: weights, resuming, the folder, and what is refused."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from accelerate.commands.config.config_args import load_config_from_file
from safetensors.torch import load_file
from transformers import AutoModelForSequenceClassification

from tests.training.trainers.tiny import (
    WARNINGS,
    pair,
    pairs_file,
    recipe_file,
    tiny_base,
    trainer,
)
from toolrm_guard.scorers.disc_model import load_disc
from training import train_reward
from training.bases import BaseModelError
from training.recipes import RecipeError, load_recipe
from training.run_folder import RunFolder, RunFolderError
from training.tables import DatasetError

pytestmark = WARNINGS

ADAPTER = "[lora]\nrank = 4\n"
STEPS = """
seed = 5
max_tokens = 512
held = 0.3
{section}
[optimiser]
batch = 4
learning_rate = 1e-2
max_steps = {steps}
save_steps = 1
log_steps = 1
"""

Run = Callable[..., Path]


@pytest.fixture
def recipe(base: Path, tmp_path: Path) -> Callable[..., Path]:
    def write(steps: int = 2, section: str = ADAPTER, on: Path = base, head: str = "") -> Path:
        text = head + STEPS.format(steps=steps, section=section)
        return recipe_file(tmp_path / "recipe.toml", on, text)

    return write


train = trainer(train_reward, train_reward.DiscRecipe)


def test_two_steps_move_the_adapter_and_give_a_folder_that_serving_loads(
    recipe: Callable[..., Path], tmp_path: Path, base: Path
) -> None:
    model = train(recipe(), tmp_path / "run")
    state = load_file(model / "adapter_model.safetensors")
    lifted = [name for name in state if "lora_B" in name]
    assert len(lifted) == 14  # seven linear layers in each of two
    assert all(bool(state[name].any()) for name in lifted)  # they start as zeros
    disc = load_disc(model)
    assert disc.card.base == str(base)
    assert disc.card.max_tokens == 512
    assert set(disc.card.thresholds) == {"read", "write", "destructive", "answer"}
    card = (model / "MODEL_CARD.md").read_text()
    for part in ("the command", "Data sha256", "95%", "Licence", "learning_rate"):
        assert part in card
    assert list((tmp_path / "run/tensorboard").rglob("events*"))


def test_every_weight_is_trained_without_adapters(
    recipe: Callable[..., Path], tmp_path: Path, base: Path
) -> None:
    model = train(recipe(section=""), tmp_path / "run")
    before = AutoModelForSequenceClassification.from_pretrained(base, num_labels=1).state_dict()
    after = load_file(model / "model.safetensors")
    assert all(
        not torch.equal(before[name], weight)
        for name, weight in after.items()
        if "embed" not in name
    )
    assert load_disc(model).encode.end == 2


@pytest.mark.parametrize("name", ["fsdp_8gpu", "deepspeed_zero2_8gpu"])
def test_the_configurations_for_eight_gpus_are_read_by_accelerate(name: str) -> None:
    config = load_config_from_file(f"training/recipes/accelerate/{name}.yaml")
    assert config.num_processes == 8
    assert config.mixed_precision == "bf16"


# --- refused before the first step --------------------------------------------------------------


def refused(recipe: Path, out: Path, error: type[Exception], match: str, **given: Path) -> None:
    with pytest.raises(error, match=match):
        train(recipe, out, **given)
    assert not (out / "checkpoints").exists()


def test_fields_that_do_not_fit_are_named(recipe: Callable[..., Path], tmp_path: Path) -> None:
    data = tmp_path / "rows.jsonl"
    data.write_text('{"question": "?", "answer": "!"}\n')
    match = r"row 1 has no prompt, chosen, rejected, tools \(fields: answer, question\)"
    refused(recipe(), tmp_path / "run", DatasetError, match, data=data)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"chosen": "text"}, "TRL's explicit conversational shape"),
        ({"tools": "{not json"}, "TRL's explicit conversational shape"),
        ({"chosen": [{"role": "assistant", "content": "a"}] * 1,
          "rejected": [{"role": "assistant", "content": "a"}]}, "the same turn twice"),
    ],
)  # fmt: skip
def test_rows_that_are_no_pairs_are_refused(
    recipe: Callable[..., Path], tmp_path: Path, change: dict[str, Any], match: str
) -> None:
    data = tmp_path / "rows.jsonl"
    data.write_text(json.dumps(pair(1, **change)) + "\n")
    refused(recipe(), tmp_path / "run", DatasetError, match, data=data)


def test_a_prompt_over_the_limit_is_refused_or_left_out_if_asked(
    recipe: Callable[..., Path], tmp_path: Path
) -> None:
    data = pairs_file(tmp_path / "pairs.jsonl")
    long = pair(1, prompt=[{"role": "user", "content": "word " * 2000}])
    data.write_text(data.read_text() + json.dumps(long) + "\n")
    match = "1 of .* prompts do not fit into 512 tokens.*skip_long"
    refused(recipe(), tmp_path / "run", DatasetError, match, data=data)
    train(recipe(head="skip_long = true\n"), tmp_path / "run", data)


def test_a_base_without_chat_template_is_refused(
    recipe: Callable[..., Path], tmp_path: Path
) -> None:
    plain = tiny_base(tmp_path / "plain", chat_template=None)
    refused(
        recipe(on=plain), tmp_path / "run", BaseModelError, "no chat template.*instruct version"
    )


def test_a_tokenizer_whose_pad_is_its_eos_is_refused_until_the_recipe_names_another(
    recipe: Callable[..., Path], tmp_path: Path
) -> None:
    base = tiny_base(tmp_path / "padded", pad_token="<|im_end|>")
    refused(
        recipe(on=base), tmp_path / "run", BaseModelError, "pads with '<|im_end|>'.*`pad_token`"
    )
    train(recipe(on=base, head='pad_token = "<|endoftext|>"\n'), tmp_path / "run")


def test_a_base_that_is_not_there_is_refused(recipe: Callable[..., Path], tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    refused(recipe(on=gone), tmp_path / "run", BaseModelError, "cannot be loaded")


def test_a_limit_beyond_the_base_is_refused(recipe: Callable[..., Path], tmp_path: Path) -> None:
    path = recipe()
    path.write_text(path.read_text().replace("max_tokens = 512", "max_tokens = 4096"))
    refused(path, tmp_path / "run", BaseModelError, "built for 2,048")


def test_a_checkpoint_of_another_base_is_not_continued(
    recipe: Callable[..., Path], tmp_path: Path, base: Path
) -> None:
    moved = tmp_path / "base"
    tiny_base(moved)
    path = recipe(on=moved)
    train(path, tmp_path / "run")
    tiny_base(moved, seed=1)  # another base under the same name
    with pytest.raises(RunFolderError, match="checkpoint of another run: base was"):
        train(path, tmp_path / "run")


def test_a_folder_in_which_no_step_was_made_takes_another_recipe(
    recipe: Callable[..., Path], tmp_path: Path
) -> None:
    folder = RunFolder(path=tmp_path / "run")
    loaded = load_recipe(train_reward.DiscRecipe, recipe())
    folder.claim(loaded, "train_reward", data="a", base="b")
    folder.claim(loaded, "train_reward", data="c", base="b")
    (folder.checkpoints / "checkpoint-1").mkdir(parents=True)
    with pytest.raises(RunFolderError, match='data was "c" and is "a" now'):
        folder.claim(loaded, "train_reward", data="a", base="b")
    (folder.path / "run.json").write_text("{")
    with pytest.raises(RunFolderError, match="does not say of which run"):
        folder.claim(loaded, "train_reward", data="c", base="b")


@pytest.mark.parametrize(("schedule", "may"), [("constant", True), ("cosine", False)])
def test_only_a_constant_rate_lets_a_run_be_lengthened_or_cut_short(
    recipe: Callable[..., Path], tmp_path: Path, schedule: str, may: bool
) -> None:
    folder = RunFolder(path=tmp_path / "run")
    loaded = load_recipe(train_reward.DiscRecipe, recipe())
    first = _optimised(loaded, schedule=schedule, max_steps=60)
    folder.claim(first, "train_reward", data="a", base="b")
    checkpoint = folder.checkpoints / "checkpoint-20"
    checkpoint.mkdir(parents=True)
    (checkpoint / "trainer_state.json").write_text("{}")
    shorter = _optimised(first, max_steps=30)
    if may:
        folder.claim(shorter, "train_reward", data="a", base="b")
        with pytest.raises(
            RunFolderError, match=r"max_steps is 10, but .*checkpoint-20 is further"
        ):
            folder.claim(_optimised(first, max_steps=10), "train_reward", data="a", base="b")
    else:
        with pytest.raises(RunFolderError, match="recipe was"):
            folder.claim(shorter, "train_reward", data="a", base="b")
    with pytest.raises(RunFolderError, match="recipe was"):
        folder.claim(_optimised(first, learning_rate=0.5), "train_reward", data="a", base="b")


def _optimised(recipe: train_reward.DiscRecipe, **changes: Any) -> train_reward.DiscRecipe:
    return recipe.model_copy(update={"optimiser": recipe.optimiser.model_copy(update=changes)})


def test_an_unknown_key_of_a_recipe_is_an_error(recipe: Callable[..., Path]) -> None:
    with pytest.raises(RecipeError, match=r"optimiser\.lr: Extra inputs"):
        load_recipe(train_reward.DiscRecipe, recipe(), ["optimiser.lr=1e-3"])
    with pytest.raises(RecipeError, match="is not `key=value`"):
        load_recipe(train_reward.DiscRecipe, recipe(), ["base=llama"])
    changed = load_recipe(train_reward.DiscRecipe, recipe(), ["optimiser.batch=7", "lora.rank=2"])
    assert (changed.optimiser.batch, changed.lora and changed.lora.rank) == (7, 2)


def test_every_recipe_in_the_repository_is_valid() -> None:
    found = sorted(Path("training/recipes").glob("disc_*.toml"))
    assert len(found) >= 4
    for path in found:
        load_recipe(train_reward.DiscRecipe, path)
