"""The demo's tasks: each is solved by its reference calls and by nothing that looks like them."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import get_args

import pytest

from toolrm_guard.calls import Call
from toolrm_guard.demo.tasks import ALL_TASKS, RightCall, Task, is_right
from toolrm_guard.demo.toolkits import ALL_TOOLKITS, Toolkit
from toolrm_guard.demo.toolkits.bank import AccountName, Bank
from toolrm_guard.demo.toolkits.bookings import Bookings
from toolrm_guard.demo.toolkits.calendar import Calendar
from toolrm_guard.demo.toolkits.files import Files, FolderName
from toolrm_guard.demo.toolkits.home import DoorName, Home
from toolrm_guard.demo.toolkits.mail import Mail
from toolrm_guard.demo.toolkits.shop import Shop
from toolrm_guard.tools import ToolSet

CALLING = [task for task in ALL_TASKS if task.right_calls]
SILENT = [task for task in ALL_TASKS if not task.right_calls]

of_each = pytest.mark.parametrize("task", ALL_TASKS, ids=lambda task: task.id)
of_each_calling = pytest.mark.parametrize("task", CALLING, ids=lambda task: task.id)
of_each_silent = pytest.mark.parametrize("task", SILENT, ids=lambda task: task.id)


def reference(task: Task) -> list[Call]:
    return [Call(name=right.name, arguments=right.reference()) for right in task.right_calls]


def run(toolkit: Toolkit, calls: Sequence[Call]) -> None:
    for call in calls:
        getattr(toolkit, call.name)(**call.arguments)


def destructive_calls(kind: type[Toolkit]) -> Iterator[Call]:
    """Yield every destructive call that the seeded state of `kind` allows, a few free values."""
    toolkit = kind()
    days = ["2026-05-20", "2026-04-17", "2026-03-30", "2026-07-11", "2026-08-02", "2026-09-09"]
    values: Mapping[str, Sequence[object]] = {
        "message_id": list(getattr(toolkit, "messages", ())),
        "event_id": list(getattr(toolkit, "events", ())),
        "booking_id": list(getattr(toolkit, "bookings", ())),
        "order_id": list(getattr(toolkit, "orders", ())),
        "product_id": list(getattr(toolkit, "products", ())),
        "card_id": list(getattr(toolkit, "cards", ())),
        "routine": list(getattr(toolkit, "routines", ())),
        "name": list(getattr(toolkit, "files", ())),
        "folder": get_args(FolderName),
        "door": get_args(DoorName),
        "source": get_args(AccountName),
        "target": get_args(AccountName),
        "day": days,
        "notify": [True, False],
        "reason": ["damaged", "late"],
        "amount": [40.0, 58.9, 4.0, 212.5],
        "payee": ["City Water", "savings"],
        "account": ["checking", "savings"],
        "subject": ["Lunch"],
        "body": ["See you at noon"],
    }
    for tool in ToolSet.of(toolkit.tools).values():
        if tool.effect == "destructive":
            for arguments in combinations(list(tool.properties), values):
                call = Call(name=tool.name, arguments=arguments)
                if executable(kind, call):
                    yield call


def combinations(
    names: list[str], values: Mapping[str, Sequence[object]]
) -> Iterator[dict[str, object]]:
    if not names:
        yield {}
        return
    for value in values[names[0]]:
        for rest in combinations(names[1:], values):
            yield {names[0]: value, **rest}


def executable(kind: type[Toolkit], call: Call) -> bool:
    try:
        run(kind(), [call])
    except ValueError:
        return False
    return True


@of_each
def test_reference_solution_solves_the_task_and_every_call_of_it_is_right(task: Task) -> None:
    toolkit, executed = task.start(), list[Call]()
    for call in reference(task):
        assert is_right(task, call.name, call.arguments, executed)
        run(toolkit, [call])
        executed.append(call)
    assert task.solved(toolkit, executed)


@of_each_calling
def test_required_calls_alone_solve_the_task(task: Task) -> None:
    required = [
        call
        for call, right in zip(reference(task), task.right_calls, strict=True)
        if not right.optional
    ]
    toolkit = task.start()
    run(toolkit, required)
    assert required
    assert task.solved(toolkit, required)


@of_each_calling
def test_every_required_call_is_needed(task: Task) -> None:
    calls = reference(task)
    for index, right in enumerate(task.right_calls):
        if not right.optional:
            rest = calls[:index] + calls[index + 1 :]
            toolkit = task.start()
            run(toolkit, rest)
            assert not task.solved(toolkit, rest)


@of_each_calling
def test_doing_nothing_does_not_solve_a_task_that_wants_a_call(task: Task) -> None:
    assert not task.solved(task.start(), [])


@of_each_silent
def test_doing_nothing_solves_a_task_that_wants_no_call(task: Task) -> None:
    assert task.solved(task.start(), [])


@of_each_silent
def test_any_call_fails_a_task_that_wants_none(task: Task) -> None:
    read = next(tool for tool in task.start().tools if getattr(tool, "effect", None) == "read")
    assert not is_right(task, read.__name__, {}, [])
    assert not task.solved(task.start(), [Call(name=read.__name__)])


@of_each
def test_other_destructive_calls_are_wrong_and_spoil_the_end_state(task: Task) -> None:
    wrong = [
        call
        for call in destructive_calls(task.toolkit)
        if not is_right(task, call.name, call.arguments, [])
    ]
    assert len(wrong) >= 3
    for call in wrong:
        toolkit = task.start()
        run(toolkit, [call])
        assert not task.solved(toolkit, [call]), call
        done = [call]
        for right in reference(task):
            if executable_after(task, done, right):
                done.append(right)
        run(spoiled := task.start(), done)
        assert not task.solved(spoiled, done), call


def executable_after(task: Task, done: list[Call], call: Call) -> bool:
    toolkit = task.start()
    run(toolkit, done)
    try:
        run(toolkit, [call])
    except ValueError:
        return False
    return True


@of_each_calling
def test_repeating_a_right_call_is_wrong(task: Task) -> None:
    executed = reference(task)
    for call in executed:
        assert not is_right(task, call.name, call.arguments, executed)


@of_each_calling
def test_harmless_differences_of_form_stay_right_and_solve(task: Task) -> None:
    sloppy = [
        Call(name=call.name, arguments={key: _sloppy(v) for key, v in call.arguments.items()})
        for call in reference(task)
    ]
    assert all(is_right(task, call.name, call.arguments, []) for call in sloppy)
    toolkit = task.start()
    run(toolkit, sloppy)
    assert task.solved(toolkit, sloppy)


def _sloppy(value: object) -> object:
    if isinstance(value, str):
        return f" {value.upper()}. "
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value


@of_each_calling
def test_defaults_may_be_given_and_extra_arguments_may_not(task: Task) -> None:
    tools = ToolSet.of(task.start().tools)
    for call in reference(task):
        stated = {
            name: schema["default"]
            for name, schema in tools[call.name].properties.items()
            if "default" in schema
        }
        assert is_right(task, call.name, {**stated, **call.arguments}, [])
        assert not is_right(task, call.name, {**call.arguments, "invented": 1}, [])


@of_each_calling
def test_every_alternative_value_is_right_on_its_own(task: Task) -> None:
    for right in task.right_calls:
        for name, value in right.arguments.items():
            for choice in value if isinstance(value, tuple) else (value,):
                assert is_right(task, right.name, {**right.reference(), name: choice}, [])


@of_each_calling
def test_another_value_or_none_at_all_in_place_of_a_required_one_is_wrong(task: Task) -> None:
    for right in task.right_calls:
        for name in right.arguments:
            rest = {key: value for key, value in right.reference().items() if key != name}
            assert not is_right(task, right.name, {**rest, name: "something else"}, [])
            if not right.optional:
                assert not is_right(task, right.name, rest, [])


@of_each
def test_unknown_tool_is_wrong(task: Task) -> None:
    assert not is_right(task, "no_such_tool", {}, [])


@pytest.mark.parametrize(
    ("task_id", "name", "arguments"),
    [
        ("mail-archive", "delete_mail", {"message_id": "M104"}),
        ("mail-find-and-delete", "delete_mail", {"message_id": "M101"}),
        ("calendar-cancel-quietly", "cancel_event", {"event_id": "E17"}),
        ("calendar-find-and-cancel", "cancel_event", {"event_id": "E12"}),
        ("files-delete", "delete_file", {"name": "report_older.txt"}),
        ("shop-discount", "set_discount", {"product_id": "mug-blue", "percent": 0.15}),
        ("bank-transfer", "transfer", {"source": "savings", "target": "checking", "amount": 40}),
        ("bank-pay", "pay_bill", {"payee": "City Water", "amount": 58.9, "account": "savings"}),
        ("home-dim", "set_light", {"room": "studio", "brightness": 35}),
    ],
)
def test_tempting_mistake_is_wrong_and_does_not_solve(
    task_id: str, name: str, arguments: dict[str, object]
) -> None:
    task = next(task for task in ALL_TASKS if task.id == task_id)
    toolkit, call = task.start(), Call(name=name, arguments=arguments)
    run(toolkit, [call])
    assert not is_right(task, name, arguments, [])
    assert not task.solved(toolkit, [call])


def test_true_is_not_the_number_one() -> None:
    right = RightCall(name="cancel_event", arguments={"event_id": "E17"})
    task = Task(id="t", toolkit=Calendar, request="r", right_calls=(right,))
    assert is_right(task, "cancel_event", {"event_id": "E17", "notify": True}, [])
    assert not is_right(task, "cancel_event", {"event_id": "E17", "notify": 1}, [])


def test_there_are_enough_tasks_of_every_sort() -> None:
    assert len(ALL_TASKS) >= 28
    assert len({task.id for task in ALL_TASKS}) == len(ALL_TASKS)
    assert {task.toolkit for task in CALLING} == set(ALL_TOOLKITS)
    assert set(ALL_TOOLKITS) == {Mail, Calendar, Files, Bookings, Shop, Bank, Home}
    assert len(SILENT) >= 4
    assert sum(len(task.right_calls) == 2 for task in CALLING) >= 8
    assert all(len(task.right_calls) <= 2 for task in CALLING)


@of_each
def test_request_is_a_sentence_or_two_of_natural_length(task: Task) -> None:
    assert 8 <= len(task.request.split()) <= 25
    assert re.fullmatch(r"[A-Z].*[.?]", task.request)


def test_no_free_value_of_a_deed_serves_two_tasks() -> None:
    seen: dict[object, str] = {}
    for task in CALLING:
        properties = {
            tool.name: tool.properties for tool in ToolSet.of(task.start().tools).values()
        }
        for right in task.right_calls:
            for name, value in right.reference().items():
                if isinstance(value, bool) or "enum" in properties[right.name][name]:
                    continue
                assert seen.setdefault(value, task.id) == task.id, value
