"""Which checks, in which order, and how they are told."""

import asyncio
import json
import os
import sys
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TextIO

from toolrm_guard.doctor import place, scoring
from toolrm_guard.doctor.check import Check
from toolrm_guard.errors import GuardError
from toolrm_guard.files import check_file
from toolrm_guard.scorers.base import Scorer, close

_COLOURS = {"ok": 32, "warn": 33, "fail": 31, "skip": 90}


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is examined.

    Attributes:
        scorer: Makes the scorer.
        reviews: Measured for the cost.
        deadline_s: Of a measured review.
        reference: Makes the rewards to compare with; None compares with nothing.
        tolerance: Widest difference of two raw rewards that counts as equal.
        save_reference: Where the rewards are written; None writes none.
        store: SQLite file or SQLAlchemy URL; None looks at none.
    """

    scorer: Callable[[], Scorer]
    reviews: int = 30
    deadline_s: float = 2.0
    reference: Callable[[], Awaitable[scoring.Reference]] | None = None
    tolerance: float = 1e-3
    save_reference: Path | None = None
    store: str | None = None


async def examine(plan: Plan) -> list[Check]:
    """Return the outcome of every check; what depends on a failed one is skipped."""
    checks = [place.check_extras()]
    checks += await _examine_scorer(plan)
    checks.append(place.check_store(plan.store))
    checks.append(place.check_otel(os.environ))
    return checks


async def _examine_scorer(plan: Plan) -> list[Check]:
    try:
        scorer = plan.scorer()
    except GuardError as exc:
        failed = Check(name="scorer", status="fail", message=str(exc))
        return [failed, *_skipped("the scorer", "server", "ranking", "cost", "reference")]
    checks = [Check(name="scorer", status="ok", message=f"{scorer.name!r} is loaded")]
    try:
        checks.append(await scoring.check_server(scorer))
        if checks[-1].status == "fail":
            return [*checks, *_skipped("the server", "ranking", "cost", "reference")]
        checks.append(await scoring.check_ranking(scorer))
        checks.append(
            await scoring.check_cost(scorer, reviews=plan.reviews, deadline_s=plan.deadline_s)
        )
        checks.append(await _examine_reference(plan, scorer))
        if plan.save_reference is not None:
            checks.append(await scoring.save_reference(scorer, plan.save_reference))
    finally:
        await close(scorer)
    return checks


async def _examine_reference(plan: Plan, scorer: Scorer) -> Check:
    if plan.reference is None:
        return Check(name="reference", status="skip", message="no --reference was given")
    try:
        reference = await plan.reference()
    except GuardError as exc:
        return Check(name="reference", status="fail", message=str(exc))
    return await scoring.check_reference(scorer, reference, tolerance=plan.tolerance)


def _skipped(cause: str, *names: str) -> list[Check]:
    return [Check(name=name, status="skip", message=f"{cause} failed first") for name in names]


def run_command(plan: Plan, *, as_json: bool) -> int:
    """Examine and tell; return 1 if a check failed, else 0.

    Raises:
        ConfigurationError: If the rewards could not be written, before anything is examined.
    """
    check_file(plan.save_reference)
    checks = asyncio.run(examine(plan))
    passed = all(check.status != "fail" for check in checks)
    if as_json:
        told = {"passed": passed, "checks": [asdict(check) for check in checks]}
        print(json.dumps(told, indent=1))
    else:
        print(render(checks, colour=_takes_colour(sys.stdout)))
    return 0 if passed else 1


def render(checks: Sequence[Check], *, colour: bool) -> str:
    """Return a line a check, with its remedy below where there is one."""
    lines = []
    for check in checks:
        status = f"{check.status:<4}"
        if colour:
            status = f"\x1b[{_COLOURS[check.status]}m{status}\x1b[0m"
        lines.append(f"{status}  {check.name:<9}  {check.message}")
        if check.remedy:
            lines.append(f"      {'':<9}  -> {check.remedy}")
    return "\n".join(lines)


def _takes_colour(stream: TextIO) -> bool:
    return stream.isatty() and "NO_COLOR" not in os.environ
