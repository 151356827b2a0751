"""TRBench from result folders and from records: what gets in, what is refused, what is balanced."""

import gzip
import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench import trbench, trbench_build
from bench.bfcl.pair_selection import Selector, pool_of
from bench.bfcl.pools import Tally
from bench.bfcl.worlds import Backend
from bench.pairs import load_pairs
from toolrm_guard.errors import ConfigurationError
from toolrm_guard.labelled import LabelledPair, LabelledRecord, read_pairs, read_records

FUNCTION = {
    "name": "oven.bake",
    "description": "Bake.",
    "parameters": {
        "type": "dict",
        "properties": {"what": {"type": "string"}, "heat": {"type": "float"}},
        "required": ["what"],
    },
}


def lines(path: Path, *rows: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    text = [row if isinstance(row, str) else json.dumps(row) for row in rows]
    path.write_text("\n".join(text) + "\n")


def prompts(folder: Path, generation: str, category: str, text: str = "Bake bread.") -> Path:
    """Write two prompts of a category; bread is right for both."""
    name = f"{generation}_{category}.json"
    ids = [f"{category}_{number}" for number in range(2)]
    said = [[{"role": "user", "content": text}]]
    lines(folder / name, *({"id": i, "question": said, "function": [FUNCTION]} for i in ids))
    if not category.endswith("relevance"):
        truth = [{"oven.bake": {"what": ["bread"], "heat": ["", 200.0]}}]
        answers = folder / "possible_answer" / name
        lines(answers, *({"id": i, "ground_truth": truth} for i in ids))
    return folder


def result(run: Path, model: str, file: str, *rows: Any) -> None:
    lines(run / "result" / model / f"{file}_result.json", *rows)


def bake(what: str) -> list[dict[str, str]]:
    return [{"oven_bake": json.dumps({"what": what})}]


@pytest.fixture
def v4(tmp_path: Path) -> Path:
    for category in ("simple_python", "irrelevance"):
        prompts(tmp_path / "prompts", "BFCL_v4", category)
    return tmp_path / "prompts"


def build_from(run: Path, *folders: Path, trust: bool = False) -> tuple[Any, Tally]:
    tally = Tally()
    records = trbench_build.read_results([run], folders, tally, trust_ids=trust)
    return trbench_build.build(records, Selector(), tally), tally


def test_three_generations_are_joined_decoded_and_judged(tmp_path: Path, v4: Path) -> None:
    prompts(tmp_path / "old", "gorilla_openfunctions_v1_test", "simple")
    prompts(tmp_path / "v3", "BFCL_v3", "simple", text="  Bake\nbread. ")
    run = tmp_path / "run"
    first = "gorilla_openfunctions_v1_test_simple"
    result(run, "fc", first, {"id": "simple_0", "result": bake("Bread")})
    result(run, "prompted", "BFCL_v3_simple", {"id": "simple_0", "result": "[oven.bake(what='x')]"})
    result(run, "json", "non_live/BFCL_v4_simple_python",
           {"id": "simple_python_0", "result": '[{"name": "oven.bake", "arguments": {"what": 3}}]'},
           {"id": "simple_python_1", "result": "[oven.bake(what="})  # fmt: skip
    built, tally = build_from(run, v4, tmp_path / "old", tmp_path / "v3")
    assert not tally.problems
    assert tally.counts["undecodable"] == 1
    labels = {c.model: (c.correct, c.error_type) for c in built.records[0].candidates}
    assert labels == {
        "fc": (True, None),
        "prompted": (False, "value_error:string"),
        "json": (False, "type_error:simple"),
    }
    assert [pair.rejected.model for pair in built.pairs] in (
        ["prompted", "json"],
        ["json", "prompted"],
    )
    assert {pair.chosen.model for pair in built.pairs} == {"fc"}
    assert built.records[0].reference is not None


def test_outputs_for_a_prompt_that_changed_are_not_judged(tmp_path: Path, v4: Path) -> None:
    prompts(tmp_path / "v3", "BFCL_v3", "simple", text="Bake a cake.")
    run = tmp_path / "run"
    result(run, "m", "BFCL_v3_simple", {"id": "simple_0", "result": bake("bread")})
    rows = [{"id": f"simple_python_{n}", "result": bake(w)} for n, w in enumerate(["x", "bread"])]
    result(run, "n", "BFCL_v4_simple_python", *rows)
    for folders in ([v4], [v4, tmp_path / "v3"]):
        tally = Tally()
        records = trbench_build.read_results([run], folders, tally)
        assert [p.reason for p in tally.problems] == ["prompt_of_other_generation"]
        assert {c.model for record in records for c in record.candidates} == {"n"}
    built, _ = build_from(run, v4, trust=True)
    assert [(p.chosen.model, p.rejected.model) for p in built.pairs] == [("m", "n")]


def test_irrelevance_rewards_silence_in_one_paragraph(tmp_path: Path, v4: Path) -> None:
    run = tmp_path / "run"
    row = {"id": "irrelevance_0", "result": "I have\n\n  no tool for this."}
    result(run, "silent", "BFCL_v4_irrelevance", row)
    result(run, "eager", "BFCL_v4_irrelevance", {"id": "irrelevance_0", "result": bake("x")})
    built, _ = build_from(run, v4)
    (pair,) = built.pairs
    assert (pair.split, pair.rejected_error_type) == ("irrelevance", "irrelevance_error:call_made")
    assert pair.chosen.content == "I have no tool for this."
    assert pair.rejected.content is None


def test_bad_lines_are_counted_and_named(tmp_path: Path, v4: Path) -> None:
    run = tmp_path / "run"
    good = [{"id": f"simple_python_{n}", "result": bake("bread")} for n in range(2)]
    result(run, "m", "BFCL_v4_simple_python", *good,
           {"id": "simple_python_0", "result": bake("again")},
           {"id": "simple_python_99", "result": bake("bread")},
           {"id": "simple_python_0"}, '{"id": "simple_pyt')  # fmt: skip
    result(run, "n", "BFCL_v4_simple_python", {"id": "simple_python_0", "result": bake("x")})
    result(run, "n", "BFCL_v4_simple_java", {"id": "simple_java_0", "result": ""})
    built, tally = build_from(run, v4)
    assert sorted((p.where.rpartition(":")[2], p.reason) for p in tally.problems) == [
        ("3", "duplicate_output"),
        ("4", "unknown_prompt"),
        ("5", "missing_field"),
        ("6", "bad_json"),
    ]
    assert tally.counts["files_of_other_categories"] == 1
    assert "the input holds no output" in built.report["left_out"]["multiple"]


def test_folders_without_results_and_unknown_categories_are_refused(
    tmp_path: Path, v4: Path
) -> None:
    with pytest.raises(ConfigurationError, match="no folder `result`"):
        build_from(tmp_path / "nowhere", v4)
    (tmp_path / "run" / "result").mkdir(parents=True)
    with pytest.raises(ConfigurationError, match="was the run copied whole"):
        build_from(tmp_path / "run", v4)
    result(tmp_path / "run", "m", "BFCL_v4_simpel", {"id": "simpel_0", "result": ""})
    with pytest.raises(ConfigurationError, match="no category 'simpel'; known are"):
        build_from(tmp_path / "run", v4)


# --- several turns ------------------------------------------------------------------------------


class Lamp:
    """A tool with a state."""

    def _load_scenario(self, config: dict[str, Any], long_context: bool = False) -> None:
        self.on = bool(config.get("on"))
        self.colour = "white"

    def switch(self, on: bool) -> dict[str, bool]:
        self.on = on
        return {"on": on}

    def paint(self, colour: str) -> str:
        self.colour = colour
        return colour

    def look(self) -> dict[str, str]:
        return {"colour": self.colour}


BACKEND = Backend(classes={"Lamp": Lamp}, documents={"Lamp": "lamp.json"})


def lamp_prompts(folder: Path) -> Path:
    docs = [
        {"name": name, "description": name, "parameters": {"type": "dict", "properties": {
            key: {"type": kind} for key, kind in arguments.items()}, "required": []}}
        for name, arguments in
        {"switch": {"on": "boolean"}, "paint": {"colour": "string"}, "look": {}}.items()
    ]  # fmt: skip
    lines(folder / "multi_turn_func_doc" / "lamp.json", *docs)
    turns = [[{"role": "user", "content": text}] for text in ("Light on, red.", "Off.")]
    dialog = {"id": "multi_turn_base_0", "question": turns, "involved_classes": ["Lamp"],
              "initial_config": {"Lamp": {"on": False}}}  # fmt: skip
    truth = [["switch(on=True)", "paint('red')"], ["switch(on=False)"]]
    lines(folder / "BFCL_v4_multi_turn_base.json", dialog)
    answers = folder / "possible_answer" / "BFCL_v4_multi_turn_base.json"
    lines(answers, {"id": "multi_turn_base_0", "ground_truth": truth})
    return folder


def lamp_runs(run: Path) -> Path:
    on, off = [{"switch": '{"on": true}'}], [{"switch": '{"on": false}'}]
    red, blue = [{"paint": '{"colour": "red"}'}], [{"paint": '{"colour": "blue"}'}]
    trajectories: dict[str, list[list[Any]]] = {
        "right": [[on, red, "Done."], [off, "Done."]],
        "blue": [[on, blue, "Done."], [off, "Done."]],
        "forgets": [[on, red, "Done."], ["It is off."]],
        "looks": [[[{"look": "{}"}], on, "Done."], [off]],
        "garbled": [[on, "<tool_call>{"], [off]],
        "as_text": [["switch(on=True)", "[paint(colour='red')]", "Done."], ["switch(on=False)"]],
    }  # fmt: skip
    for model, turns in trajectories.items():
        row = {"id": "multi_turn_base_0", "result": turns}
        result(run, model, "multi_turn/BFCL_v4_multi_turn_base", row)
    return run


def test_trajectories_are_judged_where_they_part(tmp_path: Path) -> None:
    tally = Tally()
    records = trbench_build.read_results(
        [lamp_runs(tmp_path / "run")], [lamp_prompts(tmp_path / "p")], tally, backend=BACKEND
    )
    assert tally.counts["undecodable"] == 1
    second, later = records  # looking first spoils nothing, so that there no label is trusted
    assert {c.model: c.correct for c in second.candidates} == {
        "right": True, "blue": False, "forgets": True, "as_text": True,
    }  # fmt: skip
    labels = {c.model: (c.correct, c.error_type) for c in later.candidates}
    assert labels == {
        "right": (True, None),
        "as_text": (True, None),
        "forgets": (False, "multi_turn:empty_turn_model_response"),
    }
    roles = [message["role"] for message in later.messages]
    assert roles == ["user", "assistant", "tool", "assistant", "tool", "user"]
    built = trbench_build.build(records, Selector(), tally)
    assert {pair.split for pair in built.pairs} == {"multi_turn_base"}
    assert later.messages[2]["content"] == '{"on": true}'


def test_without_the_tools_the_split_is_left_out_with_its_reason(
    tmp_path: Path, v4: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("bfcl_eval", "bfcl_eval.constants.executable_backend_config"):
        monkeypatch.setitem(sys.modules, name, None)
    run = lamp_runs(tmp_path / "run")
    for model, what in (("m", "bread"), ("n", "x")):
        row = {"id": "simple_python_0", "result": bake(what)}
        result(run, model, "BFCL_v4_simple_python", row)
    built, _ = build_from(run, v4)
    assert "pip install --no-deps bfcl-eval" in built.report["left_out"]["multi_turn_base"]
    assert Counter(pair.split for pair in built.pairs) == {"simple": 1}


# --- choosing pairs -----------------------------------------------------------------------------


def record(number: int, outputs: list[tuple[str, Any, bool, str | None]]) -> LabelledRecord:
    tool = {**FUNCTION, "parameters": {"type": "object", "properties": {}}}
    return LabelledRecord.model_validate(
        {
            "id": f"simple_{number}", "source": "s", "split": "simple", "tools": [tool],
            "messages": [{"role": "user", "content": "Bake."}],
            "candidates": [
                {"model": model, "content": None if what else "no", "correct": correct,
                 "tool_calls": [{"name": "oven.bake", "arguments": {"b": what, "a": 1}}]
                 if what else [], "error_type": error}
                for model, what, correct, error in outputs
            ],
        }
    )  # fmt: skip


OUTPUTS = st.lists(
    st.tuples(
        st.sampled_from("klmn"),
        st.none() | st.sampled_from("abcdef"),
        st.booleans(),
        st.sampled_from(["value_error:string", "type_error:simple", None]),
    ),
    max_size=12,
)


@given(st.lists(OUTPUTS, max_size=5), st.integers(1, 3), st.integers(0, 2))
def test_what_holds_for_any_pairs(
    rows: list[list[tuple[str, Any, bool, str | None]]], cap: int, seed: int
) -> None:
    selector = Selector(cap=cap, per_split=6, per_model=2, seed=seed)
    records = [record(number, outputs) for number, outputs in enumerate(rows)]
    pairs = selector.select([pool_of(r, Counter()) for r in records])
    by_id = {r.id: r for r in records}
    assert len(pairs) <= 6
    assert len({pair.id for pair in pairs}) == len(pairs)
    for prompt, count in Counter(pair.prompt_id for pair in pairs).items():
        assert count <= cap
        mine = [pair for pair in pairs if pair.prompt_id == prompt]
        assert sum(not pair.rejected.tool_calls for pair in mine) <= 1
    assert all(n <= 2 for n in Counter(pair.rejected.model for pair in pairs).values())
    for pair in pairs:
        chosen, rejected = pair.chosen.candidate(), pair.rejected.candidate()
        labels = {(c.candidate().canonical, c.correct) for c in by_id[pair.prompt_id].candidates}
        assert (chosen.canonical, True) in labels
        assert (chosen.canonical, False) not in labels
        assert (rejected.canonical, False) in labels
        assert (rejected.canonical, True) not in labels
        assert pair.rejected_error_type
    shuffled = [r.model_copy(update={"candidates": r.candidates[::-1]}) for r in records]
    again = selector.select([pool_of(r, Counter()) for r in shuffled])
    assert [_calls(pair) for pair in again] == [_calls(pair) for pair in pairs]


def _calls(pair: LabelledPair) -> tuple[str, str, str, str]:
    return (pair.id, pair.rejected.model, pair.chosen.candidate().canonical,
            pair.rejected.candidate().canonical)  # fmt: skip


def test_error_types_and_models_take_turns() -> None:
    records = [
        record(n, [("r", "a", True, None), ("k", "b", False, "value_error:string"),
                   ("k", "c", False, "value_error:string"), ("k", "d", False, "type_error:simple"),
                   ("l", "d", False, "type_error:simple")])
        for n in range(10)
    ]  # fmt: skip
    pairs = Selector(per_split=10).select([pool_of(r, Counter()) for r in records])
    assert Counter(pair.rejected_error_type for pair in pairs) == {
        "value_error:string": 5,
        "type_error:simple": 5,
    }
    assert set(Counter(pair.rejected.model for pair in pairs).values()) <= {4, 5, 6}
    assert list(pairs[0].chosen.tool_calls[0].arguments) == ["a", "b"]  # type: ignore[index]


# --- the command --------------------------------------------------------------------------------


def labelled(folder: Path) -> Path:
    rows = [record(n, [("r", "a", True, None), ("k", "b", False, "x"), ("k", None, False, "y")])
            for n in range(3)]  # fmt: skip
    path = folder / "in.jsonl"
    lines(path, *(row.model_dump(exclude_unset=True) for row in rows))
    return path


def test_the_command_writes_what_the_bench_reads(tmp_path: Path) -> None:
    out = tmp_path / "out"
    trbench_build.main(["--records", str(labelled(tmp_path)), "--out", str(out)])
    pairs, records = out / trbench_build.PAIRS, out / trbench_build.RECORDS
    assert len(load_pairs(pairs, records)) == len(read_pairs(pairs)) == 6
    assert len(read_records(records)) == 3
    report = json.loads((out / trbench_build.REPORT).read_text())
    assert (report["pairs"], report["rejected_no_call"], report["by_split"]) == (
        6, 3, {"simple": 6},
    )  # fmt: skip
    first = pairs.read_bytes(), records.read_bytes()
    trbench.main(["build", "--records", str(tmp_path / "in.jsonl"), "--out", str(out)])
    assert (pairs.read_bytes(), records.read_bytes()) == first


def test_the_command_says_what_is_wrong(
    tmp_path: Path, v4: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = ["--out", str(tmp_path / "out")]
    with pytest.raises(SystemExit, match="ids are unique"):
        trbench_build.main(["--records", *[str(labelled(tmp_path))] * 2, *out])
    path = tmp_path / "foreign.jsonl"
    row = record(0, []).model_dump(exclude_unset=True)
    lines(path, {**row, "split": "hotels"})
    with pytest.raises(SystemExit, match="of split 'hotels'; TRBench has simple, multiple"):
        trbench_build.main(["--records", str(path), *out])
    lines(path, row)
    with pytest.raises(SystemExit, match="no pair from 1 prompts"):
        trbench_build.main(["--records", str(path), *out])
    result(tmp_path / "run", "m", "BFCL_v4_irrelevance", '{"id": ')
    with pytest.raises(SystemExit, match="and 0 more problems"):
        trbench_build.main(
            ["--results", str(tmp_path / "run"), "--prompts", str(v4), "--strict", *out]
        )
    assert "not used: run/m/BFCL_v4_irrelevance_result.json:1: bad_json" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        trbench_build.main(["--records", str(path), *out, "--cap", "0"])
    assert not (tmp_path / "out").exists()


def test_a_damaged_record_file_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "in.jsonl.gz"
    path.write_bytes(gzip.compress(labelled(tmp_path).read_bytes())[:-20])
    with pytest.raises(SystemExit, match="damaged"):
        trbench_build.main(["--records", str(path), "--out", str(tmp_path / "out")])
