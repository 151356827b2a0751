"""Ways to ask a reward server for the candidates of a decision, on the same token ids.

All of them send to `/classify` of one server and count what they send. The others get their token
ids for nothing; `VllmScorer` renders and encodes its own.
"""

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import httpx

from toolrm_guard.scorers.base import ScoreRequest
from toolrm_guard.scorers.vllm import VllmScorer
from toolrm_guard.serving.batcher import BatchLimits
from toolrm_guard.serving.groups import Group


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """One decision, and its token ids."""

    request: ScoreRequest
    group: Group


@dataclass(slots=True)
class Sent:
    """What went to the server."""

    requests: int = 0
    items: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Asker:
    """One way to ask.

    Attributes:
        name: What tables call it.
        ask: Returns one raw reward per candidate.
        sent: What it sent so far.
        close: Ends it.
    """

    name: str
    ask: Callable[[Question], Awaitable[Sequence[float]]]
    sent: Callable[[], Sent]
    close: Callable[[], Awaitable[None]]


Open = Callable[[], Asker]


def askers(url: str, folder: Path, model: str) -> dict[str, Open]:
    """Return every way by its name, to be opened afresh for each measurement."""
    found = {
        "one by one": lambda: _plain("one by one", url, model, _one_by_one),
        "one a request": lambda: _plain("one a request", url, model, _one_a_request),
        "its_hub": lambda: _its_hub(url, model),
        "one decision a request": lambda: _plain(
            "one decision a request", url, model, _one_decision
        ),
        "VllmScorer": lambda: _scorer("VllmScorer", url, folder, model),
    }
    return found


class _Client:
    def __init__(self, url: str, model: str) -> None:
        self._url, self._model = url, model
        # No cap on connections: none of the ways shall wait for one of another review's.
        self._http = httpx.AsyncClient(
            timeout=None, limits=httpx.Limits(max_connections=None, max_keepalive_connections=None)
        )
        self.sent = Sent()

    async def classify(self, inputs: Sequence[Sequence[int]]) -> list[float]:
        self.sent.requests += 1
        self.sent.items += len(inputs)
        body = {"model": self._model, "input": inputs, "use_activation": False}
        reply = await self._http.post(f"{self._url}/classify", json=body)
        reply.raise_for_status()
        return [row["probs"][0] for row in reply.json()["data"]]

    async def aclose(self) -> None:
        await self._http.aclose()


Way = Callable[[_Client, Group], Awaitable[Sequence[float]]]


def _plain(name: str, url: str, model: str, way: Way) -> Asker:
    client = _Client(url, model)
    return Asker(
        name=name,
        ask=lambda question: way(client, question.group),
        sent=lambda: client.sent,
        close=client.aclose,
    )


async def _one_by_one(client: _Client, group: Group) -> Sequence[float]:
    """As the paper's evaluation script asks."""
    answers = [await client.classify([group.prompt + suffix]) for suffix in group.suffixes]
    return list(itertools.chain(*answers))


async def _one_a_request(client: _Client, group: Group) -> Sequence[float]:
    asked = [client.classify([group.prompt + suffix]) for suffix in group.suffixes]
    return list(itertools.chain(*await asyncio.gather(*asked)))


async def _one_decision(client: _Client, group: Group) -> Sequence[float]:
    return await client.classify([group.prompt + suffix for suffix in group.suffixes])


def _its_hub(url: str, model: str) -> Asker:
    """Its Best-of-N over a reward model that asks as its own judge does.

    That is: of equal responses one is scored, all that differ are asked for at once, a request
    each. Its messages carry the number of the candidate; the token ids are those of all others.

    Raises:
        ImportError: If its_hub is not installed.
    """
    from its_hub import BestOfN
    from its_hub.api import ChatMessage

    from bench.contenders.decisions import HandedOver

    client = _Client(url, model)

    class Rewards:
        def __init__(self, group: Group) -> None:
            self._group = group

        async def ascore(
            self, messages: Sequence[Sequence[ChatMessage]], **options: object
        ) -> list[float]:
            numbers = [int(str(conversation[-1].content)) for conversation in messages]
            picked = tuple(self._group.suffixes[number] for number in numbers)
            return list(
                await _one_a_request(client, Group(prompt=self._group.prompt, suffixes=picked))
            )

    @dataclass
    class Turn:
        candidates: list[dict[str, str]]

    async def ask(question: Question) -> Sequence[float]:
        suffixes = question.group.suffixes
        first = [suffixes.index(suffix) for suffix in suffixes]  # equal ones get equal numbers
        turn = Turn([{"role": "assistant", "content": str(number)} for number in first])
        best_of_n = BestOfN(Rewards(question.group), HandedOver())
        result = await best_of_n.ainfer(
            turn, [ChatMessage(role="user", content="-")], len(first), return_response_only=False
        )
        scores: Sequence[float] = result.scores
        return scores

    return Asker(name="its_hub", ask=ask, sent=lambda: client.sent, close=client.aclose)


def _scorer(name: str, url: str, folder: Path, model: str) -> Asker:
    # Beyond what 256 agents of one process ask for: nothing is refused, all is measured.
    limits = BatchLimits(max_waiting=1_000_000, timeout_s=600.0)
    scorer = VllmScorer(url, folder=folder, model=model, limits=limits)

    async def ask(question: Question) -> Sequence[float]:
        [scores] = await scorer.score([question.request], None)
        return [score.reward for score in scores]

    def sent() -> Sent:
        server = scorer.stats.servers[0]
        return Sent(server.batches, server.items)

    return Asker(name=name, ask=ask, sent=sent, close=scorer.aclose)
