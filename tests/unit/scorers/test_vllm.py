"""The scorer behind vLLM: what it sends, what it believes, and what it says when it cannot."""

import asyncio
import json
import math
import os
import subprocess
import sys
import time
import warnings
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from bench.stand_in.replies import classify_reply, reward, unweighted_folder
from tests.contract.test_scorers import RIGHT, TEXT, WRONG, ask
from tests.support.served import FakeVllm
from toolrm_guard import Guard
from toolrm_guard.disc_prompt import encode_decision
from toolrm_guard.errors import (
    ConfigurationError,
    InvalidScore,
    ModelIntegrityError,
    PromptTooLong,
    ScorerRefused,
    ScorerTimeout,
    ScorerUnavailable,
)
from toolrm_guard.prompt import END_OF_TURN, render_candidate, render_prompt
from toolrm_guard.scorers import resolve, vllm_server
from toolrm_guard.scorers.disc_card import DiscCard
from toolrm_guard.scorers.vllm import VllmScorer
from toolrm_guard.serving.batcher import BatchLimits

URL = "http://gpu-1:8000"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return unweighted_folder(tmp_path_factory.mktemp("model"))


def scorer(folder: Path, server: FakeVllm, **options: Any) -> VllmScorer:
    return VllmScorer(URL, folder=folder, transport=server, **options)


class Answering(FakeVllm):
    """Answers reviews, not the start-up's probes, with what a function makes of the reply."""

    def __init__(self, answer: Any) -> None:
        super().__init__()
        self.answer = answer

    def classify(self, body: Mapping[str, Any]) -> httpx.Response:
        if len(self.inputs) <= 2:
            return super().classify(body)
        made: httpx.Response = self.answer(body)
        return made


async def test_the_ids_are_those_of_the_rendered_prompt_and_the_rewards_are_raw(
    folder: Path,
) -> None:
    server = FakeVllm()
    made = scorer(folder, server)
    request = ask(RIGHT, WRONG, TEXT)
    [scores] = await made.score([request], None)
    [inputs] = server.inputs[2:]
    tokenizer = made._loaded_tokens()
    prompt = render_prompt(request.messages, request.tools)
    expected = [
        [*tokenizer(prompt), *tokenizer(render_candidate(candidate) + END_OF_TURN)]
        for candidate in request.candidates
    ]
    assert inputs == expected
    assert [score.reward for score in scores] == [reward(ids) for ids in expected]
    assert json.loads(server.requests[-1].content)["use_activation"] is False
    encoded = encode_decision(
        tokenizer, request.messages, request.tools, request.candidates, max_tokens=65_536
    )
    assert [list(encoded.prompt + suffix) for suffix in encoded.suffixes] == expected
    assert [s.probability for s in scores] == pytest.approx(
        made.card.probability([s.reward for s in scores])  # type: ignore[arg-type]
    )


async def test_concurrent_reviews_share_requests(folder: Path) -> None:
    server = FakeVllm()
    made = scorer(folder, server)
    await made.check()
    requests = [ask(RIGHT, TEXT, text=f"Weather {k}?") for k in range(20)]
    scores = await asyncio.gather(*(made.score([request], None) for request in requests))
    assert len(scores) == 20
    assert made.stats.servers[0].batches < 20
    assert made.stats.servers[0].items == 40
    again = await made.score(requests, None)
    assert again == [row for [row] in scores]
    assert made.stats.cache_hits == 40


def test_reviews_from_many_loops_and_threads_share_one_scorer(folder: Path) -> None:
    made = scorer(folder, FakeVllm())
    guard = Guard(made)
    results = [
        asyncio.run(guard.areview("Weather?", [], ["Sunny."])).scores[0].reward for _ in range(3)
    ]
    results.append(guard.review("Weather?", [], ["Sunny."]).scores[0].reward)
    assert len(set(results)) == 1


def test_a_loop_that_ends_amid_a_review_harms_no_other(folder: Path) -> None:
    class Slow(FakeVllm):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            await asyncio.sleep(0.05)
            return await super().handle_async_request(request)

    made = scorer(folder, Slow())

    async def leave() -> None:
        task = asyncio.ensure_future(made.score([ask(RIGHT)], None))
        await asyncio.sleep(0.02)
        assert not task.done()

    asyncio.run(leave())
    [scores] = asyncio.run(made.score([ask(RIGHT)], time.monotonic() + 5))
    assert len(scores) == 1


async def test_the_key_is_sent_and_shown_in_no_error(folder: Path) -> None:
    class Locked(FakeVllm):
        def classify(self, body: Mapping[str, Any]) -> httpx.Response:
            return httpx.Response(401, json={"error": "Unauthorized"})

    server = Locked()
    made = scorer(folder, server, api_key="s3cret")
    with pytest.raises(ScorerRefused, match="check the API key") as caught:
        await made.score([ask(RIGHT)], None)
    assert server.requests[0].headers["authorization"] == "Bearer s3cret"
    assert "s3cret" not in str(caught.value)


async def test_another_model_is_unavailable_and_both_are_named(folder: Path) -> None:
    with pytest.raises(ScorerUnavailable, match=r"'llama'.*'my-disc'"):
        await scorer(folder, FakeVllm("llama")).score([ask(RIGHT)], None)
    swapped = Answering(lambda body: httpx.Response(200, json=classify_reply(body, model="llama")))
    with pytest.raises(ScorerUnavailable, match=r"'my-disc'.*'llama' answered"):
        await scorer(folder, swapped).score([ask(RIGHT)], None)


async def test_a_server_that_came_back_as_another_model_is_noticed(folder: Path) -> None:
    server = FakeVllm()
    made = scorer(folder, server)
    await made.score([ask(RIGHT)], None)
    server.model = "llama"
    with pytest.raises(ScorerUnavailable, match=r"serves 'llama', not 'my-disc'"):
        await made.score([ask(WRONG)], None)
    server.model = "my-disc"
    assert await made.score([ask(WRONG)], None)


async def test_a_shorter_server_is_refused_unless_that_is_said(folder: Path) -> None:
    server = FakeVllm()
    server.max_model_len = 1_024
    with pytest.raises(ScorerRefused, match="--max-model-len 65536"):
        await scorer(folder, server).check()
    made = scorer(folder, server, max_tokens=1_024)
    await made.score([ask(RIGHT, text="old " * 90), ask(RIGHT)], None)
    assert all(len(ids) <= 1_024 for inputs in server.inputs for ids in inputs)
    with pytest.raises(PromptTooLong):
        await made.score([ask(RIGHT, text="new " * 1_000)], None)


def test_what_is_read_less_of_has_another_fingerprint(folder: Path, tmp_path: Path) -> None:
    whole = scorer(folder, FakeVllm()).fingerprint
    assert scorer(folder, FakeVllm(), max_tokens=1_024).fingerprint != whole
    assert scorer(folder, FakeVllm(), max_tokens=1 << 20).fingerprint == whole
    shorter = unweighted_folder(tmp_path, max_tokens=1_024)
    assert DiscCard.load(shorter).fingerprint != whole == DiscCard.load(folder).fingerprint


async def test_a_server_that_ignores_the_activation_flag_is_refused(folder: Path) -> None:
    class Squeezing(FakeVllm):
        def classify(self, body: Mapping[str, Any]) -> httpx.Response:
            return super().classify({**body, "use_activation": True})

    with pytest.raises(ScorerRefused, match="no raw logits"):
        await scorer(folder, Squeezing()).check()


async def test_a_model_without_activation_answers_the_same_twice_and_is_served(
    folder: Path,
) -> None:
    class Plain(FakeVllm):
        def classify(self, body: Mapping[str, Any]) -> httpx.Response:
            return super().classify({**body, "use_activation": False})

    await scorer(folder, Plain()).check()


def edited(change: Any) -> Any:
    def answer(body: Mapping[str, Any]) -> httpx.Response:
        reply = classify_reply(body)
        change(reply["data"])
        return httpx.Response(200, content=json.dumps(reply))

    return answer


@pytest.mark.parametrize(
    "answer",
    [
        edited(lambda rows: rows[0].update(probs=[math.nan])),
        edited(lambda rows: rows[0].update(probs=[-math.inf])),
        edited(lambda rows: rows[0].update(probs=[None])),
        edited(lambda rows: rows[0].update(probs=["0.5"])),
        edited(lambda rows: rows[0].update(probs=[])),
        edited(lambda rows: rows.pop()),
        edited(lambda rows: rows.append(rows[0])),
        edited(lambda rows: rows.reverse()),
        lambda body: httpx.Response(200, content=json.dumps(classify_reply(body))[:-20]),
        lambda body: httpx.Response(200, content=b""),
        lambda body: httpx.Response(200, content=b"\xff\xfe"),
        lambda body: httpx.Response(200, json={"data": "no"}),
        lambda body: httpx.Response(200, content=b"x" * (17 << 20)),
    ],
    ids=[
        *("nan", "inf", "null", "text", "empty row", "missing row", "extra row", "other order"),
        *("truncated", "nothing", "no text", "other JSON", "17 MB"),
    ],
)
async def test_an_answer_that_is_no_score_is_invalid(folder: Path, answer: Any) -> None:
    made = scorer(folder, Answering(answer))
    with pytest.raises(InvalidScore):
        await made.score([ask(RIGHT, WRONG)], time.monotonic() + 5)
    assert made.stats.cache_hits == 0


@pytest.mark.parametrize("status", [500, 503, 429, 408])
async def test_server_error_is_unavailable_not_a_low_score(folder: Path, status: int) -> None:
    made = scorer(folder, Answering(lambda body: httpx.Response(status, text="busy")))
    with pytest.raises(ScorerUnavailable, match=str(status)) as caught:
        await made.score([ask(RIGHT)], None)
    assert not isinstance(caught.value, ScorerRefused)


async def test_our_own_mistake_says_what_the_server_said(folder: Path) -> None:
    said = httpx.Response(400, json={"error": {"message": "Token id 9 is out of vocabulary"}})
    with pytest.raises(ScorerRefused, match="out of vocabulary"):
        await scorer(folder, Answering(lambda body: said)).score([ask(RIGHT)], None)


async def test_a_reward_model_of_several_classes_is_refused(folder: Path) -> None:
    def three(rows: list[dict[str, Any]]) -> None:
        for row in rows:
            row["probs"] = [0.1, 0.2, 0.7]

    with pytest.raises(ScorerRefused, match="3 classes"):
        await scorer(folder, Answering(edited(three))).score([ask(RIGHT)], None)


async def test_no_connection_is_unavailable(folder: Path) -> None:
    def refuse(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("connection refused")

    made = VllmScorer(URL, folder=folder, transport=httpx.MockTransport(refuse))
    with pytest.raises(ScorerUnavailable, match="cannot be reached"):
        await made.score([ask(RIGHT)], None)


async def test_the_deadline_holds_without_a_guard(folder: Path) -> None:
    class Stalled(FakeVllm):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            await asyncio.sleep(60)
            raise AssertionError

    made = scorer(folder, Stalled())
    started = time.monotonic()
    with pytest.raises(ScorerTimeout):
        await made.score([ask(RIGHT)], started + 0.05)
    assert time.monotonic() - started < 0.1


async def test_a_closed_scorer_judges_no_more(folder: Path) -> None:
    made = scorer(folder, FakeVllm())
    await made.score([ask(RIGHT)], None)
    await made.aclose()
    with pytest.raises(ScorerUnavailable, match="closed"):
        await made.score([ask(WRONG)], None)


def test_environment_variables_make_the_scorer(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ConfigurationError, match="TOOLRM_GUARD_VLLM_FOLDER"):
        resolve("vllm")
    monkeypatch.setenv("TOOLRM_GUARD_VLLM_FOLDER", str(folder))
    with pytest.raises(ConfigurationError, match="TOOLRM_GUARD_VLLM_URL"):
        resolve("vllm")
    monkeypatch.setenv("TOOLRM_GUARD_VLLM_URL", "http://gpu-1:8000/v1, https://gpu-2")
    monkeypatch.setenv("TOOLRM_GUARD_VLLM_MODEL", "served-name")
    made = resolve("vllm")
    assert isinstance(made, VllmScorer)
    assert made.model == "served-name"
    assert [s.server for s in made.stats.servers] == ["http://gpu-1:8000", "https://gpu-2"]


@pytest.mark.parametrize(
    ("urls", "said"),
    [
        ("gpu-1:8000", "give e.g."),
        ("http://", "give e.g."),
        ([], "one or more"),
        (["http://a", "http://a"], "each once"),
        ("http://me:s3cret@gpu-1", "use api_key"),
    ],
    ids=str,
)
def test_a_wrong_address_is_told_when_the_scorer_is_made(
    folder: Path, urls: str | list[str], said: str
) -> None:
    with pytest.raises(ConfigurationError, match=said) as caught:
        VllmScorer(urls, folder=folder)
    assert "s3cret" not in str(caught.value)


def test_a_folder_without_a_card_is_told_when_the_scorer_is_made(tmp_path: Path) -> None:
    with pytest.raises(ModelIntegrityError, match=r"disc\.json"):
        VllmScorer(URL, folder=tmp_path)


async def test_a_tokenizer_that_is_not_the_models_is_refused(tmp_path: Path) -> None:
    folder = unweighted_folder(tmp_path)
    text = (folder / "tokenizer.json").read_text()
    (folder / "tokenizer.json").write_text(text + " ")
    with pytest.raises(ModelIntegrityError, match="not the file"):
        await scorer(folder, FakeVllm()).check()
    (folder / "tokenizer.json").unlink()
    with pytest.raises(ModelIntegrityError, match="export the model again"):
        await scorer(folder, FakeVllm()).check()


@pytest.mark.parametrize("options", [{"verify": "/none.pem"}, {"client_cert": ("/a", "/b")}])
def test_certificates_that_cannot_be_read_are_named(folder: Path, options: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match="PEM form"):
        VllmScorer("https://127.0.0.1:9", folder=folder, **options)


def test_it_loads_no_torch(folder: Path) -> None:
    code = (
        "import sys\nfrom toolrm_guard.scorers.vllm import VllmScorer\n"
        f"VllmScorer('http://a', folder={str(folder)!r})\n"
        "assert not {'torch', 'transformers', 'lightgbm'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


async def test_a_server_that_fails_now_and_then_is_not_checked_again_each_time(
    folder: Path,
) -> None:
    server = Answering(lambda body: httpx.Response(503, text="busy"))
    made = scorer(folder, server)
    for candidate in (RIGHT, WRONG, TEXT):
        with pytest.raises(ScorerUnavailable, match="503"):
            await made.score([ask(candidate)], None)
    checks = [request for request in server.requests if request.url.path == "/v1/models"]
    assert len(checks) == 1


async def test_a_server_that_was_lost_is_checked_before_it_is_believed_again(
    folder: Path,
) -> None:
    class Lost(FakeVllm):
        is_lost = False

        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            if self.is_lost:
                raise httpx.ConnectError("connection refused")
            return await super().handle_async_request(request)

    server = Lost()
    made = scorer(folder, server)
    await made.score([ask(RIGHT)], None)
    server.is_lost = True
    with pytest.raises(ScorerUnavailable, match="cannot be reached"):
        await made.score([ask(WRONG)], None)
    server.is_lost, server.max_model_len = False, 1_024
    with pytest.raises(ScorerRefused, match="--max-model-len"):
        await made.score([ask(WRONG)], None)


class Reloaded(FakeVllm):
    """May have other weights, end a connection, or be away for one request."""

    shift = 0.0
    once: Exception | None = None

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        error, self.once = self.once, None
        if error is not None:
            raise error
        return await super().handle_async_request(request)

    def classify(self, body: Mapping[str, Any]) -> httpx.Response:
        reply = json.loads(super().classify(body).content)
        for row in reply["data"]:
            row["probs"] = [value + self.shift for value in row["probs"]]
        return httpx.Response(200, json=reply)


@pytest.mark.parametrize("noticed_by", ["a lost server", "a broken connection", "silence"])
async def test_other_weights_under_the_same_name_are_not_believed(
    folder: Path, noticed_by: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = Reloaded()
    made = scorer(folder, server)
    await made.score([ask(RIGHT)], None)
    if noticed_by == "a lost server":
        server.once = httpx.ConnectError("connection refused")
        with pytest.raises(ScorerUnavailable, match="cannot be reached"):
            await made.score([ask(WRONG)], None)
    elif noticed_by == "a broken connection":
        server.once = httpx.RemoteProtocolError("server disconnected")
    else:
        monkeypatch.setattr(vllm_server, "RESTART_S", 0.0)
    server.shift = 1.0
    with pytest.raises(ScorerUnavailable, match="serves other weights as 'my-disc' than it did"):
        await made.score([ask(WRONG)], None)
    server.shift = 0.1  # the same weights in BF16
    [[after]] = await made.score([ask(TEXT)], None)
    [[plain]] = await scorer(folder, Reloaded()).score([ask(TEXT)], None)
    assert after.reward == pytest.approx(plain.reward + 0.1, abs=1e-4)


async def test_a_server_that_answers_on_is_not_checked_again(folder: Path) -> None:
    server = Reloaded()
    made = scorer(folder, server)
    for candidate in (RIGHT, WRONG, TEXT):
        await made.score([ask(candidate)], None)
    assert [request.url.path for request in server.requests].count("/v1/models") == 1


class Slow(FakeVllm):
    delay_s = 0.0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        await asyncio.sleep(self.delay_s)
        return await super().handle_async_request(request)


def test_a_process_forked_while_a_request_is_out_scores_on(folder: Path) -> None:
    server = Slow()
    made = scorer(folder, server, limits=BatchLimits(max_in_flight=1))
    [[before]] = asyncio.run(made.score([ask(RIGHT)], None))
    server.delay_s = 0.5
    with ThreadPoolExecutor(1) as pool:
        out = pool.submit(lambda: asyncio.run(made.score([ask(WRONG)], time.monotonic() + 20)))
        time.sleep(0.2)
        reading, writing = os.pipe()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that threads and forks do not mix is the point here
            child = os.fork()
        if child == 0:
            try:
                server.delay_s = 0.0
                [scores] = asyncio.run(made.score([ask(RIGHT, WRONG)], time.monotonic() + 5))
                os.write(writing, json.dumps([score.reward for score in scores]).encode())
            finally:
                os._exit(0)
        os.close(writing)
        os.waitpid(child, 0)
        [[wrong]] = out.result()
    with os.fdopen(reading) as said:
        assert json.loads(said.read()) == [before.reward, wrong.reward]
