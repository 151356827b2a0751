"""The grid measures ways that score alike, and says what they took."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any

import pytest
from tokenizers import Tokenizer

from bench import latency
from bench.discs.conversations import conversation
from bench.discs.grid import summary
from bench.discs.rounds import COLD, ONE_BY_ONE, SECOND, Sample
from bench.discs.ways import one_by_one
from bench.discs.work import unique_work
from tests.support.disc import sealed, tiny_folder
from tests.support.serving import serving
from toolrm_guard.disc_prompt import DiscInput
from toolrm_guard.embedded.weights import ensure_smollm2
from toolrm_guard.prompt import render_prompt
from toolrm_guard.scorers.disc_model import load_disc
from toolrm_guard.scorers.turn_tokens import TurnTokens


@pytest.fixture(scope="module")
def disc(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return sealed(tiny_folder(tmp_path_factory.mktemp("bench") / "tiny"))


@pytest.fixture(autouse=True)
def all_cores() -> Iterator[None]:
    """A bench keeps to one core; the tests after it need not."""
    allowed = os.sched_getaffinity(0)
    yield
    os.sched_setaffinity(0, allowed)


def grid(disc: Path, out: Path, *more: str) -> int:
    asked = [
        "--grid",
        "--disc",
        str(disc),
        "--contexts",
        "250",
        "--candidates",
        "1,3",
        "--padded",
        "3",
    ]
    return latency.main([*asked, "--json", str(out), *more])


def test_all_ways_are_timed_in_each_round_and_a_run_goes_on_where_it_was(
    disc: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "grid.json"
    assert grid(disc, out, "--repeat", "1") == 0
    first = json.loads(out.read_text())["samples"]
    assert grid(disc, out, "--repeat", "2") == 0
    payload = json.loads(out.read_text())
    assert payload["samples"][: len(first)] == first
    assert {sample["round"] for sample in payload["samples"]} == {0, 1}
    rows = {(row["candidates"], row["way"]): row for row in payload["rows"]}
    ways = {ONE_BY_ONE, COLD, SECOND, "lite", "cascade"}
    assert {way for size, way in rows if size == 3} == {*ways, "padded batch"}
    assert {way for size, way in rows if size == 1} == ways
    assert {row["n"] for row in rows.values()} == {2}
    assert all(row["ms_low"] <= row["ms"] <= row["ms_high"] for row in rows.values())
    assert rows[3, COLD]["largest_error"] < 1e-5
    assert rows[3, COLD]["over_needed"] > 1
    assert "one by one" in capsys.readouterr().out


def test_a_server_is_timed_with_its_own_processor_time_and_must_score_alike(
    disc: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model, shift = load_disc(disc).model, 0.0

    def answer(body: dict[str, Any]) -> tuple[int, Any]:
        if not body:
            return 200, {"data": [{"id": "tiny"}]}
        assert (body["model"], body["use_activation"]) == ("tiny", False)
        rewards = [one_by_one(model, ids) + shift for ids in body["input"]]
        rows = [{"index": k, "probs": [reward]} for k, reward in enumerate(rewards)]
        return 200, {"data": rows[::-1]}

    with serving(answer) as server:
        asked = ("--repeat", "1", "--vllm", server.url, "--vllm-pid", str(os.getpid()))
        assert grid(disc, tmp_path / "served.json", *asked) == 0
        shift = 0.01
        assert grid(disc, tmp_path / "shifted.json", *asked) == 1
    assert "vLLM: a reward differs by 0.01 from one by one" in capsys.readouterr().err
    rows = json.loads((tmp_path / "served.json").read_text())["rows"]
    served = {row["way"]: row for row in rows if row["candidates"] == 3}
    assert served["vLLM"]["cpu_ms"] >= 0
    assert served["vLLM, second turn"]["largest_error"] < 1e-4


def test_a_file_of_another_setup_and_a_budget_of_nothing_are_told(
    disc: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert grid(disc, tmp_path / "none.json", "--budget", "0") == 1
    assert "raise --budget" in capsys.readouterr().err
    (tmp_path / "other.json").write_text('{"setup": {}, "samples": []}')
    with pytest.raises(SystemExit, match="of another setup"):
        grid(disc, tmp_path / "other.json")
    with pytest.raises(SystemExit):
        latency.main(["--grid"])
    with pytest.raises(SystemExit):
        latency.main(["--candidates", "1,2"])


def test_a_review_is_timed_as_before(tmp_path: Path) -> None:
    out = tmp_path / "review.json"
    assert latency.main(["--reviews", "5", "--candidates", "2", "--json", str(out)]) == 0
    payload = json.loads(out.read_text())
    assert payload["bench"] == "latency"
    assert payload["candidates"] == 2
    assert payload["p50_ms"] > 0


@pytest.mark.parametrize("tokens", [200, 600, 1500])
def test_conversations_have_the_wanted_length_and_share_no_prefix(tokens: int) -> None:
    encode = TurnTokens(Tokenizer.from_file(str(ensure_smollm2() / "tokenizer.json")))
    made = [conversation(lambda text: len(encode(text)), tokens, 8, seed) for seed in (1, 2)]
    for one in made:
        length = len(encode(render_prompt(one.messages, one.tools)))
        assert tokens * 0.95 <= length <= tokens * 1.05
        assert len({candidate.canonical for candidate in one.drawn}) == 8
    again = made[0].opened_anew("a")
    texts = [render_prompt(one.messages, one.tools) for one in (*made, again)]
    assert len({text[:60] for text in texts}) == 3
    second = made[0].second(8, 3)
    assert second.messages[-3].calls == made[0].drawn[3].calls


def test_unique_work_counts_each_token_and_each_pair_once() -> None:
    one = DiscInput(prompt=(1, 2, 3), suffixes=((4, 5), (4, 6), (4, 5)))
    work = unique_work(one)
    assert work.tokens == 3 + 3
    assert work.pairs == (1 + 2 + 3) + (4 + 5 + 5)
    later = unique_work(one, known=2)
    assert later.tokens == 1 + 3
    assert later.pairs == 3 + (4 + 5 + 5)


def test_ratios_are_paired_by_round() -> None:
    def samples(way: str, times: tuple[float, ...]) -> list[Sample]:
        return [
            Sample(
                context=9, prompt=9, candidates=2, way=way, round=number, wall_ms=ms, cpu_ms=None
            )
            for number, ms in enumerate(times)
        ]

    rows = summary([*samples(ONE_BY_ONE, (10, 40, 90)), *samples("lite", (1, 2, 3))])
    [lite] = [row for row in rows if row["way"] == "lite"]
    assert (lite["times"], lite["times_low"], lite["times_high"]) == (20, 10, 30)
    assert lite["ms"] == median((1, 2, 3))
