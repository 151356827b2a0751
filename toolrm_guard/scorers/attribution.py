"""What pushed a candidate's reward down, in words: the trees' own account of their sum.

LightGBM's `pred_contrib` gives each input its share of the reward (TreeSHAP, Lundberg et al. 2020).
Shares are added up over groups of features, since single features of a group stand in for each
other; the worst feature of a group says what was seen.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from toolrm_guard.findings import Finding, FindingCode
from toolrm_guard.scorers.feature_table import COMPARED, FEATURES
from toolrm_guard.validation import finding

LEAST = 0.1
"""Groups that lower the reward by less are not worth a remark; a reward of 1 is an odds of 2.7."""

REMARKS: Mapping[str, str] = {
    "calls": "the number of calls looks wrong",
    "grounding": "values are hardly stated in the conversation",
    "optional arguments": "an optional argument is missing, or was not asked for",
    "switches": "a switch does not fit what the request says of it",
    "numbers": "a number, percentage or unit is not what the request states",
    "texts": "a text value is cut, extended or reworded",
    "formats": "a value does not look as its description asks for",
    "choices": "another option is nearer to what the request says",
    "roles": "values may be swapped or used twice",
    "coverage": "parts of the request are in no call",
    "tool fit": "another tool may fit the request better",
    "clauses": "the calls do not match the parts of the request",
}
"""What a group's low share means. Schema groups are left out: errors are findings of their own."""

_TOLD_BY: Mapping[str, frozenset[FindingCode]] = {
    "calls": frozenset({"duplicate_call", "repeated_call", "call_count", "missing_call"}),
    "clauses": frozenset({"call_count", "missing_call"}),
    "coverage": frozenset({"missing_call"}),
    "grounding": frozenset({"ungrounded_value"}),
    "tool fit": frozenset({"call_without_fit", "unknown_tool"}),
}


def remarks(
    shares: NDArray[np.float64],
    row: NDArray[np.float32],
    known: Sequence[Finding],
    limit: int = 2,
) -> tuple[Finding, ...]:
    """Return a warning for each group that lowered the reward most, the worst first.

    Args:
        shares: (len(INPUTS),) what each input adds to the reward.
        row: (len(FEATURES),) the candidate's features.
        known: Its findings; a group that says what one of them says already is left out.
        limit: At most so many.
    """
    own = shares[: len(FEATURES)].copy()
    own[list(COMPARED)] += shares[len(FEATURES) :]
    codes = {found.code for found in known}
    total: dict[str, float] = {}
    worst: dict[str, int] = {}
    for index, spec in enumerate(FEATURES):
        if spec.group in REMARKS and not codes & _TOLD_BY.get(spec.group, frozenset()):
            total[spec.group] = total.get(spec.group, 0.0) + float(own[index])
            if own[index] < own[worst.setdefault(spec.group, index)]:
                worst[spec.group] = index
    low = sorted((share, group) for group, share in total.items() if share <= -LEAST)
    return tuple(
        finding(
            "weak_evidence",
            f"{REMARKS[group]} ({FEATURES[worst[group]].meaning}: {row[worst[group]]:.2g})",
        )
        for _, group in low[:limit]
    )
