"""The latest request word by word: where a value stands in it, and what stands around it."""

import re
from bisect import bisect_right
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from functools import cached_property

from toolrm_guard.aliases import is_in, spellings
from toolrm_guard.normal import STOP, WORD, dates, numbers, plain_number, stem, stems

MAX_WORDS = 700
_QUOTED = re.compile(
    r"\"([^\"\n]{1,160})\"|(?<!\w)'([^'\n]{1,160})'(?!\w)|“([^”]{1,160})”|`([^`]{1,160})`"
)


@dataclass(slots=True)
class Place:
    """Where a value stands in the request.

    Attributes:
        words: Indices of the words that it covers.
        whole: It stands there as one piece.
        verbatim: That piece is written exactly so.
        cut: The piece goes on with another capitalised word, or inside its quotes.
        beside: Stems of the words directly before and after the piece.
        relation: How a number relates: `exact`, `fraction` (0.04 for 4%), `percent` (4 for 4%),
            `scaled` (a power of ten or a unit away) or empty.
        start: Index of the first word, -1 if it stands nowhere.
        times: How often it stands there.
    """

    words: frozenset[int] = frozenset()
    whole: bool = False
    verbatim: bool = False
    cut: bool = False
    beside: tuple[str, ...] = ()
    relation: str = ""
    start: int = -1
    times: int = 1


NOWHERE = Place()


class RequestView:
    """The words of a request with their positions, kinds and neighbours."""

    def __init__(self, text: str) -> None:
        """Split the text; words past `MAX_WORDS` are not looked at."""
        self.text = text
        found = list(WORD.finditer(text))[:MAX_WORDS]
        self.surface = [m[0] for m in found]
        self.start = [m.start() for m in found]
        self.end = [m.end() for m in found]
        self.stems = [stem(w) if w[0] > "9" else plain_number(w) for w in self.surface]
        self.at: dict[str, list[int]] = {}
        for index, word in enumerate(self.stems):
            self.at.setdefault(word, []).append(index)
        self._places: dict[object, Place] = {}

    @cached_property
    def numbers(self) -> list[tuple[float, bool, int]]:
        """(value, is a percentage, word index) of every number."""
        if not self.start:
            return []
        return [
            (value, percent, max(bisect_right(self.start, at + 1) - 1, 0))
            for value, percent, at in numbers(self.text)
            if at <= self.start[-1]
        ]

    @cached_property
    def number_words(self) -> frozenset[int]:
        """Indices of the words that are numbers."""
        return frozenset(index for _, _, index in self.numbers if self.surface[index][0].isdigit())

    @cached_property
    def quoted(self) -> list[range]:
        """The words between quotes, as ranges of indices."""
        spans = []
        for match in _QUOTED.finditer(self.text):
            first = bisect_right(self.start, match.start())
            last = bisect_right(self.start, match.end())
            if last > first:
                spans.append(range(first, last))
        return spans

    @cached_property
    def named(self) -> frozenset[int]:
        """Indices of capitalised words that do not merely start a sentence, and quoted words."""
        found = {i for span in self.quoted for i in span}
        for i, word in enumerate(self.surface):
            if word[0].isupper() and word.lower() not in STOP:
                before = self.text[: self.start[i]].rstrip()[-1:]
                if before not in ("", ".", "?", "!", ":", "\n") or (
                    len(word) > 1 and word.isupper()
                ):
                    found.add(i)
        return frozenset(found)

    @cached_property
    def content(self) -> frozenset[int]:
        """Indices of the words that say something."""
        return frozenset(i for i, w in enumerate(self.surface) if w.lower() not in STOP)

    @cached_property
    def _listed(self) -> list[tuple[int, int]]:
        """Pairs of neighbouring list items of one kind, as indices of the words at the joint."""
        found = []
        for i in range(len(self.stems) - 1):
            j = i + 1
            joint = self.text[self.end[i] : self.start[j]]
            if self.stems[j] in ("and", "or") and j + 1 < len(self.stems):
                j += 1
            elif not joint.strip(" '\"") == ",":
                continue
            elif self.stems[j] in ("and", "or") and j + 1 < len(self.stems):
                j += 1
            if self._kind(i) == self._kind(j) != "":
                found.append((i, j))
        return found

    def _kind(self, index: int) -> str:
        if self.surface[index][0].isdigit():
            return "number"
        return "name" if index in self.named else ""

    def loose_neighbours(self, covered: AbstractSet[int]) -> int:
        """Return how many listed items beside a covered one are not covered themselves."""
        return sum((i in covered) != (j in covered) for i, j in self._listed)

    def place(self, value: object) -> Place:
        """Return where a number or a text stands; `NOWHERE` if it does not."""
        key = (type(value), value)
        known = self._places.get(key)
        if known is None:
            if isinstance(value, (int, float)):
                known = self._number(float(value)) if abs(value) < 1e18 else NOWHERE
            else:
                known = self._text(str(value)[:600])
            self._places[key] = known
        return known

    def _number(self, value: float) -> Place:
        groups: dict[str, list[int]] = {}
        for number, percent, index in self.numbers:
            relation = _relation(value, number, percent)
            if relation:
                groups.setdefault(relation, []).append(index)
        for relation in ("exact", "fraction", "percent", "scaled"):
            if relation in groups:
                found = groups[relation]
                return Place(
                    words=frozenset(found), whole=True, relation=relation, start=found[0],
                    verbatim=relation in ("exact", "percent"), beside=self._beside(found[0], 1),
                    times=len(set(found)),
                )  # fmt: skip
        return NOWHERE

    def _text(self, value: str) -> Place:
        surface = WORD.findall(value)
        wanted = [stem(w) if w[0] > "9" else plain_number(w) for w in surface]
        if not wanted:
            return NOWHERE
        starts = self._runs(wanted)
        if starts:
            return self._run(value, starts, len(wanted))
        if any(c.isdigit() for c in value):
            if re.fullmatch(r"\s*[-+]?[\d,]*\.?\d+\s*%?\s*", value):
                return self._number(float(value.strip().rstrip("%").replace(",", "")))
            parts = self._date_words(value)
            if parts:
                return Place(words=frozenset(parts), start=min(parts), relation="date")
        found = self._coded(value)
        if found:
            return Place(words=frozenset(found), start=min(found), relation="code", whole=True)
        found = {i for w in wanted if w not in STOP for i in self.at.get(w, ())}
        return Place(words=frozenset(found), start=min(found)) if found else NOWHERE

    def _coded(self, value: str) -> set[int]:
        """Return the words that a code, or a city with its region, stands for."""
        low = value.strip().lower()
        found = {i for s in spellings(low) for at in self._runs(s) for i in range(at, at + len(s))}
        city, comma, region = low.rpartition(",")
        if not found and comma:
            runs = self._runs(stems(city)) if stems(city) else []
            if runs and (is_in(city.strip(), region.strip()) or self.place(region.strip()).whole):
                found = {i for at in runs for i in range(at, at + len(stems(city)))}
                found |= self.place(region.strip()).words
        return found

    def _runs(self, wanted: Sequence[str]) -> list[int]:
        size = len(wanted)
        wanted = list(wanted)
        return [i for i in self.at.get(wanted[0], ()) if self.stems[i : i + size] == wanted]

    def _run(self, value: str, starts: list[int], size: int) -> Place:
        words = frozenset(i for at in starts for i in range(at, at + size))
        verbatim = value.strip() in self.text
        cut = value[-1:].isalnum() and all(self._is_cut(at, size) for at in starts)
        return Place(
            words=words, whole=True, verbatim=verbatim, cut=cut, start=starts[0],
            beside=self._beside(starts[0], size), relation="run", times=len(starts),
        )  # fmt: skip

    def _is_cut(self, at: int, size: int) -> bool:
        last = at + size - 1
        for span in self.quoted:
            if at in span and last in span and size < len(span):
                return True
        if self.text[self.end[last] : self.end[last] + 1] in ("#", "+", "%", "°"):
            return True
        if not self.surface[at][0].isupper():
            return False
        before, after = at - 1, last + 1
        return (before >= 0 and before in self.named and self._joined(before)) or (
            after < len(self.surface) and after in self.named and self._joined(last)
        )

    def _joined(self, index: int) -> bool:
        """Whether a word and the next one stand together without punctuation."""
        return self.text[self.end[index] : self.start[index + 1]] in (" ", "-", "_")

    def _beside(self, at: int, size: int) -> tuple[str, ...]:
        around = [at - 1] if at else []
        around += [at + size] if at + size < len(self.stems) else []
        return tuple(self.stems[i] for i in around)

    @cached_property
    def _dates(self) -> bool:
        return bool(dates(self.text))

    def _date_words(self, value: str) -> set[int]:
        if not self._dates:
            return set()
        found: set[int] = set()
        for year, month, day in dates(value):
            for part in filter(None, (year, day)):
                found.update(self.at.get(str(part), ()))
            found.update(i for name in MONTH_STEMS[month] for i in self.at.get(name, ()))
        return found


def _relation(value: float, number: float, percent: bool) -> str:
    if value == number:
        return "percent" if percent else "exact"
    if percent and abs(value * 100 - number) < 1e-9 * max(1.0, abs(number)):
        return "fraction"
    if number and value:
        small, large = sorted((abs(value), abs(number)))
        ratio = large / small if small > 1e-12 else 0.0
        if any(abs(ratio - f) < 1e-6 * f for f in (60.0, 100.0, 1000.0, 3600.0, 1e6)):
            return "scaled"
    return ""


MONTH_STEMS: tuple[tuple[str, ...], ...] = (
    (),
    *(
        (str(number), stem(short), stem(full))
        for number, (short, full) in enumerate(
            zip(
                "jan feb mar apr may jun jul aug sep oct nov dec".split(),
                "january february march april may june july august september october november"
                " december".split(),
                strict=True,
            ),
            start=1,
        )
    ),
)
