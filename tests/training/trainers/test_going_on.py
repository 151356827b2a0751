"""Every trainer: the same seed, a kill, a NaN; in each of its stages."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from tests.training.trainers.tiny import FORM, WARNINGS, pairs_file, recipe_file, trainer
from toolrm_guard.embedded.sampler import EmbeddedSampler
from toolrm_guard.prompt import render_candidate
from toolrm_guard.scorers.base import ScoreRequest
from training import constrained, train_critic, train_policy, train_reward
from training.recipes import Recipe
from training.run_folder import TrainingDiverged, Watch

pytestmark = WARNINGS

ADAPTER = "adapter_model.safetensors"
SHARED = """
[lora]
rank = 4
[optimiser]
batch = {batch}
micro_batch = {micro_batch}
max_steps = 2
save_steps = 1
log_steps = 1
learning_rate = 1e-2
"""
ROLLOUTS = """
[rollouts]
generations = 2
max_tokens = {tokens}
"""
BY_PROMPTS = SHARED.format(batch=1, micro_batch=2)


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """A trainer with a recipe of two steps, and what makes a random model's rollouts differ."""

    module: ModuleType
    recipe: type[Recipe]
    text: str
    changes: tuple[tuple[ModuleType, str, Any], ...] = ()

    def train(self, recipe: Path, out: Path, data: Path) -> Path:
        return trainer(self.module, self.recipe)(recipe, out, data)


def answers_by_length(completions: Sequence[Any], **_: Any) -> list[float]:
    return [float(len(c[0]["content"])) for c in completions]


def turns_by_length(request: ScoreRequest) -> list[float]:
    return [float(len(render_candidate(c))) for c in request.candidates]


BY_LENGTH = (train_policy, "make_judge", lambda _: turns_by_length)
KINDS = {
    "disc": Kind(
        module=train_reward,
        recipe=train_reward.DiscRecipe,
        text="max_tokens = 512\n" + SHARED.format(batch=4, micro_batch=1),
    ),
    "gen": Kind(
        module=train_critic,
        recipe=train_critic.GenRecipe,
        text='max_prompt_tokens = 700\nmode = "no_think"\njudged = 1\n'
        + BY_PROMPTS + ROLLOUTS.format(tokens=6) + FORM,
        changes=((train_critic, "right_choice", answers_by_length),),
    ),
    "policy by its template": Kind(
        module=train_policy,
        recipe=train_policy.PolicyRecipe,
        text="max_prompt_tokens = 700\njudged = 1\n" + BY_PROMPTS + ROLLOUTS.format(tokens=6),
        changes=(BY_LENGTH,),
    ),
    "policy by its grammar": Kind(
        module=train_policy,
        recipe=train_policy.PolicyRecipe,
        text='prompt = "embedded"\nmax_prompt_tokens = 700\njudged = 1\n'
        + BY_PROMPTS + ROLLOUTS.format(tokens=40),
        changes=(
            BY_LENGTH,
            (constrained, "EmbeddedSampler", partial(EmbeddedSampler, call_bias=20.0)),
        ),
    ),
}  # fmt: skip
STAGES = [("disc", "."), ("policy by its template", "."), ("gen", "form"), ("gen", ".")]
"""A trainer, and the folder of its stage below that of the run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """A trainer's input, and what it made of it without being disturbed."""

    recipe: Path
    data: Path
    model: Path


@pytest.fixture(scope="module")
def whole(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Given]:
    made: dict[str, Given] = {}

    def of(name: str) -> Given:
        if name not in made:
            folder = tmp_path_factory.mktemp("whole")
            recipe = recipe_file(
                folder / "recipe.toml", base, "seed = 5\nheld = 0.3\n" + KINDS[name].text
            )
            data = pairs_file(folder / "pairs.jsonl")
            model = KINDS[name].train(recipe, folder / "run", data)
            made[name] = Given(recipe=recipe, data=data, model=model)
        return made[name]

    return of


@pytest.fixture(autouse=True)
def changed(monkeypatch: pytest.MonkeyPatch) -> None:
    for kind in KINDS.values():
        for change in kind.changes:
            monkeypatch.setattr(*change)


@pytest.mark.parametrize("name", ["disc", "policy by its template"])
def test_the_same_seed_gives_the_same_weights(
    name: str, whole: Callable[[str], Given], tmp_path: Path
) -> None:
    given = whole(name)
    again = KINDS[name].train(given.recipe, tmp_path / "run", given.data)
    for file in [given.model / ADAPTER, *given.model.glob("disc.json")]:
        assert file.read_bytes() == (again / file.name).read_bytes()
    state = load_file(again / ADAPTER)
    assert any(bool(state[weight].any()) for weight in state if "lora_B" in weight)


def run_and_be_killed(name: str, stage: str, recipe: str, out: str, data: str) -> None:
    """Train in this process and end it after the first step of a stage."""

    class Kill(Watch):
        def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            checkpoints = Path(args.output_dir)
            if checkpoints.parent == Path(out) / stage:
                # Half of what the next checkpoint would be, and then no chance to say good-bye.
                (checkpoints / "checkpoint-2").mkdir()
                (checkpoints / "checkpoint-2" / "optimizer.pt").write_bytes(b"half")
                os.kill(os.getpid(), signal.SIGKILL)

    for change in ((KINDS[name].module, "Watch", Kill), *KINDS[name].changes):
        setattr(*change)
    KINDS[name].train(Path(recipe), Path(out), Path(data))


@pytest.mark.parametrize(("name", "stage"), [*STAGES, ("policy by its grammar", ".")])
def test_a_killed_run_goes_on_to_the_same_weights(
    name: str, stage: str, whole: Callable[[str], Given], tmp_path: Path
) -> None:
    """The first process shares nothing with the others, so the same seed gives the same, too."""
    given, out = whole(name), tmp_path / "killed"
    code = f"import sys; from {__name__} import *; run_and_be_killed(*sys.argv[1:])"
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code, name, stage, given.recipe, out, given.data],
        check=False, capture_output=True, env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()[-2000:]
    assert not (out / stage / "model").exists()
    resumed = KINDS[name].train(given.recipe, out, given.data)
    expected, found = load_file(given.model / ADAPTER), load_file(resumed / ADAPTER)
    assert [key for key, weight in expected.items() if not torch.equal(weight, found[key])] == []
    state = json.loads((out / stage / "checkpoints/checkpoint-2/trainer_state.json").read_text())
    assert state["global_step"] == 2


@pytest.mark.parametrize("name", ["disc", "policy by its template"])
def test_a_run_killed_after_its_last_step_takes_no_other(
    name: str, whole: Callable[[str], Given], tmp_path: Path
) -> None:
    given, out = whole(name), tmp_path / "run"
    shutil.copytree(given.model.parent, out)
    shutil.rmtree(out / "model")
    resumed = KINDS[name].train(given.recipe, out, given.data)
    assert (resumed / ADAPTER).read_bytes() == (given.model / ADAPTER).read_bytes()
    assert "- Steps: 2\n" in (resumed / "MODEL_CARD.md").read_text()


@pytest.mark.parametrize(("name", "stage"), STAGES)
def test_a_loss_that_becomes_nan_stops_the_run_and_keeps_the_last_checkpoint(
    name: str, stage: str, whole: Callable[[str], Given], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    out = tmp_path / "run"

    class Poison(Watch):
        def on_step_begin(self, args: Any, state: Any, control: Any, **given: Any) -> None:
            super().on_step_begin(args, state, control)
            if state.global_step == 1 and Path(args.output_dir).parent == out / stage:
                modules = given["model"].named_modules()
                norm = next(module for path, module in modules if path.endswith("model.norm"))
                norm.register_forward_hook(poisoned)

    def poisoned(module: Any, inputs: Any, output: torch.Tensor) -> torch.Tensor:
        return output * torch.nan if torch.is_grad_enabled() else output  # rollouts can be drawn

    given = whole(name)
    monkeypatch.setattr(KINDS[name].module, "Watch", Poison)
    with pytest.raises(TrainingDiverged, match=r"step 2: .*checkpoint-1.*learning_rate"):
        KINDS[name].train(given.recipe, out, given.data)
    [kept] = (out / stage / "checkpoints").glob("checkpoint-*")
    assert all(bool(torch.isfinite(w).all()) for w in load_file(kept / ADAPTER).values())
    assert not (out / stage / "model").exists()
