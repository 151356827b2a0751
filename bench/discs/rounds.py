"""Rounds of measurements: in each, every way scores the same new conversation, in random order."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from bench.discs import ways
from bench.discs.conversations import Conversation, conversation
from bench.discs.ways import Rewards, Vllm
from bench.discs.work import Arithmetic, Clock, Work, unique_work
from toolrm_guard.disc_prompt import DiscInput
from toolrm_guard.scorers.cascade import CascadeScorer
from toolrm_guard.scorers.disc_model import load_disc
from toolrm_guard.scorers.lite import LiteModel
from toolrm_guard.scorers.local import CACHE_TOKENS, Engine, LocalScorer
from toolrm_guard.scorers.token_tree import common

ONE_BY_ONE = "one by one"
COLD, SECOND = "local, cold", "local, second turn"
TOLERANCE = 1e-4
"""Rewards of two ways in float32 may differ by so much."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One timing.

    Attributes:
        context: Wanted tokens of the prompt.
        prompt: Tokens it has.
        candidates: In the decision.
        way: What was timed.
        round: Samples of one round and context are of one conversation.
        wall_ms: On the wall.
        cpu_ms: Processor time of this process, or of the server's; None if it is not known.
        unique: Unique tokens computed; None for ways that have no such number.
        needed_wall_ms: What these would take at the matrix rate measured around them.
        needed_cpu_ms: The same in processor time.
        error: Largest difference of a reward from one by one; None if there is none to compare.
        escalated: Of the cascade: whether this decision was.
    """

    context: int
    prompt: int
    candidates: int
    way: str
    round: int
    wall_ms: float
    cpu_ms: float | None
    unique: int | None = None
    needed_wall_ms: float | None = None
    needed_cpu_ms: float | None = None
    error: float | None = None
    escalated: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Cell:
    """One number of candidates in one round: where its samples go."""

    talk: Conversation
    size: int
    made: "partial[Sample]"
    found: list[tuple[Sample, Rewards]]

    def add(self, way: str, took: Clock, rewards: Rewards | None = None, **more: Any) -> None:
        """Note a timing; `rewards` are compared with those of one by one."""
        timing = {"wall_ms": took.wall_ms, "cpu_ms": took.cpu_ms, **more}
        sample = self.made(candidates=self.size, way=way, **timing)
        self.found.append((sample, rewards or []))


class Rounds:
    """The ways over one model."""

    def __init__(
        self,
        folder: Path,
        sizes: Sequence[int],
        *,
        padded: Sequence[int],
        servers: Mapping[str, tuple[str, int | None]],
        band: float,
    ) -> None:
        """Load the model: once as transformers computes it, once for `local`, once for `cascade`.

        Args:
            folder: A ToolRM-Disc.
            sizes: Numbers of candidates.
            padded: Those of which a padded batch is timed, too.
            servers: Address and process of vLLM servers of the same model, by name.
            band: Of the cascade of `lite` and `local`.
        """
        disc = load_disc(folder)
        self.fingerprint = disc.card.fingerprint
        self._model, self._encode = disc.model, disc.encode
        self._arithmetic = Arithmetic(self._model)
        self._engine = Engine(load_disc(folder), cache_tokens=CACHE_TOKENS)
        self._sizes = tuple(sizes)
        self._padded = tuple(size for size in padded if size in sizes)
        self._lite = LiteModel.load()
        self._second = LocalScorer(folder)
        self._cascade = CascadeScorer("lite", self._second, band=band)
        self._servers = {name: Vllm(*server) for name, server in servers.items()}

    def seconds_per_token(self) -> float:
        """Return what one token costs one by one, from a short try."""
        ids = range(100, 400)
        ways.one_by_one(self._model, ids[:50])
        started = Clock.now()
        ways.one_by_one(self._model, ids)
        return started.since.wall_ms / 1e3 / len(ids)

    def tokens(self, context: int) -> int:
        """Return about how many tokens all ways together compute in a round."""
        most, suffix = max(self._sizes), 62
        alone = most * (context + suffix)
        batches = sum(n * (context + suffix) for n in self._padded)
        served = len(self._servers) * sum(2 * n * (context + suffix) for n in self._sizes)
        shared = sum(3 * context + 3 * n * suffix for n in self._sizes)
        return alone + batches + shared + served

    def run(self, context: int, number: int, seed: int) -> list[Sample]:
        """Return the samples of one round at one length.

        One by one, the first N of the candidates are those of the decision over N: each is timed
        once, and N of them are added up.
        """
        rng = random.Random(f"{seed} {number} {context}")
        most = max(self._sizes)
        talk = conversation(
            lambda text: len(self._encode(text)), context, most, rng.randrange(1 << 30)
        )
        whole = self._engine.encode(talk.first(most))
        made = partial(Sample, context=context, prompt=len(whole.prompt), round=number)
        found: list[tuple[Sample, Rewards]] = []
        alone: dict[int, tuple[float, Clock]] = {}
        tasks = [partial(self._one_by_one, whole, index, alone) for index in range(most)]
        for size in self._sizes:
            tasks += self._tasks(_Cell(talk=talk, size=size, made=made, found=found))
        rng.shuffle(tasks)
        for task in tasks:
            task()
        expected = [alone[index][0] for index in range(most)]
        samples = [_checked(sample, rewards, expected) for sample, rewards in found]
        for size in self._sizes:
            clocks = [alone[index][1] for index in range(size)]
            wall_ms, cpu_ms = sum(c.wall_ms for c in clocks), sum(c.cpu_ms for c in clocks)
            samples.append(made(candidates=size, way=ONE_BY_ONE, wall_ms=wall_ms, cpu_ms=cpu_ms))
        return samples

    def _tasks(self, cell: _Cell) -> "list[partial[None]]":
        tasks = [partial(task, cell) for task in (self._time_lite, self._time_cascade)]
        tasks.append(partial(self._time_local, cell))
        if cell.size in self._padded:
            tasks.append(partial(self._time_padded, cell))
        return tasks + [partial(self._time_server, name, cell) for name in self._servers]

    def _one_by_one(
        self, whole: DiscInput, index: int, alone: dict[int, tuple[float, Clock]]
    ) -> None:
        started = Clock.now()
        reward = ways.one_by_one(self._model, whole.prompt + whole.suffixes[index])
        alone[index] = (reward, started.since)

    def _time_padded(self, cell: _Cell) -> None:
        one = self._engine.encode(cell.talk.first(cell.size))
        started = Clock.now()
        rewards = ways.padded(self._model, one)
        cell.add("padded batch", started.since, rewards)

    def _time_lite(self, cell: _Cell) -> None:
        request = cell.talk.first(cell.size)
        started = Clock.now()
        self._lite.score(request)
        cell.add("lite", started.since)

    def _time_cascade(self, cell: _Cell) -> None:
        self._second.forget()
        request = cell.talk.first(cell.size)
        started = Clock.now()
        escalated = ways.cascade(self._cascade, request)
        cell.add("cascade", started.since, escalated=escalated)

    def _time_local(self, cell: _Cell) -> None:
        """Time a decision with nothing remembered, and the one after it."""
        self._engine.forget()
        one = self._engine.encode(cell.talk.first(cell.size))
        before = self._arithmetic.ms_per_gflop()
        started = Clock.now()
        rewards = ways.local(self._engine, one)
        cold = started.since
        two = self._engine.encode(cell.talk.second(cell.size, rewards.index(max(rewards))))
        started = Clock.now()
        later = ways.local(self._engine, two)
        second = started.since
        after = self._arithmetic.ms_per_gflop()
        known = max(common(one.prompt + suffix, two.prompt) for suffix in one.suffixes)
        error = abs(later[0] - ways.one_by_one(self._model, two.prompt + two.suffixes[0]))

        def needed(work: Work) -> dict[str, Any]:
            half = self._arithmetic.flops(work) / 2e9
            return {
                "unique": work.tokens,
                "needed_wall_ms": half * (before.wall_ms + after.wall_ms),
                "needed_cpu_ms": half * (before.cpu_ms + after.cpu_ms),
            }

        cell.add(COLD, cold, rewards, **needed(unique_work(one)))
        cell.add(SECOND, second, error=error, **needed(unique_work(two, known)))

    def _time_server(self, name: str, cell: _Cell) -> None:
        """Time a decision that shares no prefix with any before it, and the one after it."""
        server, size = self._servers[name], cell.size
        talk = cell.talk.opened_anew(f"{name} {size}")
        one = self._engine.encode(talk.first(size))
        rewards, cold, cold_cpu_ms = _timed(server, one)
        two = self._engine.encode(talk.second(size, rewards.index(max(rewards))))
        later, second, second_cpu_ms = _timed(server, two)
        for way, took, cpu_ms, input_, found in (
            (name, cold, cold_cpu_ms, one, rewards),
            (f"{name}, second turn", second, second_cpu_ms, two, later),
        ):
            expected = ways.local(self._engine, input_)
            error = max(abs(a - b) for a, b in zip(found, expected, strict=True))
            cell.add(way, took, cpu_ms=cpu_ms, error=error)


def _timed(server: Vllm, one: DiscInput) -> tuple[Rewards, Clock, float | None]:
    """Return a server's rewards, the time here, and its own processor time."""
    before, started = server.cpu_ms(), Clock.now()
    rewards = server(one)
    took, after = started.since, server.cpu_ms()
    return rewards, took, None if before is None or after is None else after - before


def _checked(sample: Sample, rewards: Rewards, expected: Rewards) -> Sample:
    """Return the sample with its largest error.

    Raises:
        RuntimeError: If it is too large: what scores differently is no contender.
    """
    errors = [abs(a - b) for a, b in zip(rewards, expected, strict=False)]
    if sample.error is not None:
        errors.append(sample.error)
    if not errors:
        return sample
    if not max(errors) <= TOLERANCE:
        raise RuntimeError(
            f"{sample.way}: a reward differs by {max(errors):.2g} from one by one, more than "
            f"{TOLERANCE}"
        )
    return replace(sample, error=max(errors))
