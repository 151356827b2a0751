"""The `calibrate` command: judged turns in, a file of thresholds out."""

import dataclasses
import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from toolrm_guard import calibration, judged
from toolrm_guard.errors import ConfigurationError, CouldNotJudge, StoreError
from toolrm_guard.files import check_file, write_text
from toolrm_guard.labelled import read_records
from toolrm_guard.scorers import resolve
from toolrm_guard.scorers.base import Scorer, ThresholdKind, fingerprint_of
from toolrm_guard.scorers.calibrated import ThresholdEntry, ThresholdFile
from toolrm_guard.store import TraceStore, store_name

_MOST_UNJUDGED = 0.01
"""Beyond this share, what could not be judged may be what is hard, and the promise is void."""


def run_command(
    *,
    records: Sequence[Path],
    store: str | None,
    scorer: str,
    rate: float,
    kinds: Sequence[ThresholdKind],
    candidates: int,
    seed: int,
    out: Path,
) -> int:
    """Fit, write the file, print what it promises.

    Raises:
        GuardError: If an input is bad, too little of it can be judged, or there is too little.
    """
    check_file(out)
    if not 0.0 < rate < 1.0:
        raise ConfigurationError(f"--wrongly-blocked {rate:g} is not between 0 and 1, e.g. 0.05")
    judge_by = resolve(scorer)
    if store is not None:
        decisions, evidence = _traces(store), {"store": store_name(store)}
    else:
        decisions = judged.from_labelled(
            (record for path in records for record in read_records(path)),
            candidates=candidates,
            seed=seed,
        )
        evidence = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in records}
    file = fit_file(
        decisions,
        judge_by,
        rate=rate,
        kinds=kinds,
        candidates=None if store is not None else candidates,
        evidence=evidence,
    )
    write_text(out, json.dumps(file.model_dump(), indent=1) + "\n")
    print(render(file, judge_by, out))
    return 0


def fit_file(
    decisions: Sequence[judged.Decision],
    scorer: Scorer,
    *,
    rate: float,
    kinds: Sequence[ThresholdKind],
    candidates: int | None,
    evidence: Mapping[str, str],
) -> ThresholdFile:
    """Return the thresholds of a scorer, ready to be saved.

    Raises:
        TooFewGroups: If a kind has too few groups for the rate.
        CouldNotJudge: If the scorer could not judge more than 1% of the decisions.
    """
    found = judged.judge(decisions, scorer)
    lost = sum(found.unjudged.values())
    if lost > _MOST_UNJUDGED * len(decisions):
        reason = max(found.unjudged, key=lambda why: found.unjudged[why])
        raise CouldNotJudge(
            f"{scorer.name} could not judge {lost} of {len(decisions)} decisions ({reason}); "
            "thresholds from the rest would promise nothing for these. Mend the scorer first"
        )
    thresholds = calibration.fit(found.turns, rate, kinds)
    return ThresholdFile(
        scorer=scorer.name,
        fingerprint=fingerprint_of(scorer),
        method=calibration.METHOD,
        rate=rate,
        candidates=candidates,
        evidence=dict(evidence),
        thresholds={
            kind: ThresholdEntry.model_validate(dataclasses.asdict(threshold))
            for kind, threshold in thresholds.items()
        },
    )


def render(file: ThresholdFile, scorer: Scorer, out: Path) -> str:
    """Return the thresholds as text, beside the scorer's own."""
    lines = [
        f"right calls wrongly blocked: at most {file.rate:.1%} on average, per kind of call",
        f"{'kind':<12} {'threshold':>9} {'was':>5} {'groups':>7} {'right calls':>12} "
        f"{'blocked':>8} {'wrong passed':>13}",
    ]
    for kind, found in file.thresholds.items():
        own = scorer.thresholds.get(kind)
        passed = "-" if found.wrongly_passed is None else f"{found.wrongly_passed:.1%}"
        lines.append(
            f"{kind:<12} {found.value:>9.3f} {'-' if own is None else f'{own:.2f}':>5} "
            f"{found.groups:>7,} {found.right_calls:>12,} {found.wrongly_blocked:>8.1%} "
            f"{passed:>13}"
        )
    lines.append(f'use: Guard(CalibratedScorer("{file.scorer}", "{out.name}"))')
    return "\n".join(lines)


def _traces(url: str) -> list[judged.Decision]:
    if "://" not in url and not Path(url).is_file():
        raise StoreError(f"no trace store at {url!r}; give the file that Guard writes")
    with TraceStore(url) as store:
        return judged.from_traces(store.reviews(), store.outcomes())
