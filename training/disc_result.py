"""A trained ToolRM-Disc: written as serving reads it, and what the written weights reach."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from toolrm_guard.scorers.disc_folder import seal
from toolrm_guard.scorers.disc_model import load_disc
from toolrm_guard.scorers.reward_map import RewardMap
from training.bases import Base
from training.decisions import Decision
from training.packed_trainer import rewards_of
from training.packing import EncodedDecision, read_packed
from training.ranker import Floats
from training.reward_maps import interval, reward_map

Rewards = Sequence[Sequence[float]]
"""One row a decision, one reward a candidate."""

_UNFITTED = RewardMap(
    rewards=(0.0, 1.0),
    probabilities=(0.5, 0.5),
    thresholds={"read": 0.5, "write": 0.5, "destructive": 0.5, "answer": 0.5},
    rule="not fitted yet",
)


def rewards_of_folder(
    folder: Path, base: Base, max_tokens: int, rows: Sequence[EncodedDecision]
) -> list[list[float]]:
    """Return the rewards that the written weights give when they are loaded as serving loads them.

    In fp32 and merged: what the map is fitted on is what it will be applied to.
    """
    seal(folder, base=base.name, max_tokens=max_tokens, reward_map=_UNFITTED)
    return rewards_of(read_packed(load_disc(folder, base=base.path).model), rows)


def fitted_map(decisions: Sequence[Decision], rewards: Rewards) -> RewardMap:
    """Return the reward map, from held-out candidates whose label is known."""
    known = [
        (reward, right, not candidate.calls)
        for decision, own in zip(decisions, rewards, strict=True)
        for reward, right, candidate in zip(
            own, decision.right, decision.request.candidates, strict=True
        )
        if right is not None
    ]
    scores = np.array([k[0] for k in known])
    right = np.array([k[1] for k in known], dtype=np.bool_)
    text = np.array([k[2] for k in known], dtype=np.bool_)
    # Right and wrong ones weigh the same in all, as for a candidate that is right half the time.
    weight = np.where(right, 0.5 / max(right.sum(), 1), 0.5 / max((~right).sum(), 1)) * len(known)
    where = f"{len(known):,} held-out candidates"
    return RewardMap.model_validate(reward_map(scores, right, text, weight, where))


def accuracy(
    decisions: Sequence[Decision], rewards: Rewards
) -> tuple[int, float, tuple[float, float]]:
    """Return (pairs, share ranked right, 95% interval over prompts); a tie is wrong."""
    won: list[float] = []
    keys: list[str] = []
    for number, (decision, own) in enumerate(zip(decisions, rewards, strict=True)):
        for better, worse in decision.pairs:
            won.append(float(own[better] > own[worse]))
            keys.append(str(number))
    values: Floats = np.array(won)
    return len(won), float(values.mean()), interval(values, keys)
