from typing import Any

import pytest

from tests.training.preferences.made import call, kept, reasons, result, said, trajectory, user
from training.preferences.faults import faults, is_failure
from training.preferences.roles import roles

CALL = said("", call(city="Oslo"))


def test_a_dialog_in_order_passes() -> None:
    turns = ({"role": "system", "content": ""}, user(), CALL, result(), result(), said("Rain."))
    assert len(kept(roles(trajectory(*turns)))) == 1


@pytest.mark.parametrize(
    ("turns", "reason"),
    [
        ((said("hi"), user()), "assistant_after_nothing"),
        ((user(), {"role": "system", "content": ""}), "system_after_user"),
        ((user(), result()), "tool_after_user"),
        ((user(), said("hi"), result()), "result_without_call"),
        ((user(), CALL, said("hi")), "assistant_after_assistant"),
        (({"role": "system", "content": ""},), "no_user_turn"),
    ],
)
def test_a_role_out_of_order_is_named(turns: Any, reason: str) -> None:
    assert reasons(roles(trajectory(*turns))) == [reason]


def test_without_targets_every_assistant_turn_is_one() -> None:
    (row,) = kept(faults(trajectory(user(), CALL, result(), said("Rain."))))
    assert row.targets == (1, 3)


def test_a_failed_execution_is_no_reference_but_may_be_history() -> None:
    rows = list(faults(trajectory(user(), CALL, result("Error: no such city"), said("Sorry."))))
    assert reasons(rows) == ["failed_execution"]
    assert kept(rows)[0].targets == (3,)


def test_a_repeated_call_is_no_reference() -> None:
    twice = said("", call(city="Oslo", days=1), call(days=1.0, city="Oslo"))
    assert reasons(faults(trajectory(user(), twice))) == ["repeated_call"]


def test_after_an_unreadable_call_nothing_is_kept() -> None:
    broken = said("", {"name": "weather", "arguments": "{"})
    turns = (user(), said("Which city?"), user("Oslo"), broken, result(), said("Rain."))
    rows = list(faults(trajectory(*turns)))
    assert reasons(rows) == ["malformed_call", "malformed_call"]
    assert kept(rows)[0].targets == (1,)


def test_a_trajectory_without_turns_to_learn_from_is_counted() -> None:
    assert reasons(faults(trajectory(user()))) == ["no_target"]


def test_a_target_that_is_no_turn_of_the_assistant_is_counted() -> None:
    assert reasons(faults(trajectory(user(), CALL, targets=(0, 9)))) == ["bad_target"] * 2


@pytest.mark.parametrize(
    ("text", "failed"),
    [
        ('{"error": "no"}', True),
        ('{"error": null, "temp": 3}', False),
        ('{"status": "failed"}', True),
        ("ValueError: bad city", True),
        ("Errors were rare in the last run", False),
        ('{"broken', False),
        ('[{"error": "no such city"}]', True),
        ('[{"error": "no"}, {"temp": 3}]', False),
        ("[]", False),
        ('{"status": 404}', True),
        ('{"status": 200}', False),
        ('{"status": true}', False),
        ('{"success": false}', True),
        ('{"success": true, "errors": []}', False),
        ('{"errors": ["no"]}', True),
        ('{"exception": "KeyError"}', True),
        ("Failed to fetch the page", True),
        ("Error", True),
        ("Error\nno such city", True),
        ("Error 404", True),
        ("Exception in thread main", True),
        ("Error correction codes: Hamming, Reed-Solomon", False),
        ("Error-free days: 3", False),
        ("Exception handling tutorial", False),
        ("", False),
    ],
)
def test_failures_are_told_from_results(text: str, failed: bool) -> None:
    assert is_failure(text) is failed
