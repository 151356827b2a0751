"""The official release of TRBench-BFCL: one parquet file, every pair in both orders.

Columns: `chat_history` (messages), `chosen_response` and `reject_response` (text), `prompt`
(messages of the generative comparison), `reward_model.ground_truth` ("1" or "2") and
`extra_info.task_source`. The second half of the rows repeats the first in the other order, as the
authors' evaluation reads it: the discriminative one takes the first half, the generative one row i
with row i + half.
"""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, Field, ValidationError

from bench.pairs import Case, check_splits, chosen_index
from toolrm_guard.calls import Call, Candidate
from toolrm_guard.errors import GuardError, MissingExtraError
from toolrm_guard.labelled import LabelledCall, LabelledFileError, LabelledPair, PairSide
from toolrm_guard.messages import Message
from toolrm_guard.scorers.base import ScoreRequest
from toolrm_guard.tools import ToolSet

SPLITS = (
    "simple",
    "multiple",
    "parallel",
    "parallel_multiple",
    "live_simple",
    "live_multiple",
    "live_parallel",
    "live_parallel_multiple",
    "multi_turn_base",
)
"""The nine of the paper's table."""

_TOOLS = re.compile(r"<tools>(.*?)</tools>", re.S)
_CALL = re.compile(r"<tool_call>(.*?)(?:</tool_call>|\Z)", re.S)
_RESPONSE = re.compile(r"<tool_response>(.*?)</tool_response>", re.S)
_COLUMNS = ("chat_history", "chosen_response", "reject_response", "extra_info")


class _Turn(BaseModel):
    role: str
    content: str


class _Extra(BaseModel):
    task_source: str

    @property
    def split(self) -> str:
        """The split, without the prefix that BFCL's files have."""
        return re.sub(r"^BFCL_v\d+_", "", self.task_source)


class _Truth(BaseModel):
    ground_truth: Literal["1", "2"]


class _Row(BaseModel):
    chat_history: list[_Turn] = Field(min_length=1)
    chosen_response: str
    reject_response: str
    extra_info: _Extra
    prompt: list[_Turn] | None = None
    reward_model: _Truth | None = None


def read_release(path: Path, splits: Sequence[str] | None = None) -> list[Case]:
    """Return the pairs of the official file.

    Args:
        path: `trbench_test_think.parquet` or `trbench_test_no_think.parquet`.
        splits: The ones to take; default: the nine of the paper, none of which may be missing.

    Raises:
        LabelledFileError: If the file is not in that form, or a split has no pairs.
        MissingExtraError: If pyarrow is not installed.
    """
    rows = [_row(path, number, raw) for number, raw in enumerate(_raw_rows(path))]
    half = len(rows) // 2
    if not rows or len(rows) % 2:
        raise LabelledFileError(
            f"{path}: {len(rows)} rows; every pair must stand twice, the second half of the file "
            "in the other order"
        )
    for index in range(half):
        _check_twins(path, index, rows[index], rows[index + half])
    expected = tuple(splits or SPLITS)
    check_splits([row.extra_info.split for row in rows], expected, path)
    return [
        _case(index, rows[index], rows[index + half])
        for index in range(half)
        if rows[index].extra_info.split in expected
    ]


def _raw_rows(path: Path) -> list[dict[str, Any]]:
    try:
        import pyarrow
        from pyarrow import parquet
    except ModuleNotFoundError as exc:
        raise MissingExtraError(
            "parquet files need pyarrow: pip install 'toolrm-guard[bench]'"
        ) from exc
    try:
        table = parquet.read_table(path)
    except (OSError, pyarrow.ArrowException) as exc:
        raise LabelledFileError(f"{path}: not a readable parquet file ({exc})") from exc
    missing = [name for name in _COLUMNS if name not in table.column_names]
    if missing:
        raise LabelledFileError(
            f"{path}: no column {', '.join(missing)}; this is not the release's evaluation file"
        )
    rows: list[dict[str, Any]] = table.to_pylist()
    return rows


def _row(path: Path, number: int, raw: Mapping[str, Any]) -> _Row:
    try:
        return _Row.model_validate(raw)
    except ValidationError as exc:
        first = exc.errors(include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise LabelledFileError(f"{path}: row {number}: {where}: {first['msg']}") from exc


def _check_twins(path: Path, index: int, one: _Row, other: _Row) -> None:
    same = (
        one.chosen_response == other.chosen_response
        and one.reject_response == other.reject_response
        and one.extra_info.task_source == other.extra_info.task_source
    )
    if not same:
        raise LabelledFileError(
            f"{path}: rows {index} and its twin in the second half are different pairs; the file "
            "was shuffled or cut: take it as it was published"
        )
    if one.reward_model and other.reward_model:
        if one.reward_model.ground_truth == other.reward_model.ground_truth:
            raise LabelledFileError(
                f"{path}: row {index} and its twin name the same choice; one must be swapped"
            )


def _case(index: int, row: _Row, twin: _Row) -> Case:
    split = row.extra_info.split
    right, wrong = parse_turn(row.chosen_response), parse_turn(row.reject_response)
    pair = LabelledPair(
        id=f"{split}#{index}",
        prompt_id=f"{split}#{_prompt_key(row)}",
        split=split,
        chosen=_side(right),
        rejected=_side(wrong),
    )
    chat = tuple({"role": turn.role, "content": turn.content} for turn in row.chat_history)
    sides, texts = (right, wrong), (row.chosen_response, row.reject_response)
    chosen = chosen_index(pair.id)
    if chosen:
        sides, texts = sides[::-1], texts[::-1]
    request, defect = _request(row, sides)
    prompts = tuple(
        (tuple(turn.model_dump() for turn in each.prompt), int(each.reward_model.ground_truth))
        for each in (row, twin)
        if each.prompt and each.reward_model
    )
    return Case(
        pair=pair,
        request=request,
        chosen=chosen,
        chat=chat,
        texts=texts,
        defect=defect,
        prompts=prompts if len(prompts) == 2 else (),
    )


def _prompt_key(row: _Row) -> str:
    """Return what pairs of one prompt share."""
    text = json.dumps([[turn.role, turn.content] for turn in row.chat_history])
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _side(candidate: Candidate) -> PairSide:
    calls = tuple(
        LabelledCall(name=call.name, arguments=dict(call.arguments)) for call in candidate.calls
    )
    return PairSide(model="", content=candidate.text, tool_calls=calls)


def _request(row: _Row, sides: tuple[Candidate, ...]) -> tuple[ScoreRequest, str | None]:
    """Return the pair in our terms, and why it is not all there if it is not."""
    system = "\n".join(turn.content for turn in row.chat_history if turn.role == "system")
    # The last block: the instructions before it mention the tags, too.
    blocks = _TOOLS.findall(system)
    try:
        tools = ToolSet.of([_schema(line) for line in _objects(blocks[-1])] if blocks else [])
        defect = None if tools else "the system message lists no tools between <tools> tags"
    except (GuardError, ValueError) as exc:
        tools, defect = ToolSet([]), f"the tools of the system message cannot be read: {exc}"
    text = _TOOLS.sub("", system).strip()
    messages = [Message(role="system", text=text)] if text else []
    messages += [_message(turn) for turn in row.chat_history if turn.role != "system"]
    return ScoreRequest(messages=tuple(messages), tools=tools, candidates=sides), defect


def _objects(block: str) -> list[dict[str, Any]]:
    """Return the JSON objects of a block: a list, or one a line."""
    block = block.strip()
    if block.startswith("["):
        return list(json.loads(block))
    return [json.loads(line) for line in block.splitlines() if line.strip()]


def _schema(raw: Mapping[str, Any]) -> Mapping[str, Any]:
    function = raw.get("function")
    return function if isinstance(function, Mapping) else raw


def _message(turn: _Turn) -> Message:
    if turn.role == "assistant":
        candidate = parse_turn(turn.content)
        return Message(role="assistant", text=candidate.text, calls=candidate.calls)
    results = _RESPONSE.findall(turn.content)
    if turn.role == "tool" or results:
        return Message(role="tool", text="\n".join(r.strip() for r in results) or turn.content)
    return Message(role="user", text=turn.content)


def parse_turn(text: str) -> Candidate:
    """Return an assistant's text with its `<tool_call>` blocks as calls; bad ones have a defect."""
    calls = []
    for block in _CALL.findall(text):
        try:
            raw = json.loads(block)
        except ValueError:
            raw = {}
        calls.append(Call.parse(raw if isinstance(raw, dict) else {}))
    return Candidate(text=_CALL.sub("", text).strip(), calls=tuple(calls))
