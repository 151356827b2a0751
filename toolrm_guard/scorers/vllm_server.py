"""One vLLM server that serves a discriminative reward model: what it is asked, what it may answer.

`POST /classify` takes lists of token ids and answers one row each; `"use_activation": false` gives
the raw logit (the default squeezes it through a sigmoid, in which strong rewards become equal).
"""

import asyncio
import math
import time
from collections.abc import Callable, Sequence

from pydantic import BaseModel, ConfigDict, Field

from toolrm_guard.errors import InvalidScore, ScorerRefused, ScorerUnavailable
from toolrm_guard.scorers.json_server import Connection, JsonServer, ServerLost
from toolrm_guard.serving.groups import Group, Ids

RESTART_S = 10.0
"""No vLLM starts faster; after a longer silence another may have come in the place of the first."""


class _Reply(BaseModel):
    model_config = ConfigDict(strict=True)  # a number in quotes is not the reply we know


class _Model(_Reply):
    id: str
    max_model_len: int | None = None


class _Models(_Reply):
    data: list[_Model]


class _Row(_Reply):
    index: int
    probs: list[float | None] = Field(min_length=1)


class _Classes(_Reply):
    model: str
    data: list[_Row]


class VllmServer:
    """Asks one server, once it is known to serve the right model in the right way."""

    def __init__(
        self,
        url: str,
        *,
        model: str,
        max_tokens: int,
        probes: Callable[[], Sequence[Ids]],
        connection: Connection,
    ) -> None:
        """Take where it is and what it must serve; nothing is sent yet.

        Args:
            url: Its address, with or without `/v1`.
            model: The name that it serves the model by.
            max_tokens: The longest input that it must take.
            probes: Gives a few short inputs, whose raw rewards show that the activation is off.
            connection: How it is reached.

        Raises:
            ConfigurationError: If the address is none.
        """
        self._server = JsonServer(url, connection, remedy=_remedy)
        self.url = self._server.url
        self._model = model
        self._max_tokens = max_tokens
        self._probes = probes
        self._checking = asyncio.Lock()
        self._lost = 0
        self._trusted: int | None = None
        """How often it had been lost when the last good check began; None asks for another."""
        self._heard_at = -math.inf
        self._known: list[float] | None = None
        """The rewards of the probes when they were first asked for."""

    async def send(self, groups: Sequence[Group]) -> list[list[float]]:
        """Return one reward per candidate; what is not a number comes as NaN.

        A server that was lost, broke a connection, or was silent for as long as a restart takes is
        checked again before it is believed: another may have taken its place, with other weights
        under the same name. One that fails but stays is not.

        Raises:
            ScorerUnavailable: If it cannot be reached, fails, or is another model.
            ScorerRefused: If it refuses the request, or does not serve what was trained.
            InvalidScore: If it answers in another form.
        """
        if time.monotonic() - self._heard_at > RESTART_S:
            self._trusted = None
        await self.check()
        inputs = [group.prompt + suffix for group in groups for suffix in group.suffixes]
        try:
            rewards = iter(await self._classify(inputs))
        except ServerLost:
            self._lost += 1
            raise
        except ScorerRefused:
            await self._check_model()  # if another model stands here now, that is the reason
            raise
        await self.check()  # a connection may have broken meanwhile, this one's or another's
        return [[next(rewards) for _ in group.suffixes] for group in groups]

    async def check(self) -> None:
        """Make sure that the server serves this model, long enough, and gives raw logits.

        Raises:
            CouldNotJudge: As `send`; the message says which flag of the server to change.
        """
        async with self._checking:
            while self._trusted != self._losses:
                losses = self._losses
                await self._check_model()
                await self._check_rewards()
                self._trusted = losses

    @property
    def _losses(self) -> int:
        """How often it was lost, for a connection or as a whole."""
        return self._lost + self._server.breaks

    async def aclose(self) -> None:
        """Close the connections."""
        await self._server.aclose()

    async def _check_model(self) -> None:
        listed = await self._server.ask("GET", "/v1/models", None, _Models)
        found = next((model for model in listed.data if model.id == self._model), None)
        if found is None:
            served = ", ".join(repr(model.id) for model in listed.data[:5]) or "nothing"
            raise ScorerUnavailable(
                f"{self.url} serves {served}, not {self._model!r}; "
                f"start it with --served-model-name {self._model}"
            )
        if found.max_model_len is not None and found.max_model_len < self._max_tokens:
            raise ScorerRefused(
                f"{self.url} takes {found.max_model_len:,} tokens, but {self._model!r} reads up to "
                f"{self._max_tokens:,}; start it with --max-model-len {self._max_tokens}, or make "
                f"the scorer with max_tokens={found.max_model_len}"
            )

    async def _check_rewards(self) -> None:
        probes = self._probes()
        raw = await self._classify(probes)
        if not all(map(math.isfinite, raw)):
            raise InvalidScore(f"{self.url} answers {raw} to short inputs; its weights are damaged")
        if self._known is None:
            await self._check_activation(probes, raw)
            self._known = raw
        elif not all(map(_is_alike, raw, self._known)):
            raise ScorerUnavailable(
                f"{self.url} serves other weights as {self._model!r} than it did: rewards of short "
                f"inputs are {raw} and were {self._known}; make the scorer again, with the folder "
                "of what is served now"
            )

    async def _check_activation(self, probes: Sequence[Ids], raw: Sequence[float]) -> None:
        squeezed = await self._classify(probes, use_activation=True)
        # A model without an activation answers the same twice, but hardly always inside (0, 1).
        ignores = raw == squeezed and all(0.0 < reward < 1.0 for reward in raw)
        if ignores:
            raise ScorerRefused(
                f"{self.url} answers {raw} with and without use_activation: these are no raw "
                "logits; serve the model with vLLM 0.11 or newer, --runner pooling and "
                "--convert classify"
            )

    async def _classify(
        self, inputs: Sequence[Ids], *, use_activation: bool = False
    ) -> list[float]:
        body = {"model": self._model, "input": inputs, "use_activation": use_activation}
        reply = await self._server.ask("POST", "/classify", body, _Classes)
        self._heard_at = time.monotonic()
        if reply.model != self._model:
            raise ScorerUnavailable(
                f"{self.url} was asked for {self._model!r}, and {reply.model!r} answered"
            )
        if [row.index for row in reply.data] != list(range(len(inputs))):
            raise InvalidScore(
                f"{self.url}: {len(reply.data)} rows came for {len(inputs)} inputs, or not in order"
            )
        if wide := next((row for row in reply.data if len(row.probs) != 1), None):
            raise ScorerRefused(
                f"{self._model!r} at {self.url} has {len(wide.probs)} classes; a reward model has "
                "one"
            )
        return [math.nan if row.probs[0] is None else row.probs[0] for row in reply.data]


def _is_alike(reward: float, known: float) -> bool:
    """Tell whether one model may have given both: BF16 moves a reward by up to about 0.2."""
    return math.isclose(reward, known, rel_tol=0.05, abs_tol=0.25)


def _remedy(status: int) -> str:
    if status in {401, 403}:
        return "check the API key"
    if status == 404:
        return "check the URL and that the server runs with --runner pooling --convert classify"
    return "check the model's folder, and that the server serves that very model"
