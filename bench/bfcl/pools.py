"""BFCL result folders as labelled records: one record a prompt, one candidate an output.

Outputs of any generation are joined to the prompts of one (default: those of the installed
`bfcl-eval`, v4) and judged by our checker. Prompts changed between generations, so an output of
another one counts only where its own generation's prompt is at hand and asks the same with the same
functions, or where the caller says that ids suffice.
"""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from toolrm_guard.bfcl.categories import SPLITS, FileName, join_key, known_elsewhere
from toolrm_guard.bfcl.checker import check
from toolrm_guard.bfcl.lines import Unread, read_lines
from toolrm_guard.bfcl.outputs import decode
from toolrm_guard.bfcl.prompts import Prompt, read_prompts
from toolrm_guard.bfcl.results import ResultFile, find_results, result_folder
from toolrm_guard.calls import canonical_json
from toolrm_guard.errors import ConfigurationError
from toolrm_guard.foreign import BadField
from toolrm_guard.labelled import LabelledCall, LabelledCandidate, LabelledRecord, Turn

EXECUTED = "multi_turn_base"
MAX_RAW = 2_000
"""Characters of an unreadable output that are kept."""


@dataclass(slots=True)
class Tally:
    """What was read, and what was not used.

    Attributes:
        counts: By reason; `outputs` and `undecodable` among them.
        problems: Inputs that are not as they should be; a strict run stops at the first.
        left_out: Why a split or a category is not there.
    """

    counts: Counter[str] = field(default_factory=Counter)
    problems: list[Unread] = field(default_factory=list)
    left_out: dict[str, str] = field(default_factory=dict)

    def problem(self, where: str, reason: str, detail: str) -> None:
        """Count something that could not be used."""
        self.counts[reason] += 1
        self.problems.append(Unread(where=where, reason=reason, detail=detail))


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """One result file with the name its folder goes by."""

    origin: str
    file: ResultFile


def find_sources(roots: Sequence[Path], tally: Tally) -> list[Source]:
    """Return the result files of the folders.

    Raises:
        ConfigurationError: If a folder holds no results, or a category has no known name.
    """
    found = []
    for root in roots:
        files = find_results(root)
        if not files:
            raise ConfigurationError(
                f"no BFCL results in {str(result_folder(root))!r}: there is no "
                "<model>/.../BFCL_v*_<category>_result.json; was the run copied whole?"
            )
        folder = root if root.name != "result" else root.parent
        origin = folder.resolve().name
        found += [Source(origin=origin, file=file) for file in files]
    return [source for source in found if _judged(source.file, tally)]


def _judged(file: ResultFile, tally: Tally) -> bool:
    category = file.name.category
    if file.name.split is not None:
        return True
    if not known_elsewhere(category):
        raise ConfigurationError(
            f"{file.model}/{file.path.name}: BFCL has no category {category!r}; known are "
            f"{', '.join(name for names in SPLITS.values() for name in names)}; "
            "rename the file or take it out of the folder"
        )
    tally.counts["files_of_other_categories"] += 1
    return False


def single_turn_records(
    sources: Sequence[Source], prompts: Sequence[Path], tally: Tally, *, trust_ids: bool = False
) -> list[LabelledRecord]:
    """Return the records of the single-turn splits, in the order of their prompts.

    Args:
        sources: Result files; those of multi-turn splits are passed over.
        prompts: Folders of prompts; the first is judged by, the others tell what other
            generations asked.
        tally: Where what was read is counted.
        trust_ids: Take an output of another generation whose prompt is not at hand.
    """
    records = []
    for split in SPLITS:
        files = [source for source in sources if source.file.name.split == split]
        if split == EXECUTED or not files:
            continue
        known = _prompts(prompts[0], split, tally)
        asked = {
            (prompt.generation, key): _asks(prompt)
            for folder in prompts
            for key, prompt in _prompts(folder, split, Tally()).items()
        }
        pools: dict[str, list[LabelledCandidate]] = {key: [] for key in known}
        seen: set[tuple[str, str, str]] = set()
        for source in files:
            for key, result, where in _outputs(source, known, tally):
                prompt, name = known[key], source.file.name
                if not (trust_ids and (name.generation, key) not in asked) and (
                    asked.get((name.generation, key)) != _asks(prompt)
                ):
                    tally.problem(where, "prompt_of_other_generation", _other(name, prompt))
                elif (source.origin, source.file.model, key) in seen:
                    tally.problem(where, "duplicate_output", f"{prompt.id} was answered before")
                else:
                    seen.add((source.origin, source.file.model, key))
                    pools[key].append(_candidate(source, prompt, split, result, tally))
        records += [_record(known[key], split, pool) for key, pool in pools.items() if pool]
    return records


def _prompts(folder: Path, split: str, tally: Tally) -> dict[str, Prompt]:
    """Return a split's prompts by their joining key; the latest generation in a folder wins."""
    found: dict[str, Prompt] = {}
    for category in SPLITS[split]:
        for prompt in read_prompts(folder, category):
            if isinstance(prompt, Unread):
                tally.problem(prompt.where, prompt.reason, prompt.detail)
                continue
            try:
                check(split, prompt.tools, prompt.accept, ())
            except BadField as exc:
                tally.problem(prompt.id, exc.reason, f"{exc}; correct the prompt's answers")
                continue
            key = join_key(split, prompt.id)
            if key not in found or found[key].generation <= prompt.generation:
                found[key] = prompt
    return found


def _outputs(
    source: Source, known: Mapping[str, Prompt], tally: Tally
) -> Iterator[tuple[str, object, str]]:
    """Yield key, output and place of every line whose prompt is known."""
    split = source.file.name.split or ""
    for line in read_lines(source.file.path):
        where = f"{source.origin}/{source.file.model}/{line.where}"
        if isinstance(line, Unread):
            tally.problem(where, line.reason, line.detail)
            continue
        tally.counts["outputs"] += 1
        key = join_key(split, str(line.value.get("id")))
        if key not in known:
            detail = f"no prompt {line.value.get('id')!r} in {split}; give the prompts it answers"
            tally.problem(where, "unknown_prompt", detail)
        elif "result" not in line.value:
            detail = f"no field `result`; fields are {', '.join(line.value)[:120]}"
            tally.problem(where, "missing_field", detail)
        else:
            yield key, line.value["result"], where


def _asks(prompt: Prompt) -> str:
    """Return what decides whether two generations ask the same: the text and the functions."""
    text = [" ".join(str(message["content"]).split()) for message in prompt.messages]
    return canonical_json([text, [_bare(tool) for tool in prompt.tools]])


def _bare(tool: Mapping[str, object]) -> list[object]:
    # BFCL adds one sentence to every description, in another wording in each generation.
    return [tool["name"], tool["parameters"]]


def _other(name: FileName, prompt: Prompt) -> str:
    return (
        f"an output of {name.generation} for {prompt.id}, a prompt of {prompt.generation}: what "
        f"{name.generation} asked differs or is not at hand; give the folder of its prompts "
        "(--prompts), or --trust-ids"
    )


def _candidate(
    source: Source, prompt: Prompt, split: str, result: object, tally: Tally
) -> LabelledCandidate:
    try:
        text, calls = decode(result, [tool["name"] for tool in prompt.tools])
    except BadField:
        tally.counts["undecodable"] += 1
        return unreadable(source, result)
    named = tuple(LabelledCall.model_validate(call) for call in calls)
    verdict = check(split, prompt.tools, prompt.accept, named)
    return LabelledCandidate(
        model=source.file.model,
        origin=source.origin,
        content=None if named else text,
        tool_calls=named,
        correct=verdict.ok,
        error_type=verdict.error_type,
    )


def unreadable(source: Source, result: object) -> LabelledCandidate:
    """Return the candidate of an output that could not be decoded; no label is trusted."""
    raw = result if isinstance(result, str) else json.dumps(result, ensure_ascii=False)
    return LabelledCandidate(
        model=source.file.model,
        origin=source.origin,
        error_type="ast_decoder:decoder_failed",
        raw=raw[:MAX_RAW],
    )


def _record(prompt: Prompt, split: str, pool: Sequence[LabelledCandidate]) -> LabelledRecord:
    accept = [dict(item) for item in prompt.accept] or None
    reference = tuple(LabelledCall.model_validate(call) for call in prompt.calls)
    right = check(split, prompt.tools, accept, reference).ok
    return LabelledRecord(
        id=prompt.id,
        source=f"bfcl-{prompt.generation}",
        split=split,
        tools=prompt.tools,
        messages=prompt.messages,
        reference=Turn(tool_calls=reference) if right else None,
        accept=accept,
        candidates=tuple(pool),
    )
