"""What an argument's name and description say about its values: format, examples, percent."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from toolrm_guard.normal import STOP, content_stems, stems
from toolrm_guard.tools import words

_PATTERN = re.compile(
    r"%[YmdHMSyBbIp](?:[-/:. ,T]*%[YmdHMSyBbIp])*"
    r"|\b(?:YYYY|MM|DD|yyyy|dd|HH|hh)(?:[-/:. T]*(?:YYYY|yyyy|MM|mm|DD|dd|HH|hh|SS|ss))+\b"
)
_FIELDS = {
    "YYYY": r"\d{4}", "yyyy": r"\d{4}", "MM": r"\d{2}", "mm": r"\d{2}", "DD": r"\d{2}",
    "dd": r"\d{2}", "HH": r"\d{2}", "hh": r"\d{2}", "SS": r"\d{2}", "ss": r"\d{2}",
    "%Y": r"\d{4}", "%y": r"\d{2}", "%m": r"\d{2}", "%d": r"\d{2}", "%H": r"\d{2}",
    "%I": r"\d{2}", "%M": r"\d{2}", "%S": r"\d{2}", "%B": r"[A-Z][a-z]+", "%b": r"[A-Z][a-z]{2}",
    "%p": r"[AP]M",
}  # fmt: skip
_FIELD = re.compile("|".join(sorted(map(re.escape, _FIELDS), key=len, reverse=True)))
_QUOTED = re.compile(r"(?<!\w)'([^']{1,50})'(?!\w)|\"([^\"]{1,50})\"|`([^`]{1,50})`|“([^”]{1,50})”")
_TAIL = re.compile(
    r"(?:e\.g\.?,?|for example,?|such as|example:?|i\.e\.?,?|like)\s*:?\s*([^.()\n;]{1,80})", re.I
)
_FRACTION = re.compile(r"decimal|fraction|between 0(?:\.0)? and 1|0\.\d|0 to 1\b|0-1\b", re.I)
_DEFAULT = re.compile(
    r"defaults?(?:\s+(?:value|is|to|set))*\s*[:=]?\s*['\"`]?"
    r"([\w.-]+(?: [\w-]+)?(?=['\"`])|[\w.-]+)",
    re.I,
)
_PERCENT = re.compile(r"%|percent", re.I)


@dataclass(frozen=True, slots=True)
class Shape:
    """The look of a text: what examples of one argument usually share."""

    comma: bool
    digit: bool
    case: str
    words: int
    marks: frozenset[str]

    @classmethod
    def of(cls, text: str) -> "Shape":
        """Return the shape of a text."""
        letters = [c for c in text if c.isalpha()]
        if not letters:
            case = "none"
        elif all(c.islower() for c in letters):
            case = "lower"
        elif all(c.isupper() for c in letters):
            case = "upper"
        else:
            case = "title" if letters[0].isupper() else "mixed"
        return cls(
            comma="," in text,
            digit=any(c.isdigit() for c in text),
            case=case,
            words=min(len(text.split()), 4),
            marks=frozenset(c for c in text if c in ":/_@#.-&+"),
        )

    def likeness(self, other: "Shape") -> float:
        """Return how alike two shapes are, in [0, 1]."""
        same = (self.comma == other.comma) + (self.digit == other.digit) + (self.case == other.case)
        either = self.marks | other.marks
        marks = len(self.marks & other.marks) / len(either) if either else 1.0
        return (same + 2 * marks + (abs(self.words - other.words) <= 1)) / 6


@dataclass(frozen=True, slots=True)
class Hints:
    """What is known about an argument before any value is seen.

    Attributes:
        name: Stems of the name's words.
        anchors: Stems of name and description: words near which a value is likely said.
        patterns: Regular expressions of formats that the description spells out.
        shapes: Looks of the examples in the description.
        unit: `fraction`, `percent` or empty.
        default: The default that the description states, in lower case, or empty.
        is_list: The description speaks of a list although the value may be text.
    """

    name: frozenset[str]
    anchors: frozenset[str]
    patterns: tuple[re.Pattern[str], ...]
    shapes: tuple[Shape, ...]
    unit: str
    default: str
    is_list: bool

    @classmethod
    def of(cls, name: str, schema: Mapping[str, Any]) -> "Hints":
        """Return the hints of an argument, from the cache if they were read before."""
        description = schema.get("description")
        text = description[:1_000] if isinstance(description, str) else ""
        return _hints(name, text)

    def fits_pattern(self, value: str) -> bool | None:
        """Tell whether a value has a spelled-out format; None if none is spelled out."""
        if not self.patterns or _PATTERN.search(value) or _PATTERN.search(self.default.upper()):
            return None  # the argument is itself a format
        return any(pattern.fullmatch(value.strip()) for pattern in self.patterns)

    def likeness(self, value: str) -> float | None:
        """Return how much a value looks like the most similar example; None without examples."""
        if not self.shapes:
            return None
        shape = Shape.of(value)
        return max(shape.likeness(other) for other in self.shapes)


@lru_cache(maxsize=20_000)
def _hints(name: str, description: str) -> Hints:
    own = frozenset(w for w in stems(words(name)) if w not in STOP)
    examples = ["".join(groups) for groups in _QUOTED.findall(description)]
    if not examples:
        for tail in _TAIL.findall(description):
            examples.append(tail.strip())
            examples += [part.strip() for part in re.split(r",| or ", tail) if part.strip()]
    patterns = []
    for match in _PATTERN.finditer(description):
        parts, at = [], 0
        for field in _FIELD.finditer(match[0]):
            parts += [re.escape(match[0][at : field.start()]), _FIELDS[field[0]]]
            at = field.end()
        patterns.append(re.compile("".join(parts)))
    examples = [e for e in examples if e and not _PATTERN.search(e)]
    unit = ""
    if _FRACTION.search(description):
        unit = "fraction"
    elif _PERCENT.search(description) or "percent" in name.lower():
        unit = "percent"
    stated = _DEFAULT.search(description)
    return Hints(
        name=own,
        anchors=own | frozenset(content_stems(description[:200])),
        patterns=tuple(patterns[:4]),
        shapes=tuple(dict.fromkeys(Shape.of(e) for e in examples[:8])),
        unit=unit,
        default=stated[1].lower().rstrip(".") if stated else "",
        is_list=bool(re.search(r"\b(?:list|comma|separated|multiple|array)\b", description, re.I)),
    )
