"""TRL preference data, conversational, with explicit and with implicit prompts.

Explicit: `prompt` holds the messages before the turn, `chosen` and `rejected` one message each.
Implicit: `chosen` and `rejected` hold the whole conversation. `tools` is JSON text, which TRL
passes to the chat template.
"""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from training.preferences.outputs.chat import (
    MESSAGE,
    ORIGIN,
    openai_messages,
    openai_tools,
    openai_turn,
    origin,
)
from training.preferences.rows import Pair

if TYPE_CHECKING:
    from training.preferences.outputs import Place

_SIDES = [("chosen", pa.list_(MESSAGE)), ("rejected", pa.list_(MESSAGE)), ("tools", pa.string())]
EXPLICIT = pa.schema([("prompt", pa.list_(MESSAGE)), *_SIDES, *ORIGIN])
IMPLICIT = pa.schema([*_SIDES, *ORIGIN])


def explicit(pairs: Sequence[Pair], place: "Place") -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield one record a pair, the prompt apart."""
    prompt = openai_messages(pairs[0].context.messages)
    tools = openai_tools(pairs[0].context)
    for pair in pairs:
        chosen, rejected = _turns(pair)
        sides = {"chosen": [chosen], "rejected": [rejected]}
        yield "", {"prompt": prompt, **sides, "tools": tools, **origin(pair)}


def implicit(pairs: Sequence[Pair], place: "Place") -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield one record a pair, the prompt inside both sides."""
    prompt = openai_messages(pairs[0].context.messages)
    tools = openai_tools(pairs[0].context)
    for pair in pairs:
        chosen, rejected = _turns(pair)
        sides = {"chosen": [*prompt, chosen], "rejected": [*prompt, rejected]}
        yield "", {**sides, "tools": tools, **origin(pair)}


def _turns(pair: Pair) -> tuple[dict[str, Any], dict[str, Any]]:
    number = len(pair.context.messages)
    return openai_turn(pair.chosen, number), openai_turn(pair.rejected, number)
