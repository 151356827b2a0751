r"""Train a tool-using policy with a ToolRM as its reward: GRPO on unlabelled prompts.

    accelerate launch --config_file training/recipes/accelerate/deepspeed_zero2_8gpu.yaml \
        -m training.train_policy --recipe training/recipes/policy_qwen3_4b.toml \
        --data runs/toolpref/data/trl_explicit --out runs/policy
    python -m training.train_policy --recipe training/recipes/policy_smollm2.toml \
        --data ../shared/data/train --out runs/policy_smollm2

The labels of the data are not used in training. Rollouts of one prompt are compared in pairs by
ToolRM-Gen (winner 1, loser 0), or scored by Disc or Lite. Held-out prompts are answered before and
after, and the answers judged by the reward and by the labels: where the first rises and the second
does not, the policy has learned what the reward model likes and not what is right. OUT/before.json
and OUT/after.json hold the answers.
"""

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from datasets import Dataset
from peft import get_peft_model
from pydantic import Field
from trl.trainer.grpo_trainer import GRPOTrainer

from toolrm_guard.calls import Candidate
from toolrm_guard.embedded.policy_prompt import render_policy_prompt
from toolrm_guard.prompt import render_candidate
from toolrm_guard.rule_score import rule_score
from toolrm_guard.scorers.base import ScoreRequest
from training.bases import Base, fingerprint, load_base, lora_config, save_weights
from training.commands import start
from training.constrained import ConstrainedRollouts, draw, sampler_of
from training.decisions import Decision
from training.grpo import Rollouts, grpo_settings, numbers, say_cost
from training.model_cards import write_card
from training.policy_rewards import PolicyReward, RewardModel, make_judge, written_turn
from training.recipes import Recipe
from training.reward_maps import interval
from training.run_folder import RunFolder, RunFolderError, Watch, console, write_model, write_whole
from training.sides import Packs, read_sides
from training.tables import DatasetError


class PolicyRecipe(Recipe):
    """A policy run.

    Attributes:
        prompt: `chat` is the base's chat template with tools; `embedded` is the prompt of the
            embedded policy, whose rollouts are drawn under its grammar.
        max_prompt_tokens: The longest prompt; longer ones are an error, or left out.
        skip_long: Leave them out.
        reward: What rewards it.
        rollouts: How it is sampled.
        prompts: At most so many prompts (paper: 15,000).
        held: Share of the prompts held out, where the data have no validation side.
        judged: So many held-out prompts are answered before and after.
        packs: Set if the data are labelled packs.
    """

    prompt: Literal["chat", "embedded"] = "chat"
    max_prompt_tokens: int = Field(default=12_288, gt=1)
    skip_long: bool = False
    reward: RewardModel = RewardModel()
    rollouts: Rollouts = Rollouts()
    prompts: int = Field(default=15_000, ge=1)
    held: float = Field(default=0.1, gt=0, lt=1)
    judged: int = Field(default=200, ge=1)
    packs: Packs | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """A prompt with what judges its answers.

    Attributes:
        prompt: As the policy reads it.
        tokens: Of it.
        references: Right turns, for the evaluation alone.
    """

    prompt: str
    tokens: int
    request: ScoreRequest
    references: tuple[Candidate, ...]
    key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """An answer to a held-out prompt, and how it is judged.

    Attributes:
        text: As the policy writes it; None for one that cannot be read.
        reward: By the reward model.
        score: By the labels: the rule score against the best reference.
        calls: How many it makes.
    """

    text: str | None
    reward: float
    score: float
    calls: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Reached:
    """What a policy reaches on held-out prompts: its answers to each of them."""

    answers: list[list[Answer]]

    def line(self, keys: Sequence[str]) -> str:
        """Return the numbers with intervals over prompts."""
        shown = []
        for name, of in _NUMBERS.items():
            values = np.array([np.mean([of(answer) for answer in own]) for own in self.answers])
            low, high = interval(values, keys)
            shown.append(f"{name} {values.mean():.3f} ({low:.3f} to {high:.3f})")
        return "; ".join(shown)

    def write(self, path: Path) -> None:
        """Write the answers, for whoever wants to see what earns the reward."""
        write_whole(path, json.dumps(asdict(self), ensure_ascii=False, indent=1) + "\n")

    @classmethod
    def read(cls, path: Path) -> "Reached":
        """Return what `write` wrote.

        Raises:
            RunFolderError: If the file is of another form.
        """
        try:
            rows = json.loads(path.read_text(encoding="utf-8"))["answers"]
            return cls(answers=[[Answer(**answer) for answer in own] for own in rows])
        except (ValueError, KeyError, TypeError) as exc:
            raise RunFolderError(
                f"{path} does not hold the answers before the first step ({exc!r}); delete it, "
                "and they are drawn again"
            ) from exc


_NUMBERS: dict[str, Callable[[Answer], float]] = {
    "reward": lambda answer: answer.reward,
    "rule score": lambda answer: answer.score,
    "without a call": lambda answer: float(answer.text is not None and not answer.calls),
    "characters": lambda answer: float(len(answer.text or "")),
}


def main(argv: Sequence[str] | None = None) -> None:
    """Train from the command line."""
    start("train_policy", __doc__, PolicyRecipe, run, argv)


def run(recipe: PolicyRecipe, data: Path, folder: RunFolder, command: str) -> None:
    """Evaluate, train, evaluate, and write OUT/model.

    Raises:
        ConfigurationError: Before the first step, if anything does not fit.
        TrainingDiverged: If a gradient is not finite.
        CouldNotJudge: If the reward model fails; the run goes on from its checkpoint.
    """
    base = load_base(recipe, recipe.max_prompt_tokens + recipe.rollouts.max_tokens)
    sides = read_sides(data, recipe.packs, recipe.held, recipe.seed)
    train = tasks(sides.train, base, recipe)[: recipe.prompts]
    held = tasks(sides.held, base, recipe)[: recipe.judged]
    reward = PolicyReward(make_judge(recipe.reward))
    model = base.language_model(recipe)
    folder.claim(recipe, "train_policy", data=sides.digest, base=fingerprint(model))
    # Under a grammar a call that was cut off cannot be written down, so it cannot be trained on.
    settings = grpo_settings(recipe, recipe.rollouts, folder, skip_cut=recipe.prompt == "embedded")
    if recipe.lora is not None:
        model = get_peft_model(model, lora_config(model, recipe.lora, base.name, "CAUSAL_LM"))
    console.print(say_cost([task.tokens for task in train], recipe, recipe.rollouts))
    trainer = GRPOTrainer(
        model,
        reward_funcs=reward,
        args=settings,
        train_dataset=Dataset.from_list([_row(task) for task in train]),
        processing_class=base.tokenizer,
        callbacks=[Watch(folder)],
        **_rollouts(recipe, base, train),
    )
    before = _before(folder, trainer, base, recipe, held, reward)
    folder.log_here()
    folder.go_on(trainer)
    if not trainer.is_world_process_zero():
        return
    after = evaluate(trainer.model, base, recipe, held, reward)
    after.write(folder.path / "after.json")
    keys = [task.key for task in held]

    def build(path: Path) -> None:
        save_weights(trainer.model, path, base)
        write_card(
            path,
            title="A policy rewarded by ToolRM",
            what="A tool-using policy after reinforcement learning from a reward model.",
            recipe=recipe,
            command=command,
            data=sides.digest,
            facts={
                "Steps": str(trainer.state.global_step),
                "Mean reward of the logged steps": ", ".join(
                    f"{r:.2f}" for r in numbers(trainer.state.log_history, "reward")
                ),
                f"Before, {len(held)} held-out prompts": before.line(keys),
                "After": after.line(keys),
            },
        )

    write_model(folder.model, build)
    console.print(f"before: {before.line(keys)}\nafter:  {after.line(keys)}\nwrote {folder.model}")


def tasks(decisions: Sequence[Decision], base: Base, recipe: PolicyRecipe) -> list[Task]:
    """Return the prompts of the decisions.

    Raises:
        DatasetError: If one is longer than the limit and none may be left out.
    """
    found: dict[str, Task] = {}
    long = 0
    for decision in decisions:
        request = decision.request
        text = (
            render_policy_prompt(request.messages, request.tools)
            if recipe.prompt == "embedded"
            else base.chat_text(_openai(request), request.tools.schemas())
        )
        tokens = len(base.ids(text))
        if tokens > recipe.max_prompt_tokens:
            long += 1
            continue
        right = tuple(
            candidate
            for candidate, label in zip(request.candidates, decision.right, strict=True)
            if label
        )
        found[text] = Task(
            prompt=text, tokens=tokens, request=request, references=right, key=decision.key
        )
    if long and (not recipe.skip_long or not found):
        raise DatasetError(
            f"{long:,} of {len(decisions):,} prompts are longer than {recipe.max_prompt_tokens:,} "
            "tokens; raise `max_prompt_tokens`, or leave them out with `skip_long = true`"
        )
    return list(found.values())


def evaluate(
    model: Any, base: Base, recipe: PolicyRecipe, held: Sequence[Task], reward: PolicyReward
) -> Reached:
    """Return what a policy reaches, sampled as in training, with the same luck every time."""
    model.eval()
    found = []
    for task, turns in zip(held, _answers(model, base, recipe, held), strict=True):
        rewards = reward.judge(task.request, turns)
        found.append([_judged(task, *pair) for pair in zip(turns, rewards, strict=True)])
    return Reached(answers=found)


def _answers(
    model: Any, base: Base, recipe: PolicyRecipe, held: Sequence[Task]
) -> list[list[Candidate | None]]:
    count, longest = recipe.rollouts.generations, recipe.rollouts.max_tokens
    if recipe.prompt == "embedded":
        sampler = sampler_of(model, base.tokenizer)
        return [
            list(draw(sampler, task.request, count, recipe.seed + number, longest))
            for number, task in enumerate(held)
        ]
    return [
        [
            written_turn(text, tuple(task.request.tools))
            for text in base.write(
                model,
                task.prompt,
                count=count,
                max_tokens=longest,
                temperature=recipe.rollouts.temperature,
                seed=recipe.seed + number,
            )
        ]
        for number, task in enumerate(held)
    ]


def _judged(task: Task, turn: Candidate | None, reward: float) -> Answer:
    """Return an answer by its labels, too; what cannot be read has a rule score of 0."""
    if turn is None:
        return Answer(text=None, reward=reward, score=0.0, calls=0)
    scores = [rule_score(reference.calls, turn.calls) for reference in task.references]
    return Answer(
        text=render_candidate(turn), reward=reward, score=max(scores, default=0.0),
        calls=len(turn.calls),
    )  # fmt: skip


def _before(
    folder: RunFolder,
    trainer: GRPOTrainer,
    base: Base,
    recipe: PolicyRecipe,
    held: Sequence[Task],
    reward: PolicyReward,
) -> Reached:
    """Return what the policy reached before the first step, kept for a run that goes on."""
    path = folder.path / "before.json"
    if path.exists() and folder.latest() is not None:
        return Reached.read(path)
    console.print(f"answering {len(held):,} held-out prompts")
    before = evaluate(trainer.model, base, recipe, held, reward)
    before.write(path)
    return before


def _rollouts(recipe: PolicyRecipe, base: Base, train: Sequence[Task]) -> dict[str, Any]:
    if recipe.prompt != "embedded":
        return {}
    os.environ.setdefault("TRL_EXPERIMENTAL_SILENCE", "1")  # rollout_func is marked experimental
    requests = {task.prompt: task.request for task in train}
    limit = recipe.rollouts.max_tokens
    return {
        "rollout_func": ConstrainedRollouts(
            requests, base.tokenizer, seed=recipe.seed, max_tokens=limit
        )
    }


def _row(task: Task) -> dict[str, str]:
    """Return the columns: TRL passes those beside `prompt` to the reward."""
    return {
        "prompt": task.prompt,
        "messages": json.dumps(_openai(task.request), ensure_ascii=False),
        "tools": json.dumps(task.request.tools.schemas(), ensure_ascii=False),
    }


def _openai(request: ScoreRequest) -> list[dict[str, Any]]:
    """Return the history as OpenAI messages."""
    shaped: list[dict[str, Any]] = []
    for message in request.messages:
        row: dict[str, Any] = {"role": message.role, "content": message.text}
        if message.calls:
            row["tool_calls"] = [
                {"type": "function", "function": {"name": c.name, "arguments": dict(c.arguments)}}
                for c in message.calls
            ]
        if message.role == "tool" and message.name:
            row["name"] = message.name
        shaped.append(row)
    return shaped


if __name__ == "__main__":
    main()
