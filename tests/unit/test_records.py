"""Records hold what was judged, whatever became of it in the agent since."""

import datetime
from typing import Any

import pytest
from pydantic import ValidationError

from tests.support.stores import review, turn
from toolrm_guard import Call
from toolrm_guard.records import CandidateRecord, ReviewRecord, call_record


def changed(arguments: dict[str, Any]) -> None:
    arguments["items"].clear()


def cyclic(arguments: dict[str, Any]) -> None:
    arguments["self"] = arguments


@pytest.mark.parametrize("change", [changed, cyclic])
def test_arguments_that_changed_after_the_review_are_recorded_as_judged(change: Any) -> None:
    arguments = {"path": "b", "items": [1, 2]}
    call = Call(name="f", arguments=arguments)
    change(arguments)
    record = call_record(call)
    assert record.arguments == {"path": "b", "items": [1, 2]}
    assert Call(name="f", arguments=record.arguments).digest == record.digest


def test_the_models_order_of_arguments_is_kept_because_the_prompt_shows_it() -> None:
    record = call_record(Call(name="f", arguments={"z": 1, "a": {"y": 2, "b": 3}}))
    assert repr(record.arguments) == repr({"z": 1, "a": {"y": 2, "b": 3}})


def test_what_json_cannot_hold_is_recorded_in_the_form_that_the_digest_is_of() -> None:
    at = datetime.datetime(2026, 1, 2, tzinfo=datetime.UTC)
    record = call_record(Call(name="f", arguments={"at": at}))
    assert record.arguments == {"at": repr(at)}


@pytest.mark.parametrize("changed", [{"chosen": 1}, {"chosen": -1}, {"candidates": []}], ids=str)
def test_a_review_that_chose_none_of_its_candidates_is_no_record(changed: dict[str, Any]) -> None:
    data = {**review("r1", turn("a.txt")).model_dump(), **changed}
    with pytest.raises(ValidationError, match="chosen is"):
        ReviewRecord.model_validate(data)


@pytest.mark.parametrize("probability", [-0.1, 1.1, float("nan"), "NaN"])
def test_what_is_no_probability_is_no_record(probability: object) -> None:
    with pytest.raises(ValidationError, match="probability"):
        CandidateRecord.model_validate({"probability": probability})
