"""Findings about candidates: what the schema says, and what the conversation says.

Errors cannot be right and block execution; warnings are heuristics that lower trust and tell the
policy model where to look.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cached_property

from toolrm_guard.calls import Call, Candidate
from toolrm_guard.grounding import Evidence, ungrounded
from toolrm_guard.messages import Message
from toolrm_guard.relevance import (
    Relevance,
    expected_calls,
    is_answerable,
    latest_request,
    tool_fit,
)
from toolrm_guard.tools import ToolSet
from toolrm_guard.validation import (
    Finding,
    FindingCode,
    Severity,
    check_call,
    finding,
    shown,
)

__all__ = ["Finder", "Finding", "FindingCode", "Severity", "check_call"]

POOR_FIT = 0.05
"""A request of which no tool covers more than this share asks for none of them."""


class Finder:
    """Finds what is wrong with the candidates of one decision; calls that repeat cost nothing."""

    def __init__(self, messages: Sequence[Message], tools: ToolSet) -> None:
        """Keep the conversation; its evidence is computed when first asked for."""
        self._messages = messages
        self._tools = tools
        self._checked: dict[str, tuple[Finding, ...]] = {}
        self._found: dict[str, tuple[Finding, ...]] = {}

    @cached_property
    def evidence(self) -> Evidence:
        """What the whole conversation states."""
        return Evidence.of(self._messages)

    @cached_property
    def relevance(self) -> Relevance:
        """The tools against the latest user request."""
        return Relevance(self._tools, latest_request(self._messages))

    def check(self, call: Call) -> tuple[Finding, ...]:
        """Return what is wrong with a call on its own."""
        found = self._checked.get(call.canonical)
        if found is None:
            found = self._checked[call.canonical] = check_call(call, self._tools)
        return found

    def find_certain(self, candidate: Candidate) -> tuple[Finding, ...]:
        """Return the findings that may rule a call out: errors, and repeats that may be forbidden.

        The conversation is not read for them, which is most of what `find` costs.
        """
        found: list[Finding] = []
        for index, call in enumerate(candidate.calls):
            parts = (*self.check(call), *self._repeated(call))
            found += [replace(item, call=index) for item in parts]
            if call.canonical in {earlier.canonical for earlier in candidate.calls[:index]}:
                found.append(_duplicate(call, index))
        return tuple(found)

    def find(self, candidate: Candidate) -> tuple[Finding, ...]:
        """Return every finding, in the order of the calls; empty if nothing is wrong."""
        if not candidate.calls:
            return tuple(self._missing_call)
        found: list[Finding] = []
        seen: set[str] = set()
        for index, call in enumerate(candidate.calls):
            found += [replace(item, call=index) for item in self._of_call(call)]
            if call.canonical in seen:
                found.append(_duplicate(call, index))
            seen.add(call.canonical)
        return (*found, *self._of_candidate(candidate))

    def _of_call(self, call: Call) -> tuple[Finding, ...]:
        found = self._found.get(call.canonical)
        if found is None:
            parts = (*self.check(call), *self._repeated(call), *self._ungrounded(call))
            found = self._found[call.canonical] = parts
        return found

    def _ungrounded(self, call: Call) -> Iterator[Finding]:
        tool = self._tools.get(call.name)
        if tool is None or call.defect is not None:
            return
        for path, value in ungrounded(call, tool, self.evidence)[:8]:
            message = (
                f"`{path}` of `{call.name}` is {shown(value)}, which nothing in the conversation "
                "states; use a stated value, leave an optional argument out, or ask"
            )
            yield finding("ungrounded_value", message, path)

    @cached_property
    def _answered(self) -> frozenset[str]:
        """Calls made since the latest user message whose result was no error."""
        return frozenset(_answered_calls(self._messages))

    def _repeated(self, call: Call) -> Iterator[Finding]:
        if call.canonical in self._answered:
            message = (
                f"`{shown(call.name)[1:-1]}` was already called with these arguments and answered; "
                "use that result"
            )
            yield finding("repeated_call", message)

    def _of_candidate(self, candidate: Candidate) -> Iterator[Finding]:
        if not self._tools:
            return
        if tool_fit(self.relevance) < POOR_FIT and not self._dialog:
            message = "no tool seems to fit the request; answer in text unless one truly does"
            yield finding("call_without_fit", message)
        count = expected_calls(self.relevance)
        calls = len(candidate.calls)
        if calls > count.most and not self._dialog:
            message = f"the request seems to ask for {count.most} call(s); these are {calls}"
            yield finding("call_count", message)
        elif calls < count.least and not self._dialog:
            message = f"the request seems to ask for {count.least} calls; these are {calls}"
            yield finding("call_count", message)

    @cached_property
    def _dialog(self) -> bool:
        """Whether the decision is not the first of the conversation: then calls may follow up."""
        return any(m.role in ("assistant", "tool") for m in self._messages)

    @cached_property
    def _missing_call(self) -> tuple[Finding, ...]:
        if self._dialog or not self._tools or not is_answerable(self.relevance, self.evidence):
            return ()
        best = max(self.relevance.fits, key=lambda name: self.relevance.fits[name].score)
        message = f"`{best}` fits the request, and its required arguments are stated; call it"
        return (finding("missing_call", message),)


def _duplicate(call: Call, index: int) -> Finding:
    message = f"`{shown(call.name)[1:-1]}` is called twice with the same arguments; call it once"
    return finding("duplicate_call", message, call=index)


_FAILURE = re.compile(r"[^\w]*(?:status\W+)?(?:error|exception|traceback|failed|failure)\b", re.I)


def _answered_calls(messages: Sequence[Message]) -> Iterator[str]:
    last_user = max((i for i, m in enumerate(messages) if m.role == "user"), default=-1)
    pending: list[Call] = []
    for message in messages[last_user + 1 :]:
        if message.role == "assistant":
            pending = list(message.calls)
        elif message.role == "tool" and pending:
            call = next((c for c in pending if c.id and c.id == message.call_id), pending[0])
            pending.remove(call)
            failed = message.failed
            if failed is None:  # the format does not say; the usual beginnings do
                failed = _FAILURE.match(message.text) is not None
            if not failed:
                yield call.canonical
