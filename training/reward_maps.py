"""From held-out rewards to a reward map, its thresholds, and intervals of what was measured."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from toolrm_guard.scorers.base import ThresholdKind
from training.ranker import Floats, isotonic

COST_OF_WRONG: Mapping[ThresholdKind, float] = {
    "read": 0.25, "write": 1.0, "destructive": 1.5, "answer": 0.25
}  # fmt: skip
"""What executing a wrong turn costs, in units of what executing a right one gains. Executing pays
where p > cost / (1 + cost) (Bayes decision, p calibrated)."""


def reward_map(
    scores: Floats, right: NDArray[np.bool_], text: NDArray[np.bool_], weight: Floats, where: str
) -> dict[str, Any]:
    """Return the fields of a `RewardMap`: the isotonic map, thresholds by cost, and their rule.

    Args:
        scores: (candidates,) rewards that the model gave to candidates it never saw.
        right: (candidates,) their labels.
        text: (candidates,) whether they make no call.
        weight: (candidates,) how much each counts in the map.
        where: Which candidates these are, for the rule.
    """
    knots, probabilities = _rising(*isotonic(scores, right, weight))
    p = np.interp(scores, knots, probabilities)
    thresholds = {kind: cost / (1 + cost) for kind, cost in COST_OF_WRONG.items()}
    shares = []
    for kind, threshold in thresholds.items():
        of_kind = text if kind == "answer" else ~text
        blocked = _share(p[of_kind & right] < threshold)
        passed = _share(p[of_kind & ~right] >= threshold)
        shares.append(f"{kind} >= {threshold:.2f} blocks {blocked}, passes {passed}")
    rule = (
        f"cost / (1 + cost) of executing a wrong turn; on {where} "
        f"(right ones blocked, wrong ones passed): {'; '.join(shares)}"
    )
    return {
        "thresholds": thresholds, "rule": rule,
        "rewards": knots.tolist(), "probabilities": probabilities.tolist(),
    }  # fmt: skip


def interval(values: Floats, prompts: Sequence[str], rounds: int = 2000) -> tuple[float, float]:
    """Return the 95% bootstrap interval of a mean, drawing prompts with all their pairs.

    Args:
        values: (pairs,) one value a pair.
        prompts: (pairs,) the prompt of each; pairs of one rise and fall together.
        rounds: Draws.
    """
    _, index = np.unique(np.array(prompts), return_inverse=True)
    pairs, total = np.bincount(index), np.bincount(index, values)
    drawn = np.random.default_rng(0).integers(len(pairs), size=(rounds, len(pairs)))
    means = total[drawn].sum(axis=1) / pairs[drawn].sum(axis=1)
    low, high = np.quantile(means, (0.025, 0.975))
    return float(low), float(high)


def _rising(knots: Floats, probabilities: Floats) -> tuple[Floats, Floats]:
    """Return the knots at 6 digits, each once; two of the same height where only one is left.

    One is left where the rewards say nothing, and then the map should say nothing, too.
    """
    x, first = np.unique(knots.round(6), return_index=True)
    p = probabilities.round(6)[first]
    return (x, p) if len(x) > 1 else (np.append(x, x + 1.0), np.append(p, p))


def _share(values: NDArray[np.bool_]) -> str:
    return f"{np.mean(values):.0%}" if len(values) else "none seen"
