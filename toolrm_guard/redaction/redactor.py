"""Secrets leave a record before it is stored or exported.

A record is redacted as a whole: a value that is secret in one place, by its shape, its name or a
tool's `x-sensitive`, is replaced wherever it stands, and by the same placeholder, so that two
candidates which differed still differ.
"""

import hashlib
import re
from collections import OrderedDict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from toolrm_guard.calls import canonical_json
from toolrm_guard.errors import ConfigurationError
from toolrm_guard.records import OutcomeRecord, ReviewRecord
from toolrm_guard.redaction.annotations import Schema, SchemaOf, fingerprint, sensitive_schemas
from toolrm_guard.redaction.locked import Locked
from toolrm_guard.redaction.names import ASSIGNMENTS
from toolrm_guard.redaction.numbers import NUMBERS, PERSONAL
from toolrm_guard.redaction.patterns import SECRETS, Detector
from toolrm_guard.redaction.scanner import Finder, Found, Scanner
from toolrm_guard.redaction.substitution import Substitution, strings
from toolrm_guard.redaction.values import LEAST_IN_NAMES

_R = TypeVar("_R", ReviewRecord, OutcomeRecord)
_K = TypeVar("_K")
_V = TypeVar("_V")

_MOST_TOLD = 256
"""Values that are remembered of one conversation."""

_NUMBERED = re.compile(r"(<redacted:\w+):\d+>")


class Redactor:
    """Replaces secrets by placeholders such as `<redacted:github_token>`.

    Found are: keys and tokens of well-known services, private keys, passwords in URLs and
    assignments, card numbers and IBANs by their check digits; what stands under a name such as
    `password`; and the values of parameters that a tool's schema marks with `x-sensitive: true`.
    Not found is a secret that looks like nothing and is called nothing.

    It may be called from any thread.

    Example:
        >>> Redactor().redact_text("postgres://app:hunter2@db/main")
        'postgres://app:<redacted:url_password>@db/main'
    """

    def __init__(
        self,
        *,
        personal: Collection[str] = (),
        custom: Mapping[str, str] | None = None,
        finder: Finder | None = None,
    ) -> None:
        """Choose what is a secret beyond the defaults.

        Args:
            personal: Of `email` and `phone`, what is to be replaced too.
            custom: Further kinds, each with a regular expression; its group `secret`, if it has
                one, is what is replaced.
            finder: Finds more in a text.

        Raises:
            ConfigurationError: If a kind is unknown, or a pattern is no regular expression.
        """
        for kind in personal:
            if kind not in PERSONAL:
                raise ConfigurationError(
                    f"personal data of kind {kind!r} is not known; give {' or '.join(PERSONAL)}"
                )
        self._scanner = Scanner(
            (
                *(_custom(kind, pattern) for kind, pattern in (custom or {}).items()),
                *SECRETS,
                *ASSIGNMENTS,
                *NUMBERS,
                *(PERSONAL[kind] for kind in personal),
            ),
            finder,
        )
        self._schemas: _Recent[bytes, _Tools] = _Recent(64)
        self._digests: _Recent[str, str] = _Recent(4096)
        self._told: _Recent[str, dict[str, str]] = _Recent(1024)

    def find(self, text: str) -> list[Found]:
        """Return the secrets of a text, in order and without overlap."""
        return self._scanner.find(text)

    def redact_text(self, text: str) -> str:
        """Return the text with its secrets replaced; time is linear in its length."""
        work = Substitution(self._scanner)
        work.scan([text])
        return work.text(text)

    def redact_id(self, identifier: str) -> str:
        """Return an id as it is stored: if it holds a secret, a hash stands for all of it.

        The same id has the same hash everywhere, so that records still join.
        """
        work = Substitution(self._scanner)
        work.scan([identifier])
        return str(work.identifier(identifier))

    def redact_record(self, record: _R) -> _R:
        """Return the record without its secrets; the very same one if it holds none.

        The digest of a call from which something was taken is replaced by that of the call as it
        is stored: with the rest of the call in plain sight, a short secret could be found by
        trying which one gives the digest. Outcomes of the call are given the same new digest.
        """
        if isinstance(record, OutcomeRecord):
            return self.redact_outcome(record)  # type: ignore[return-value]  # mypy joins the types
        return self._redact_review(record)

    def redact_outcome(
        self,
        record: OutcomeRecord,
        call: tuple[str, Mapping[str, Any]] | None = None,
        tools: Sequence[Mapping[str, Any]] = (),
    ) -> OutcomeRecord:
        """Return the outcome without its secrets, those of its call included.

        Args:
            record: The outcome.
            call: Name and arguments of its call. Without them, what this process remembers of the
                conversation says which values are sensitive.
            tools: Schemas of the tools that the call may be of.
        """
        work = Substitution(self._scanner, self._remembered(record))
        digest = record.digest and self._digests.get(record.digest)
        if call is not None:
            plain = {"name": call[0], "arguments": call[1], "digest": record.digest, "defect": None}
            schema = sensitive_schemas(tools)(call[0])
            work.learn_call(plain, schema)
            work.scan(strings(plain))
            digest = digest or (record.digest and self._call(plain, schema, work)["digest"])
        work.scan([record.content, record.label, record.call_id, record.conversation_id or ""])
        if not work.has_work and digest in (None, record.digest):
            return record
        return record.model_copy(
            update={
                "content": work.text(record.content),
                "label": work.text(record.label),
                "call_id": work.identifier(record.call_id),
                "conversation_id": work.identifier(record.conversation_id),
                "digest": digest or record.digest,
            }
        )

    def _redact_review(self, record: ReviewRecord) -> ReviewRecord:
        data = record.model_dump()
        tools = self._read(data["tools"])
        schemas = tools.sensitive
        work = Substitution(self._scanner, self._remembered(record))
        for call in _calls(data):
            work.learn_call(call, schemas(call["name"]))
        rest = {key: value for key, value in data.items() if key != "tools"}
        work.scan([*strings(rest), *tools.texts])
        self._remember(record, work.told)
        if not work.has_work:
            return record
        for part in data["messages"], data["candidates"]:
            part[:] = [self._turn(item, schemas, work) for item in part]
        data["tools"] = work.tree(data["tools"], LEAST_IN_NAMES)
        for key in ("critique", "unjudged_reason", "scorer"):
            data[key] = work.tree(data[key])
        for key in ("conversation_id", "parent_id"):
            data[key] = work.identifier(data[key])
        return ReviewRecord.model_validate(data)

    def _turn(
        self, turn: Mapping[str, Any], schemas: SchemaOf, work: Substitution
    ) -> dict[str, Any]:
        """Return a message or a candidate without secrets."""
        clean = {
            key: value if key == "role" else work.tree(value)
            for key, value in turn.items()
            if key not in ("calls", "call_id", "name")
        }
        if "call_id" in turn:
            clean["call_id"] = work.identifier(turn["call_id"])
            clean["name"] = work.tree(turn["name"], LEAST_IN_NAMES)
        clean["calls"] = [self._call(c, schemas(c["name"]), work) for c in turn["calls"]]
        return clean

    def _call(
        self, call: Mapping[str, Any], schema: Schema | None, work: Substitution
    ) -> dict[str, Any]:
        clean = work.call(call, schema)
        if (clean["name"], clean["arguments"]) != (call["name"], call["arguments"]):
            digest = _digest(clean["name"], clean["arguments"])
            clean["digest"] = self._digests.get(call["digest"]) or digest
            self._digests.put(call["digest"], clean["digest"])
        return clean

    def _remembered(self, record: ReviewRecord | OutcomeRecord) -> Mapping[str, str] | None:
        """Return what the record's conversation told before; records of none have told nothing."""
        return self._told.get(record.conversation_id) if record.conversation_id else None

    def _remember(self, record: ReviewRecord, told: Mapping[str, str]) -> None:
        if told and record.conversation_id:
            every = {**(self._told.get(record.conversation_id) or {}), **told}
            self._told.put(record.conversation_id, dict([*every.items()][-_MOST_TOLD:]))

    def _read(self, tools: Sequence[Mapping[str, Any]]) -> "_Tools":
        """Return what tools mark and say; an agent offers the same ones every turn."""
        key = fingerprint(tools)
        known = self._schemas.get(key) if key is not None else None
        if known is None:
            texts = strings(tools)
            found = [text for text in texts if self._scanner.find(text)]
            known = _Tools(sensitive=sensitive_schemas(tools), texts=tuple(found))
            if key is not None:
                self._schemas.put(key, known)
        return known


@dataclass(frozen=True, slots=True, kw_only=True)
class _Tools:
    """What is to be known of the tools of a record.

    Attributes:
        sensitive: From a name to the parameters, of those that mark any value.
        texts: Those of their texts that hold a secret.
    """

    sensitive: SchemaOf
    texts: tuple[str, ...]


class _Recent(Locked, Generic[_K, _V]):
    """What was put in last, up to a number; threads may share it."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self._most = most
        self._items: OrderedDict[_K, _V] = OrderedDict()

    def get(self, key: _K) -> _V | None:
        with self._lock:
            return self._items.get(key)

    def put(self, key: _K, value: _V) -> None:
        with self._lock:
            self._items[key] = value
            self._items.move_to_end(key)
            if len(self._items) > self._most:
                self._items.popitem(last=False)


def _custom(kind: str, pattern: str) -> Detector:
    if not re.fullmatch(r"\w+", kind):
        raise ConfigurationError(
            f"kind {kind!r} of a custom secret is not one word, as in `ticket`"
        )
    try:
        return Detector(kind=kind, anchors=(), pattern=re.compile(pattern))
    except re.error as exc:
        raise ConfigurationError(
            f"pattern {pattern!r} of custom secret {kind!r} is no regular expression: {exc}"
        ) from exc


def _calls(data: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    for part in ("messages", "candidates"):
        for turn in data[part]:
            yield from turn["calls"]


def _digest(name: str, arguments: Mapping[str, Any]) -> str:
    """Return the digest of a redacted call; placeholders count without their number.

    A number depends on what else a record holds, and an outcome is another record.
    """
    canonical = _NUMBERED.sub(r"\1>", canonical_json({"arguments": arguments, "name": name}))
    return hashlib.sha256(canonical.encode()).hexdigest()
