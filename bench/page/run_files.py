"""The JSON files that benches wrote, read without trust: what is odd gets a line, no number."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One file.

    Attributes:
        name: Of the file, without its ending.
        bench: Which bench wrote it; the file's name where it does not say.
        payload: Everything in it.
    """

    name: str
    bench: str
    payload: Json

    @property
    def facts(self) -> Json:
        """Command, commit, data, machine, seed; as far as the file says."""
        facts = self.payload.get("run")
        return facts if isinstance(facts, dict) else self.payload

    @property
    def reports(self) -> list[Json]:
        """One mapping per scorer: files hold a list of them, or are one themselves."""
        found = self.payload.get("reports")
        if isinstance(found, list):
            return [report for report in found if isinstance(report, dict)]
        return [self.payload]

    @property
    def data(self) -> str:
        """What the numbers were computed from; equal texts mean equal data."""
        found = self.facts.get("data")
        data = sorted(found.items()) if isinstance(found, dict) else []
        return json.dumps([data, self.payload.get("sampled")], sort_keys=True, default=str)


def load(folder: Path) -> tuple[list[Run], list[str]]:
    """Return the runs of a folder in the order of their names, and what could not be read.

    Raises:
        FileNotFoundError: If there is no such folder.
    """
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder}: no such folder; give the one benches wrote --json to")
    runs, problems = [], []
    for path in sorted(folder.glob("*.json")):
        try:
            payload = json.loads(path.read_text(encoding="utf-8"))
        except (ValueError, RecursionError) as exc:  # UnicodeDecodeError is a ValueError
            problems.append(f"{path.name}: not JSON ({exc}); run its bench again")
            continue
        if isinstance(payload, list):
            payload = {"reports": payload}
        if not isinstance(payload, dict):
            problems.append(f"{path.name}: neither an object nor a list; not written by a bench")
            continue
        bench = payload.get("bench")
        bench = bench if isinstance(bench, str) else path.stem.partition("_")[0]
        runs.append(Run(name=path.stem, bench=bench, payload=payload))
    return runs, problems


def number(value: object) -> float | None:
    """Return a finite number, or None for anything else: NaN, null, text, a boolean."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value)


def proportion(value: object) -> float | None:
    """Return a number in [0, 1], or None: what is none has no place on such an axis."""
    found = number(value)
    return found if found is not None and 0.0 <= found <= 1.0 else None


def interval(value: object) -> tuple[float, float] | None:
    """Return two finite numbers, or None."""
    if not isinstance(value, list | tuple) or len(value) != 2:
        return None
    low, high = number(value[0]), number(value[1])
    return None if low is None or high is None else (low, high)


def proportions(value: object) -> tuple[float, float] | None:
    """Return an interval in [0, 1], or None."""
    found = interval(value)
    return found if found is not None and 0.0 <= found[0] <= found[1] <= 1.0 else None


def numbers(value: object) -> list[float | None]:
    """Return a list of numbers; what is none is None, what is no list is empty."""
    return [number(item) for item in value] if isinstance(value, list) else []


def mapping(value: object) -> Json:
    """Return a mapping; what is none is empty."""
    return value if isinstance(value, dict) else {}


def spans(value: object) -> list[tuple[float, float] | None]:
    """Return a list of intervals; what is none is None, what is no list is empty."""
    return [interval(item) for item in value] if isinstance(value, list) else []


def rows(value: object) -> list[Json]:
    """Return the mappings of a list."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def cautions(report: Json) -> list[str]:
    """Return what a reader must know before the numbers of a scorer."""
    stated = report.get("notes")
    said = [str(note) for note in stated if note] if isinstance(stated, list) else []
    pairs, judged = number(report.get("pairs")), number(report.get("judged"))
    unjudged = report.get("unjudged")
    if isinstance(unjudged, dict) and not said:
        said += [
            f"{number(count) or 0:,.0f} could not be judged: {why}"
            for why, count in unjudged.items()
        ]
    elif (lost := number(unjudged)) and not said:
        said.append(f"{lost:,.0f} could not be judged")
    if judged == 0:
        said.append("nothing was judged: there is no accuracy")
    ties = number(report.get("ties"))
    if ties and pairs and ties == (judged or pairs) and not any("same" in note for note in said):
        said.append(
            "gives both sides of every pair the same reward: a tie is wrong, so its accuracy is 0"
        )
    said += [f"{key} is {value}, not a finite number" for key, value in _odd(report)]
    return said


def _odd(value: object, key: str = "") -> "Sequence[tuple[str, float]]":
    """Return the numbers that are NaN or infinite, with where they stand."""
    if isinstance(value, float) and not math.isfinite(value):
        return [(key, value)]
    items: list[tuple[object, object]] = []
    if isinstance(value, dict):
        items = list(value.items())
    elif isinstance(value, list):
        items = list(enumerate(value))
    return [odd for name, item in items for odd in _odd(item, f"{key}.{name}".strip("."))]
