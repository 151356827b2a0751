"""Whether an answer to a labelled record is right, by what the record knows.

BFCL's possible answers and ACEBench's ground truth, where a record has them, are checked as these
benchmarks check them; else the calls must agree with the reference completely (rule score 1.0). A
reference without calls is met by any answer without calls: what its text says is not checked.
"""

from bench.answers.acebench import check_normal, check_special
from toolrm_guard.bfcl.checker import check
from toolrm_guard.calls import Candidate
from toolrm_guard.labelled import LabelledFileError, LabelledRecord
from toolrm_guard.rule_score import rule_score


def is_right(record: LabelledRecord, candidate: Candidate) -> bool:
    """Tell whether a candidate is right.

    Raises:
        LabelledFileError: If the record has neither possible answers nor a reference.
    """
    if any(call.defect is not None for call in candidate.calls):
        return False
    if _is_bfcl(record):
        return check(record.split, record.tools, record.accept, candidate.calls).ok
    if record.source == "acebench" and record.accept is not None:
        return _acebench_error(record, candidate) is None
    if record.reference is None or record.reference.tool_calls is None:
        raise LabelledFileError(
            f"record {record.id!r} has neither possible answers nor a reference, so no new answer "
            "can be marked; leave it out with `can_be_marked`"
        )
    return rule_score(record.reference.tool_calls, candidate.calls) == 1.0


def can_be_marked(record: LabelledRecord) -> bool:
    """Tell whether `is_right` can say anything of a record."""
    known = record.reference is not None and record.reference.tool_calls is not None
    return known or _is_bfcl(record) or (record.source == "acebench" and record.accept is not None)


def _is_bfcl(record: LabelledRecord) -> bool:
    """Tell whether `accept` is BFCL's: a list of {function: {argument: [values]}}."""
    return record.source.startswith("bfcl") and isinstance(record.accept, list)


def _acebench_error(record: LabelledRecord, candidate: Candidate) -> str | None:
    if record.split == "special":
        category = str((record.labels or {}).get("category", record.id))
        return check_special(category, record.accept, candidate.text)
    return check_normal(record.tools, record.accept, candidate.calls, strict=False)
