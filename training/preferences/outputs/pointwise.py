"""Labelled records, one a context, as `toolrm_guard.labelled` and the trainer of `lite` read them.

A candidate is `correct` only with the full score; partly right is wrong, as for an executor.
"""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from training.preferences.rows import Pair, Response

if TYPE_CHECKING:
    from training.preferences.outputs import Place


def records(pairs: Sequence[Pair], place: "Place") -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield one record with every response that stands in a pair."""
    context = pairs[0].context
    numbered = sorted({number for pair in pairs for number in _numbers(pair)})
    yield (
        "",
        {
            "id": context.id,
            "source": context.source,
            "split": place.side,
            "tools": list(context.tools),
            "messages": list(context.messages),
            "reference": _turn(context.reference),
            "candidates": [_candidate(context.responses[number]) for number in numbered],
            "dialog": context.group,
        },
    )


def _numbers(pair: Pair) -> tuple[int, int]:
    responses = pair.context.responses
    return responses.index(pair.chosen), responses.index(pair.rejected)


def _turn(response: Response) -> dict[str, Any]:
    return {"content": response.text or None, "tool_calls": list(response.calls)}


def _candidate(response: Response) -> dict[str, Any]:
    right = response.score == 1.0
    return {
        "model": response.by,
        **_turn(response),
        "correct": right,
        "error_type": None if right else response.error or "rule_score",
    }
