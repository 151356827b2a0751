"""The critic against a real vLLM: how choices and verdicts are read, never how good they are.

SmolLM2 does not know the answer's form, so it is bound to it, or its answer is begun for it.
"""

import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from tests.vllm.servers import VllmProcess
from toolrm_guard.calls import Call, Candidate
from toolrm_guard.errors import PromptTooLong, ScorerRefused, ScorerTimeout
from toolrm_guard.messages import parse_messages
from toolrm_guard.scorers.base import ScoreRequest
from toolrm_guard.scorers.critic import CriticScorer
from toolrm_guard.scorers.critic_settings import ChatSettings
from toolrm_guard.tools import ToolSet

TOOLS = ToolSet.of(
    [
        {
            "name": "get_weather",
            "description": "Get the weather of a city.",
            "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
        }
    ]
)
OSLO, LIMA, TEXT = (
    Candidate(calls=(Call(name="get_weather", arguments={"city": "Oslo"}),)),
    Candidate(calls=(Call(name="get_weather", arguments={"city": "Lima"}),)),
    Candidate(text="It is sunny."),
)
CHOICES = {"structured_outputs": {"choice": ["<choice>1</choice>", "<choice>2</choice>"]}}
VERDICTS = {
    "structured_outputs": {"choice": ["<verdict>right</verdict>", "<verdict>wrong</verdict>"]}
}
UNTOLD = {"logprobs": None, "top_logprobs": None}

Make = Callable[..., CriticScorer]


def ask(*candidates: Candidate, text: str = "How is the weather in Oslo?") -> ScoreRequest:
    return ScoreRequest(messages=parse_messages(text), tools=TOOLS, candidates=candidates)


@pytest.fixture
async def make(chat_server: VllmProcess) -> AsyncIterator[Make]:
    made: list[CriticScorer] = []

    def critic(**settings: Any) -> CriticScorer:
        options = {"model": chat_server.model, "max_tokens": 24, **settings}
        made.append(CriticScorer(ChatSettings(url=chat_server.url, **options)))
        return made[-1]

    yield critic
    for one in made:
        await one.aclose()


async def test_the_likelier_choice_is_the_one_that_is_written(make: Make) -> None:
    told, parsed = make(extra=CHOICES), make(extra={**CHOICES, **UNTOLD})
    for first, second in ((OSLO, LIMA), (LIMA, OSLO), (OSLO, TEXT), (TEXT, LIMA)):
        request = ask(first, second)
        likely = await told.compare(request, first, second, None)
        written = await parsed.compare(request, first, second, None)
        assert likely is not None
        assert written is not None
        assert (likely.from_logprobs, written.from_logprobs) == (True, False)
        assert 0.0 < likely.first < 1.0
        assert written.first == float(likely.first > 0.5)


async def test_the_likelier_verdict_is_the_one_that_is_written(make: Make) -> None:
    told, parsed = make(extra=VERDICTS), make(extra={**VERDICTS, **UNTOLD})
    for index in range(3):
        request = ask(OSLO, LIMA, TEXT)
        likely = await told.examine(request, index, None)
        written = await parsed.examine(request, index, None)
        assert 0.0 < likely.probability < 1.0
        assert likely.right == written.right
        assert written.probability in (0.0, 1.0)


async def test_both_orders_are_asked_and_every_token_is_counted(make: Make) -> None:
    critic = make(extra=CHOICES)
    ranked = await critic.rank(ask(OSLO, LIMA, TEXT, OSLO), None)
    assert sorted(ranked.order) == [0, 1, 2, 3]
    assert ranked.rewards[0] == ranked.rewards[3]
    assert ranked.stats.comparisons == 2
    assert ranked.stats.requests == ranked.stats.from_logprobs == 4
    assert ranked.stats.output_tokens >= 4 * 5  # `<choice>`, a digit, `</choice>`, the end
    assert ranked.stats.prompt_tokens > 4 * 200
    assert critic.stats == ranked.stats


async def test_one_token_a_question_scores_every_candidate(make: Make) -> None:
    critic = make(form="label", thinking=False)
    [scores] = await critic.score([ask(OSLO, LIMA, TEXT)], time.monotonic() + 120)
    assert len(scores) == 3
    assert all(0.0 < score.probability < 1.0 for score in scores)
    spent = critic.stats
    assert spent.output_tokens == spent.requests == spent.from_logprobs == 7


async def test_an_answer_that_was_begun_reads_like_one_that_was_bound(make: Make) -> None:
    begun = make(form="label")
    bound = make(form="label", extra={"structured_outputs": {"choice": ["1", "2"]}})
    request = ask(OSLO, LIMA)
    free = await begun.compare(request, OSLO, LIMA, None)
    forced = await bound.compare(request, OSLO, LIMA, None)
    assert free is not None
    assert forced is not None
    assert free.first == pytest.approx(forced.first, abs=1e-3)


@pytest.mark.parametrize("form", ["evaluate", "label"])
async def test_a_wrong_model_name_is_refused_and_named(make: Make, form: str) -> None:
    with pytest.raises(ScorerRefused, match="the model's name"):
        await make(model="toolrm-gen", form=form).score([ask(OSLO)], None)


async def test_a_prompt_that_does_not_fit_is_told_apart(make: Make) -> None:
    long = ask(OSLO, LIMA, text="How is the weather in Oslo? " * 1_500)
    with pytest.raises(PromptTooLong, match="maximum context length"):
        await make(form="label").score([long], None)


async def test_the_deadline_holds(make: Make) -> None:
    started = time.monotonic()
    with pytest.raises(ScorerTimeout):
        await make(extra=CHOICES).score([ask(OSLO, LIMA, TEXT)], started + 0.05)
    assert time.monotonic() - started < 2.0
