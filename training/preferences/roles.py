"""Check the order of roles: a turn must answer something, and a tool must have been called."""

from collections.abc import Iterator, Sequence

from training.preferences.rows import Dropped, JsonObject, Trajectory

STAGE = "roles"

_MAY_FOLLOW = {
    "": {"system", "user"},
    "system": {"user"},
    "user": {"user", "assistant"},  # people do send two messages
    "assistant": {"user", "tool"},
    "tool": {"tool", "assistant", "user"},
}


def roles(trajectory: Trajectory) -> Iterator[Trajectory | Dropped]:
    """Yield the trajectory if its roles stand in a possible order, or what stands where."""
    problem = disorder(trajectory.messages)
    if problem is None:
        yield trajectory
    else:
        reason, detail = problem
        yield Dropped(stage=STAGE, reason=reason, id=trajectory.id, detail=detail)


def disorder(messages: Sequence[JsonObject]) -> tuple[str, str] | None:
    """Return (reason, detail) of the first message that cannot stand where it does."""
    before, calls = "", False
    for index, message in enumerate(messages):
        role = str(message["role"])
        if role not in _MAY_FOLLOW[before]:
            reason = f"{role}_after_{before or 'nothing'}"
            return reason, f"message {index} is of role {role}, after {before or 'nothing'}"
        if role == "tool" and before == "assistant" and not calls:
            return "result_without_call", f"message {index} is a result, and nothing was called"
        before, calls = role, bool(message.get("tool_calls"))
    if not any(message["role"] == "user" for message in messages):
        return "no_user_turn", "nobody asks for anything"
    return None
