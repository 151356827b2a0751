"""Best of N over pools of labelled candidates: who is picked, in expectation over subsets.

A pool holds M candidates of one prompt, each right or wrong; N of them are drawn without order.
What a uniform pick, the best possible one, the earliest one and a judge of single candidates
achieve is computed exactly, from how many subsets there are; what depends on who else was drawn
(a vote, a judge that compares) is averaged over seeded draws, N nested in N + 1.
"""

import dataclasses
import itertools
import math
import random
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from bench.judges.protocol import Question, Ranker, Rater, rewards_of
from toolrm_guard.calls import Candidate
from toolrm_guard.errors import ConfigurationError, CouldNotJudge
from toolrm_guard.labelled import LabelledFileError, LabelledRecord, read_records
from toolrm_guard.scorers.base import ScoreRequest
from toolrm_guard.selection import best, majority, votes

_T = TypeVar("_T")

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool:
    """The labelled candidates of one prompt.

    Attributes:
        request: All of them with their context, in the order of the file or of the samples.
        correct: (candidates,) whether each is right.
    """

    id: str
    split: str
    request: ScoreRequest
    correct: tuple[bool, ...]

    @property
    def size(self) -> int:
        """How many candidates there are."""
        return len(self.correct)


def load_pools(path: Path, at_least: int, strong: float | None = None) -> tuple[list[Pool], int]:
    """Return the pools with enough labelled candidates, and how many prompts were left out.

    Args:
        path: Labelled records.
        at_least: Candidates a pool must hold.
        strong: Take only models that are right at least so often in this file; None takes all.

    Raises:
        LabelledFileError: If the file is bad, or no prompt has enough.
    """
    records = read_records(path)
    if strong is not None:
        kept = _strong_models(records, strong)
        records = [_only(record, kept) for record in records]
    pools = [pool_of(record) for record in records]
    enough = [pool for pool in pools if pool.size >= at_least]
    if not enough:
        most = max(pool.size for pool in pools)
        raise LabelledFileError(
            f"{path}: no prompt has {at_least} candidates that are readable and marked right or "
            f"wrong, the most is {most}; ask for a smaller --max-n"
        )
    return enough, len(pools) - len(enough)


def _strong_models(records: Sequence[LabelledRecord], least: float) -> set[str]:
    """Return the models whose labelled candidates are right at least so often."""
    right: Counter[str] = Counter()
    known: Counter[str] = Counter()
    for record in records:
        for candidate in record.candidates:
            if candidate.correct is not None:
                known[candidate.model] += 1
                right[candidate.model] += candidate.correct
    return {model for model, count in known.items() if right[model] >= least * count}


def _only(record: LabelledRecord, models: set[str]) -> LabelledRecord:
    kept = tuple(candidate for candidate in record.candidates if candidate.model in models)
    return record.model_copy(update={"candidates": kept})


def sample_of(items: Sequence[_T], limit: int | None, seed: int) -> list[_T]:
    """Return at most `limit` of them, drawn at random, in their own order.

    Raises:
        ConfigurationError: If the limit leaves nothing.
    """
    if limit is not None and limit < 1:
        raise ConfigurationError(f"--limit {limit} leaves nothing to judge; give 1 or more")
    if limit is None or limit >= len(items):
        return list(items)
    drawn = sorted(random.Random(seed).sample(range(len(items)), limit))
    return [items[index] for index in drawn]


def pool_of(record: LabelledRecord) -> Pool:
    """Return the record's readable and labelled candidates."""
    labelled = [c for c in record.candidates if c.correct is not None and c.tool_calls is not None]
    return Pool(
        id=record.id,
        split=record.split,
        request=ScoreRequest(
            messages=record.parsed_messages(),
            tools=record.toolset(),
            candidates=tuple(candidate.candidate() for candidate in labelled),
        ),
        correct=tuple(bool(candidate.correct) for candidate in labelled),
    )


# --- exact --------------------------------------------------------------------------------------


def expected_random(correct: Sequence[bool], sizes: Sequence[int]) -> Floats:
    """Return (sizes,) P(a uniform pick of N drawn is right): the share of right ones, for any N."""
    return np.full(len(sizes), sum(correct) / len(correct))


def expected_oracle(correct: Sequence[bool], sizes: Sequence[int]) -> Floats:
    """Return (sizes,) P(at least one of N drawn is right): 1 - C(wrong, N) / C(all, N)."""
    wrong = len(correct) - sum(correct)
    return np.array([1 - math.comb(wrong, n) / math.comb(len(correct), n) for n in sizes])


def expected_first(correct: Sequence[bool], sizes: Sequence[int]) -> Floats:
    """Return (sizes,) P(the earliest of N drawn is right), earliest in the order of the pool."""
    return expected_best([-float(index) for index in range(len(correct))], correct, sizes)


def expected_best(
    rewards: Sequence[float], correct: Sequence[bool], sizes: Sequence[int]
) -> Floats:
    """Return (sizes,) P(the highest reward among N drawn is a right one).

    Equal rewards are told apart by the order of the draw, so each of them is as likely. The winner
    lies in a group of equals if the draw meets it and nothing above it: with `below` candidates
    under a group of k, in C(below + k, N) - C(below, N) of C(all, N) draws.

    Args:
        rewards: (candidates,).
        correct: (candidates,).
        sizes: Each from 1 to the number of candidates.
    """
    order = sorted(range(len(rewards)), key=lambda index: rewards[index])
    expected = np.zeros(len(sizes))
    below = 0
    for _, group in itertools.groupby(order, key=lambda index: rewards[index]):
        members = list(group)
        share = sum(correct[index] for index in members) / len(members)
        upto = below + len(members)
        for position, n in enumerate(sizes):
            meets = math.comb(upto, n) - math.comb(below, n)
            expected[position] += share * meets / math.comb(len(rewards), n)
        below = upto
    return expected


# --- drawn --------------------------------------------------------------------------------------


def drawn_orders(pool: Pool, draws: int, most: int, seed: int) -> Iterator[list[int]]:
    """Yield `draws` seeded orders of `most` candidates; the first N of an order are a draw of N."""
    rng = random.Random(f"{seed}/{pool.id}")
    for _ in range(draws):
        yield rng.sample(range(pool.size), most)


def drawn_vote(pool: Pool, sizes: Sequence[int], draws: int, seed: int) -> Floats:
    """Return (sizes,) the share of draws whose majority is right; of equals the first drawn."""
    right = np.zeros(len(sizes))
    for order in drawn_orders(pool, draws, max(sizes), seed):
        candidates = [pool.request.candidates[index] for index in order]
        for position, n in enumerate(sizes):
            right[position] += pool.correct[order[majority(candidates[:n])]]
    return _with_one(right / draws, pool, sizes)


async def rated(rater: Rater, pool: Pool, sizes: Sequence[int], draws: int, seed: int) -> Floats:
    """Return (sizes,) how often the rater's favourite is right.

    Raises:
        CouldNotJudge: If the rater cannot rate one of the sets.
    """
    if rater.alone:
        return expected_best(await _rewards_alone(rater, pool), pool.correct, sizes)
    right = np.zeros(len(sizes))
    for order in drawn_orders(pool, draws, max(sizes), seed):
        for position, n in enumerate(sizes):
            chosen = tuple(pool.request.candidates[index] for index in order[:n])
            rewards = await rewards_of(rater, _question(pool, chosen))
            right[position] += pool.correct[order[best(rewards, blocked=[False] * n)]]
    return _with_one(right / draws, pool, sizes)


async def _rewards_alone(rater: Rater, pool: Pool) -> list[float]:
    """Return every candidate's reward; equal candidates are rated once."""
    keys = [(*(call.canonical for call in c.calls), c.text) for c in pool.request.candidates]
    distinct = dict(zip(keys, pool.request.candidates, strict=True))
    rewards = await rewards_of(rater, _question(pool, tuple(distinct.values())))
    reward_of = dict(zip(distinct, rewards, strict=True))
    return [reward_of[key] for key in keys]


async def ranked(ranker: Ranker, pool: Pool, sizes: Sequence[int], draws: int, seed: int) -> Floats:
    """Return (sizes,) how often the winner of a knockout is right.

    The champion meets the next in both orders and stays unless both say that it loses, so that one
    knockout over the longest draw has a champion for every N on the way.

    Raises:
        CouldNotJudge: If the ranker cannot judge a match.
    """
    right = np.zeros(len(sizes))
    for order in drawn_orders(pool, draws, max(sizes), seed):
        champion, champions = order[0], [order[0]]
        for rival in order[1:]:
            if await _loses(ranker, pool, champion, rival):
                champion = rival
            champions.append(champion)
        right += [pool.correct[champions[n - 1]] for n in sizes]
    return _with_one(right / draws, pool, sizes)


def _with_one(drawn: Floats, pool: Pool, sizes: Sequence[int]) -> Floats:
    """Return the shares with the one for N = 1 made exact: there is nothing to choose there."""
    return np.where(np.array(sizes) == 1, expected_random(pool.correct, sizes), drawn)


async def _loses(ranker: Ranker, pool: Pool, champion: int, rival: int) -> bool:
    one, other = pool.request.candidates[champion], pool.request.candidates[rival]
    if one == other:
        return False
    if await ranker.rank(pool.request, one, other) != 2:
        return False
    return await ranker.rank(pool.request, other, one) == 1


def _question(pool: Pool, candidates: tuple[Candidate, ...]) -> Question:
    if not candidates:
        raise CouldNotJudge("no candidates")
    request = dataclasses.replace(pool.request, candidates=candidates)
    return Question(request=request, pool=votes(candidates))
