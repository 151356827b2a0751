"""Where trajectories come from: one small module a public format, opened by name.

An adapter yields `Trajectory` for what it read and `Dropped` for what it could not, in the order
of the file and one row at a time; whoever counts, counts what it yields. Ids, groups and the places
named in `Dropped` hold no absolute path, so the same data gives the same bytes anywhere.
"""

from collections.abc import Callable, Iterator, Mapping
from importlib import import_module
from typing import Any, cast

from toolrm_guard.errors import ConfigurationError
from training.preferences.naming import hint
from training.preferences.options import check_options
from training.preferences.rows import Dropped, Trajectory

NAMES = (
    "apigen_mt",
    "bfcl_results",
    "button",
    "complexfuncbench",
    "glaive_fc_v2",
    "hermes_fc_v1",
    "labelled",
    "openai_jsonl",
    "toolalpaca",
    "traces",
    "xlam_60k",
)

Read = Callable[..., Iterator[Trajectory | Dropped]]


def open_source(
    name: str, path: str | None = None, **options: Any
) -> Iterator[Trajectory | Dropped]:
    """Return the trajectories of a source, and what had to be dropped, as a stream.

    Args:
        name: One of `NAMES`.
        path: A file, a folder, or a hub name `owner/dataset`; None for the adapter's own hub name.
        options: What the adapter's `read` takes besides.

    Raises:
        ConfigurationError: If the name or an option is unknown, or nothing can be read at the path.
    """
    check(name, options)
    return _adapter(name)(path, **options)


def check(name: str, options: Mapping[str, Any]) -> None:
    """Check the options of a source, without reading it.

    Raises:
        ConfigurationError: If the name or an option is unknown, or an option's value is bad.
    """
    check_options(f"source {name!r}", _adapter(name), options)


def _adapter(name: str) -> Read:
    if name not in NAMES:
        raise ConfigurationError(f"source {name!r} is unknown{hint(name, NAMES)}")
    return cast("Read", import_module(f"{__name__}.{name}").read)
