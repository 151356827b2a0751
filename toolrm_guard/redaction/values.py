"""Known secret values, and where a text holds one: plain, escaped, encoded or cut short."""

import base64
import json
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from urllib.parse import quote, quote_plus

from toolrm_guard.redaction.names import is_secret_value, looks_random, strength_of_name

LEAST_IN_NAMES = 8
"""In a tool's or an argument's name, only values of this length are looked for: renaming `user`
because somebody's password is `user` would teach a model nonsense."""

_HEAD = 12
"""Messages of errors quote long values by their beginning; this many characters identify it."""

_PLAIN_WORDS = frozenset(
    "true false none null password secret token admin user root test default string".split()
)
"""Values that are replaced where they stand, and looked for nowhere else."""


class Values:
    """Secret values with their kinds, and a placeholder for each.

    Values of fewer than three characters are not looked for in texts, those of three only as whole
    words, and numbers only where they are not part of a longer one.
    """

    def __init__(self) -> None:
        self._kinds: dict[str, str] = {}
        self._tags: dict[str, str] = {}
        self._counts: Counter[str] = Counter()
        self._forms: dict[str, tuple[str, ...]] = {}
        self._heads: dict[str, str] = {}

    def __len__(self) -> int:
        return len(self._kinds)

    def __contains__(self, value: str) -> bool:
        return value in self._kinds

    def learn(self, value: str, kind: str, *, everywhere: bool = True) -> None:
        """Remember a value; the kind that it was first said to be remains.

        Args:
            value: The secret.
            kind: What it is.
            everywhere: Whether texts are searched for it.
        """
        if value in self._kinds:
            return
        self._kinds[value] = kind
        if everywhere and len(value) >= 3 and value.lower() not in _PLAIN_WORDS:
            self._forms[value] = _forms(value)
            if len(value) > _HEAD + 4 and not value.startswith("-----BEGIN"):
                self._heads[value[:_HEAD]] = value

    def tag(self, value: str) -> str:
        """Return the placeholder of a known value; from the second of a kind on, it is numbered."""
        tag = self._tags.get(value)
        if tag is None:
            kind = self._kinds[value]
            self._counts[kind] += 1
            count = self._counts[kind]
            tag = f"<redacted:{kind}>" if count == 1 else f"<redacted:{kind}:{count}>"
            self._tags[value] = tag
        return tag

    def occurrences(self, text: str, least: int = 0) -> Iterator[tuple[int, int, str]]:
        """Yield start, end and the value itself, of all with `least` characters in the text."""
        for value, forms in self._forms.items():
            if len(value) < least:
                continue
            for form in forms:
                if form in text:
                    for at in _places(text, form):
                        yield at, at + len(form), value
        for head, value in self._heads.items():
            if head in text:
                for at in _places(text, head):
                    yield at, at + _common(text, at, value), value


def _forms(value: str) -> tuple[str, ...]:
    escaped = json.dumps(value)[1:-1]
    encoded = base64.b64encode(value.encode("utf-8", "replace")).decode().rstrip("=")
    forms = [
        value,
        escaped,
        json.dumps(escaped)[1:-1],
        json.dumps(value, ensure_ascii=False)[1:-1],
        repr(value)[1:-1],
        quote(value, safe="", errors="replace"),
        quote_plus(value, errors="replace"),
    ]
    if len(value) >= 6:
        forms.append(encoded)
    if value.isdigit() and len(value) < 16:
        forms.append(f"{int(value):,}")
    return tuple(dict.fromkeys(forms))


def _places(text: str, form: str) -> Iterator[int]:
    whole = len(form) <= 3
    number = form[0].isdigit() and form[-1].isdigit()
    at = text.find(form)
    while at >= 0:
        before, after = text[at - 1 : at], text[at + len(form) : at + len(form) + 1]
        if whole:
            apart = not (before.isalnum() or after.isalnum())
        else:
            apart = not (number and (before.isdigit() or after.isdigit()))
        if apart:
            yield at
        at = text.find(form, at + len(form))


def _common(text: str, at: int, value: str) -> int:
    """Return how many characters from there on are the beginning of the value."""
    length = _HEAD
    most = min(len(value), len(text) - at)
    while length < most and text[at + length] == value[length]:
        length += 1
    return length


def named_secrets(value: object, found: Callable[[object], object]) -> Any:
    """Return plain data with each leaf under a secret's name replaced by `found(leaf)`.

    Args:
        value: Nested dicts and lists.
        found: What becomes of a string or number under a key such as `password`.
    """
    if isinstance(value, Mapping):
        return {key: _named(str(key), item, found) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [named_secrets(item, found) for item in value]
    return value


def _named(key: str, value: Any, found: Callable[[object], object]) -> Any:
    if isinstance(value, Mapping):
        return named_secrets(value, found)
    if isinstance(value, (list, tuple)):
        return [_named(key, item, found) for item in value]
    strength = strength_of_name(key)
    if strength is None or value is None or isinstance(value, bool):
        return value
    text = str(value)
    secret = looks_random(text) if strength == "weak" else is_secret_value(text)
    return found(value) if secret else value


def nested_json(text: str) -> object:
    """Return what a text holds that is JSON as a whole, or None."""
    if not text or text.lstrip()[:1] not in ("{", "["):
        return None
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


PLACED = re.compile(r"<redacted:[\w:]+>")
"""A placeholder that stands in a text already."""
