"""Where responses come from: recorded outputs, edits of the reference, and models that are asked.

`make` builds a sampler by name; `base.sample_each` runs one over a stream of contexts.
"""

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any, cast

from toolrm_guard.errors import ConfigurationError
from training.preferences.naming import hint
from training.preferences.options import check_options
from training.preferences.samplers.base import (
    CouldNotSample,
    ManySampler,
    Sampled,
    Sampler,
    requests_made,
    sample_each,
)

__all__ = [
    "NAMES", "CouldNotSample", "ManySampler", "Sampled", "Sampler", "check", "make",
    "requests_made", "sample_each",
]  # fmt: skip

_CLASSES = {
    "embedded": "EmbeddedResponses",
    "endpoints": "EndpointPool",
    "perturb": "PerturbSampler",
    "recorded": "RecordedSampler",
}
NAMES = tuple(_CLASSES)


_INSIDE = ("name", "pools", "sampler")
"""Parameters that no configuration gives."""


def make(name: str, options: Mapping[str, Any] | None = None) -> Sampler:
    """Return a sampler.

    Args:
        name: One of `NAMES`.
        options: The keyword arguments of its class.

    Raises:
        ConfigurationError: If the name or an option is unknown, or an option's value is bad.
    """
    build, options = _class(name), options or {}
    check(name, {key: value for key, value in options.items() if key not in _INSIDE})
    try:
        return build(**options)
    except TypeError as exc:
        raise ConfigurationError(f"sampler {name!r}: {exc}; see {build.__module__}") from exc


def check(name: str, options: Mapping[str, Any]) -> None:
    """Check the options that a configuration gives to a sampler, without making it.

    Raises:
        ConfigurationError: If the name or an option is unknown, or an option's value is bad.
    """
    build = _class(name)
    if name != "endpoints":  # its settings are a pydantic model, which checks them itself
        check_options(f"sampler {name!r}", build, options, _INSIDE)


def _class(name: str) -> Callable[..., Sampler]:
    if name not in _CLASSES:
        raise ConfigurationError(f"sampler {name!r} is unknown{hint(name, NAMES)}")
    module = import_module(f"{__name__}.{name}")
    return cast("Callable[..., Sampler]", getattr(module, _CLASSES[name]))
