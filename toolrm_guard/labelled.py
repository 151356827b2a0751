"""The labelled record and pair formats of the reward-model packs, read strictly.

One JSON object a line, plain or gzipped. A record is a context with candidates that carry labels;
a pair refers to a record by its prompt id. Fields are described in the packs' README.
"""

import gzip
import json
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from toolrm_guard.calls import Call, Candidate
from toolrm_guard.errors import ConfigurationError
from toolrm_guard.messages import Message, parse_messages
from toolrm_guard.tools import ToolSet

_M = TypeVar("_M", bound=BaseModel)


class LabelledFileError(ConfigurationError):
    """A labelled file cannot be read; the message names file, line and reason."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class LabelledCall(_Strict):
    """A call as a pack writes it."""

    name: str
    arguments: dict[str, Any]


class Turn(_Strict):
    """An assistant turn: `tool_calls` None could not be read, [] made no call."""

    content: str | None = None
    tool_calls: tuple[LabelledCall, ...] | None = None

    def candidate(self) -> Candidate:
        """Return the turn as a candidate.

        Raises:
            ValueError: If the turn could not be read (`tool_calls` is None).
        """
        if self.tool_calls is None:
            raise ValueError("an unreadable output is no candidate; skip those without tool_calls")
        calls = tuple(Call(name=c.name, arguments=c.arguments) for c in self.tool_calls)
        return Candidate(text=self.content or "", calls=calls)


class LabelledCandidate(Turn):
    """A model's output with its label; `correct` None means that no label is trusted."""

    model: str
    correct: bool | None = None
    error_type: str | None = None
    origin: str | None = None
    raw: str | None = None

    @property
    def only_scored(self) -> bool:
        """Whether the label is a scorer's own opinion, harvested: nothing to judge scorers by."""
        return self.origin == "score" or self.error_type == "by_score"


class LabelledRecord(_Strict):
    """One context with what was answered.

    Attributes:
        reference: A right answer; None if none is known.
        accept: The source's own answer structure, for a checker.
        dialog: Records of one dialog belong on one side of a split (so do those of a `query_id`).
    """

    id: str
    source: str
    split: str
    tools: tuple[dict[str, Any], ...]
    messages: tuple[dict[str, Any], ...]
    reference: Turn | None = None
    accept: Any = None
    candidates: tuple[LabelledCandidate, ...] = ()
    dialog: str | None = None
    query_id: str | None = None
    step: int | None = None
    variation: Any = None
    n_tools_full: int | None = None
    labels: Any = None
    reference_valid: bool | None = None

    def parsed_messages(self) -> tuple[Message, ...]:
        """Return the context in the library's form."""
        return parse_messages(self.messages)

    def toolset(self) -> ToolSet:
        """Return the tools in the library's form.

        Raises:
            InvalidToolError: If a schema is not valid.
        """
        return ToolSet.of(self.tools)

    @property
    def group(self) -> str:
        """What records must share to be on one side of a split."""
        return self.dialog or self.query_id or self.id


class PairSide(Turn):
    """One side of a pair."""

    model: str
    origin: str | None = None


class LabelledPair(_Strict):
    """Two outputs for one prompt, of which the first is right and the second is not."""

    id: str
    prompt_id: str
    split: str
    chosen: PairSide
    rejected: PairSide
    rejected_error_type: str | None = None


def read_records(path: str | Path) -> list[LabelledRecord]:
    """Return the records of a file.

    Raises:
        LabelledFileError: If the file, a line or an id is bad.
    """
    return _read(Path(path), LabelledRecord)


def read_pairs(path: str | Path) -> list[LabelledPair]:
    """Return the pairs of a file.

    Raises:
        LabelledFileError: If the file, a line or an id is bad, or a side could not be read.
    """
    pairs = _read(Path(path), LabelledPair)
    for number, pair in enumerate(pairs, 1):
        if pair.chosen.tool_calls is None or pair.rejected.tool_calls is None:
            reason = f"pair {pair.id!r} has a side whose tool_calls are null; both must be readable"
            raise LabelledFileError(f"{path}:{number}: {reason}")
    return pairs


def _read(path: Path, model: type[_M]) -> list[_M]:
    rows: list[_M] = []
    lines: dict[str, int] = {}
    for number, line in enumerate(_lines(path), 1):
        row = _row(path, number, line, model)
        key: str = row.id  # type: ignore[attr-defined]  # both models have one
        if key in lines:
            raise LabelledFileError(
                f"{path}:{number}: id {key!r} stands on line {lines[key]} already; ids are unique"
            )
        lines[key] = number
        rows.append(row)
    if not rows:
        raise LabelledFileError(f"{path}: no {model.__name__} in this file")
    return rows


def _row(path: Path, number: int, line: str, model: type[_M]) -> _M:
    try:
        return model.model_validate(json.loads(line))
    except ValidationError as exc:
        raise LabelledFileError(f"{path}:{number}: {_reasons(exc.errors())}") from exc
    except (ValueError, RecursionError) as exc:
        raise LabelledFileError(
            f"{path}:{number}: not one JSON object a line ({exc}); is the file truncated?"
        ) from exc


def _lines(path: Path) -> Iterator[str]:
    """Yield the lines of a plain or gzipped UTF-8 file, told apart by their first bytes."""
    number = 1
    try:
        with path.open("rb") as raw:
            zipped = raw.read(2) == b"\x1f\x8b"
        with gzip.open(path, "rb") if zipped else path.open("rb") as file:
            for number, line in enumerate(file, 1):  # noqa: B007  # read after the loop fails
                yield line.decode("utf-8")
    except UnicodeDecodeError as exc:
        raise LabelledFileError(f"{path}:{number}: not UTF-8 ({exc.reason})") from exc
    except (EOFError, zlib.error, gzip.BadGzipFile) as exc:
        raise LabelledFileError(
            f"{path}:{number}: the gzip stream is damaged after this line ({exc}); copy it again"
        ) from exc
    except OSError as exc:
        raise LabelledFileError(f"{path}: {exc.strerror or exc}") from exc


def _reasons(errors: Sequence[Any]) -> str:
    shown = [f"{'.'.join(str(p) for p in e['loc'])}: {e['msg']}" for e in errors[:3]]
    more = f" (and {len(errors) - 3} more)" if len(errors) > 3 else ""
    return "; ".join(shown) + more
