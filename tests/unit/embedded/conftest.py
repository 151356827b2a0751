"""One sampler for all: loading the model takes seconds, and its state is only a cache."""

from collections.abc import Iterator

import pytest
import torch

from toolrm_guard.embedded.sampler import EmbeddedSampler
from toolrm_guard.tools import ToolSet


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> Iterator[None]:
    """On shared cores two threads wait for each other: minutes instead of seconds."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def sampler() -> EmbeddedSampler:
    return EmbeddedSampler()


def delete_file(name: str) -> str:
    """Delete a file."""
    return name


def set_volume(percent: int, room: str = "kitchen") -> str:
    """Set the volume of the music."""
    return f"{room} {percent}"


TOOLS = ToolSet.of([delete_file, set_volume])
