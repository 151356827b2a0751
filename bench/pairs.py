"""Pairs with their contexts, checked as a whole before anything is scored."""

import dataclasses
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.judges.protocol import Chat, Question
from toolrm_guard.labelled import (
    LabelledFileError,
    LabelledPair,
    LabelledRecord,
    PairSide,
    read_pairs,
    read_records,
)
from toolrm_guard.scorers.base import ScoreRequest
from toolrm_guard.selection import votes


@dataclass(frozen=True, slots=True, kw_only=True)
class Case(Question):
    """A pair ready to be judged.

    Attributes:
        chosen: Index of the right one in `request`; no judge sees it.
        prompts: Published prompts of a generative comparison with the number of the right one, in
            both orders; without them the comparison is rendered here.
    """

    pair: LabelledPair
    chosen: int
    prompts: tuple[tuple[Chat, int], ...] = ()


def load_pairs(
    pairs_path: Path, records_path: Path, splits: Sequence[str] | None = None
) -> list[Case]:
    """Return the pairs with their contexts.

    Args:
        pairs_path: The pairs.
        records_path: The records that they were made from.
        splits: The ones to take; default: all that the records have, none of which may be missing.

    Raises:
        LabelledFileError: If a file is bad, an id stands twice, a pair does not belong to the
            records, or a split has no pairs.
    """
    pairs = read_pairs(pairs_path)
    records = {record.id: record for record in read_records(records_path)}
    unknown = sorted({pair.prompt_id for pair in pairs} - records.keys())
    if unknown:
        raise LabelledFileError(
            f"{pairs_path}: {len(unknown)} prompt ids are not in {records_path}, e.g. "
            f"{', '.join(unknown[:3])}; give the record file the pairs were made from"
        )
    for pair in pairs:
        _check_belongs(pair, records[pair.prompt_id], pairs_path, records_path)
    expected = splits or sorted({record.split for record in records.values()})
    check_splits([pair.split for pair in pairs], expected, pairs_path)
    taken = [pair for pair in pairs if pair.split in expected]
    contexts = {
        key: ScoreRequest(
            messages=records[key].parsed_messages(), tools=records[key].toolset(), candidates=()
        )
        for key in {pair.prompt_id for pair in taken}
    }
    return [_case(pair, records[pair.prompt_id], contexts[pair.prompt_id]) for pair in taken]


def check_splits(found: Sequence[str], expected: Sequence[str], path: Path) -> None:
    """Refuse a file without pairs for a split.

    Raises:
        LabelledFileError: Naming the splits.
    """
    present = sorted(set(found))
    missing = sorted(set(expected) - set(present))
    if missing:
        raise LabelledFileError(
            f"{path}: no pairs for split {', '.join(missing)}; there are {', '.join(present)}. An "
            "average without a split is another number: complete the file, or name the splits to "
            "judge with --splits"
        )


def _check_belongs(
    pair: LabelledPair, record: LabelledRecord, pairs_path: Path, records_path: Path
) -> None:
    wrong = None
    if pair.split != record.split:
        wrong = f"is of split {pair.split!r}, but its record of {record.split!r}"
    elif _label(pair.chosen, record) is False:
        wrong = "has a chosen side that its record calls wrong"
    elif _label(pair.rejected, record) is True:
        wrong = "has a rejected side that its record calls right"
    if wrong is not None:
        raise LabelledFileError(
            f"{pairs_path}: pair {pair.id!r} {wrong} ({records_path}, {record.id!r}); give the "
            "record file the pairs were made from"
        )


def _label(side: PairSide, record: LabelledRecord) -> bool | None:
    """Return what the record says of this model's same calls; None if it does not know them."""
    labels = {
        candidate.correct
        for candidate in record.candidates
        if candidate.model == side.model
        and candidate.origin == side.origin
        and candidate.tool_calls == side.tool_calls
        and candidate.correct is not None
    }
    return labels.pop() if len(labels) == 1 else None


def chosen_index(pair_id: str) -> int:
    """Return where the right side stands: a hash of the id, so that position tells nothing."""
    return hashlib.sha256(pair_id.encode()).digest()[0] % 2


def _case(pair: LabelledPair, record: LabelledRecord, context: ScoreRequest) -> Case:
    sides = [pair.chosen.candidate(), pair.rejected.candidate()]
    chosen = chosen_index(pair.id)
    if chosen:
        sides.reverse()
    return Case(
        pair=pair,
        request=dataclasses.replace(context, candidates=tuple(sides)),
        chosen=chosen,
        pool=votes(c.candidate() for c in record.candidates if c.tool_calls is not None),
    )
