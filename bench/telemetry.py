"""What OpenTelemetry adds to a review: without an SDK, with one, and with content in spans.

    python -m bench.telemetry [--reviews 2000] [--rounds 7]

A review of 8 candidates by a scorer that takes no time, so that nothing hides the difference. The
contenders run in processes of their own (a provider can be set only once), one after the other in
every round. A process reports the 10th percentile of its reviews, which other work on the machine
moves least; the figures are medians over the rounds, with the range.
"""

import argparse
import contextlib
import functools
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any, Literal, get_args

from toolrm_guard import FakeScorer, Guard, tracing
from toolrm_guard.telemetry import Telemetry

Contender = Literal["none", "api", "sdk", "content"]

_SAID = {
    "none": "no telemetry at all",
    "api": "the API without an SDK",
    "sdk": "an SDK that keeps spans, events and metrics",
    "content": "the same, with content in spans",
}
_TOOLS = [
    {
        "name": "get_file",
        "parameters": {
            "type": "object",
            "properties": {"path": {"type": "string"}},
            "required": ["path"],
        },
    }
]


def review_us(contender: Contender, reviews: int) -> float:
    """Return the 10th percentile of the microseconds of a review in this process."""
    _set_up(contender)
    guard = Guard(
        FakeScorer(lambda request: [0.9] * len(request.candidates)),
        capture_content=contender == "content",
    )
    candidates = [
        {"tool_calls": [{"name": "get_file", "arguments": {"path": f"{k}.txt"}, "id": f"c{k}"}]}
        for k in range(8)
    ]
    review = functools.partial(guard.review, "Read 3.txt", _TOOLS, candidates)
    times = []
    for k in range(reviews + reviews // 10):
        started = time.perf_counter()
        review()
        if k >= reviews // 10:  # the first ones warm up
            times.append(time.perf_counter() - started)
    return statistics.quantiles(times, n=10)[0] * 1e6


def _set_up(contender: Contender) -> None:
    if contender == "none":

        @contextlib.contextmanager
        def no_span(*_: Any) -> Iterator[Any]:
            yield None

        tracing.review_span = no_span  # type: ignore[assignment]
        Telemetry.observe = lambda *_, **__: None  # type: ignore[method-assign]
    elif contender in ("sdk", "content"):
        from opentelemetry import _logs, metrics, trace
        from opentelemetry.sdk._logs import LoggerProvider
        from opentelemetry.sdk._logs.export import (
            BatchLogRecordProcessor,
            InMemoryLogRecordExporter,
        )
        from opentelemetry.sdk.metrics import MeterProvider
        from opentelemetry.sdk.metrics.export import InMemoryMetricReader
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
        from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

        tracers, loggers = TracerProvider(), LoggerProvider()
        tracers.add_span_processor(BatchSpanProcessor(InMemorySpanExporter()))
        kept = InMemoryLogRecordExporter()  # type: ignore[no-untyped-call]
        loggers.add_log_record_processor(BatchLogRecordProcessor(kept))
        trace.set_tracer_provider(tracers)
        _logs.set_logger_provider(loggers)
        metrics.set_meter_provider(MeterProvider([InMemoryMetricReader()]))


def _in_a_process(contender: str, reviews: int) -> float:
    command = [sys.executable, "-m", "bench.telemetry", "--reviews", str(reviews)]
    done = subprocess.run(
        [*command, "--one", contender], capture_output=True, text=True, check=True
    )
    return float(done.stdout)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--reviews", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--one", choices=get_args(Contender), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        print(review_us(arguments.one, arguments.reviews))
        return
    added: dict[str, list[float]] = {name: [] for name in get_args(Contender)[1:]}
    bare = []
    for _ in range(arguments.rounds):
        bare.append(_in_a_process("none", arguments.reviews))
        for name, differences in added.items():
            differences.append(_in_a_process(name, arguments.reviews) - bare[-1])
    print(f"a review with {_SAID['none']}: {statistics.median(bare):.0f} us")
    for name, differences in added.items():
        median, low, high = statistics.median(differences), min(differences), max(differences)
        print(f"  {_SAID[name]:45}  {median:+7.0f} us  ({low:+.0f} to {high:+.0f})")


if __name__ == "__main__":
    main()
