"""Decisions with known better and worse candidates: what a discriminative reward model learns from.

Read from preference pairs in TRL's explicit shape, as the pipeline writes them, or made from
labelled packs.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from toolrm_guard.calls import Candidate
from toolrm_guard.disc_prompt import Encode, encode_decision
from toolrm_guard.errors import PromptTooLong
from toolrm_guard.messages import parse_messages
from toolrm_guard.scorers.base import ScoreRequest
from toolrm_guard.tools import ToolSet
from training.lite_data import Group
from training.packing import EncodedDecision
from training.tables import DatasetError, Row, read_table

PAIR_FIELDS = ("prompt", "chosen", "rejected", "tools")


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """Candidates of one context, and which of them beats which.

    Attributes:
        key: Decisions of one key belong on one side of a split.
        right: One a candidate: right, wrong, or None where a label says only better or worse.
        pairs: (better, worse) numbers of candidates.
    """

    key: str
    source: str
    request: ScoreRequest
    right: tuple[bool | None, ...]
    pairs: tuple[tuple[int, int], ...]


def read_decisions(path: Path) -> list[Decision]:
    """Return the pairs of a file, those that follow each other with the same context as one.

    Args:
        path: Parquet or JSON lines in TRL's explicit shape: `prompt`, `chosen`, `rejected` (lists
            of messages) and `tools` (JSON text); `chosen_score` says whether the better side is
            fully right.

    Raises:
        DatasetError: If fields are missing, or a row cannot be read.
    """
    decisions: list[Decision] = []
    rows: list[Row] = []
    last = ""
    for row in read_table(path, PAIR_FIELDS):
        context = json.dumps([row["prompt"], row["tools"]], default=repr)
        if rows and context != last:
            decisions.append(_decision(rows, path))
            rows = []
        rows.append(row)
        last = context
    return [*decisions, _decision(rows, path)]


def from_groups(groups: Sequence[Group]) -> list[Decision]:
    """Return labelled groups as decisions: every right candidate beats every wrong one."""
    decisions = []
    for group in groups:
        good = [i for i, right in enumerate(group.right) if right]
        bad = [i for i, right in enumerate(group.right) if not right]
        pairs = tuple((a, b) for a in good for b in bad)
        decisions.append(
            Decision(
                key=group.key, source=group.source, request=group.request, right=group.right,
                pairs=pairs,
            )
        )  # fmt: skip
    return decisions


def split(decisions: Sequence[Decision], held: float) -> tuple[list[Decision], list[Decision]]:
    """Return (training, held out), by the hash of each key."""
    out = [
        int(hashlib.sha256(d.key.encode()).hexdigest()[:8], 16) < held * 2**32 for d in decisions
    ]
    train = [d for d, is_out in zip(decisions, out, strict=True) if not is_out]
    return train, [d for d, is_out in zip(decisions, out, strict=True) if is_out]


def encode(
    decisions: Sequence[Decision], tokens_of: Encode, max_tokens: int, skip_long: bool = False
) -> tuple[list[EncodedDecision], list[Decision]]:
    """Return the ids of each decision, exactly those that serving computes, and the decisions.

    Args:
        decisions: What to encode.
        tokens_of: The base's tokenizer, adding nothing.
        max_tokens: Of prompt and candidate together.
        skip_long: Whether a decision whose tools and latest request do not fit is left out.

    Raises:
        DatasetError: If one does not fit, and none may be left out.
    """
    rows: list[EncodedDecision] = []
    kept: list[Decision] = []
    long: list[str] = []
    for decision in decisions:
        request = decision.request
        try:
            ids = encode_decision(
                tokens_of, request.messages, request.tools, request.candidates,
                max_tokens=max_tokens,
            )  # fmt: skip
        except PromptTooLong as exc:
            long.append(f"{decision.key!r}: {exc}")
            continue
        kept.append(decision)
        rows.append(
            EncodedDecision(
                prompt_ids=list(ids.prompt),
                suffix_ids=[list(suffix) for suffix in ids.suffixes],
                better=[a for a, _ in decision.pairs],
                worse=[b for _, b in decision.pairs],
            )
        )
    if long and (not skip_long or not rows):
        raise DatasetError(
            f"{len(long):,} of {len(decisions):,} prompts do not fit into {max_tokens:,} tokens, "
            f"e.g. {long[0]}; raise `max_tokens`, or leave them out with `skip_long = true`"
        )
    return rows, kept


def _decision(rows: Sequence[Row], path: Path) -> Decision:
    """Return the pairs of one context as a decision; a side that stands twice is one candidate."""
    first = rows[0]
    name = str(first.get("id", "?"))
    number: dict[str, int] = {}
    candidates: list[Candidate] = []
    right: list[bool | None] = []
    pairs = []
    try:
        for row in rows:
            sides = []
            for side, label in (("chosen", _label(row)), ("rejected", False)):
                candidate = Candidate.parse(_message(row[side]))
                index = number.setdefault(candidate.canonical, len(candidates))
                if index == len(candidates):
                    candidates.append(candidate)
                    right.append(label)
                sides.append(index)
            if sides[0] == sides[1]:
                raise DatasetError(f"{path}: pair {row.get('id', '?')!r} has the same turn twice")
            pairs.append((sides[0], sides[1]))
        request = ScoreRequest(
            messages=parse_messages(first["prompt"]),
            tools=ToolSet.of(json.loads(first["tools"]), lenient=True),
            candidates=tuple(candidates),
        )
    except (ValueError, TypeError, IndexError, KeyError, AttributeError) as exc:
        if isinstance(exc, DatasetError):
            raise
        raise DatasetError(
            f"{path}: pair {name!r} is not in TRL's explicit conversational shape ({exc}); "
            "`prompt`, `chosen` and `rejected` are lists of messages, `tools` is JSON text"
        ) from exc
    return Decision(
        key=f"{first.get('source', '')}:{name}", source=str(first.get("source") or "pairs"),
        request=request, right=tuple(right), pairs=tuple(dict.fromkeys(pairs)),
    )  # fmt: skip


def _message(side: object) -> object:
    """Return the one message of a side; a string would give its last character."""
    if not isinstance(side, list):
        raise TypeError(f"a side is {type(side).__name__}")
    return side[-1]


def _label(row: Row) -> bool | None:
    score = row.get("chosen_score")
    return None if score is None or score < 1.0 else True
