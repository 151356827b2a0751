"""Text in normal form: words, numbers, dates and times in the notations that people use.

Everything here is linear in the length of the text and knows nothing of conversations or tools.
"""

import re
from collections.abc import Iterator
from functools import lru_cache

WORD = re.compile(r"\d+(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?|[一-鿿぀-ヿ]|[^\W\d_一-鿿぀-ヿ]+")
"""One word: a number, one CJK character (no word boundaries there), or a run of letters."""

_SUFFIXES = (
    "ments ment ings ing ions ion ives ive ies ers ors ied ed es er or ly al s e y"
).split()

STOP = frozenset(
    "a an the and or of for to in on at by with from into is are was were be been am do does"
    " did can could would should will shall may might must i me my mine we us our you your he"
    " she it its they them their this that these those there here what which who whom whose"
    " when where why how please help want need like also then than as if so not no yes have"
    " has had get got give tell let know about some any all both each every just only very"
    " much many more most other another up out over under again s t ll re ve d m using use"
    " used based make sure both between".split()
)

_SMALL = {
    word: value
    for value, word in enumerate(
        "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen"
        " fifteen sixteen seventeen eighteen nineteen".split()
    )
}
_TENS = {
    word: 10 * value
    for value, word in enumerate(
        "twenty thirty forty fifty sixty seventy eighty ninety".split(), start=2
    )
}
_ORDINALS = {
    word: value
    for value, word in enumerate(
        "first second third fourth fifth sixth seventh eighth ninth tenth".split(), start=1
    )
}
_OTHER = {
    "once": 1, "single": 1, "twice": 2, "double": 2, "couple": 2, "pair": 2, "triple": 3,
    "half": 0.5, "quarter": 0.25, "dozen": 12, "一": 1, "二": 2, "两": 2, "三": 3, "四": 4,
    "五": 5, "六": 6, "七": 7, "八": 8, "九": 9, "十": 10,
}  # fmt: skip
_SCALES = {
    "k": 1e3, "thousand": 1e3, "m": 1e6, "mn": 1e6, "million": 1e6, "b": 1e9, "bn": 1e9,
    "billion": 1e9, "trillion": 1e12, "hundred": 100.0, "lakh": 1e5, "万": 1e4, "千": 1e3,
    "亿": 1e8,
}  # fmt: skip
_WORD_NUMBERS = {**_SMALL, **_TENS, **_ORDINALS, **_OTHER}
_NUMBER = re.compile(
    r"(?<![\w.])?(?P<sign>(?<![\w.])[-−])?(?P<digits>\d+(?:,\d{3})+(?:\.\d+)?|\d*\.\d+|\d+)"
    r"(?:(?P<exp>e[-+]?\d+)\b)?\s?(?P<scale>%|percent|per cent|[kmb]n?\b|thousand|million|billion"
    r"|trillion|hundred|lakh|万|千|亿)?",
    re.I,
)
_WORD_NUMBER = re.compile(
    r"\b(" + "|".join(word for word in _WORD_NUMBERS if word.isascii()) + r")\b"
    r"|[一二两三四五六七八九十](?=[个位张间天月日点人次小份杯])",
    re.I,
)


@lru_cache(maxsize=50_000)
def stem(word: str) -> str:
    """Return a crude stem: `calculating`, `calculates` and `calculation` share one."""
    word = word.lower()
    if len(word) <= 3 or not word.isascii():
        return word
    for suffix in _SUFFIXES:
        if word.endswith(suffix) and len(word) - len(suffix) >= 3:
            if suffix == "s" and word.endswith(("ss", "us", "is")):
                return word
            return word[: -len(suffix)]
    return word


def stems(text: str) -> list[str]:
    """Return the stems of a text's words; thousands separators are dropped from numbers."""
    return [stem(word) if word[0] > "9" else plain_number(word) for word in WORD.findall(text)]


def content_stems(text: str) -> list[str]:
    """Return the stems of the words that say something."""
    return [
        stem(word) if word[0] > "9" else plain_number(word)
        for word in WORD.findall(text)
        if word.lower() not in STOP
    ]


def plain_number(word: str) -> str:
    """Return a number word without separators and trailing zeros: `1,000.50` is `1000.5`."""
    word = word.replace(",", "")
    return word.rstrip("0").rstrip(".") if "." in word else word


def numbers(text: str) -> Iterator[tuple[float, bool, int]]:
    """Yield (value, is a percentage, offset) of digits and number words; `4%` is (4, True)."""
    for match in _NUMBER.finditer(text):
        digits = match["digits"].replace(",", "")
        if len(digits) > 25:
            continue
        value = float(digits + (match["exp"] or ""))
        if match["sign"]:
            value = -value
        elif text[max(match.start() - 2, 0) : match.start()] in ("- ", "− "):
            yield -value, False, match.start()  # `5x^2 - 7x` may mean -7
        scale = (match["scale"] or "").lower()
        percent = scale in ("%", "percent", "per cent")
        if scale and not percent:
            yield value, False, match.start()  # `5 m` may be metres
            value *= _SCALES.get(scale, 1.0)
        yield value, percent, match.start()
    yield from _word_numbers(text)


def _word_numbers(text: str) -> Iterator[tuple[float, bool, int]]:
    previous, end = 0.0, -9
    for match in _WORD_NUMBER.finditer(text):
        word = match[0].lower()
        value = float(_WORD_NUMBERS[word])
        tail = text[match.end() : match.end() + 18].lower()
        scale = re.match(r"[\s-]*(hundred|thousand|million|billion|percent|%)", tail)
        percent = bool(scale and scale[1] in ("percent", "%"))
        if scale and not percent:
            value *= _SCALES[scale[1]]
        yield value, percent, match.start()
        if match.start() - end <= 5 and 0 < value < 10 and previous >= 20:
            yield previous + value, percent, match.start()  # twenty-five
        previous, end = value, match.end() + (scale.end() if scale else 0)


# --- dates and times ----------------------------------------------------------------------------

MONTHS = {
    name: number
    for number, names in enumerate(
        "jan january|feb february|mar march|apr april|may|jun june|jul july|aug august"
        "|sep sept september|oct october|nov november|dec december".split("|"),
        start=1,
    )
    for name in names.split()
}
_MONTH = r"(?P<month>" + "|".join(sorted(MONTHS, key=len, reverse=True)) + r")\b\.?"
_YEAR_FIRST = re.compile(r"(?<!\d)(\d{4})[-/.年](\d{1,2})(?:[-/.月](\d{1,2}))?(?!\d)")
_YEAR_LAST = re.compile(r"(?<!\d)(\d{1,2})[-/.](\d{1,2})[-/.](\d{4}|\d{2})(?!\d)")
_DAY_MONTH = re.compile(
    r"\b(?P<day>\d{1,2})(?:st|nd|rd|th)?(?:\s+of)?[\s-]+" + _MONTH
    + r"(?:,?[\s-]+(?P<year>\d{4}))?", re.I
)  # fmt: skip
_MONTH_DAY = re.compile(
    r"\b" + _MONTH + r"[\s-]*(?P<day>\d{1,2})(?:st|nd|rd|th)?\b(?!:)(?:,?\s+(?P<year>\d{4}))?", re.I
)
_MONTH_YEAR = re.compile(r"\b" + _MONTH + r",?\s+(?:of\s+)?(?P<year>\d{4})\b", re.I)
_CJK_DAY = re.compile(r"(?:(\d{4})年)?(\d{1,2})月(\d{1,2})[日号]")
_COMPACT = re.compile(r"(?<!\d)((?:19|20)\d{2})(0[1-9]|1[0-2])([0-2]\d|3[01])(?!\d)")
RELATIVE_DATE = re.compile(
    r"\b(?:today|tonight|tomorrow|yesterday|now|current(?:ly)?|this|next|last|coming|following|past"
    r"|recent|latest|weekend|monday|tuesday|wednesday|thursday|friday|saturday|sunday"
    r"|days?|weeks?|months?|years?|morning|afternoon|evening|night|christmas|eve)\b"
    r"|今天|明天|昨天|后天|下周|本周|周[一二三四五六日]|星期",
    re.I,
)
_TIME = re.compile(
    r"(?<![\d.])(?P<hour>[01]?\d|2[0-4])(?:[:.时点](?P<minute>[0-5]\d))?(?::[0-5]\d)?\s*"
    r"(?P<half>[ap]\.?m\b\.?)?", re.I
)  # fmt: skip
_NAMED_TIMES = {"noon": (12, 0), "midday": (12, 0), "midnight": (0, 0)}

Date = tuple[int, int, int]
"""Year, month, day; 0 where the text leaves it out."""


def dates(text: str) -> set[Date]:
    """Return the dates in a text; an ambiguous one (03/04/2024) in both readings."""
    found: set[Date] = set()
    for year, month, day in _YEAR_FIRST.findall(text):
        _add(found, int(year), int(month), int(day or 0))
    for first, second, year in _YEAR_LAST.findall(text):
        whole = int(year) + (2000 if len(year) == 2 else 0)
        _add(found, whole, int(first), int(second))
        _add(found, whole, int(second), int(first))
    for pattern in (_DAY_MONTH, _MONTH_DAY, _MONTH_YEAR):
        for match in pattern.finditer(text):
            groups = match.groupdict()
            month = MONTHS[groups["month"].lower()]
            _add(found, int(groups.get("year") or 0), month, int(groups.get("day") or 0))
    for year, month, day in (*_CJK_DAY.findall(text), *_COMPACT.findall(text)):
        _add(found, int(year or 0), int(month), int(day))
    return found


def _add(found: set[Date], year: int, month: int, day: int) -> None:
    if 1 <= month <= 12 and day <= 31:
        found.add((year, month, day))


def same_date(one: Date, other: Date) -> bool:
    """Tell whether two dates agree wherever both say something, and both say the month."""
    return all(a == b or not (a and b) for a, b in zip(one, other, strict=True))


def times(text: str) -> set[tuple[int, int]]:
    """Return (hour, minute) of the clock times in a text, in 24 hours."""
    found = {time for name, time in _NAMED_TIMES.items() if name in text.lower()}
    for match in _TIME.finditer(text):
        minute, half = match["minute"], (match["half"] or "").lower()
        if minute is None and not half:
            if not re.match(r"\s*(?:o'?clock|点|时)", text[match.end() : match.end() + 9]):
                continue
        hour = int(match["hour"]) % 24
        if half:
            hour = hour % 12 + (12 if half.startswith("p") else 0)
        found.add((hour, int(minute or 0)))
    return found
