"""What a build does, read from a TOML file; an unknown key is an error, never ignored."""

import difflib
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from toolrm_guard.errors import ConfigurationError
from training.preferences import samplers, sources

Shape = Literal["trl_explicit", "trl_implicit", "critique", "pointwise", "openrlhf", "verl"]


class PipelineConfigError(ConfigurationError):
    """The configuration of a build is wrong; the message names the key and the remedy."""


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class SourceConfig(_Section):
    """One source.

    Attributes:
        name: The adapter, one of `training.preferences.sources.NAMES`.
        path: File, folder or hub name; relative to the data folder. None: the adapter's own.
        options: Passed on to the adapter.
    """

    name: str
    path: str | None = None
    options: dict[str, Any] = {}


class SamplerConfig(_Section):
    """One sampler; samplers run in the order in which they stand.

    Attributes:
        name: One of `training.preferences.samplers.NAMES`.
        when: `always`, or `no_wrong`: only contexts where nothing scored below 1 so far.
        sources: Only contexts of these sources; empty for all.
        share: Only so many of the contexts, drawn by hash: a slow model can serve a few.
        options: Passed on to the sampler.
    """

    name: str
    when: Literal["always", "no_wrong"] = "always"
    sources: tuple[str, ...] = ()
    share: float = Field(default=1.0, gt=0.0, le=1.0)
    options: dict[str, Any] = {}


class PairsConfig(_Section):
    """How responses become pairs.

    Attributes:
        include_reference: The reference is a response, too, unless a model gave the same turn.
        edits_chosen: Whether an edit may be the chosen side, of a worse one. The paper's responses
            are all models' own; an edit is known to be wrong, and nobody would say it.
        max_complexity: Pairs with more calls plus arguments are dropped (paper: 50).
        max_per_context: Keep so many pairs of a context, drawn by hash; None keeps all (paper).
    """

    include_reference: bool = True
    edits_chosen: bool = False
    max_complexity: int = Field(default=50, ge=1)
    max_per_context: int | None = Field(default=None, ge=1)


class BalanceConfig(_Section):
    """Balanced Multi-Dimensional Sampling; a dimension that is off falls back to chance.

    Attributes:
        target: Pairs in all, validation included (paper: 30,000).
        by_source: Balance over sources.
        by_intensity: Balance over the bins of s+ - s-.
        by_complexity: Take the most complex pairs of a group first.
        bins: Number of intensity bins (paper: 10).
        min_natural_share: Least share of pairs whose rejected side a model wrote by itself. Not in
            the paper, where every response is a model's. 0 is the plain method.
    """

    target: int = Field(default=30_000, ge=1)
    by_source: bool = True
    by_intensity: bool = True
    by_complexity: bool = True
    bins: int = Field(default=10, ge=1, le=100)
    min_natural_share: float = Field(default=0.0, ge=0.0, le=1.0)


class SplitConfig(_Section):
    """Leak-free split.

    Attributes:
        validation: Pairs held out of the target (paper: 500).
    """

    validation: int = Field(default=500, ge=0)


class OutputConfig(_Section):
    """What is written.

    Attributes:
        shapes: Formats, each in a folder of its name.
        title: Heading of the dataset card.
    """

    shapes: tuple[Shape, ...] = get_args(Shape)
    title: str = "Tool-use preference pairs"


class BuildConfig(_Section):
    """A build.

    Attributes:
        seed: Everything random follows from it and from the rows.
        max_lost_share: Share of rows (at `read`) and of requests (at `sample`) that may be lost to
            damage before the build counts as not whole. Damage that hides its extent (a file that
            breaks off) is never excused.
    """

    sources: tuple[SourceConfig, ...] = Field(min_length=1)
    samplers: tuple[SamplerConfig, ...] = Field(min_length=1)
    seed: int = 0
    max_lost_share: float = Field(default=0.0, ge=0.0, le=1.0)
    pairs: PairsConfig = PairsConfig()
    balance: BalanceConfig = BalanceConfig()
    split: SplitConfig = SplitConfig()
    output: OutputConfig = OutputConfig()


def read_config(path: Path) -> BuildConfig:
    """Read a TOML file.

    Raises:
        PipelineConfigError: If it cannot be read, or a key or a value is wrong.
    """
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as exc:
        raise PipelineConfigError(f"cannot read {path}: {exc.strerror or exc}") from exc
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as exc:
        raise PipelineConfigError(f"{path} is not TOML: {exc}") from exc
    return parse_config(raw, str(path))


def parse_config(raw: Mapping[str, Any], where: str = "the configuration") -> BuildConfig:
    """Read a mapping.

    Raises:
        PipelineConfigError: If a key or a value is wrong; an unknown key comes with the nearest
            known one.
    """
    for problem in _unknown_keys(raw, BuildConfig, ""):
        raise PipelineConfigError(f"{where}: {problem}")
    try:
        config = BuildConfig.model_validate(raw)
    except ValidationError as exc:
        first = exc.errors()[0]
        at = ".".join(str(part) for part in first["loc"])
        shown = f" (it is {first['input']!r})" if first["type"] != "missing" else ""
        raise PipelineConfigError(f"{where}: {at}: {first['msg']}{shown}") from exc
    _check(config, where)
    return config


def check_entries(config: BuildConfig, where: str = "the configuration") -> None:
    """Check names and options of sources and samplers, and that API keys are there.

    Not a part of `read_config`: it loads what the samplers need, which takes seconds for models.

    Raises:
        PipelineConfigError: If one is wrong; an unknown name comes with the nearest known one.
    """
    try:
        for source in config.sources:
            sources.check(source.name, source.options)
        for sampler in config.samplers:
            samplers.check(sampler.name, sampler.options)
            samplers.make(sampler.name, sampler.options)
    except ConfigurationError as exc:
        raise PipelineConfigError(f"{where}: {exc}") from exc


def _check(config: BuildConfig, where: str) -> None:
    names = [sampler.name for sampler in config.samplers]
    if "recorded" in names[1:]:
        raise PipelineConfigError(
            f"{where}: sampler 'recorded' stands at place {names.index('recorded', 1) + 1}; it "
            "must stand first and once, since the others add to what was recorded"
        )
    if config.split.validation >= config.balance.target:
        raise PipelineConfigError(
            f"{where}: split.validation is {config.split.validation}, balance.target "
            f"{config.balance.target}; validation is a part of the target and must be smaller"
        )


def _unknown_keys(raw: object, model: type[BaseModel], at: str) -> Iterator[str]:
    if not isinstance(raw, Mapping):
        return
    fields = model.model_fields
    for key, value in raw.items():
        if key not in fields:
            near = difflib.get_close_matches(str(key), fields, n=1, cutoff=0.0)
            yield f"unknown key {at + str(key)!r}; did you mean {at + near[0]!r}?"
            continue
        inner = _SECTIONS.get(f"{model.__name__}.{key}")
        if inner is not None:
            items = value if isinstance(value, list) else [value]
            for item in items:
                yield from _unknown_keys(item, inner, f"{at}{key}.")


_SECTIONS: Mapping[str, type[BaseModel]] = {
    "BuildConfig.sources": SourceConfig,
    "BuildConfig.samplers": SamplerConfig,
    "BuildConfig.pairs": PairsConfig,
    "BuildConfig.balance": BalanceConfig,
    "BuildConfig.split": SplitConfig,
    "BuildConfig.output": OutputConfig,
}
