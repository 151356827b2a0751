"""ToolRM-Disc on every GPU of a Ray cluster, behind one address that speaks vLLM's protocol.

    pip install 'ray[serve]' httpx vllm
    TOOLRM_DISC=/models/toolrm-disc serve run serve_disc:app

    TOOLRM_GUARD_VLLM_URL=http://head:8000 toolrm-guard doctor --scorer vllm

Each replica owns a GPU and a vLLM server on it, and passes on what it is asked. Ray places the
replicas, restarts the ones that stop answering, and grows and shrinks their number with the load.
The guard sees one server: hedging between servers needs addresses of their own, as in
`deploy/kubernetes`.

TOOLRM_DISC is the folder of an exported model; TOOLRM_MODEL the name it is served by (default: the
folder's); TOOLRM_REPLICAS how many at most (default 4); TOOLRM_GPUS how many GPUs a replica has
(default 1; 0 for CPUs); TOOLRM_SERVER what is started in vLLM's place.
"""

import asyncio
import json
import os
import shlex
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx
from ray import serve
from starlette.requests import Request
from starlette.responses import Response

START_S = 600.0
PASSED_ON = {"/classify", "/v1/models", "/health", "/metrics"}


def server_command(port: int) -> list[str]:
    """Return the command of the server of a replica."""
    stated = os.environ.get("TOOLRM_SERVER")
    if stated:
        return [*shlex.split(stated), "--port", str(port)]
    folder = Path(os.environ["TOOLRM_DISC"])
    card = json.loads((folder / "disc.json").read_text())
    on_gpu = _gpus() > 0
    return [
        *(sys.executable, "-m", "vllm.entrypoints.openai.api_server"),
        *("--host", "127.0.0.1", "--port", str(port)),
        *("--model", str(folder)),
        *("--served-model-name", os.environ.get("TOOLRM_MODEL") or folder.resolve().name),
        *("--runner", "pooling", "--convert", "classify"),
        *("--max-model-len", str(card["max_tokens"])),
        *("--dtype", "bfloat16" if on_gpu else "float32"),
        *(() if on_gpu else ("--enforce-eager", "--block-size", "32")),
    ]


def _gpus() -> float:
    return float(os.environ.get("TOOLRM_GPUS", "1"))


@serve.deployment(
    ray_actor_options={"num_gpus": _gpus()},
    autoscaling_config={
        "min_replicas": 1,
        "max_replicas": int(os.environ.get("TOOLRM_REPLICAS", "4")),
        "target_ongoing_requests": 4,
    },
    max_ongoing_requests=32,
    health_check_period_s=5,
    health_check_timeout_s=10,
    graceful_shutdown_timeout_s=30,
)
class Disc:
    """A replica: one server, and what passes requests on to it."""

    def __init__(self) -> None:
        """Start the server and wait until it answers.

        Raises:
            RuntimeError: If it ends, or is silent for `START_S`.
        """
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self._server = subprocess.Popen(server_command(port))
        self._client = httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=None)
        self._wait(f"http://127.0.0.1:{port}/health")

    async def __call__(self, request: Request) -> Response:
        """Return the server's answer; 404 for what the guard does not ask for."""
        if request.url.path not in PASSED_ON:
            return Response(status_code=404)
        headers = {"content-type": "application/json"}
        if key := request.headers.get("authorization"):
            headers["authorization"] = key
        try:
            answer = await self._client.request(
                request.method, request.url.path, content=await request.body(), headers=headers
            )
        except httpx.TransportError as exc:  # 503 is what the guard takes for an outage
            return Response(f"{type(exc).__name__}: {exc}", status_code=503)
        kind = answer.headers.get("content-type", "application/json")
        return Response(answer.content, status_code=answer.status_code, media_type=kind)

    async def check_health(self) -> None:
        """Raise if the server is gone or does not answer; Ray then replaces the replica."""
        if self._server.poll() is not None:
            raise RuntimeError(f"the server ended with {self._server.returncode}")
        async with asyncio.timeout(5):
            (await self._client.get("/health")).raise_for_status()

    def __del__(self) -> None:
        """End the server with the replica."""
        if hasattr(self, "_server"):
            self._server.terminate()

    def _wait(self, url: str) -> None:
        ends = time.monotonic() + START_S
        while time.monotonic() < ends:
            if self._server.poll() is not None:
                raise RuntimeError(f"the server ended with {self._server.returncode}")
            try:
                if httpx.get(url, timeout=2).is_success:
                    return
            except httpx.TransportError:
                pass
            time.sleep(0.2)
        raise RuntimeError(f"the server does not answer after {START_S:g} s")


app = Disc.bind()
