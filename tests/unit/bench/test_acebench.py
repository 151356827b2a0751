"""ACEBench's files as records, and its checker; the samples are of the public repository (MIT)."""

import json
from pathlib import Path
from typing import Any

import pytest

from bench import acebench
from bench.acebench import read_acebench
from bench.answers.acebench import check_normal, check_special
from bench.answers.marking import is_right
from toolrm_guard.calls import Call, Candidate
from toolrm_guard.foreign import BadField
from toolrm_guard.labelled import read_records

SAMPLE = Path(__file__).parents[4] / "shared" / "data" / "formats" / "acebench.json"

TOOL = {
    "name": "plan",
    "description": "Plan a visit",
    "parameters": {
        "type": "object",
        "properties": {
            "place": {"type": "string"},
            "days": {"type": "integer"},
            "price": {"type": "number"},
            "guests": {"type": "array", "items": {"type": "string"}},
            "hotel": {"type": "object"},
            "stops": {"type": "array", "items": {"type": "object"}},
            "vegan": {"type": "boolean"},
        },
        "required": ["place"],
    },
}
RIGHT = {"place": "Old Town", "days": 2}


def error(found: Any, expected: Any = None, *, strict: bool = False) -> str | None:
    calls = [Call(name=name, arguments=arguments) for name, arguments in found]
    return check_normal([TOOL], expected or {"plan": RIGHT}, calls, strict=strict)


@pytest.mark.parametrize(
    ("arguments", "wrong"),
    [
        (RIGHT, None),
        ({"place": "old-town"}, None),  # an optional one may be left out
        ({"place": "The Old Town of Graz", "days": 2}, None),  # more text is fine
        ({"place": "New Town", "days": 2}, "value_error:string"),
        ({"days": 2}, "lack_args"),
        ({**RIGHT, "vegan": True}, "addition_args"),
        ({"place": "Old Town", "days": "two"}, "type_error"),
        ({}, "wrong_param"),
    ],
)
def test_one_call_is_judged_by_its_arguments(arguments: dict[str, Any], wrong: str | None) -> None:
    assert error([("plan", arguments)]) == wrong


def test_numbers_are_compared_only_on_demand() -> None:
    assert error([("plan", {**RIGHT, "days": 9})]) is None  # as the official checker
    assert error([("plan", {**RIGHT, "days": 9})], strict=True) == "value_error"
    assert error([("plan", RIGHT)], strict=True) is None


@pytest.mark.parametrize(
    ("key", "value", "expected", "wrong"),
    [
        ("guests", ["ann b.", "Cy"], ["Ann B", "cy"], None),
        ("guests", ["Cy", "Ann B"], ["Ann B", "Cy"], "value_error:list/tuple"),
        ("hotel", {"name": "Post", "stars": 3}, {"name": "post", "stars": 3}, None),
        ("hotel", {"name": "Post"}, {"name": "Post", "stars": 3}, "value_error"),
        ("hotel", {"at": {"x": 1}}, {"at": {"x": 2}}, "value_error"),
        ("stops", [{"id": "a"}], [{"id": "A"}], None),
        ("stops", [], [{"id": "A"}], "value_error:list_dict_count"),
        ("vegan", "true", True, None),
        ("vegan", 3, True, "type_error"),
    ],
)
def test_values_are_compared_by_their_kind(
    key: str, value: Any, expected: Any, wrong: str | None
) -> None:
    found = error([("plan", {"place": "x", key: value})], {"plan": {"place": "x", key: expected}})
    assert found == wrong


def test_parallel_answers_are_numbered_and_in_any_order() -> None:
    expected = {"plan_1": {"place": "Graz"}, "plan_2": {"place": "Linz"}}
    assert error([("plan", {"place": "Linz"}), ("plan", {"place": "Graz"})], expected) is None
    assert error([("plan", {"place": "Linz"})], expected) == "wrong functions number"
    other = [("plan", {"place": "Linz"}), ("fly", {"place": "Graz"})]
    assert error(other, expected) == "function_mismatch"
    either = [{"plan": {"place": "Graz"}}, {"plan": {"place": "Linz"}}]
    assert error([("plan", {"place": "Linz"})], either) is None


@pytest.mark.parametrize(
    ("category", "text", "wrong"),
    [
        ("special_incomplete", "Missing necessary parameters (day) for the api (plan)", None),
        ("special_incomplete", "Missing necessary parameters (day) for it", "error_correction"),
        ("special_incomplete", "Which day?", "error_detection"),
        ("special_error_param", "There is incorrect value (day)", None),
        ("special_irrelevant", "Due to the limitations of the function, no", None),
        ("special_irrelevant", "no", "error_detection"),
    ],
)
def test_special_answers_must_name_the_problem(category: str, text: str, wrong: str | None) -> None:
    assert check_special(category, {"plan": ["day"]}, text) == wrong


# --- files ----------------------------------------------------------------------------------------


def lines(path: Path, rows: list[Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")


def checkout(root: Path) -> Path:
    data = root / "data_all" / "data_en"
    question = "user: Plan a visit.\nsystem: Where?\nuser: Old Town,\nfor 2 days.\n"
    ids = ["normal_atom_number_0", "normal_atom_number_1"]
    prompts = [
        {"id": i, "question": question, "function": [TOOL], "time": "It is Monday."} for i in ids
    ]
    lines(data / "data_normal_atom_number.json", prompts)
    truths = [{"id": i, "ground_truth": {"plan": RIGHT}} for i in ids]
    lines(data / "possible_answer" / "data_normal_atom_number.json", truths)
    special = {"id": "special_incomplete_0", "question": "user: Plan.", "function": [TOOL]}
    lines(data / "data_special_incomplete.json", [special])
    truth = {"id": "special_incomplete_0", "ground_truth": {"plan": ["place"]}}
    lines(data / "possible_answer" / "data_special_incomplete.json", [truth])
    lines(data / "data_agent_multi_turn.json", [{"id": "agent_0"}])
    results = root / "result_all" / "result_en" / "org" / "m1"
    outputs = ["[plan(place='Old Town', days=2)]", "<think>hm</think>[plan(place='New Town'"]
    rows = [{"id": i, "result": text} for i, text in zip(ids, outputs, strict=True)]
    lines(results / "data_normal_atom_number_result.json", rows)
    said = '["Missing necessary parameters (place) for the api (plan)"]'
    row = {"id": "special_incomplete_0", "result": said}
    lines(results / "data_special_incomplete_result.json", [row])
    return root


def test_a_checkout_becomes_records(tmp_path: Path) -> None:
    out = tmp_path / "records.jsonl"
    acebench.main(["--root", str(checkout(tmp_path)), "--out", str(out)])
    one, two, special = read_records(out)
    assert [m["role"] for m in one.messages] == ["system", "user", "assistant", "user"]
    assert one.messages[-1]["content"] == "Old Town,\nfor 2 days."
    assert (one.split, special.split) == ("atom", "special")
    assert (one.candidates[0].model, one.candidates[0].correct) == ("org/m1", True)
    cut_off = two.candidates[0]
    assert (cut_off.correct, cut_off.error_type) == (False, "wrong_output_format")
    assert special.candidates[0].tool_calls == ()
    assert special.candidates[0].correct is True
    assert is_right(one, one.candidates[0].candidate())
    assert not is_right(special, Candidate(text="Which place?"))


def test_official_scores_come_before_our_checker(tmp_path: Path) -> None:
    root = checkout(tmp_path)
    score = root / "score_all" / "score_en" / "org" / "m1" / "data_normal_atom_number_score.json"
    wrong = {"id": "normal_atom_number_0", "valid": False, "error_type": "value_error"}
    lines(score, [{"accuracy": 0.5, "correct_count": 1, "total_count": 2}, wrong])
    records, counts = read_acebench(root)
    assert [r.candidates[0].correct for r in records] == [False, True, True]
    assert counts["unreadable"] == 1
    lines(score, [{"total_count": 50}, wrong])
    with pytest.raises(BadField, match="scores 50 of 2 outputs"):
        read_acebench(root)


def test_files_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadField, match="give the checkout's root"):
        read_acebench(tmp_path)
    root = checkout(tmp_path)
    answers = root / "data_all" / "data_en" / "possible_answer" / "data_normal_atom_number.json"
    lines(answers, [])
    with pytest.raises(BadField, match="has no possible answer"):
        read_acebench(root)
    answers.unlink()
    with pytest.raises(SystemExit, match="take the whole checkout"):
        acebench.main(["--root", str(root), "--out", str(tmp_path / "x")])


@pytest.mark.skipif(not SAMPLE.exists(), reason="the format samples are not here")
def test_the_original_samples_are_read(tmp_path: Path) -> None:
    sample = json.loads(SAMPLE.read_text())
    base = tmp_path / "data_all" / "data_zh"
    for category, rows in sample["data"].items():
        lines(base / f"data_{category}.json", rows)
        lines(base / "possible_answer" / f"data_{category}.json",
              sample["possible_answer"][category])  # fmt: skip
    results = tmp_path / "result_all" / "result_zh" / "m"
    lines(results / "data_normal_atom_bool_result.json", sample["result"])
    records, counts = read_acebench(tmp_path, "zh")
    assert sorted(record.split for record in records) == sorted(acebench.GROUPS)
    assert counts == {"readable": 1, "correct: True": 1}
    similar = next(record for record in records if record.split == "similar_api")
    assert similar.messages[2]["tool_calls"][0]["name"] == "brand_info_jya"
    for record in records:
        record.toolset()
        if record.split != "special" and record.reference and record.reference.tool_calls:
            assert is_right(record, record.reference.candidate())
