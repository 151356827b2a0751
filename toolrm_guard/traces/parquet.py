"""A trace store as one parquet table, a row a candidate."""

import json
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from toolrm_guard.files import whole
from toolrm_guard.records import OutcomeIndex, ReviewRecord
from toolrm_guard.traces.listing import outcomes_of_review, result

_REVIEWS_A_GROUP = 256

SCHEMA = pa.schema(
    [
        ("review", pa.string()),
        ("created_at", pa.timestamp("us", tz="UTC")),
        ("conversation", pa.string()),
        ("parent", pa.string()),
        ("round", pa.int32()),
        ("mode", pa.string()),
        ("scorer", pa.string()),
        ("fingerprint", pa.string()),
        ("decision", pa.string()),
        ("judged", pa.bool_()),
        ("unjudged_reason", pa.string()),
        ("critique", pa.string()),
        ("total_ms", pa.float64()),
        ("scorer_ms", pa.float64()),
        ("messages", pa.string()),
        ("tools", pa.string()),
        ("candidate", pa.int32()),
        ("chosen", pa.bool_()),
        ("text", pa.string()),
        ("calls", pa.string()),
        ("reward", pa.float64()),
        ("probability", pa.float64()),
        ("findings", pa.string()),
        ("outcome", pa.string()),
        ("outcomes", pa.string()),
    ]
)
"""Messages, tools, calls, findings and outcomes are JSON text: a column holds no object of any
shape. `outcome` and `outcomes` stand beside the candidate that ran."""


def write_parquet(reviews: Iterable[ReviewRecord], index: OutcomeIndex, file: Path) -> int:
    """Write the table, whole or not at all, and return its number of reviews.

    Raises:
        ConfigurationError: If the file cannot be written.
    """
    count = 0
    waiting = iter(reviews)
    with whole(file) as partial, pq.ParquetWriter(partial, SCHEMA, compression="zstd") as writer:
        while batch := list(islice(waiting, _REVIEWS_A_GROUP)):
            rows = [row for review in batch for row in _rows(review, index)]
            writer.write_table(pa.Table.from_pylist(rows, SCHEMA))
            count += len(batch)
    return count


def _rows(review: ReviewRecord, index: OutcomeIndex) -> Iterator[dict[str, Any]]:
    data = review.model_dump(mode="json")
    ran = 0 if review.mode == "shadow" else review.chosen
    known = outcomes_of_review(review, index)
    shared = {
        "review": review.id,
        "created_at": review.created_at,
        "conversation": review.conversation_id,
        "parent": review.parent_id,
        "fingerprint": review.scorer_fingerprint,
        "messages": _json(data["messages"]),
        "tools": _json(data["tools"]),
        **{
            name: data[name]
            for name in (
                "round", "mode", "scorer", "decision", "judged", "unjudged_reason", "critique",
                "total_ms", "scorer_ms",
            )
        },
    }  # fmt: skip
    for number, candidate in enumerate(data["candidates"]):
        yield {
            **shared,
            "candidate": number,
            "chosen": number == review.chosen,
            "text": candidate["text"],
            "calls": _json(candidate["calls"]),
            "reward": candidate["reward"],
            "probability": candidate["probability"],
            "findings": _json(candidate["findings"]),
            "outcome": result(known) if number == ran else None,
            "outcomes": _json([o.model_dump(mode="json") for o in known])
            if number == ran
            else None,
        }


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)
