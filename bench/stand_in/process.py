"""The stand-in server in a process of its own: started on a free port, killed at the end."""

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import httpx

START_S = 20.0


def free_port() -> int:
    """Return a port on loopback that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def start(port: int, **options: object) -> subprocess.Popen[bytes]:
    """Start it and return when it answers.

    Args:
        port: On loopback.
        options: As `bench.stand_in.server` takes them, `request_ms` for `--request-ms`.

    Raises:
        RuntimeError: If it does not answer within `START_S`.
    """
    command = [sys.executable, "-m", "bench.stand_in.server", "--port", str(port)]
    for name, value in options.items():
        command += [f"--{name.replace('_', '-')}", str(value)]
    process = subprocess.Popen(command)
    ends = time.monotonic() + START_S
    while time.monotonic() < ends and process.poll() is None:
        with suppress(httpx.TransportError):
            httpx.get(f"http://127.0.0.1:{port}/v1/models", timeout=1)
            return process
        time.sleep(0.025)
    stop(process)
    raise RuntimeError(f"the stand-in server did not start on port {port}")


def stop(process: subprocess.Popen[bytes]) -> None:
    """Kill it, as a crash would."""
    process.kill()
    process.wait(10)


@contextmanager
def stand_in(**options: object) -> Iterator[str]:
    """Return the URL of one that runs as long as the context does."""
    port = free_port()
    process = start(port, **options)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        stop(process)
