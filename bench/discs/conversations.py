"""Conversations of a wanted length in tokens, with candidates that differ as sampled ones do."""

import json
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from toolrm_guard.calls import Call, Candidate
from toolrm_guard.messages import Message, parse_messages
from toolrm_guard.prompt import render_prompt
from toolrm_guard.scorers.base import ScoreRequest
from toolrm_guard.tools import ToolSet

Count = Callable[[str], int]
"""How many tokens a text has."""

_OPENING = "You are assistant {} of a travel agency."
_CITIES = ("Oslo", "Lyon", "Porto", "Graz", "Bergen", "Turin", "Malmö", "Gdansk", "Ghent", "Brno")
_VERBS = ("search", "book", "cancel", "rate")
_NOUNS = ("train", "flight", "bus", "hotel", "ferry", "car")
_THINGS = ("the weather", "a good museum", "the price of a ticket", "quiet places", "the ferry")


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversation:
    """A decision at the wanted length, and what is needed to go on after it.

    Attributes:
        messages: Before the first decision.
        tools: Offered in both decisions.
        drawn: Candidates of the first decision, distinct.
        later: Candidates of the second.
        follow_up: What comes between: the result of the chosen call, and another request.
    """

    messages: tuple[Message, ...]
    tools: ToolSet
    drawn: tuple[Candidate, ...]
    later: tuple[Candidate, ...]
    follow_up: tuple[Message, ...]

    def first(self, candidates: int) -> ScoreRequest:
        """Return the first decision, over so many candidates."""
        return ScoreRequest(
            messages=self.messages, tools=self.tools, candidates=self.drawn[:candidates]
        )

    def second(self, candidates: int, chosen: int) -> ScoreRequest:
        """Return the decision after the call of candidate `chosen` was made."""
        said = Message(role="assistant", calls=self.drawn[chosen].calls)
        return ScoreRequest(
            messages=(*self.messages, said, *self.follow_up),
            tools=self.tools,
            candidates=self.later[:candidates],
        )

    def opened_anew(self, name: str) -> "Conversation":
        """Return the same conversation with another assistant; as long, but no prefix is shared."""
        number = random.Random(name + self.messages[0].text).randrange(100_000, 1_000_000)
        opening = Message(role="system", text=_OPENING.format(number))
        return replace(self, messages=(opening, *self.messages[1:]))


def conversation(count: Count, tokens: int, candidates: int, seed: int) -> Conversation:
    """Return a conversation whose first prompt has about `tokens` tokens.

    Half of the tokens are tools, the rest is dialogue; 2% short at most, if `tokens` is 200 or
    more. Two seeds share little but the names of tools.
    """
    rng = random.Random(seed)
    tools = _tools(count, tokens // 2, rng)
    opening = _OPENING.format(rng.randrange(100_000, 1_000_000))
    messages: list[dict[str, object]] = [
        {"role": "system", "content": opening},
        {"role": "user", "content": _wish(rng)},
    ]
    while (lacking := tokens - _length(count, messages, tools)) > max(4, tokens // 50):
        messages.insert(-1, _filler(count, lacking, len(messages), rng))
    result = {"ok": True, "booking": rng.randrange(10**6), "price": rng.randrange(20, 400)}
    follow_up: list[dict[str, object]] = [
        {"role": "tool", "content": json.dumps(result), "tool_call_id": "1"},
        {"role": "user", "content": _wish(rng)},
    ]
    return Conversation(
        messages=parse_messages(messages),
        tools=tools,
        drawn=_drawn(tools, candidates, rng),
        later=_drawn(tools, candidates, rng),
        follow_up=parse_messages(follow_up),
    )


def _drawn(tools: ToolSet, candidates: int, rng: random.Random) -> tuple[Candidate, ...]:
    """Return distinct calls: most of one tool, their values right or changed here and there."""
    names = list(tools)
    right = _values(rng)
    found: dict[str, Candidate] = {}
    while len(found) < candidates:
        values = _values(rng)
        arguments = {
            key: value if rng.random() < 0.7 else values[key] for key, value in right.items()
        }
        name = names[0] if rng.random() < 0.8 else rng.choice(names)
        candidate = Candidate(calls=(Call(name=name, arguments=arguments),))
        found[candidate.canonical] = candidate
    return tuple(found.values())


def _values(rng: random.Random) -> dict[str, object]:
    start, goal = rng.sample(_CITIES, 2)
    return {"origin": start, "destination": goal, "day": _day(rng), "seats": rng.randint(1, 6)}


def _day(rng: random.Random) -> str:
    return f"2026-{rng.randint(1, 12):02d}-{rng.randint(1, 28):02d}"


def _wish(rng: random.Random) -> str:
    start, goal = rng.sample(_CITIES, 2)
    return f"Please book {rng.randint(1, 6)} seats from {start} to {goal} on {_day(rng)}."


def _filler(count: Count, lacking: int, index: int, rng: random.Random) -> dict[str, object]:
    """Return a turn of at most about `lacking` tokens."""
    role = ("user", "assistant")[index % 2]
    words = f"I was asking about {rng.choice(_THINGS)} in {rng.choice(_CITIES)} on {_day(rng)}."
    while count(words) < min(lacking - 12, 60):
        words += f" And {rng.choice(_THINGS)}, number {rng.randrange(1000)}."
    if lacking < 30:  # a turn of its own would be too long: single words fill what is left
        words = " ".join(["well"] * max(1, lacking - 6))
    return {"role": role, "content": words}


def _tools(count: Count, tokens: int, rng: random.Random) -> ToolSet:
    """Return one tool or more, as many as fit."""
    names = [f"{verb}_{noun}" for noun in _NOUNS for verb in _VERBS]
    rng.shuffle(names)
    for number in range(len(names), 1, -1):
        tools = ToolSet.of([_tool(name) for name in names[:number]])
        if count(render_prompt((), tools)) <= tokens:
            return tools
    return ToolSet.of([_tool(names[0], briefly=True)])


def _tool(name: str, *, briefly: bool = False) -> dict[str, object]:
    text = {"type": "string"}
    told = {} if briefly else {"description": "As the traveller says it"}
    properties = {key: {**text, **told} for key in ("origin", "destination", "day")}
    return {
        "name": name,
        "description": f"{name.replace('_', ' ').capitalize()}.",
        "parameters": {
            "type": "object",
            "properties": {**properties, "seats": {"type": "integer"}},
            "required": ["origin", "destination"],
        },
    }


def _length(count: Count, messages: Sequence[dict[str, object]], tools: ToolSet) -> int:
    return count(render_prompt(parse_messages(messages), tools))
