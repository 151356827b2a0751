"""The benchmark from files to JSON, judges that fail, and files that do not fit."""

import asyncio
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from bench import trbench
from bench.judges.judging import is_values_only
from bench.judges.kinds import LocalRater
from bench.judges.protocol import JudgeSettings, Question
from bench.pairs import Case, load_pairs
from bench.pools import sample_of
from tests.support.serving import said, serving
from tests.unit.bench import packs
from toolrm_guard.calls import Candidate
from toolrm_guard.errors import ConfigurationError
from toolrm_guard.labelled import LabelledFileError
from toolrm_guard.scorers.base import ScoreRequest

Rows = list[dict[str, Any]]


def files(folder: Path, pairs: Rows | None = None, records: Rows | None = None) -> list[Path]:
    return [
        packs.write(folder / "pairs.jsonl", packs.pairs() if pairs is None else pairs),
        packs.write(folder / "records.jsonl", packs.records() if records is None else records),
    ]


def run(folder: Path, scorer: str, *more: str, paths: Sequence[Path] = ()) -> Any:
    pairs, records = paths or files(folder)
    out = folder / "out.json"
    trbench.main(
        [
            *("--pairs", str(pairs), "--records", str(records), "--scorer", scorer),
            *("--json", str(out), *more),
        ]
    )
    return json.loads(out.read_text())


def cases(folder: Path) -> list[Case]:
    return load_pairs(*files(folder))


def rater(rate: Callable[[Question], Sequence[float]]) -> LocalRater:
    return LocalRater("odd", rate, alone=True)


def test_one_scorer_has_its_report_at_the_top_and_several_have_them_in_a_list(
    tmp_path: Path,
) -> None:
    one = run(tmp_path, "lite")
    assert (one["bench"], one["sampled"]) == ("trbench", None)
    assert set(one["run"]["data"]) == {"pairs.jsonl", "records.jsonl"}
    assert one["scorer"] == "lite"
    assert one["reports"] == [{key: one[key] for key in one["reports"][0]}]
    assert (one["pairs"], one["judged"], one["weighted"]) == (4, 4, 1.0)
    assert one["splits"] == {
        "parallel": {"pairs": 1, "accuracy": 1.0},
        "simple": {"pairs": 3, "accuracy": 1.0},
    }
    assert one["values_only"]["pairs"] == 2
    several = run(tmp_path, "all")["reports"]
    assert [found["scorer"] for found in several] == ["random", "longer", "schema", "vote", "lite"]


def test_baselines_say_what_they_mean(tmp_path: Path) -> None:
    reports = run(tmp_path, "longer,schema,vote")["reports"]
    found = {item["scorer"]: item["weighted"] for item in reports}
    assert found["schema"] == 0.25  # only the wrong type; ties are wrong
    assert found["vote"] == 1.0
    assert found["longer"] == 0.5  # longer than the number and than nothing


def test_the_side_that_comes_first_follows_from_the_id_alone(tmp_path: Path) -> None:
    found = cases(tmp_path)
    assert {case.chosen for case in found} == {0, 1}
    for case in found:
        chosen = case.request.candidates[case.chosen]
        assert chosen.canonical == case.pair.chosen.candidate().canonical


def test_values_only_means_the_same_names(tmp_path: Path) -> None:
    assert [is_values_only(case.pair) for case in cases(tmp_path)] == [True, True, False, False]


# --- files that do not fit ------------------------------------------------------------------------


def without(rows: Rows, **changed: Any) -> Rows:
    rows[0] = {**rows[0], **changed}
    return rows


@pytest.mark.parametrize(
    ("pairs", "records", "message"),
    [
        (without(packs.pairs(), prompt_id="lost"), packs.records(),
         r"1 prompt ids are not in .*lost"),
        (without(packs.pairs(), id="p1"), packs.records(), r"ids are unique"),
        (packs.pairs(), without(packs.records(), id="r1"), r"ids are unique"),
        (packs.pairs()[:3], packs.records(), r"no pairs for split parallel; .*--splits"),
        (without(packs.pairs(), split="parallel"), packs.records(),
         r"'p0' is of split 'parallel', but its record of 'simple'"),
        (without(packs.pairs(), chosen=packs.side("Lima")), packs.records(),
         r"chosen side that its record calls wrong"),
        (without(packs.pairs(), rejected=packs.side("Oslo")), packs.records(),
         r"rejected side that its record calls right"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused_before_anything_is_scored(
    tmp_path: Path, pairs: Rows, records: Rows, message: str
) -> None:
    paths = files(tmp_path, pairs, records)
    with pytest.raises(LabelledFileError, match=message):
        load_pairs(*paths)
    with pytest.raises(SystemExit, match=message):
        run(tmp_path, "random", paths=paths)
    assert not (tmp_path / "out.json").exists()


def test_splits_can_be_left_out_by_name(tmp_path: Path) -> None:
    paths = files(tmp_path, packs.pairs()[:3])
    assert run(tmp_path, "vote", "--splits", "simple", paths=paths)["pairs"] == 3


def test_an_unknown_scorer_and_missing_inputs_end_with_a_message(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="no scorer oracle; known: random"):
        run(tmp_path, "oracle")
    with pytest.raises(SystemExit, match="--scorer disc needs --endpoint URL and --model"):
        run(tmp_path, "disc")
    with pytest.raises(SystemExit):
        trbench.main(["--scorer", "vote"])


def test_a_sample_is_seeded_and_the_report_says_so(tmp_path: Path) -> None:
    found = cases(tmp_path)
    assert sample_of(found, 2, seed=3) == sample_of(found, 2, seed=3)
    assert len(sample_of(found, 9, seed=3)) == 4
    with pytest.raises(ConfigurationError, match="--limit 0 leaves nothing"):
        sample_of(found, 0, seed=3)
    out = run(tmp_path, "vote", "--limit", "2", "--seed", "3")
    assert out["sampled"] == {"pairs": 2, "of": 4, "seed": 3}


# --- judges that fail -----------------------------------------------------------------------------


def test_the_same_reward_for_all_is_said_not_to_rank(tmp_path: Path) -> None:
    report = trbench.evaluate(cases(tmp_path), rater(lambda q: [1.0, 1.0]))
    assert (report.weighted, report.ties, report.judged) == (0.0, 4, 4)
    assert "does not rank at all" in report.notes[0]


@pytest.mark.parametrize("bad", [[float("nan"), 0.0], [float("inf"), 0.0], [1.0]])
def test_a_bad_reward_is_no_number_in_the_report(tmp_path: Path, bad: list[float]) -> None:
    report = trbench.evaluate(cases(tmp_path), rater(lambda q: bad))
    assert (report.judged, report.weighted, report.weighted_judged) == (0, None, None)
    assert report.unjudged == {"InvalidScore": 4}
    assert "could not judge 4 of 4 pairs (InvalidScore: " in report.notes[0]
    assert "there is no accuracy" in report.notes[1]
    assert report.as_json()["ci95"] is None


def test_a_late_judge_could_not_judge_and_the_rest_still_counts(tmp_path: Path) -> None:
    class Slow(LocalRater):
        async def rate(self, question: Question) -> Sequence[float]:
            if len(question.request.candidates[0].calls) == 1:
                await asyncio.sleep(5)
            return [float("Oslo" in c.canonical) for c in question.request.candidates]

    report = trbench.evaluate(cases(tmp_path), Slow("slow", lambda q: [], alone=True), 0.05)
    assert report.unjudged["ScorerTimeout"] == 4 - report.judged
    assert 0 < report.judged < 4
    assert report.weighted is not None
    assert report.weighted_judged is not None
    assert report.weighted == report.weighted_judged * report.judged / 4


def test_a_bug_in_a_judge_is_told_and_a_wrong_set_up_ends_the_run(tmp_path: Path) -> None:
    def broken(_: Question) -> Sequence[float]:
        raise KeyError("weights")

    report = trbench.evaluate(cases(tmp_path), rater(broken))
    assert "KeyError: 'weights'" in report.notes[0]

    def misled(_: Question) -> Sequence[float]:
        raise ConfigurationError("no such model")

    with pytest.raises(ConfigurationError, match="no such model"):
        trbench.evaluate(cases(tmp_path), rater(misled))


def test_after_many_failures_in_a_row_the_rest_is_not_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bench.judges.attempts.GIVE_UP_AFTER", 2)
    report = trbench.evaluate(cases(tmp_path), rater(lambda q: [float("nan")] * 2))
    assert report.unjudged == {"InvalidScore": 2, "NotAsked": 2}


# --- judges between two ---------------------------------------------------------------------------


class Names:
    """A ranker that follows a rule."""

    name = "names"
    parallel = 2

    def __init__(self, rule: Callable[[Candidate, Candidate], Any]) -> None:
        self.rule = rule

    async def rank(self, request: ScoreRequest, first: Candidate, second: Candidate) -> Any:
        return self.rule(first, second)


def test_a_ranker_must_be_right_in_both_orders(tmp_path: Path) -> None:
    found = cases(tmp_path)
    right = found[0].pair.chosen.candidate().canonical
    good = trbench.evaluate(found, Names(lambda one, other: 1 if one.canonical == right else 2))
    assert (good.weighted, good.extra) == (1.0, {"same_place_twice": 0.0})
    first = trbench.evaluate(found, Names(lambda one, other: 1))
    assert (first.weighted, first.extra) == (0.0, {"same_place_twice": 1.0})


def test_an_answer_without_a_choice_is_wrong_and_counted_apart(tmp_path: Path) -> None:
    report = trbench.evaluate(cases(tmp_path), Names(lambda one, other: None))
    assert (report.weighted, report.judged, report.unparsed) == (0.0, 4, 4)
    assert "answer without a choice" in report.notes[0]


def test_a_generative_judge_is_asked_over_http_in_both_orders(tmp_path: Path) -> None:
    def answer(body: dict[str, Any]) -> tuple[int, Any]:
        asked = body["messages"][1]["content"].partition("# Response 1\n")[2]
        first, _, second = asked.partition("# Response 2\n")
        right = first.count("Oslo") == 1 and "Lima" not in first
        assert right != (second.count("Oslo") == 1 and "Lima" not in second)
        return 200, said(f"<think><choice>2</choice></think><choice>{1 if right else 2}</choice>")

    with serving(answer) as served:
        out = run(tmp_path, "gen", "--endpoint", served.url + "/v1", "--model", "rm")
    assert (out["weighted"], out["judged"]) == (1.0, 4)
    assert served.paths == ["/v1/chat/completions"] * 8
    assert {body["model"] for body in served.bodies} == {"rm"}


def test_make_judge_knows_every_name() -> None:
    assert trbench.make_judge("vote", JudgeSettings()).name == "vote"


def test_build_is_handed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    from bench import trbench_build

    seen: list[Any] = []
    monkeypatch.setattr(trbench_build, "main", seen.append)
    trbench.main(["build", "--out", "x"])
    assert seen == [["--out", "x"]]
