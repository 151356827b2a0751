"""The rows that are written, in shapes of the preference pipeline, each with its provenance.

`trl_explicit` and `trl_implicit` are TRL's conversational preference data; arguments and tools are
JSON text, as in the pipeline's files. `pointwise` is one `LabelledRecord` a decision, which the
trainer of `lite`, `toolrm-guard calibrate` and the pipeline read.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Literal

from toolrm_guard.harvest.labels import HarvestedPair
from toolrm_guard.harvest.split import Side
from toolrm_guard.records import CallRecord, CandidateRecord, MessageRecord, candidate_from_record

Shape = Literal["trl_explicit", "trl_implicit", "pointwise"]
Row = dict[str, Any]
_SOURCE = "traces"


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """A pair that is written.

    Attributes:
        id: Of the review, with the pair's number in it.
        side: Of the split.
        effect: Effect class of the chosen side, or `answer`.
        tool: Its tool.
        root: What stays on one side of a split: the conversation, or the review without one.
    """

    id: str
    pair: HarvestedPair
    side: Side
    effect: str
    tool: str
    root: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """What all rows of a harvest have in common.

    Attributes:
        store: Name of the store, without folder, host or password.
        version: Of the library.
    """

    store: str
    version: str


def rows(kept: Sequence[Kept], shape: Shape, origin: Origin) -> Iterator[tuple[Side, Row]]:
    """Yield (side, row), in order: one row a pair, or one a decision for `pointwise`."""
    if shape == "pointwise":
        for _, found in groupby(kept, key=lambda item: item.pair.review.id):
            group = list(found)
            yield group[0].side, _labelled(group, origin)
        return
    for item in kept:
        yield item.side, _conversational(item, origin, explicit=shape == "trl_explicit")


def provenance(item: Kept, origin: Origin) -> Row:
    """Return where a pair comes from and what says that it is one."""
    review = item.pair.review
    return {
        "store": origin.store,
        "review": review.id,
        "rejected_review": item.pair.rejected_in,
        "conversation": review.conversation_id,
        "scorer": review.scorer,
        "fingerprint": review.scorer_fingerprint,
        "record_version": review.version,
        "version": origin.version,
    }


def _conversational(item: Kept, origin: Origin, *, explicit: bool) -> Row:
    pair = item.pair
    prompt = [_message(message) for message in pair.review.messages]
    number = len(prompt)
    chosen = [_turn(pair.chosen, number)]
    rejected = [_turn(pair.rejected, number)]
    sides: Row = (
        {"prompt": prompt, "chosen": chosen, "rejected": rejected}
        if explicit
        else {"chosen": [*prompt, *chosen], "rejected": [*prompt, *rejected]}
    )
    tools = [{"type": "function", "function": tool} for tool in pair.review.tools]
    return {
        "id": item.id,
        **sides,
        "tools": _json(tools),
        "source": _SOURCE,
        "label": pair.label,
        "rejected_by": pair.rejected_by,
        "rejected_error": _error(pair),
        "chosen_score": pair.chosen.probability,
        "rejected_score": pair.rejected.probability,
        "margin": pair.margin,
        "effect": item.effect,
        "tool": item.tool,
        "provenance": provenance(item, origin),
    }


def _labelled(group: Sequence[Kept], origin: Origin) -> Row:
    """Return the decision with its whole pool, so that how often a turn was drawn is kept.

    Candidates that stand in no pair have no label. A chosen side that only a score vouches for is
    no reference: nobody may edit it and call the result wrong.
    """
    first = group[0]
    review, chosen = first.pair.review, first.pair.chosen
    labels: dict[str, Row] = {
        _canonical(item.pair.rejected): {"correct": False, "error_type": _error(item.pair)}
        for item in group
    }
    labels[_canonical(chosen)] = {"correct": True, "origin": first.pair.label}
    drawn = {_canonical(candidate) for candidate in review.candidates}
    elsewhere = [i.pair.rejected for i in group if _canonical(i.pair.rejected) not in drawn]
    return {
        "id": review.id,
        "source": _SOURCE,
        "split": first.side,
        "tools": review.tools,
        "messages": [_plain_message(message) for message in review.messages],
        "reference": None if first.pair.label == "score" else _plain_turn(chosen),
        "candidates": [
            {
                "model": "traced agent",
                **_plain_turn(candidate),
                **labels.get(_canonical(candidate), {"correct": None}),
            }
            for candidate in [*review.candidates, *elsewhere]
        ],
        "dialog": first.root,
        "labels": {
            "chosen": first.pair.label,
            "rejected": [item.pair.rejected_by for item in group],
            "provenance": [provenance(item, origin) for item in group],
        },
    }


def _canonical(candidate: CandidateRecord) -> str:
    return candidate_from_record(candidate).canonical


def _error(pair: HarvestedPair) -> str:
    """Return the first certain error of the rejected side, else what speaks against it."""
    errors = [f.code for f in pair.rejected.findings if f.severity == "error"]
    return errors[0] if errors else f"by_{pair.rejected_by}"


def _message(record: MessageRecord) -> Row:
    message: Row = {"role": record.role, "content": record.text}
    if record.calls:
        message["tool_calls"] = [
            _openai_call(call, call.id or f"call_{index}")
            for index, call in enumerate(record.calls)
        ]
    if record.role == "tool":
        message["tool_call_id"] = record.call_id
        message["name"] = record.name
    return message


def _turn(candidate: CandidateRecord, number: int) -> Row:
    """Return a side as the assistant message at a place; ids that name neither side."""
    message: Row = {"role": "assistant", "content": candidate.text}
    if candidate.calls:
        message["tool_calls"] = [
            _openai_call(call, f"call_{number}_{index}")
            for index, call in enumerate(candidate.calls)
        ]
    return message


def _openai_call(call: CallRecord, call_id: str) -> Row:
    function = {"name": call.name, "arguments": _json(call.arguments)}
    return {"id": call_id, "type": "function", "function": function}


def _plain_message(record: MessageRecord) -> Row:
    message: Row = {"role": record.role, "content": record.text}
    if record.calls:
        message["tool_calls"] = [
            {"id": call.id, "name": call.name, "arguments": call.arguments} for call in record.calls
        ]
    if record.role == "tool":
        message.update(name=record.name, tool_call_id=record.call_id)
    return message


def _plain_turn(candidate: CandidateRecord) -> Row:
    if any(call.defect for call in candidate.calls):
        return {"content": candidate.text or None, "tool_calls": None}
    calls = [{"name": call.name, "arguments": call.arguments} for call in candidate.calls]
    return {"content": candidate.text or None, "tool_calls": calls}


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)
