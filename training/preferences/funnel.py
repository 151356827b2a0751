"""What went in, what came out and what was dropped for which reason, stage by stage."""

from collections.abc import Iterable, Mapping
from typing import Any

from rich.table import Table

from training.preferences.chain import UNITS
from training.preferences.rows import Dropped

MAX_DETAIL = 300

DAMAGE = frozenset(
    {
        "bad_json", "bad_number", "bad_record", "bad_text", "damaged_file", "damaged_gzip",
        "line_too_long", "not_an_object", "not_utf8", "truncated",
    }
)  # fmt: skip
"""Reasons of `read` that mean bytes were lost, where others mean that a row is of no use."""


class Tally:
    """Counts of one stored stage, in a form that its manifest holds."""

    def __init__(self) -> None:
        self._steps: dict[str, dict[str, int]] = {}
        self._drops: dict[tuple[str, str], dict[str, Any]] = {}

    def count(self, stage: str, what: str, number: int = 1) -> None:
        """Add to `in` or `out` of a stage."""
        step = self._steps.setdefault(stage, {"in": 0, "out": 0})
        step[what] += number

    def drop(self, row: Dropped) -> None:
        """Count a dropped row; the first of its reason is kept as the example."""
        found = self._drops.setdefault(
            (row.stage, row.reason),
            {"count": 0, "example": {"id": row.id, "detail": row.detail[:MAX_DETAIL]}},
        )
        found["count"] += 1

    def as_json(self) -> dict[str, Any]:
        """Return steps and drops in a fixed order."""
        return {
            "steps": [
                {"stage": name, **self._steps[name]} for name in sorted(self._steps, key=_order)
            ],
            "drops": [
                {"stage": stage, "reason": reason, **self._drops[stage, reason]}
                for stage, reason in sorted(self._drops, key=lambda key: (_order(key[0]), key))
            ],
        }


def funnel(manifests: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return the stages in order, each with its drops by reason."""
    stages: dict[str, dict[str, Any]] = {}
    for manifest in manifests:
        for step in manifest["steps"]:
            known = stages.setdefault(step["stage"], _empty(step["stage"]))
            # A stage that runs in parts (samplers) takes in what the first part does.
            known["in"] = known["in"] or step["in"]
            known["out"] = step["out"]
        for drop in manifest["drops"]:
            known = stages.setdefault(drop["stage"], _empty(drop["stage"]))
            found = known["dropped"].setdefault(drop["reason"], {"count": 0, **_example(drop)})
            found["count"] += drop["count"]
    return sorted(stages.values(), key=lambda stage: _order(stage["stage"]))


def problems(stages: Iterable[Mapping[str, Any]], max_lost_share: float) -> list[str]:
    """Return why a build is not whole: damage at `read`, or requests lost at `sample`."""
    found = []
    for stage in stages:
        drops = stage["dropped"]
        if "empty_source" in drops:
            found.append(f"a source holds no row: {drops['empty_source']['example']['id']}")
        if stage["stage"] not in ("read", "sample"):
            continue
        lost = sum(
            drop["count"]
            for reason, drop in drops.items()
            if stage["stage"] == "sample" or reason in DAMAGE
        )
        share = lost / max(stage["in"], 1)
        if share > max_lost_share:
            found.append(
                f"{stage['stage']}: {lost:,} of {stage['in']:,} lost, more than max_lost_share "
                f"{max_lost_share:g} allows; mend the input, or raise it if the loss is known"
            )
    return found


def funnel_table(stages: Iterable[Mapping[str, Any]]) -> Table:
    """Return the funnel for a terminal."""
    table = Table(title="Funnel", show_lines=False)
    for name, side in (("stage", "left"), ("in", "right"), ("out", "right"), ("", "left")):
        table.add_column(name, justify=side)  # type: ignore[arg-type]
    table.add_column("dropped, by reason", overflow="fold")
    for stage in stages:
        dropped = ", ".join(f"{r} {d['count']:,}" for r, d in stage["dropped"].items())
        table.add_row(
            stage["stage"], f"{stage['in']:,}", f"{stage['out']:,}", stage["unit"], dropped
        )
    return table


_STAGES = ("read", "responses", *UNITS, "balance", "split")


def _order(stage: str) -> tuple[int, str]:
    return (_STAGES.index(stage) if stage in _STAGES else len(_STAGES), stage)


def _empty(stage: str) -> dict[str, Any]:
    before, after = UNITS.get(stage, ("pairs", "pairs"))
    if stage in ("read", "responses"):
        before, after = ("rows", "trajectories") if stage == "read" else ("responses", "")
    unit = before if before == after or not after else f"{before} -> {after}"
    return {"stage": stage, "unit": unit, "in": 0, "out": 0, "dropped": {}}


def _example(drop: Mapping[str, Any]) -> dict[str, Any]:
    return {"example": drop["example"]}
