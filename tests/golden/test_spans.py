"""The span of a review and its evaluation events, pinned, through the real OpenTelemetry SDK."""

import subprocess
import sys

SCRIPT = """
import json
from opentelemetry import _logs, trace
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, SimpleLogRecordProcessor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
spans, logs = InMemorySpanExporter(), InMemoryLogRecordExporter()
provider, logger = TracerProvider(), LoggerProvider()
provider.add_span_processor(SimpleSpanProcessor(spans))
logger.add_log_record_processor(SimpleLogRecordProcessor(logs))
trace.set_tracer_provider(provider)
_logs.set_logger_provider(logger)
from toolrm_guard import FakeScorer, Guard
guard = Guard(FakeScorer(lambda request: [0.25, 0.75]))
call = {"name": "get_file", "arguments": {"path": "SECRET"}, "id": "c1"}
with trace.get_tracer("app").start_as_current_span("turn"):
    schema = {"type": "object", "properties": {"path": {"type": "string"}}}
    tools = [{"name": "get_file", "parameters": schema}]
    guard.review("SECRET", tools, ["SECRET", {"tool_calls": [call]}], conversation_id="talk")
review, turn = spans.get_finished_spans()
events = [record.log_record for record in logs.get_finished_logs()]
attributes = dict(review.attributes)
for volatile in ("toolrm_guard.review.id", "toolrm_guard.scorer_ms"):
    assert attributes.pop(volatile)
print(json.dumps({
    "name": review.name,
    "child": review.parent is not None and review.parent.span_id == turn.context.span_id,
    "attributes": {k: list(v) if isinstance(v, tuple) else v for k, v in attributes.items()},
    "events": [[e.event_name, dict(e.attributes), e.span_id == review.context.span_id]
               for e in events],
}, indent=1, sort_keys=True))
"""

EXPECTED = """{
 "attributes": {
  "gen_ai.conversation.id": "talk",
  "gen_ai.tool.call.id": [
   "c1"
  ],
  "gen_ai.tool.name": [
   "get_file"
  ],
  "langfuse.observation.type": "guardrail",
  "openinference.span.kind": "GUARDRAIL",
  "toolrm_guard.candidates": 2,
  "toolrm_guard.chosen": 1,
  "toolrm_guard.decision": "execute",
  "toolrm_guard.judged": true,
  "toolrm_guard.mode": "enforce",
  "toolrm_guard.more": 0,
  "toolrm_guard.probabilities": [
   0.25,
   0.75
  ],
  "toolrm_guard.probability": 0.75,
  "toolrm_guard.round": 0,
  "toolrm_guard.scorer": "fake"
 },
 "child": true,
 "events": [
  [
   "gen_ai.evaluation.result",
   {
    "gen_ai.evaluation.name": "toolrm_guard/fake",
    "gen_ai.evaluation.score.value": 0.25,
    "toolrm_guard.candidate": 0
   },
   true
  ],
  [
   "gen_ai.evaluation.result",
   {
    "gen_ai.evaluation.name": "toolrm_guard/fake",
    "gen_ai.evaluation.score.value": 0.75,
    "toolrm_guard.candidate": 1
   },
   true
  ]
 ],
 "name": "toolrm_guard.review"
}
"""


def test_the_span_and_events_of_a_review_are_the_pinned_ones_and_hold_no_content() -> None:
    # Its own process: providers can be set only once.
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "SECRET" not in done.stdout
    assert done.stdout == EXPECTED
