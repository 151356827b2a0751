"""A discriminative ToolRM behind vLLM servers, asked in batches across concurrent reviews.

    vllm serve ./my-disc --served-model-name my-disc --runner pooling --convert classify

    Guard(VllmScorer("http://localhost:8000", folder="./my-disc"))

The server reads token ids that we made with the model's own tokenizer from the very prompt of the
training, so no chat template of its own can come between. torch and transformers are not needed.
"""

import asyncio
import hashlib
import os
import ssl
import threading
import time
import weakref
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import httpx
import numpy as np
from tokenizers import Tokenizer

from toolrm_guard import blocking
from toolrm_guard.calls import Candidate
from toolrm_guard.disc_prompt import encode_decision
from toolrm_guard.errors import ConfigurationError, ModelIntegrityError, ScorerTimeout
from toolrm_guard.messages import Message
from toolrm_guard.scorers.base import Score, ScoreRequest, ThresholdKind
from toolrm_guard.scorers.disc_card import DiscCard
from toolrm_guard.scorers.json_server import Connection
from toolrm_guard.scorers.turn_tokens import TurnTokens
from toolrm_guard.scorers.vllm_server import VllmServer
from toolrm_guard.serving.batcher import Batcher, BatchLimits
from toolrm_guard.serving.breaker import Breaker
from toolrm_guard.serving.fleet import Fleet, Hedging
from toolrm_guard.serving.groups import Group, Ids
from toolrm_guard.serving.service import RewardService
from toolrm_guard.serving.stats import ServingStats
from toolrm_guard.tools import ToolSet

URL_VARIABLE = "TOOLRM_GUARD_VLLM_URL"
"""One address, or several separated by commas."""
FOLDER_VARIABLE = "TOOLRM_GUARD_VLLM_FOLDER"
MODEL_VARIABLE = "TOOLRM_GUARD_VLLM_MODEL"
KEY_VARIABLE = "TOOLRM_GUARD_VLLM_API_KEY"
CA_VARIABLE = "TOOLRM_GUARD_VLLM_CA_FILE"

TOKENIZER_FILE = "tokenizer.json"
_PROBES = ("Yes.", "No, I can't.", "It is 7 degrees in Oslo.", "delete_all({})")


class VllmScorer:
    """The reward of each candidate from a fleet of vLLM servers.

    Making one reads `disc.json` and nothing else. At the first review, and whenever a server was
    lost or silent, it is made sure that the server serves this model, long enough, gives raw
    logits, and still has the weights that it had at first.
    """

    name = "vllm"

    def __init__(
        self,
        urls: str | Sequence[str] | None = None,
        *,
        folder: str | Path | None = None,
        model: str | None = None,
        tokenizer: str | Path | None = None,
        api_key: str | None = None,
        verify: bool | str | ssl.SSLContext = True,
        client_cert: tuple[str, str] | None = None,
        max_tokens: int | None = None,
        limits: BatchLimits | None = None,
        hedging: Hedging | None = None,
        breaker_failures: int = 5,
        breaker_cooldown_s: float = 1.0,
        cache_items: int = 65_536,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        """Take where the servers are and what they serve.

        Args:
            urls: Addresses, with or without `/v1`; default: `TOOLRM_GUARD_VLLM_URL`.
            folder: The model's folder with its `disc.json`; default: `TOOLRM_GUARD_VLLM_FOLDER`.
                The weights need not be there.
            model: The name that the servers serve it by; default: `TOOLRM_GUARD_VLLM_MODEL`, or
                the folder's name.
            tokenizer: A folder with `tokenizer.json`, or a Hub id; default: the model's folder.
            api_key: Default: `TOOLRM_GUARD_VLLM_API_KEY`.
            verify: Whom to trust: see `Connection`; default: the certificate authorities in
                `TOOLRM_GUARD_VLLM_CA_FILE`, or the usual ones.
            client_cert: Paths of a certificate and its key.
            max_tokens: Longest prompt and candidate together, if the servers take less than the
                model was trained with.
            limits: How requests are gathered, and how many may wait.
            hedging: When a second server is asked.
            breaker_failures: Failures in a row after which a server is left alone.
            breaker_cooldown_s: For how long, at first.
            cache_items: Scores that are remembered; 0 for none.
            transport: Sends instead of the network, in tests.

        Raises:
            ConfigurationError: If an address or the folder is missing or wrong.
        """
        self._folder = Path(_given(folder, FOLDER_VARIABLE, "folder", "the model's folder"))
        card = DiscCard.load(self._folder)
        # What is read less of has other scores, and so another fingerprint.
        longest = min(max_tokens or card.max_tokens, card.max_tokens)
        self.card = card.model_copy(update={"max_tokens": longest})
        self.model = model or os.environ.get(MODEL_VARIABLE) or self._folder.resolve().name
        self._has_own_tokenizer = tokenizer is None
        self._tokenizer_source = self._folder if tokenizer is None else tokenizer
        ca_file = os.environ.get(CA_VARIABLE)
        self._connection = Connection(
            api_key=api_key or os.environ.get(KEY_VARIABLE) or None,
            verify=ca_file if verify is True and ca_file else verify,
            client_cert=client_cert,
            transport=transport,
        )
        self._urls = _addresses(urls)
        self._limits, self._hedging, self._cache_items = limits, hedging, cache_items
        self._new_breaker = partial(
            Breaker, failures=breaker_failures, cooldown_s=breaker_cooldown_s
        )
        self._begin()
        _made.add(self)

    def _begin(self) -> None:
        """Start with no request out; a forked process must, for its parent's never end there."""
        self._tokens: TurnTokens | None = None
        self._encoding = threading.RLock()
        self._servers = tuple(
            VllmServer(
                url,
                model=self.model,
                max_tokens=self.card.max_tokens,
                probes=self._probes,
                connection=self._connection,
            )
            for url in self._urls
        )
        batchers = [
            Batcher(server.url, server.send, limits=self._limits, breaker=self._new_breaker())
            for server in self._servers
        ]
        self._service = RewardService(
            Fleet(batchers, hedging=self._hedging),
            fingerprint=self.fingerprint,
            cache_items=self._cache_items,
        )

    @property
    def thresholds(self) -> Mapping[ThresholdKind, float]:
        """From the model's calibration."""
        return self.card.thresholds

    @property
    def fingerprint(self) -> str:
        """Hash of everything that a probability depends on."""
        return self.card.fingerprint

    @property
    def stats(self) -> ServingStats:
        """What was asked, known, batched, refused, and how the servers are."""
        return self._service.stats

    async def score(
        self, requests: Sequence[ScoreRequest], deadline: float | None
    ) -> list[list[Score]]:
        """Return one list of scores per request, one score per candidate, in order.

        Raises:
            CouldNotJudge: At the deadline at the latest; at once if a queue or an open breaker
                makes an answer hopeless.
        """
        left_s = None if deadline is None else max(0.0, deadline - time.monotonic())
        try:
            async with asyncio.timeout(left_s):
                groups = await blocking.in_thread(partial(self._encode, requests))
                rewards = await blocking.on_io_loop(self._rewards(groups, deadline))
        except TimeoutError as exc:
            raise ScorerTimeout(f"{self.model!r}: no scores within {left_s:.2f} s") from exc
        return [self._scores(row) for row in rewards]

    async def check(self) -> None:
        """Make sure now that every server serves this model, long enough, and gives raw logits.

        Raises:
            CouldNotJudge: Naming the first server that does not, and what to change.
            ConfigurationError: If the tokenizer cannot be read.
        """
        await blocking.in_thread(self._loaded_tokens)
        for server in self._servers:
            await blocking.on_io_loop(server.check())

    async def aclose(self) -> None:
        """Give up what is being asked, and close the connections; the scorer is of no use then."""
        await blocking.on_io_loop(self._aclose())

    async def _aclose(self) -> None:
        await self._service.aclose()
        for server in self._servers:
            await server.aclose()

    async def _rewards(self, groups: Sequence[Group], deadline: float | None) -> list[list[float]]:
        found = await asyncio.gather(
            *(self._service.rewards(group, deadline) for group in groups), return_exceptions=True
        )
        answered: list[list[float]] = []
        for rewards in found:
            if isinstance(rewards, BaseException):
                raise rewards
            answered.append(rewards)
        return answered

    def _scores(self, rewards: Sequence[float]) -> list[Score]:
        probabilities = self.card.probability(np.asarray(rewards, dtype=np.float64))
        return [
            Score(reward=reward, probability=float(probability))
            for reward, probability in zip(rewards, probabilities, strict=True)
        ]

    def _encode(self, requests: Sequence[ScoreRequest]) -> list[Group]:
        return [self._group(r.messages, r.tools, r.candidates) for r in requests]

    def _group(
        self, messages: Sequence[Message], tools: ToolSet, candidates: Sequence[Candidate]
    ) -> Group:
        with self._encoding:
            tokens, limit = self._loaded_tokens(), self.card.max_tokens
            made = encode_decision(tokens, messages, tools, candidates, max_tokens=limit)
        return Group(prompt=made.prompt, suffixes=made.suffixes)

    def _probes(self) -> list[Ids]:
        """Return a few short inputs, prompt and candidate joined."""
        request = (Message(role="user", text="How is the weather in Oslo?"),)
        group = self._group(request, ToolSet.of([]), [Candidate(text=text) for text in _PROBES])
        return [group.prompt + suffix for suffix in group.suffixes]

    def _loaded_tokens(self) -> TurnTokens:
        """Return the tokenizer with its cache of turns; read at first use."""
        with self._encoding:
            if self._tokens is None:
                known = self.card.weights.get(TOKENIZER_FILE) if self._has_own_tokenizer else None
                self._tokens = TurnTokens(_load_tokenizer(self._tokenizer_source, sha256=known))
            return self._tokens


_made: "weakref.WeakSet[VllmScorer]" = weakref.WeakSet()


def _after_fork() -> None:
    for scorer in _made:
        scorer._begin()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def _given(value: str | Path | None, variable: str, parameter: str, what: str) -> str | Path:
    found = value or os.environ.get(variable)
    if not found:
        raise ConfigurationError(f"{what} is not given: pass {parameter}= or set {variable}")
    return found


def _addresses(urls: str | Sequence[str] | None) -> list[str]:
    if urls is None or isinstance(urls, str):
        given = _given(urls, URL_VARIABLE, "urls", "the address of a vLLM server")
        urls = [url.strip() for url in str(given).split(",")]
    if not urls or len(set(urls)) < len(urls):
        raise ConfigurationError(f"vLLM URLs {list(urls)!r}: give one or more, each once")
    return list(urls)


def _load_tokenizer(source: str | Path, *, sha256: str | None) -> Tokenizer:
    """Return the tokenizer of a folder, or of the Hub if there is no such folder.

    Raises:
        ModelIntegrityError: If the file cannot be read, or has not the hash that is known of it.
        ConfigurationError: If the Hub has none.
    """
    path = Path(source) / TOKENIZER_FILE
    if Path(source).is_dir():
        try:
            content = path.read_bytes()
            tokenizer = Tokenizer.from_buffer(content)
        except Exception as exc:  # the binding raises bare Exception
            raise ModelIntegrityError(f"{path}: {exc}; export the model again") from exc
        if sha256 is not None and hashlib.sha256(content).hexdigest() != sha256:
            raise ModelIntegrityError(
                f"{path} is not the file that disc.json was made for; export the model again"
            )
    else:
        try:
            tokenizer = Tokenizer.from_pretrained(str(source))
        except Exception as exc:  # as above, and whatever the Hub's client raises
            raise ConfigurationError(
                f"tokenizer {str(source)!r} is neither a folder nor to be had from the Hub: {exc}"
            ) from exc
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer
