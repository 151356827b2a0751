"""The `harvest` command: a trace store in, preference data out, and what was lost on the way."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

from toolrm_guard.errors import ConfigurationError
from toolrm_guard.harvest.clean import redacted
from toolrm_guard.harvest.funnel import Funnel, Settings, harvest
from toolrm_guard.harvest.rows import Origin, Shape, rows
from toolrm_guard.harvest.writing import check, write
from toolrm_guard.redaction import DEFAULT
from toolrm_guard.store import TraceStore


def run_command(
    store: TraceStore, *, out: Path, shape: Shape, settings: Settings, origin: Origin
) -> Funnel:
    """Write the pairs of a store and return the funnel; nothing is written if there are none.

    Args:
        store: Where the records are.
        out: A `.jsonl` file or a folder.
        shape: Of the rows.
        settings: What is kept.
        origin: What every row says of its origin.

    Raises:
        ConfigurationError: If a setting is out of range, or the place cannot be written.
    """
    _check_settings(settings)
    check(out)
    reviews = list(store.reviews())
    kept, funnel = harvest(reviews, store.outcomes(), settings)
    if kept:
        kept = redacted(kept, {review.id: review for review in reviews}, DEFAULT)
        summary: dict[str, Any] = {
            **asdict(origin),
            "shape": shape,
            "settings": asdict(settings),
            "funnel": funnel.as_json(),
        }
        write(rows(kept, shape, origin), out, summary)
    return funnel


def _check_settings(settings: Settings) -> None:
    for name, value, low, high in (
        ("--min-margin", settings.min_margin, 0.0, 1.0),
        ("--validation", settings.validation, 0.0, 0.9),
        ("--similar", settings.similar, 0.1, 1.0),
    ):
        if not low <= value <= high:
            raise ConfigurationError(f"{name} {value:g} is not between {low:g} and {high:g}")
