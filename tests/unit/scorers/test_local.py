"""`local` gives the rewards of one-by-one scoring, whatever it remembers and packs."""

import asyncio
import os
import threading
import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from transformers import MistralConfig, MistralForSequenceClassification

from tests.contract.test_scorers import RIGHT, TEXT, WRONG, ask
from tests.support.disc import sealed, served_folder, tiny_folder
from toolrm_guard import Guard
from toolrm_guard.calls import Call, Candidate
from toolrm_guard.disc_prompt import DiscInput
from toolrm_guard.errors import (
    ConfigurationError,
    ModelIntegrityError,
    PromptTooLong,
    ScorerTimeout,
    ScorerUnavailable,
)
from toolrm_guard.messages import Message, parse_messages
from toolrm_guard.scorers import local, resolve, shared_prefix
from toolrm_guard.scorers.base import ScoreRequest
from toolrm_guard.scorers.disc_model import load_disc
from toolrm_guard.scorers.local import FOLDER_VARIABLE, Engine, LocalScorer

Rewards = Callable[[DiscInput], list[float]]


def nothing() -> None:
    """No deadline."""


def one_by_one(folder: Path) -> Rewards:
    """As the paper's evaluation script scores: each candidate's whole sequence on its own."""
    model = load_disc(folder).model

    @torch.inference_mode()
    def rewards(one: DiscInput) -> list[float]:
        rows = [torch.tensor([one.prompt + suffix]) for suffix in one.suffixes]
        return [float(model(row).logits) for row in rows]

    return rewards


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return sealed(tiny_folder(tmp_path_factory.mktemp("disc") / "tiny"))


@pytest.fixture(scope="module")
def expected(tiny: Path) -> Rewards:
    return one_by_one(tiny)


@pytest.fixture(scope="module")
def engine(tiny: Path) -> Engine:
    """With a small cache, so that examples push each other out."""
    return Engine(load_disc(tiny), cache_tokens=60)


IDS = st.lists(st.integers(3, 6), min_size=1, max_size=20).map(tuple)
DECISIONS = st.builds(
    lambda prompt, suffixes: DiscInput(prompt=prompt, suffixes=tuple(suffixes)),
    prompt=IDS,
    suffixes=st.lists(IDS, min_size=1, max_size=3),
)


@settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    calls=st.lists(st.lists(DECISIONS, max_size=3), max_size=2),
    sizes=st.tuples(
        st.integers(3, 30), st.integers(10, 60), st.integers(5, 60), st.sampled_from([0, 40, 999])
    ),
)
def test_rewards_are_those_of_one_by_one_scoring_whatever_was_asked_before(
    calls: list[list[DiscInput]],
    sizes: tuple[int, int, int, int],
    engine: Engine,
    expected: Rewards,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(shared_prefix, "BLOCK_TOKENS", sizes[0])
    monkeypatch.setattr(local, "PASS_TOKENS", sizes[1])
    monkeypatch.setattr(local, "TREE_TOKENS", sizes[2])
    monkeypatch.setattr(local, "KEPT_TOKENS", sizes[3])
    for call in calls:  # few token ids: prompts begin alike, and continue each other
        found = engine.rewards_of(call, nothing)
        assert found == [pytest.approx(expected(one), abs=1e-5) for one in call]


def test_the_embedded_model_scores_within_a_ten_thousandth_cold_and_warm() -> None:
    scorer = LocalScorer(served_folder())
    first = ask(RIGHT, WRONG, TEXT, RIGHT)
    said = Message(role="assistant", calls=RIGHT.calls)
    answer = parse_messages([{"role": "tool", "content": "7 degrees", "tool_call_id": "1"}])
    second = ScoreRequest(
        messages=(*first.messages, said, *answer), tools=first.tools, candidates=(TEXT, WRONG)
    )
    plain = one_by_one(served_folder())
    requests = [first, second, ask(TEXT, text="And in Bergen?"), first]
    for request in requests:
        [scores] = asyncio.run(scorer.score([request], None))
        rewards = plain(scorer._engine.encode(request))
        assert [score.reward for score in scores] == pytest.approx(rewards, abs=1e-4)
        assert max(rewards) - min(rewards) > 0.1 or len(rewards) == 1


def counted(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return a list that grows by the number of tokens of each forward pass."""
    passes: list[int] = []
    forward = engine._model.forward

    def count(segments: Sequence[shared_prefix.Segment], check: Callable[[], None]) -> torch.Tensor:
        passes.append(sum(len(segment.tokens) for segment in segments))
        return forward(segments, check)

    monkeypatch.setattr(engine._model, "forward", count)
    return passes


def test_each_token_is_computed_once(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = Engine(load_disc(tiny), cache_tokens=1_000)
    passes = counted(engine, monkeypatch)
    prompt = tuple(range(100, 200))
    one = DiscInput(prompt=prompt, suffixes=((5, 6, 7), (5, 6, 8), (5, 6, 7), (9,)))
    engine.rewards_of([one], nothing)
    assert passes == [100 + 5]
    next_turn = DiscInput(prompt=(*prompt, 5, 6, 8, 50, 51), suffixes=((5,), (6,)))
    engine.rewards_of([next_turn], nothing)
    assert passes == [105, 2 + 2]
    elsewhere = DiscInput(prompt=(*prompt[:60], 1, 2), suffixes=((5,),))
    engine.rewards_of([elsewhere], nothing)
    assert passes == [105, 4, 2 + 1]
    engine.forget()
    engine.rewards_of([one, elsewhere], nothing)
    assert passes[3:] == [105 + 62 + 1]


def test_no_cache_is_no_cache(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = Engine(load_disc(tiny), cache_tokens=0)
    passes = counted(engine, monkeypatch)
    one = DiscInput(prompt=tuple(range(50)), suffixes=((5, 6),))
    engine.rewards_of([one], nothing)
    engine.rewards_of([one], nothing)
    assert passes == [52, 52]
    with pytest.raises(ConfigurationError, match="cache_tokens is -1"):
        Engine(load_disc(tiny), cache_tokens=-1)


def late_after(checks: int) -> Callable[[], None]:
    left = iter(range(checks))

    def check() -> None:
        if next(left, None) is None:
            raise ScorerTimeout("late")

    return check


def test_work_that_was_cut_off_leaves_sound_scores_and_what_it_had_read(
    tiny: Path, expected: Rewards, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shared_prefix, "BLOCK_TOKENS", 20)
    monkeypatch.setattr(local, "PASS_TOKENS", 40)
    one = DiscInput(prompt=tuple(range(100, 300)), suffixes=((5, 6), (7,)))
    layers = 2
    engine = Engine(load_disc(tiny), cache_tokens=1_000)
    for allowed in range(13):  # six passes of two layers
        engine.forget()
        check = late_after(allowed)
        try:
            engine.rewards_of([one], check)
        except ScorerTimeout:
            assert engine._cache.held == min(allowed // layers * 40, 200)
        assert engine.rewards_of([one], nothing) == [pytest.approx(expected(one), abs=1e-5)]


async def test_a_deadline_that_passes_is_a_timeout_and_the_next_call_is_sound(tiny: Path) -> None:
    scorer = LocalScorer(tiny)
    request = ask(RIGHT, WRONG)
    [before] = await scorer.score([request], None)
    with pytest.raises(ScorerTimeout, match="before every candidate"):
        await scorer.score([request], time.monotonic() - 1)
    many = [ask(RIGHT, text=f"Question {k}?") for k in range(300)]
    started = time.monotonic()
    with pytest.raises(ScorerTimeout):
        await scorer.score(many, started + 0.05)
    assert time.monotonic() - started < 2
    [after] = await scorer.score([request], None)
    assert [s.reward for s in after] == pytest.approx([s.reward for s in before], abs=1e-5)


async def test_a_cancelled_call_frees_the_thread(tiny: Path) -> None:
    scorer = LocalScorer(tiny)
    many = [ask(RIGHT, text=f"Question {k}?") for k in range(5_000)]
    task = asyncio.create_task(scorer.score(many, None))
    await asyncio.sleep(0.05)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    [scores] = await asyncio.wait_for(scorer.score([ask(RIGHT)], None), timeout=5)
    assert len(scores) == 1


async def test_the_event_loop_stays_free(tiny: Path) -> None:
    scorer = LocalScorer(tiny)
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            await asyncio.sleep(0.001)
            ticks += 1

    ticking = asyncio.create_task(tick())
    await asyncio.gather(*(scorer.score([ask(RIGHT, text=f"{k}?")], None) for k in range(30)))
    ticking.cancel()
    assert ticks > 3


def test_loops_and_threads_may_share_a_scorer(tiny: Path) -> None:
    scorer = LocalScorer(tiny)
    requests = [ask(RIGHT, WRONG, text=f"Question {k}?") for k in range(8)]
    alone = [asyncio.run(scorer.score([request], None)) for request in requests]
    results: dict[int, object] = {}

    def work(index: int) -> None:
        [scores] = asyncio.run(scorer.score([requests[index]], None))
        results[index] = [score.reward for score in scores]

    threads = [threading.Thread(target=work, args=(index,)) for index in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for index, [scores] in enumerate(alone):
        assert results[index] == pytest.approx([score.reward for score in scores], abs=1e-5)


async def test_a_prompt_that_cannot_fit_is_no_score(tiny: Path) -> None:
    scorer = LocalScorer(tiny)
    with pytest.raises(PromptTooLong):
        await scorer.score([ask(RIGHT, text="word " * 3_000)], None)


async def test_what_torch_raises_is_no_score(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scorer = LocalScorer(tiny)

    def fail(*_: object) -> None:
        raise RuntimeError("out of memory")

    monkeypatch.setattr(scorer._engine._model, "forward", fail)
    with pytest.raises(ScorerUnavailable, match="out of memory"):
        await scorer.score([ask(RIGHT)], None)
    monkeypatch.undo()
    assert await scorer.score([ask(RIGHT)], None)


def test_a_guard_takes_the_model_of_the_environment_or_says_what_to_do(
    tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(FOLDER_VARIABLE, raising=False)
    with pytest.raises(ConfigurationError, match=rf"LocalScorer\('folder'\).*{FOLDER_VARIABLE}"):
        resolve("local")
    monkeypatch.setenv(FOLDER_VARIABLE, str(tiny))
    call = Candidate(calls=(Call(name="get_weather", arguments={"city": "Oslo"}),))
    review = Guard("local").review("Weather in Oslo?", [], [call])
    assert review.judged
    monkeypatch.setenv(FOLDER_VARIABLE, str(tiny / "elsewhere"))
    with pytest.raises(ModelIntegrityError, match="elsewhere"):
        resolve("local")


def test_probabilities_come_from_the_card_and_precision_from_the_caller(tiny: Path) -> None:
    exact, rough = LocalScorer(tiny), LocalScorer(tiny, dtype="bfloat16")
    [[score]] = asyncio.run(exact.score([ask(RIGHT)], None))
    [[near]] = asyncio.run(rough.score([ask(RIGHT)], None))
    assert score.probability == pytest.approx(0.5 + 0.45 * score.reward / 4)
    assert near.reward == pytest.approx(score.reward, abs=0.1)
    assert exact.fingerprint != rough.fingerprint


def test_an_architecture_that_sees_less_than_the_prompt_is_refused(tmp_path: Path) -> None:
    folder = tiny_folder(tmp_path / "mistral")
    config = MistralConfig(
        vocab_size=49_152,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=1,
        num_attention_heads=4,
        num_key_value_heads=2,
        num_labels=1,
        pad_token_id=0,
        sliding_window=64,
    )
    MistralForSequenceClassification(config).save_pretrained(folder)
    with pytest.raises(ConfigurationError, match="window of 64"):
        LocalScorer(sealed(folder))
    config.sliding_window = None
    MistralForSequenceClassification(config).save_pretrained(folder)
    assert LocalScorer(sealed(folder)).name == "local"


def test_an_attention_that_changes_rewards_is_refused(
    tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        shared_prefix, "_mask", lambda state, prefix, hidden: torch.zeros(len(hidden), 1)
    )
    with pytest.raises(ConfigurationError, match="in place of"):
        LocalScorer(tiny)


def test_what_is_remembered_can_be_freed(tiny: Path) -> None:
    scorer = LocalScorer(tiny)
    asyncio.run(scorer.score([ask(RIGHT)], None))
    assert scorer._engine._cache.held > 100
    scorer.forget()
    assert scorer._engine._cache.held == 0


def test_a_forked_process_scores_on(tiny: Path) -> None:
    scorer = LocalScorer(tiny)
    [[before]] = asyncio.run(scorer.score([ask(RIGHT)], None))
    reading, writing = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that threads and forks do not mix is the point here
        child = os.fork()
    if child == 0:
        try:
            [[after]] = asyncio.run(scorer.score([ask(RIGHT)], time.monotonic() + 20))
            os.write(writing, f"{after.reward}".encode())
        finally:
            os._exit(0)
    os.close(writing)
    os.waitpid(child, 0)
    with os.fdopen(reading) as said:
        assert float(said.read()) == pytest.approx(before.reward, abs=1e-5)
