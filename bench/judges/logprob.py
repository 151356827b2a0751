"""Zero-shot log-probability: how likely the embedded SmolLM2 finds each candidate.

The reward is the mean log-probability of the candidate's tokens after the shared prompt, the end of
the turn included, so that an empty answer has one token. The prompt's keys and values are computed
once and kept for the next question, which often has the same prompt.
"""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from transformers import DynamicCache

from bench.judges.protocol import Question, readable
from toolrm_guard.embedded.weights import load_smollm2
from toolrm_guard.errors import CouldNotJudge
from toolrm_guard.prompt import END_OF_TURN, render_candidate, render_prompt


class LogprobRater:
    """Mean token log-probability under a causal language model, in fp32."""

    name = "logprob"
    alone = True
    parallel = 1

    def __init__(self, model: Any = None, tokenizer: Any = None) -> None:
        """Take a transformers model with its tokenizer, or load the embedded one."""
        if model is None:
            model, tokenizer = load_smollm2()
        self._model = model
        self._tokenizer = tokenizer
        self._prompt: list[int] = []
        self._cache: Any = None
        self._after: Any = None

    async def rate(self, question: Question) -> Sequence[float]:
        """Return the mean log-probability of each candidate, in nats; 0 at most.

        Raises:
            CouldNotJudge: If the prompt is longer than the model reads.
        """
        return await asyncio.to_thread(self._rate, question)

    def _rate(self, question: Question) -> list[float]:
        request = readable(question)
        prompt = self._encode(render_prompt(request.messages, request.tools))
        endings = [self._encode(render_candidate(c) + END_OF_TURN) for c in request.candidates]
        longest = len(prompt) + max(map(len, endings))
        room = self._model.config.max_position_embeddings
        if longest > room:
            raise CouldNotJudge(f"a candidate with its prompt exceeds the model's {room:,} tokens")
        with _one_thread(), torch.inference_mode():
            self._read(prompt)
            return [self._mean(ending) for ending in endings]

    def _encode(self, text: str) -> list[int]:
        tokens: list[int] = self._tokenizer.encode(text, add_special_tokens=False)
        return tokens

    def _read(self, prompt: list[int]) -> None:
        """Compute the prompt's state, unless it is the one that is kept."""
        if prompt == self._prompt and self._cache is not None:
            return
        self._prompt = []  # should this fail in the middle, the state belongs to no prompt
        self._cache = DynamicCache(config=self._model.config)
        out = self._model(
            torch.tensor([prompt]), past_key_values=self._cache, use_cache=True, logits_to_keep=1
        )
        self._after = out.logits[0, -1]  # (vocabulary,)
        self._prompt = prompt

    def _mean(self, ending: list[int]) -> float:
        """Return the mean log-probability of an ending after the kept prompt."""
        out = self._model(torch.tensor([ending]), past_key_values=self._cache, use_cache=True)
        self._cache.crop(-len(ending))  # what this ending added
        before = torch.cat((self._after[None], out.logits[0, :-1]))  # (tokens, vocabulary)
        picked = before.log_softmax(dim=1)[torch.arange(len(ending)), torch.tensor(ending)]
        return float(picked.mean())


@contextmanager
def _one_thread() -> Iterator[None]:
    """Let the numbers not depend on how many cores there are."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
