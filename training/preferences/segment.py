"""Cut a trajectory into contexts: what came before a reference turn, and the turn."""

from collections.abc import Iterator

from training.preferences.rows import Context, Response, Trajectory


def segment(trajectory: Trajectory) -> Iterator[Context]:
    """Yield one context per target; what the source recorded belongs to the last one.

    Expects `targets` to be set, which `faults` does.
    """
    targets = trajectory.targets or ()
    for target in targets:
        turn = trajectory.messages[target]
        yield Context(
            id=f"{trajectory.source}:{trajectory.id}:{target}",
            source=trajectory.source,
            licence=trajectory.licence,
            group=trajectory.group,
            tools=trajectory.tools,
            messages=trajectory.messages[:target],
            reference=Response(
                text=str(turn["content"]),
                calls=tuple(turn.get("tool_calls") or ()),
                by="reference",
            ),
            responses=trajectory.recorded if target == targets[-1] else (),
        )
