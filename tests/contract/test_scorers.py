"""What every scorer promises, whatever it is made of."""

import math
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from bench.stand_in.replies import unweighted_folder
from tests.support.critics import Model
from tests.support.disc import disc_folder
from tests.support.served import FakeVllm
from tests.support.serving import serving
from toolrm_guard.calls import Call, Candidate
from toolrm_guard.errors import PromptTooLong
from toolrm_guard.messages import parse_messages
from toolrm_guard.scorers import resolve
from toolrm_guard.scorers.base import Scorer, ScoreRequest
from toolrm_guard.scorers.cascade import CascadeScorer
from toolrm_guard.scorers.critic import CriticScorer
from toolrm_guard.scorers.critic_settings import ChatSettings
from toolrm_guard.scorers.fake import FakeScorer
from toolrm_guard.scorers.local import LocalScorer
from toolrm_guard.scorers.vllm import VllmScorer
from toolrm_guard.tools import ToolSet

TOOLS = ToolSet.of(
    [
        {
            "name": "get_weather",
            "description": "Get the weather of a city.",
            "parameters": {
                "type": "object",
                "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
                "required": ["city"],
            },
        }
    ]
)
RIGHT = Candidate(calls=(Call(name="get_weather", arguments={"city": "Oslo"}),))
WRONG = Candidate(calls=(Call(name="get_weather", arguments={"town": 3}),))
TEXT = Candidate(text="It is sunny.")
HOSTILE = [
    Candidate(),
    Candidate(calls=(Call(name=""),)),
    Candidate(calls=(Call(name="no_such_tool", arguments={"a": math.nan}),)),
    Candidate(calls=(Call(name="get_weather", arguments={"city": "\ud800"}),)),
    Candidate(calls=(Call(name="get_weather", arguments={"city": "x" * 10_000_000}),)),
    Candidate(calls=(Call(name="get_weather", arguments={"city": "y" * 150_000}),)),
    Candidate(calls=tuple(Call(name="get_weather", arguments={"days": k}) for k in range(50))),
    Candidate(calls=(Call(name="get_weather", arguments={"city": {"$ref": "#"}}),)),
]


def fake() -> Scorer:
    return FakeScorer(lambda request: [0.5 + 0.01 * k for k in range(len(request.candidates))])


@contextmanager
def critic() -> Iterator[Scorer]:
    model = Model(quality=lambda response: 8.0 if "Oslo" in response else len(response) % 7)
    with serving(model) as served:
        yield CriticScorer(ChatSettings(url=served.url, model="gen"))


def vllm() -> Scorer:
    folder = unweighted_folder(Path(tempfile.mkdtemp()))
    return VllmScorer("http://gpu", folder=folder, transport=FakeVllm())


def local() -> Scorer:
    return LocalScorer(disc_folder(max_tokens=512))


def cascade() -> Scorer:
    return CascadeScorer("lite", fake(), band=0.5)


MAKERS: dict[str, Callable[[], Scorer | AbstractContextManager[Scorer]]] = {
    "cascade": cascade,
    "fake": fake,
    "lite": lambda: resolve("lite"),
    "local": local,
    "critic": critic,
    "vllm, faked server": vllm,
}


@pytest.fixture(scope="module", params=MAKERS.values(), ids=MAKERS)
def scorer(request: pytest.FixtureRequest) -> Iterator[Scorer]:
    made = request.param()
    if isinstance(made, AbstractContextManager):
        with made as opened:
            yield opened
    else:
        yield made


def ask(*candidates: Candidate, text: str = "How is the weather in Oslo?") -> ScoreRequest:
    return ScoreRequest(messages=parse_messages(text), tools=TOOLS, candidates=candidates)


async def test_there_is_one_finite_score_per_candidate_in_order(scorer: Scorer) -> None:
    [scores] = await scorer.score([ask(RIGHT, WRONG, TEXT)], None)
    assert len(scores) == 3
    for score in scores:
        assert math.isfinite(score.reward)
        assert 0.0 <= score.probability <= 1.0


async def test_a_batch_scores_like_its_requests_one_by_one(scorer: Scorer) -> None:
    requests = [ask(RIGHT, WRONG), ask(TEXT), ask(WRONG, text="Thanks, that is all.")]
    batch = await scorer.score(requests, time.monotonic() + 60)
    singles = [(await scorer.score([request], None))[0] for request in requests]
    assert [[s.reward for s in scores] for scores in batch] == [
        pytest.approx([s.reward for s in scores], abs=1e-4) for scores in singles
    ]


async def test_the_same_request_scores_the_same_twice(scorer: Scorer) -> None:
    [first] = await scorer.score([ask(RIGHT, WRONG)], None)
    [again] = await scorer.score([ask(RIGHT, WRONG)], None)
    # A prompt that is known by then is multiplied in other shapes, which rounds otherwise.
    assert [s.reward for s in first] == pytest.approx([s.reward for s in again], abs=1e-4)


async def test_no_candidates_of_no_requests_is_no_scores(scorer: Scorer) -> None:
    assert await scorer.score([], None) == []


@pytest.mark.parametrize("candidate", HOSTILE, ids=range(len(HOSTILE)))
async def test_hostile_candidates_are_scored_like_any_other(
    scorer: Scorer, candidate: Candidate
) -> None:
    started = time.process_time()  # on a shared core the clock on the wall says little
    [scores] = await scorer.score([ask(candidate, RIGHT)], None)
    assert len(scores) == 2
    assert time.process_time() - started < 2.0


async def test_a_conversation_of_ten_megabytes_is_scored_in_time(scorer: Scorer) -> None:
    started = time.process_time()
    request = ask(RIGHT, WRONG, text="weather in Oslo " * 650_000)
    try:
        [scores] = await scorer.score([request], None)
        assert len(scores) == 2
    except PromptTooLong:  # a language model's context has an end
        pass
    assert time.process_time() - started < 5.0


def test_every_kind_of_turn_has_a_threshold(scorer: Scorer) -> None:
    assert set(scorer.thresholds) == {"read", "write", "destructive", "answer"}
    assert all(0.0 <= value <= 1.0 for value in scorer.thresholds.values())
    assert scorer.name
