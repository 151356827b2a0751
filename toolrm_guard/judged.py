"""Turns whose rightness is known, scored: the evidence that thresholds and reports rest on.

Two sources: labelled records, and a trace store whose outcomes say what became of the calls.
"""

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from toolrm_guard import blocking
from toolrm_guard.calibration import JudgedTurn
from toolrm_guard.calls import Candidate
from toolrm_guard.errors import ConfigurationError, CouldNotJudge, InvalidScore, ScorerTimeout
from toolrm_guard.labelled import LabelledRecord
from toolrm_guard.policy import Policy, is_blocked
from toolrm_guard.records import (
    OutcomeIndex,
    OutcomeRecord,
    ReviewRecord,
    candidate_from_record,
    effects_by_tool,
    message_from_record,
)
from toolrm_guard.scorers.base import Score, Scorer, ScoreRequest, ThresholdKind
from toolrm_guard.selection import best
from toolrm_guard.tools import Effect, ToolSet

EffectOf = Callable[[str, ToolSet], Effect]
Progress = Callable[[Sequence["Decision"]], Iterable["Decision"]]

_TELLING = ("execution", "task", "human")
"""Outcomes that say whether a call was right; `blocked` only says that it did not run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """Candidates of one turn, and which of them are right.

    Attributes:
        right: Label per candidate; None where none is trusted.
        proposal: Index of the turn that is judged; None takes the one a guard would choose.
        count: How often the very same decision stands in its group.
    """

    group: str
    split: str
    request: ScoreRequest
    right: tuple[bool | None, ...]
    proposal: int | None
    effect_of: EffectOf
    count: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """Judged turns, and what could not be used.

    Attributes:
        unjudged: Decisions without a score, by reason: an outage is no low score.
    """

    turns: tuple[JudgedTurn, ...]
    unjudged: Mapping[str, int]


def from_labelled(
    records: Iterable[LabelledRecord],
    *,
    candidates: int = 1,
    seed: int = 0,
    policy: Policy | None = None,
) -> list[Decision]:
    """Return the decisions of labelled records.

    Args:
        records: Outputs that cannot be read or have no label are left out.
        candidates: How many outputs one decision holds. 1 judges each by itself, as in a graph
            without sampling; more are drawn without replacement, and the best-scored is judged.
        seed: Of the draw.
        policy: Says which effect class a tool has.

    Raises:
        ConfigurationError: If a tool schema is invalid, or no decision has enough candidates.
    """
    effect_of = (policy or Policy()).effect_of
    rng = random.Random(seed)
    made = [
        decision
        for record in records
        for decision in _decisions(record, candidates, rng, effect_of)
    ]
    if not made:
        raise ConfigurationError(
            f"no record has {candidates} readable, labelled candidates; give other records"
        )
    return made


def _decisions(
    record: LabelledRecord, size: int, rng: random.Random, effect_of: EffectOf
) -> Iterator[Decision]:
    messages, tools = record.parsed_messages(), record.toolset()
    pool = [
        (candidate.candidate(), candidate.correct)
        for candidate in record.candidates
        if candidate.tool_calls is not None
        and candidate.correct is not None
        and not candidate.only_scored
    ]
    drawn: Iterable[tuple[Sequence[tuple[Candidate, bool]], int]]
    if size == 1:
        # Equal turns have equal scores: each is scored once, and counts as often as it was given.
        counts = Counter((c.canonical, c.text, right) for c, right in pool)
        first = {(c.canonical, c.text, right): (c, right) for c, right in reversed(pool)}
        drawn = [([first[key]], count) for key, count in counts.items()]
    else:
        rng.shuffle(pool)
        drawn = [(pool[at : at + size], 1) for at in range(0, len(pool) - size + 1, size)]
    for chosen, count in drawn:
        yield Decision(
            group=record.group,
            split=record.split,
            request=ScoreRequest(
                messages=messages, tools=tools, candidates=tuple(c for c, _ in chosen)
            ),
            right=tuple(right for _, right in chosen),
            proposal=None,
            effect_of=effect_of,
            count=count,
        )


def from_traces(
    reviews: Iterable[ReviewRecord],
    outcomes: Iterable[OutcomeRecord],
    *,
    policy: Policy | None = None,
) -> list[Decision]:
    """Return the decisions of a trace store whose outcome is known.

    Only shadow reviews count: an enforcing guard never learns what would have become of the right
    calls that it blocked, so its records hold no evidence about thresholds below its own.
    A call is right if something is known of it and nothing bad: it ran well, its task was solved, a
    person approved it. A turn is right if all its calls are.

    Raises:
        ConfigurationError: If no review was made in shadow mode.
    """
    by_call = OutcomeIndex(outcome for outcome in outcomes if outcome.kind in _TELLING)
    every = list(reviews)
    shadow = [review for review in every if review.mode == "shadow"]
    if not shadow:
        raise ConfigurationError(
            f"{len(every)} reviews, none in shadow mode: a guard that enforces never learns what "
            "would have become of the right calls it blocked; record with Policy(mode='shadow')"
        )
    effect_of = recorded_effects(shadow, policy or Policy())
    return [
        decision
        for review in shadow
        if (decision := _decision_of(review, by_call, effect_of)) is not None
    ]


def _decision_of(
    review: ReviewRecord, by_call: OutcomeIndex, effect_of: EffectOf
) -> Decision | None:
    """Return the decision about what the model proposed, if its outcome is known."""
    proposal = review.candidates[0]  # in shadow it ran, whatever was chosen
    known = [by_call.of(call, review) for call in proposal.calls if call.defect is None]
    if len(known) < len(proposal.calls) or not known:
        return None
    failed = any(not outcome.ok for call in known for outcome in call)
    if not failed and not all(known):
        return None
    request = ScoreRequest(
        messages=tuple(message_from_record(message) for message in review.messages),
        tools=ToolSet.of(review.tools),
        candidates=tuple(candidate_from_record(candidate) for candidate in review.candidates),
    )
    return Decision(
        group=review.conversation_id or review.id,
        split="",
        request=request,
        right=(not failed, *([None] * (len(review.candidates) - 1))),
        proposal=0,
        effect_of=effect_of,
    )


def recorded_effects(reviews: Iterable[ReviewRecord], policy: Policy) -> EffectOf:
    """Return effect classes as the application's own policy gave them, as far as recorded."""
    recorded = effects_by_tool(reviews)
    return lambda name, tools: recorded.get(name) or policy.effect_of(name, tools)


def judge(
    decisions: Sequence[Decision],
    scorer: Scorer,
    *,
    timeout_s: float = 60.0,
    progress: Progress = iter,
) -> Evidence:
    """Return the judged turns of the decisions, scored one after the other.

    Args:
        decisions: From `from_labelled` or `from_traces`.
        scorer: What gives the probabilities.
        timeout_s: Seconds after which a decision counts as unjudged.
        progress: Wraps the decisions, e.g. `rich.progress.track`.
    """
    turns: list[JudgedTurn] = []
    unjudged: Counter[str] = Counter()
    for decision in progress(decisions):
        try:
            scores = blocking.run(scores_of(scorer, decision.request, timeout_s))
        except CouldNotJudge as exc:
            unjudged[f"{type(exc).__name__}: {exc}"] += 1
            continue
        chosen = chosen_of(decision, scores)
        right = decision.right[chosen]
        if right is not None:
            turns.append(
                JudgedTurn(
                    group=decision.group,
                    split=decision.split,
                    kinds=kinds_of(
                        decision.request.candidates[chosen],
                        decision.request.tools,
                        decision.effect_of,
                    ),
                    probability=scores[chosen].probability,
                    right=right,
                    count=decision.count,
                )
            )
    return Evidence(turns=tuple(turns), unjudged=dict(unjudged))


def chosen_of(decision: Decision, scores: Sequence[Score]) -> int:
    """Return the index of the turn that is judged: the proposal, or the guard's own choice."""
    if decision.proposal is not None:
        return decision.proposal
    return best([score.reward for score in scores], blocked=_blocked(decision.request))


def kinds_of(
    candidate: Candidate, tools: ToolSet, effect_of: EffectOf
) -> tuple[ThresholdKind, ...]:
    """Return which threshold each call must reach; a turn without calls has that of answers."""
    return tuple(effect_of(call.name, tools) for call in candidate.calls) or ("answer",)


async def scores_of(scorer: Scorer, request: ScoreRequest, timeout_s: float) -> list[Score]:
    """Return one score per candidate.

    Raises:
        CouldNotJudge: If the scorer fails, is late, or answers with another number of scores.
    """
    try:
        async with asyncio.timeout(timeout_s):
            [scores] = await scorer.score([request], None)
    except TimeoutError as exc:
        raise ScorerTimeout(f"no scores within {timeout_s:g} s") from exc
    if len(scores) != len(request.candidates):
        raise InvalidScore(f"{len(scores)} scores came for {len(request.candidates)} candidates")
    return scores


def _blocked(request: ScoreRequest) -> list[bool]:
    if len(request.candidates) == 1:
        return [False]
    policy = Policy()
    return [
        is_blocked(candidate, request.finder.find_certain(candidate), request.tools, policy)
        for candidate in request.candidates
    ]
