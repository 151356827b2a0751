"""One tiny base for all trainers; one thread, as two would wait for each other."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from tests.training.trainers.tiny import tiny_base


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_base(tmp_path_factory.mktemp("base"))
