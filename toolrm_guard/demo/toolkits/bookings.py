"""The book of a restaurant: find, make, change and cancel bookings."""

from dataclasses import dataclass, field, replace
from typing import Annotated, Literal

from pydantic import Field

from toolrm_guard.demo.toolkits.toolkit import (
    Toolkit,
    as_day,
    as_time,
    find,
    next_id,
    plain,
    within,
)
from toolrm_guard.tools import effect

MOST_PEOPLE = 12

BookingId = Annotated[str, Field(description="Booking id, for example B10.")]
Guest = Annotated[str, Field(description="Full name of the guest.")]
Day = Annotated[str, Field(description="Day as YYYY-MM-DD.")]
Area = Literal["inside", "terrace"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Booking:
    """One table kept for one guest."""

    guest: str
    day: str
    time: str
    people: int
    area: str = "inside"


def _bookings() -> dict[str, Booking]:
    return {
        "B12": Booking(guest="Paul Weber", day="2026-07-11", time="19:00", people=4),
        "B13": Booking(guest="Kenji Morita", day="2026-08-02", time="19:00", people=4),
        "B18": Booking(guest="Rosa Lind", day="2026-10-01", time="18:00", people=2),
        "B21": Booking(guest="Paula Weber", day="2026-07-11", time="20:30", people=2),
        "B31": Booking(guest="Kenji Mori", day="2026-08-02", time="18:30", people=4),
        "B44": Booking(guest="Ana Silva", day="2026-09-09", time="21:00", people=6),
        "B45": Booking(guest="Ana Silveira", day="2026-09-09", time="20:00", people=2),
    }


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Bookings(Toolkit):
    """A book in which names and ids come in near pairs."""

    bookings: dict[str, Booking] = field(default_factory=_bookings)

    @effect("read")
    def find_bookings(self, guest: Guest) -> str:
        """Find the bookings of a guest."""
        hits = [
            f"{key}: {row.guest}, {row.day} at {row.time}, {row.people} people"
            for key, row in self.bookings.items()
            if plain(guest) in plain(row.guest)
        ]
        return "; ".join(hits) or f"No booking for {guest}."

    @effect("write")
    def book_table(
        self,
        guest: Guest,
        day: Day,
        time: Annotated[str, Field(description="Time as HH:MM.")],
        people: Annotated[int, Field(description="Number of people.")] = 2,
        area: Annotated[Area, Field(description="Where to sit.")] = "inside",
    ) -> str:
        """Book a table for a guest."""
        within(people, 1, MOST_PEOPLE, "people")
        key = next_id(self.bookings, "B")
        self.bookings[key] = Booking(
            guest=guest, day=as_day(day), time=as_time(time), people=people, area=area
        )
        return f"{key} is booked."

    @effect("write")
    def change_people(
        self,
        booking_id: BookingId,
        people: Annotated[int, Field(description="New number of people.")],
    ) -> str:
        """Change the number of people of a booking."""
        key = find(self.bookings, booking_id, "booking")
        within(people, 1, MOST_PEOPLE, "people")
        self.bookings[key] = replace(self.bookings[key], people=people)
        return f"{key} is now for {people} people."

    @effect("destructive")
    def cancel_booking(self, booking_id: BookingId) -> str:
        """Cancel one booking."""
        key = find(self.bookings, booking_id, "booking")
        del self.bookings[key]
        return f"{key} is cancelled."

    @effect("destructive")
    def cancel_all_bookings(self, day: Day) -> str:
        """Cancel all bookings of one day."""
        wanted = as_day(day)
        keys = [key for key, row in self.bookings.items() if row.day == wanted]
        if not keys:
            raise ValueError(f"There are no bookings on {wanted}.")
        for key in keys:
            del self.bookings[key]
        return f"Cancelled {', '.join(keys)}."
