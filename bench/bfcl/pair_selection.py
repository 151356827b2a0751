"""Which pairs make a benchmark: capped per prompt, balanced over error types and models.

Answers with the same canonical calls are one answer that several models gave. Both sides are
written in one form (arguments by name, parallel calls by their canonical text, no text beside
calls, and the text of an answer without a call in one paragraph), so that nothing but what is
called tells them apart.
"""

import hashlib
import heapq
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from bench.bfcl.pools import EXECUTED
from bench.metrics import error_head
from toolrm_guard.bfcl.checker import check
from toolrm_guard.labelled import (
    LabelledCall,
    LabelledCandidate,
    LabelledPair,
    LabelledRecord,
    PairSide,
)

MAX_TEXT = 1_000
"""Characters of an answer without a call that are kept."""

_Rank = tuple[int, int, int, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One distinct answer to a prompt.

    Attributes:
        canonical: Its calls; empty for an answer without any.
        given: The outputs with these calls, one a model and origin.
        error_type: None if it is right.
    """

    canonical: str
    given: tuple[LabelledCandidate, ...]
    error_type: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool:
    """A prompt with its distinct right and wrong answers.

    Attributes:
        group: What the cap counts by: the prompt, or the dialog that several points belong to.
    """

    prompt_id: str
    group: str
    split: str
    right: tuple[Answer, ...]
    wrong: tuple[Answer, ...]


@dataclass(slots=True)
class Selector:
    """Takes pairs one by one, the least used error type and models first.

    Attributes:
        cap: Pairs of one prompt, or of one dialog.
        per_split: Pairs of one split; None for as many as there are.
        per_model: Pairs of one split that reject an answer of the same model; None for any number.
        seed: Decides between what is used alike.
    """

    cap: int = 4
    per_split: int | None = None
    per_model: int | None = None
    seed: int = 0

    def select(self, pools: Sequence[Pool]) -> list[LabelledPair]:
        """Return the pairs in the order of the pools; the same for any order of candidates."""
        taken: _Taken = defaultdict(list)
        uses = _Uses()
        for split in dict.fromkeys(pool.split for pool in pools):
            members = [i for i, pool in enumerate(pools) if pool.split == split and pool.right]
            self._split(pools, members, taken, uses)
        by_prompt: dict[str, list[LabelledPair]] = {pool.prompt_id: [] for pool in pools}
        for pairs in taken.values():
            for pair in pairs:
                by_prompt[pair.prompt_id].append(pair)
        return [
            pair.model_copy(update={"id": f"{prompt}#{number}"})
            for prompt, pairs in by_prompt.items()
            for number, pair in enumerate(pairs)
        ]

    def _split(
        self, pools: Sequence[Pool], members: Sequence[int], taken: "_Taken", uses: "_Uses"
    ) -> None:
        uses.errors.clear()
        uses.in_split.clear()
        heap = [
            (first, index, number)
            for index in members
            for number, wrong in enumerate(pools[index].wrong)
            if (first := self._rank(pools[index], wrong, (), uses)) is not None
        ]
        heapq.heapify(heap)
        while heap and (self.per_split is None or uses.errors.total() < self.per_split):
            known, index, number = heapq.heappop(heap)
            pool, answer = pools[index], pools[index].wrong[number]
            before = taken[pool.group]
            now = self._rank(pool, answer, before, uses)
            if now is not None and now > known:
                # Counts only grow: what was the smallest once is compared anew.
                heapq.heappush(heap, (now, index, number))
            elif now is not None:
                before.append(self._pair(pool, answer, before, uses))
                uses.add(before[-1])

    def _rank(
        self, pool: Pool, answer: Answer, before: Sequence[LabelledPair], uses: "_Uses"
    ) -> _Rank | None:
        """Return how much there is of this already; None if no more may be taken."""
        outputs = self._open(answer, uses)
        if not outputs or len(before) >= self.cap:
            return None
        if not answer.canonical and any(not pair.rejected.tool_calls for pair in before):
            return None  # a second answer without a call is no new pair
        return (
            uses.errors[error_head(answer.error_type)],
            min(uses.rejected[output.model] for output in outputs),
            len(before),
            self._tie(pool.prompt_id, answer.canonical),
        )

    def _open(self, answer: Answer, uses: "_Uses") -> list[LabelledCandidate]:
        """Return the outputs whose model may still be rejected in this split."""
        limit = self.per_model
        return [o for o in answer.given if limit is None or uses.in_split[o.model] < limit]

    def _pair(
        self, pool: Pool, wrong: Answer, before: Sequence[LabelledPair], uses: "_Uses"
    ) -> LabelledPair:
        used = Counter(pair.chosen.candidate().canonical for pair in before)
        right = min(
            pool.right,
            key=lambda answer: (
                used[answer.canonical],
                min(uses.chosen[output.model] for output in answer.given),
                self._tie(pool.prompt_id, answer.canonical),
            ),
        )
        ordered = pool.split == EXECUTED
        return LabelledPair(
            id=pool.prompt_id,
            prompt_id=pool.prompt_id,
            split=pool.split,
            chosen=canonical_side(self._least(right.given, uses.chosen), ordered=ordered),
            rejected=canonical_side(
                self._least(self._open(wrong, uses), uses.rejected), ordered=ordered
            ),
            rejected_error_type=wrong.error_type,
        )

    def _least(self, outputs: Sequence[LabelledCandidate], used: Counter[str]) -> LabelledCandidate:
        return min(
            outputs,
            key=lambda o: (used[o.model], self._tie(o.model, str(o.origin)), o.content or ""),
        )

    def _tie(self, *parts: str) -> str:
        return hashlib.sha256("\0".join((str(self.seed), *parts)).encode()).hexdigest()


_Taken = defaultdict[str, list[LabelledPair]]
"""The pairs of each group."""


@dataclass(slots=True)
class _Uses:
    """How often everything was used: models over all splits, the rest within one."""

    chosen: Counter[str] = field(default_factory=Counter)
    rejected: Counter[str] = field(default_factory=Counter)
    in_split: Counter[str] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)

    def add(self, pair: LabelledPair) -> None:
        self.chosen[pair.chosen.model] += 1
        self.rejected[pair.rejected.model] += 1
        self.in_split[pair.rejected.model] += 1
        self.errors[error_head(pair.rejected_error_type)] += 1


def pool_of(record: LabelledRecord, conflicts: Counter[str]) -> Pool:
    """Return a record's distinct answers; those that are labelled both ways are left out.

    Args:
        record: The prompt and its candidates.
        conflicts: By split; counts answers with both labels.
    """
    given: dict[str, list[LabelledCandidate]] = defaultdict(list)
    for output in record.candidates:
        if output.tool_calls is not None and output.correct is not None:
            given[output.candidate().canonical].append(output)
    right, wrong = [], []
    for canonical, outputs in sorted(given.items()):
        if len({output.correct for output in outputs}) > 1:
            conflicts[record.split] += 1
            continue
        models = {(o.model, o.origin, o.content or ""): o for o in outputs}
        same = tuple(models[key] for key in sorted(models, key=str))
        if outputs[0].correct:
            right.append(Answer(canonical=canonical, given=same, error_type=None))
        else:
            error = _error_type(record, outputs)
            wrong.append(Answer(canonical=canonical, given=same, error_type=error))
    return Pool(
        prompt_id=record.id,
        group=record.dialog or record.id,
        split=record.split,
        right=tuple(right),
        wrong=tuple(wrong),
    )


def _error_type(record: LabelledRecord, outputs: Sequence[LabelledCandidate]) -> str:
    """Return what is wrong with an answer: as labelled, or as our checker finds it."""
    named = Counter(output.error_type for output in outputs if output.error_type)
    if named:
        return min(named, key=lambda error: (-named[error], error))
    calls = outputs[0].tool_calls or ()
    found = check(record.split, record.tools, record.accept, calls) if record.accept else None
    return (found.error_type if found else None) or "unknown"


def canonical_side(output: LabelledCandidate, *, ordered: bool = False) -> PairSide:
    """Return an output as one side of a pair, in the form that both sides share.

    Args:
        output: A readable output.
        ordered: Whether the order of its calls says something.
    """
    candidate = output.candidate()
    calls = candidate.calls if ordered else sorted(candidate.calls, key=lambda c: c.canonical)
    text = " ".join(candidate.text.split())[:MAX_TEXT].strip()
    return PairSide(
        model=output.model,
        origin=output.origin,
        content=None if calls else text,
        tool_calls=tuple(
            LabelledCall(name=call.name, arguments=_by_key(call.arguments)) for call in calls
        ),
    )


def _by_key(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _by_key(value[key]) for key in sorted(value)}
    return [_by_key(item) for item in value] if isinstance(value, list) else value
