"""Does a tool fit the request, and how many calls does the request ask for?

BM25 of the latest user request against each tool's name, description and argument names. The
offered tools are the corpus, so a word that every tool shares decides nothing.
"""

import math
import re
import weakref
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from toolrm_guard.grounding import Evidence
from toolrm_guard.messages import Message
from toolrm_guard.normal import STOP, content_stems, stem, stems
from toolrm_guard.tools import Tool, ToolSet, words

MAX_REQUEST_CHARS = 6_000
"""A longer request is cut in the middle."""

_K1, _B = 1.2, 0.5
_GENERIC = frozenset(
    stem(w)
    for w in (
        "get set find search list show create make do run calculate compute check fetch retrieve"
        " return value values data information info details result results number name id type"
        " function tool api given specific provide based optional required default user example"
        " string integer float boolean array format e.g eg parameter used include includes"
    ).split()
)


class ToolCard:
    """A tool's words, computed once for the lifetime of the tool."""

    def __init__(self, tool: Tool) -> None:
        """Read name, description and arguments."""
        self.name = tuple(stem(w) for w in words(tool.name).split())
        self.description = tuple(content_stems(tool.description[:1_500]))
        self.arguments: Mapping[str, tuple[str, ...]] = {
            str(name): tuple(stem(w) for w in words(str(name)).split())
            for name in list(tool.properties)[:60]
        }
        weights: dict[str, float] = {}
        for source, weight in (
            ((w for ws in self.arguments.values() for w in ws), 0.5),
            (self._argument_descriptions(tool), 0.25),
            (self.description, 1.0),
            (self.name, 2.0),
        ):
            for word in source:
                if word not in STOP:
                    weights[word] = min(weights.get(word, 0.0) + weight, 4.0)
        self.weights = weights
        self.length = sum(weights.values())
        self.vocabulary = frozenset(self.name).union(self.description, *self.arguments.values())

    @staticmethod
    def _argument_descriptions(tool: Tool) -> Iterable[str]:
        for schema in list(tool.properties.values())[:60]:
            if isinstance(schema, Mapping):
                yield from content_stems(str(schema.get("description") or "")[:300])
                for option in (schema.get("enum") or ())[:20]:
                    yield from content_stems(str(option)[:60])

    @classmethod
    def of(cls, tool: Tool) -> "ToolCard":
        """Return the card of a tool, from the cache if it was made before."""
        known = _CARDS.get(id(tool))
        if known is not None and known[0]() is tool:
            return known[1]
        key = id(tool)
        card = cls(tool)
        _CARDS[key] = (weakref.ref(tool, lambda _: _CARDS.pop(key, None)), card)
        return card


_CARDS: dict[int, tuple[weakref.ref[Tool], ToolCard]] = {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Fit:
    """How well a tool fits the request.

    Attributes:
        score: BM25, zero or more; compare only within one request.
        share: Share of the request's weight that the tool's words cover, in [0, 1].
        name: Share of the words of the tool's name that the request says, in [0, 1].
    """

    score: float
    share: float
    name: float


class Relevance:
    """The offered tools against one request."""

    def __init__(self, tools: ToolSet, request: str) -> None:
        """Read the tools (cached) and the request."""
        self.request = cut(request)
        self.tools = tools
        self._cards = {name: ToolCard.of(tool) for name, tool in tools.items()}

    @cached_property
    def words(self) -> dict[str, float]:
        """The request's distinct content stems with their weight against these tools (idf)."""
        cards = list(self._cards.values())
        found = dict.fromkeys(content_stems(self.request)[:400], 0.0)
        for word in found:
            holders = sum(word in card.weights for card in cards)
            rarity = math.log(1.0 + (len(cards) - holders + 0.5) / (holders + 0.5))
            found[word] = rarity * (0.5 if word in _GENERIC else 1.0)
        return found

    @cached_property
    def fits(self) -> dict[str, Fit]:
        """The fit of every tool, by name."""
        return self.fit_of(self.words)

    def fit_of(self, found: Mapping[str, float]) -> dict[str, Fit]:
        """Return the fit of every tool to some weighted stems."""
        total = sum(0.3 if w[0].isdigit() else 1.0 for w in found) or 1.0
        mean = sum(c.length for c in self._cards.values()) / max(len(self._cards), 1) or 1.0
        fits = {}
        for name, card in self._cards.items():
            norm = _K1 * (1 - _B + _B * card.length / mean)
            score, share = 0.0, 0.0
            for word, rarity in found.items():
                weight = card.weights.get(word)
                if weight:
                    score += rarity * weight * (_K1 + 1) / (weight + norm)
                    share += 1.0
            named = [w for w in card.name if w not in STOP]
            said = sum(w in found for w in named) / len(named) if named else 0.0
            fits[name] = Fit(score=score, share=share / total, name=said)
        return fits

    @cached_property
    def best(self) -> float:
        """The best score of any tool."""
        return max((fit.score for fit in self.fits.values()), default=0.0)

    def card(self, name: str) -> ToolCard | None:
        """Return the words of a tool; None for a tool that is not offered."""
        return self._cards.get(name)

    @cached_property
    def clauses(self) -> list[str]:
        """The request in parts that may each ask for a call."""
        return split_clauses(self.request)

    @cached_property
    def listed(self) -> int:
        """The length of the longest enumeration in the request."""
        return enumerated(self.request)

    @cached_property
    def clause_tools(self) -> list[str]:
        """The best tool of each clause that clearly has one."""
        chosen = []
        for clause in self.clauses[:12]:
            found = {
                w: self.words[w] for w in dict.fromkeys(content_stems(clause)) if w in self.words
            }
            fits = self.fit_of(found)
            name = max(fits, key=lambda n: fits[n].score, default=None)
            if name is not None and fits[name].score > 0.35 * self.best:
                chosen.append(name)
        return chosen


_CLAUSE = re.compile(
    r"[.?!;]\s+|\n+|,?\s+(?:and then|then|and also|also|as well as|additionally|finally|lastly"
    r"|after that|afterwards|next|plus|followed by|besides|furthermore|moreover)\s+"
    r"|,\s+and\s+|\s+and\s+"
    r"|[。；？！]|然后|并且|以及|同时|接着",
    re.I,
)


def split_clauses(text: str) -> list[str]:
    """Return the sentences and coordinated parts of a text that hold a word that says something."""
    return [part for part in _CLAUSE.split(text) if part and content_stems(part)]


def cut(text: str, limit: int = MAX_REQUEST_CHARS) -> str:
    """Return the text, or its head and tail if it is longer than the limit."""
    return text if len(text) <= limit else f"{text[: limit // 2]}\n{text[-limit // 2 :]}"


def latest_request(messages: Sequence[Message]) -> str:
    """Return the newest user message; with the one before when it says next to nothing."""
    spoken = [m.text for m in messages if m.role == "user" and m.text.strip()]
    if not spoken:
        return next((m.text for m in reversed(messages) if m.text), "")
    if len(spoken) > 1 and len(content_stems(spoken[-1][:500])) <= 3:
        return f"{spoken[-2]}\n{spoken[-1]}"
    return spoken[-1]


# --- how many calls -----------------------------------------------------------------------------

_PAIR = re.compile(
    r"(?:\b[A-Z][\w.]*|\d[\w.%]*|'[^']{1,40}'|\"[^\"]{1,40}\") (?:and|&) (?:the )?"
    r"(?:[A-Z][\w.]*|\d[\w.%]*|'[^']{1,40}'|\"[^\"]{1,40}\")"
)
_EACH = re.compile(
    r"\b(?:each|respectively|both|separately|every one|for all of|the following|as well as)\b", re.I
)
_COUNTED = re.compile(
    r"\b(two|three|four|five|six|[2-6]) (?:different |separate |more )?"
    r"(?:times|calls|requests|searches|queries|cities|places|locations|companies|stocks|people)\b",
    re.I,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class CallCount:
    """How many calls a request asks for: a likely range, and whether that is sure."""

    least: int
    most: int
    sure: bool


def enumerated(text: str) -> int:
    """Return the length of the longest list `A, B and C` of short items; 1 if there is none."""
    longest, run = 1, 1
    parts = re.split(r"[,、]", text)
    for part in parts[1:]:
        said = part.split(maxsplit=6)
        joined = said[:1] in (["and"], ["or"], ["&"])
        ends = any(w in ("and", "or", "&") for w in said[1:5])
        if joined or ends or len(said) <= 4:
            run += 1 + (ends and not joined)
            longest = max(longest, run)
        if joined or ends or len(said) > 4:
            run = 1
    return max(longest, 2 if _PAIR.search(text) else 1)


def is_each(text: str) -> bool:
    """Tell whether the text speaks of several things one by one."""
    return _EACH.search(text) is not None


def expected_calls(relevance: Relevance) -> CallCount:
    """Return how many calls the request asks for; careful, so that a warning is worth reading."""
    text = relevance.request
    tools = relevance.clause_tools
    distinct = len(set(tools))
    listed = relevance.listed
    most = max(1, len(relevance.clauses), listed, len(re.findall(r"\band\b|,|、", text)) + 1)
    least = distinct if distinct > 1 else 1
    sure = most == 1
    return CallCount(least=least, most=most, sure=sure)


def tool_fit(relevance: Relevance) -> float:
    """Return whether any tool fits, in [0, 1]: the best tool's share of the request's words."""
    return max((max(f.share, 0.5 * f.name) for f in relevance.fits.values()), default=0.0)


def overlap(one: Iterable[str], other: Iterable[str]) -> float:
    """Return the share of the first words that are among the second; 0 for none."""
    listed = [w for w in one if w not in STOP]
    among = frozenset(other)
    return sum(w in among for w in listed) / len(listed) if listed else 0.0


def argument_words(name: str) -> tuple[str, ...]:
    """Return the stems of an argument's name."""
    return tuple(stems(words(name)))


def is_answerable(relevance: Relevance, evidence: Evidence) -> bool:
    """Tell whether the best tool clearly fits and the request holds what it requires."""
    name = max(relevance.fits, key=lambda n: relevance.fits[n].score, default=None)
    if name is None:
        return False
    fit, tool = relevance.fits[name], relevance.tools[name]
    if fit.name < 0.99 or fit.share < 0.3:
        return False
    stated = len(evidence.numbers)
    numeric = 0
    for argument in tool.required:
        schema = tool.properties.get(argument)
        kind = schema.get("type") if isinstance(schema, Mapping) else None
        numeric += kind in ("integer", "number")
    return numeric <= stated
