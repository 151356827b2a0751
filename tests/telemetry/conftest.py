"""The real OpenTelemetry SDK, set up once a process: providers cannot be replaced."""

from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest
from opentelemetry import _logs, metrics, trace
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, SimpleLogRecordProcessor
from opentelemetry.sdk.metrics import Counter, Histogram, MeterProvider, ObservableCounter
from opentelemetry.sdk.metrics.export import AggregationTemporality, InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

_DELTA = AggregationTemporality.DELTA


class Sink:
    """What was exported since the test began."""

    def __init__(self) -> None:
        self._spans = InMemorySpanExporter()
        self._logs = InMemoryLogRecordExporter()
        self._reader = InMemoryMetricReader(
            preferred_temporality={Counter: _DELTA, Histogram: _DELTA, ObservableCounter: _DELTA}
        )
        self.tracers = TracerProvider()
        self.tracers.add_span_processor(SimpleSpanProcessor(self._spans))
        loggers = LoggerProvider()
        loggers.add_log_record_processor(SimpleLogRecordProcessor(self._logs))
        trace.set_tracer_provider(self.tracers)
        _logs.set_logger_provider(loggers)
        metrics.set_meter_provider(MeterProvider([self._reader]))

    def clear(self) -> None:
        self._spans.clear()
        self._logs.clear()
        self._reader.get_metrics_data()

    @property
    def spans(self) -> tuple[ReadableSpan, ...]:
        return self._spans.get_finished_spans()

    @property
    def reviews(self) -> list[ReadableSpan]:
        return [span for span in self.spans if span.name == "toolrm_guard.review"]

    @property
    def events(self) -> list[Any]:
        return [record.log_record for record in self._logs.get_finished_logs()]

    def metrics(self) -> dict[str, Any]:
        """Name to metric; a second call sees only what came after the first."""
        data = self._reader.get_metrics_data()
        return {
            metric.name: metric
            for resource in (data.resource_metrics if data else ())
            for scope in resource.scope_metrics
            for metric in scope.metrics
        }

    def everything(self) -> str:
        """All that left the process, as text."""
        spans = [span.to_json() for span in self.spans]
        logs = [record.to_json() for record in self._logs.get_finished_logs()]
        data = self._reader.get_metrics_data()
        return "\n".join([*spans, *logs, data.to_json() if data else ""])


_sink = cache(Sink)


@pytest.fixture
def otel() -> Iterator[Sink]:
    sink = _sink()
    sink.clear()
    yield sink
    sink.clear()


def points(metric: Any) -> dict[tuple[str, ...], Any]:
    """Attribute values, in the order of their names without prefixes, to value or count."""
    return {
        tuple(str(value) for _, value in sorted(point.attributes.items())): getattr(
            point, "value", getattr(point, "count", None)
        )
        for point in metric.data.data_points
    }
