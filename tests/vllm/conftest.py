"""Servers for `make test-vllm`, started together and once; without vLLM these tests are skipped.

A test that takes `disc_server` or `chat_server` gets a `VllmProcess` that answers; only those that
the chosen tests take are started. A test that kills one starts it again.
"""

import os
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.vllm.servers import PYTHON_VARIABLE, VllmProcess, disc, generative

_HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if os.environ.get(PYTHON_VARIABLE):
        return
    skip = pytest.mark.skip(reason="needs vLLM, which `make test-vllm` installs")
    for item in items:
        if item.path.is_relative_to(_HERE):
            item.add_marker(skip)


@pytest.fixture(scope="session")
def vllm_servers(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, VllmProcess]]:
    """The servers that the chosen tests take, started at the same time."""
    from tests.support.disc import served_folder
    from toolrm_guard.embedded.weights import ensure_smollm2

    taken = {name for item in request.session.items for name in getattr(item, "fixturenames", ())}
    logs = tmp_path_factory.mktemp("vllm")
    servers = {}
    if "disc_server" in taken:
        servers["disc_server"] = disc(served_folder(), logs / "disc.log")
    if "chat_server" in taken:
        servers["chat_server"] = generative(ensure_smollm2(), logs / "chat.log")
    with ExitStack() as running:
        for server in servers.values():
            running.callback(server.kill)
            server.start()
        yield servers


@pytest.fixture(scope="session")
def disc_server(vllm_servers: dict[str, VllmProcess]) -> VllmProcess:
    """The test Disc over SmolLM2 behind `/classify`."""
    vllm_servers["disc_server"].wait()
    return vllm_servers["disc_server"]


@pytest.fixture(scope="session")
def chat_server(vllm_servers: dict[str, VllmProcess]) -> VllmProcess:
    """SmolLM2 with tools behind `/v1/chat/completions`."""
    vllm_servers["chat_server"].wait()
    return vllm_servers["chat_server"]
