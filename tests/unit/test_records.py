"""Records hold what was judged, whatever became of it in the agent since."""

import datetime
from typing import Any

import pytest

from toolrm_guard import Call
from toolrm_guard.records import call_record


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
