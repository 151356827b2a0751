"""A calendar: list, create, move and cancel events."""

from dataclasses import dataclass, field, replace
from typing import Annotated

from pydantic import Field

from toolrm_guard.demo.toolkits.toolkit import Toolkit, as_day, as_time, find, next_id, within
from toolrm_guard.tools import effect

EventId = Annotated[str, Field(description="Event id, for example E10.")]
Day = Annotated[str, Field(description="Day as YYYY-MM-DD.")]
Start = Annotated[str, Field(description="Start time as HH:MM.")]


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One entry of the calendar."""

    title: str
    day: str
    start: str
    minutes: int = 60
    reminder: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Cancellation:
    """What became of a cancelled event's guests."""

    guests_notified: bool


def _events() -> dict[str, Event]:
    return {
        "E11": Event(title="Yoga class", day="2026-05-20", start="07:00"),
        "E12": Event(title="Yoga class", day="2026-05-21", start="07:00"),
        "E13": Event(title="Team lunch", day="2026-05-20", start="12:00", minutes=90),
        "E14": Event(title="Book club", day="2026-03-30", start="18:00"),
        "E15": Event(title="Book fair", day="2026-03-31", start="10:00", minutes=240),
        "E16": Event(title="Parents' evening", day="2026-04-17", start="19:00"),
        "E17": Event(title="Parents' council", day="2026-04-17", start="20:30"),
    }


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Calendar(Toolkit):
    """A calendar with the same class on two days and two meetings of parents on one."""

    events: dict[str, Event] = field(default_factory=_events)
    cancelled: dict[str, Cancellation] = field(default_factory=dict)

    @effect("read")
    def list_events(self, day: Day) -> str:
        """List the events of one day."""
        wanted = as_day(day)
        hits = [
            f"{key}: {row.title} at {row.start}"
            for key, row in self.events.items()
            if row.day == wanted
        ]
        return "; ".join(hits) or f"No events on {wanted}."

    @effect("write")
    def create_event(
        self,
        title: Annotated[str, Field(description="Title of the event.")],
        day: Day,
        start: Start,
        minutes: Annotated[int, Field(description="Length in minutes.")] = 60,
        reminder: Annotated[bool, Field(description="Whether to send a reminder.")] = False,
    ) -> str:
        """Put a new event in the calendar."""
        within(minutes, 1, 24 * 60, "minutes")
        key = next_id(self.events, "E")
        self.events[key] = Event(
            title=title, day=as_day(day), start=as_time(start), minutes=minutes, reminder=reminder
        )
        return f"{key} is created."

    @effect("write")
    def move_event(self, event_id: EventId, day: Day, start: Start) -> str:
        """Move an event to another day and time."""
        key = find(self.events, event_id, "event")
        self.events[key] = replace(self.events[key], day=as_day(day), start=as_time(start))
        return f"{key} is moved."

    @effect("destructive")
    def cancel_event(
        self,
        event_id: EventId,
        notify: Annotated[bool, Field(description="Whether to notify the guests.")] = True,
    ) -> str:
        """Cancel one event."""
        key = find(self.events, event_id, "event")
        del self.events[key]
        self.cancelled[key] = Cancellation(guests_notified=notify)
        return f"{key} is cancelled."

    @effect("destructive")
    def clear_day(self, day: Day) -> str:
        """Remove all events of one day."""
        wanted = as_day(day)
        keys = [key for key, row in self.events.items() if row.day == wanted]
        if not keys:
            raise ValueError(f"There are no events on {wanted}.")
        for key in keys:
            del self.events[key]
        return f"Removed {', '.join(keys)}."
