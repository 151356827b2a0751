"""Draw schema-valid candidates from the embedded model, n of them in one batch.

What this policy is, honestly: 135 million parameters that were never trained to call functions.
Left to itself it never writes a parseable call (0 of 50). A grammar makes every call valid against
its tool's schema; which tool and which values it picks is then often wrong, which is what makes it
a useful subject for a guard. Whether it calls at all is decided before it writes: see `CALL_BIAS`.
"""

import json
import math
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from llguidance import LLMatcher
from llguidance.numpy import fill_next_token_bitmask
from torch import Tensor

from toolrm_guard.calls import Call, Candidate
from toolrm_guard.embedded.decoder import Decoder, Prompt, Rows
from toolrm_guard.embedded.grammar import CALL_OPENER, Grammars
from toolrm_guard.embedded.policy_prompt import render_policy_prompt
from toolrm_guard.embedded.weights import load_smollm2
from toolrm_guard.errors import ConfigurationError
from toolrm_guard.messages import Message
from toolrm_guard.tools import ToolSet

DEFAULT_TEMPERATURE = 1.0
"""Where choosing among candidates has most to gain. On the demo's 30 tasks (8 candidates each, one
seed) the first turn was right for 39 % of the candidates, and for at least one of the eight in
73 % of the tasks. With a `CALL_BIAS` of 5 it was 44 % and 73 %, and at 0.7 then 54 % and 70 %."""

DEFAULT_MAX_TOKENS = 160

CALL_BIAS = 6.0
"""Nats added to the log-odds of a turn that opens a call, since the model alone hardly opens one:
before the first call of a request they lie between -9 and -3. Once a tool has answered, the calls
in the prompt lift them to about 0, and nothing is added: going on and answering are then both
drawn."""

MIN_P = 0.1
"""Tokens below this share of the likeliest one's probability are not drawn (min-p sampling, Nguyen
et al. 2024, arXiv 2407.01082): the tail of so small a model is noise."""

END_BIAS = 3.0
"""Nats added to the logit of ending a turn after a call, against beginning another call."""

Render = Callable[[Sequence[Message], ToolSet], str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampled:
    """Candidates of one draw and what they cost.

    Attributes:
        candidates: In the order of their seeds' rows; equal candidates are not merged.
        prompt_tokens: Length of the prompt, which is read once for all candidates.
        cached_tokens: How many of them were known from earlier prompts.
        generated_tokens: For each candidate, forced tokens included.
    """

    candidates: tuple[Candidate, ...]
    prompt_tokens: int
    cached_tokens: int
    generated_tokens: tuple[int, ...]


@dataclass(slots=True, kw_only=True)
class _Row:
    """One candidate in the making: `tokens` written, of which the decoder lacks `pending`."""

    index: int
    matcher: LLMatcher
    is_call: bool
    tokens: list[int] = field(default_factory=list)
    pending: list[int] = field(default_factory=list)
    branch: int = 0
    done: bool = False


class EmbeddedSampler:
    """SmolLM2-135M-Instruct under a grammar. Safe to share between threads; draws take turns."""

    def __init__(
        self,
        model: Any = None,
        tokenizer: Any = None,
        *,
        render: Render = render_policy_prompt,
        call_bias: float = CALL_BIAS,
    ) -> None:
        """Take a model, or load the embedded one.

        Args:
            model: A transformers `LlamaForCausalLM` in fp32.
            tokenizer: Its fast tokenizer; needed exactly if `model` is given.
            render: Turns a conversation and tools into the prompt.
            call_bias: As `CALL_BIAS`.

        Raises:
            ConfigurationError: If only one of model and tokenizer is given.
        """
        if (model is None) != (tokenizer is None):
            raise ConfigurationError("pass both model and tokenizer, or neither")
        if model is None:
            model, tokenizer = load_smollm2()
        self._tokenizer = tokenizer
        self._decoder = Decoder(model)
        self._grammars = Grammars(tokenizer)
        self._render = render
        self._call_bias = call_bias
        self._opener = self._encode(CALL_OPENER)
        self._lock = threading.Lock()

    def sample(
        self,
        messages: Sequence[Message],
        tools: ToolSet,
        *,
        n: int,
        seed: int,
        temperature: float = DEFAULT_TEMPERATURE,
        max_tokens: int = DEFAULT_MAX_TOKENS,
        text_allowed: bool = True,
    ) -> Sampled:
        """Draw candidates; the same arguments give the same candidates, whatever is cached.

        Args:
            messages: The conversation so far.
            tools: What may be called; without any, every candidate is text.
            n: How many candidates, at least 1.
            seed: Of a generator of its own; torch's global one is left alone.
            temperature: Of the distribution under the grammar; 0 takes the likeliest token.
            max_tokens: For each candidate. A call that is cut off has a defect.
            text_allowed: Whether a candidate may answer in plain text although there are tools.

        Raises:
            ConfigurationError: If a number is out of range, or the prompt is too long.
            InvalidToolError: If a schema uses what the grammar engine cannot express.
        """
        _check(n=n, temperature=temperature, max_tokens=max_tokens)
        generator = torch.Generator().manual_seed(seed)
        # One row of numbers a candidate: what it draws does not hang on when its neighbours end.
        luck = torch.rand(n, max_tokens + 1, generator=generator, dtype=torch.float64)
        with self._lock, _one_thread(), torch.inference_mode():
            tokens = self._encode(self._render(messages, tools))
            self._check_length(len(tokens) + max_tokens)
            prompt = self._decoder.read(tokens)
            answered = bool(messages) and messages[-1].role == "tool"
            share = self._call_share(prompt, tools, text_allowed, answered=answered)
            rows = [
                _Row(
                    index=index,
                    is_call=is_call,
                    matcher=self._grammars.calls(tools) if is_call else self._grammars.text(),
                )
                for index, is_call in enumerate((luck[:, -1] < share).tolist())
            ]
            self._write(prompt, rows, luck, temperature, max_tokens)
        return Sampled(
            candidates=tuple(self._candidate(row) for row in rows),
            prompt_tokens=prompt.tokens,
            cached_tokens=prompt.cached_tokens,
            generated_tokens=tuple(len(row.tokens) for row in rows),
        )

    def forget(self) -> None:
        """Empty the prompt cache; results stay the same, the next draw takes longer."""
        with self._lock:
            self._decoder.forget()

    def _check_length(self, tokens: int) -> None:
        if tokens > self._decoder.max_positions:
            raise ConfigurationError(
                f"prompt and max_tokens make {tokens:,} tokens; the embedded model has room for "
                f"{self._decoder.max_positions:,}: offer fewer tools or shorten the conversation"
            )

    def _encode(self, text: str) -> list[int]:
        tokens: list[int] = self._tokenizer.encode(text, add_special_tokens=False)
        return tokens

    def _call_share(
        self, prompt: Prompt, tools: ToolSet, text_allowed: bool, *, answered: bool
    ) -> float:
        """Return the probability with which a candidate is a call rather than text."""
        if not tools:
            return 0.0
        if not text_allowed:
            return 1.0
        logprob = float(prompt.logits.log_softmax(0)[self._opener[0]])
        logit = logprob - math.log(-math.expm1(min(logprob, -1e-6)))
        bias = 0.0 if answered else self._call_bias
        return 1 / (1 + math.exp(-logit - bias))

    def _write(
        self,
        prompt: Prompt,
        rows: Sequence[_Row],
        luck: Tensor,
        temperature: float,
        max_tokens: int,
    ) -> None:
        """Let every row grow until its grammar ends it, it ends itself, or it is too long.

        Rows that have written the same so far share one state, which splits where they part.
        """
        state = Rows(prompt)
        live = list(rows)
        logits = prompt.logits[None]
        while True:
            self._grow(live, logits[[row.branch for row in live]], luck, temperature, max_tokens)
            live = [row for row in live if not row.done]
            if not live:
                return
            grown = dict.fromkeys((row.branch, tuple(row.pending)) for row in live)
            state.keep([branch for branch, _ in grown])
            logits = self._decoder.step(state, [pending for _, pending in grown])
            index = {key: position for position, key in enumerate(grown)}
            for row in live:
                row.branch = index[row.branch, tuple(row.pending)]

    def _grow(
        self,
        live: Sequence[_Row],
        logits: Tensor,
        luck: Tensor,
        temperature: float,
        max_tokens: int,
    ) -> None:
        """Append to each row what its grammar forces, or a sampled token and what that forces."""
        for row in live:
            row.pending = row.matcher.compute_ff_tokens()
            row.matcher.consume_tokens(row.pending)
        free = [position for position, row in enumerate(live) if not row.pending]
        if free:
            drawn = self._sample([live[at] for at in free], logits[free], luck, temperature)
            for position, token in zip(free, drawn, strict=True):
                self._append(live[position], token)
        for row in live:
            row.tokens += row.pending
            row.done = row.done or row.matcher.is_stopped() or len(row.tokens) >= max_tokens
            del row.tokens[max_tokens:]

    def _append(self, row: _Row, token: int) -> None:
        row.matcher.consume_token(token)
        if token == self._tokenizer.eos_token_id:
            row.done = True
            return
        forced = row.matcher.compute_ff_tokens()
        row.matcher.consume_tokens(forced)
        row.pending = [token, *forced]

    def _sample(
        self, rows: Sequence[_Row], logits: Tensor, luck: Tensor, temperature: float
    ) -> list[int]:
        """Return one token for each row; `logits` (rows, vocabulary) is overwritten."""
        calling = [position for position, row in enumerate(rows) if row.is_call]
        # Only after a call does the grammar of calls allow the end of the turn.
        logits[calling, self._tokenizer.eos_token_id] += END_BIAS
        chances = torch.stack([luck[row.index, len(row.tokens)] for row in rows])
        return _draw(logits, self._allowed([row.matcher for row in rows]), chances, temperature)

    def _allowed(self, matchers: Sequence[LLMatcher]) -> Tensor:
        """Return (rows, vocabulary) booleans: which tokens the grammar allows next."""
        words = np.zeros((len(matchers), self._grammars.mask_words), dtype=np.int32)
        for index, matcher in enumerate(matchers):
            fill_next_token_bitmask(matcher, words, index)
        bits = np.unpackbits(words.view(np.uint8), axis=1, bitorder="little")
        return torch.from_numpy(bits.view(bool))

    def _candidate(self, row: _Row) -> Candidate:
        text = self._tokenizer.decode(row.tokens)
        if not row.is_call:
            return Candidate(text=text.strip())
        return Candidate(calls=parse_calls(text))


def parse_calls(text: str) -> tuple[Call, ...]:
    """Read Hermes calls that the grammar shaped; one that was cut off gets a defect."""
    calls = []
    for part in text.split(CALL_OPENER)[1:]:
        body = part.split("\n</tool_call>")[0]
        try:
            calls.append(Call.parse(json.loads(body)))
        except ValueError:  # cut off by max_tokens
            name = body.removeprefix('{"name": "').split('"')[0]
            _, _, arguments = body.partition('"arguments": ')
            calls.append(Call.parse({"name": name, "arguments": arguments or "{"}))
    return tuple(calls)


@contextmanager
def _one_thread() -> Iterator[None]:
    """Run torch on one thread, for this thread of the program and this draw.

    The operations are too small to share: two threads were a fifth faster on two idle cores and
    ten times slower beside another busy process. It also makes results independent of how many
    cores there are.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _draw(logits: Tensor, allowed: Tensor, chances: Tensor, temperature: float) -> list[int]:
    """Return one token id a row by inverse transform of its (0, 1) chance.

    Args:
        logits: (rows, vocabulary).
        allowed: (rows, vocabulary) booleans, at least one true in each row.
        chances: (rows,) uniform numbers.
        temperature: 0 takes the likeliest; of equals the first.
    """
    logits = logits.masked_fill(~allowed[:, : logits.shape[1]], -torch.inf)
    if temperature == 0:
        return [int(token) for token in logits.argmax(dim=1)]
    odds = (logits.double() / temperature).softmax(dim=1)
    odds = odds.masked_fill(odds < MIN_P * odds.amax(dim=1, keepdim=True), 0).cumsum(dim=1)
    drawn = torch.searchsorted(odds, chances[:, None] * odds[:, -1:], right=True)
    return [int(token) for token in drawn[:, 0].clamp(max=logits.shape[1] - 1)]


def _check(*, n: int, temperature: float, max_tokens: int) -> None:
    if n < 1:
        raise ConfigurationError(f"n is {n}; draw at least 1 candidate")
    if not (math.isfinite(temperature) and temperature >= 0):
        raise ConfigurationError(f"temperature is {temperature}; it must be 0 or above")
    if max_tokens < 1:
        raise ConfigurationError(f"max_tokens is {max_tokens}; it must be at least 1")
