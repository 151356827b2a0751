"""Packed decisions give the rewards, losses and gradients of whole sequences."""

from pathlib import Path
from typing import Any

import pytest
import torch
from datasets import Dataset
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoModelForSequenceClassification, AutoTokenizer
from trl import RewardConfig, RewardTrainer
from trl.trainer.reward_trainer import DataCollatorForPreference

from tests.training.trainers.tiny import WARNINGS, pairs_file
from toolrm_guard.disc_prompt import encode_decision
from toolrm_guard.embedded.weights import ensure_smollm2
from toolrm_guard.scorers.turn_tokens import TurnTokens
from training.decisions import encode, read_decisions
from training.packed_trainer import PackedRewardTrainer, rewards_of
from training.packing import EncodedDecision, pack, read_packed, token_counts, visible

pytestmark = WARNINGS

DECISIONS = [
    EncodedDecision(
        prompt_ids=[10, 11, 12, 13], suffix_ids=[[5, 6, 2], [7, 2], [8, 9, 9, 2]],
        better=[0, 0, 2], worse=[1, 2, 1],
    ),
    EncodedDecision(prompt_ids=[20, 21], suffix_ids=[[30, 2], [31, 32, 2]], better=[1], worse=[0]),
]  # fmt: skip


def classifier(base: Path) -> Any:
    torch.manual_seed(3)
    model = AutoModelForSequenceClassification.from_pretrained(base, num_labels=1)
    model.config.pad_token_id = 0
    with torch.no_grad():
        model.score.weight.normal_()  # so that rewards differ by more than rounding
    return model


def settings(tmp_path: Path, **changes: Any) -> RewardConfig:
    return RewardConfig(
        output_dir=str(tmp_path), use_cpu=True, report_to=[], max_length=None, disable_tqdm=True,
        remove_unused_columns=False, activation_checkpointing=False, logging_steps=1,
        save_strategy="no", **changes,
    )  # fmt: skip


def whole_pairs() -> list[dict[str, list[int]]]:
    return [
        {
            "chosen_ids": d["prompt_ids"] + d["suffix_ids"][a],
            "rejected_ids": d["prompt_ids"] + d["suffix_ids"][b],
        }
        for d in DECISIONS
        for a, b in zip(d["better"], d["worse"], strict=True)
    ]


@torch.no_grad()
def test_rewards_are_those_of_each_candidate_behind_its_prompt_alone(base: Path) -> None:
    model = classifier(base).eval()
    alone = [
        [
            float(model(input_ids=torch.tensor([d["prompt_ids"] + suffix])).logits)
            for suffix in d["suffix_ids"]
        ]
        for d in DECISIONS
    ]
    model = read_packed(model)
    assert [len(row) for row in alone] == [3, 2]
    for packed, expected in zip(rewards_of(model, DECISIONS), alone, strict=True):
        assert packed == pytest.approx(expected, abs=1e-5)
    batch = pack(DECISIONS)  # both decisions in one row
    together = model(**batch).logits[:, 0].tolist()
    assert together == pytest.approx(alone[0] + alone[1], abs=1e-5)


@pytest.mark.parametrize("centre", [None, 0.1])
@pytest.mark.parametrize("decisions_a_row", [1, 2])
def test_one_step_has_the_loss_and_the_gradients_of_trl(
    base: Path, tmp_path: Path, centre: float | None, decisions_a_row: int
) -> None:
    ours, theirs = classifier(base), classifier(base)
    tokenizer = AutoTokenizer.from_pretrained(base)
    accumulate = len(DECISIONS) // decisions_a_row
    packed = PackedRewardTrainer(
        read_packed(ours), processing_class=tokenizer,
        train_dataset=Dataset.from_list([dict(d) for d in DECISIONS]),
        args=settings(tmp_path, center_rewards_coefficient=centre),
    )  # fmt: skip
    usual = RewardTrainer(
        theirs, processing_class=tokenizer, train_dataset=Dataset.from_list(whole_pairs()),
        args=settings(tmp_path, center_rewards_coefficient=centre),
    )  # fmt: skip
    batches = [
        pack(DECISIONS[i * decisions_a_row : (i + 1) * decisions_a_row]) for i in range(accumulate)
    ]
    pairs = packed._get_num_items_in_batch(batches, torch.device("cpu"))
    assert pairs == 4
    ours.train()
    theirs.train()
    total = torch.zeros(())
    for batch in batches:
        loss = packed.compute_loss(ours, dict(batch), num_items_in_batch=pairs)
        loss.backward()
        total += loss.detach()
    expected = usual.compute_loss(theirs, DataCollatorForPreference(pad_token_id=0)(whole_pairs()))
    expected.backward()
    assert float(total) == pytest.approx(expected.item(), rel=1e-5)
    moved = 0.0
    for (name, a), b in zip(ours.named_parameters(), theirs.parameters(), strict=True):
        assert torch.allclose(a.grad, b.grad, rtol=1e-4, atol=1e-5), name
        moved += float(a.grad.abs().sum())
    assert moved > 0.1


@given(
    sizes=st.lists(
        st.tuples(st.integers(1, 5), st.lists(st.integers(1, 4), min_size=1, max_size=4)),
        min_size=1,
        max_size=4,
    )
)
def test_a_token_sees_its_own_prompt_and_branch_and_nothing_else(
    sizes: list[tuple[int, list[int]]],
) -> None:
    decisions = [
        EncodedDecision(
            prompt_ids=[1] * prompt, suffix_ids=[[2] * n for n in suffixes], better=[], worse=[]
        )
        for prompt, suffixes in sizes
    ]
    batch = pack(decisions)
    seen = visible(batch["decision"], batch["branch"])[0, 0].sum(dim=1)
    # Whatever is around it, a token sees exactly as many as stand before it in its own sequence.
    assert torch.equal(seen, batch["position_ids"][0] + 1)
    assert len(batch["ends"]) == sum(len(suffixes) for _, suffixes in sizes)


def test_packing_says_how_many_tokens_it_saves() -> None:
    assert token_counts(DECISIONS) == {"packed": 4 + 9 + 2 + 5, "pairs": 3 * 8 + 5 + 7 + 6 + 9}


def test_ids_are_those_that_serving_computes(tmp_path: Path) -> None:
    decisions = read_decisions(pairs_file(tmp_path / "pairs.jsonl"))
    tokenizer = AutoTokenizer.from_pretrained(ensure_smollm2())
    rows, kept = encode(decisions, TurnTokens(tokenizer.backend_tokenizer), 512)
    for row, decision in zip(rows, kept, strict=True):
        request = decision.request
        served = encode_decision(
            lambda text: tokenizer.encode(text, add_special_tokens=False),
            request.messages, request.tools, request.candidates, max_tokens=512,
        )  # fmt: skip
        assert tuple(row["prompt_ids"]) == served.prompt
        assert tuple(map(tuple, row["suffix_ids"])) == served.suffixes
        assert all(suffix[-1] == tokenizer.eos_token_id for suffix in row["suffix_ids"])
