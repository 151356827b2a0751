"""Tasks for a generative reward model: which response is better, with the answer 1 or 2."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from toolrm_guard.critic_prompt import CriticMode, comparison_messages
from toolrm_guard.messages import Message
from toolrm_guard.tools import ToolSet
from training.preferences.codec import digest
from training.preferences.outputs.chat import ORIGIN, candidate, origin, parsed
from training.preferences.rows import Pair

if TYPE_CHECKING:
    from training.preferences.outputs import Place

PROMPT = pa.list_(pa.struct([("role", pa.string()), ("content", pa.string())]))
SCHEMA = pa.schema(
    [("prompt", PROMPT), ("ground_truth", pa.string()), ("swapped", pa.bool_()), *ORIGIN]
)
_MODES: tuple[CriticMode, ...] = ("think", "no_think")


def records(pairs: Sequence[Pair], place: "Place") -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield each pair once a mode, in the same order of responses."""
    shown = parsed(pairs[0].context)
    for pair in pairs:
        for mode in _MODES:
            task = {**comparison(pair, shown, mode, place.seed), **origin(pair)}
            yield mode, task


def comparison(
    pair: Pair, shown: tuple[tuple[Message, ...], ToolSet], mode: CriticMode, seed: int
) -> dict[str, Any]:
    """Return prompt, ground truth and whether the sides are swapped.

    Args:
        pair: Who against whom.
        shown: The pair's context, parsed once for all its pairs.
        mode: How it is asked.
        seed: Says with the pair's id which side comes first.
    """
    messages, tools = shown
    swapped = is_swapped(pair.id, seed)
    first, second = candidate(pair.chosen), candidate(pair.rejected)
    if swapped:
        first, second = second, first
    return {
        "prompt": comparison_messages(messages, tools, first, second, mode),
        "ground_truth": "2" if swapped else "1",
        "swapped": swapped,
    }


def is_swapped(pair_id: str, seed: int) -> bool:
    """Tell whether the rejected side is shown first: half of all pairs, by hash."""
    return int(digest(f"{seed}\nswap\n{pair_id}")[0], 16) % 2 == 1
