"""How often our BFCL checker agrees with the official labels, and every answer where it does not.

    python -m bench.bfcl_agreement --records FILE [FILE ...] [--official] [--json OUT]

Labels are those of the records. With `--official` the checker of the installed `bfcl-eval` is run
on the same answers, too (`pip install --no-deps bfcl-eval`); what it imports beyond itself, the
clients of every provider, is left out.
"""

import argparse
import json
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

from toolrm_guard.bfcl.checker import check
from toolrm_guard.errors import MissingExtraError
from toolrm_guard.labelled import LabelledCall, LabelledRecord, read_records

TARGET = 0.999
Judge = Callable[[LabelledRecord, Sequence[LabelledCall]], tuple[bool, str | None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Disagreement:
    """One answer on which two judges differ.

    Attributes:
        ours: Our error type; None if right.
        theirs: The other judge's.
    """

    record: str
    model: str
    calls: str
    ours: str | None
    theirs: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """How two judges compare over some answers.

    Attributes:
        against: `labels`, or `official checker`.
        answers: How many were judged by both.
        same_error: Of the answers that both call wrong, how many have the same error type.
        both_wrong: How many both call wrong.
    """

    against: str
    answers: int
    disagreements: tuple[Disagreement, ...]
    same_error: int
    both_wrong: int
    errors: tuple[tuple[str, int], ...]

    @property
    def share(self) -> float:
        """The share of answers with the same label."""
        return 1 - len(self.disagreements) / self.answers if self.answers else 0.0


def main(argv: Sequence[str] | None = None) -> None:
    """Run from the command line; exit with 1 if the agreement is below the target."""
    args = _parser().parse_args(argv)
    try:
        records = [record for path in args.records for record in read_records(path)]
        found = [against_labels(records)]
        if args.official:
            found.append(against_official(records, official_checker()))
    except (ValueError, ImportError) as exc:
        sys.exit(str(exc))
    for agreement in found:
        _print(agreement)
    if args.json:
        rows = [{"share": agreement.share, **asdict(agreement)} for agreement in found]
        args.json.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    if any(agreement.share < TARGET for agreement in found):
        sys.exit(1)


def against_labels(records: Sequence[LabelledRecord]) -> Agreement:
    """Return the agreement with the labels that the records carry."""
    rows = [
        (record, candidate.model, candidate.tool_calls, candidate.correct, candidate.error_type)
        for record in records
        for candidate in record.candidates
        if candidate.tool_calls is not None and candidate.correct is not None
    ]
    return _compare("labels", rows)


def against_official(records: Sequence[LabelledRecord], judge: Judge) -> Agreement:
    """Return the agreement with a judge, over every readable answer that needs a call."""
    rows = []
    for record in records:
        for candidate in record.candidates if record.accept else ():
            if candidate.tool_calls is not None:
                ok, error = judge(record, candidate.tool_calls)
                rows.append((record, candidate.model, candidate.tool_calls, ok, error))
    return _compare("official checker", rows)


def _compare(against: str, rows: Sequence[tuple[Any, ...]]) -> Agreement:
    differ, same, both = [], 0, 0
    unlike: Counter[str] = Counter()
    for record, model, calls, correct, error in rows:
        verdict = check(record.split, record.tools, record.accept, calls)
        if verdict.ok != correct:
            shown = json.dumps([call.model_dump() for call in calls], ensure_ascii=False)
            differ.append(
                Disagreement(
                    record=record.id, model=model, calls=shown, ours=verdict.error_type,
                    theirs=None if correct else str(error),
                )
            )  # fmt: skip
        elif not correct:
            both += 1
            # The official type of an unmatched parallel call does not say what is wrong with it.
            alike = verdict.error_type == error or str(verdict.error_type).startswith(f"{error}/")
            same += alike
            unlike[f"{error} -> {verdict.error_type}"] += not alike
    return Agreement(
        against=against, answers=len(rows), disagreements=tuple(differ), same_error=same,
        both_wrong=both, errors=tuple((k, n) for k, n in unlike.most_common() if n),
    )  # fmt: skip


def official_checker() -> Judge:
    """Return the official AST checker as a judge.

    Raises:
        MissingExtraError: If `bfcl_eval` is not installed.
    """
    _stand_in_for_model_config()
    try:
        module = import_module("bfcl_eval.eval_checker.ast_eval.ast_checker")
        python = import_module("bfcl_eval.constants.enums").Language.PYTHON
    except ImportError as exc:
        sys.modules.pop("bfcl_eval.constants.model_config", None)
        raise MissingExtraError(
            f"the official checker cannot be imported ({exc}); "
            "pip install --no-deps bfcl-eval, or leave --official out"
        ) from exc

    def judge(record: LabelledRecord, calls: Sequence[LabelledCall]) -> tuple[bool, str | None]:
        answer = [{call.name: call.arguments} for call in calls]
        functions = [_gorilla(tool) for tool in record.tools]
        found = module.ast_checker(functions, answer, record.accept, python, record.split, "any")
        return bool(found["valid"]), None if found["valid"] else str(found["error_type"])

    return judge


def _stand_in_for_model_config() -> None:
    """Put a small module in the place of the one that imports every provider's client.

    The checker asks it only whether a model writes `_` for `.`; our names are written in full.
    """
    name = "bfcl_eval.constants.model_config"
    if name not in sys.modules:
        module = ModuleType(name)
        kept = type("Kept", (), {"underscore_to_dot": False})()
        module.MODEL_CONFIG_MAPPING = {"any": kept}  # type: ignore[attr-defined]  # a stand-in
        sys.modules[name] = module


_GORILLA = {"number": "float", "object": "dict"}


def _gorilla(tool: Any) -> dict[str, Any]:
    """Return a tool with BFCL's own type names; the checker fails where a key is missing."""
    parameters = tool["parameters"]
    properties = {k: _gorilla_type(v) for k, v in parameters.get("properties", {}).items()}
    required = parameters.get("required", [])
    return {"name": tool["name"], "parameters": {"properties": properties, "required": required}}


def _gorilla_type(schema: Any) -> dict[str, Any]:
    kind = schema.get("type", "any")
    found = {"type": _GORILLA.get(kind, kind)}
    if kind == "array":
        found["items"] = _gorilla_type(schema.get("items") or {})
    return found


def _print(found: Agreement) -> None:
    print(
        f"{found.against}: {found.answers} answers, {len(found.disagreements)} differ: agreement "
        f"{found.share:.5f} (target {TARGET}); same error type for {found.same_error} of "
        f"{found.both_wrong} that both call wrong"
    )
    for line in found.disagreements:
        theirs, ours = line.theirs or "right", line.ours or "right"
        print(f"  {line.record} {line.model}: theirs {theirs}, ours {ours}: {line.calls}")
    for kind, count in found.errors:
        print(f"  other error type, {count} times: {kind}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--records", type=Path, required=True, nargs="+")
    parser.add_argument("--official", action="store_true", help="run the official checker, too")
    parser.add_argument("--json", type=Path, help="write the result here, too")
    return parser


if __name__ == "__main__":
    main()
