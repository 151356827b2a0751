"""Best of N: pure functions from scores to the index of the winner."""

import math
from collections import Counter
from collections.abc import Iterable, Sequence

from toolrm_guard.calls import Candidate


def best(rewards: Sequence[float], *, blocked: Sequence[bool]) -> int:
    """Return the index of the highest reward among the candidates that are not blocked.

    A tie leaves the earliest in place, so the model's own first proposal wins over its equals.
    Where every candidate is blocked, the highest reward of all is returned: it executes nothing,
    but it is the draft that a correction starts from.

    Args:
        rewards: (candidates,) raw rewards of one prompt and one model.
        blocked: (candidates,) whether a finding rules the candidate out.

    Raises:
        ValueError: If there are no candidates, lengths differ, or a reward is not finite.
    """
    if not rewards or len(rewards) != len(blocked):
        raise ValueError(f"{len(rewards)} rewards and {len(blocked)} flags; need one of each")
    if not all(math.isfinite(reward) for reward in rewards):
        raise ValueError(f"rewards are not finite: {list(rewards)}")
    open_ones = [index for index, shut in enumerate(blocked) if not shut]
    # max() keeps the first of equals.
    return max(open_ones or range(len(rewards)), key=lambda index: rewards[index])


def majority(candidates: Sequence[Candidate]) -> int:
    """Return the index of the first candidate of the most frequent canonical form.

    Raises:
        ValueError: If there are no candidates.
    """
    if not candidates:
        raise ValueError("no candidates to vote on")
    counts = votes(candidates)
    return max(range(len(candidates)), key=lambda index: counts[candidates[index].canonical])


def votes(candidates: Iterable[Candidate]) -> Counter[str]:
    """Return how many candidates make the same calls, by canonical form; text is not compared."""
    return Counter(candidate.canonical for candidate in candidates)
