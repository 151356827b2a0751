"""ACEBench as labelled records: its prompts, answers, and what models answered.

    python -m bench.acebench --root ACEBench --language en --out acebench.jsonl
    python -m bench.best_of_n --records acebench.jsonl --scorer lite

Reads a checkout: `data_all/data_<language>` with `possible_answer/` in it, `result_all/
result_<language>/<model>` and, where they are there, the official scores under `score_all/
score_<language>/<model>`, which list the wrong answers. Without a score file the answers are marked
by `bench.answers.acebench`. Splits are the checker's categories: atom, single_turn, multi_turn,
similar_api, preference and special; its agent categories need their environments and are left out.
"""

import argparse
import json
import re
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.answers.acebench import check_normal, check_special, expected_calls
from bench.sampling import write_records
from toolrm_guard.bfcl.outputs import decode
from toolrm_guard.bfcl.prompts import json_schema_tool
from toolrm_guard.errors import GuardError
from toolrm_guard.foreign import BadField, Json, mapping, said, text_of
from toolrm_guard.labelled import LabelledCall, LabelledCandidate, LabelledRecord, Turn

GROUPS = ("atom", "single_turn", "multi_turn", "similar_api", "preference", "special")
_SPEAKER = re.compile(r"^(user|system|assistant|tool):[ ]?", re.M)
_ROLES = {"user": "user", "system": "assistant", "assistant": "assistant", "tool": "tool"}
"""In `question`, `system` is the assistant."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    """One prompt with its answer.

    Attributes:
        record: Without candidates; `accept` is ACEBench's ground truth.
    """

    category: str
    record: LabelledRecord

    def error_of(self, text: str, calls: Sequence[LabelledCall], *, strict: bool) -> str | None:
        """Return what is wrong with an answer, or None."""
        if group_of(self.category) == "special":
            return check_special(self.category, self.record.accept, text)
        return check_normal(self.record.tools, self.record.accept, calls, strict=strict)


def group_of(category: str) -> str | None:
    """Return the checker's group of a category; None for the agent ones."""
    if category.startswith("agent"):
        return None  # `agent_multi_turn` is none of the `multi_turn` ones
    return next((group for group in GROUPS if group in category), None)


def read_acebench(
    root: Path, language: str = "en", *, strict: bool = False
) -> tuple[list[LabelledRecord], Counter[str]]:
    """Return the records with all models' outputs, and how many outputs were read, by kind.

    Args:
        root: Of a checkout.
        language: `en` or `zh`.
        strict: As in `check_normal`, for outputs without a score file.

    Raises:
        BadField: If a file does not follow its format, or results belong to no prompt.
    """
    data = root / "data_all" / f"data_{language}"
    found: dict[str, Prompt] = {}
    for path in sorted(data.glob("data_*.json")):
        category = path.stem.removeprefix("data_")
        if group_of(category) is not None:
            answers = data / "possible_answer" / path.name
            for prompt in _prompts(category, _rows(path), _rows(answers)):
                found[prompt.record.id] = prompt
    if not found:
        raise BadField("no_data", f"{data}: no data_<category>.json here; give the checkout's root")
    candidates: dict[str, list[LabelledCandidate]] = {key: [] for key in found}
    counts: Counter[str] = Counter()
    results = root / "result_all" / f"result_{language}"
    for path in sorted(results.rglob("data_*_result.json")):
        model = path.parent.relative_to(results).as_posix()
        scores = root / "score_all" / f"score_{language}" / model
        for key, candidate in _outputs(path, model, scores, found, strict=strict):
            candidates[key].append(candidate)
            counts["readable" if candidate.tool_calls is not None else "unreadable"] += 1
            counts[f"correct: {candidate.correct}"] += 1
    records = [
        prompt.record.model_copy(update={"candidates": tuple(candidates[key])})
        for key, prompt in found.items()
    ]
    return records, counts


def _rows(path: Path) -> list[Mapping[str, Any]]:
    """Return the objects of a file: one a line, or one JSON list."""
    try:
        text = path.read_text(encoding="utf-8")
        if text.lstrip().startswith("["):
            return list(json.loads(text))
        return [json.loads(line) for line in text.splitlines() if line.strip()]
    except OSError as exc:
        raise BadField("no_file", f"{path}: {exc.strerror}; take the whole checkout") from exc
    except ValueError as exc:
        raise BadField("bad_json", f"{path}: {exc}; is the file truncated?") from exc


def _prompts(
    category: str, rows: Sequence[Mapping[str, Any]], answers: Sequence[Mapping[str, Any]]
) -> Iterator[Prompt]:
    truths = {text_of(answer, "id"): answer.get("ground_truth") for answer in answers}
    for row in rows:
        key = text_of(row, "id")
        if key not in truths:
            raise BadField("no_answer", f"{key} has no possible answer; the files do not match")
        yield Prompt(category=category, record=_record(key, category, row, truths[key]))


def _record(key: str, category: str, row: Mapping[str, Any], truth: Any) -> LabelledRecord:
    raw_tools = row.get("function")
    listed = raw_tools if isinstance(raw_tools, list) else [raw_tools]
    tools = tuple(_tool(raw) for raw in listed)
    group = group_of(category) or ""
    return LabelledRecord(
        id=key,
        source="acebench",
        split=group,
        tools=tools,
        messages=tuple(_messages(row, [tool["name"] for tool in tools])),
        reference=_reference(group, tools, truth),
        accept=truth,
        labels={"category": category},
        # Turns of one conversation end in its number and theirs.
        dialog=key.rpartition("_")[0] if group == "multi_turn" else None,
    )


def _tool(raw: object) -> Json:
    """Return a function schema; some hold their parameters under `arguments`."""
    tool = dict(mapping(raw, "a function"))
    tool.setdefault("parameters", tool.get("arguments") or {})
    return json_schema_tool(
        {k: tool.get(k) or "" for k in ("name", "description")}
        | {"parameters": tool["parameters"] or {"type": "object", "properties": {}}}
    )


def _reference(group: str, tools: Sequence[Json], truth: Any) -> Turn:
    if group == "special":
        return Turn(tool_calls=())
    first = truth[0] if isinstance(truth, list) else truth
    calls = expected_calls(tools, mapping(first, "ground_truth"))
    return Turn(tool_calls=tuple(LabelledCall(name=n, arguments=dict(a)) for n, a in calls))


def _messages(row: Mapping[str, Any], names: Sequence[str]) -> Iterator[Json]:
    """Yield the time and the profile as a system message, then the turns of `question`."""
    context = [str(row.get("time") or "").strip()]
    if row.get("profile"):
        context.append(f"User profile: {json.dumps(row['profile'], ensure_ascii=False)}")
    if stated := "\n".join(part for part in context if part):
        yield said("system", stated)
    parts = _SPEAKER.split(text_of(row, "question"))
    if len(parts) < 3:
        raise BadField("bad_question", f"{row.get('id')}: the question has no `user:` line")
    for speaker, text in zip(parts[1::2], parts[2::2], strict=True):
        role, content, calls = _ROLES[speaker], text.strip(), list[Json]()
        if role == "assistant":
            try:
                content, calls = decode(content, names)
            except BadField:  # prose that mentions a call; a context is no answer to be judged
                calls = []
        yield said(role, content, calls)


def _outputs(
    path: Path, model: str, scores: Path, prompts: Mapping[str, Prompt], *, strict: bool
) -> Iterator[tuple[str, LabelledCandidate]]:
    category = path.stem.removeprefix("data_").removesuffix("_result")
    if group_of(category) is None:
        return
    rows = _rows(path)
    score_file = scores / f"data_{category}_score.json"
    wrong = _wrong(score_file, len(rows)) if score_file.exists() else None
    for row in rows:
        key = text_of(row, "id")
        if key not in prompts:
            raise BadField("no_prompt", f"{path}: {key} is no prompt of this language's data")
        yield key, _candidate(prompts[key], str(row.get("result")), model, wrong, strict=strict)


def _wrong(path: Path, outputs: int) -> dict[str, str]:
    """Return the error type of each wrong answer, by id."""
    header, *listed = _rows(path)
    if header.get("total_count") != outputs:
        raise BadField(
            "bad_score",
            f"{path} scores {header.get('total_count')} of {outputs} outputs; run the "
            "official evaluation again, or remove the file to mark them here",
        )
    return {text_of(row, "id"): str(row.get("error_type")) for row in listed}


def _candidate(
    prompt: Prompt, result: str, model: str, wrong: Mapping[str, str] | None, *, strict: bool
) -> LabelledCandidate:
    key, raw = prompt.record.id, None
    calls: tuple[LabelledCall, ...] | None
    try:
        text, decoded = decode(result, [tool["name"] for tool in prompt.record.tools])
        calls = tuple(LabelledCall.model_validate(call) for call in decoded)
    except (BadField, ValueError):
        text, calls, raw = "", None, result[:2_000]
    if wrong is not None:
        error = wrong.get(key)
    elif calls is None:
        error = "wrong_output_format"
    else:
        error = prompt.error_of(text, calls, strict=strict)
    return LabelledCandidate(
        model=model,
        content=text or None,
        tool_calls=calls,
        correct=error is None,
        error_type=error,
        origin="acebench" if wrong is not None else "checked here",
        raw=raw,
    )


def main(argv: Sequence[str] | None = None) -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description="ACEBench results as labelled records.")
    parser.add_argument("--root", type=Path, required=True, help="a checkout of ACEBench")
    parser.add_argument("--language", default="en", choices=("en", "zh"))
    parser.add_argument("--strict", action="store_true", help="also compare numbers and booleans")
    parser.add_argument("--out", type=Path, required=True, help="records, one a line")
    args = parser.parse_args(argv)
    try:
        records, counts = read_acebench(args.root, args.language, strict=args.strict)
        write_records(args.out, records)
    except (GuardError, OSError) as exc:
        sys.exit(f"bench.acebench: {exc}")
    splits = Counter(record.split for record in records)
    print(f"{len(records)} prompts: {', '.join(f'{name} {n}' for name, n in splits.items())}")
    print(f"outputs: {', '.join(f'{name} {n}' for name, n in sorted(counts.items())) or 'none'}")


if __name__ == "__main__":
    main()
