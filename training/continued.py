"""Contexts in which some of the calls have been made and answered: go on, or stop?

The packs hold few of them, and an agent meets one after every call. They are made from single-turn
references: the first calls become turns of the conversation with plausible results, and what is
right next is the one call that is left, or an answer in text when none is.
"""

import json
import random
from collections.abc import Sequence
from dataclasses import dataclass

from toolrm_guard.calls import Call, Candidate
from toolrm_guard.messages import Message
from training.perturb import Labelled
from training.synthetic import Single

_RESULTS = (
    "ok",
    "Done.",
    "success",
    '{{"status": "success"}}',
    '{{"success": true, "message": "completed"}}',
    "{name} completed.",
    '{{"result": {values}}}',
    "Result of {name}: {values}",
)
"""Templates over the call's name and its first values."""

_CLOSINGS = (
    "Done.",
    "That is taken care of.",
    "All done. Is there anything else?",
    "I have done what you asked for.",
    "Here is the result.",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Continued:
    """A conversation under way, what is right next, and what is wrong."""

    messages: tuple[Message, ...]
    right: tuple[Candidate, ...]
    wrong: tuple[Labelled, ...]


def continue_from(single: Single, other: Single, rng: random.Random) -> Continued | None:
    """Return the context after all of the calls, or all but the last, have been answered."""
    calls = list(single.calls)
    if len({call.canonical for call in calls}) < len(calls) or not calls:
        return None
    finished = len(calls) == 1 or rng.random() < 0.5
    done, left = (calls, []) if finished else (calls[:-1], calls[-1:])
    closing = Candidate(text=rng.choice(_CLOSINGS))
    wrong = [_wrong((call,), "call_again") for call in done]
    strangers = [call for call in other.calls if call.name in single.tools]
    wrong += [_wrong((call,), "call_too_many") for call in strangers]
    edited = _edited(done[-1], done, rng)
    wrong += [_wrong((edited,), "call_again_edited")] if edited else []
    if left:
        wrong += [
            Labelled(candidate=closing, right=False, error="stop_early"),
            _wrong(tuple(calls), "call_again"),
        ]
    return Continued(
        messages=(Message(role="user", text=single.request), *_turns(done, rng)),
        right=(Candidate(calls=tuple(left)) if left else closing,),
        wrong=tuple(wrong),
    )


def _turns(done: Sequence[Call], rng: random.Random) -> list[Message]:
    """Return the calls as turns: one after the other, or in parallel."""
    if rng.random() < 0.5:
        return [
            Message(role="assistant", calls=tuple(done)),
            *(_result(call, rng) for call in done),
        ]
    return [
        message
        for call in done
        for message in (Message(role="assistant", calls=(call,)), _result(call, rng))
    ]


def _result(call: Call, rng: random.Random) -> Message:
    values = json.dumps(list(call.arguments.values())[:2], default=repr)
    text = rng.choice(_RESULTS).format(name=call.name, values=values)
    return Message(role="tool", name=call.name, text=text)


def _edited(call: Call, done: Sequence[Call], rng: random.Random) -> Call | None:
    """Return the call with one argument dropped or changed to another value that was used."""
    if not call.arguments:
        return None
    name = rng.choice(sorted(call.arguments))
    values = [v for c in done for k, v in c.arguments.items() if (c, k) != (call, name)]
    arguments = dict(call.arguments)
    if values and rng.random() < 0.5:
        arguments[name] = rng.choice(values)
    else:
        del arguments[name]
    changed = Call(name=call.name, arguments=arguments)
    return None if changed in done else changed


def _wrong(calls: tuple[Call, ...], error: str) -> Labelled:
    return Labelled(candidate=Candidate(calls=calls), right=False, error=error)
