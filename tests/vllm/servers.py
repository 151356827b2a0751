"""Real vLLM servers on loopback: started, killed, started again; their logs are kept."""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import httpx

PYTHON_VARIABLE = "TOOLRM_GUARD_VLLM_PYTHON"
"""The Python with vLLM; `make test-vllm` sets it."""

START_S = 240.0
"""A start takes 40-60 s on an idle core, longer when two start together."""

_SETTINGS = {
    "OMP_NUM_THREADS": "1",
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",  # else every server binds to the same first core
    "HF_HUB_OFFLINE": "1",
    "VLLM_NO_USAGE_STATS": "1",
    "DO_NOT_TRACK": "1",
}
_COMMON = ("--host", "127.0.0.1", "--dtype", "float32", "--enforce-eager", "--block-size", "32")


@dataclass(slots=True)
class VllmProcess:
    """One server and its process group.

    Attributes:
        model: The name that it serves by.
        folder: The model's weights and tokenizer.
        flags: Of `vllm.entrypoints.openai.api_server`, beside the common ones.
        log: Where its output goes, appended at each start.
    """

    model: str
    folder: Path
    flags: Sequence[str]
    log: Path
    port: int = field(default_factory=lambda: _free_port())
    _process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start without waiting; in a group of its own, since the engine is a child process."""
        python = os.environ[PYTHON_VARIABLE]
        command = [python, "-m", "vllm.entrypoints.openai.api_server", *_COMMON, *self.flags]
        command += ["--model", str(self.folder), "--served-model-name", self.model]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [*command, "--port", str(self.port)],
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**os.environ, **_SETTINGS},
                cwd=self.log.parent,  # a checkout in the working directory must not be imported
                start_new_session=True,
            )

    def wait(self) -> None:
        """Return when it answers.

        Raises:
            RuntimeError: If it ends, or is silent for `START_S`; with the end of its log.
        """
        assert self._process is not None
        ends = time.monotonic() + START_S
        while time.monotonic() < ends:
            if self._process.poll() is not None:
                raise RuntimeError(f"vLLM ended with {self._process.returncode}:\n{self._tail()}")
            try:
                if httpx.get(f"{self.url}/health", timeout=2).status_code == 200:
                    return
            except httpx.TransportError:
                pass
            time.sleep(0.5)
        raise RuntimeError(f"vLLM is not up after {START_S:g} s:\n{self._tail()}")

    def kill(self) -> None:
        """End server and engine at once, as a crash would."""
        if self._process is None:
            return
        try:
            os.killpg(self._process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self._process.wait(30)
        self._process = None

    def metric(self, name: str) -> float:
        """Return the sum of a Prometheus counter that the server exposes."""
        text = httpx.get(f"{self.url}/metrics", timeout=10).text
        lines = [line for line in text.splitlines() if line.startswith((f"{name}{{", f"{name} "))]
        assert lines, f"no metric {name}"
        return sum(float(line.rpartition(" ")[2]) for line in lines)

    def _tail(self) -> str:
        return self.log.read_text(errors="replace")[-3_000:]


def disc(folder: Path, log: Path) -> VllmProcess:
    """A discriminative ToolRM, for `/classify`."""
    flags = ["--runner", "pooling", "--convert", "classify", "--max-model-len", "2048"]
    flags += ["--max-num-seqs", "16", "--kv-cache-memory-bytes", "1G"]
    return VllmProcess("toolrm-disc", folder, flags, log)


def generative(folder: Path, log: Path) -> VllmProcess:
    """A chat model that calls tools, for `/v1/chat/completions`."""
    flags = ["--max-model-len", "4096", "--max-num-seqs", "16", "--kv-cache-memory-bytes", "1G"]
    flags += ["--enable-auto-tool-choice", "--tool-call-parser", "hermes"]
    flags += ["--chat-template", str(Path(__file__).with_name("hermes.jinja"))]
    return VllmProcess("smollm2", folder, flags, log)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
