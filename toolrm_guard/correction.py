"""Self-correction: what the policy model is told about a draft that was not approved."""

import dataclasses
import logging
from collections.abc import Sequence

from toolrm_guard.calls import Candidate
from toolrm_guard.errors import origin_of
from toolrm_guard.findings import Finding
from toolrm_guard.policy import CallVerdict
from toolrm_guard.scorers.base import Explainer, Score, Scorer, ScoreRequest, joined

_log = logging.getLogger(__name__)

MAX_CRITIQUE_FINDINGS = 6
"""A small model follows a few remarks; what blocks comes first."""


def explained(
    scorer: Scorer, request: ScoreRequest, scores: tuple[Score, ...], chosen: int
) -> tuple[Score, ...]:
    """Return the scores, the chosen one's findings with what its scorer has against it."""
    if not scores or not isinstance(scorer, Explainer):
        return scores
    try:
        found = joined(scores[chosen].findings, scorer.explain(request, chosen))
        if not all(isinstance(item, Finding) for item in found):
            raise TypeError("explain() gives something but findings")
    except Exception as exc:  # noqa: BLE001  # a refinement, and perhaps an `explain` of another kind
        _log.warning("scorer %r could not explain: %s", scorer.name, origin_of(exc))
        return scores
    more = dataclasses.replace(scores[chosen], findings=found)
    return (*scores[:chosen], more, *scores[chosen + 1 :])


def critique(
    candidate: Candidate, findings: Sequence[Finding], verdicts: Sequence[CallVerdict]
) -> str:
    """Return the critique of a draft, made from its findings.

    Args:
        candidate: The draft.
        findings: Its findings; errors are named before warnings, in the order of the calls.
        verdicts: One per call; their reasons stand in where there is no finding to name.
    """
    ordered = sorted(findings, key=_rank)
    remarks = [_remark(candidate, finding) for finding in ordered[:MAX_CRITIQUE_FINDINGS]]
    if not remarks:
        remarks = [v.reason for v in verdicts if v.reason]
    if not remarks:
        remarks = ["It is probably not what was asked for."]
    listed = "\n".join(f"- {remark}" for remark in dict.fromkeys(remarks))
    subject = "These calls were" if len(candidate.calls) > 1 else "This call was"
    if not candidate.calls:
        subject = "This answer was"
    return f"{subject} not accepted, and nothing was executed:\n{listed}\nPropose the turn again."


def _rank(finding: Finding) -> int:
    """Put first what may have blocked a call: errors, then repeats, then hints."""
    if finding.severity == "error":
        return 0
    return 1 if finding.code == "repeated_call" else 2


def _remark(candidate: Candidate, finding: Finding) -> str:
    if finding.call is None or len(candidate.calls) < 2:
        return finding.message
    return f"Call {finding.call + 1} ({candidate.calls[finding.call].name}): {finding.message}"
