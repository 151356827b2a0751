"""The page joins runs, says what is odd, escapes what files hold, and loads nothing."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bench import report
from bench.page.run_files import Run, cautions, load

RUN = {
    "command": "python -m bench.trbench --pairs p.jsonl", "commit": "abc123" * 7, "dirty": True,
    "data": {"p.jsonl": "0" * 64}, "seed": 0, "at": "2026-01-01T00:00:00+00:00",
    "machine": {"cores": 2, "cpu": "a cpu", "memory_gb": 8, "python": "3.11", "versions": {}},
}  # fmt: skip


def scorer(name: str, **more: Any) -> dict[str, Any]:
    part = {"pairs": 10, "accuracy": 0.7}
    return {
        "scorer": name, "pairs": 20, "judged": 20, "weighted": 0.75, "average": 0.7, "ties": 0,
        "ci95": [0.6, 0.9], "splits": {"simple": part}, "by_error": {"wrong_count": part},
        "values_only": part, "ms_per_pair": 1.5, "notes": [], "unjudged": {}, **more,
    }  # fmt: skip


def page(*payloads: Any, problems: tuple[str, ...] = ()) -> str:
    runs = [
        Run(name=f"run{n}", bench=payload.get("bench", "x"), payload=payload)
        for n, payload in enumerate(payloads)
    ]
    return report.render(runs, problems)


def trbench(*reports: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"bench": "trbench", "run": RUN, "sampled": None, "reports": list(reports), **more}


def test_every_bench_has_its_place() -> None:
    curve = {
        "n": [1, 2, 4],
        "random": [0.5] * 3,
        "vote": [0.5, 0.5, 0.6],
        "oracle": [0.5, 0.7, 0.8],
    }
    row = {"name": "guard_node", "kind": "graph", "n": 4, "p50_ms": 0.5}
    found = page(
        trbench(scorer("lite"), scorer("random", weighted=0.5)),
        {"bench": "best_of_n", "run": RUN, "scorer_name": "lite", "scorer": [0.5, 0.6, 0.7],
         "gap_closed": [None, 0.5, 0.66], "intervals": {"gap_closed": [[None, None], [0.4, 0.6],
         [0.5, 0.8]]}, **curve},
        {"bench": "self_correction", "run": RUN, "policy": "p", "critic": "c", "fixed": 7,
         "before": 0.5, "after": 0.6, "ci95": [0.05, 0.15],
         "by_split": {"simple": {"tasks": 3, "before": 0.5}}},
        {"bench": "latency", "run": RUN, "scorer": "lite", "candidates": 8, "p50_ms": 2.5},
        {"bench": "latency_grid", "run": RUN, "rows": [
            {"context": 600, "candidates": 8, "way": "local, cold", "n": 3, "ms": 1234.5,
             "ms_low": 1200.0, "ms_high": 1300.0, "times": 6.25, "over_needed": None},
            {"way": "odd", "ms": float("nan")}]},
        {"bench": "overhead", "rows": [row]},
        {"bench": "unheard_of", "run": RUN, "dazzle": 42},
    )  # fmt: skip
    for title in (
        "Pairs",
        "Best of N",
        "Self-correction",
        "Time",
        "Ways of scoring",
        "Overhead",
        "Other benches",
    ):
        assert f">{title}</h2>" in found
    for shown in (
        "75.0%",
        "66.0%",
        "50%, 80%",
        "p / c",
        "guard_node",
        "local, cold",
        "1,200, 1,300",
        "6.25",
        "dazzle",
        "2.50",
        "+10.0 points",
    ):
        assert shown in found


def test_published_numbers_are_marked_as_others_on_other_pairs() -> None:
    found = page(trbench(scorer("lite")))
    assert "ToolRM-Disc-Qwen3-4B (published)" in found
    assert "arXiv:2510.26167" in found
    assert "not the official ones" in found


def test_pairs_of_other_data_stand_in_other_tables() -> None:
    other = {**RUN, "data": {"q.jsonl": "1" * 64}}
    found = page(trbench(scorer("lite")), {**trbench(scorer("lite")), "run": other})
    assert found.count(">By split</h3>") == 2
    joined = page(trbench(scorer("lite")), trbench(scorer("lite")))
    assert joined.count(">By split</h3>") == 1
    assert "lite (run0)" in joined
    assert "lite (run1)" in joined


def test_pools_of_strong_models_have_references_of_their_own() -> None:
    pool = {"bench": "best_of_n", "run": RUN, "scorer_name": "lite", "n": [1, 2], "strong": None}
    weak = {**pool, "random": [0.5, 0.5], "scorer": [0.5, 0.6]}
    strong = {**pool, "random": [0.9, 0.9], "scorer": [0.9, 0.95], "strong": 0.85}
    found = page(weak, strong)
    assert "only models that are right in 85%" in found
    assert all(share in found for share in ("50.0%", "90.0%"))  # each random pick beside its own


@pytest.mark.parametrize(
    ("more", "line"),
    [
        ({"weighted": 0.0, "ties": 20}, "gives both sides of every pair the same reward"),
        ({"weighted": float("nan")}, "weighted is nan, not a finite number"),
        ({"unjudged": {"ScorerTimeout: late": 3}, "judged": 17}, "3 could not be judged"),
        ({"weighted": None, "judged": 0, "ci95": None}, "nothing was judged"),
        ({"notes": ["beware"]}, "beware"),
    ],
)
def test_what_is_odd_gets_a_line_and_not_a_wrong_number(more: dict[str, Any], line: str) -> None:
    found = page(trbench(scorer("odd", **more)))
    assert line in found
    assert "nan%" not in found


def test_a_sound_scorer_needs_no_caution() -> None:
    assert cautions(scorer("lite")) == []


def test_the_page_loads_nothing_and_escapes_what_files_hold() -> None:
    attack = r"<script>alert(1)</script>$\no$"
    facts = {**RUN, "command": attack, "data": {attack: attack}}
    found = page(
        {**trbench(scorer(attack, notes=[attack], splits={attack: {"pairs": 1, "accuracy": 1}})),
         "run": facts},
        {"bench": attack, attack: attack},
        problems=(attack,),
    )  # fmt: skip
    assert "<script" not in found
    assert not re.search(r"""(src|href)=(?!["']#)|url\((?!#)|@import""", found)


def test_files_that_are_no_runs_are_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "trbench_a.json").write_text(json.dumps([scorer("lite"), scorer("vote")]))
    (tmp_path / "cut.json").write_text('{"bench": ')
    (tmp_path / "text.json").write_text('"text"')
    runs, problems = load(tmp_path)
    assert [(run.bench, len(run.reports)) for run in runs] == [("trbench", 2)]
    assert [problem.partition(":")[0] for problem in problems] == ["cut.json", "text.json"]
    assert report.main([str(tmp_path)]) == 0
    assert "cut.json" in capsys.readouterr().err
    assert "cut.json: not JSON" in (tmp_path / "index.html").read_text()


def test_no_runs_and_no_folder_are_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert report.main([str(tmp_path)]) == 1
    assert report.main([str(tmp_path / "absent")]) == 1
    assert "no run of a bench" in (told := capsys.readouterr().err)
    assert "no such folder" in told


def test_the_same_runs_give_the_same_page() -> None:
    assert page(trbench(scorer("lite"))) == page(trbench(scorer("lite")))


junk = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 2000) | st.floats() | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=6,
)
keys = [
    "run", "reports", "scorer", "n", "random", "oracle", "gap_closed", "intervals", "splits",
    "by_error", "ci95", "weighted", "pairs", "judged", "ties", "unjudged", "notes", "rows",
    "slices", "conformal", "saved", "rounds", "own_thresholds", "ms_per_pair", "candidates",
    "sampled", "before", "after", "by_split", "tasks",
]  # fmt: skip


@settings(max_examples=60, deadline=None, derandomize=True)  # a page of odd files is no gate
@given(
    st.sampled_from(["trbench", "best_of_n", "self_correction", "calibration", "overhead", "x"]),
    st.dictionaries(st.sampled_from(keys), junk, max_size=8),
)
@example("trbench", {"weighted": 2.0})
@example("trbench", {"weighted": 0.5, "ci95": [0.1, 2000.0]})
def test_no_file_can_break_the_page(bench: str, payload: dict[str, Any]) -> None:
    assert "</html>" in page({**payload, "bench": bench})
