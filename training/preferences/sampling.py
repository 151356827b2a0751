"""Give every context its responses: what was recorded, then what each sampler adds.

Samplers that ask models many at a time (`sample_many`) run in the driver, where one budget and
one cache hold; all others are pure and run in the workers.
"""

import dataclasses
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from training.preferences.codec import digest
from training.preferences.config import BuildConfig, SamplerConfig
from training.preferences.rows import Context, Dropped, Response
from training.preferences.rule_score import has_wrong
from training.preferences.samplers import (
    CouldNotSample,
    ManySampler,
    Sampler,
    make,
    sample_each,
)

STAGE = "sample"


@dataclass(frozen=True, slots=True, kw_only=True)
class Draw:
    """One sampler with its place in the configuration.

    Attributes:
        sampler: What draws.
        when: See `SamplerConfig.when`.
        sources: See `SamplerConfig.sources`.
        share: See `SamplerConfig.share`.
        keeps: Whether responses from before stay; `recorded` selects among them instead.
    """

    sampler: Sampler
    when: str
    keeps: bool
    sources: tuple[str, ...] = ()
    share: float = 1.0

    @property
    def many(self) -> bool:
        """Whether it must run in the driver."""
        return isinstance(self.sampler, ManySampler)


def make_draws(config: BuildConfig, contexts: Iterator[Context]) -> list[Draw]:
    """Return the samplers of a build.

    Args:
        config: The build's.
        contexts: What will be sampled, to learn argument values from; read only if needed.
    """
    return [_draw(entry, contexts) for entry in config.samplers]


def _draw(entry: SamplerConfig, contexts: Iterator[Context]) -> Draw:
    options = dict(entry.options)
    if entry.name == "perturb":
        from training.preferences.samplers.perturb import ValuePools

        options["pools"] = ValuePools.learn(contexts)
    sampler = make(entry.name, options)
    keeps = entry.name != "recorded"
    return Draw(
        sampler=sampler, when=entry.when, keeps=keeps, sources=entry.sources, share=entry.share
    )


def batches(draws: Sequence[Draw]) -> Iterator[list[Draw]]:
    """Yield the draws in order, those for workers together, one for the driver by itself."""
    together: list[Draw] = []
    for draw in draws:
        if draw.many:
            if together:
                yield together
            yield [draw]
            together = []
        else:
            together.append(draw)
    if together:
        yield together


def sample(
    context: Context, *, draws: Sequence[Draw], seed: int, recorded: bool = True
) -> Iterator[Context | Dropped]:
    """Yield what could not be drawn, then the context with its responses.

    Without `recorded`, what the source recorded is left out.
    """
    if not recorded:
        context = dataclasses.replace(context, responses=())
    for draw in draws:
        if not _wanted(draw, context):
            continue
        try:
            made = draw.sampler.sample(context, seed)
        except CouldNotSample as exc:
            made = []
            yield _lost(context, draw, exc)
        context = _with(context, made, draw.keeps)
    yield context


def sample_in_driver(
    contexts: Iterable[Context], draw: Draw, seed: int
) -> Iterator[Context | Dropped]:
    """Yield every context in order with the responses of a sampler that asks many at a time."""
    skipped: deque[tuple[int, Context]] = deque()
    position = 0

    def wanted() -> Iterator[Context]:
        nonlocal position
        for context in contexts:
            if _wanted(draw, context):
                position += 1
                yield context
            else:
                skipped.append((position, context))

    done = 0
    for result in sample_each(draw.sampler, wanted(), seed):
        while skipped and skipped[0][0] <= done:
            yield skipped.popleft()[1]
        if isinstance(result, Dropped):
            yield result
        else:
            yield _with(result[0], result[1], draw.keeps)
            done += 1
    yield from (context for _, context in skipped)


def starting(context: Context, config: BuildConfig) -> Context:
    """Return the context as the first sampler sees it: without records, unless they are asked for.

    `recorded` is the first sampler where it stands.
    """
    if config.samplers[0].name == "recorded":
        return context
    return dataclasses.replace(context, responses=())


def _wanted(draw: Draw, context: Context) -> bool:
    if draw.sources and context.source not in draw.sources:
        return False
    if draw.share < 1.0 and int(digest(context.id)[:8], 16) >= draw.share * 2**32:
        return False
    return draw.when == "always" or not has_wrong(context)


def _with(context: Context, made: Sequence[Response], keeps: bool) -> Context:
    kept = context.responses if keeps else ()
    return dataclasses.replace(context, responses=(*kept, *made))


def _lost(context: Context, draw: Draw, exc: CouldNotSample) -> Dropped:
    at = f"{context.id}@{draw.sampler.name}"
    return Dropped(stage=STAGE, reason=exc.reason, id=at, detail=str(exc)[:500])
