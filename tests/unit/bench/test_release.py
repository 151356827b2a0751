"""The official file's form, read and refused; rows are made up."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import parquet

from bench import trbench
from bench.release import SPLITS, parse_turn, read_release
from tests.support.serving import said, serving
from tests.unit.bench import packs
from toolrm_guard.labelled import LabelledFileError

SYSTEM = (
    "Functions stand between <tools> and </tools>.\n<tools>\n"
    + json.dumps({"type": "function", "function": packs.TOOL})
    + "\n</tools>"
)


def response(city: str) -> str:
    call = {"name": "weather", "arguments": {"city": city}}
    return f"<tool_call>\n{json.dumps(call)}\n</tool_call>"


def row(index: int, split: str, truth: str) -> dict[str, Any]:
    right, wrong = response("Oslo"), response("Lima")
    shown = (right, wrong) if truth == "1" else (wrong, right)
    return {
        "chat_history": [
            {"role": "system", "content": SYSTEM},
            {"role": "user", "content": f"Weather in Oslo, {index}?"},
        ],
        "chosen_response": right,
        "reject_response": wrong,
        "prompt": [{"role": "user", "content": f"1: {shown[0]} 2: {shown[1]}"}],
        "reward_model": {"ground_truth": truth, "style": "rule"},
        "extra_info": {"task_source": f"BFCL_v3_{split}", "index": index, "original_index": index},
    }


def rows() -> list[dict[str, Any]]:
    return [row(i, s, t) for t in ("1", "2") for i, s in enumerate(SPLITS)]


def write(path: Path, content: list[dict[str, Any]]) -> Path:
    parquet.write_table(pa.Table.from_pylist(content), path)
    return path


def test_every_pair_is_read_once_with_both_prompts(tmp_path: Path) -> None:
    cases = read_release(write(tmp_path / "t.parquet", rows()))
    assert [case.pair.split for case in cases] == list(SPLITS)
    case = cases[0]
    assert [truth for _, truth in case.prompts] == [1, 2]
    assert list(case.request.tools) == ["weather"]
    assert [m.role for m in case.request.messages] == ["system", "user"]
    assert "<tools>" not in case.request.messages[0].text.partition("</tools>.")[2]
    right = case.request.candidates[case.chosen]
    assert right.calls[0].arguments == {"city": "Oslo"}
    assert case.texts[case.chosen] == response("Oslo")
    assert {each.chosen for each in cases} == {0, 1}


def test_one_command_judges_the_release_with_a_server(tmp_path: Path) -> None:
    path, out = write(tmp_path / "t.parquet", rows()), tmp_path / "out.json"

    def generative(body: dict[str, Any]) -> tuple[int, Any]:
        [asked] = body["messages"]  # the published prompt, and nothing of ours
        first = asked["content"].partition(" 2: ")[0]
        return 200, said(f"<choice>\n{1 if 'Oslo' in first else 2}\n</choice>")

    def discriminative(body: dict[str, Any]) -> tuple[int, Any]:
        reward = float("Oslo" in body["messages"][-1]["content"])
        return 200, {"data": [{"probs": [reward]}]}

    for scorer, answer in (("gen", generative), ("disc", discriminative)):
        with serving(answer) as served:
            trbench.main(
                [
                    *("--release", str(path), "--scorer", scorer, "--json", str(out)),
                    *("--endpoint", served.url, "--model", "rm"),
                ]
            )
        found = json.loads(out.read_text())
        assert (found["scorer"], found["pairs"], found["weighted"]) == (scorer, 9, 1.0)
        assert len(found["splits"]) == 9
        assert len(served.bodies) == 18


def test_a_local_scorer_reads_the_tools_from_the_system_message(tmp_path: Path) -> None:
    cases = read_release(write(tmp_path / "t.parquet", rows()))
    assert trbench.evaluate(cases, trbench.make_judge("lite", trbench.JudgeSettings())).judged == 9
    content = rows()
    for each in content:
        each["chat_history"] = each["chat_history"][1:]
    cases = read_release(write(tmp_path / "u.parquet", content))
    report = trbench.evaluate(cases, trbench.make_judge("lite", trbench.JudgeSettings()))
    assert report.weighted is None
    assert "lists no tools" in report.notes[0]


def test_other_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    with pytest.raises(LabelledFileError, match="no pairs for split multi_turn_base"):
        read_release(write(path, [r for r in rows() if "multi" not in str(r["extra_info"])]),
                     ["simple", "multi_turn_base"])  # fmt: skip
    with pytest.raises(LabelledFileError, match="17 rows; every pair must stand twice"):
        read_release(write(path, rows()[:-1]))
    with pytest.raises(LabelledFileError, match="name the same choice"):
        read_release(write(path, rows()[:9] * 2))
    shuffled = rows()
    shuffled[9]["chosen_response"] = "other"
    with pytest.raises(LabelledFileError, match="different pairs"):
        read_release(write(path, shuffled))
    with pytest.raises(LabelledFileError, match="no column chat_history"):
        read_release(write(path, [{"a": 1}]))
    bad = [{**each, "reward_model": {"ground_truth": "3"}} for each in rows()]
    with pytest.raises(LabelledFileError, match=r"row 0: reward_model\.ground_truth"):
        read_release(write(path, bad))
    path.write_text("no parquet")
    with pytest.raises(LabelledFileError, match="not a readable parquet file"):
        read_release(path)


def test_a_call_that_cannot_be_read_has_a_defect() -> None:
    turn = parse_turn("Let me see. <tool_call>{broken</tool_call>" + response("Oslo"))
    assert turn.text == "Let me see."
    assert turn.calls[0].defect is not None
    assert turn.calls[1].name == "weather"
