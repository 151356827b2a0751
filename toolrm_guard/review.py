"""The outcome of a review, and the binding between an approval and the call it was given for."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field

from toolrm_guard.calls import Call, Candidate
from toolrm_guard.findings import Finding
from toolrm_guard.policy import CallVerdict, Decision
from toolrm_guard.scorers.base import Score, ScoreRequest, joined
from toolrm_guard.tools import Effect


@dataclass(frozen=True, slots=True, kw_only=True)
class Review:
    """What the guard decided about the candidates of one turn.

    Attributes:
        id: Unique; the key of its record.
        decision: `execute` the approved calls, `correct` the draft, `escalate` to a human,
            or `reject`. Only calls of `approved` may execute, whatever the decision.
        chosen: Index of the chosen candidate.
        candidate: The chosen candidate.
        scores: One per candidate; empty when the guard could not judge.
        request: What was judged.
        verdicts: One per call of the chosen candidate.
        critique: Text for the policy model, unless every call was approved.
        unjudged_reason: Why the guard could not judge; None when it could.
        round: 0 for a first draft, k for its k-th correction.
        more: Candidates that the sampling budget would draw before deciding; 0 when it is decided.
        total_ms: Wall time of the review.
        scorer_ms: The scorer's share of it.
        shadow: In shadow mode, the review that would have been in force; else None.
    """

    id: str
    decision: Decision
    chosen: int
    candidate: Candidate
    scores: tuple[Score, ...]
    request: ScoreRequest = field(repr=False)
    verdicts: tuple[CallVerdict, ...]
    critique: str | None
    unjudged_reason: str | None
    round: int
    total_ms: float
    scorer_ms: float
    more: int = 0
    shadow: "Review | None" = None

    @property
    def findings(self) -> tuple[tuple[Finding, ...], ...]:
        """One tuple per candidate; known even when the scorer could not be reached.

        What may block a call is looked at in every review; the rest is found when first asked for,
        by a critique, a record or a reader. What only the scorer knows comes last.
        """
        if not self.scores:
            return self.request.findings
        return tuple(
            joined(found, score.findings)
            for found, score in zip(self.request.findings, self.scores, strict=True)
        )

    @property
    def judged(self) -> bool:
        """Whether the guard could judge; if not, there are no scores and the policy decided."""
        return self.unjudged_reason is None

    @property
    def approved(self) -> tuple[Call, ...]:
        """The calls that may execute."""
        return tuple(v.call for v in self.verdicts if v.verdict == "approve")

    def approves(self, call: object) -> bool:
        """Tell whether exactly this call was approved; an edited call is a new call.

        Args:
            call: In any shape that `Call.parse` reads.
        """
        parsed = Call.parse(call)
        return any(is_approved(parsed, digest=approved.digest) for approved in self.approved)


def shadowed(review: Review, proposal: Candidate, effects: Sequence[Effect]) -> Review:
    """Return a review that lets the model's own proposal pass, with the real one beside it.

    Args:
        review: What would have been in force.
        proposal: The first candidate.
        effects: (calls,) effect class of each of its calls.
    """
    passed = tuple(
        CallVerdict(call=call, effect=effect, verdict="approve")
        for call, effect in zip(proposal.calls, effects, strict=True)
    )
    return dataclasses.replace(
        review,
        decision="execute",
        chosen=0,
        candidate=proposal,
        verdicts=passed,
        critique=None,
        more=0,
        shadow=review,
    )


def is_approved(call: Call, *, digest: str | None) -> bool:
    """Tell whether a call is the one that an approval was bound to.

    Args:
        call: The call about to execute.
        digest: Sha256 of the canonical call that was approved; None if there was none.
    """
    return digest is not None and call.defect is None and call.digest == digest
