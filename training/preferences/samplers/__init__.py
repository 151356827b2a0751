"""Where responses come from: recorded outputs, edits of the reference, and models that are asked.

`make` builds a sampler by name; `base.sample_each` runs one over a stream of contexts.
"""

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any, cast

from toolrm_guard.errors import ConfigurationError
from training.preferences.naming import hint
from training.preferences.samplers.base import (
    CouldNotSample,
    ManySampler,
    Sampled,
    Sampler,
    sample_each,
)

__all__ = [
    "NAMES", "CouldNotSample", "ManySampler", "Sampled", "Sampler", "make", "sample_each",
]  # fmt: skip

_CLASSES = {
    "embedded": "EmbeddedResponses",
    "endpoints": "EndpointPool",
    "perturb": "PerturbSampler",
    "recorded": "RecordedSampler",
}
NAMES = tuple(_CLASSES)


def make(name: str, options: Mapping[str, Any] | None = None) -> Sampler:
    """Return a sampler.

    Args:
        name: One of `NAMES`.
        options: The keyword arguments of its class.

    Raises:
        ConfigurationError: If the name or an option is unknown, or an option's value is bad.
    """
    if name not in _CLASSES:
        raise ConfigurationError(f"sampler {name!r} is unknown{hint(name, NAMES)}")
    module = import_module(f"{__name__}.{name}")
    build = cast("Callable[..., Sampler]", getattr(module, _CLASSES[name]))
    try:
        return build(**(options or {}))
    except TypeError as exc:
        raise ConfigurationError(f"sampler {name!r}: {exc}; see {module.__name__}") from exc
