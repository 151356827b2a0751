"""Drafts, critiques and what became of them; offline, and with real servers."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from bench import self_correction
from bench.answers.marking import can_be_marked, is_right
from bench.correcting.critics import GenCritic, make_critic
from bench.correcting.policies import RecordedPolicy, Rejected
from bench.judges.protocol import JudgeSettings
from tests.support.serving import called, said, serving
from tests.unit.bench import packs
from toolrm_guard.calls import Call, Candidate
from toolrm_guard.errors import ConfigurationError, CouldNotJudge, InvalidScore
from toolrm_guard.labelled import LabelledFileError, LabelledRecord


def record(**changed: Any) -> LabelledRecord:
    return LabelledRecord.model_validate({**packs.record(0), **changed})


def candidate(*cities: Any) -> Candidate:
    return Candidate(calls=tuple(Call(name="weather", arguments={"city": c}) for c in cities))


def run(folder: Path, *more: str, rows: list[dict[str, Any]] | None = None) -> Any:
    records = packs.write(folder / "records.jsonl", packs.records() if rows is None else rows)
    out = folder / "out.json"
    self_correction.main(["--records", str(records), "--json", str(out), *more])
    return json.loads(out.read_text())


# --- what is right --------------------------------------------------------------------------------


def test_an_answer_is_right_if_it_agrees_with_the_reference() -> None:
    assert is_right(record(), candidate("Oslo"))
    assert not is_right(record(), candidate("Lima"))
    assert not is_right(record(), candidate())
    none_due = record(reference={"content": None, "tool_calls": []})
    assert is_right(none_due, Candidate(text="Which city?"))
    defective = Call.parse({"name": "weather", "arguments": "{"})
    assert not is_right(none_due, Candidate(calls=(defective,)))


def test_possible_answers_of_bfcl_come_before_the_reference() -> None:
    accept = [{"weather": {"city": ["Oslo, Norway", "Lima"]}}]
    known = record(source="bfcl-v4", accept=accept)
    assert is_right(known, candidate("lima"))
    assert not is_right(known, candidate("Oslo"))


def test_without_either_nothing_can_be_marked() -> None:
    bare = record(reference=None)
    assert not can_be_marked(bare)
    with pytest.raises(LabelledFileError, match="neither possible answers nor a reference"):
        is_right(bare, candidate("Oslo"))


# --- offline --------------------------------------------------------------------------------------


@pytest.mark.parametrize("critic", ["none", "oracle", "lite"])
def test_fixed_and_broken_answers_are_counted_apart(tmp_path: Path, critic: str) -> None:
    out = run(tmp_path, "--policy", "recorded", "--critic", critic, "--rounds", "2")
    assert (out["bench"], out["policy"], out["critic"]) == ("self_correction", "recorded", critic)
    assert out["tasks"] == 4
    change = (out["fixed"] - out["broken"]) / out["tasks"]
    assert out["after"] - out["before"] == pytest.approx(change)
    kept = out["kept_right"] + out["kept_wrong"]
    assert kept + out["fixed"] + out["broken"] == 4
    assert out["accuracy_by_round"][0] == out["before"]
    assert out["accuracy_by_round"][-1] == out["after"]
    assert len(out["accuracy_by_round"]) == 3
    if critic == "oracle":
        assert (out["after"], out["broken"], out["rejected_right"]) == (1.0, 0, 0)
    if critic == "none":
        assert out["rejected_right"] + out["rejected_wrong"] == 4
    assert sum(part["tasks"] for part in out["by_split"].values()) == 4


def test_recorded_drafts_run_out() -> None:
    policy, one = RecordedPolicy(seed=0), record()
    sent_back = Rejected(candidate=candidate("Lima"), critique="no")
    texts = [asyncio.run(policy.draft(one, [sent_back] * n)).right for n in range(3)]
    assert sorted(texts, key=str) == [False, True, True]
    with pytest.raises(CouldNotJudge, match="no output left"):
        asyncio.run(policy.draft(one, [sent_back] * 3))


def test_settings_that_are_missing_are_named(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="--policy endpoint needs --endpoint URL"):
        run(tmp_path)
    with pytest.raises(SystemExit, match="--critic gen needs --critic-endpoint URL"):
        run(tmp_path, "--policy", "recorded", "--critic", "gen")
    with pytest.raises(ConfigurationError, match="no critic wise; known: lite"):
        make_critic("wise", JudgeSettings())
    bare = [{**packs.record(0), "reference": None}]
    with pytest.raises(SystemExit, match="no record has answers that can be marked"):
        run(tmp_path, rows=bare)


# --- with servers ---------------------------------------------------------------------------------


def policy(body: dict[str, Any]) -> tuple[int, Any]:
    """It answers wrongly at first, and rightly once it is told that Oslo was asked for."""
    told = [m["content"] for m in body["messages"] if m["role"] == "tool"]
    return 200, called("Oslo" if told and "Oslo" in told[-1] else "Lima", tokens=10)


def critic(body: dict[str, Any]) -> tuple[int, Any]:
    response = (
        body["messages"][1]["content"]
        .partition("<the_response>")[2]
        .partition("</the_response>")[0]
    )
    verdict = "wrong" if "Lima" in response else "right"
    text = f"<evaluation>Oslo was asked for.</evaluation><verdict>{verdict}</verdict>"
    return 200, said(text, tokens=30)


def test_a_critique_over_http_mends_the_answers_and_tokens_are_counted(tmp_path: Path) -> None:
    with serving(policy) as writer, serving(critic) as reader:
        out = run(
            tmp_path, "--endpoint", writer.url, "--model", "p", "--critic", "gen",
            "--critic-endpoint", reader.url, "--critic-model", "c", "--rounds", "3",
        )  # fmt: skip
    assert (out["before"], out["after"], out["fixed"]) == (0.0, 1.0, 4)
    assert out["accuracy_by_round"] == [0.0, 1.0, 1.0, 1.0]
    assert (out["first_tokens"], out["policy_tokens"], out["critic_tokens"]) == (40, 80, 240)
    second = writer.bodies[-1]["messages"]
    assert [m["role"] for m in second] == ["user", "assistant", "tool"]
    assert second[1]["tool_calls"][0]["id"] == second[2]["tool_call_id"]


def test_the_guard_is_a_critic_without_tokens(tmp_path: Path) -> None:
    with serving(policy) as writer:
        out = run(tmp_path, "--endpoint", writer.url, "--model", "p", "--critic", "lite")
    assert out["critic_tokens"] == 0
    assert out["rejected_wrong"] == 4


def test_a_critic_that_fails_leaves_the_answer_and_is_counted(tmp_path: Path) -> None:
    with serving(policy) as writer, serving(lambda body: (200, said("hm"))) as reader:
        out = run(
            tmp_path, "--endpoint", writer.url, "--model", "p", "--critic", "gen",
            "--critic-endpoint", reader.url, "--critic-model", "c",
        )  # fmt: skip
    assert out["unjudged"] == {"InvalidScore": 4}
    assert (out["fixed"], out["broken"]) == (0, 0)
    assert "names no verdict" in out["notes"][0]


def test_a_policy_that_answers_nothing_ends_the_run(tmp_path: Path) -> None:
    with (
        serving(lambda body: (200, {"choices": []})) as writer,
        pytest.raises(SystemExit, match="'p' answered none of 4 prompts"),
    ):
        run(tmp_path, "--endpoint", writer.url, "--model", "p")


def test_a_thought_is_no_verdict() -> None:
    async def go(url: str) -> Any:
        async with GenCritic(JudgeSettings(url=url, model="c")) as asked:
            return await asked.review(record(), candidate("Oslo"))

    thought = "<think><verdict>wrong</verdict></think>"
    with serving(lambda body: (200, said(f"{thought}<verdict>right</verdict>"))) as served:
        assert asyncio.run(go(served.url)).text is None
    with (
        serving(lambda body: (200, said(thought))) as served,
        pytest.raises(InvalidScore, match="no verdict"),
    ):
        asyncio.run(go(served.url))
