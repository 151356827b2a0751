"""One sampler for all: loading the model takes seconds, and its state is only a cache."""

import pytest

from toolrm_guard.embedded.sampler import EmbeddedSampler
from toolrm_guard.tools import ToolSet


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
