"""Leave out the turns that must not be references: failed executions, malformed, repeated calls.

Runs before segmentation, since only the trajectory knows what came back from a call.
"""

import dataclasses
import json
import re
from collections.abc import Iterator, Mapping, Sequence

from toolrm_guard.calls import Call
from toolrm_guard.rule_score import has_repeats
from training.preferences.rows import Dropped, JsonObject, Trajectory

STAGE = "faults"

_FAILURE = re.compile(
    # `Error`, `Error: x`, `Error (404): x`, `Error 404`, `Error occurred`; no `Error correction`.
    r"\s*(?:(?:error|exception)\s*(?:$|[:!.,;\[(]|-\s|\d|(?:occurred|while|when|in|at|from|code)\b)"
    r"|(?:error|exception)[ \t]*\n|traceback \(most recent call last\)"
    r"|[\w.]+(?:error|exception)\s*:|failed to\b)",
    re.I,
)
_BAD_STATUS = {"error", "failed", "failure", "exception"}
_FIRST_BAD_STATUS = 400


def faults(trajectory: Trajectory) -> Iterator[Trajectory | Dropped]:
    """Yield the trajectory with its sound targets; a target left out is dropped by itself."""
    messages = trajectory.messages
    targets = trajectory.targets
    if targets is None:
        targets = tuple(i for i, message in enumerate(messages) if message["role"] == "assistant")
    kept = []
    # A history with a call that nobody can read cannot be shown in the Hermes form.
    broken = next((i for i, m in enumerate(messages) if malformed(m.get("tool_calls"))), None)
    for target in targets:
        problem = _problem(messages, target, broken)
        if problem is None:
            kept.append(target)
        else:
            reason, detail = problem
            at = f"{trajectory.id}:{target}"
            yield Dropped(stage=STAGE, reason=reason, id=at, detail=detail[:500])
    if kept:
        # They answer the last target; on another turn they would be answers to another question.
        recorded = trajectory.recorded if kept[-1] == targets[-1] else ()
        yield dataclasses.replace(trajectory, targets=tuple(kept), recorded=recorded)
    elif not targets:
        detail = "no turn of the assistant to learn from"
        yield Dropped(stage=STAGE, reason="no_target", id=trajectory.id, detail=detail)


def malformed(calls: Sequence[JsonObject] | None) -> str | None:
    """Return what is wrong with the first call that cannot be read; None if all can be."""
    for raw in calls or ():
        if not isinstance(raw.get("arguments"), Mapping):
            return f"arguments of {raw.get('name')!r} are {raw.get('arguments')!r:.200}"
        call = Call(name=str(raw.get("name") or ""), arguments=raw["arguments"])
        if call.defect is not None:
            return f"{call.name!r}: {call.defect.message}"
        if not call.name:
            return "the call names no tool"
    return None


def is_failure(result: str) -> bool:
    """Tell whether a tool's result says that its call failed."""
    if _FAILURE.match(result):
        return True
    if not result.lstrip().startswith(("{", "[")):
        return False
    try:
        value = json.loads(result)
    except (ValueError, RecursionError):
        return False
    items = value if isinstance(value, list) else [value]
    # Of several results one may have failed while the others answer the request.
    return bool(items) and all(isinstance(item, dict) and _says_failed(item) for item in items)


def _says_failed(value: Mapping[str, object]) -> bool:
    if any(value.get(key) for key in ("error", "errors", "exception")):
        return True
    if value.get("success") is False:
        return True
    status = value.get("status")
    if isinstance(status, str):
        return status.lower() in _BAD_STATUS
    return isinstance(status, int) and _FIRST_BAD_STATUS <= status < 600


def _problem(
    messages: Sequence[JsonObject], target: int, broken: int | None
) -> tuple[str, str] | None:
    if not 0 <= target < len(messages) or messages[target]["role"] != "assistant":
        return "bad_target", f"message {target} is no turn of the assistant"
    if broken is not None and broken <= target:
        detail = malformed(messages[broken].get("tool_calls")) or ""
        return "malformed_call", f"message {broken}: {detail}"
    calls = [
        Call(name=raw["name"], arguments=raw["arguments"])
        for raw in messages[target].get("tool_calls") or ()
    ]
    if has_repeats(calls):
        return "repeated_call", f"message {target} makes a call twice: {calls[0].canonical}"
    if calls:
        for message in messages[target + 1 :]:
            if message["role"] != "tool":
                break
            if is_failure(str(message["content"])):
                return "failed_execution", f"message {target}: {message['content']!r:.200}"
    return None
