"""The wrapper around the embedded sampler; the model itself has its own tests."""

import pickle
from pathlib import Path
from typing import Any

from tests.training.samplers.made import context
from toolrm_guard.calls import Call, Candidate
from toolrm_guard.errors import ConfigurationError
from training.preferences.funnel import is_lost
from training.preferences.rows import Dropped
from training.preferences.samplers import requests_made, sample_each
from training.preferences.samplers.embedded import MODEL, EmbeddedResponses


class Scripted:
    """Stands in for the loaded model; keeps the seeds that it was given."""

    def __init__(self, *candidates: Candidate, error: Exception | None = None) -> None:
        self.candidates = candidates
        self.error = error
        self.seeds: list[int] = []

    def sample(self, messages: Any, tools: Any, *, seed: int, **options: Any) -> "Scripted":
        assert len(messages) == 5
        assert list(tools) == ["get_weather", "get_tides"]
        self.seeds.append(seed)
        if self.error:
            raise self.error
        return self


def sampler(model: Scripted) -> EmbeddedResponses:
    return EmbeddedResponses(sampler=model)  # type: ignore[arg-type]  # as much of it as is used


CALL = Candidate(calls=(Call(name="get_tides", arguments={"port": "Rome"}),))


def test_equal_draws_come_once_and_name_their_model() -> None:
    made = sampler(Scripted(CALL, CALL, Candidate(text="Hm."))).sample(context(), 1)
    assert [(r.by, r.text, len(r.calls)) for r in made] == [(MODEL, "", 1), (MODEL, "Hm.", 0)]
    assert made[0].calls == ({"name": "get_tides", "arguments": {"port": "Rome"}},)


def test_the_seed_hangs_on_the_context_not_on_the_order() -> None:
    model = Scripted(CALL)
    for number in (0, 1, 0):
        sampler(model).sample(context(number), 7)
    assert model.seeds[0] == model.seeds[2] != model.seeds[1]


def test_a_draw_that_was_cut_off_is_counted_and_the_others_stay() -> None:
    cut = Candidate(calls=(Call.parse({"name": "get_tides", "arguments": '{"port'}),))
    lost, (_, made) = sample_each(sampler(Scripted(cut, CALL)), [context()], 0)
    assert isinstance(lost, Dropped)
    assert lost.reason == "malformed_call"
    assert not is_lost(lost.stage, lost.reason), "the model answered, badly"
    assert len(made) == 1


def test_a_prompt_that_is_too_long_is_counted() -> None:
    model = Scripted(error=ConfigurationError("prompt and max_tokens make 9,000 tokens"))
    lost, (_, made) = sample_each(sampler(model), [context()], 0)
    assert isinstance(lost, Dropped)
    assert (lost.reason, made) == ("unsuitable_prompt", [])
    assert not is_lost(lost.stage, lost.reason)


def test_it_says_how_many_draws_a_pass_wanted() -> None:
    asked = EmbeddedResponses(sampler=Scripted(CALL), count=3)  # type: ignore[arg-type]  # as above
    for _ in range(2):
        list(sample_each(asked, [context(0), context(1)], 0))
        assert requests_made(asked) == 6


def test_it_can_be_sent_to_a_worker_before_it_is_used() -> None:
    assert pickle.loads(pickle.dumps(EmbeddedResponses(count=3))).count == 3


def test_a_second_run_takes_its_draws_from_the_cache(tmp_path: Path) -> None:
    cut = Candidate(calls=(Call.parse({"name": "get_tides", "arguments": '{"port'}),))
    model = Scripted(CALL, cut)
    made = [
        sample_each(
            EmbeddedResponses(sampler=model, count=2, cache=str(tmp_path / "draws.db")),  # type: ignore[arg-type]  # as much of it as is used
            [context()],
            seed,
        )
        for seed in (0, 0, 1)
    ]
    first, second, third = (list(rows) for rows in made)
    assert first == second
    assert len(model.seeds) == 2, "the second run drew nothing"
    assert len(third) == 2
