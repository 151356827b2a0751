"""Pairs through a judge: what became of each, and the report of all.

A pair is ranked `right` or `wrong`, is a `tie`, has an answer that names no choice (`unparsed`), or
could not be judged, for a reason that is counted. Only `right` is right.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from bench.judges.attempts import Attempts, ask_all
from bench.judges.protocol import Judge, PromptRanker, Ranker, Rater, rewards_of
from bench.metrics import Report, accuracy_by, bootstrap, error_head, slice_of
from bench.pairs import Case
from toolrm_guard.labelled import LabelledPair

Kind = Literal["right", "wrong", "tie", "unparsed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of a judged pair.

    Attributes:
        same_place: Whether a ranker named the same place in both orders: the order decided.
    """

    kind: Kind
    same_place: bool = False


def judge_pairs(cases: Sequence[Case], judge: Judge, timeout_s: float) -> Attempts[Outcome]:
    """Return what became of every pair.

    Raises:
        ConfigurationError: If the set-up is wrong; no number would say anything then.
    """
    return ask_all(len(cases), judge, lambda index: _outcome(cases[index], judge), timeout_s)


async def _outcome(case: Case, judge: Judge) -> Outcome:
    if isinstance(judge, Rater):
        rewards = await rewards_of(judge, case)
        chosen, rejected = rewards[case.chosen], rewards[1 - case.chosen]
        if chosen == rejected:
            return Outcome(kind="tie")
        return Outcome(kind="right" if chosen > rejected else "wrong")
    named = await _both_orders(case, judge)
    if any(choice is None for choice, _ in named):
        return Outcome(kind="unparsed")
    kind: Kind = "right" if all(choice == right for choice, right in named) else "wrong"
    return Outcome(kind=kind, same_place=named[0][0] == named[1][0])


async def _both_orders(case: Case, judge: Ranker) -> list[tuple[int | None, int]]:
    """Return, for both orders, which was chosen and which would be right."""
    if case.prompts and isinstance(judge, PromptRanker):
        asked: list[Awaitable[Any]] = [judge.choose(prompt) for prompt, _ in case.prompts]
        right = [truth for _, truth in case.prompts]
    else:
        sides = case.request.candidates
        good, bad = sides[case.chosen], sides[1 - case.chosen]
        asked = [judge.rank(case.request, good, bad), judge.rank(case.request, bad, good)]
        right = [1, 2]
    return list(zip(await asyncio.gather(*asked), right, strict=True))


def report_of(cases: Sequence[Case], judge: Judge, done: Attempts[Outcome]) -> Report:
    """Return the accuracy with its slices; without a judged pair there is none."""
    judged = [outcome for outcome in done.results if outcome is not None]
    found = Counter(outcome.kind for outcome in judged)
    wins = np.array([o is not None and o.kind == "right" for o in done.results])
    pairs = [case.pair for case in cases]
    splits = accuracy_by(wins, [pair.split for pair in pairs]) if judged else {}
    by_error = [error_head(pair.rejected_error_type) for pair in pairs]
    values_only = wins[np.array([is_values_only(pair) for pair in pairs])] if judged else wins[:0]
    extra = {}
    if isinstance(judge, Ranker) and judged:
        extra["same_place_twice"] = sum(o.same_place for o in judged) / len(judged)
    return Report(
        scorer=judge.name,
        pairs=len(pairs),
        weighted=float(wins.mean()) if judged else None,
        average=sum(part.accuracy for part in splits.values()) / len(splits) if judged else None,
        splits=splits,
        by_error=accuracy_by(wins, by_error) if judged else {},
        values_only=slice_of(values_only),
        ci95=bootstrap(wins, [pair.prompt_id for pair in pairs]) if judged else None,
        ms_per_pair=done.seconds * 1e3 / len(pairs),
        judged=len(judged),
        weighted_judged=found["right"] / len(judged) if judged else None,
        ties=found["tie"],
        unparsed=found["unparsed"],
        unjudged=dict(done.failures),
        notes=tuple([*done.notes("pairs"), *_notes(found)]),
        extra=extra,
    )


def _notes(found: Counter[Kind]) -> list[str]:
    count = found.total()
    notes = []
    if count == 0:
        notes.append("no pair was judged, so there is no accuracy")
    elif found["tie"] == count:
        notes.append("gave both sides of every pair the same reward: it does not rank at all")
    elif found["tie"]:
        notes.append(f"{found['tie']} of {count} pairs are ties, which are wrong")
    if found["unparsed"]:
        notes.append(f"{found['unparsed']} of {count} pairs have an answer without a choice")
    return notes


def is_values_only(pair: LabelledPair) -> bool:
    """Tell whether the sides call the same tools with the same argument names, and some differ."""
    sides = [
        sorted((call.name, *sorted(call.arguments)) for call in side.tool_calls or ())
        for side in (pair.chosen, pair.rejected)
    ]
    return sides[0] == sides[1] and bool(sides[0])
