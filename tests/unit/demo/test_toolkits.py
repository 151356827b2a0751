"""The demo's toolkits: what their tools do, say and refuse."""

import inspect
from collections.abc import Mapping

import pytest

from toolrm_guard.demo.toolkits import ALL_TOOLKITS, Toolkit
from toolrm_guard.demo.toolkits.bank import Bank
from toolrm_guard.demo.toolkits.bookings import Bookings
from toolrm_guard.demo.toolkits.calendar import Calendar
from toolrm_guard.demo.toolkits.files import Files
from toolrm_guard.demo.toolkits.home import Home
from toolrm_guard.demo.toolkits.mail import Mail
from toolrm_guard.demo.toolkits.shop import Shop
from toolrm_guard.demo.toolkits.toolkit import as_day, as_time, find, next_id, plain
from toolrm_guard.tools import ToolSet

IMPOSSIBLE: list[tuple[type[Toolkit], str, dict[str, object], str]] = [
    (Mail, "send_mail", {"to": "lea", "subject": "a", "body": "b"}, "'lea' is not a mail address"),
    (Mail, "archive_mail", {"message_id": "M999"}, "no message 'M999'"),
    (Mail, "delete_mail", {"message_id": ""}, "no message ''"),
    (Calendar, "list_events", {"day": "tomorrow"}, "'tomorrow' is not a day"),
    (Calendar, "create_event", {"title": "a", "day": "2026-02-30", "start": "09:00"}, "2026-02-30"),
    (Calendar, "move_event", {"event_id": "E11", "day": "2026-05-20", "start": "9"}, "not a time"),
    (Calendar, "cancel_event", {"event_id": "11"}, "no event '11'"),
    (Calendar, "clear_day", {"day": "2026-01-01"}, "no events on 2026-01-01"),
    (Files, "move_file", {"name": "beach.jpg", "folder": "desktop"}, "no folder 'desktop'"),
    (Files, "list_files", {"folder": "desktop"}, "no folder 'desktop'"),
    (Files, "rename_file", {"name": "budget.xlsx", "new_name": "budgets.xlsx"}, "already a file"),
    (Files, "delete_file", {"name": "report.txt"}, "no file 'report.txt'"),
    (Bookings, "change_people", {"booking_id": "B12", "people": 0}, "from 1 to 12, not 0"),
    (Bookings, "cancel_booking", {"booking_id": "B99"}, "no booking 'B99'"),
    (Bookings, "cancel_all_bookings", {"day": "2026-01-01"}, "no bookings on 2026-01-01"),
    (Shop, "set_discount", {"product_id": "mug-blue", "percent": 150.0}, "from 0 to 100, not 150"),
    (Shop, "restock", {"product_id": "mug-blue", "pieces": -2}, "not -2"),
    (Shop, "refund_order", {"order_id": "R1"}, "no order 'R1'"),
    (Shop, "remove_product", {"product_id": "mug"}, "no product 'mug'"),
    (Bank, "transfer", {"source": "gifts", "target": "savings", "amount": 213.0}, "only 212.50"),
    (Bank, "transfer", {"source": "gifts", "target": "gifts", "amount": 1.0}, "both gifts"),
    (Bank, "transfer", {"source": "gifts", "target": "taxes", "amount": -1.0}, "above 0"),
    (Bank, "transfer", {"source": "gifts", "target": "taxes", "amount": float("nan")}, "above 0"),
    (Bank, "pay_bill", {"payee": "a", "amount": 5.0, "account": "loan"}, "no account 'loan'"),
    (Bank, "set_card_limit", {"card_id": "C73", "limit": 99_999}, "from 0 to 10000"),
    (Home, "set_light", {"room": "attic", "brightness": 5}, "no room 'attic'"),
    (Home, "set_light", {"room": "study", "brightness": 101}, "from 0 to 100, not 101"),
    (Home, "set_heating", {"room": "study", "degrees": 66.0}, "from 5 to 30"),
    (Home, "delete_routine", {"routine": "sun"}, "no routine 'sun'"),
]

READS: list[tuple[type[Toolkit], str, dict[str, object], str]] = [
    (Mail, "search_mail", {"sender": "ana braun"}, "M102: Invoice for April"),
    (Mail, "search_mail", {"sender": "nobody"}, "No mail found."),
    (Calendar, "list_events", {"day": "2026-05-20"}, "E11: Yoga class at 07:00; E13: Team lunch"),
    (Calendar, "list_events", {"day": "2026-01-01"}, "No events on 2026-01-01."),
    (Files, "list_files", {"folder": "downloads"}, "photo_07.jpg, photo_70.jpg, setup.zip"),
    (Bookings, "find_bookings", {"guest": "Ana Silva"}, "B44: Ana Silva, 2026-09-09 at 21:00"),
    (Bookings, "find_bookings", {"guest": "nobody"}, "No booking for nobody."),
    (Shop, "get_order", {"order_id": "R5008"}, "1 x lamp-oak, in transit"),
    (Bank, "get_balance", {"account": "gifts"}, "212.50 dollars"),
    (Home, "get_room", {"room": "study"}, "light 80 percent, heating 19 degrees"),
]


def execute(toolkit: Toolkit, name: str, arguments: Mapping[str, object]) -> str:
    answer: str = getattr(toolkit, name)(**arguments)
    return answer


@pytest.mark.parametrize("kind", ALL_TOOLKITS)
def test_toolkit_has_a_read_a_write_and_a_destructive_tool(kind: type[Toolkit]) -> None:
    tools = kind().tools
    assert 4 <= len(tools) <= 5
    assert {getattr(tool, "effect", None) for tool in tools} == {"read", "write", "destructive"}


@pytest.mark.parametrize("kind", ALL_TOOLKITS)
def test_model_reads_one_line_about_every_tool_and_every_argument(kind: type[Toolkit]) -> None:
    for tool in ToolSet.of(kind().tools).values():
        assert tool.description.endswith(".")
        assert "\n" not in tool.description
        assert tool.effect is not None
        assert all(argument["description"] for argument in tool.properties.values())


@pytest.mark.parametrize("kind", ALL_TOOLKITS)
def test_tools_are_exactly_the_public_methods(kind: type[Toolkit]) -> None:
    inherited = {"tools", "snapshot"}
    public = {
        name for name, _ in inspect.getmembers(kind, inspect.isfunction) if not name.startswith("_")
    }
    assert {tool.__name__ for tool in kind().tools} == public - inherited


@pytest.mark.parametrize("kind", ALL_TOOLKITS)
def test_two_toolkits_share_no_state(kind: type[Toolkit]) -> None:
    changed, other = kind(), kind()
    table = next(iter(vars_of(changed).values()))
    table.clear()
    assert other.snapshot() == kind().snapshot() != changed.snapshot()


@pytest.mark.parametrize("kind", ALL_TOOLKITS)
def test_snapshot_is_a_copy_that_later_changes_leave_alone(kind: type[Toolkit]) -> None:
    toolkit = kind()
    before = toolkit.snapshot()
    for table in vars_of(toolkit).values():
        table.clear()
    assert before == kind().snapshot()


def vars_of(toolkit: Toolkit) -> dict[str, dict[str, object]]:
    return {name: getattr(toolkit, name) for name in toolkit.snapshot()}


@pytest.mark.parametrize(("kind", "name", "arguments", "message"), IMPOSSIBLE)
def test_impossible_request_says_why_and_changes_nothing(
    kind: type[Toolkit], name: str, arguments: dict[str, object], message: str
) -> None:
    toolkit = kind()
    with pytest.raises(ValueError, match=message):
        execute(toolkit, name, arguments)
    assert toolkit.snapshot() == kind().snapshot()


@pytest.mark.parametrize(("kind", "name", "arguments", "answer"), READS)
def test_read_tells_and_changes_nothing(
    kind: type[Toolkit], name: str, arguments: dict[str, object], answer: str
) -> None:
    toolkit = kind()
    assert answer in execute(toolkit, name, arguments)
    assert toolkit.snapshot() == kind().snapshot()


@pytest.mark.parametrize(
    ("kind", "name", "arguments"),
    [
        (Shop, "refund_order", {"order_id": "R5030"}),
        (Bank, "block_card", {"card_id": "C75"}),
        (Home, "unlock_door", {"door": "back"}),
        (Files, "empty_folder", {"folder": "pictures"}),
        (Calendar, "clear_day", {"day": "2026-04-17"}),
        (Bookings, "cancel_all_bookings", {"day": "2026-08-02"}),
    ],
)
def test_what_is_gone_cannot_go_twice(
    kind: type[Toolkit], name: str, arguments: dict[str, object]
) -> None:
    toolkit = kind()
    execute(toolkit, name, arguments)
    after = toolkit.snapshot()
    with pytest.raises(ValueError, match=r"already|no events|no bookings"):
        execute(toolkit, name, arguments)
    assert toolkit.snapshot() == after


def test_transfer_neither_makes_nor_loses_money() -> None:
    bank = Bank()
    total = sum(bank.balances.values())
    bank.transfer(source="travel", target="gifts", amount=0.1)
    assert sum(bank.balances.values()) == pytest.approx(total)
    assert (bank.balances["travel"], bank.balances["gifts"]) == (765.15, 212.6)


def test_new_rows_get_the_next_id() -> None:
    bookings = Bookings()
    assert bookings.book_table(guest="A", day="2026-01-02", time="18:00") == "B46 is booked."
    assert bookings.book_table(guest="B", day="2026-01-02", time="18:00") == "B47 is booked."
    assert next_id({}, "P") == "P1"


def test_everyone_gets_a_mail_that_goes_to_everyone() -> None:
    mail = Mail()
    mail.send_to_everyone(subject="Hello", body="All")
    assert [sent.to for sent in mail.sent.values()] == ["everyone"]


def test_ids_are_found_whatever_their_case_and_trailing_punctuation() -> None:
    assert find({"M101": 1}, " m101. ", "message") == "M101"
    assert plain("  See you\n at NOON!! ") == "see you at noon"


@pytest.mark.parametrize("text", ["20260520", "2026-5-20", "2026-13-01", "", "20.05.2026"])
def test_day_in_another_format_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="write it as YYYY-MM-DD"):
        as_day(text)


@pytest.mark.parametrize("text", ["24:00", "7:30", "07:60", "noon", ""])
def test_time_in_another_format_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="write it as HH:MM"):
        as_time(text)
