"""Remarks say what lowered a reward, once, and only what is worth saying."""

import numpy as np
from numpy.typing import NDArray

from toolrm_guard.scorers.attribution import LEAST, REMARKS, remarks
from toolrm_guard.scorers.feature_table import COMPARED, FEATURES, GROUPS, INPUTS, NAMES
from toolrm_guard.validation import finding


def shares(**by_name: float) -> NDArray[np.float64]:
    found = np.zeros(len(INPUTS))
    for name, share in by_name.items():
        found[INPUTS.index(name)] = share
    return found


ROW = np.zeros(len(FEATURES), dtype=np.float32)


def test_every_group_of_a_candidates_own_has_a_remark_or_findings_of_its_own() -> None:
    assert set(REMARKS) == set(GROUPS) - {"schema", "context", "size"}


def test_the_groups_that_lowered_the_reward_most_are_named_worst_first() -> None:
    row = ROW.copy()
    row[NAMES.index("numbers_loose")] = 2
    found = remarks(shares(numbers_loose=-1.0, fit_mean=-2.0, text_cut=-0.5), row, [])
    assert [f.code for f in found] == ["weak_evidence"] * 2
    assert all(f.severity == "warning" for f in found)
    assert found[0].message.startswith("another tool may fit")
    assert found[1].message == (
        "parts of the request are in no call (numbers of the request that no value covers: 2)"
    )


def test_a_feature_and_its_comparison_with_the_others_count_together() -> None:
    name = NAMES[COMPARED[-1]]
    half = -0.6 * LEAST
    assert remarks(shares(**{name: half}), ROW, []) == ()
    assert len(remarks(shares(**{name: half, f"{name}_vs_others": half}), ROW, [])) == 1


def test_what_helped_makes_up_for_what_hurt_in_the_same_group() -> None:
    assert remarks(shares(numbers_loose=-1.0, content_said=0.9), ROW, []) == ()


def test_what_a_finding_says_already_is_not_said_again() -> None:
    known = [finding("ungrounded_value", "`$.city` is 'Lima'", "$.city")]
    assert remarks(shares(support_mean=-1.0), ROW, known) == ()
    assert len(remarks(shares(support_mean=-1.0), ROW, [])) == 1


def test_schema_errors_and_the_conversation_itself_are_no_remark() -> None:
    assert remarks(shares(errors_total=-3.0, tools=-2.0), ROW, []) == ()
