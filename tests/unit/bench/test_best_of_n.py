"""Best of N: exact values against counting, drawn ones against rules, files to JSON."""

import asyncio
import itertools
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench import best_of_n
from bench.judges.kinds import LocalRater, make_judge
from bench.judges.protocol import JudgeSettings, Question
from bench.pools import (
    drawn_orders,
    drawn_vote,
    expected_best,
    expected_first,
    expected_oracle,
    expected_random,
    load_pools,
    ranked,
    rated,
)
from bench.sampling import chat_of
from tests.support.serving import called, serving
from tests.unit.bench import packs
from toolrm_guard.errors import CouldNotJudge
from toolrm_guard.labelled import LabelledFileError
from toolrm_guard.messages import parse_messages

CORRECT = (True, False, False, True, False)
REWARDS = (0.5, 0.9, 0.5, 0.5, 0.1)
SIZES = (1, 2, 3, 5)


def counted(pick: Any, n: int) -> float:
    """The mean over all ordered draws: those who come first win among equals."""
    draws = list(itertools.permutations(range(len(CORRECT)), n))
    return sum(float(pick(draw)) for draw in draws) / len(draws)


def test_exact_values_are_what_counting_all_draws_gives() -> None:
    for position, n in enumerate(SIZES):
        assert expected_random(CORRECT, SIZES)[position] == counted(lambda d: CORRECT[d[0]], n)
        assert expected_oracle(CORRECT, SIZES)[position] == pytest.approx(
            counted(lambda d: any(CORRECT[i] for i in d), n)
        )
        assert expected_first(CORRECT, SIZES)[position] == pytest.approx(
            counted(lambda d: CORRECT[min(d)], n)
        )
        assert expected_best(REWARDS, CORRECT, SIZES)[position] == pytest.approx(
            counted(lambda d: CORRECT[max(d, key=lambda i: REWARDS[i])], n)
        )


def pools(tmp_path: Path, *cities: Sequence[str], at_least: int = 1) -> Any:
    rows = [packs.record(n, pool=each) for n, each in enumerate(cities)]
    return load_pools(packs.write(tmp_path / "records.jsonl", rows), at_least)[0]


MIXED = ("Oslo", "Lima", "Lima", "Oslo", "Rome", "Oslo")


def test_draws_are_seeded_and_a_larger_one_holds_the_smaller(tmp_path: Path) -> None:
    [pool] = pools(tmp_path, MIXED)
    one, other = (list(drawn_orders(pool, 3, 4, seed)) for seed in (0, 1))
    assert one == list(drawn_orders(pool, 3, 4, 0))
    assert one != other
    assert all(len(set(order)) == 4 for order in one)


def test_the_vote_follows_the_crowd_right_or_wrong(tmp_path: Path) -> None:
    good, bad = pools(tmp_path, ("Oslo",) * 4 + ("Lima",), ("Lima",) * 4 + ("Oslo",))
    assert drawn_vote(good, [1, 5], 8, 0).tolist() == [pytest.approx(0.8), 1.0]
    assert drawn_vote(bad, [1, 5], 8, 0).tolist() == [pytest.approx(0.2), 0.0]


def by_city(question: Question) -> list[float]:
    return [float("Oslo" in c.canonical) for c in question.request.candidates]


def test_a_perfect_rater_is_the_oracle_and_a_constant_one_is_chance(tmp_path: Path) -> None:
    found = pools(tmp_path, MIXED, ("Lima", "Lima", "Rome", "Oslo", "Rome", "Rome"))
    for alone in (True, False):
        perfect = best_of_n.evaluate(found, LocalRater("p", by_city, alone=alone), [1, 3, 6])
        # With N = 6 there is one draw alone; with 3 the oracle is exact and the rater is drawn.
        assert perfect["gap_closed"] == [None, pytest.approx(1.0, abs=0.3), pytest.approx(1.0)]
    constant = best_of_n.evaluate(
        found, LocalRater("c", lambda q: [0.0] * len(q.request.candidates), alone=True), [1, 3, 6]
    )
    assert constant["scorer"] == pytest.approx(constant["random"])
    assert constant["gap_closed"] == [None, pytest.approx(0), pytest.approx(0)]
    assert "picks like chance" in constant["notes"][0]  # type: ignore[index]


def test_the_difference_to_a_vote_is_paired(tmp_path: Path) -> None:
    """Prompts differ widely; a judge that is right where the vote is has no interval."""
    found = pools(tmp_path, *[("Oslo",) * 4] * 6, *[("Lima",) * 4] * 6)
    same = best_of_n.evaluate(found, LocalRater("s", by_city, alone=True), [1, 4])
    assert same["minus_vote"] == [0.0, 0.0]
    intervals: Any = same["intervals"]
    assert intervals["minus_vote"] == [[0.0, 0.0], [0.0, 0.0]]
    assert intervals["scorer"][1][1] - intervals["scorer"][1][0] > 0.2
    nothing = best_of_n.evaluate(found, LocalRater("n", lambda q: [], alone=True), [1, 4])
    assert nothing["minus_vote"] == [None, None]


def test_a_judge_that_compares_sees_exactly_the_drawn_ones(tmp_path: Path) -> None:
    [pool] = pools(tmp_path, MIXED)
    seen = []

    def look(question: Question) -> list[float]:
        seen.append(len(question.request.candidates))
        return [0.0] * seen[-1]

    asyncio.run(rated(LocalRater("l", look, alone=False), pool, [1, 2, 6], 2, 0))
    assert seen == [1, 2, 6] * 2


def test_a_knockout_needs_both_orders_to_replace_the_champion(tmp_path: Path) -> None:
    [pool] = pools(tmp_path, MIXED)

    class Ranker:
        name, parallel = "r", 1

        def __init__(self, rule: Any) -> None:
            self.rule = rule

        async def rank(self, request: Any, first: Any, second: Any) -> Any:
            return self.rule(first, second)

    fair = Ranker(lambda a, b: 1 if "Oslo" in a.canonical else 2)
    assert asyncio.run(ranked(fair, pool, [6], 4, 0)).tolist() == [1.0]
    biased = Ranker(lambda a, b: 2)
    first = np.mean([pool.correct[order[0]] for order in drawn_orders(pool, 4, 6, 0)])
    assert asyncio.run(ranked(biased, pool, [6], 4, 0)).tolist() == [first]


def test_prompts_that_were_not_judged_are_in_no_line(tmp_path: Path) -> None:
    found = pools(tmp_path, MIXED, ("Lima",) * 5 + ("Oslo",))

    def only_first(question: Question) -> list[float]:
        rate = by_city(question)
        return rate if len(rate) == 3 else [float("nan")] * len(rate)  # three different ones

    out = best_of_n.evaluate(found, LocalRater("o", only_first, alone=True), [1, 6])
    assert (out["prompts"], out["unjudged"]) == (1, {"InvalidScore": 1})
    assert out["random"] == [0.5, 0.5]
    nothing = best_of_n.evaluate(found, LocalRater("n", lambda q: [], alone=True), [1, 6])
    assert nothing["scorer"] == [None, None]
    assert nothing["gap_closed"] == [None, None]
    assert "no line for the scorer" in str(nothing["notes"])


def run(tmp_path: Path, *more: str) -> Any:
    out = tmp_path / "out.json"
    best_of_n.main([*more, "--json", str(out)])
    return json.loads(out.read_text())


def test_the_json_has_the_documented_lists(tmp_path: Path, capsys: Any) -> None:
    rows = [
        packs.record(0, pool=MIXED),
        packs.record(1, "parallel", MIXED),
        packs.record(2, pool=["Oslo"]),
    ]
    records = packs.write(tmp_path / "records.jsonl", rows)
    out = run(tmp_path, "--records", str(records), "--scorer", "lite", "--max-n", "4")
    assert (out["bench"], out["scorer_name"], out["source"]) == ("best_of_n", "lite", "offline")
    assert (out["n"], out["prompts"], out["left_out"]) == ([1, 2, 3, 4], 2, 1)
    for name in ("random", "vote", "first", "scorer", "oracle", "gap_closed"):
        assert len(out[name]) == 4
        assert len(out["by_split"]["parallel"][name]) == 4
        assert len(out["intervals"][name]) == 4
    assert out["gap_closed"][0] is None
    assert out["by_split"]["simple"]["prompts"] == 1
    assert "1 left out" in capsys.readouterr().out


def test_powers_of_two_alone_when_asked(tmp_path: Path) -> None:
    records = packs.write(tmp_path / "records.jsonl", [packs.record(0, pool=MIXED)])
    out = run(tmp_path, "--records", str(records), "--scorer", "longer", "--max-n", "5", "--powers")
    assert out["n"] == [1, 2, 4]


def test_strong_models_alone_are_drawn_from_when_asked(tmp_path: Path) -> None:
    rows = [packs.record(number, pool=("Oslo", "Oslo", "Lima", "Rome")) for number in range(3)]
    for row in rows:
        for model, candidate in enumerate(row["candidates"]):
            candidate["model"] = f"m{model}"
    records = packs.write(tmp_path / "records.jsonl", rows)
    every, _ = load_pools(records, 1)
    strong, _ = load_pools(records, 1, 0.9)
    assert [pool.size for pool in every] == [4] * 3
    assert [pool.correct for pool in strong] == [(True, True)] * 3
    with pytest.raises(LabelledFileError, match="no prompt has 3"):
        load_pools(records, 3, 0.9)


def test_too_few_candidates_are_refused(tmp_path: Path) -> None:
    with pytest.raises(LabelledFileError, match=r"no prompt has 16 .*smaller --max-n"):
        pools(tmp_path, MIXED, at_least=16)


def test_a_policy_is_sampled_marked_saved_and_judged(tmp_path: Path) -> None:
    records = packs.write(tmp_path / "records.jsonl", packs.records())
    saved = tmp_path / "sampled.jsonl"

    def answer(body: dict[str, Any]) -> tuple[int, Any]:  # it gives two, whatever n says
        return 200, called("Oslo", "Lima" if body["seed"] == 0 else "Rome")

    with serving(answer) as served:
        out = run(
            tmp_path, "--records", str(records), "--scorer", "longer", "--max-n", "4",
            "--endpoint", served.url, "--model", "policy", "--samples", "4", "--save", str(saved),
        )  # fmt: skip
    assert (out["source"], out["prompts"], out["random"][0]) == ("policy", 4, 0.5)
    assert out["first"] == pytest.approx([0.5, *out["first"][1:]])
    assert len(served.bodies) == 8
    again = run(tmp_path, "--records", str(saved), "--scorer", "longer", "--max-n", "4")
    assert again["oracle"] == out["oracle"]


def test_an_endpoint_without_a_model_is_refused(tmp_path: Path) -> None:
    records = packs.write(tmp_path / "records.jsonl", packs.records())
    with pytest.raises(SystemExit, match="--endpoint needs --model"):
        run(tmp_path, "--records", str(records), "--scorer", "longer", "--endpoint", "http://x")


def test_results_in_a_chat_refer_to_the_calls_before_them() -> None:
    messages = parse_messages(
        [
            {"role": "user", "content": "q"},
            {"role": "assistant", "content": "", "tool_calls": packs.side("a", "b")["tool_calls"]},
            {"role": "tool", "content": "1"},
            {"role": "tool", "content": "2"},
        ]
    )
    chat = chat_of(messages)
    ids = [call["id"] for call in chat[1]["tool_calls"]]
    assert [turn["tool_call_id"] for turn in chat[2:]] == ids
    assert len(set(ids)) == 2


def test_the_vote_as_a_judge_hears_only_those_who_were_drawn(tmp_path: Path) -> None:
    found = pools(tmp_path, ("Oslo",) * 4 + ("Lima", "Rome"))
    out = best_of_n.evaluate(found, make_judge("vote", JudgeSettings()), [1, 2, 6], draws=64)
    assert out["scorer"] == out["vote"]


def test_the_vote_of_pairs_needs_other_answers(tmp_path: Path) -> None:
    [pool] = pools(tmp_path, MIXED)
    judge = make_judge("vote", JudgeSettings())
    assert isinstance(judge, LocalRater)
    with pytest.raises(CouldNotJudge, match="no other answers"):
        asyncio.run(judge.rate(Question(request=pool.request)))
