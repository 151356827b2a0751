"""`local`: a ToolRM-Disc in this process, which reads what candidates have in common once.

The candidates of one decision share their prompt, and often the beginning of their text; the turns
of one conversation share all that came before. Each such token is computed once: within a call by
packing (`shared_prefix`), between calls by a cache of prefixes (`prefix_cache`). Decisions of one
call are packed without padding, so lengths need no buckets.

    guard = Guard(LocalScorer("runs/disc"))
"""

import asyncio
import os
import threading
import time
import weakref
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from toolrm_guard.disc_prompt import DiscInput, encode_decision
from toolrm_guard.errors import ConfigurationError, ScorerTimeout, ScorerUnavailable
from toolrm_guard.scorers.base import Score, ScoreRequest, ThresholdKind
from toolrm_guard.scorers.disc_card import DISC_FILE
from toolrm_guard.scorers.disc_model import Disc, DType, load_disc
from toolrm_guard.scorers.prefix_cache import PrefixCache
from toolrm_guard.scorers.shared_prefix import (
    Segment,
    SharedPrefixModel,
    prompt_segments,
    tree_segment,
)
from toolrm_guard.scorers.token_tree import Ids, TokenTree, grouped

FOLDER_VARIABLE = "TOOLRM_GUARD_DISC"

CACHE_TOKENS = 16_384
"""Of prompts kept between calls; of SmolLM2 in float32 760 MB, of Qwen3-4B in bfloat16 2.4 GB."""

PASS_TOKENS = 1024
"""Tokens of one forward pass: fewer make poorer use of a matrix multiplication, more need room."""

TREE_TOKENS = 512
"""Candidates' tokens in one segment: every one of them is computed against every other."""

KEPT_TOKENS = 4096
"""Candidates' tokens of a decision that are kept until it is done, and then remembered. Beyond it
they take turns in the same memory: 64 long candidates would need gigabytes."""


class LocalScorer:
    """The scorer; safe to use from any event loop, and computes one call at a time."""

    name = "local"

    def __init__(
        self,
        folder: str | Path | None = None,
        *,
        base: str | Path | None = None,
        device: str = "cpu",
        dtype: DType = "float32",
        cache_tokens: int = CACHE_TOKENS,
    ) -> None:
        """Load a model.

        Args:
            folder: A ToolRM-Disc; without one the folder that `TOOLRM_GUARD_DISC` names, or else
                the one that ships with the package.
            base: Where the base of an adapter is, if not where its card says.
            device: As torch names it, such as `cuda`.
            dtype: `float32` on CPU; on a GPU `bfloat16` or `float16` is faster, and moves scores.
            cache_tokens: How much is remembered between calls, in tokens of prompts.

        Raises:
            ConfigurationError: If there is no model, or its architecture cannot share prompts.
            ModelIntegrityError: If it is damaged; see `load_disc`.
        """
        disc = load_disc(_folder(folder), base=base, dtype=dtype, device=device)
        self._card = disc.card
        self._dtype = dtype
        self._engine = Engine(disc, cache_tokens=cache_tokens)
        self._thread = _one_thread()
        _made.add(self)

    @property
    def thresholds(self) -> Mapping[ThresholdKind, float]:
        """From the model's card."""
        return self._card.thresholds

    @property
    def fingerprint(self) -> str:
        """Hash of everything that a probability depends on."""
        exact = self._dtype == "float32"
        return self._card.fingerprint if exact else f"{self._card.fingerprint}-{self._dtype}"

    async def score(
        self, requests: Sequence[ScoreRequest], deadline: float | None
    ) -> list[list[Score]]:
        """Return the scores of each request, computed in a thread.

        A call that is cancelled or late stops within a layer of the model; what it has read of its
        prompts by then is remembered.

        Raises:
            ScorerTimeout: If the deadline passes.
            PromptTooLong: If the tools and the latest request of a decision do not fit.
            ScorerUnavailable: If torch fails, for lack of memory for example.
        """
        if not requests:
            return []
        job = _Job(deadline)
        loop = asyncio.get_running_loop()
        wait_s = None if deadline is None else max(0.0, deadline - time.monotonic())
        try:
            async with asyncio.timeout(wait_s):
                return await loop.run_in_executor(self._thread, self._run, tuple(requests), job)
        except TimeoutError as exc:
            raise ScorerTimeout("the deadline passed before every candidate had a score") from exc
        finally:
            job.stop.set()

    def forget(self) -> None:
        """Free what is remembered between calls, once the calls before this one are done."""
        self._thread.submit(self._engine.forget).result()

    def _run(self, requests: Sequence[ScoreRequest], job: "_Job") -> list[list[Score]]:
        try:
            rewards = self._engine.rewards(requests, job.check)
        except (RuntimeError, MemoryError) as exc:  # what torch raises
            raise ScorerUnavailable(f"scorer 'local' failed: {str(exc)[:500]}") from exc
        return [self._scores(*pair) for pair in zip(requests, rewards, strict=True)]

    def _scores(self, request: ScoreRequest, rewards: Sequence[float]) -> list[Score]:
        probabilities = self._card.probability(np.asarray(rewards, dtype=np.float64))
        return [
            Score(reward=reward, probability=float(probability), findings=found)
            for reward, probability, found in zip(
                rewards, probabilities, request.findings, strict=True
            )
        ]


class Engine:
    """The model, its tokenizer and what is remembered; for one thread at a time."""

    def __init__(self, disc: Disc, *, cache_tokens: int) -> None:
        """Take a model over."""
        if cache_tokens < 0:
            raise ConfigurationError(f"cache_tokens is {cache_tokens}; 0 remembers nothing")
        self._encode = disc.encode
        self._max_tokens = disc.card.max_tokens
        self._model = SharedPrefixModel(disc.model, self._max_tokens)
        self._cache = PrefixCache(cache_tokens, self._model.state(0))

    def rewards(
        self, requests: Sequence[ScoreRequest], check: Callable[[], None]
    ) -> list[list[float]]:
        """Return the reward of every candidate of every request.

        Args:
            requests: Packed into passes in their order.
            check: Called often; what it raises ends the work.
        """
        inputs = []
        for request in requests:
            check()
            inputs.append(self.encode(request))
        return self.rewards_of(inputs, check)

    def encode(self, request: ScoreRequest) -> DiscInput:
        """Return a decision as token ids."""
        return encode_decision(
            self._encode,
            request.messages,
            request.tools,
            request.candidates,
            max_tokens=self._max_tokens,
        )

    def rewards_of(
        self, inputs: Sequence[DiscInput], check: Callable[[], None]
    ) -> list[list[float]]:
        """Return the reward of every suffix of every decision."""
        found: list[list[float]] = []
        wave: list[_Decision] = []
        with torch.inference_mode():
            for one in inputs:
                wave.append(_Decision.of(one, self._cache, self._model))
                if sum(decision.new for decision in wave) >= PASS_TOKENS:
                    found += self._compute(wave, check)
                    wave = []
            return found + self._compute(wave, check)

    def forget(self) -> None:
        """Empty the cache of prefixes."""
        self._cache.clear()

    def _compute(self, wave: "list[_Decision]", check: Callable[[], None]) -> list[list[float]]:
        """Return the rewards of decisions whose states are in memory together."""
        parts = [part for decision in wave for part in decision.parts]
        try:
            while parts:
                now, parts = _filled(parts)
                hidden = self._model.forward([part.segment for part in now], check)
                at = 0
                for part in now:
                    end = at + len(part.segment.tokens)
                    part.decision.take(part, hidden[at:end], self._model)
                    at = end
        finally:
            for decision in wave:
                decision.remember(self._cache)
        return [decision.rewards() for decision in wave]


@dataclass(frozen=True, slots=True)
class _Part:
    """A segment of a decision; `ends` are the nodes at which its suffixes end."""

    decision: "_Decision"
    segment: Segment
    ends: Mapping[Ids, int] = field(default_factory=dict)
    tree: TokenTree | None = None


@dataclass(slots=True)
class _Decision:
    """One decision while it is computed.

    Attributes:
        input: Its ids.
        state: Keys and values: of the prompt, then of each tree of suffixes.
        done: How many tokens of the prompt have their keys and values.
        kept: Whether each tree has slots of its own.
        parts: What there is to compute, in order.
        found: Rewards by suffix.
        slots: By suffix, where its keys and values stand.
    """

    input: DiscInput
    state: Tensor
    done: int
    kept: bool
    parts: list[_Part] = field(default_factory=list)
    found: dict[Ids, float] = field(default_factory=dict)
    slots: dict[Ids, list[int]] = field(default_factory=dict)

    @classmethod
    def of(cls, one: DiscInput, cache: PrefixCache, model: SharedPrefixModel) -> "_Decision":
        """Plan a decision: what is known is copied, the rest is divided into parts."""
        pieces = cache.find(one.prompt)
        known = sum(piece.shape[3] for piece in pieces)
        trees = []
        for group in grouped(one.suffixes, TREE_TOKENS):
            tree = TokenTree()
            trees.append((tree, {suffix: tree.add(suffix) for suffix in group}))
        prompt = len(one.prompt)
        sizes = [len(tree.tokens) for tree, _ in trees]
        kept = sum(sizes) <= KEPT_TOKENS
        state = model.state(prompt + (sum(sizes) if kept else max(sizes)))
        if pieces:
            torch.cat(pieces, dim=3, out=state[:, :, :, :known])
        decision = cls(one, state, known, kept)
        decision.parts += [
            _Part(decision, segment) for segment in prompt_segments(state, one.prompt, known)
        ]
        slot = prompt
        for tree, ends in trees:
            decision.parts.append(
                _Part(decision, tree_segment(state, tree, prompt, slot), ends, tree)
            )
            slot += len(tree.tokens) if kept else 0
        return decision

    @property
    def new(self) -> int:
        """How many tokens there are to compute."""
        return sum(len(part.segment.tokens) for part in self.parts)

    def take(self, part: _Part, hidden: Tensor, model: SharedPrefixModel) -> None:
        """Note what a pass has computed for a part; `hidden` is (tokens of the part, width)."""
        if part.tree is None:
            self.done += len(part.segment.tokens)
            return
        rewards = model.rewards(hidden[list(part.ends.values())])
        self.found.update(zip(part.ends, rewards, strict=True))
        for suffix, end in part.ends.items() if self.kept else ():
            self.slots[suffix] = [part.segment.slot + node for node in part.tree.path(end)]

    def remember(self, cache: PrefixCache) -> None:
        """Keep what was read, candidates too: the next turn begins with one of them."""
        prompt = self.input.prompt[: self.done]
        before = list(range(self.done))
        cache.add(prompt, self.state, before)
        for suffix, slots in self.slots.items():
            cache.add(prompt + suffix, self.state, before + slots)

    def rewards(self) -> list[float]:
        """Return the rewards in the order of the candidates."""
        return [self.found[suffix] for suffix in self.input.suffixes]


class _Job:
    """What may end a call early."""

    def __init__(self, deadline: float | None) -> None:
        self.stop = threading.Event()
        self._deadline = deadline

    def check(self) -> None:
        """Raise if nobody waits for the result any more."""
        late = self._deadline is not None and time.monotonic() > self._deadline
        if late or self.stop.is_set():
            raise ScorerTimeout("the deadline passed before every candidate had a score")


def _one_thread() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(max_workers=1, thread_name_prefix="toolrm-guard-local")


_made: "weakref.WeakSet[LocalScorer]" = weakref.WeakSet()


def _after_fork() -> None:
    """Give scorers a thread of this process: theirs stays in the parent."""
    for scorer in _made:
        scorer._thread = _one_thread()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def _filled(parts: list[_Part]) -> tuple[list[_Part], list[_Part]]:
    """Return the parts of the next pass, at least one, and those after it."""
    tokens = 0
    for index, part in enumerate(parts):
        tokens += len(part.segment.tokens)
        if index and tokens > PASS_TOKENS:
            return parts[:index], parts[index:]
    return parts, []


def _folder(given: str | Path | None) -> Path:
    if given is not None:
        return Path(given)
    if named := os.environ.get(FOLDER_VARIABLE):
        return Path(named).expanduser()
    shipped = Path(str(files("toolrm_guard") / "models" / "disc"))
    if (shipped / DISC_FILE).is_file():
        return shipped
    raise ConfigurationError(
        "scorer 'local' has no model: none ships with this version. Train one with `python -m "
        "training.train_reward`, then use LocalScorer('folder') in place of the name, or set "
        f"{FOLDER_VARIABLE} to the folder"
    )
