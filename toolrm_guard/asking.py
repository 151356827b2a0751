"""Scorers and critics are asked here, within a deadline; whatever they do, the agent goes on.

No scores and a reason is "could not judge", an outcome of its own; it is never a low score.
"""

import asyncio
import logging
import time

from toolrm_guard import blocking
from toolrm_guard.errors import (
    CouldNotJudge,
    InvalidScore,
    ScorerTimeout,
    ScorerUnavailable,
    origin_of,
)
from toolrm_guard.scorers.base import Critic, Score, Scorer, ScoreRequest

_log = logging.getLogger(__name__)


async def ask_scorer(
    scorer: Scorer, request: ScoreRequest, deadline_s: float
) -> tuple[tuple[Score, ...], str | None]:
    """Return one score per candidate, or none and the reason.

    Args:
        scorer: What is asked.
        request: The candidates of one decision.
        deadline_s: How long the agent waits, in seconds. A scorer that holds the event loop cannot
            be cut off; its scores are refused when it returns.
    """
    deadline = time.monotonic() + deadline_s
    try:
        async with asyncio.timeout(deadline_s):
            [scores] = await scorer.score([request], deadline)
        if len(scores) != len(request.candidates):
            raise InvalidScore(
                f"{len(scores)} scores came for {len(request.candidates)} candidates"
            )
        if not all(isinstance(score, Score) for score in scores):
            raise InvalidScore(f"scorer {scorer.name!r} returned something but a Score")
        if time.monotonic() > deadline:
            raise TimeoutError
    except TimeoutError:
        return (), _reason(ScorerTimeout(f"no scores within {deadline_s:g} s"))
    except CouldNotJudge as exc:
        return (), _reason(exc)
    except asyncio.CancelledError:
        if blocking.is_cancelled():
            raise
        return (), _reason(ScorerUnavailable("what it waited for was cancelled"))
    except Exception as exc:  # noqa: BLE001  # a plugged-in scorer's bug must not end the agent
        _log.error("scorer %r failed: %s", scorer.name, origin_of(exc))
        return (), _reason(ScorerUnavailable(f"{type(exc).__name__}: {exc}"))
    return tuple(scores), None


async def ask_critic(
    critic: Critic, request: ScoreRequest, index: int, deadline: float
) -> str | None:
    """Return the critic's text on one candidate; None if it has none by `deadline` (monotonic)."""
    try:
        async with asyncio.timeout(max(0.0, deadline - time.monotonic())):
            text = await critic.critique(request, index, deadline)
    except asyncio.CancelledError:
        if blocking.is_cancelled():
            raise
        return None
    except Exception as exc:  # noqa: BLE001  # a critic is a refinement; the findings say it too
        _log.warning("the critic had no critique; the findings stand in: %s", origin_of(exc))
        return None
    return (text.strip() or None) if isinstance(text, str) else None


def _reason(error: CouldNotJudge) -> str:
    return f"{type(error).__name__}: {error}"
