"""The `replay` command: a store and another scorer in, what would change out."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from toolrm_guard.errors import ConfigurationError
from toolrm_guard.files import check_file, write_text
from toolrm_guard.page import visible
from toolrm_guard.replay.cases import Case, Judged, as_recorded, judge_again, policy_of, read_cases
from toolrm_guard.replay.comparison import Comparison, compare
from toolrm_guard.replay.gate import Gate, Verdict
from toolrm_guard.replay.page import FIGURES, replay_page, share, significance
from toolrm_guard.scorers import resolve
from toolrm_guard.scorers.base import Scorer, fingerprint_of
from toolrm_guard.scorers.checkpoint import from_folder
from toolrm_guard.store import TraceStore

RECORDED = "recorded"
"""The baseline that is as the reviews were decided at the time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is asked of a replay.

    Attributes:
        scorer: Makes the scorer that is to be promoted.
        baseline: `recorded`, a scorer's name or a folder.
        gate: What must hold, if anything must.
        html: Where the page goes.
        json: Where the figures go.
        timeout_s: Seconds after which a review counts as unjudged.
        seed: Of the bootstrap.
        name: Of the store.
    """

    scorer: Callable[[], Scorer]
    baseline: str
    gate: Gate | None
    html: Path | None
    json: Path | None
    timeout_s: float
    seed: int
    name: str


def run_command(store: TraceStore, plan: Plan) -> int:
    """Print what would change; return 0, or 1 if the gate fails.

    Raises:
        GuardError: If the store is empty, a scorer cannot be loaded, or a file not be written.
    """
    for file in (plan.json, plan.html):
        check_file(file)
    reviews = list(store.reviews())
    if not reviews:
        raise ConfigurationError(f"{plan.name} holds no review, so there is nothing to replay")
    cases, unreadable = read_cases(reviews, store.outcomes())
    policy = policy_of(reviews)
    scorer = plan.scorer()
    after = judge_again(cases, scorer, policy, timeout_s=plan.timeout_s)
    before: Sequence[Judged]
    if plan.baseline == RECORDED:
        before, baseline = [as_recorded(case) for case in cases], _recorded_name(cases)
    else:
        old = load(plan.baseline)
        before, baseline = judge_again(cases, old, policy, timeout_s=plan.timeout_s), name_of(old)
    found = compare(cases, before, after, unreadable=[why for _, why in unreadable], seed=plan.seed)
    verdict = plan.gate.check(found) if plan.gate else None
    print(render(found, baseline, name_of(scorer), verdict))
    if plan.json is not None:
        write_text(plan.json, _json(found, baseline, name_of(scorer), plan.gate, verdict))
    if plan.html is not None:
        page = replay_page(
            found, baseline=baseline, scorer=name_of(scorer), store=plan.name, verdict=verdict
        )
        write_text(plan.html, page)
    return 0 if verdict is None or verdict.passed else 1


def load(given: str) -> Scorer:
    """Return the scorer of a name, or of the folder of a model.

    Raises:
        GuardError: If there is none, or it cannot be loaded.
    """
    return from_folder(given) if Path(given).is_dir() else resolve(given)


def name_of(scorer: Scorer) -> str:
    """Return a scorer's name and the beginning of its fingerprint."""
    return f"{scorer.name} {(fingerprint_of(scorer) or '')[:8]}".rstrip()


def render(found: Comparison, baseline: str, scorer: str, verdict: Verdict | None) -> str:
    """Return the figures as text for a terminal."""
    lines = [
        f"{found.reviews:,} reviews, {found.judged:,} judged by both {baseline} (before) and "
        f"{scorer} (after)",
        *(
            f"  not compared  {count:>5,}  {visible(reason)}"
            for reason, count in found.unjudged.items()
        ),
        f"{len(found.changes):,} decisions would change",
    ]
    if found.known:
        lines += ["", f"{'where the outcome is known':<42}{'before':>8}{'after':>8}"]
        lines += [
            f"  {said:<40}{share(getattr(found.base, name)):>8}{share(getattr(found.new, name)):>8}"
            for name, said in FIGURES.items()
        ]
        lines += [significance(found)]
    else:
        lines += ["no compared review has a known outcome: nothing says which is better"]
    if found.enforced:
        lines += [
            f"{found.enforced} of the known turns come from a guard that enforced: the right ones "
            "among them all passed, so false blocks can only rise; shadow records tell more"
        ]
    if verdict is not None:
        lines += ["", *verdict.lines, f"gate {'passed' if verdict.passed else 'FAILED'}"]
    return "\n".join(lines)


def _recorded_name(cases: Sequence[Case]) -> str:
    names = dict.fromkeys(
        f"{case.review.scorer} {(case.review.scorer_fingerprint or '')[:8]}".rstrip()
        for case in cases
    )
    return f"recorded ({', '.join(list(names)[:3])}{', ...' if len(names) > 3 else ''})"


def _json(
    found: Comparison, baseline: str, scorer: str, gate: Gate | None, verdict: Verdict | None
) -> str:
    data = {
        "baseline": baseline,
        "scorer": scorer,
        **found.as_json(),
        "gate": None if gate is None else gate.text,
        "passed": None if verdict is None else verdict.passed,
    }
    return json.dumps(data, indent=1, sort_keys=True) + "\n"
