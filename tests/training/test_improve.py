"""The loop of examples/07_improve.py, on a model that sometimes knows the answer."""

import importlib.util
import json
import random
from collections.abc import Sequence
from math import nan
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage, ToolMessage
from langchain_core.outputs import ChatGeneration, ChatResult

from toolrm_guard import FakeScorer, Guard, TraceStore
from toolrm_guard.demo.tasks import ALL_TASKS
from toolrm_guard.replay.gate import Gate
from toolrm_guard.scorers.lite import LiteModel

EXAMPLE = Path(__file__).parents[2] / "examples" / "07_improve.py"


class SometimesRight(BaseChatModel):
    """Calls the right tool, now and then with another's value, and says when it is done."""

    seed: int
    drawn: int = 0

    @property
    def _llm_type(self) -> str:
        return "sometimes-right"

    def bind_tools(self, tools: Sequence[Any], **kwargs: Any) -> "SometimesRight":
        return self

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: Any = None,
        **kwargs: Any,
    ) -> ChatResult:
        self.drawn += 1
        rng = random.Random(f"{self.seed}/{self.drawn}")
        done = sum(isinstance(message, ToolMessage) for message in messages)
        task = next(t for t in ALL_TASKS if any(t.request == m.content for m in messages))
        message = AIMessage(content="All done.")
        if done < len(task.right_calls):
            arguments = task.right_calls[done].reference()
            if rng.random() < 0.4:
                arguments = {name: "X9" for name in arguments}
            call = {"name": task.right_calls[done].name, "args": arguments, "id": f"c{self.drawn}"}
            message = AIMessage(content="", tool_calls=[call])
        return ChatResult(generations=[ChatGeneration(message=message)])


@pytest.fixture(scope="module")
def example() -> ModuleType:
    spec = importlib.util.spec_from_file_location("improve", EXAMPLE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_loop_runs_harvests_retrains_replays_and_says_before_and_after(
    example: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "figures.json"
    flags = ["--train", "5", "--gate", "3", "--held-out", "3", "--candidates", "4", "--run-anyway"]
    code = example.main(
        [*flags, "--seeds", "0", "1", "--out", str(tmp_path / "runs"), "--json", str(out)],
        model_for=lambda seed: SometimesRight(seed=seed),
    )
    assert code == 0
    said = capsys.readouterr().out
    assert "held-out tasks before" in said
    assert "all seeds: solved" in said
    figures = json.loads(out.read_text())
    for found in figures["seeds"]:
        assert found["pairs"] > 0
        assert found["before"]["runs"] == found["after"]["runs"] == 3
        folder = tmp_path / "runs" / f"seed-{found['seed']}"
        if found["promoted"]:
            promoted = LiteModel.load(folder / "models" / "current")
            assert promoted.calibration.fingerprint != LiteModel.load().calibration.fingerprint
        else:
            assert not (folder / "models").exists()


def test_a_candidate_that_cannot_judge_the_hard_reviews_is_not_promoted(
    example: ModuleType, tmp_path: Path
) -> None:
    tools = [{"name": "save_note", "parameters": {"type": "object", "properties": {"n": {}}}}]
    with TraceStore(tmp_path / "gate.db") as store:
        guard = Guard(FakeScorer(lambda request: [0.9]), store=store)
        for n in range(10):
            call = {"name": "save_note", "args": {"n": n}, "id": f"c{n}"}
            guard.review(f"Save {n}", tools, [{"tool_calls": [call]}], conversation_id=str(n))
            guard.record_outcome(f"c{n}", ok=True, conversation_id=str(n))
        assert store.flush()
    known = FakeScorer(lambda request: [0.9])
    patchy = FakeScorer(lambda request: [nan if "7" in request.messages[-1].text else 0.9])
    verdicts = [
        Gate.parse(example.GATE).check(example.replayed(tmp_path / "gate.db", scorer))
        for scorer in (known, patchy)
    ]
    assert [verdict.passed for verdict in verdicts] == [True, False]
    assert [line for line in verdicts[1].lines if line.startswith("fails")] == [
        "fails: unjudged <= 0.05 (unjudged 0.1)"
    ]


def test_no_task_is_on_two_sides(example: ModuleType, tmp_path: Path) -> None:
    flags = ["--train", "3", "--gate", "2", "--held-out", "2", "--candidates", "2"]
    example.main([*flags, "--out", str(tmp_path)], model_for=lambda seed: SometimesRight(seed=seed))
    asked: dict[str, set[str]] = {}
    for name in ("own", "gate", "before"):
        with TraceStore(tmp_path / "seed-0" / f"{name}.db") as store:
            asked[name] = {review.messages[0].text for review in store.reviews()}
    assert not asked["own"] & asked["gate"]
    assert not (asked["own"] | asked["gate"]) & asked["before"]
