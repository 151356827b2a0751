"""Log-probabilities of a tiny model, against one forward pass over the whole text."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from bench.judges.logprob import LogprobRater
from bench.judges.protocol import Question
from bench.pairs import load_pairs
from tests.unit.bench import packs
from toolrm_guard.errors import CouldNotJudge
from toolrm_guard.prompt import END_OF_TURN, render_candidate, render_prompt


class Bytes:
    """A tokenizer whose tokens are bytes."""

    def encode(self, text: str, add_special_tokens: bool) -> list[int]:
        return list(text.encode())


@pytest.fixture(scope="module")
def model() -> Any:
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=256, hidden_size=16, intermediate_size=32, num_hidden_layers=2,
        num_attention_heads=2, num_key_value_heads=1, max_position_embeddings=2048,
    )  # fmt: skip
    return LlamaForCausalLM(config).eval()


def questions(folder: Path) -> list[Question]:
    paths = [
        packs.write(folder / "pairs.jsonl", packs.pairs()),
        packs.write(folder / "records.jsonl", packs.records()),
    ]
    return list(load_pairs(*paths))


def whole(model: Any, question: Question) -> list[float]:
    request, means = question.request, []
    prompt = list(render_prompt(request.messages, request.tools).encode())
    for candidate in request.candidates:
        ending = list((render_candidate(candidate) + END_OF_TURN).encode())
        with torch.inference_mode():
            logits = model(torch.tensor([prompt + ending])).logits[0]
        picked = logits.log_softmax(1)[len(prompt) - 1 : -1].gather(1, torch.tensor([ending]).T)
        means.append(float(picked.mean()))
    return means


def test_a_shared_prompt_gives_what_reading_all_of_it_gives(model: Any, tmp_path: Path) -> None:
    rater = LogprobRater(model, Bytes())
    for question in [*questions(tmp_path), questions(tmp_path)[0]]:
        assert asyncio.run(rater.rate(question)) == pytest.approx(whole(model, question), abs=1e-4)


def test_a_prompt_that_is_too_long_cannot_be_judged(model: Any, tmp_path: Path) -> None:
    model.config.max_position_embeddings = 100
    try:
        with pytest.raises(CouldNotJudge, match="exceeds the model's 100 tokens"):
            asyncio.run(LogprobRater(model, Bytes()).rate(questions(tmp_path)[0]))
    finally:
        model.config.max_position_embeddings = 2048
