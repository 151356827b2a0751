"""Two steps of each stage on a tiny base; what counts as a right answer; both orders."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from tests.training.trainers.tiny import (
    FORM,
    WARNINGS,
    pair,
    pairs_file,
    recipe_file,
    tiny_base,
    trainer,
)
from toolrm_guard.critic_answer import choice_in
from training import train_critic
from training.bases import BaseModelError, load_base
from training.comparisons import Judged, comparisons, written_critique
from training.decisions import read_decisions
from training.recipes import RecipeError, load_recipe
from training.tables import DatasetError

pytestmark = WARNINGS

RECIPE = """
seed = 3
max_prompt_tokens = 700
mode = "no_think"
held = 0.3
judged = 2
{head}
[lora]
rank = 4
[optimiser]
batch = 1
micro_batch = 2
max_steps = 2
save_steps = 1
log_steps = 1
learning_rate = 1e-2
[rollouts]
generations = 2
max_tokens = {tokens}
{form}
"""


@pytest.fixture
def recipe(base: Path, tmp_path: Path) -> Callable[..., Path]:
    def write(form: str = FORM, on: Path = base, head: str = "", tokens: int = 6) -> Path:
        text = RECIPE.format(form=form, head=head, tokens=tokens)
        return recipe_file(tmp_path / "recipe.toml", on, text)

    return write


train = trainer(train_critic, train_critic.GenRecipe)


def by_length(completions: Sequence[Any], **_: Any) -> list[float]:
    """A reward that tells a random model's answers apart."""
    return [float(len(c[0]["content"])) for c in completions]


def test_both_stages_move_the_weights_and_the_card_says_what_was_reached(
    recipe: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(train_critic, "right_choice", by_length)
    model = train(recipe(), tmp_path / "run")
    formed = load_file(tmp_path / "run/form/model/adapter_model.safetensors")
    final = load_file(model / "adapter_model.safetensors")
    lifted = [name for name in formed if "lora_B" in name]
    assert lifted
    assert all(bool(formed[name].any()) for name in lifted)  # they start as zeros
    assert any(not torch.equal(formed[name], final[name]) for name in lifted)
    card = (model / "MODEL_CARD.md").read_text()
    for part in ("the command", "Answers in the required form", "Right in both orders", "95%"):
        assert part in card
    # Started again it does nothing twice: the first stage is not run, the second is finished.
    written = (tmp_path / "run/form/model/adapter_model.safetensors").stat().st_mtime_ns
    train(recipe(), tmp_path / "run")
    again = (tmp_path / "run/form/model/adapter_model.safetensors").stat().st_mtime_ns
    assert written == again
    assert (model / "adapter_model.safetensors").exists()


def test_only_a_parseable_right_choice_is_rewarded() -> None:
    answers = [
        "<evaluation>a</evaluation><choice>1</choice>",
        "<evaluation>a</evaluation><choice>2</choice>",
        "1",
        "<think><choice>1</choice>",
        [{"role": "assistant", "content": "<choice>1</choice>"}],
    ]
    assert train_critic.right_choice(answers, answer=[1] * 5) == [1.0, 0.0, 0.0, 0.0, 1.0]


def test_about_half_of_the_questions_show_the_worse_side_first(base: Path, tmp_path: Path) -> None:
    decisions = read_decisions(pairs_file(tmp_path / "pairs.jsonl", contexts=40))
    loaded = load_base(
        load_recipe(train_critic.GenRecipe, recipe_file(tmp_path / "r.toml", base, RECIPE.format(
            form="", head="", tokens=6))), 700,
    )  # fmt: skip
    asked = comparisons(decisions, loaded, "no_think", 700, skip_long=False)
    assert len(asked) == 80
    assert 20 < sum(c.answer == 2 for c in asked) < 60
    for comparison in asked:
        body = comparison.prompt[1]["content"]
        better = body.index(json.dumps(comparison.better.calls[0].arguments))
        worse = body.index(json.dumps(comparison.worse.calls[0].arguments))
        assert (better < worse) == (comparison.answer == 1)
        assert choice_in(written_critique(comparison)) == comparison.answer


def test_a_critic_that_always_says_the_same_place_is_right_in_one_order_only() -> None:
    facts = Judged(choices=np.array([[1, 1], [1, 1], [1, 2], [0, 2]]), keys=list("abcd")).facts()
    assert facts["Answers in the required form"].startswith("0.875 of 4")
    assert facts["Right in both orders"].startswith("0.250 of 4")
    assert facts["Same place in both orders"].startswith("0.500 of 4")


# --- refused before the first step --------------------------------------------------------------


def test_what_does_not_fit_is_refused_before_the_first_step(
    recipe: Callable[..., Path], tmp_path: Path
) -> None:
    out = tmp_path / "run"
    plain = tiny_base(tmp_path / "plain", chat_template=None)
    with pytest.raises(BaseModelError, match="no chat template"):
        train(recipe(on=plain), out)
    padded = tiny_base(tmp_path / "padded", pad_token="<|im_end|>")
    with pytest.raises(BaseModelError, match="end-of-turn token"):
        train(recipe(on=padded), out)
    data = tmp_path / "rows.jsonl"
    data.write_text('{"question": "?"}\n')
    with pytest.raises(DatasetError, match="row 1 has no prompt"):
        train(recipe(), out, data)
    long = [pair(n, prompt=[{"role": "user", "content": f"{n} " * 900}]) for n in range(12)]
    data.write_text("".join(json.dumps(row) + "\n" for row in long))
    with pytest.raises(DatasetError, match=r"questions are longer than 700 tokens.*skip_long"):
        train(recipe(), out, data)
    path = recipe()
    path.write_text(path.read_text().replace("micro_batch = 2", "micro_batch = 3"))
    with pytest.raises(RecipeError, match="do not divide"):
        train(path, out)
    assert not (out / "checkpoints").exists()


def test_every_recipe_in_the_repository_is_valid() -> None:
    found = sorted(Path("training/recipes").glob("gen_*.toml"))
    assert len(found) >= 2
    for path in found:
        load_recipe(train_critic.GenRecipe, path)
