"""How a review's verdict travels in LangChain messages, and how messages say no.

The verdict is plain data under `response_metadata["toolrm_guard"]` of the reviewed `AIMessage`, so
it survives a checkpoint and a restart. It names each call by id and by the sha256 that was judged:
a call that was edited since, or that another version of this library judged, has no verdict.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from langchain_core.messages import AIMessage, BaseMessage, ToolMessage

from toolrm_guard.calls import Call, Candidate
from toolrm_guard.errors import ConfigurationError
from toolrm_guard.review import Review, is_approved

METADATA_KEY = "toolrm_guard"
"""Where a reviewed AIMessage carries its verdict, under `response_metadata`."""

VERSION = 1
"""Of the verdict's form. A verdict of another version approves nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ruling:
    """The verdict on one call.

    Attributes:
        call: The call.
        verdict: `approve`, `reject` or `escalate`; None where it was never judged as it stands.
        reason: Why it was not approved.
    """

    call: Call
    verdict: str | None
    reason: str = ""


def with_verdict(message: AIMessage, review: Review) -> AIMessage:
    """Return the message with the review's verdict on each of its calls."""
    score = review.scores[review.chosen] if review.scores else None
    # The model is told everything that was found; a human sees what stopped this call.
    told = {"approve": "", "reject": review.critique or "", "escalate": ""}
    return _with_metadata(
        message,
        {
            "version": VERSION,
            "review_id": review.id,
            "decision": review.decision,
            "probability": score.probability if score else None,
            "calls": {
                v.call.id: _entry(v.call, v.verdict, told[v.verdict] or v.reason)
                for v in review.verdicts
                if v.call.id
            },
        },
    )


def with_rulings(message: AIMessage, rulings: Sequence[Ruling]) -> AIMessage:
    """Return the message with other verdicts on some of its calls, a human's for example."""
    known = _metadata(message) or {"version": VERSION, "calls": {}}
    changed = {r.call.id: _entry(r.call, r.verdict, r.reason) for r in rulings}
    return _with_metadata(message, {**known, "calls": {**known["calls"], **changed}})


def with_refusals_kept(message: AIMessage, before: AIMessage) -> AIMessage:
    """Return a message that could not be judged with the refusals from when it could.

    A turn that was edited is reviewed again as a whole. If the scorer is down by then, a policy
    that is open must not let a call pass that was refused and is still the same.

    Args:
        message: The reviewed message.
        before: The message as it came to this review, perhaps with the verdicts of an earlier one.
    """
    metadata = _metadata(message)
    if metadata is None or metadata.get("probability") is not None:
        return message
    refused = {
        (r.call.id, r.call.digest): r
        for r in rulings_of(before)
        if r.verdict in ("reject", "escalate")
    }
    ids = [(ruling.call.id, ruling.call.digest) for ruling in rulings_of(message)]
    kept = [refused[key] for key in ids if key in refused]
    return with_rulings(message, kept) if kept else message


def rulings_of(message: AIMessage) -> list[Ruling]:
    """Return the verdict on every call of a message, readable or not."""
    return [ruling_on(message, call) for call in Candidate.parse(message).calls]


def ruling_on(message: AIMessage, call: Call) -> Ruling:
    """Return a message's verdict on exactly this call."""
    metadata = _metadata(message)
    entry = metadata["calls"].get(call.id) if metadata else None
    digest = call.digest
    if not isinstance(entry, Mapping) or entry.get("digest") != digest:
        return Ruling(call=call, verdict=None, reason=_unjudged_reason(message, entry))
    verdict = entry.get("verdict")
    if verdict == "approve" and not is_approved(call, digest=digest):
        verdict = "reject"  # a call that cannot be read is never approved, whatever a state says
    return Ruling(call=call, verdict=verdict, reason=str(entry.get("reason", "")))


def is_reviewed(message: AIMessage) -> bool:
    """Tell whether a message was reviewed just as it stands: every call of it, or its text."""
    metadata = _metadata(message)
    return metadata is not None and all(r.verdict is not None for r in rulings_of(message))


def was_judged(message: AIMessage, call_id: str | None) -> bool:
    """Tell whether a message carries a verdict under this call's id, whatever call it is now."""
    metadata = _metadata(message)
    return metadata is not None and call_id in metadata["calls"]


def review_id_of(message: AIMessage) -> str | None:
    """Return the id of the review that a message's verdict came from."""
    found = (_metadata(message) or {}).get("review_id")
    return found if isinstance(found, str) else None


def refusal(call: Call, reason: str) -> ToolMessage:
    """Return the message that answers a call which does not execute."""
    return ToolMessage(content=reason, tool_call_id=call.id or "", name=call.name, status="error")


def messages_of(state: Any, key: str) -> list[BaseMessage]:
    """Return the messages of a state: a dict, an object with attributes, or the list itself.

    Raises:
        ConfigurationError: If the state has none under that key.
    """
    if isinstance(state, list):
        messages = state
    elif isinstance(state, Mapping):
        messages = state.get(key, [])
    else:
        messages = getattr(state, key, [])
    if not messages:
        raise ConfigurationError(
            f"the state has no messages under {key!r}; pass messages_key=... with the right name"
        )
    return list(messages)


def since_proposal(messages: Sequence[BaseMessage], call_id: str | None) -> list[Any]:
    """Return the AIMessage that proposed a call and all that follows it; empty if there is none."""
    for index in range(len(messages) - 1, -1, -1):
        message = messages[index]
        if isinstance(message, AIMessage) and any(c["id"] == call_id for c in message.tool_calls):
            return list(messages[index:])
    return []


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenTurn:
    """The end of a conversation.

    Attributes:
        history: Everything before the turn.
        proposal: The AIMessage of the turn; None if the turn is still to be drawn.
        answered: Ids of its calls that have a ToolMessage already.
    """

    history: list[BaseMessage]
    proposal: AIMessage | None
    answered: frozenset[str] = frozenset()

    def answered_by(self, replies: Sequence[ToolMessage]) -> "OpenTurn":
        """Return the turn with more of its calls answered."""
        more = {reply.tool_call_id for reply in replies}
        return dataclasses.replace(self, answered=self.answered | more)


def open_turn(messages: Sequence[BaseMessage]) -> OpenTurn:
    """Return the turn that a conversation ends with.

    A turn whose every call is answered is over, and so is one that anything but tool messages
    follows; the next one is still to be drawn then.
    """
    answered: set[str] = set()
    for index in range(len(messages) - 1, -1, -1):
        message = messages[index]
        if isinstance(message, AIMessage):
            calls = [*message.tool_calls, *message.invalid_tool_calls]
            if calls and all(call["id"] in answered for call in calls):
                break
            return OpenTurn(
                history=list(messages[:index]), proposal=message, answered=frozenset(answered)
            )
        if not isinstance(message, ToolMessage):
            break
        answered.add(message.tool_call_id)
    return OpenTurn(history=list(messages), proposal=None)


def rejections(history: Sequence[BaseMessage]) -> int:
    """Count the turns at the end of the history whose calls were all rejected."""
    count = 0
    for message in reversed(history):
        if isinstance(message, AIMessage):
            rulings = rulings_of(message)
            if not rulings or any(r.verdict != "reject" for r in rulings):
                break
            count += 1
        elif not isinstance(message, ToolMessage):
            break
    return count


def _unjudged_reason(message: AIMessage, entry: object) -> str:
    raw = message.response_metadata.get(METADATA_KEY)
    if raw is not None and _metadata(message) is None:
        version = raw.get("version") if isinstance(raw, Mapping) else None
        return (
            f"The guard could not judge: the verdict in this state has version {version!r}, "
            f"and this is version {VERSION}. The call was not executed; propose it again."
        )
    if isinstance(entry, Mapping):
        return "This call is not the one that was judged, so it was not executed."
    return "This call was not approved, so it was not executed."


def _metadata(message: AIMessage) -> dict[str, Any] | None:
    """Return the verdict of a message, if it is one of this version."""
    found = message.response_metadata.get(METADATA_KEY)
    if not isinstance(found, Mapping) or found.get("version") != VERSION:
        return None
    return dict(found) if isinstance(found.get("calls"), Mapping) else None


def _entry(call: Call, verdict: str | None, reason: str) -> dict[str, Any]:
    return {"digest": call.digest, "verdict": verdict, "reason": reason}


def _with_metadata(message: AIMessage, verdict: dict[str, Any]) -> AIMessage:
    metadata = {**message.response_metadata, METADATA_KEY: verdict}
    return message.model_copy(update={"response_metadata": metadata})
