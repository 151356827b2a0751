"""What went in, what came out and what was dropped for which reason, stage by stage."""

from collections.abc import Iterable, Mapping
from typing import Any

from rich.table import Table

from training.preferences.chain import UNITS
from training.preferences.rows import Dropped, Trajectory

MAX_DETAIL = 300

DAMAGE = frozenset(
    {
        "bad_json", "bad_number", "bad_record", "bad_text", "damaged_file", "damaged_gzip",
        "line_too_long", "not_an_object", "not_utf8", "trailing_data", "truncated",
    }
)  # fmt: skip
"""Reasons of `read` that mean bytes were lost, where others mean that a row is of no use."""

UNMEASURED = frozenset({"damaged_file", "damaged_gzip", "trailing_data", "truncated"})
"""Damage that hides how many rows are lost: one drop may stand for half a file, so no share of the
rows excuses it."""

NOT_LOST = frozenset({"bad_tool", "malformed_call", "unknown_tool", "unsuitable_prompt"})
"""Reasons of `sample` for which nothing is lost: the model answered, badly, or could never be asked
this. Asking again gives the same."""

_WHOLE_FILES = frozenset(
    {
        "damaged_file", "damaged_gzip", "empty_source", "ignored_file", "must_be_executed",
        "other_language", "trailing_data",
    }
)  # fmt: skip
"""Reasons of `read` that speak of a file, so that no row is counted as read."""


def is_lost(stage: str, reason: str) -> bool:
    """Tell whether a drop is a lost row or request; others are what a stage is for."""
    if stage == "sample":
        return reason not in NOT_LOST
    return stage == "read" and reason in DAMAGE


class Tally:
    """Counts of one stored stage, in a form that its manifest holds."""

    def __init__(self) -> None:
        self._steps: dict[str, dict[str, int]] = {}
        self._drops: dict[tuple[str, str], dict[str, Any]] = {}
        self._sources: dict[str, dict[str, Any]] = {}

    def count(self, stage: str, what: str, number: int = 1) -> None:
        """Add to `in` or `out` of a stage, or to the `requests` of `sample`."""
        step = self._steps.setdefault(stage, {"in": 0, "out": 0})
        step[what] = step.get(what, 0) + number

    def drop(self, row: Dropped) -> None:
        """Count a dropped row; the first of its reason is kept as the example."""
        found = self._drops.setdefault((row.stage, row.reason), {"count": 0, **_first(row)})
        found["count"] += 1

    def read(self, source: str, row: Trajectory | Dropped) -> None:
        """Count what a source yields, at `read` and for the source by itself.

        A row that an adapter makes several trajectories of counts as that many.
        """
        counts = self._sources.setdefault(
            source, {"read": 0, "kept": 0, "dropped": {}, "examples": {}}
        )
        if not isinstance(row, Dropped):
            counts["read"] += 1
            counts["kept"] += 1
            self.count("read", "in")
            self.count("read", "out")
            return
        self.drop(row)
        if row.stage != "read":  # a response of a row, which may stay
            return
        is_row = int(row.reason not in _WHOLE_FILES)
        counts["read"] += is_row
        self.count("read", "in", is_row)
        counts["dropped"][row.reason] = counts["dropped"].get(row.reason, 0) + 1
        counts["examples"].setdefault(row.reason, _first(row)["example"])

    def as_json(self) -> dict[str, Any]:
        """Return steps, drops and, of `read`, sources in a fixed order."""
        sources = {"sources": self._sources} if self._sources else {}
        return {
            **sources,
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
            if "requests" in step:
                known["requests"] = known.get("requests", 0) + step["requests"]
        for drop in manifest["drops"]:
            known = stages.setdefault(drop["stage"], _empty(drop["stage"]))
            found = known["dropped"].setdefault(drop["reason"], {"count": 0, **_example(drop)})
            found["count"] += drop["count"]
    return sorted(stages.values(), key=lambda stage: _order(stage["stage"]))


def problems(stages: Iterable[Mapping[str, Any]], max_lost_share: float) -> list[str]:
    """Return why a build is not whole: damage at `read`, or requests lost at `sample`.

    Args:
        stages: As `funnel` gives them.
        max_lost_share: Share of rows, or of requests, that may be lost; damage of unknown extent is
            a problem whatever the share.
    """
    found = []
    for stage in stages:
        name, drops = stage["stage"], stage["dropped"]
        if "empty_source" in drops:
            found.append(f"a source or file holds no row: {_shown(drops['empty_source'])}")
        found += [
            f"{name}: {reason}, and nobody knows how much is lost: {_shown(drops[reason])}; mend "
            "the input"
            for reason in sorted(UNMEASURED & set(drops))
            if name == "read"
        ]
        lost = sum(
            drop["count"]
            for reason, drop in drops.items()
            if is_lost(name, reason) and reason not in UNMEASURED
        )
        made, what = stage["in"], "rows"
        if name == "sample":
            made, what = stage.get("requests") or stage["in"], "requests"
        if lost / max(made, 1) > max_lost_share:
            found.append(
                f"{name}: {lost:,} of {made:,} {what} lost, more than max_lost_share "
                f"{max_lost_share:g} allows; mend the input, or raise it if the loss is known"
            )
    return found


def _shown(drop: Mapping[str, Any]) -> str:
    more = f" and {drop['count'] - 1:,} more" if drop["count"] > 1 else ""
    return f"{drop['example']['id']}{more}"


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


def _first(row: Dropped) -> dict[str, Any]:
    return {"example": {"id": row.id, "detail": row.detail[:MAX_DETAIL]}}


def _example(drop: Mapping[str, Any]) -> dict[str, Any]:
    return {"example": drop["example"]}
