"""What servers answer, refuse and fail to answer; over real HTTP."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from bench.endpoints import Server, key_from
from bench.judges.endpoint import DiscRater, GenRanker
from bench.judges.protocol import JudgeSettings, Question
from bench.pairs import load_pairs
from tests.support.serving import Answer, called, said, serving
from tests.unit.bench import packs
from toolrm_guard.errors import (
    ConfigurationError,
    InvalidScore,
    ScorerTimeout,
    ScorerUnavailable,
)


def chat(answer: Answer, *, timeout_s: float = 5.0, **options: Any) -> Any:
    async def go(url: str) -> Any:
        async with Server(url, "m", timeout_s=timeout_s, pause_s=0.001, key="secret") as server:
            return await server.chat([{"role": "user", "content": "hi"}], **options)

    with serving(answer) as served:
        return asyncio.run(go(served.url)), served.bodies


def test_calls_text_and_tokens_are_read() -> None:
    replies, bodies = chat(
        lambda body: (200, called("Oslo", "Lima", tokens=11)), tools=[packs.TOOL], n=2, seed=4
    )
    assert [r.candidate.calls[0].arguments for r in replies] == [{"city": "Oslo"}, {"city": "Lima"}]
    assert [r.output_tokens for r in replies] == [11, 0]
    assert bodies[0]["tools"] == [{"type": "function", "function": packs.TOOL}]
    assert (bodies[0]["n"], bodies[0]["seed"]) == (2, 4)


def test_arguments_that_are_no_json_are_a_defect_not_an_error() -> None:
    broken = called("Oslo")
    broken["choices"][0]["message"]["tool_calls"][0]["function"]["arguments"] = '{"city": '
    [reply], _ = chat(lambda body: (200, broken))
    assert reply.candidate.calls[0].defect.code == "malformed_arguments"


def test_a_passing_error_is_tried_again() -> None:
    replies = [(503, {}), (429, {}), (200, said("well"))]
    [reply], bodies = chat(lambda body: replies.pop(0))
    assert (reply.candidate.text, len(bodies)) == ("well", 3)


@pytest.mark.parametrize(
    ("answer", "error", "message"),
    [
        (lambda body: (500, {}), ScorerUnavailable, "answers 500"),
        (lambda body: (400, b"exceeds the maximum model length"), ScorerUnavailable, "too long"),
        (lambda body: (404, b"no model m"), ConfigurationError, "refuses with 404: no model m"),
        (lambda body: (200, b"<html>"), InvalidScore, "Invalid JSON"),
        (lambda body: (200, {"choices": []}), InvalidScore, "choices"),
        (lambda body: None, ScorerTimeout, "no answer within 0.2 s"),
    ],
)
def test_failures_have_their_kind(answer: Answer, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        chat(answer, timeout_s=0.2)


def test_a_server_that_is_not_there_is_unavailable() -> None:
    with serving(lambda body: (200, {})) as served:
        gone = served.url

    async def go() -> None:
        async with Server(gone, "m", pause_s=0.001) as server:
            await server.chat([])

    with pytest.raises(ScorerUnavailable):
        asyncio.run(go())


def test_settings_are_checked_before_anything_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigurationError, match="'localhost' is no URL"):
        Server("localhost", "m")
    with pytest.raises(ConfigurationError, match="no model is named"):
        Server("http://localhost", "")
    with pytest.raises(ConfigurationError, match=r"--key-env BENCH_KEY: .* not set"):
        key_from("BENCH_KEY")
    monkeypatch.setenv("BENCH_KEY", "k")
    assert key_from("BENCH_KEY") == "k"
    assert key_from(None) is None


def test_an_unopened_server_says_so() -> None:
    with pytest.raises(RuntimeError, match="async with"):
        asyncio.run(Server("http://localhost", "m").chat([]))


# --- /classify ------------------------------------------------------------------------------------


def question(tmp_path: Path, **published: Any) -> Question:
    paths = [
        packs.write(tmp_path / "p.jsonl", packs.pairs()),
        packs.write(tmp_path / "r.jsonl", packs.records()),
    ]
    return Question(request=load_pairs(*paths)[0].request, **published)


def rate(answer: Answer, asked: Question) -> Any:
    async def go(url: str) -> Any:
        async with DiscRater(JudgeSettings(url=url, model="rm")) as rater:
            return await rater.rate(asked)

    with serving(answer) as served:
        return asyncio.run(go(served.url)), served


def classes(*rewards: Any) -> dict[str, Any]:
    return {"data": [{"probs": [reward], "num_classes": 1} for reward in rewards]}


def test_both_sides_are_rendered_here_and_sent_as_one_batch(tmp_path: Path) -> None:
    rewards, served = rate(lambda body: (200, classes(1.5, -2.5)), question(tmp_path))
    assert rewards == [1.5, -2.5]
    [body] = served.bodies
    assert served.paths == ["/classify"]
    assert body["use_activation"] is False
    assert all(text.endswith("<|im_end|>") and "<tools>" in text for text in body["input"])


def test_a_published_conversation_is_sent_as_it_is(tmp_path: Path) -> None:
    asked = question(tmp_path, chat=({"role": "user", "content": "q"},), texts=("good", "bad"))
    rewards, served = rate(
        lambda body: (200, classes(float(body["messages"][1]["content"] == "good"))), asked
    )
    assert rewards == [1.0, 0.0]
    assert served.bodies[0]["messages"] == [
        {"role": "user", "content": "q"},
        {"role": "assistant", "content": "good"},
    ]
    assert served.bodies[0]["add_generation_prompt"] is False


def test_null_is_no_reward_and_two_classes_are_no_reward_model(tmp_path: Path) -> None:
    with pytest.raises(InvalidScore, match="null"):
        rate(lambda body: (200, classes(1.0, None)), question(tmp_path))
    two = {"data": [{"probs": [0.5, 0.5]}]}
    with pytest.raises(ConfigurationError, match="gives 2 classes"):
        rate(lambda body: (200, two), question(tmp_path))


def test_tokens_of_a_generative_judge_add_up(tmp_path: Path) -> None:
    async def go(url: str) -> int:
        async with GenRanker(JudgeSettings(url=url, model="rm", think=True)) as ranker:
            request = question(tmp_path).request
            first, second = request.candidates
            assert await ranker.rank(request, first, second) == 1
            assert await ranker.rank(request, second, first) == 1
            return ranker.output_tokens

    with serving(lambda body: (200, said("<choice>1</choice>", tokens=9))) as served:
        assert asyncio.run(go(served.url)) == 18
    assert "step by step" in served.bodies[0]["messages"][1]["content"]
