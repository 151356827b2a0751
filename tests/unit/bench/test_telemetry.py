"""The bench of telemetry runs each of its contenders."""

import subprocess
import sys


def test_a_short_run_prints_a_line_a_contender() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "bench.telemetry", "--reviews", "20", "--rounds", "1"],
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0].startswith("a review with no telemetry at all: ")
    assert [line.split("  ")[1] for line in lines[1:]] == [
        "the API without an SDK",
        "an SDK that keeps spans, events and metrics",
        "the same, with content in spans",
    ]
