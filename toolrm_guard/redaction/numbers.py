"""Numbers that are secret by their check digits, and the personal data that is opted into."""

import re
from collections import deque
from collections.abc import Iterator

from toolrm_guard.redaction.patterns import Detector, Range

_BRAND = re.compile(
    r"4(?:\d{12}|\d{15}|\d{18})$|(?:5[1-5]|2[2-7])\d{14}$|3[47]\d{13}$|3(?:0[0-5]|[689]\d)\d{11}$|"
    r"(?:6011|65\d\d|64[4-9]\d)\d{12}$|35\d{14}$|62\d{14,17}$|(?:50|5[6-9]|6\d)\d{10,17}$"
)
"""Issuer ranges of Visa, Mastercard, American Express, Diners, Discover, JCB, UnionPay, Maestro."""

_DIGITS = re.compile(r"\d+")


def passes_luhn(digits: str) -> bool:
    """Tell whether the last digit checks the others (ISO/IEC 7812-1, annex B)."""
    doubled = [int(d) for d in reversed(digits)]
    doubled[1::2] = [2 * d - 9 * (d > 4) for d in doubled[1::2]]
    return sum(doubled) % 10 == 0


def passes_mod_97(iban: str) -> bool:
    """Tell whether the check digits of an IBAN fit (ISO 13616); without spaces, in upper case."""
    return int("".join(str(int(c, 36)) for c in iban[4:] + iban[:4])) % 97 == 1


def _cards(match: re.Match[str]) -> Iterator[Range]:
    """Yield the card numbers in a run of digit groups; each begins and ends with a group."""
    digits, starts = "", deque[tuple[int, int]](maxlen=19)
    for group in _DIGITS.finditer(match[0]):
        starts.append((len(digits), group.start()))
        digits += group[0]
        for length_before, start in starts:
            number = digits[length_before:]
            if len(number) > 19 or number[0] not in "23456":
                continue
            if len(number) < 12:
                break
            if _BRAND.match(number) and passes_luhn(number):
                yield match.start() + start, match.start() + group.end()
                digits = ""
                starts.clear()
                break
        if len(digits) > 64:  # keep what a later number may begin with
            digits, cut = digits[-64:], len(digits) - 64
            starts = deque(((at - cut, start) for at, start in starts if at >= cut), maxlen=19)


_IBAN_LENGTHS = {
    country: int(length)
    for length, countries in {
        "15": "NO", "16": "BE", "18": "DK FK FO FI GL NL SD", "19": "MK SI",
        "20": "AT BA EE KZ LT LU MN XK", "21": "CH HR LI LV", "22": "BG BH CR DE GB GE IE ME RS VA",
        "23": "AE GI IL IQ OM SO TL", "24": "AD CZ DZ ES MD PK RO SA SE SK TN VG",
        "25": "LY PT ST", "26": "IS TR", "27": "BI DJ FR GR IT MC MR SM",
        "28": "AL AZ BY CY DO GT HN HU LB NI PL SV", "29": "BR EG PS QA UA", "30": "JO KW MU YE",
        "31": "MT SC", "32": "LC", "33": "RU",
    }.items()
    for country in countries.split()
}  # fmt: skip
"""Characters of an IBAN by country (SWIFT IBAN registry)."""


def _iban(match: re.Match[str]) -> Iterator[Range]:
    text = match[1]
    length = _IBAN_LENGTHS.get(text[:2])
    if length is None or len(text) < length:
        return
    compact, end = "", 0
    for character in text:
        compact, end = compact + character.strip(), end + 1
        if len(compact) == length:
            break
    if len(compact) == length and passes_mod_97(compact):
        yield match.start(), match.start() + end


def _phone(match: re.Match[str]) -> Iterator[Range]:
    digits = sum(c.isdigit() for c in match[0])
    if 7 <= digits <= 15 and not _DATE.match(match[0]):
        yield match.span()


_DATE = re.compile(r"(?:19|20)\d\d[-.]\d\d[-.]\d\d|\d\d?[-.]\d\d?[-.](?:19|20)\d\d")

NUMBERS: tuple[Detector, ...] = (
    Detector(
        kind="credit_card",
        anchors=(),
        pattern=re.compile(r"(?<!\d)\d(?:[ -]?\d){11,}+"),
        narrow=_cards,
    ),
    Detector(
        kind="iban",
        anchors=(),
        pattern=re.compile(r"(?<![A-Za-z0-9])(?=([A-Z]{2}\d\d(?: ?[A-Z0-9]){11,32}))"),
        narrow=_iban,
    ),
    Detector(
        kind="us_ssn",
        anchors=(),
        pattern=re.compile(r"(?<!\d)(?<!\d-)(?!000|666|9)\d{3}-(?!00)\d\d-(?!0000)\d{4}(?!-?\d)"),
    ),
)
"""Numbers that give access to money, or are an identity."""

PERSONAL: dict[str, Detector] = {
    "email": Detector(
        kind="email",
        anchors=("@",),
        pattern=re.compile(
            r"(?<![\w.%+-])[\w.%+-]{1,64}+@[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63}){1,8}"
        ),
    ),
    "phone": Detector(
        kind="phone",
        anchors=(),
        pattern=re.compile(
            r"(?<![\w.+-])(?:\+\d{1,3}[ .-]?)?(?:\(\d{1,4}\)[ .-]?)?"
            r"\d{2,5}(?:[ .-]\d{2,5}){1,4}(?!\w)|(?<![\w.])\+\d{8,15}(?!\w)"
        ),
        narrow=_phone,
    ),
}
"""What many agents need to work with, so it is kept unless asked for."""
