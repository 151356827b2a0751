"""Check the reference calls against the tools: a reference that cannot be right is none."""

from collections.abc import Iterator

from toolrm_guard.calls import Call
from toolrm_guard.tools import ToolSet
from toolrm_guard.validation import check_call
from training.preferences.rows import Context, Dropped
from training.preferences.schemas import toolset

STAGE = "references"


def references(context: Context) -> Iterator[Context | Dropped]:
    """Yield the context if every reference call fits its tool, or the first finding."""
    calls = [Call(name=raw["name"], arguments=raw["arguments"]) for raw in context.reference.calls]
    tools = toolset(context.tools) if calls else ToolSet(())
    for call in calls:
        for found in check_call(call, tools):
            if found.severity == "error":
                yield Dropped(
                    stage=STAGE, reason=found.code, id=context.id, detail=found.message[:500]
                )
                return
    yield context
