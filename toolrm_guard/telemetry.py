"""From a review to its span, its evaluation events and its metrics.

What is written by default is facts about content, never content: names, numbers, decisions.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass

from opentelemetry.trace import Span
from opentelemetry.util.types import AttributeValue

from toolrm_guard import content, metrics, tracing
from toolrm_guard.calls import Call
from toolrm_guard.errors import origin_of
from toolrm_guard.policy import Mode
from toolrm_guard.records import ReviewRecord, clean_text
from toolrm_guard.review import Review
from toolrm_guard.tools import ToolSet

_log = logging.getLogger(__name__)

_review_duration = metrics.duration(metrics.REVIEW_DURATION)
_scorer_duration = metrics.duration(metrics.SCORER_DURATION)
_decisions = metrics.counter(metrics.DECISIONS)
_calls = metrics.counter(metrics.CALLS)
_unjudged = metrics.counter(metrics.UNJUDGED)
_corrections = metrics.counter(metrics.CORRECTIONS)
_escalations = metrics.counter(metrics.ESCALATIONS)
_outcomes = metrics.counter(metrics.OUTCOMES)

UNKNOWN_TOOL = "(unknown tool)"
_MAX_NAME_CHARS = 128
_GRAVITY = ("read", "write", "destructive")


@dataclass(frozen=True, slots=True, kw_only=True)
class Telemetry:
    """Tells OpenTelemetry what a guard did.

    Attributes:
        tool_metrics: Whether calls are counted by the name of their tool, too.
        capture_content: Whether spans show messages, candidates and critique.
        shown_id: Returns an id as a span may show it.
    """

    tool_metrics: bool = False
    capture_content: bool = False
    shown_id: Callable[[str], str] = str

    def observe(
        self,
        span: Span,
        review: Review,
        *,
        scorer: str,
        mode: Mode,
        record: Callable[[], ReviewRecord],
    ) -> None:
        """Describe a review on its span, emit its scores, and count it.

        Args:
            span: Of the review.
            review: What was decided.
            scorer: Its name.
            mode: Of the policy.
            record: Makes the review's record, without secrets; called if content is captured.
        """
        if span.is_recording():
            self._describe(span, review, scorer, mode)
            if self.capture_content:
                _show_content(span, record)
        tracing.emit_scores(scorer, [score.probability for score in review.scores])
        self._count(review, {metrics.SCORER: scorer, metrics.MODE: mode})

    def _describe(self, span: Span, review: Review, scorer: str, mode: Mode) -> None:
        facts: dict[str, AttributeValue] = {
            "decision": review.decision,
            "scorer": scorer,
            "mode": mode,
            "candidates": len(review.request.candidates),
            "chosen": review.chosen,
            "round": review.round,
            "more": review.more,
            "judged": review.judged,
            "scorer_ms": review.scorer_ms,
        }
        if review.scores:
            # The events say it, too, but some backends take spans alone.
            probabilities = [score.probability for score in review.scores]
            facts |= {"probability": probabilities[review.chosen], "probabilities": probabilities}
        if review.unjudged_reason is not None:
            facts["unjudged_reason"] = _error_type(review.unjudged_reason)
        calls = review.candidate.calls
        tracing.describe(
            span,
            facts,
            tool_names=[_tool_name(call, review.request.tools) for call in calls],
            call_ids=[_name(self.shown_id(call.id)) for call in calls if call.id],
        )

    def _count(self, review: Review, common: dict[str, str]) -> None:
        error = None if review.unjudged_reason is None else _error_type(review.unjudged_reason)
        scoring = {metrics.SCORER: common[metrics.SCORER]}
        if error is not None:
            scoring[metrics.ERROR_TYPE] = error
        _review_duration.record(review.total_ms / 1e3, common)
        _scorer_duration.record(review.scorer_ms / 1e3, scoring)
        if review.more:
            return  # nothing is decided yet; a review of more candidates follows
        effect = max((v.effect for v in review.verdicts), key=_GRAVITY.index, default="answer")
        decided = {**common, metrics.DECISION: review.decision}
        _decisions.add(1, {**decided, metrics.EFFECT: effect})
        if error is not None:
            _unjudged.add(1, {**common, metrics.EFFECT: effect, metrics.ERROR_TYPE: error})
        if review.round:
            _corrections.add(1, decided)
        for verdict in review.verdicts:
            of_call = {**common, metrics.EFFECT: verdict.effect}
            told = {**of_call, metrics.VERDICT: verdict.verdict}
            if self.tool_metrics:
                told[tracing.TOOL_NAME] = _tool_name(verdict.call, review.request.tools)
            _calls.add(1, told)
            if review.decision == "escalate" and verdict.verdict == "escalate":
                reason = "unjudged" if error else "low_score"
                _escalations.add(1, {**of_call, metrics.REASON: reason})


def _show_content(span: Span, record: Callable[[], ReviewRecord]) -> None:
    try:
        span.set_attributes(content.attributes_of(record()))
    except Exception as exc:  # noqa: BLE001  # a redactor of your own that fails shows nothing
        _log.error("content could not be redacted, so its span shows none: %s", origin_of(exc))


def _error_type(reason: str) -> str:
    """Return the class of the error; its message may quote what a scorer was given."""
    return reason.partition(":")[0]


def _tool_name(call: Call, tools: ToolSet) -> str:
    """Return the name of a tool that was offered; what else a model says is content."""
    return _name(call.name) if call.name in tools else UNKNOWN_TOOL


def _name(text: str) -> str:
    return clean_text(text[:_MAX_NAME_CHARS])  # an exporter loses its batch over a lone surrogate


def count_outcome(kind: str, *, ok: bool) -> None:
    """Count what became of a call."""
    _outcomes.add(1, {metrics.OUTCOME_KIND: kind, metrics.OUTCOME_OK: ok})
