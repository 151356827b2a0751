"""Two steps of a policy under its grammar and without; what a reward sees; winners and losers."""

import json
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoTokenizer, LlamaForCausalLM

from tests.support.disc import disc_folder
from tests.training.trainers.tiny import (
    TOOLS,
    WARNINGS,
    pair,
    recipe_file,
    tiny_base,
    trainer,
)
from toolrm_guard.calls import Call, Candidate
from toolrm_guard.embedded.sampler import EmbeddedSampler
from toolrm_guard.errors import ScorerUnavailable
from toolrm_guard.prompt import END_OF_TURN, render_candidate, render_prompt
from toolrm_guard.scorers.base import ScoreRequest
from toolrm_guard.scorers.disc_model import load_disc
from training import constrained, policy_rewards, train_policy
from training.bases import BaseModelError
from training.constrained import ConstrainedRollouts
from training.policy_rewards import PolicyReward, RewardModel, make_judge, written_turn
from training.recipes import RecipeError, load_recipe
from training.tables import DatasetError
from training.train_policy import Reached

pytestmark = WARNINGS

RECIPE = """
seed = 3
prompt = "{prompt}"
max_prompt_tokens = 700
held = 0.3
judged = 2
[lora]
rank = 4
[optimiser]
batch = 1
micro_batch = 4
max_steps = 2
save_steps = 1
log_steps = 1
learning_rate = 1e-2
[rollouts]
generations = 4
max_tokens = 40
"""
MESSAGES = json.dumps([{"role": "user", "content": "Weather in Oslo?"}])
OFFERED = json.dumps(TOOLS)


@pytest.fixture
def recipe(base: Path, tmp_path: Path) -> Callable[..., Path]:
    def write(prompt: str = "embedded", on: Path = base) -> Path:
        return recipe_file(tmp_path / "recipe.toml", on, RECIPE.format(prompt=prompt))

    return write


train = trainer(train_policy, train_policy.PolicyRecipe)


@pytest.mark.parametrize("prompt", ["embedded", "chat"])
def test_two_steps_move_the_weights_and_the_card_compares_before_and_after(
    recipe: Callable[..., Path], tmp_path: Path, prompt: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[ScoreRequest] = []

    def by_length(request: ScoreRequest) -> list[float]:
        seen.append(request)
        return [float(len(render_candidate(c))) for c in request.candidates]

    monkeypatch.setattr(train_policy, "make_judge", lambda _: by_length)
    # A random model opens no call by itself.
    monkeypatch.setattr(constrained, "EmbeddedSampler", partial(EmbeddedSampler, call_bias=20.0))
    model = train(recipe(prompt), tmp_path / "run")
    state = load_file(model / "adapter_model.safetensors")
    assert any(bool(state[name].any()) for name in state if "lora_B" in name)
    assert all(list(request.tools) == ["weather"] for request in seen)
    assert all("Weather in" in request.messages[-1].text for request in seen)
    if prompt == "embedded":  # the grammar: whatever is called fits its schema
        calls = [call for request in seen for c in request.candidates for call in c.calls]
        assert calls
        assert {call.name for call in calls} == {"weather"}
    for name in ("before", "after"):
        answers = Reached.read(tmp_path / "run" / f"{name}.json").answers
        assert [len(own) for own in answers] == [4, 4]
        assert all(answer.reward == len(answer.text or "") for own in answers for answer in own)
    card = (model / "MODEL_CARD.md").read_text()
    for part in ("the command", "Before, 2 held-out prompts", "After", "rule score"):
        assert part in card


def test_a_call_that_was_cut_off_does_not_end_so_that_it_is_left_out_of_the_loss(
    base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What stands for it is no text that the policy wrote."""
    monkeypatch.setattr(constrained, "EmbeddedSampler", partial(EmbeddedSampler, call_bias=20.0))
    tokenizer = AutoTokenizer.from_pretrained(base)
    trainer = SimpleNamespace(
        model=LlamaForCausalLM.from_pretrained(base), state=SimpleNamespace(global_step=0)
    )
    request = policy_rewards.request_of(MESSAGES, OFFERED)
    drawn = {
        limit: ConstrainedRollouts({"x": request}, tokenizer, seed=0, max_tokens=limit)(
            ["x"] * 2, trainer
        )["completion_ids"]
        for limit in (10, 400)
    }
    end = tokenizer.convert_tokens_to_ids(END_OF_TURN)
    assert all(ids[-1] != end for ids in drawn[10])
    assert any(ids[-1] == end for ids in drawn[400])
    monkeypatch.setattr(constrained, "EmbeddedSampler", partial(EmbeddedSampler, call_bias=-99.0))
    texts = ConstrainedRollouts({"x": request}, tokenizer, seed=0, max_tokens=10)
    assert all(ids[-1] != end for ids in texts(["x"] * 2, trainer)["completion_ids"])


def test_a_reward_model_that_is_away_stops_the_run_and_is_no_low_reward(
    recipe: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(_: ScoreRequest) -> list[float]:
        raise ScorerUnavailable("no server at http://localhost:1")

    monkeypatch.setattr(train_policy, "make_judge", lambda _: away)
    with pytest.raises(ScorerUnavailable, match="localhost:1"):
        train(recipe(), tmp_path / "run")


def calls(city: str) -> str:
    call = {"name": "weather", "arguments": {"city": city}}
    return f"<tool_call>\n{json.dumps(call)}\n</tool_call>"


def test_rollouts_of_one_prompt_are_judged_together_with_its_tools_and_history() -> None:
    asked: list[ScoreRequest] = []

    def judge(request: ScoreRequest) -> list[float]:
        asked.append(request)
        return [float("Oslo" in candidate.canonical) for candidate in request.candidates]

    other = json.dumps([{"role": "user", "content": "And in Lima?"}])
    rewards = PolicyReward(judge)(
        [calls("Oslo"), "<tool_call>\n{broken", calls("Rome"), calls("Lima")],
        messages=[MESSAGES] * 3 + [other], tools=[OFFERED] * 4, trainer_state=None,
    )  # fmt: skip
    assert rewards == [1.0, 0.0, 0.0, 0.0]
    assert [len(request.candidates) for request in asked] == [2, 1]  # what cannot be read is 0
    assert asked[0].messages[-1].text == "Weather in Oslo?"
    assert list(asked[0].tools) == ["weather"]


def test_what_a_policy_wrote_is_read_as_serving_reads_it() -> None:
    turn = written_turn(f"Let me see. {calls('Oslo')}", ["weather"])
    assert turn == Candidate(
        text="Let me see.", calls=(Call(name="weather", arguments={"city": "Oslo"}),)
    )
    assert written_turn([{"role": "assistant", "content": "Hello"}], []) == Candidate(text="Hello")
    assert written_turn("<tool_call>\n{", ["weather"]) is None


def test_lite_prefers_the_value_that_was_asked_for() -> None:
    reward = PolicyReward(make_judge(RewardModel(kind="lite")))
    right, wrong, unread = reward(
        [calls("Oslo"), calls("Paris"), "<tool_call>{"],
        messages=[MESSAGES] * 3, tools=[OFFERED] * 3,
    )  # fmt: skip
    assert 1.0 > right > wrong > unread == 0.0


class Critic:
    """Prefers the longer turn; `rank` as `CriticScorer` has it."""

    def __init__(self) -> None:
        self.asked = 0

    async def rank(self, request: ScoreRequest, deadline: float | None) -> Any:
        self.asked += 1
        first, second = (len(candidate.text) for candidate in request.candidates)
        won = 0.5 if first == second else float(first > second)

        class Ranked:
            rewards = (won, 1.0 - won)

        return Ranked()

    async def aclose(self) -> None: ...


def rewards_by(critic: Critic, texts: Sequence[str]) -> list[float]:
    request = policy_rewards.request_of(MESSAGES, OFFERED)
    turns = tuple(Candidate(text=text) for text in texts)
    judge = policy_rewards._gen(critic, 5.0)  # type: ignore[arg-type]  # a critic in small
    return judge(ScoreRequest(messages=request.messages, tools=request.tools, candidates=turns))


def test_gen_gives_the_winner_of_a_pair_1_and_the_loser_0() -> None:
    critic = Critic()
    assert rewards_by(critic, ["aaa", "b", "cc", "cc"]) == [1.0, 0.0, 0.5, 0.5]
    assert critic.asked == 2
    assert rewards_by(critic, ["aaa", "b", "cccc"]) == [1.0, 0.0, 1.0]  # the third meets the first
    assert rewards_by(critic, ["a"]) == [0.5]


def test_disc_rewards_with_the_probability_of_its_map() -> None:
    reward = PolicyReward(make_judge(RewardModel(kind="disc", model=str(disc_folder()))))
    found = reward([calls("Oslo"), calls("Paris")], messages=[MESSAGES] * 2, tools=[OFFERED] * 2)
    disc = load_disc(disc_folder())
    request = policy_rewards.request_of(MESSAGES, OFFERED)
    text = render_prompt(request.messages, request.tools)
    with torch.no_grad():
        alone = [
            float(
                disc.model(torch.tensor([disc.encode(f"{text}{calls(city)}{END_OF_TURN}")])).logits
            )
            for city in ("Oslo", "Paris")
        ]
    assert found == pytest.approx(disc.card.probability(np.array(alone)).tolist(), abs=1e-4)


# --- refused before the first step --------------------------------------------------------------


def test_what_does_not_fit_is_refused_before_the_first_step(
    recipe: Callable[..., Path], tmp_path: Path
) -> None:
    out = tmp_path / "run"
    with pytest.raises(BaseModelError, match="no chat template"):
        train(recipe(on=tiny_base(tmp_path / "plain", chat_template=None)), out)
    with pytest.raises(BaseModelError, match="end-of-turn token"):
        train(recipe(on=tiny_base(tmp_path / "padded", pad_token="<|im_end|>")), out)
    data = tmp_path / "rows.jsonl"
    data.write_text('{"question": "?"}\n')
    with pytest.raises(DatasetError, match="row 1 has no prompt"):
        train(recipe(), out, data)
    long = [pair(n, prompt=[{"role": "user", "content": f"{n} " * 900}]) for n in range(12)]
    data.write_text("".join(json.dumps(row) + "\n" for row in long))
    with pytest.raises(DatasetError, match=r"prompts are longer than 700 tokens.*skip_long"):
        train(recipe(), out, data)
    for section, match in (
        ('kind = "disc"', "needs `model`"), ('kind = "gen"', "`model` and `url`"),
    ):  # fmt: skip
        path = recipe()
        path.write_text(f"{path.read_text()}[reward]\n{section}\n")
        with pytest.raises(RecipeError, match=match):
            train(path, out)
    assert not (out / "checkpoints").exists()


def test_every_recipe_in_the_repository_is_valid() -> None:
    found = sorted(Path("training/recipes").glob("policy_*.toml"))
    assert len(found) >= 2
    for path in found:
        load_recipe(train_policy.PolicyRecipe, path)
