"""Give every context its responses: what was recorded, then what each sampler adds.

Samplers that ask models many at a time (`sample_many`) run in the driver, where one budget and
one cache hold; all others are pure and run in the workers.
"""

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from training.preferences.codec import digest
from training.preferences.config import BuildConfig, SamplerConfig
from training.preferences.rows import Context, Dropped, Response
from training.preferences.samplers import (
    CouldNotSample,
    ManySampler,
    Sampler,
    make,
    sample_each,
)
from training.preferences.scoring import has_wrong

STAGE = "sample"

Reread = Callable[[], Iterable[Context]]
"""Gives the contexts from the first on, each time it is called."""


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


def make_draws(config: BuildConfig, contexts: Reread) -> list[Draw]:
    """Return the samplers of a build.

    Args:
        config: The build's.
        contexts: What will be sampled, to learn argument values from; read for each sampler that
            needs it.
    """
    return [_draw(entry, contexts) for entry in config.samplers]


def _draw(entry: SamplerConfig, contexts: Reread) -> Draw:
    options = dict(entry.options)
    if entry.name == "perturb":
        from training.preferences.samplers.perturb import ValuePools

        options["pools"] = ValuePools.learn(contexts())
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


def sample_in_driver(contexts: Reread, draw: Draw, seed: int) -> Iterator[Context | Dropped]:
    """Yield every context in order with the responses of a sampler that asks many at a time.

    Contexts are read twice, side by side: once as far ahead as the sampler asks, and once in step
    with its results. So what the sampler skips costs no memory, however long the run of it is.
    """
    ahead = (context for context in contexts() if _wanted(draw, context))
    results = sample_each(draw.sampler, ahead, seed)
    for context in contexts():
        if not _wanted(draw, context):
            yield context
            continue
        for result in results:
            if not isinstance(result, Dropped):
                yield _with(result[0], result[1], draw.keeps)
                break
            yield result
        else:
            raise RuntimeError(f"sampler {draw.sampler.name!r} did not give back {context.id}")
    for result in results:
        if isinstance(result, Dropped):
            yield result


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
