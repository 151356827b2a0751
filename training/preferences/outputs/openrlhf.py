"""OpenRLHF reward training: prompt, chosen and rejected as the text that serving scores.

Built by `toolrm_guard.prompt`, so that no second chat template comes between.
"""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from toolrm_guard.prompt import END_OF_TURN, render_candidate, render_prompt
from training.preferences.outputs.chat import ORIGIN, candidate, origin, parsed
from training.preferences.rows import Pair

if TYPE_CHECKING:
    from training.preferences.outputs import Place

SCHEMA = pa.schema(
    [("prompt", pa.string()), ("chosen", pa.string()), ("rejected", pa.string()), *ORIGIN]
)


def records(pairs: Sequence[Pair], place: "Place") -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield one record a pair."""
    prompt = render_prompt(*parsed(pairs[0].context))
    for pair in pairs:
        chosen, rejected = (
            render_candidate(candidate(side)) + END_OF_TURN for side in (pair.chosen, pair.rejected)
        )
        yield "", {"prompt": prompt, "chosen": chosen, "rejected": rejected, **origin(pair)}
