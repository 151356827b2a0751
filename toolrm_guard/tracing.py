"""OpenTelemetry: one guard span a review, one evaluation event a score.

Only the API is used; the application configures the SDK, and without one all of this is a no-op.
The attribute names of the `gen_ai` conventions are written out here and nowhere else, because the
generated constants are deprecated while the conventions move.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from opentelemetry import _logs, trace
from opentelemetry.util.types import AttributeValue

from toolrm_guard.records import clean_text

_tracer = trace.get_tracer("toolrm_guard")
_logger = _logs.get_logger("toolrm_guard")

SPAN_NAME = "toolrm_guard.review"
SPAN_KIND = "openinference.span.kind"
OBSERVATION_TYPE = "langfuse.observation.type"
CONVERSATION_ID = "gen_ai.conversation.id"
TOOL_NAME = "gen_ai.tool.name"
TOOL_CALL_ID = "gen_ai.tool.call.id"
EVALUATION_EVENT = "gen_ai.evaluation.result"
EVALUATION_NAME = "gen_ai.evaluation.name"
EVALUATION_SCORE = "gen_ai.evaluation.score.value"
PREFIX = "toolrm_guard."


@contextmanager
def review_span(
    review_id: str, conversation_id: str | None, shown_id: Callable[[str], str] = str
) -> Iterator[trace.Span]:
    """Open the guard span of a review, under whatever span is current.

    Args:
        review_id: Of the record.
        conversation_id: Of the run.
        shown_id: Returns an id as a span may show it; asked only of a span that is recorded.
    """
    attributes: dict[str, AttributeValue] = {
        SPAN_KIND: "GUARDRAIL",
        OBSERVATION_TYPE: "guardrail",
        PREFIX + "review.id": review_id,
    }
    with _tracer.start_as_current_span(
        SPAN_NAME, attributes=attributes, record_exception=False, set_status_on_exception=False
    ) as span:
        if conversation_id is not None and span.is_recording():
            span.set_attribute(CONVERSATION_ID, clean_text(shown_id(conversation_id)))
        try:
            yield span
        except Exception as exc:
            # Neither the message nor the stack: they may quote what was reviewed.
            span.set_status(trace.StatusCode.ERROR, type(exc).__name__)
            raise


@contextmanager
def under(span: trace.Span | None) -> Iterator[None]:
    """Make a span current that an instrumentor keeps to itself; None leaves what is current."""
    if span is None:
        yield
        return
    with trace.use_span(span, record_exception=False, set_status_on_exception=False):
        yield


def describe(
    span: trace.Span,
    facts: Mapping[str, AttributeValue],
    *,
    tool_names: Sequence[str],
    call_ids: Sequence[str],
) -> None:
    """Put the outcome of a review on its span; no arguments and no text, only facts about them."""
    if not span.is_recording():
        return
    span.set_attributes({PREFIX + key: value for key, value in facts.items()})
    span.set_attributes({TOOL_NAME: list(tool_names), TOOL_CALL_ID: list(call_ids)})


def annotate(facts: Mapping[str, AttributeValue]) -> None:
    """Put facts about the scoring on the current span, which is that of the review."""
    span = trace.get_current_span()
    if span.is_recording():
        span.set_attributes({PREFIX + key: value for key, value in facts.items()})


def emit_scores(scorer: str, probabilities: Sequence[float]) -> None:
    """Emit one `gen_ai.evaluation.result` event per candidate of the current review."""
    for index, probability in enumerate(probabilities):
        _logger.emit(
            event_name=EVALUATION_EVENT,
            attributes={
                EVALUATION_NAME: f"toolrm_guard/{scorer}",
                EVALUATION_SCORE: probability,
                PREFIX + "candidate": index,
            },
        )
