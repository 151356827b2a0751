"""The contract of every scorer, kept by a real server."""

import asyncio
import time
from collections.abc import Iterator

import pytest

from tests.contract.test_scorers import *  # noqa: F403  # the suite itself
from tests.contract.test_scorers import RIGHT, WRONG, ask
from tests.vllm.servers import VllmProcess
from toolrm_guard.errors import PromptTooLong
from toolrm_guard.scorers.base import Scorer
from toolrm_guard.scorers.vllm import VllmScorer

MAX_TOKENS = 512
"""The longest candidates of the suite are cut to half of it: a second each on an idle core."""


@pytest.fixture(scope="module")
def scorer(disc_server: VllmProcess) -> Iterator[Scorer]:
    made = VllmScorer(
        disc_server.url,
        folder=disc_server.folder,
        model=disc_server.model,
        max_tokens=MAX_TOKENS,
    )
    yield made
    asyncio.run(made.aclose())


async def test_a_conversation_of_ten_megabytes_is_scored_in_time(scorer: Scorer) -> None:
    """The latest request is never cut: that it does not fit is said, and said in time."""
    started = time.perf_counter()
    with pytest.raises(PromptTooLong):
        await scorer.score([ask(RIGHT, WRONG, text="weather in Oslo " * 650_000)], None)
    assert time.perf_counter() - started < 5.0
