"""A smart home: lights, heating, doors, routines."""

from dataclasses import dataclass, field, replace
from typing import Annotated, Literal

from pydantic import Field

from toolrm_guard.demo.toolkits.toolkit import Toolkit, find, within
from toolrm_guard.tools import effect

RoomName = Annotated[str, Field(description="Name of the room.")]
DoorName = Literal["front", "back", "garage"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """One room: brightness of its light in percent, heating in degrees Celsius."""

    light: int
    heating: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Door:
    """One outer door."""

    locked: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Routine:
    """Something the house does by itself every day, at HH:MM."""

    time: str
    what: str


def _rooms() -> dict[str, Room]:
    return {
        "study": Room(light=80, heating=19.0),
        "studio": Room(light=60, heating=18.5),
        "nursery": Room(light=10, heating=18.0),
        "kitchen": Room(light=100, heating=20.0),
        "hall": Room(light=50, heating=17.0),
    }


def _doors() -> dict[str, Door]:
    return {"front": Door(), "back": Door(), "garage": Door()}


def _routines() -> dict[str, Routine]:
    return {
        "sunrise": Routine(time="06:45", what="lights up"),
        "sunset": Routine(time="20:15", what="lights down"),
        "siesta": Routine(time="13:30", what="shutters down"),
    }


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Home(Toolkit):
    """A home with a study and a studio, a sunrise and a sunset."""

    rooms: dict[str, Room] = field(default_factory=_rooms)
    doors: dict[str, Door] = field(default_factory=_doors)
    routines: dict[str, Routine] = field(default_factory=_routines)

    @effect("read")
    def get_room(self, room: RoomName) -> str:
        """Show the light and the heating of a room."""
        key = find(self.rooms, room, "room")
        row = self.rooms[key]
        return f"{key}: light {row.light} percent, heating {row.heating:g} degrees."

    @effect("write")
    def set_light(
        self,
        room: RoomName,
        brightness: Annotated[int, Field(description="Percent: 0 is off, 100 is full.")] = 100,
    ) -> str:
        """Set the brightness of the light in a room."""
        key = find(self.rooms, room, "room")
        within(brightness, 0, 100, "brightness")
        self.rooms[key] = replace(self.rooms[key], light=brightness)
        return f"The light in the {key} is at {brightness} percent."

    @effect("write")
    def set_heating(
        self,
        room: RoomName,
        degrees: Annotated[float, Field(description="Degrees Celsius, from 5 to 30.")],
    ) -> str:
        """Set the heating of a room."""
        key = find(self.rooms, room, "room")
        within(degrees, 5, 30, "degrees")
        self.rooms[key] = replace(self.rooms[key], heating=degrees)
        return f"The heating in the {key} is at {degrees:g} degrees."

    @effect("destructive")
    def unlock_door(self, door: Annotated[DoorName, Field(description="Door to unlock.")]) -> str:
        """Unlock an outer door."""
        key = find(self.doors, door, "door")
        if not self.doors[key].locked:
            raise ValueError(f"The {key} door is already unlocked.")
        self.doors[key] = replace(self.doors[key], locked=False)
        return f"The {key} door is unlocked."

    @effect("destructive")
    def delete_routine(
        self, routine: Annotated[str, Field(description="Name of the routine.")]
    ) -> str:
        """Delete a daily routine for good."""
        key = find(self.routines, routine, "routine")
        del self.routines[key]
        return f"The routine {key} is deleted."
