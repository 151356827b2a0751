"""First watch, then act: the same loop in shadow mode, the report on it, and enforced.

    python examples/05_shadow_then_enforce.py

Prints:

    shadow runs: report.txt
    shadow runs: report_old.txt
    of 2 calls, 1 would have been blocked
    enforce runs: report_old.txt
"""

import tempfile
from pathlib import Path

from toolrm_guard import Guard, Policy, Rule, TraceStore
from toolrm_guard.report import summarise


def delete_file(name: str) -> str:
    """Delete a file for good."""
    return f"{name} was deleted"


def run(guard: Guard, name: str) -> None:
    """Propose to delete a file, and say whether that ran."""
    call = {"name": "delete_file", "arguments": {"name": name}, "id": name}
    review = guard.review(
        "Please delete report_old.txt.", [delete_file], [{"tool_calls": [call]}], may_correct=False
    )
    for approved in review.approved:
        print(f"{guard.policy.mode} runs: {approved.arguments['name']}")
        guard.record_outcome(name, ok=True, kind="execution")


with tempfile.TemporaryDirectory() as folder, TraceStore(Path(folder) / "traces.db") as store:
    strict = Rule(threshold=0.7)
    watching = Guard("lite", policy=Policy(mode="shadow", destructive=strict), store=store)
    run(watching, "report.txt")
    run(watching, "report_old.txt")

    store.flush()
    figures = summarise(store.reviews(), store.outcomes())["shadow"].tools["delete_file"]
    blocked, total = figures.fates["blocked"], figures.fates.total()
    print(f"of {total} calls, {blocked} would have been blocked")

    acting = Guard("lite", policy=Policy(destructive=strict), store=store)
    run(acting, "report.txt")
    run(acting, "report_old.txt")
