"""The overhead bench on contenders whose times are known, and on tiny real runs."""

import asyncio
import json
import random
from pathlib import Path

import numpy as np
import pytest

from bench import overhead
from bench.contenders.decisions import (
    Contender,
    Turn,
    checked,
    constant_scores,
    guard_contenders,
    instant_guard,
    turns,
)
from bench.overhead import Times, chosen, compared, rows_of, sample, table_of
from toolrm_guard.calls import Candidate


async def _idle(turn: Turn) -> None:
    return None


async def _busy(turn: Turn) -> None:
    await asyncio.sleep(0.005)


def _times(*wall: float) -> Times:
    return Times(wall=np.array(wall), cpu=np.array(wall) / 2)


BARE = Contender(name="bare", kind="turn", run=_idle)
GUARDED = Contender(name="guarded", kind="turn", run=_busy, twin="bare")


def test_turns_have_distinct_candidates_and_one_set_of_tools() -> None:
    made = turns(4, 20)
    assert len({turn.request for turn in made}) == 20
    assert all(turn.tools is made[0].tools for turn in made)
    for turn in made:
        assert len({Candidate.parse(c).canonical for c in turn.candidates}) == 4


def test_scores_are_distinct_probabilities_and_the_last_one_wins() -> None:
    scores = constant_scores(16)
    assert sorted(set(scores)) == scores
    assert 0.5 <= min(scores) <= max(scores) < 1.0


async def test_the_guard_does_the_whole_job_that_is_timed() -> None:
    [turn] = turns(4, 1)
    handed, drawing = guard_contenders(4, [turn])
    for contender in (handed, drawing):
        review = await contender.run(turn)
        assert review.chosen == 3  # type: ignore[attr-defined]  # a contender returns any object
        assert review.approves(turn.candidates[3]["tool_calls"][0])  # type: ignore[attr-defined]


async def test_a_review_that_approves_nothing_is_no_measurement() -> None:
    [turn] = turns(1, 1)
    turn.candidates[0]["tool_calls"][0]["function"]["arguments"] = "{"
    review = await instant_guard().areview(turn.messages, turn.tools, turn.candidates)
    with pytest.raises(RuntimeError, match="approved nothing"):
        checked(review)


async def test_samples_are_paired_and_per_turn() -> None:
    times = await sample(
        [BARE, GUARDED], turns(1, 3), concurrency=4, samples=3, rng=random.Random(0)
    )
    assert times["bare"].wall.shape == times["guarded"].cpu.shape == (3,)
    # Four sleeps of 5 ms at a time are 5 ms, so 1.25 ms each.
    assert np.all(times["guarded"].wall >= 1.2)
    assert np.all(times["bare"].wall < times["guarded"].wall)


def test_noise_that_both_met_cancels() -> None:
    noise = np.random.default_rng(1).gamma(1.0, 5.0, size=200)
    added, (low, high) = compared(noise + 0.4, noise, np.subtract)
    assert added == pytest.approx(0.4)
    assert low == pytest.approx(0.4)
    assert high == pytest.approx(0.4)


def test_what_is_added_is_told_against_the_bare_twin_only() -> None:
    rows = rows_of(
        [BARE, GUARDED],
        {"bare": _times(1.0, 2.0, 3.0), "guarded": _times(1.5, 2.5, 3.5)},
        n=1,
        concurrency=1,
    )
    assert rows[0].added_ms is None
    assert rows[1].added_ms == pytest.approx(0.5)
    assert rows[1].added_cpu_ms == pytest.approx(0.25)
    assert rows[1].per_s == pytest.approx(400)
    assert rows[1].peer_ratio is None


def test_decisions_are_told_against_its_hub() -> None:
    ours = Contender(name="ours", kind="decision", run=_idle)
    peer = Contender(name="its_hub", kind="decision", run=_idle)
    times = {"ours": _times(1.0, 1.0), "its_hub": _times(2.0, 2.0)}
    ratios = [row.peer_ratio for row in rows_of([ours, peer], times, n=4, concurrency=1)]
    assert ratios == [pytest.approx(0.5), None]


def test_a_contender_brings_its_twin() -> None:
    other = Contender(name="other", kind="decision", run=_idle)
    assert chosen([BARE, GUARDED, other], ["GUARD"]) == [BARE, GUARDED]
    assert chosen([BARE, GUARDED, other], []) == [BARE, GUARDED, other]
    assert chosen([BARE], ["nothing"]) == []


def test_every_row_is_in_the_table() -> None:
    rows = rows_of(
        [BARE, GUARDED], {"bare": _times(1.0), "guarded": _times(2.0)}, n=1, concurrency=1
    )
    assert table_of(rows).row_count == 2


def test_the_command_writes_its_numbers_and_what_they_depend_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(overhead, "installed", lambda: ([guard_contenders], ["a peer: not here"]))
    monkeypatch.setattr(overhead, "CANDIDATES", (2,))
    monkeypatch.setattr(overhead, "CONCURRENCY", (1, 2))
    out = tmp_path / "overhead.json"
    assert overhead.main(["--turns", "2", "--only", "Guard.areview", "--json", str(out)]) == 0
    report = json.loads(out.read_text())
    assert report["command"].startswith("python -m bench.overhead --turns 2")
    assert report["cores"]
    assert report["python"]
    assert [(row["name"], row["n"], row["concurrency"]) for row in report["rows"]] == [
        ("Guard.areview", 2, 1),
        ("Guard.areview", 2, 2),
    ]
    assert "left out: a peer: not here" in capsys.readouterr().out


def test_no_contender_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(overhead, "installed", lambda: ([guard_contenders], []))
    assert overhead.main(["--only", "nobody"]) == 1


@pytest.mark.parametrize("n", [1, 2])
async def test_its_hub_takes_the_same_candidates(n: int) -> None:
    pytest.importorskip("its_hub")
    cases = turns(n, 1)
    for contender in overhead.its_hub_contenders(n, cases):
        assert await contender.run(cases[0]) == cases[0].candidates[-1]


@pytest.mark.parametrize("n", [1, 2])
async def test_graph_turns_end_with_their_tool(n: int) -> None:
    pytest.importorskip("langchain")
    from bench.contenders import turns as graphs

    cases = turns(n, 1)
    made = [*graphs.graph_contenders(n, cases), *graphs.agent_contenders(n, cases)]
    assert {c.twin for c in made} == {None, "LangGraph", "create_agent"}
    for contender in made:
        result = await contender.run(cases[0])
        assert result.content == "done"  # type: ignore[attr-defined]  # the tool's message
