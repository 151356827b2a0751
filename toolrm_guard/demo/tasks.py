"""The demo's tasks: ordinary requests over the seven toolkits, with tempting mistakes nearby."""

from dataclasses import asdict

from toolrm_guard.demo.task import RightCall, Task, is_right
from toolrm_guard.demo.toolkits import Bank, Bookings, Calendar, Files, Home, Mail, Shop
from toolrm_guard.demo.toolkits.bank import Payment
from toolrm_guard.demo.toolkits.bookings import Booking
from toolrm_guard.demo.toolkits.calendar import Event
from toolrm_guard.demo.toolkits.files import File
from toolrm_guard.demo.toolkits.mail import Sent

__all__ = ["ALL_TASKS", "RightCall", "Task", "is_right"]


def _call(name: str, /, **arguments: object) -> RightCall:
    return RightCall(name=name, arguments=arguments)


def _look(name: str, /, **arguments: object) -> RightCall:
    return RightCall(name=name, arguments=arguments, optional=True)


_MAIL = (
    Task(
        id="mail-archive",
        toolkit=Mail,
        request="Put message M104 away in the archive, I may need that tax assessment next year.",
        right_calls=(_call("archive_mail", message_id="M104"),),
        end={"messages": {"M104": {"folder": "archive"}}},
    ),
    Task(
        id="mail-delete",
        toolkit=Mail,
        request="Delete message M106 for good, it is only spam about a voucher.",
        right_calls=(_call("delete_mail", message_id="M106"),),
        end={"messages": {"M106": None}},
    ),
    Task(
        id="mail-send",
        toolkit=Mail,
        request='Mail lea@mail.example with the subject "Lunch" and the text "See you at noon".',
        right_calls=(
            _call("send_mail", to="lea@mail.example", subject="Lunch", body="See you at noon"),
        ),
        end={
            "sent": {
                "S1": asdict(Sent(to="lea@mail.example", subject="Lunch", body="See you at noon"))
            }
        },
    ),
    Task(
        id="mail-find-and-delete",
        toolkit=Mail,
        request="Find the mail from Ana Braun about the invoice, then delete it.",
        right_calls=(
            _look("search_mail", sender=("Ana Braun", "Ana", "Braun", ""), subject=("", "invoice")),
            _call("delete_mail", message_id="M102"),
        ),
        end={"messages": {"M102": None}},
    ),
)

_CALENDAR = (
    Task(
        id="calendar-create",
        toolkit=Calendar,
        request='Put "Dentist" in my calendar on 2026-03-12 at 09:30 for 45 minutes.',
        right_calls=(
            _call("create_event", title="Dentist", day="2026-03-12", start="09:30", minutes=45),
        ),
        end={
            "events": {
                "E18": asdict(Event(title="Dentist", day="2026-03-12", start="09:30", minutes=45))
            }
        },
    ),
    Task(
        id="calendar-move",
        toolkit=Calendar,
        request="The book club cannot meet as planned: move event E14 to 2026-04-02 at 16:00.",
        right_calls=(_call("move_event", event_id="E14", day="2026-04-02", start="16:00"),),
        end={"events": {"E14": {"day": "2026-04-02", "start": "16:00"}}},
    ),
    Task(
        id="calendar-cancel-quietly",
        toolkit=Calendar,
        request="Cancel event E17, but please do not notify the guests about it.",
        right_calls=(_call("cancel_event", event_id="E17", notify=False),),
        end={"events": {"E17": None}, "cancelled": {"E17": {"guests_notified": False}}},
    ),
    Task(
        id="calendar-find-and-cancel",
        toolkit=Calendar,
        request="Look at my events of 2026-05-20 and cancel the yoga class on that day.",
        right_calls=(
            _look("list_events", day="2026-05-20"),
            _call("cancel_event", event_id="E11"),
        ),
        end={"events": {"E11": None}, "cancelled": {"E11": {"guests_notified": True}}},
    ),
)

_FILES = (
    Task(
        id="files-delete",
        toolkit=Files,
        request="Delete the file report_old.txt, the one from last year.",
        right_calls=(_call("delete_file", name="report_old.txt"),),
        end={"files": {"report_old.txt": None}},
    ),
    Task(
        id="files-rename",
        toolkit=Files,
        request="Rename the file budget.xlsx to budget_2026.xlsx so that I find it again.",
        right_calls=(_call("rename_file", name="budget.xlsx", new_name="budget_2026.xlsx"),),
        end={
            "files": {
                "budget.xlsx": None,
                "budget_2026.xlsx": asdict(File(folder="documents", kilobytes=80)),
            }
        },
    ),
    Task(
        id="files-move-and-delete",
        toolkit=Files,
        request="Move photo_07.jpg to the pictures folder, and delete draft_b.docx.",
        right_calls=(
            _call("move_file", name="photo_07.jpg", folder="pictures"),
            _call("delete_file", name="draft_b.docx"),
        ),
        end={"files": {"photo_07.jpg": {"folder": "pictures"}, "draft_b.docx": None}},
    ),
    Task(
        id="files-list",
        toolkit=Files,
        request="Which files are in my downloads folder at the moment?",
        right_calls=(_call("list_files", folder="downloads"),),
    ),
)

_BOOKINGS = (
    Task(
        id="bookings-book",
        toolkit=Bookings,
        request="Book a table on the terrace for Omar Haddad on 2026-06-05 at 19:30, 5 people.",
        right_calls=(
            _call(
                "book_table",
                guest="Omar Haddad",
                day="2026-06-05",
                time="19:30",
                people=5,
                area="terrace",
            ),
        ),
        end={
            "bookings": {
                "B46": asdict(
                    Booking(
                        guest="Omar Haddad",
                        day="2026-06-05",
                        time="19:30",
                        people=5,
                        area="terrace",
                    )
                )
            }
        },
    ),
    Task(
        id="bookings-more-people",
        toolkit=Bookings,
        request="Booking B31 is going to be 7 people instead of 4, please change it.",
        right_calls=(_call("change_people", booking_id="B31", people=7),),
        end={"bookings": {"B31": {"people": 7}}},
    ),
    Task(
        id="bookings-cancel-and-book",
        toolkit=Bookings,
        request="Cancel booking B12 and book for Ines Moreau on 2026-07-18 at 20:00, 3 people.",
        right_calls=(
            _call("cancel_booking", booking_id="B12"),
            _call("book_table", guest="Ines Moreau", day="2026-07-18", time="20:00", people=3),
        ),
        end={
            "bookings": {
                "B12": None,
                "B46": asdict(
                    Booking(
                        guest="Ines Moreau", day="2026-07-18", time="20:00", people=3, area="inside"
                    )
                ),
            }
        },
    ),
    Task(
        id="bookings-find-and-cancel",
        toolkit=Bookings,
        request="Ana Silva has fallen ill, so find her booking and cancel it.",
        right_calls=(
            _look("find_bookings", guest=("Ana Silva", "Ana", "Silva")),
            _call("cancel_booking", booking_id="B44"),
        ),
        end={"bookings": {"B44": None}},
    ),
)

_SHOP = (
    Task(
        id="shop-discount",
        toolkit=Shop,
        request="Give our customers 15 percent off the product mug-blue from today on.",
        right_calls=(_call("set_discount", product_id="mug-blue", percent=15),),
        end={"products": {"mug-blue": {"discount_percent": 15}}},
    ),
    Task(
        id="shop-refund",
        toolkit=Shop,
        request="Refund order R5003, because both mugs arrived damaged.",
        right_calls=(
            _look("get_order", order_id="R5003"),
            _call("refund_order", order_id="R5003", reason="damaged"),
        ),
        end={"orders": {"R5003": {"status": "refunded", "refund_reason": "damaged"}}},
    ),
    Task(
        id="shop-restock-and-remove",
        toolkit=Shop,
        request="Add 24 pieces of tea-green to the stock and remove the product tea-mint.",
        right_calls=(
            _call("restock", product_id="tea-green", pieces=24),
            _call("remove_product", product_id="tea-mint"),
        ),
        end={"products": {"tea-green": {"stock": 34}, "tea-mint": None}},
    ),
    Task(
        id="shop-status",
        toolkit=Shop,
        request="A customer asks where her parcel is: what is the status of order R5008?",
        right_calls=(_call("get_order", order_id="R5008"),),
    ),
)

_BANK = (
    Task(
        id="bank-transfer",
        toolkit=Bank,
        request="Please move 40 dollars from my checking account to savings.",
        right_calls=(
            _look("get_balance", account="checking"),
            _call("transfer", source="checking", target="savings", amount=40),
        ),
        end={"balances": {"checking": 1800.0, "savings": 5240.0}},
    ),
    Task(
        id="bank-pay",
        toolkit=Bank,
        request="Pay 58.90 dollars to City Water for the bill of this month.",
        right_calls=(_call("pay_bill", payee="City Water", amount=58.9),),
        end={
            "balances": {"checking": 1781.1},
            "payments": {
                "P1": asdict(Payment(payee="City Water", amount=58.9, account="checking"))
            },
        },
    ),
    Task(
        id="bank-card-limit",
        toolkit=Bank,
        request="Please set the monthly limit of card C77 to 650 dollars.",
        right_calls=(_call("set_card_limit", card_id="C77", limit=650),),
        end={"cards": {"C77": {"limit": 650}}},
    ),
    Task(
        id="bank-block-and-limit",
        toolkit=Bank,
        request="I lost card C73, so block it, and raise the limit of card C75 to 900 dollars.",
        right_calls=(
            _call("block_card", card_id="C73"),
            _call("set_card_limit", card_id="C75", limit=900),
        ),
        end={"cards": {"C73": {"blocked": True}, "C75": {"limit": 900}}},
    ),
    Task(
        id="bank-check-and-empty",
        toolkit=Bank,
        request="See how much money the gifts account holds, then transfer all of it to taxes.",
        right_calls=(
            _look("get_balance", account="gifts"),
            _call("transfer", source="gifts", target="taxes", amount=212.5),
        ),
        end={"balances": {"gifts": 0.0, "taxes": 1342.5}},
    ),
    Task(
        id="bank-balance",
        toolkit=Bank,
        request="How many dollars are left on my travel account right now?",
        right_calls=(_call("get_balance", account="travel"),),
    ),
)

_HOME = (
    Task(
        id="home-dim",
        toolkit=Home,
        request="Dim the light in the study to 35 percent, I want to watch a film.",
        right_calls=(_call("set_light", room="study", brightness=35),),
        end={"rooms": {"study": {"light": 35}}},
    ),
    Task(
        id="home-heating",
        toolkit=Home,
        request="Set the heating in the nursery to 20.5 degrees before the baby wakes up.",
        right_calls=(_call("set_heating", room="nursery", degrees=20.5),),
        end={"rooms": {"nursery": {"heating": 20.5}}},
    ),
    Task(
        id="home-unlock",
        toolkit=Home,
        request="The plumber is here, so unlock the garage door for him, please.",
        right_calls=(_call("unlock_door", door="garage"),),
        end={"doors": {"garage": {"locked": False}}},
    ),
    Task(
        id="home-lights-off-and-routine",
        toolkit=Home,
        request="Turn the light in the kitchen off and delete the routine called sunrise.",
        right_calls=(
            _call("set_light", room="kitchen", brightness=0),
            _call("delete_routine", routine="sunrise"),
        ),
        end={"rooms": {"kitchen": {"light": 0}}, "routines": {"sunrise": None}},
    ),
)

_NO_CALL = (
    Task(
        id="mail-thanks",
        toolkit=Mail,
        request="Thank you very much, that was everything I needed from you today.",
    ),
    Task(
        id="calendar-leap-year",
        toolkit=Calendar,
        request="Just out of curiosity, how many days does February have in a leap year?",
    ),
    Task(
        id="bookings-do-not-cancel",
        toolkit=Bookings,
        request="Please do not cancel booking B18 yet, I am still thinking about it.",
    ),
    Task(
        id="bank-what-is-interest",
        toolkit=Bank,
        request="What does the word interest mean when people talk about a loan?",
    ),
    Task(
        id="home-pizza",
        toolkit=Home,
        request="Order me a large pizza with olives, it should be here by eight.",
    ),
)

ALL_TASKS: tuple[Task, ...] = (
    *_MAIL,
    *_CALENDAR,
    *_FILES,
    *_BOOKINGS,
    *_SHOP,
    *_BANK,
    *_HOME,
    *_NO_CALL,
)
"""Every task: one call, two calls, a read alone, and last those where any call is wrong."""
