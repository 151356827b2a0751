"""Is a value stated in the conversation? Numbers, dates, case and word forms do not matter.

`Evidence` reads a conversation once and answers `support(value, schema)` in [0, 1]: 1 is stated
(or given by the schema), 0 is out of thin air. Between lie part coverage and simple derivations.
"""

import datetime
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from typing import Any

from toolrm_guard.aliases import is_in, spellings
from toolrm_guard.calls import Call
from toolrm_guard.messages import Message
from toolrm_guard.normal import (
    MONTHS as _MONTHS,
)
from toolrm_guard.normal import (
    RELATIVE_DATE,
    STOP,
    WORD,
    Date,
    content_stems,
    dates,
    numbers,
    plain_number,
    same_date,
    stem,
    stems,
    times,
)
from toolrm_guard.tools import Tool
from toolrm_guard.validation import json_path

_WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")

MAX_EVIDENCE_CHARS = 48_000
"""What is read of a conversation; the newest messages come first, each at most half of the rest."""

GROUNDED = 0.3
"""Support below this makes the finding `ungrounded_value`: no part of it was stated or derived."""

_DERIVED = (60.0, 3600.0, 1000.0, 100.0, 12.0, 7.0, 24.0)
_TODAY = re.compile(
    r"(?:today|current date|now|timestamp)(?:'s date)?\W{1,4}(?:is)?(.{0,60})", re.I
)
_CJK = re.compile("[一-鿿぀-ヿ]")


class Evidence:
    """What was said, in normal form; parts nobody asks for are never computed."""

    def __init__(self, texts: Iterable[str]) -> None:
        """Join texts; the caller has cut them."""
        self.text = "\n".join(texts)
        self.lower = self.text.lower()
        self._support: dict[object, float] = {}

    @classmethod
    def of(cls, messages: Iterable[Message], budget: int = MAX_EVIDENCE_CHARS) -> "Evidence":
        """Return the evidence of a conversation, newest messages first when it is too long."""
        return cls(reversed(list(_cut(list(messages), budget))))

    @cached_property
    def words(self) -> frozenset[str]:
        """The stems of all words."""
        return frozenset(self._stems)

    @cached_property
    def phrase(self) -> str:
        """The stems in order between single spaces, for contiguous look-up."""
        return f" {' '.join(self._stems)} "

    @cached_property
    def _stems(self) -> list[str]:
        return stems(self.text)

    @cached_property
    def numbers(self) -> frozenset[float]:
        """Every number, in digits or words; percentages also as fractions."""
        found = set()
        for value, percent, _ in numbers(self.text):
            found.add(value)
            if percent:
                found.add(round(value / 100, 9))
        return frozenset(found)

    @cached_property
    def dates(self) -> set[Date]:
        """Every date, 0 where a part is left out; also tomorrow and the like, if today is known."""
        found = dates(self.text)
        today = anchor_date(self.text)
        return found | _relative(self.lower, today) if today else found

    @cached_property
    def times(self) -> set[tuple[int, int]]:
        """Every clock time."""
        return times(self.text)

    @cached_property
    def relative_dates(self) -> bool:
        """Whether days are spoken of relative to now, so that a date may be derived."""
        return RELATIVE_DATE.search(self.text) is not None

    @cached_property
    def is_cjk(self) -> bool:
        """Whether Chinese or Japanese is spoken: then a Latin value may be a translation."""
        return _CJK.search(self.text) is not None

    def support(self, value: object, schema: object = None) -> float:
        """Return how far a value is stated, in [0, 1]; a schema's own values count as stated.

        Containers have the mean support of their values. Booleans and null are never stated as
        such and count as 1.
        """
        inner = schema if isinstance(schema, Mapping) else {}
        if isinstance(value, Mapping):
            named = inner.get("properties")
            parts = [
                (v, named.get(k) if isinstance(named, Mapping) else None) for k, v in value.items()
            ]
            return _mean(self.support(v, s) for v, s in parts)
        if isinstance(value, (list, tuple)):
            return _mean(self.support(item, inner.get("items")) for item in value)
        if value is None or isinstance(value, bool) or value == "" or is_given(value, inner):
            return 1.0
        found = self.stated(value)
        if found < 0.9 and isinstance(value, int) and self.is_coded(value, inner):
            return 0.95
        if found < 0.6 and isinstance(value, str) and is_described(value, inner):
            return 0.6
        return found

    def is_coded(self, value: int, schema: Mapping[str, Any]) -> bool:
        """Tell whether the description gives a number as the code of something that was said.

        `1 for cleaning, 2 for ironing`, and the user speaks of ironing.
        """
        description = schema.get("description")
        if not isinstance(description, str) or str(value) not in description:
            return False
        pattern = (
            rf"(?<![\w.]){value}(?![\w.])\s*"
            r"(?:for|is|are|as|means|represents|stands for|=|:|-|\u2013|\()"
            r"\s*['\"]?([^,;.()'\"\d]{2,40})"
        )
        return any(
            f" {' '.join(stems(name))} " in self.phrase
            or any(w in self.words for w in content_stems(name))
            for name in re.findall(pattern, description[:1_500])
        )

    def stated(self, value: object) -> float:
        """Return how far a number or text is stated, schema aside."""
        key = (type(value), value)
        known = self._support.get(key)
        if known is None:
            if isinstance(value, (int, float)):
                known = self._number(value)
            else:
                known = self._text(str(value)[:2_000])
            self._support[key] = known
        return known

    def _number(self, value: float) -> float:
        try:
            number = round(float(value), 9)
        except OverflowError:
            return 0.0
        if not math.isfinite(number):
            return 0.0
        if number in self.numbers:
            return 1.0
        if abs(number) < 1e15 and (number == int(number) and str(int(number)) in self.words):
            return 1.0
        if -number in self.numbers or any((int(number), m) in self.times for m in (0, 30)):
            return 0.8
        if any(
            _near(number, n * f) or _near(number, n / f) for n in self.numbers for f in _DERIVED
        ):
            return 0.5
        if number in (0, 1, 2):
            return 0.4  # implied by `a`, `my wife and I`, a default
        few = [n for n in self.numbers if n][:12]
        if any(
            _near(number, n + m) or _near(number, n - m) or _near(number, n * m)
            for n in few
            for m in few
        ):
            return 0.35
        return 0.0

    def _text(self, value: str) -> float:
        low = value.strip().lower()
        if not low:
            return 1.0
        at = self.lower.find(low)
        if at >= 0 and _stands_alone(self.lower, at, len(low)):
            return 1.0
        words = [stem(w) if w[0] > "9" else plain_number(w) for w in WORD.findall(value)]
        if not words:
            return 1.0 if at >= 0 else 0.2
        if f" {' '.join(words)} " in self.phrase:
            return 1.0
        special = self._special(low)
        if special is not None:
            return special
        return self._coverage(words)

    def _special(self, low: str) -> float | None:
        """Support of text that is a number, a date or a time; None if it is none of these."""
        if any(c.isdigit() for c in low):
            if re.fullmatch(r"[-+]?[\d,]*\.?\d+", low) and len(low) < 20:
                return self._number(float(low.replace(",", "")))
            found = dates(low)
            if found:
                if any(same_date(one, other) for one in found for other in self.dates):
                    return 1.0
                return 0.5 if self.relative_dates or self._near_date(found) else 0.15
            clock = times(low)
            if clock and len(low) <= 12:
                return 1.0 if clock & self.times else 0.4 if self.relative_dates else 0.15
            return None
        if low in ("true", "false", "yes", "no", "none", "null", "all", "any"):
            return 0.8
        if _MONTHS.get(low) in {month for _, month, _ in self.dates}:
            return 0.8
        if any(f" {' '.join(spelled)} " in self.phrase for spelled in spellings(low)):
            return 0.9
        city, comma, region = low.rpartition(",")
        if comma and self.stated(city.strip()) == 1.0:
            known = is_in(city.strip(), region.strip())
            return 0.95 if known or self.stated(region.strip()) >= 0.9 else None
        return None

    def _near_date(self, found: set[Date]) -> bool:
        """Tell whether a date is within a month of a stated one: stays and trips are counted on."""
        return any(
            abs(372 * (y - year) + 31 * (m - month) + d - day) <= 31
            for y, m, d in found
            for year, month, day in self.dates
            if d and day and (not year or not y or abs(y - year) <= 1)
        )

    def _coverage(self, words: list[str]) -> float:
        """The share of the words that were said, long words weighing more, at most 0.9."""
        weights = [(0.3 if w in STOP else min(len(w), 8) / 4) for w in words]
        said = self.words
        covered = sum(
            k for w, k in zip(words, weights, strict=True) if w in said or self._spelled(w)
        )
        share = covered / sum(weights)
        if share < GROUNDED and self.is_cjk:
            return 0.5  # perhaps a translation
        joined = "".join(words)
        if share < 0.6 and len(joined) >= 4 and joined in re.sub(r"\W+", "", self.lower):
            return 0.85
        return 0.9 * share

    def _spelled(self, word: str) -> bool:
        return any(f" {' '.join(spelled)} " in self.phrase for spelled in spellings(word))


def ungrounded(call: Call, tool: Tool, evidence: Evidence) -> list[tuple[str, object]]:
    """Return (JSON path, value) of arguments that nothing in the conversation supports.

    Made for few false alarms: short values only, since longer text is composed rather than quoted.
    """
    found: list[tuple[str, object]] = []
    for path, value, schema in schema_leaves(call.arguments, tool.parameters):
        if isinstance(value, bool) or value is None:
            continue
        if isinstance(value, str) and (len(value) > 60 or _is_composed(value)):
            continue
        support = evidence.support(value, schema)
        if isinstance(value, str) and "@" in value and support < 0.9:
            support = evidence.stated(value.partition("@")[0])  # a shared domain says nothing
        if support < GROUNDED:
            found.append((json_path(path), value))
    return found


def schema_leaves(
    value: object, schema: object, path: tuple[str | int, ...] = ()
) -> Iterator[tuple[tuple[str | int, ...], Any, Mapping[str, Any]]]:
    """Yield (path, value, schema) of every value that is no container; {} for an unknown schema."""
    inner: Mapping[str, Any] = schema if isinstance(schema, Mapping) else {}
    if isinstance(value, Mapping):
        named = inner.get("properties")
        for key, item in value.items():
            yield from schema_leaves(
                item, named.get(key) if isinstance(named, Mapping) else None, (*path, str(key))
            )
    elif isinstance(value, (list, tuple)):
        for index, item in enumerate(value):
            yield from schema_leaves(item, inner.get("items") or _items_like(inner), (*path, index))
    else:
        yield path, value, inner


def is_given(value: object, schema: Mapping[str, Any]) -> bool:
    """Tell whether the schema itself gives the value: enum, const or default."""
    if "default" in schema and _equal(value, schema["default"]):
        return True
    if "const" in schema and _equal(value, schema["const"]):
        return True
    allowed = schema.get("enum")
    return isinstance(allowed, (list, tuple)) and any(_equal(value, item) for item in allowed)


def is_described(value: str, schema: Mapping[str, Any]) -> bool:
    """Tell whether the description names the value, as an example or an option."""
    description = schema.get("description")
    if not isinstance(description, str) or not value:
        return False
    at = description.lower().find(value.lower())
    return at >= 0 and _stands_alone(description, at, len(value))


def _items_like(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    description = schema.get("description")
    return {"description": description} if description else {}


def _is_composed(value: str) -> bool:
    """Code, formulas, paths with wildcards: written for the tool, not quoted."""
    return any(mark in value for mark in "()=*{}<>|\\^$") or value.count(" ") > 7


def _equal(one: object, other: object) -> bool:
    return type(one) is type(other) and one == other


def _near(one: float, other: float) -> bool:
    return abs(one - other) <= 1e-9 * max(1.0, abs(other))


def _stands_alone(text: str, at: int, length: int) -> bool:
    """Tell whether text[at:at+length] starts and ends at a word boundary."""
    before = text[at - 1] if at else " "
    after = text[at + length] if at + length < len(text) else " "
    inside_start, inside_end = text[at], text[at + length - 1]
    return not (before.isalnum() and inside_start.isalnum() and inside_start.isascii()) and not (
        after.isalnum() and inside_end.isalnum() and inside_end.isascii()
    )


def _mean(values: Iterable[float]) -> float:
    listed = list(values)
    return sum(listed) / len(listed) if listed else 1.0


def _cut(messages: list[Message], budget: int) -> Iterator[str]:
    for message in reversed(messages):
        texts = [message.text] if message.text else []
        texts += [call.canonical for call in message.calls]
        for text in texts:
            if budget <= 0:
                return
            allowed = max(budget // 2, 2_000)
            if len(text) > allowed:
                text = f"{text[: allowed // 2]} {text[-allowed // 2 :]}"
            budget -= len(text)
            yield text


def _relative(low: str, today: datetime.date) -> set[Date]:
    """Return the dates that words like `tomorrow` and `next Friday` mean."""
    days = {0} if "today" in low or "tonight" in low else set()
    days |= {1} if "tomorrow" in low else set()
    days |= {-1} if "yesterday" in low else set()
    for index, name in enumerate(_WEEKDAYS):
        if name in low:
            ahead = (index - today.weekday()) % 7
            days |= {ahead, ahead + 7, ahead - 7}
    found = [today + datetime.timedelta(days=count) for count in days]
    return {(day.year, day.month, day.day) for day in found}


def anchor_date(text: str) -> datetime.date | None:
    """Return the date that a text calls today, if it does."""
    match = _TODAY.search(text)
    found = [d for d in dates(match[1]) if all(d)] if match else []
    try:
        return datetime.date(*found[0]) if found else None
    except ValueError:
        return None
