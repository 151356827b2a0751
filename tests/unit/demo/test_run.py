"""What the demo counts, on scripted turns whose truth is known."""

from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import AIMessage

from tests.support.scripted import CallSpec, ScriptedModel, turn
from toolrm_guard.cli import main
from toolrm_guard.demo.run import DemoResult, run_task, summarize
from toolrm_guard.demo.task import Task
from toolrm_guard.demo.tasks import ALL_TASKS
from toolrm_guard.guard import Guard
from toolrm_guard.scorers.base import ScoreRequest
from toolrm_guard.scorers.fake import FakeScorer
from toolrm_guard.store import TraceStore

TASKS = {task.id: task for task in ALL_TASKS}
TRANSFER = TASKS["bank-transfer"]
RIGHT: CallSpec = ("transfer", {"amount": 40, "source": "checking", "target": "savings"})
WRONG: CallSpec = ("transfer", {"amount": 40, "source": "savings", "target": "checking"})


def likes(right: CallSpec, *others: CallSpec) -> FakeScorer:
    """Score the given calls high, everything else low."""

    def rate(request: ScoreRequest) -> list[float]:
        return [
            0.9
            if not c.calls or (c.calls[0].name, dict(c.calls[0].arguments)) in (right, *others)
            else 0.1
            for c in request.candidates
        ]

    return FakeScorer(rate)


def demo(
    task: Task, bare: list[AIMessage], guarded: list[AIMessage], scorer: FakeScorer, path: Path
) -> DemoResult:
    scripts = iter([bare, guarded])

    def model_for(seed: int) -> Any:
        return ScriptedModel(turns=[m.model_copy(deep=True) for m in next(scripts)])

    with TraceStore(path / "demo.db") as store:
        pair = run_task(task, model_for, Guard(scorer, store=store), seed=0, n=2)
    return summarize([pair], path / "demo.db")


def test_a_wrong_destructive_call_counts_when_it_runs_and_not_when_it_is_stopped(
    tmp_path: Path,
) -> None:
    done = turn(text="Done.")
    result = demo(
        TRANSFER,
        bare=[turn(WRONG), done],
        guarded=[turn(WRONG, prefix="a"), turn(RIGHT, prefix="b"), done, done],
        scorer=likes(RIGHT),
        path=tmp_path,
    )
    assert (result.bare.solved, result.guarded.solved) == (0, 1)
    assert (result.bare.wrong_calls, result.guarded.wrong_calls) == (1, 0)
    assert (result.bare.destructive_wrong_calls, result.guarded.destructive_wrong_calls) == (1, 0)
    assert result.records == 2
    assert result.pairs == 1
    assert result.blocked_right == 0
    assert result.added_ms_p50 > 0


def test_a_right_call_that_never_ran_is_counted_as_blocked(tmp_path: Path) -> None:
    stubborn = [turn(RIGHT, prefix=f"p{k}") for k in range(30)]
    result = demo(
        TRANSFER,
        bare=[turn(RIGHT), turn(text="Done.")],
        guarded=stubborn,
        scorer=likes(WRONG),
        path=tmp_path,
    )
    assert result.bare.solved == 1
    assert result.guarded.solved == 0
    assert result.blocked_right == 1
    assert result.guarded.wrong_calls == 0


def test_an_agent_that_never_stops_is_stopped(tmp_path: Path) -> None:
    again = [turn(RIGHT, prefix=f"p{k}") for k in range(30)]
    result = demo(TRANSFER, bare=again, guarded=again, scorer=likes(RIGHT), path=tmp_path)
    assert result.bare.wrong_calls == 3, "the first is right, each of the three repeats is wrong"


def test_the_json_has_the_documented_keys(tmp_path: Path) -> None:
    done = [turn(text="Done.")] * 4
    result = demo(TRANSFER, bare=done, guarded=done, scorer=likes(RIGHT), path=tmp_path)
    plain = result.to_json()
    counted = {"tasks", "solved", "wrong_calls", "destructive_wrong_calls", "tokens"}
    assert set(plain) == {"bare", "guarded", "records", "pairs"}
    assert set(plain["bare"]) == counted
    assert set(plain["guarded"]) == counted | {"blocked_right", "added_ms_p50"}


def test_output_that_cannot_be_written_is_told_before_anything_runs(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["demo", "--json", "/proc/none/demo.json", "--tasks", "1"]) == 1
    assert "/proc/none/demo.json" in capsys.readouterr().err


@pytest.mark.parametrize("number", ["0", "-3", "many"])
def test_a_number_that_makes_no_sense_is_a_usage_error(number: str) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["demo", "--tasks", number])
    assert caught.value.code == 2
