"""BFCL result folders: what many models answered to the same prompts, with the official verdicts.

    <path>/result/<model>/.../<prefix>_<category>_result.json     {"id", "result", ...} a line
    <path>/score/<model>/.../<prefix>_<category>_score.json       a head line, then the wrong ones

Results of 2024-08 (v1), v3 and v4 are read. They are joined to prompts by id, so the prompts must
be those of their generation: a result whose prompt is not there is dropped, and so are categories
that must be executed.
"""

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from toolrm_guard.bfcl.lines import Unread
from toolrm_guard.bfcl.outputs import decode
from toolrm_guard.bfcl.prompts import Prompt, prompt_folder, read_prompts
from toolrm_guard.bfcl.results import find_results
from toolrm_guard.errors import ConfigurationError
from training.preferences.rows import Dropped, Response, Trajectory
from training.preferences.sources import fields
from training.preferences.sources.fields import BadField
from training.preferences.sources.reading import read_file
from training.preferences.sources.row import dropped

_EXECUTED = ("multi_turn", "exec", "rest", "memory", "web_search", "format_sensitivity", "sql")
_FOREIGN = ("java", "javascript")

Files = Mapping[str, list[tuple[str, Path]]]


def read(
    path: str | None, *, prompts: str | None = None, licence: str | None = None
) -> Iterator[Trajectory | Dropped]:
    """Yield one trajectory a prompt, with every model's answer to it.

    Args:
        path: The folder that holds `result`, and `score` where there are verdicts.
        prompts: The folder of BFCL's prompts; None takes those of the installed `bfcl-eval`.
        licence: Of the results; the prompts are Apache-2.0.

    Raises:
        ConfigurationError: If results or prompts are not there.
    """
    root = Path(path).expanduser() if path else None
    if root is None or not (root / "result").is_dir():
        raise ConfigurationError(f"no BFCL results at {path!r}: there is no folder `result` in it")
    return _trajectories(root, prompt_folder(prompts), licence)


def _trajectories(root: Path, folder: Path, licence: str | None) -> Iterator[Trajectory | Dropped]:
    files = _files(root)
    if not files:
        yield dropped("empty_source", root.name, "no *_result.json below the folder `result`")
    for category in sorted(files):
        if category.startswith(_EXECUTED) or category.endswith(_FOREIGN):
            for model, _ in files[category]:
                reason = "must_be_executed" if category.startswith(_EXECUTED) else "other_language"
                yield dropped(reason, f"{model}/{category}", "one file, none of its lines read")
            continue
        yield from _category(root, folder, category, files, licence)


def _category(
    root: Path, folder: Path, category: str, files: Files, licence: str | None
) -> Iterator[Trajectory | Dropped]:
    """Yield one category; all models' answers to its prompts are held in memory."""
    known: dict[str, Prompt] = {}
    for prompt in read_prompts(folder, category):
        if isinstance(prompt, Unread):
            yield dropped(prompt.reason, prompt.where, prompt.detail)
        else:
            known[prompt.id] = prompt
    answers: dict[str, list[Response]] = defaultdict(list)
    for model, file in files[category]:
        verdicts, unread = _verdicts(root, model, category)
        yield from unread
        for row in read_file(file, f"{model}/{file.name}"):
            if isinstance(row, Dropped):
                yield row
                continue
            key = str(row.value.get("id"))
            try:
                answers[key].append(_response(row.value, known.get(key), model, verdicts))
            except BadField as exc:
                at = f"{model}/{key}"
                yield Dropped(stage="responses", reason=exc.reason, id=at, detail=str(exc)[:500])
    for key, prompt in known.items():
        if key in answers:
            yield _trajectory(prompt, category, tuple(answers[key]), licence)


def _files(root: Path) -> Files:
    found: dict[str, list[tuple[str, Path]]] = defaultdict(list)
    for file in find_results(root / "result"):
        found[file.name.category].append((file.model, file.path))
    return found


def _verdicts(
    root: Path, model: str, category: str
) -> tuple[Mapping[str, str] | None, list[Dropped]]:
    """Return the error types of the wrong answers by prompt id, None without a score file.

    With them comes what could not be read: an answer whose verdict is lost looks like a right one.
    """
    pattern = re.compile(rf"(?:BFCL_v\d+_)?{category}_score\.json")
    folder = root / "score" / model
    for file in sorted(folder.rglob("*_score.json")) if folder.is_dir() else ():
        if pattern.fullmatch(file.name):
            lines = list(read_file(file, f"{model}/{file.name}"))
            rows = [row.value for row in lines[1:] if not isinstance(row, Dropped)]
            found = {_prompt_id(row): str(row.get("error_type") or "wrong") for row in rows}
            return found, [row for row in lines if isinstance(row, Dropped)]
    return None, []


def _prompt_id(row: Mapping[str, Any]) -> str:
    """Return the id of a verdict's prompt; v1 numbers its lines from 1 and quotes the prompt."""
    prompt = row.get("prompt")
    if isinstance(row.get("id"), int) and isinstance(prompt, Mapping):
        return str(prompt.get("id"))
    return str(row.get("id"))


def _response(
    row: Mapping[str, Any],
    prompt: Prompt | None,
    model: str,
    verdicts: Mapping[str, str] | None,
) -> Response:
    if prompt is None:
        raise BadField("unknown_prompt", "no prompt of this id; give the prompts of its generation")
    text, calls = decode(row.get("result"), [tool["name"] for tool in prompt.tools])
    error = verdicts.get(prompt.id) if verdicts is not None else None
    return Response(
        text=text,
        calls=tuple(calls),
        by=model,
        label=None if verdicts is None else error is None,
        error=error,
    )


def _trajectory(
    prompt: Prompt, category: str, recorded: tuple[Response, ...], licence: str | None
) -> Trajectory:
    return Trajectory(
        id=prompt.id,
        source=f"bfcl_results/{category}",
        licence=licence,
        tools=prompt.tools,
        messages=(*prompt.messages, fields.said("assistant", "", prompt.calls)),
        targets=(len(prompt.messages),),
        recorded=recorded,
        group=f"bfcl_results:{prompt.id}",
    )
