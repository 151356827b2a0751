"""One folder a run: what it is, its checkpoints, its log, and how it goes on after a kill.

run.json       the recipe, the hash of the data, the fingerprint of the base
checkpoints/   checkpoint-N, by the trainer
tensorboard/   events
model/         the result; written when the run is finished
"""

import json
import os
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from toolrm_guard.errors import ConfigurationError, GuardError
from training.recipes import Recipe

RUN_FILE = "run.json"
console = Console(stderr=True)


class RunFolderError(ConfigurationError):
    """The folder belongs to another run."""


class TrainingDiverged(GuardError):
    """A gradient is not finite: the run stops before it reaches the weights."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFolder:
    """A run's place on disk."""

    path: Path

    @property
    def checkpoints(self) -> Path:
        """Where the trainer keeps its state."""
        return self.path / "checkpoints"

    @property
    def model(self) -> Path:
        """Where the result goes."""
        return self.path / "model"

    def claim(self, recipe: Recipe, trainer: str, *, data: str, base: str) -> None:
        """Write what the run is, or check that it is still the same one.

        Args:
            recipe: As it is used.
            trainer: Which one.
            data: sha256 of the data.
            base: Fingerprint of the base's weights.

        Raises:
            RunFolderError: If the folder holds checkpoints of a run with another recipe, data or
                base; those of one must not be continued as the other. Only where the learning rate
                is constant may a run be lengthened, or cut short: its steps so far are the same.
        """
        path = self.path / RUN_FILE
        known = {
            "trainer": trainer, "recipe": recipe.model_dump(mode="json"), "data": data, "base": base
        }  # fmt: skip
        if any(self.path.rglob("checkpoint-*")):
            self._check(path, known)
        steps, last = recipe.optimiser.max_steps, self.latest()
        if last is not None and 0 < steps < _step_of(last):
            raise RunFolderError(
                f"optimiser.max_steps is {steps}, but {last} is further; give as many steps or "
                "more, or choose another --out"
            )
        self.path.mkdir(parents=True, exist_ok=True)
        write_whole(path, json.dumps(known, indent=1) + "\n")

    def _check(self, path: Path, known: Mapping[str, Any]) -> None:
        try:
            written = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as exc:
            raise RunFolderError(
                f"{self.path} has checkpoints, but {path.name} does not say of which run ({exc}); "
                "choose another --out"
            ) from exc
        for key in {**known, **written}:
            if _steps_aside(known.get(key)) != _steps_aside(written.get(key)):
                raise RunFolderError(
                    f"{self.path} holds the checkpoint of another run: {key} was "
                    f"{_short(written.get(key))} and is {_short(known.get(key))} now; choose "
                    "another --out, or delete this one"
                )

    def latest(self) -> Path | None:
        """Return the last complete checkpoint; one that a kill left half written is removed.

        The trainer writes `trainer_state.json` last, so a checkpoint without it is not whole.
        """
        for folder in sorted(self.checkpoints.glob("checkpoint-*"), key=_step_of, reverse=True):
            try:
                json.loads((folder / "trainer_state.json").read_text(encoding="utf-8"))
            except (OSError, ValueError):
                console.print(f"{folder} is not complete: removed")
                shutil.rmtree(folder)
                continue
            console.print(f"going on from {folder}")
            return folder
        return None

    def go_on(self, trainer: Any) -> None:
        """Train to the end, from the last checkpoint on; where that is the end, only load it.

        Of its own accord transformers takes one more step after the last one.

        Raises:
            TrainingDiverged: If a gradient is not finite.
        """
        checkpoint = self.latest()
        try:
            trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
        except _AtTheEnd:
            console.print(f"{checkpoint} is the end of the run")

    def log_here(self) -> None:
        """Let TensorBoard's events go below this folder; the variable is how transformers asks."""
        os.environ["TENSORBOARD_LOGGING_DIR"] = str(self.path / "tensorboard")


class _AtTheEnd(Exception):
    """The checkpoint that was loaded is that of the last step."""


class Watch(TrainerCallback):  # type: ignore[misc]  # transformers is untyped here
    """Says what a run will take once a step is timed, and stops it before NaN reaches a weight.

    Goes with `RunFolder.go_on`: also stops it where nothing is left to do.
    """

    def __init__(self, folder: RunFolder) -> None:
        """Watch the run of a folder."""
        self._folder = folder
        self._started = 0.0
        self._first: int | None = None

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """Stop a run whose last step is done; its weights are loaded by now."""
        if state.global_step >= state.max_steps:
            raise _AtTheEnd

    def on_step_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """Start the clock of the first step."""
        if self._first is None:
            self._first, self._started = state.global_step, time.monotonic()

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """Say how long the rest will take."""
        if self._first is not None and state.global_step == self._first + 1:
            seconds = time.monotonic() - self._started
            left = (state.max_steps - state.global_step) * seconds
            console.print(f"a step took {seconds:.1f} s: about {left / 60:.1f} min to go")

    def on_pre_optimizer_step(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        model: torch.nn.Module,
        **_: Any,
    ) -> None:
        """Refuse gradients that are not finite; a NaN loss always shows in them.

        Raises:
            TrainingDiverged: Before the step, so weights and checkpoints are still good.
        """
        total = [p.grad.detach().sum() for p in model.parameters() if p.grad is not None]
        if total and not torch.isfinite(torch.stack([t.float() for t in total])).all():
            last = self._folder.latest()
            kept = f"the last good checkpoint is {last}" if last else "no checkpoint was due yet"
            raise TrainingDiverged(
                f"step {state.global_step + 1}: loss or gradient is not finite; {kept}. Lower "
                "`optimiser.learning_rate`, or look for the example that does it, and start "
                "again with another --out"
            )


def trainer_settings(recipe: Recipe, folder: RunFolder) -> dict[str, Any]:
    """Return the settings that all trainers share, as transformers names them."""
    how = recipe.optimiser
    return {
        "output_dir": str(folder.checkpoints),
        "seed": recipe.seed,
        "data_seed": recipe.seed,
        "num_train_epochs": how.epochs,
        "max_steps": how.max_steps,
        "per_device_train_batch_size": how.micro_batch,
        "learning_rate": how.learning_rate,
        "lr_scheduler_type": how.schedule,
        "warmup_steps": how.warmup,  # below 1 a share of all steps
        "weight_decay": how.weight_decay,
        "max_grad_norm": how.max_grad_norm,
        "logging_steps": how.log_steps,
        "save_steps": how.save_steps,
        "save_total_limit": 2,
        "bf16": recipe.precision == "bf16",
        "activation_checkpointing": recipe.gradient_checkpointing,
        "use_cpu": not torch.cuda.is_available(),
        "remove_unused_columns": False,
        "disable_tqdm": True,
        "report_to": ["tensorboard"],
        "dataloader_pin_memory": torch.cuda.is_available(),
    }


def write_whole(path: Path, text: str) -> None:
    """Write a file that is either whole or not there, whoever else writes it now."""
    beside = path.with_name(f".{path.name}.{os.getpid()}.partial")
    beside.write_text(text, encoding="utf-8", newline="\n")
    beside.replace(path)


def write_model(folder: Path, build: Callable[[Path], None]) -> None:
    """Fill a folder beside its final place and rename it; an earlier one is replaced."""
    beside = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(beside, ignore_errors=True)
    beside.mkdir(parents=True)
    build(beside)
    shutil.rmtree(folder, ignore_errors=True)
    beside.rename(folder)


def _steps_aside(value: Any) -> Any:
    """Return a recipe without the length of its run, where that length changes no step of it."""
    if not isinstance(value, Mapping) or "optimiser" not in value:
        return value
    optimiser = dict(value["optimiser"])
    if optimiser.get("schedule") == "constant":
        optimiser = {k: v for k, v in optimiser.items() if k not in ("max_steps", "epochs")}
    return {**value, "optimiser": optimiser}


def _step_of(folder: Path) -> int:
    number = folder.name.rsplit("-", 1)[-1]
    return int(number) if number.isdigit() else -1


def _short(value: object) -> str:
    text = json.dumps(value)
    return text if len(text) < 200 else text[:200] + "..."
