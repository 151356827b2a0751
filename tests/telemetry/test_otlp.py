"""Real exporters, real HTTP, real protobuf: what a collector gets."""

import os
import re
import subprocess
import sys
from pathlib import Path

from tests.support.otlp import Received, attribute, receiving
from toolrm_guard import metrics

ROOT = Path(__file__).parents[2]
DOCS = (ROOT / "docs" / "observability.md").read_text(encoding="utf-8")

AGENT = """
import asyncio
from tests.support.agents import ASKED, CHECKING, PAY_ANN, PAY_BOB, rated, surface
from tests.support.scripted import Ledger, ScriptedModel, turn
from toolrm_guard import Guard
for kind in ("middleware", "in place"):
    drafts = [turn(PAY_ANN), turn(PAY_BOB), turn(CHECKING, prefix="d"), turn(text="done")]
    agent = surface(kind, ScriptedModel(turns=drafts), Guard(rated({"ann": 0.1})), Ledger())
    asyncio.run(agent.ainvoke(ASKED))
"""


def run(*arguments: str, endpoint: str) -> None:
    environment = {**os.environ, "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint}
    done = subprocess.run(
        [sys.executable, *arguments],
        capture_output=True,
        text=True,
        timeout=100,
        env=environment,
        cwd=ROOT,
    )
    assert done.returncode == 0, done.stderr


def test_the_documented_wiring_sends_spans_events_and_metrics_over_http() -> None:
    [wiring] = re.findall(r"## Wiring it up\n\n```python\n(.*?)```", DOCS, re.S)
    with receiving() as received:
        run("-c", wiring + AGENT, endpoint=received.url)
    reviews = [span for span in received.spans if span.name == "toolrm_guard.review"]
    assert len(reviews) == 8
    assert {attribute(span, "openinference.span.kind") for span in reviews} == {"GUARDRAIL"}
    assert sorted(attribute(span, "toolrm_guard.decision") for span in reviews) == (
        ["correct"] * 2 + ["execute"] * 6
    )
    _assert_events_belong_to_reviews(received)
    decisions = received.metrics["toolrm_guard.decisions"]
    assert sum(point.as_int for point in decisions.sum.data_points) == 8
    assert decisions.sum.is_monotonic
    assert received.metrics["toolrm_guard.review.duration"].unit == "s"


def _assert_events_belong_to_reviews(received: Received) -> None:
    scores = [event for event in received.events if event.event_name == "gen_ai.evaluation.result"]
    spans = {span.span_id for span in received.spans}
    assert len(scores) == 10  # one a candidate; a correction judges the draft again
    assert all(event.span_id in spans for event in scores)
    assert {attribute(event, "gen_ai.evaluation.score.value") for event in scores} == {0.1, 0.9}


def test_the_example_sends_one_trace_with_the_reviews_in_it() -> None:
    with receiving() as received:
        run("examples/08_traces_in_phoenix.py", endpoint=received.url)
    assert len({span.trace_id for span in received.spans}) == 1
    assert len(received.spans) == 14
    by_id = {span.span_id: span for span in received.spans}
    reviews = [span for span in received.spans if span.name == "toolrm_guard.review"]
    assert [by_id[span.parent_span_id].name for span in reviews] == ["guard"] * 3


def test_a_collector_that_is_gone_does_not_disturb_the_agent() -> None:
    with receiving() as received:
        gone = received.url
    [wiring] = re.findall(r"## Wiring it up\n\n```python\n(.*?)```", DOCS, re.S)
    quick = "import os\nos.environ['OTEL_EXPORTER_OTLP_TIMEOUT'] = '1'\n"
    run("-c", quick + wiring + AGENT, endpoint=gone)


def test_every_metric_stands_in_the_table_as_it_is() -> None:
    rows = [row for row in vars(metrics).values() if isinstance(row, metrics.Instrument)]
    table = DOCS.split("## Metrics\n\n")[1].splitlines()[2:]
    expected = [
        f"| `{row.name}` | {row.kind} | `{row.unit}` | "
        f"{', '.join(f'`{name}`' for name in row.attributes) or '-'} | {row.description} |"
        for row in rows
    ]
    assert [line for line in table if line.startswith("|")] == expected
