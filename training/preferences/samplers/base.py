"""What a sampler is: a context in, other answers to it out, the same for the same seed."""

import hashlib
from collections.abc import Iterable, Iterator
from typing import Protocol, runtime_checkable

from toolrm_guard.errors import GuardError
from training.preferences.rows import Context, Dropped, Response

Sampled = tuple[Context, list[Response]]


class CouldNotSample(GuardError):
    """A context got no answer; `reason` is the fixed code that reports count by."""

    def __init__(self, reason: str, detail: str) -> None:
        """Keep the code apart from what people read."""
        super().__init__(detail)
        self.reason = reason


class Sampler(Protocol):
    """Draws responses; can be pickled, so that workers can hold one each.

    Attributes:
        name: For reports.
    """

    name: str

    def sample(self, context: Context, seed: int) -> list[Response]:
        """Return responses to a context; the same for the same context and seed.

        Raises:
            CouldNotSample: If there is none for a reason that the report should count.
        """
        ...


@runtime_checkable
class ManySampler(Protocol):
    """A sampler that works on several contexts at a time."""

    name: str

    def sample_many(
        self, contexts: Iterable[Context], seed: int = 0
    ) -> Iterator[Sampled | Dropped]:
        """Yield every context in order with its responses, behind what was lost for it."""
        ...


@runtime_checkable
class CountsRequests(Protocol):
    """A sampler that asks models.

    Attributes:
        requests: Answers that its last pass over contexts wanted, from a model or a cache.
    """

    requests: int


def requests_made(sampler: Sampler) -> int:
    """Return how many answers the last pass of a sampler wanted; 0 if it asks no model."""
    return sampler.requests if isinstance(sampler, CountsRequests) else 0


def sample_each(
    sampler: Sampler, contexts: Iterable[Context], seed: int
) -> Iterator[Sampled | Dropped]:
    """Yield every context in order with its responses, none of them if it could not be sampled.

    A failure comes as `Dropped` of the stage `sample`, before its context: what is dropped is the
    request, since other samplers may still answer the context.
    """
    if isinstance(sampler, ManySampler):
        yield from sampler.sample_many(contexts, seed)
        return
    for context in contexts:
        try:
            responses = sampler.sample(context, seed)
        except CouldNotSample as exc:
            responses = []
            yield lost(exc.reason, f"{context.id}@{sampler.name}", str(exc))
        yield context, responses


def sample_alone(sampler: ManySampler, context: Context, seed: int) -> list[Response]:
    """Return the responses to one context from a sampler that works on many.

    Raises:
        CouldNotSample: If there are none; for the reason of what was lost last.
    """
    responses: list[Response] = []
    last: Dropped | None = None
    for item in sampler.sample_many([context], seed):
        if isinstance(item, Dropped):
            last = item
        else:
            responses = item[1]
    if last is not None and not responses:
        raise CouldNotSample(last.reason, last.detail)
    return responses


def seed_of(seed: int, *parts: object) -> int:
    """Return a seed of 31 bits that hangs on every part; the same in every process."""
    text = "\x1f".join(map(str, (seed, *parts)))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big") >> 1


def lost(reason: str, where: str, detail: str) -> Dropped:
    """Return the record of a response that could not be had; a long detail is cut."""
    clean = detail.encode("utf-8", "backslashreplace").decode("utf-8")
    return Dropped(stage="sample", reason=reason, id=where, detail=clean[:500])
