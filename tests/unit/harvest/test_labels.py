"""Preference pairs come from what was executed and went well."""

from pathlib import Path
from typing import Any

import pytest

from tests.unit.conftest import TOOLS, proposal
from toolrm_guard import Call, FakeScorer, Guard, Policy, Rule, TraceStore
from toolrm_guard.harvest import HarvestedPair, pairs

RIGHT = proposal("delete_file", call_id="c1", path="a.txt")
WRONG = proposal("delete_file", path="b.txt")
BROKEN = proposal("delete_file", wrong="a.txt")


def harvested(tmp_path: Path, rates: list[float], candidates: list[Any], **outcome: Any) -> Any:
    with TraceStore(tmp_path / "traces.db") as store:
        guard = Guard(FakeScorer(lambda r: rates), store=store, policy=Policy(max_corrections=0))
        guard.review("Delete a.txt", TOOLS, candidates)
        if outcome:
            guard.record_outcome("c1", **outcome)
        store.flush()
        return list(pairs(store.reviews(), store.outcomes()))


def sides(pair: HarvestedPair) -> tuple[Any, Any]:
    return pair.chosen.calls[0].arguments, pair.rejected.calls[0].arguments


def test_a_good_outcome_makes_pairs_with_every_clearly_worse_candidate(tmp_path: Path) -> None:
    found = harvested(tmp_path, [0.9, 0.3, 0.8, 0.85], [RIGHT, WRONG, BROKEN, RIGHT], ok=True)
    assert [sides(pair) for pair in found] == [
        ({"path": "a.txt"}, {"path": "b.txt"}),
        ({"path": "a.txt"}, {"wrong": "a.txt"}),
    ]
    assert {pair.label for pair in found} == {"outcome"}


def test_a_small_margin_makes_no_pair(tmp_path: Path) -> None:
    assert harvested(tmp_path, [0.9, 0.8], [RIGHT, WRONG]) == []


def test_without_an_outcome_the_score_is_named_as_the_label(tmp_path: Path) -> None:
    [pair] = harvested(tmp_path, [0.9, 0.3], [RIGHT, WRONG])
    assert pair.label == "score"


def test_a_bad_outcome_beats_any_score(tmp_path: Path) -> None:
    assert harvested(tmp_path, [0.99, 0.1], [RIGHT, WRONG], ok=False, kind="execution") == []


def test_what_was_rejected_is_never_a_chosen_side(tmp_path: Path) -> None:
    assert harvested(tmp_path, [0.4, 0.1], [RIGHT, WRONG]) == []


def test_a_correction_is_paired_with_the_drafts_it_replaced(tmp_path: Path) -> None:
    with TraceStore(tmp_path / "traces.db") as store:
        rates = iter([[0.1], [0.1, 0.9]])
        guard = Guard(FakeScorer(lambda r: next(rates)), store=store)
        first = guard.review("Delete a.txt", TOOLS, [WRONG])
        guard.review("Delete a.txt", TOOLS, [WRONG, RIGHT], round=1, parent_id=first.id)
        store.flush()
        [pair] = pairs(store.reviews(), store.outcomes())
    assert sides(pair) == ({"path": "a.txt"}, {"path": "b.txt"})


def test_another_conversation_with_the_same_call_id_says_nothing(tmp_path: Path) -> None:
    found = harvested(
        tmp_path, [0.9, 0.3], [RIGHT, WRONG], ok=False, conversation_id="somebody else"
    )
    assert [pair.label for pair in found] == ["score"]


def test_a_text_below_its_threshold_is_no_chosen_side(tmp_path: Path) -> None:
    assert harvested(tmp_path, [0.4, 0.1], ["I am not sure.", WRONG]) == []


def test_what_could_not_be_read_teaches_nothing(tmp_path: Path) -> None:
    unreadable = {"tool_calls": [{"name": "delete_file", "arguments": "{bad"}]}
    assert harvested(tmp_path, [0.9, 0.1], [RIGHT, unreadable]) == []


def digest(path: str) -> str:
    return Call(name="delete_file", arguments={"path": path}).digest


@pytest.mark.parametrize(("path", "label"), [("other.txt", ["score"]), ("a.txt", [])])
def test_an_outcome_of_another_call_under_the_same_id_says_nothing(
    tmp_path: Path, path: str, label: list[str]
) -> None:
    failed = {"ok": False, "kind": "execution", "digest": digest(path)}
    found = harvested(tmp_path, [0.9, 0.3], [RIGHT, WRONG], **failed)
    assert [pair.label for pair in found] == label


def test_a_call_that_failed_and_was_tried_again_may_teach(tmp_path: Path) -> None:
    with TraceStore(tmp_path / "traces.db") as store:
        guard = Guard(FakeScorer(lambda r: [0.9, 0.3]), store=store)
        guard.review("Delete a.txt", TOOLS, [RIGHT, WRONG])
        for ok in (False, True):
            guard.record_outcome("c1", ok=ok, kind="execution", digest=digest("a.txt"))
        store.flush()
        assert len(list(pairs(store.reviews(), store.outcomes()))) == 1


@pytest.mark.parametrize(("beside", "found"), [((), 1), ((proposal("get_file", path="b"),), 0)])
def test_an_edit_is_paired_with_the_turn_it_replaced_only_if_it_replaced_all_of_it(
    tmp_path: Path, beside: tuple[Any, ...], found: int
) -> None:
    held = {"tool_calls": [call for turn in (WRONG, *beside) for call in turn["tool_calls"]]}
    with TraceStore(tmp_path / "traces.db") as store:
        rates = iter([[0.1], [0.9]])
        policy = Policy(max_corrections=0, destructive=Rule(on_low="escalate"))
        guard = Guard(FakeScorer(lambda r: next(rates)), store=store, policy=policy)
        first = guard.review("Delete a.txt", TOOLS, [held])
        guard.review("Delete a.txt", TOOLS, [RIGHT], parent_id=first.id)
        store.flush()
        assert len(list(pairs(store.reviews(), store.outcomes()))) == found
