"""The README's example prints what the README says."""

import contextlib
import io
import re
from pathlib import Path
from typing import Any

from langchain.agents import create_agent
from langgraph.graph import START, MessagesState, StateGraph

from tests.support.scripted import Ledger, ScriptedModel, turn
from toolrm_guard import (
    FakeScorer,
    Guard,
    GuardMiddleware,
    Policy,
    ScoreRequest,
    guard_node,
    guarded_tool_node,
)

README = Path(__file__).parents[2] / "README.md"


def test_the_example_prints_what_stands_below_it() -> None:
    text = README.read_text(encoding="utf-8")
    blocks = re.findall(r"```python\n(.*?)```\n```\n(.*?)```", text, re.S)
    assert len(blocks) == 1
    for code, expected in blocks:
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile(code, str(README), "exec"), {})
        assert printed.getvalue() == expected


def test_both_surfaces_run_as_they_are_shown() -> None:
    text = README.read_text(encoding="utf-8")
    [code] = re.findall(r"```python\n(agent = .*?)```", text, re.S)
    ledger = Ledger()
    bad, good = ("transfer", {"amount": 5, "to": "bob"}), ("get_balance", {"account": "x"})
    rates = {"transfer": 0.1, "get_balance": 0.9}

    def rate(request: ScoreRequest) -> list[float]:
        return [rates[c.calls[0].name] if c.calls else 0.9 for c in request.candidates]

    class Model(ScriptedModel):
        """Proposes what is refused eight times, then what is not, then stops."""

        def _generate(self, messages: Any, *args: Any, **kwargs: Any) -> Any:
            done = any(m.type == "tool" and m.status == "success" for m in messages)
            refused = any(m.type == "tool" and m.status == "error" for m in messages)
            said = turn(text="done") if done else turn(good if refused else bad)
            self.turns.append(said)
            return super()._generate(messages, *args, **kwargs)

    graph = StateGraph(MessagesState)
    names = {
        "create_agent": create_agent,
        "GuardMiddleware": GuardMiddleware,
        "guard_node": guard_node,
        "guarded_tool_node": guarded_tool_node,
        "START": START,
        "graph": graph,
        "model": Model(turns=[]),
        "tools": [ledger.get_balance, ledger.transfer],
        "guard": Guard(FakeScorer(rate), policy=Policy(max_corrections=0)),
    }
    exec(compile(code, str(README), "exec"), names)
    agent: Any = names["agent"]
    for surface in (agent, graph.compile()):
        ledger.ran.clear()
        done = surface.invoke({"messages": [("user", "How much is on x?")]})
        assert ledger.ran == [good], "the refused turn went back to the model"
        assert done["messages"][-1].text == "done"


def test_every_folder_of_the_file_map_exists() -> None:
    text = README.read_text(encoding="utf-8")
    listed = re.findall(r"^(\w+)/  ", text, re.M)
    assert len(listed) >= 5
    assert all((README.parent / folder).is_dir() for folder in listed)
