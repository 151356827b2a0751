"""The scorer: does its server answer, what does a review cost, does it rank, is it the same one."""

import asyncio
import inspect
import math
import statistics
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from toolrm_guard.doctor.cases import CASES, digest
from toolrm_guard.doctor.check import Check
from toolrm_guard.errors import ConfigurationError, CouldNotJudge, GuardError
from toolrm_guard.files import write_text
from toolrm_guard.guard import Guard
from toolrm_guard.policy import Policy
from toolrm_guard.review import Review
from toolrm_guard.scorers.base import Scorer, ScoreRequest, fingerprint_of
from toolrm_guard.watched import parts_of

WAIT_S = 30.0
"""For a server's first answer, and for all measured reviews together."""

_GIVE_UP = 3
"""Reviews without a judgement in a row after which no more are tried."""


class ReferenceScores(BaseModel):
    """Raw rewards of the built-in cases, stored to be compared with.

    Attributes:
        scorer: What gave them.
        fingerprint: Of its weights.
        cases: Which cases; see `cases.digest`.
        rewards: (cases, candidates).
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: Literal[1] = 1
    scorer: str
    fingerprint: str | None
    cases: str
    rewards: tuple[tuple[float, ...], ...]

    @classmethod
    def load(cls, path: Path) -> "ReferenceScores":
        """Return the file's content.

        Raises:
            ConfigurationError: If it is not there, or is none of ours.
        """
        remedy = "make it with `toolrm-guard doctor --save-reference FILE`"
        try:
            return cls.model_validate_json(path.read_bytes())
        except OSError as exc:
            raise ConfigurationError(f"{path}: {exc.strerror}; {remedy}") from exc
        except ValidationError as exc:
            raise ConfigurationError(f"{path} holds no reference scores; {remedy}") from exc


async def check_server(scorer: Scorer) -> Check:
    """Return whether the scorer's servers are up and serve its model, if it has any."""
    checks = [
        check
        for part in parts_of(scorer)
        if inspect.iscoroutinefunction(check := getattr(part, "check", None))
    ]
    if not checks:
        message = f"{scorer.name!r} has no server that can be asked beforehand"
        return Check(name="server", status="skip", message=message)
    try:
        async with asyncio.timeout(WAIT_S):
            for check in checks:
                await check()
    except TimeoutError:
        message = f"no answer within {WAIT_S:g} s"
        remedy = "look at the server's log: is it still loading, or out of memory?"
        return Check(name="server", status="fail", message=message, remedy=remedy)
    except GuardError as exc:
        return Check(name="server", status="fail", message=str(exc), remedy=_remedy(str(exc)))
    return Check(name="server", status="ok", message="it is up and serves the right model")


async def check_cost(scorer: Scorer, *, reviews: int, deadline_s: float) -> Check:
    """Return what a review costs here, over decisions that no cache knows."""
    patient = Guard(scorer, policy=Policy(deadline_s=max(deadline_s, WAIT_S)))
    first = await _review(patient, 1)
    guard = Guard(scorer, policy=Policy(deadline_s=deadline_s))
    done: list[Review] = []
    ends = time.monotonic() + WAIT_S
    for serial in range(2, reviews + 2):
        done.append(await _review(guard, serial))
        failing = len(done) >= _GIVE_UP and not any(r.judged for r in done[-_GIVE_UP:])
        if failing or time.monotonic() > ends:
            break
    judged = sorted(review.total_ms for review in done if review.judged)
    reasons = Counter(review.unjudged_reason for review in done if not review.judged)
    if not judged:
        [(reason, times)] = reasons.most_common(1)
        message = f"none of {len(done)} reviews was judged; {times} because of {reason}"
        return Check(name="cost", status="fail", message=message, remedy=_remedy(str(reason)))
    p50, p95 = statistics.median(judged), _p95(judged)
    figures = {
        "reviews": float(len(done)),
        "not_judged": float(reasons.total()),
        "p50_ms": p50,
        "p95_ms": p95,
        "first_ms": first.total_ms,
    }
    message = (
        f"a review of {len(CASES[0].wrong) + 1} candidates takes {p50:.1f} ms (p50), {p95:.1f} ms "
        f"(p95) of {deadline_s:g} s; {len(done)} reviews, the first took {first.total_ms:.0f} ms"
    )
    if reasons:
        [(reason, _)] = reasons.most_common(1)
        message = f"{reasons.total()} of {len(done)} reviews were not judged ({reason}); {message}"
        late = "raise the policy's deadline_s, or give the server more to compute with"
        return Check(name="cost", status="warn", message=message, remedy=late, figures=figures)
    return Check(name="cost", status="ok", message=message, figures=figures)


async def check_ranking(scorer: Scorer) -> Check:
    """Return whether the scorer tells right calls from wrong ones at all."""
    try:
        rewards = await rewards_of(scorer)
    except CouldNotJudge as exc:
        message = f"{type(exc).__name__}: {exc}"
        return Check(name="ranking", status="fail", message=message, remedy=_remedy(str(exc)))
    first = sum(row[0] > max(row[1:]) for row in rewards)
    message = f"the right call is first in {first} of {len(rewards)} built-in cases"
    figures = {"right_first": float(first), "cases": float(len(rewards))}
    if len({reward for row in rewards for reward in row}) == 1:
        same = f"every candidate gets the same reward, {rewards[0][0]:g}"
        remedy = "the score head is probably not loaded: export the model again"
        return Check(name="ranking", status="fail", message=same, remedy=remedy)
    if first * 2 < len(rewards):
        remedy = "is it the model that was meant? These cases are easy; `bench/` measures properly"
        return Check(name="ranking", status="warn", message=message, remedy=remedy, figures=figures)
    return Check(name="ranking", status="ok", message=message, figures=figures)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """Rewards to compare with.

    Attributes:
        source: Where they came from.
        rewards: (cases, candidates).
        fingerprint: Of the weights that gave them.
    """

    source: str
    rewards: Sequence[Sequence[float]]
    fingerprint: str | None


def stored(path: Path) -> Reference:
    """Return the rewards in a file.

    Raises:
        ConfigurationError: If they are not there, or of other cases than this version's.
    """
    found = ReferenceScores.load(path)
    if found.cases != digest(requests()):
        raise ConfigurationError(
            f"{path} was made with other cases than this version has; make it again with "
            "`toolrm-guard doctor --save-reference FILE`"
        )
    return Reference(source=str(path), rewards=found.rewards, fingerprint=found.fingerprint)


async def scored(scorer: Scorer, source: str) -> Reference:
    """Return the rewards of another scorer, now.

    Raises:
        CouldNotJudge: If it has none.
    """
    return Reference(
        source=source, rewards=await rewards_of(scorer), fingerprint=fingerprint_of(scorer)
    )


async def save_reference(scorer: Scorer, path: Path) -> Check:
    """Write the scorer's rewards of the built-in cases to a file."""
    try:
        rewards = await rewards_of(scorer)
    except CouldNotJudge as exc:
        return Check(name="reference", status="fail", message=f"{type(exc).__name__}: {exc}")
    scores = ReferenceScores(
        scorer=scorer.name,
        fingerprint=fingerprint_of(scorer),
        cases=digest(requests()),
        rewards=tuple(map(tuple, rewards)),
    )
    return _written(scores, path)


def _written(scores: ReferenceScores, path: Path) -> Check:
    try:
        write_text(path, scores.model_dump_json(indent=1) + "\n")
    except ConfigurationError as exc:
        return Check(name="reference", status="fail", message=str(exc))
    return Check(name="reference", status="ok", message=f"wrote {path}")


async def check_reference(scorer: Scorer, reference: Reference, *, tolerance: float) -> Check:
    """Return whether the scorer's rewards equal the reference's within the tolerance."""
    name = "reference"
    try:
        rewards = await rewards_of(scorer)
    except CouldNotJudge as exc:
        message = f"{type(exc).__name__}: {exc}"
        return Check(name=name, status="fail", message=message, remedy=_remedy(str(exc)))
    gaps = [
        abs(ours - theirs)
        for row, other in zip(rewards, reference.rewards, strict=True)
        for ours, theirs in zip(row, other, strict=True)
    ]
    widest = max(gaps)
    flipped = sum(
        _order(row) != _order(other) for row, other in zip(rewards, reference.rewards, strict=True)
    )
    message = (
        f"rewards differ from {reference.source} by up to {widest:.2g}, {statistics.mean(gaps):.2g}"
        f" on average; {flipped} of {len(rewards)} cases are ordered differently"
    )
    figures = {"widest": widest, "flipped": float(flipped)}
    if not (math.isfinite(widest) and widest <= tolerance):
        other = fingerprint_of(scorer) not in (None, reference.fingerprint)
        remedy = (
            "the weights are others than the reference's; compare with the folder that is served"
            if other and reference.fingerprint is not None
            else "serve with the reference's --dtype, or raise --tolerance if bf16 is meant (FP32 "
            "servers agree within 1e-4, BF16 within about 0.2)"
        )
        return Check(name=name, status="fail", message=message, remedy=remedy, figures=figures)
    return Check(name=name, status="ok", message=message, figures=figures)


def requests() -> list[ScoreRequest]:
    """Return the built-in cases as they are compared."""
    return [case.request() for case in CASES]


async def rewards_of(scorer: Scorer) -> list[list[float]]:
    """Return the rewards of the built-in cases.

    Raises:
        CouldNotJudge: If any cannot be had.
    """
    deadline = time.monotonic() + WAIT_S
    try:
        async with asyncio.timeout(WAIT_S):
            scored = await scorer.score(requests(), deadline)
    except TimeoutError as exc:
        raise CouldNotJudge(f"no scores within {WAIT_S:g} s") from exc
    return [[score.reward for score in scores] for scores in scored]


async def _review(guard: Guard, serial: int) -> Review:
    request = CASES[serial % len(CASES)].request(serial)
    return await guard.areview(request.messages, request.tools, request.candidates)


def _p95(values: Sequence[float]) -> float:
    if len(values) < 2:
        return values[0]
    return statistics.quantiles(values, n=20, method="inclusive")[-1]


def _order(row: Sequence[float]) -> list[int]:
    return sorted(range(len(row)), key=lambda index: -row[index])


def _remedy(message: str) -> str:
    """Return what to do about an error of a server, where its message does not say it."""
    lowered = message.lower()
    if "certificate" in lowered or "ssl" in lowered:
        return "give the authority that signed the server's certificate: --ca FILE"
    if "cannot be reached" in lowered:
        return "start the server, or correct --url"
    if "timeout" in lowered or "no answer within" in lowered or "no scores within" in lowered:
        return "raise --deadline, or look at the server's load"
    return ""
