"""verl: the comparison task as a prompt with a rule-checked answer, in verl's five columns."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from training.preferences.outputs.chat import ORIGIN, origin, parsed
from training.preferences.outputs.critique import PROMPT, comparison
from training.preferences.rows import Pair

if TYPE_CHECKING:
    from training.preferences.outputs import Place

SCHEMA = pa.schema(
    [
        ("data_source", pa.string()),
        ("prompt", PROMPT),
        ("ability", pa.string()),
        ("reward_model", pa.struct([("style", pa.string()), ("ground_truth", pa.string())])),
        (
            "extra_info",
            pa.struct(
                [
                    ("split", pa.string()),
                    ("index", pa.int64()),
                    ("swapped", pa.bool_()),
                    *ORIGIN,
                ]
            ),
        ),
    ]
)


def records(pairs: Sequence[Pair], place: "Place") -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield one record a pair, asked in the `think` mode."""
    shown = parsed(pairs[0].context)
    for offset, pair in enumerate(pairs):
        task = comparison(pair, shown, "think", place.seed)
        where = {"split": place.side, "index": place.first + offset, "swapped": task["swapped"]}
        yield (
            "",
            {
                "data_source": f"toolpref/{pair.context.source}",
                "prompt": task["prompt"],
                "ability": "tool-use preference",
                "reward_model": {"style": "rule", "ground_truth": task["ground_truth"]},
                "extra_info": {**where, **origin(pair)},
            },
        )
