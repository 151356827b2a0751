"""The metrics as Prometheus sees them: every row of the table through the real exporter."""

from typing import Any

from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.metrics import CallbackOptions, Observation
from opentelemetry.sdk.metrics import MeterProvider
from prometheus_client import REGISTRY

from toolrm_guard import metrics

ROWS = [row for row in vars(metrics).values() if isinstance(row, metrics.Instrument)]

VALUES = {
    metrics.DECISION: "execute",
    metrics.EFFECT: "read",
    metrics.MODE: "enforce",
    metrics.SCORER: "vllm",
    metrics.VERDICT: "reject",
    metrics.OUTCOME_KIND: "blocked",
    metrics.TOOL_NAME: "get_file",
}


class Exporter:
    """A provider of its own, with one point in every row; `more()` adds to them."""

    def __init__(self) -> None:
        self._reader = PrometheusMetricReader()
        self._provider = MeterProvider([self._reader])
        self._meter = self._provider.get_meter("toolrm_guard")
        self._adding: list[Any] = []
        self._total = 0
        for row in ROWS:
            self._create(row)

    def _create(self, row: metrics.Instrument) -> None:
        attributes = {name: VALUES.get(name, "x") for name in row.attributes}

        def observe(_: CallbackOptions) -> list[Observation]:
            return [Observation(self._total, attributes)]

        if row.kind == "counter":
            counter = self._meter.create_counter(row.name, row.unit, row.description)
            self._adding.append(lambda: counter.add(1, attributes))
        elif row.kind == "histogram":
            histogram = self._meter.create_histogram(
                row.name,
                row.unit,
                row.description,
                explicit_bucket_boundaries_advisory=metrics.SECONDS,
            )
            self._adding.append(lambda: histogram.record(0.003, attributes))
        elif row.kind == "gauge":
            self._meter.create_observable_gauge(row.name, [observe], row.unit, row.description)
        else:
            self._meter.create_observable_counter(row.name, [observe], row.unit, row.description)

    def more(self) -> None:
        self._total += 1
        for add in self._adding:
            add()

    def labels(self) -> dict[str, set[str]]:
        """Name of each series to the labels it has."""
        found: dict[str, set[str]] = {}
        for family in REGISTRY.collect():
            for sample in family.samples:
                if sample.name.startswith("toolrm_guard"):
                    found.setdefault(sample.name, set()).update(sample.labels)
        return found

    def close(self) -> None:
        self._provider.shutdown()
