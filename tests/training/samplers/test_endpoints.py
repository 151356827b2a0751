"""The pool against real servers that are busy, broken, silent, or not there."""

import pickle
import socket
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from email.utils import formatdate
from pathlib import Path
from typing import Any

import pytest

from tests.training.samplers.made import context
from tests.training.samplers.serving import Reply, Server, ok, serving, turn
from toolrm_guard.errors import ConfigurationError
from training.preferences.rows import Dropped, Response
from training.preferences.samplers import CouldNotSample, make, sample_each
from training.preferences.samplers.endpoints import EndpointPool

ROOT = Path(__file__).resolve().parents[3]
QUICK = {"attempts": 3, "backoff_s": 0.01, "timeout_s": 5.0, "max_backoff_s": 2.0}


def pool(tmp_path: Path, *servers: Server | str, **settings: Any) -> EndpointPool:
    urls = [server if isinstance(server, str) else server.url for server in servers]
    endpoints = [{"url": url, "model": f"model-{n}"} for n, url in enumerate(urls)]
    options = {"cache": tmp_path / "replies.db", "count": 1, "patience": QUICK, **settings}
    made = make("endpoints", {"endpoints": endpoints, **options})
    assert isinstance(made, EndpointPool)
    return made


def run(
    sampler: EndpointPool, numbers: range, seed: int = 0
) -> tuple[dict[str, list[Response]], list[Dropped]]:
    contexts = [context(number) for number in numbers]
    items = list(sample_each(sampler, contexts, seed))
    lost = [item for item in items if isinstance(item, Dropped)]
    answered = [item for item in items if not isinstance(item, Dropped)]
    assert [got.id for got, _ in answered] == [c.id for c in contexts]
    return {got.id: responses for got, responses in answered}, lost


def closed_port() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{probe.getsockname()[1]}/v1"


def test_contexts_come_back_in_order_with_every_slot_filled(tmp_path: Path) -> None:
    with serving(ok) as one, serving(ok) as two:
        answers, lost = run(pool(tmp_path, one, two, count=2), range(30))
    assert not lost
    # Two slots go to two different endpoints.
    for responses in answers.values():
        assert {response.by for response in responses} == {"model-0", "model-1"}
        assert responses[0].calls[0]["name"] == "get_tides"
    assert len(one.bodies) == len(two.bodies) == 30


def test_a_second_run_asks_nothing_and_gives_the_same(tmp_path: Path) -> None:
    with serving(ok) as server:
        first, _ = run(pool(tmp_path, server, count=2), range(10))
        again = pool(tmp_path, server, count=2)
        second, lost = run(again, range(10))
    assert second == first
    assert not lost
    assert len(server.bodies) == 20
    assert (again.report.cached, again.report.answered) == (20, 0)


def test_another_seed_is_another_question(tmp_path: Path) -> None:
    with serving(ok) as server:
        first, _ = run(pool(tmp_path, server), range(3), seed=1)
        second, _ = run(pool(tmp_path, server), range(3), seed=2)
    assert len(server.bodies) == 6
    assert first != second


def test_the_request_is_in_openai_form(tmp_path: Path) -> None:
    with serving(ok) as server:
        run(pool(tmp_path, server), range(1))
    body = server.bodies[0]
    called, result = body["messages"][1:3]
    assert called["tool_calls"][0]["function"]["arguments"] == '{"port": "Hamburg"}'
    assert result["tool_call_id"] == called["tool_calls"][0]["id"]
    assert body["tools"][0]["function"]["name"] == "get_weather"


def test_too_many_requests_waits_as_long_as_it_is_told(tmp_path: Path) -> None:
    def busy(number: int, body: dict[str, Any]) -> Reply:
        return (429, {"Retry-After": "1"}, b"slow down") if number == 1 else ok(number, body)

    with serving(busy) as server:
        sampler = pool(tmp_path, server)
        answers, lost = run(sampler, range(1))
    assert not lost
    assert len(answers["made:0:4"]) == 1
    assert server.times[1] - server.times[0] >= 0.95
    assert sampler.report.failures == Counter(http_429=1)
    assert "slow down" in sampler.report.examples["http_429"]


def test_a_retry_after_beyond_patience_gives_the_slot_up(tmp_path: Path) -> None:
    date = formatdate(time.time() + 3600, usegmt=True)
    with serving(lambda number, body: (429, {"Retry-After": date}, b"")) as server:
        answers, lost = run(pool(tmp_path, server, concurrency=1), range(3))
    assert not any(answers.values())
    assert [item.reason for item in lost] == ["http_429", "resting", "resting"]
    assert len(server.bodies) == 1


def test_a_server_error_is_tried_again(tmp_path: Path) -> None:
    seen: set[int] = set()

    def flaky(number: int, body: dict[str, Any]) -> Reply:
        known = body["seed"] in seen
        seen.add(body["seed"])
        return ok(number, body) if known else (500, {}, b"oops")

    with serving(flaky) as server:
        sampler = pool(tmp_path, server, concurrency=1)
        answers, lost = run(sampler, range(4))
    assert not lost
    assert all(len(responses) == 1 for responses in answers.values())
    assert sampler.report.failures == Counter(http_500=4)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"<html>gateway</html>", "garbage"),
        (b'{"choices": "none"}', "garbage"),
        (b"\xff\xfe", "garbage"),
        (b"", "garbage"),
        (b'{"choices": []}', "empty_answer"),
        (turn(text="  "), "empty_answer"),
    ],
)
def test_garbage_and_nothing_are_counted_with_an_example(
    tmp_path: Path, body: bytes, reason: str
) -> None:
    with serving(lambda number, _: (200, {}, body)) as server:
        sampler = pool(tmp_path, server)
        answers, lost = run(sampler, range(1))
    assert answers == {"made:0:4": []}
    assert [(item.stage, item.reason, item.id) for item in lost] == [
        ("sample", reason, "made:0:4#0")
    ]
    assert sampler.report.failures == Counter({reason: 3})
    assert sampler.report.examples[reason]


def test_garbage_is_not_cached(tmp_path: Path) -> None:
    with serving(lambda number, _: (200, {}, b"?")) as server:
        run(pool(tmp_path, server), range(1))
        server.behaviour = ok
        _, lost = run(pool(tmp_path, server), range(1))
    assert not lost


def test_arguments_that_are_no_json_are_a_refusal_that_is_remembered(tmp_path: Path) -> None:
    broken = turn().replace(b'{\\"port\\": \\"Rome\\"}', b"{port: Rome")
    assert broken != turn()
    with serving(lambda number, _: (200, {}, broken)) as server:
        for _ in range(2):
            _, lost = run(pool(tmp_path, server), range(1))
            assert [item.reason for item in lost] == ["malformed_call"]
    assert len(server.bodies) == 1


def test_a_client_error_is_not_repeated(tmp_path: Path) -> None:
    with serving(lambda number, _: (400, {}, b"context too long")) as server:
        for _ in range(2):
            _, lost = run(pool(tmp_path, server), range(1))
            assert [item.reason for item in lost] == ["http_400"]
            assert "context too long" in lost[0].detail
    assert len(server.bodies) == 1


def test_a_hanging_endpoint_times_out_and_the_next_one_answers(tmp_path: Path) -> None:
    patience = {**QUICK, "timeout_s": 0.2, "dead_after": 2}
    with serving(lambda number, _: None) as silent, serving(ok) as good:
        sampler = pool(tmp_path, silent, good, patience=patience)
        answers, lost = run(sampler, range(8))
    assert not lost
    assert {r.by for responses in answers.values() for r in responses} == {"model-1"}
    assert sampler.report.failures["timeout"] >= 2


def test_a_dead_endpoint_leaves_the_rotation(tmp_path: Path) -> None:
    with serving(ok) as good:
        sampler = pool(tmp_path, closed_port(), good, concurrency=1)
        _, lost = run(sampler, range(40))
    assert not lost
    assert len(good.bodies) == 40
    # It fails as often as patience allows, not once for every context.
    assert sampler.report.failures == Counter(unreachable=8)


def test_nobody_there_is_counted_for_every_slot(tmp_path: Path) -> None:
    answers, lost = run(pool(tmp_path, closed_port(), count=2), range(5))
    assert len(lost) == 10
    assert {item.reason for item in lost} <= {"unreachable", "no_endpoint"}
    assert answers == {f"made:{n}:4": [] for n in range(5)}


def test_one_context_that_nobody_answers_could_not_be_sampled(tmp_path: Path) -> None:
    with pytest.raises(CouldNotSample, match="model-0") as caught:
        pool(tmp_path, closed_port()).sample(context(), 0)
    assert caught.value.reason == "unreachable"


def test_a_wrong_key_takes_the_endpoint_out_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POOL_TEST_KEY", "sk-very-secret")
    refusal = b"invalid key sk-very-secret"
    with serving(lambda number, _: (401, {}, refusal)) as server:
        endpoint = {"url": server.url, "model": "m", "api_key_env": "POOL_TEST_KEY"}
        cache = tmp_path / "replies.db"
        sampler = EndpointPool(endpoints=[endpoint], cache=cache, patience=QUICK, concurrency=1)
        _, lost = run(sampler, range(3))
    assert server.headers[0]["Authorization"] == "Bearer sk-very-secret"
    assert len(server.bodies) == 1
    assert {item.reason for item in lost} == {"http_401", "no_endpoint"}
    shown = repr(lost) + repr(sampler.report) + repr(vars(sampler))
    assert "secret" not in shown
    assert all(b"secret" not in file.read_bytes() for file in tmp_path.iterdir())


def test_the_budget_of_requests_holds_over_runs(tmp_path: Path) -> None:
    with serving(ok) as server:
        _, lost = run(pool(tmp_path, server, max_requests=4), range(6))
        assert [item.reason for item in lost] == ["budget_spent"] * 2
        answers, lost = run(pool(tmp_path, server, max_requests=4), range(6))
        assert len(server.bodies) == 4
        assert len(lost) == 2  # what is known is given without a budget
        _, lost = run(pool(tmp_path, server, max_requests=6), range(6))
    assert not lost
    assert len(server.bodies) == 6
    assert sum(map(len, answers.values())) == 4


def test_the_budget_of_tokens_stops_the_next_request(tmp_path: Path) -> None:
    with serving(ok) as server:
        _, lost = run(pool(tmp_path, server, max_tokens=100, concurrency=1), range(5))
    assert len(server.bodies) == 2
    assert [item.reason for item in lost] == ["budget_spent"] * 3


def test_a_run_that_was_killed_goes_on_where_it_was(tmp_path: Path) -> None:
    with serving(ok) as server:
        stream = pool(tmp_path, server, concurrency=2).sample_many(map(context, range(20)))
        for _ in range(3):
            next(stream)
        stream.close()
        asked = len(server.bodies)
        assert 3 <= asked < 20
        resumed = pool(tmp_path, server, concurrency=2)
        answers, lost = run(resumed, range(20))
        whole, _ = run(pool(tmp_path / "fresh", server), range(20))
    assert not lost
    assert answers == whole
    # What was in flight when it stopped may have to be asked again, nothing else.
    assert resumed.report.cached >= asked - 2


def test_the_order_of_contexts_does_not_decide_who_answers(tmp_path: Path) -> None:
    with serving(ok) as one, serving(ok) as two:
        forward, _ = run(pool(tmp_path / "a", one, two), range(10))
        backward, _ = run(pool(tmp_path / "b", one, two), range(9, -1, -1))
    assert forward == backward
    assert {r[0].by for r in forward.values()} == {"model-0", "model-1"}


def test_a_pool_can_be_sent_to_a_worker(tmp_path: Path) -> None:
    with serving(ok) as server:
        copy = pickle.loads(pickle.dumps(pool(tmp_path, server)))
        assert len(copy.sample(context(), 0)) == 1


@pytest.mark.parametrize(
    ("endpoint", "message"),
    [
        ({"url": "ftp://host/v1", "model": "m"}, "not an http"),
        ({"url": "http://me:pass@host/v1", "model": "m"}, "keys belong"),
        ({"url": "http://host/v1?key=1", "model": "m"}, "keys belong"),
        ({"url": "http://host/v1"}, "endpoints.0.model"),
        ({"url": "http://host/v1", "model": "m", "api_key_env": "NO_SUCH_KEY"}, "NO_SUCH_KEY"),
    ],
)
def test_bad_settings_fail_before_anything_is_asked(
    tmp_path: Path, endpoint: dict[str, str], message: str
) -> None:
    with pytest.raises(ConfigurationError, match=message):
        EndpointPool(endpoints=[endpoint], cache=tmp_path / "c.db")


def test_a_bad_setting_does_not_quote_what_was_given(tmp_path: Path) -> None:
    endpoint = {"url": "http://me:hunter2@host/v1", "model": "m"}
    with pytest.raises(ConfigurationError) as caught:
        EndpointPool(endpoints=[endpoint], cache=tmp_path / "c.db")
    assert "hunter2" not in str(caught.value)


def test_a_file_that_is_no_cache_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "replies.db").write_text("no database, but long enough to be read as one" * 10)
    with pytest.raises(ConfigurationError, match="no reply cache"):
        pool(tmp_path, closed_port()).sample(context(), 0)


def test_an_unreadable_reply_in_the_cache_is_asked_again(tmp_path: Path) -> None:
    with serving(ok) as server:
        run(pool(tmp_path, server), range(1))
        with sqlite3.connect(tmp_path / "replies.db") as db:
            db.execute("UPDATE replies SET answer = '{'")
        db.close()
        _, lost = run(pool(tmp_path, server), range(1))
    assert not lost
    assert len(server.bodies) == 2


def test_a_process_that_was_killed_has_kept_what_was_answered(tmp_path: Path) -> None:
    def slow(number: int, body: dict[str, Any]) -> Reply:
        time.sleep(0.05)
        return ok(number, body)

    with serving(slow) as server:
        code = (
            "from pathlib import Path\n"
            "from tests.training.samplers.made import context\n"
            "from tests.training.samplers.test_endpoints import pool\n"
            f"made = pool(Path({str(tmp_path)!r}), {server.url!r}, concurrency=1)\n"
            "for _ in made.sample_many(map(context, range(200))): pass\n"
        )
        child = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT)
        try:
            while len(server.bodies) < 5 and child.poll() is None:
                time.sleep(0.01)
        finally:
            child.kill()
            child.wait()
        asked = len(server.bodies)
        resumed = pool(tmp_path, server)
        _, lost = run(resumed, range(asked))
    assert not lost
    assert 4 <= asked < 200
    assert resumed.report.cached >= asked - 1
