"""Candidate groups for the `lite` ranker, made from labelled packs.

Real model outputs with trusted labels are taken as they are. References become groups of one right
answer and labelled edits of it. Single-turn references are also multiplied (one tool, several
values), joined (two requests in one) and robbed of their tools (no call is right), since
benchmarks ask for these and the packs hold few.
"""

import json
import random
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from toolrm_guard.calls import Candidate
from toolrm_guard.errors import InvalidToolError
from toolrm_guard.grounding import Evidence
from toolrm_guard.labelled import LabelledRecord, read_records
from toolrm_guard.messages import Message
from toolrm_guard.relevance import latest_request
from toolrm_guard.scorers.agreement import LEAST
from toolrm_guard.scorers.base import ScoreRequest
from toolrm_guard.tools import Tool, ToolSet
from training.continued import continue_from
from training.perturb import Labelled, Subject, ValuePool, perturb, right_variants
from training.synthetic import Single, synthesize

WRONG_PER_GROUP = 7
POOL = 16
"""Candidates of a pool, at most."""
_PLAN = re.compile(r"\s*\n\s*(?:Plan|计划)\s*[:：].*", re.S)
_HARSH = ("param_names", "value")
"""UltraTool's error types that only mean another wording or an extra optional argument."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Candidates of one context with their labels.

    Attributes:
        source: Pack the context came from; for leave-one-source-out only, never a feature.
        key: Groups of one key belong on one side of a split.
        kind: How it was made: `real`, `edits`, `multiplied`, `joined` or `no_tool`.
        pool: Whether the candidates are a draw of all outputs to one prompt, right or wrong as they
            come, so that their agreement means something; the trees do not learn from it.
    """

    source: str
    key: str
    kind: str
    request: ScoreRequest
    right: tuple[bool, ...]
    errors: tuple[str | None, ...]
    pool: bool = False


def read_packs(folder: Path) -> list[LabelledRecord]:
    """Return the records of every pack in a folder, by file name.

    Raises:
        LabelledFileError: If a pack is bad, or the folder has none.
    """
    records = []
    for path in sorted(folder.glob("*.jsonl*")):
        records += read_records(path)
    return records


def make_groups(records: Sequence[LabelledRecord], seed: int, cap: int = 1500) -> list[Group]:
    """Return the groups of all records.

    Args:
        records: Of any number of sources.
        seed: Everything random follows from it and the record's id.
        cap: At most this many records a source become groups of edits.
    """
    groups: list[Group] = []
    sources = sorted({record.source for record in records})
    for source in sources:
        own = [record for record in records if record.source == source]
        random.Random(f"{seed}:{source}").shuffle(own)
        groups += _source_groups(own, seed, cap)
    return groups


def _source_groups(records: list[LabelledRecord], seed: int, cap: int) -> Iterator[Group]:
    pool = ValuePool()
    singles: list[Single] = []
    for record in records:
        if record.reference and record.reference.tool_calls:
            pool.learn(record.reference.candidate().calls)
    made = 0
    for record in records:
        rng = random.Random(f"{seed}:{record.id}")
        tools = _toolset(record.tools)
        if tools is None:
            continue
        if record.candidates:
            yield from _real(record, tools, rng)
        if made < cap:
            for group in _edited(record, tools, pool, rng):
                made += 1
                yield group
        single = _single(record, tools)
        if single is not None and len(singles) < cap:
            singles.append(single)
    yield from _synthetic(singles, pool, seed)
    yield from _continued(singles, seed)


def _continued(singles: list[Single], seed: int) -> Iterator[Group]:
    for index, single in enumerate(singles):
        rng = random.Random(f"{seed}:continued:{single.record.id}")
        made = continue_from(single, singles[index - 1], rng) if rng.random() < 0.5 else None
        if made is not None:
            right = [Labelled(candidate=candidate, right=True) for candidate in made.right]
            labelled = [*right, *made.wrong]
            yield _group(single.record, "continued", made.messages, single.tools, labelled)


def _synthetic(singles: list[Single], pool: ValuePool, seed: int) -> Iterator[Group]:
    for record, kind, made, rng in synthesize(singles, pool, seed):
        subject = Subject(
            request=made.request, tools=made.tools, calls=made.calls, pool=pool, rng=rng
        )
        messages = (Message(role="user", text=made.request),)
        reference = Candidate(calls=made.calls)
        yield from _with_edits(record, kind, messages, reference, subject, made.wrong)


# --- contexts -----------------------------------------------------------------------------------


@cache
def _tool(text: str) -> Tool | None:
    try:
        return Tool.parse(json.loads(text))
    except InvalidToolError:
        return None


def _toolset(schemas: Sequence[Mapping[str, Any]]) -> ToolSet | None:
    """Return the tools, each distinct schema checked once; None if one is not valid."""
    tools = [_tool(json.dumps(dict(schema), sort_keys=True)) for schema in schemas]
    valid = [tool for tool in tools if tool is not None]
    if len({tool.name for tool in valid}) < len(tools):
        return None
    return ToolSet(valid)


def _reference(record: LabelledRecord, tools: ToolSet) -> Candidate | None:
    if record.reference is None or record.reference.tool_calls is None:
        return None
    if record.reference_valid is False:
        return None
    candidate = record.reference.candidate()
    return candidate if all(call.name in tools for call in candidate.calls) else None


def _single(record: LabelledRecord, tools: ToolSet) -> Single | None:
    reference = _reference(record, tools)
    messages = record.parsed_messages()
    if reference is None or not 1 <= len(reference.calls) <= 4:
        return None
    if any(m.role in ("assistant", "tool") for m in messages):
        return None
    request = _PLAN.sub("", latest_request(messages))
    evidence = Evidence((request,))
    values = [v for call in reference.calls for v in call.arguments.values()]
    if len(request) > 1500 or any(evidence.support(v) < 0.5 for v in values if v != ""):
        return None
    return Single(record=record, request=request, tools=tools, calls=reference.calls)


# --- groups -------------------------------------------------------------------------------------


def _real(record: LabelledRecord, tools: ToolSet, rng: random.Random) -> Iterator[Group]:
    """Model outputs as they are: once each distinct one, once as a pool that can agree."""
    labelled = [
        Labelled(candidate=c.candidate(), right=c.correct, error=c.error_type or None)
        for c in record.candidates
        if c.tool_calls is not None and c.correct is not None
        and not (c.correct is False and c.error_type in _HARSH)
    ]  # fmt: skip
    messages = record.parsed_messages()
    if len({item.right for item in labelled}) == 2:
        distinct = list({item.candidate.canonical: item for item in labelled}.values())
        yield _group(record, "real", messages, tools, distinct)
    if len(labelled) >= LEAST:
        drawn = rng.sample(labelled, min(rng.randint(LEAST, POOL), len(labelled)))
        yield replace(_group(record, "real", messages, tools, drawn), pool=True)


def _edited(
    record: LabelledRecord, tools: ToolSet, pool: ValuePool, rng: random.Random
) -> Iterator[Group]:
    reference = _reference(record, tools)
    if reference is None or len(reference.calls) > 8 or not tools:
        return
    messages = tuple(
        replace(m, text=_PLAN.sub("", m.text)) if m.role == "user" else m
        for m in record.parsed_messages()
    )
    request = latest_request(messages)
    if not request.strip():
        return
    subject = Subject(request=request, tools=tools, calls=reference.calls, pool=pool, rng=rng)
    yield from _with_edits(record, "edits", messages, reference, subject)


def _with_edits(
    record: LabelledRecord,
    kind: str,
    messages: tuple[Message, ...],
    reference: Candidate,
    subject: Subject,
    known_wrong: Sequence[Labelled] = (),
) -> Iterator[Group]:
    # Variants are edited, too: spelled-out defaults must say nothing about being right.
    variants = right_variants(subject)
    wrong = [*known_wrong, *perturb(subject, WRONG_PER_GROUP if reference.calls else 3)]
    for variant in variants:
        wrong += perturb(replace(subject, calls=variant.candidate.calls), WRONG_PER_GROUP // 2)
    if not wrong:
        return
    right = [Labelled(candidate=reference, right=True), *variants]
    yield _group(record, kind, messages, subject.tools, [*right, *wrong])


def _group(
    record: LabelledRecord,
    kind: str,
    messages: tuple[Message, ...],
    tools: ToolSet,
    labelled: Sequence[Labelled],
) -> Group:
    return Group(
        source=record.source,
        key=f"{record.source}:{record.group}",
        kind=kind,
        request=ScoreRequest(
            messages=messages, tools=tools, candidates=tuple(i.candidate for i in labelled)
        ),
        right=tuple(item.right for item in labelled),
        errors=tuple(item.error for item in labelled),
    )
