"""All ways of asking get the same rewards; what they send is what is counted."""

import json
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench import throughput
from bench.contenders.asking import askers
from bench.stand_in.process import stand_in
from bench.stand_in.replies import MAX_TOKENS, MODEL, byte_tokenizer, reward, unweighted_folder
from toolrm_guard.scorers.turn_tokens import TurnTokens


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with stand_in() as served:
        yield served


def asked(count: int, distinct: int = 2) -> list[throughput.Question]:
    return throughput.questions(
        count,
        TurnTokens(byte_tokenizer()),
        candidates=3,
        distinct=distinct,
        max_tokens=MAX_TOKENS,
        rng=random.Random(0),
    )


NAMES = {"one by one": 3, "one a request": 3, "its_hub": 2, "one decision a request": 1}


@pytest.mark.parametrize("name", [*NAMES, "VllmScorer"])
async def test_every_way_gets_the_rewards_of_the_same_ids(
    url: str, tmp_path: Path, name: str
) -> None:
    [question] = asked(1)
    asker = askers(url, unweighted_folder(tmp_path), MODEL)[name]()
    rewards = await asker.ask(question)
    sent = asker.sent()
    await asker.close()
    group = question.group
    assert list(rewards) == [reward(group.prompt + suffix) for suffix in group.suffixes]
    assert sent.requests == NAMES.get(name, 1)
    assert sent.items == (2 if name in {"its_hub", "VllmScorer"} else 3)


async def test_a_round_asks_every_question_once(url: str, tmp_path: Path) -> None:
    way = askers(url, unweighted_folder(tmp_path), MODEL)["VllmScorer"]
    found = await throughput.one_round(way, asked(9), agents=4)
    assert len(found.latencies_ms) == 8
    assert found.items == 16  # the warm-up is not counted
    assert found.requests < 8


def test_questions_differ_in_their_request_alone() -> None:
    made = asked(20, distinct=3)
    prompts = {question.group.prompt for question in made}
    assert len(prompts) == 20
    assert all(len(set(question.group.suffixes)) == 3 for question in made)


def test_the_command_writes_what_it_prints(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out.json"
    command = ["--stand-in", "--agents", "2", "--reviews", "4", "--only", "VllmScorer"]
    assert throughput.main([*command, "--json", str(out)]) == 0
    rows = json.loads(out.read_text())["rows"]
    assert [row["name"] for row in rows] == ["one a request", "VllmScorer"]
    assert rows[0]["ratio"] == 1.0
    assert "computes nothing" in capsys.readouterr().out


@pytest.mark.parametrize("wrong", [[], ["--stand-in", "--distinct", "9"]], ids=str)
def test_a_wrong_use_is_told(wrong: list[str]) -> None:
    with pytest.raises(SystemExit):
        throughput.main(wrong)
