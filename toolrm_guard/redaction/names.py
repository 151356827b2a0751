"""Secrets that are told by the name beside them: `password=...`, `{"api_key": ...}`."""

import re
from collections.abc import Iterator
from functools import lru_cache

from toolrm_guard.redaction.patterns import Detector, Range

_PASSWORD = r"pass(?:word|wd|phrase|code)|pwd|mot[_-]de[_-]passe|kennwort|passwort|contraseña"
_KEY = (
    r"client[_-]?secret|secret[_-]?(?:access[_-]?)?key|(?:api|app|auth|account|encryption|signing|"
    r"master|subscription|shared[_-]?access)[_-]?key|access[_-]?key(?![_-]?id)|private[_-]?key|"
    r"(?:access|auth|refresh|session|security|bearer|api|bot|user|personal|id|csrf|device)"
    r"[_-]?token|credentials?|authorization|connection[_-]?string|set-cookie|cookie|seed[_-]?phrase"
)
_WEAK = r"secret|token|signature|sig|auth|otp|mnemonic"
"""Names of much that is no secret: beside these, the value must look random."""

_SUFFIX = r"s?(?:[_-](?:\d{1,3}|prod|production|dev|test|staging|live|old|new|hash|value))?"

_NAME = re.compile(
    rf"(?i)(?:(?P<strong>{_PASSWORD}|{_KEY}|(?<![a-z])(?:pass|(?:pin|cvv2?|cvc2?)(?:[_-]?code)?))|"
    rf"(?<![a-z])(?P<weak>{_WEAK})){_SUFFIX}$"
)
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


@lru_cache(maxsize=4096)
def strength_of_name(name: str) -> str | None:
    """Tell what a key says of its value: `strong` a secret, `weak` only what looks random, None."""
    if len(name) > 200:
        return None
    found = _NAME.search(_CAMEL.sub("_", name))
    return str(found.lastgroup) if found is not None else None


def looks_random(value: str) -> bool:
    """Tell whether text is rather a key than a word: 8 or more characters, letters and digits."""
    if not 8 <= len(value) <= 4096 or " " in value.strip():
        return False
    return any(c.isdigit() for c in value) and any(c.isalpha() for c in value)


_NO_SECRET = frozenset(
    "a an and are at be been can cannot could empty expired field for has have if in incorrect "
    "input invalid is it length longer may mismatch missing must needed needs no none not null of "
    "on optional or parameter required reset same should shorter str string than that the this to "
    "too true false type undefined unknown used valid value was when will with wrong you your "
    "xxx xxxx todo changeme redacted hidden masked encrypted boolean integer number object".split()
)
_NO_VALUE = re.compile(r"[<$%{*.…]|x{3,}$|os\.|process\.env|env[.(\[]|\W+$")


def is_secret_value(value: str) -> bool:
    """Tell whether a value beside a password's name is one, and no placeholder or plain word."""
    word = value.strip().strip(".,:;!?").lower()
    return bool(word) and word not in _NO_SECRET and not _NO_VALUE.match(word)


_ASSIGNED = re.compile(
    rf"(?i)(?P<name>{_PASSWORD}|{_KEY}|(?<![a-z])(?:{_WEAK}|pass|pin|cvv2?|cvc2?)){_SUFFIX}"
    r"\\{0,7}[\"'`]?\]?\s{0,8}(?:=>|:=|==|[:=]|\bis\b|\bwas\b)\s{0,8}"
    r"(?:(?P<esc>\\{1,7})[\"'](?P<escaped>(?:(?!\\{1,7}[\"']).){1,4096}+)"
    r"|\"(?P<double>(?:\\.|[^\"\\]){1,4096}+)|'(?P<single>(?:\\.|[^'\\]){1,4096}+)"
    r"|(?:(?:bearer|basic|token|apikey|bot|digest|negotiate)\s{1,4})?(?P<bare>(?:[^\s\"'`&;,)\]}\\]|[,)\]}](?=[^\s\"'&;,)\]}\\])){1,512}+))",
    re.DOTALL,
)
_OPTION = re.compile(
    rf"(?i)--?(?:{_PASSWORD}|{_KEY}|{_WEAK})\s{{1,4}}(?P<quote>['\"]?)(?P<bare>[^\s'\"]{{1,512}})"
)


def _assigned(match: re.Match[str]) -> Iterator[Range]:
    groups = match.groupdict()
    group = next(g for g in ("escaped", "double", "single", "bare") if groups.get(g) is not None)
    value = match[group]
    if match.re is _ASSIGNED and not _counts(match, group, value):
        return
    if is_secret_value(value):
        yield match.span(group)


def _counts(match: re.Match[str], group: str, value: str) -> bool:
    told = match[0][: match.start(group) - match.start()].rstrip("\"'\\ ").lower()
    if strength_of_name(match["name"]) == "weak":
        return looks_random(value)
    if told.endswith(("is", "was")):  # prose: "the password is required"
        return group != "bare" or not value.strip(".,!?").isalpha()
    return True


ASSIGNMENT_ANCHORS = (
    "pass", "pwd", "secret", "key", "token", "credential", "authorization", "cookie", "sig", "auth",
    "otp", "mnemonic", "kennwort", "contraseña", "pin", "cvv", "cvc", "connection", "phrase",
)  # fmt: skip
"""A text without any of these names no secret."""

ASSIGNMENTS: tuple[Detector, ...] = (
    Detector(
        kind="credential",
        anchors=ASSIGNMENT_ANCHORS,
        pattern=_ASSIGNED,
        narrow=_assigned,
    ),
    Detector(kind="credential", anchors=("--",), pattern=_OPTION, narrow=_assigned),
)
