"""Two scorers on the same cases: what changes, who is right more often, and is that luck?"""

import math
import random
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from toolrm_guard.redaction import DEFAULT
from toolrm_guard.replay.cases import Case, Judged, Judgement, Unjudged

_ROUNDS = 2_000
"""Bootstrap samples."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """How one scorer decides where the outcome is known; a share of nothing is None.

    Attributes:
        accuracy: Share of the known turns decided right: a right one runs, a wrong one does not.
        false_block: Share of the right turns that would be withheld.
        false_pass: Share of the wrong turns that would run.
        replaced: Share of the right turns in whose place another candidate would be chosen. It may
            be as right; nobody knows, so it counts against the accuracy.
    """

    accuracy: float | None
    false_block: float | None
    false_pass: float | None
    replaced: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A case in which something else would run."""

    case: Case
    before: Judgement
    after: Judgement


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """What a replay found.

    Attributes:
        reviews: In the store.
        judged: By both, and so compared.
        unjudged: Reviews that the scorer, or the baseline, could not judge, by reason.
        changes: Cases in which another candidate, or other calls, would run; known ones first.
        right: Known turns that were right, of those compared.
        wrong: Known turns that were wrong.
        base: The baseline's figures.
        new: The scorer's figures.
        gained: Known turns that only the scorer decides right.
        lost: Known turns that only the baseline decides right.
        p_value: Exact McNemar test of `gained` against `lost`, two-sided; None without known turns.
        difference: Accuracy of the scorer minus that of the baseline.
        interval: Its 95% bootstrap interval, drawing conversations; None with fewer than two.
        enforced: Known turns recorded by a guard that enforced, so that no right one was withheld.
    """

    reviews: int
    judged: int
    unjudged: Mapping[str, int]
    changes: tuple[Change, ...]
    right: int
    wrong: int
    base: Figures
    new: Figures
    gained: int
    lost: int
    p_value: float | None
    difference: float | None
    interval: tuple[float, float] | None
    enforced: int

    @property
    def known(self) -> int:
        """Turns whose outcome is known, of those compared."""
        return self.right + self.wrong

    def as_json(self) -> dict[str, Any]:
        """Return the documented figures as plain data; the changes by review id."""
        return {
            "reviews": self.reviews,
            "judged": self.judged,
            "unjudged": dict(self.unjudged),
            "changed": len(self.changes),
            "known": {"right": self.right, "wrong": self.wrong, "enforced": self.enforced},
            "base": asdict(self.base),
            "new": asdict(self.new),
            "gained": self.gained,
            "lost": self.lost,
            "p_value": self.p_value,
            "difference": self.difference,
            "interval": list(self.interval) if self.interval else None,
            "changes": [
                {
                    "review": change.case.review.id,
                    "right": change.case.right,
                    "before": _plain(change.before),
                    "after": _plain(change.after),
                }
                for change in self.changes
            ],
        }


def compare(
    cases: Sequence[Case],
    before: Sequence[Judged],
    after: Sequence[Judged],
    *,
    unreadable: Sequence[Unjudged] = (),
    seed: int = 0,
) -> Comparison:
    """Return what the second judgements change.

    Args:
        cases: From `read_cases`.
        before: The baseline's judgement of each.
        after: The scorer's.
        unreadable: Why other reviews of the store could not be put again.
        seed: Of the bootstrap.
    """
    unjudged = Counter(DEFAULT.redact_text(problem.reason) for problem in unreadable)
    both: list[Change] = []
    for case, old, new in zip(cases, before, after, strict=True):
        if isinstance(new, Unjudged):
            unjudged[DEFAULT.redact_text(new.reason)] += 1
        elif isinstance(old, Unjudged):
            unjudged[DEFAULT.redact_text(f"baseline: {old.reason}")] += 1
        else:
            both.append(Change(case=case, before=old, after=new))
    known = [item for item in both if item.case.right is not None]
    old_right = [_is_right(item.case, item.before) for item in known]
    new_right = [_is_right(item.case, item.after) for item in known]
    gained = sum(new and not old for old, new in zip(old_right, new_right, strict=True))
    lost = sum(old and not new for old, new in zip(old_right, new_right, strict=True))
    return Comparison(
        reviews=len(cases) + len(unreadable),
        judged=len(both),
        unjudged=dict(unjudged),
        changes=tuple(sorted(filter(_changed, both), key=_weight)),
        right=sum(item.case.right is True for item in known),
        wrong=sum(item.case.right is False for item in known),
        base=_figures([(item.case, item.before) for item in known]),
        new=_figures([(item.case, item.after) for item in known]),
        gained=gained,
        lost=lost,
        p_value=mcnemar(gained, lost) if known else None,
        difference=(gained - lost) / len(known) if known else None,
        interval=interval(
            [item.case.conversation for item in known],
            [new - old for old, new in zip(old_right, new_right, strict=True)],
            seed,
        ),
        enforced=sum(item.case.review.mode == "enforce" for item in known),
    )


def mcnemar(gained: int, lost: int) -> float:
    """Return the exact two-sided p-value of McNemar's test.

    Under no difference each of the turns on which the two disagree falls to either side like a
    fair coin (McNemar 1947); without any the p-value is 1.

    Args:
        gained: Turns that only the second decides right.
        lost: Turns that only the first decides right.
    """
    n, least = gained + lost, min(gained, lost)
    if n < 1_000:
        tail = sum(math.comb(n, k) for k in range(least + 1))
        return min(1.0, float(2 * tail / 2**n))
    # 2**n leaves the floats from n = 1024; logarithms do not.
    logs = (
        math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1) - n * math.log(2)
        for k in range(least + 1)
    )
    return min(1.0, 2 * math.fsum(math.exp(value) for value in logs))


def interval(
    conversations: Sequence[str], differences: Sequence[int], seed: int
) -> tuple[float, float] | None:
    """Return the 95% interval of the mean difference, drawing conversations with all their turns.

    Args:
        conversations: (turns,) which turns belong together.
        differences: (turns,) 1 where only the second is right, -1 where only the first is, else 0.
        seed: Of the draw.

    Returns:
        None with fewer than two conversations, of which no spread can be told.
    """
    total: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    for conversation, difference in zip(conversations, differences, strict=True):
        total[conversation][0] += difference
        total[conversation][1] += 1
    groups = list(total.values())
    if len(groups) < 2:
        return None
    rng = random.Random(seed)
    means = []
    for _ in range(_ROUNDS):
        drawn = rng.choices(groups, k=len(groups))
        means.append(sum(g[0] for g in drawn) / sum(g[1] for g in drawn))
    means.sort()
    return means[int(0.025 * _ROUNDS)], means[int(0.975 * _ROUNDS) - 1]


def _figures(judged: Sequence[tuple[Case, Judgement]]) -> Figures:
    right = [found for case, found in judged if case.right]
    wrong = [found for case, found in judged if not case.right]
    return Figures(
        accuracy=_share([_is_right(case, found) for case, found in judged]),
        false_block=_share([found.blocked for found in right]),
        false_pass=_share([found.passes for found in wrong]),
        replaced=_share([not found.blocked and not found.passes for found in right]),
    )


def _share(values: Sequence[bool]) -> float | None:
    return sum(values) / len(values) if values else None


def _is_right(case: Case, judgement: Judgement) -> bool:
    return judgement.passes == case.right


def _changed(item: Change) -> bool:
    return _effect(item.case, item.before) != _effect(item.case, item.after)


def _effect(case: Case, judgement: Judgement) -> tuple[object, ...]:
    """Return what the world would see: the turn that runs, or that it is withheld.

    Whether a withheld turn is corrected, refused or shown to a human follows from the policy of the
    day, which records do not hold.
    """
    if judgement.decision != "execute":
        return ("withheld", judgement.approved)
    turn = case.request.candidates[judgement.chosen]
    return ("runs", turn.canonical, judgement.approved)


def _weight(item: Change) -> tuple[int, str, str]:
    """Sort what got worse first, then what got better, then the unknown, each by age."""
    if item.case.right is None:
        rank = 2
    else:
        rank = int(_is_right(item.case, item.after))
    return rank, item.case.review.created_at.isoformat(), item.case.review.id


def _plain(judgement: Judgement) -> dict[str, Any]:
    return {
        "decision": judgement.decision,
        "chosen": judgement.chosen,
        "probability": judgement.probabilities[judgement.chosen],
    }
