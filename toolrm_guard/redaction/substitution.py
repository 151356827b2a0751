"""The secrets of one record, learned first, then replaced everywhere in it."""

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any

from toolrm_guard.redaction.annotations import Schema, masked
from toolrm_guard.redaction.scanner import Found, Scanner, secrets_in_json, without_overlap
from toolrm_guard.redaction.values import LEAST_IN_NAMES, PLACED, Values, named_secrets

_SENSITIVE, _NAMED = "sensitive", "credential"

_MOST_SEARCHED = 256
"""More secrets in one record are found by their shape alone: each is searched for in every text."""

_LONG_NUMBER = 10**11
"""From here on a number may be that of a card."""


class Substitution:
    """Learns what is secret in a record, then replaces it.

    Attributes:
        told: Values that no shape gives away, by their kind: they were under a secret's name, or a
            schema marked them.
    """

    def __init__(self, scanner: Scanner, told: Mapping[str, str] | None = None) -> None:
        """Begin with the values that the same conversation told before."""
        self._scanner = scanner
        self._values = Values()
        self._found: dict[str, list[Found]] = {}
        self.told: dict[str, str] = {}
        for value, kind in (told or {}).items():
            self._values.learn(value, kind)
        self._in_place = False

    @property
    def has_work(self) -> bool:
        """Whether there is anything to replace."""
        return bool(self._found or self._in_place or len(self._values))

    def learn_call(self, call: Mapping[str, Any], schema: Schema | None) -> None:
        """Learn the sensitive values of a call.

        Args:
            call: As in a record's dump.
            schema: Parameters of its tool, if they mark any value.
        """
        self.arguments(call["arguments"], schema)
        if schema is not None and call["defect"]:
            self._tell(call["defect"], _SENSITIVE)  # it quotes arguments that could not be read

    def scan(self, texts: Iterable[str]) -> None:
        """Learn the secrets that stand in texts."""
        texts = list(texts)
        for text in self._scanner.fresh(texts):
            for value in secrets_in_json(text):
                self._tell(value, _NAMED)
        for text, found in self._scanner.find_all(texts).items():
            self._found[text] = found
            for item in found:
                # By its shape it is found wherever it stands; the search is for other forms of it.
                few = len(self._values) < _MOST_SEARCHED
                self._values.learn(text[item.start : item.end], item.kind, everywhere=few)

    def arguments(self, arguments: Any, schema: Schema | None) -> Any:
        """Return arguments with every value replaced that their schema or their name gives away."""
        if schema is not None:
            arguments = masked(schema, arguments, lambda leaf: self._tell(str(leaf), _SENSITIVE))
        return named_secrets(arguments, lambda leaf: self._tell(str(leaf), _NAMED))

    def call(self, call: Mapping[str, Any], schema: Schema | None) -> dict[str, Any]:
        """Return a call without secrets, under the digest that it had."""
        arguments = self.tree(self.arguments(call["arguments"], schema), numbers=True)
        rest = {k: self.tree(v) for k, v in call.items() if k not in ("arguments", "digest")}
        name = self.text(call["name"], least=LEAST_IN_NAMES)
        identifier = self.identifier(call.get("id"))
        return {**call, **rest, "id": identifier, "name": name, "arguments": arguments}

    def text(self, text: str, least: int = 0) -> str:
        """Return a text without secrets.

        Args:
            text: One that was scanned.
            least: Characters of a known value that is looked for.
        """
        found = list(self._found.get(text, ()))
        known = {}
        for start, end, value in self._values.occurrences(text, least):
            known[start, end] = value
            found.append(Found(start, end, ""))
        if not found:
            return text
        placed = [match.span() for match in PLACED.finditer(text)]
        parts, at = [], 0
        for item in without_overlap(found):
            if any(item.start < b and a < item.end for a, b in placed):
                continue
            value = known.get((item.start, item.end), text[item.start : item.end])
            self._values.learn(value, item.kind or _SENSITIVE, everywhere=False)
            parts += [text[at : item.start], self._values.tag(value)]
            at = item.end
        return "".join([*parts, text[at:]])

    def tree(self, value: Any, least: int = 0, *, numbers: bool = False) -> Any:
        """Return plain data without secrets, keys included.

        Args:
            value: Nested dicts and lists.
            least: As for `text`.
            numbers: Whether numbers are replaced that are secret values.
        """
        if isinstance(value, str):
            return self.text(value, least)
        if isinstance(value, Mapping):
            return {
                self.text(str(key), LEAST_IN_NAMES): self.tree(item, least, numbers=numbers)
                for key, item in value.items()
            }
        if isinstance(value, (list, tuple)):
            return [self.tree(item, least, numbers=numbers) for item in value]
        if numbers and isinstance(value, (int, float)) and not isinstance(value, bool):
            return self._values.tag(str(value)) if str(value) in self._values else value
        return value

    def identifier(self, identifier: Any) -> Any:
        """Return an id, or what stands for it where it holds a secret."""
        return hidden_id(identifier) if identifier in self._found else identifier

    def _tell(self, value: str, kind: str) -> str:
        if PLACED.fullmatch(value):
            return value
        self._in_place = True
        self.told[value] = kind
        self._values.learn(value, kind)
        return self._values.tag(value)


def hidden_id(identifier: str) -> str:
    """Return what stands for an id that holds a secret: the same for the same id, everywhere."""
    digest = hashlib.sha256(identifier.encode("utf-8", "surrogatepass")).hexdigest()
    return f"<redacted:id:{digest[:16]}>"


def strings(value: object) -> list[str]:
    """Return every text of plain data, keys and long numbers included; digests are none."""
    found: list[str] = []
    waiting = [value]
    while waiting:
        item = waiting.pop()
        if isinstance(item, str):
            found.append(item)
        elif isinstance(item, dict):
            found.extend(item)
            waiting.extend(v for k, v in item.items() if v is not None and k != "digest")
        elif isinstance(item, list):
            waiting.extend(item)
        elif isinstance(item, int) and abs(item) >= _LONG_NUMBER:
            found.append(str(item))
    return found
