"""Every graph of `graphs/` runs: by itself over scripted turns, and served by `langgraph dev`."""

import importlib
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from langchain_core.messages import AIMessage, HumanMessage
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import Command

from graphs import best_of_n, human_review, self_correct, shadow, supervisor
from tests.support.scripted import Ledger, ScriptedModel, turn
from toolrm_guard import FakeScorer, Guard, Policy, ScoreRequest, TraceStore

ROOT = Path(__file__).parents[2]
SERVED = json.loads((ROOT / "langgraph.json").read_text())["graphs"]
TRANSFER = ("transfer", {"amount": 5, "to": "bob"})
BALANCE = ("get_balance", {"account": "checking"})


def rate(request: ScoreRequest) -> list[float]:
    rates = {"transfer": 0.3}
    return [rates.get(c.calls[0].name, 0.95) if c.calls else 0.95 for c in request.candidates]


async def ask(graph: Any, said: object = "How much?", **config: Any) -> dict[str, Any]:
    given = {"messages": [HumanMessage(said)]} if isinstance(said, str) else said
    done: dict[str, Any] = await graph.ainvoke(given, {"configurable": config} if config else None)
    return done


def tools(ledger: Ledger) -> list[Any]:
    return [ledger.get_balance, ledger.transfer]


async def test_best_of_n_draws_more_only_while_in_doubt(ledger: Ledger) -> None:
    turns = [turn(TRANSFER), turn(BALANCE, prefix="d"), turn(text="100"), turn(text="never drawn")]
    model = ScriptedModel(turns=turns)
    done = await ask(best_of_n.build(model, tools(ledger), Guard(FakeScorer(rate))))
    assert ledger.ran == [BALANCE]
    assert done["messages"][-1].text == "100"
    assert [m.text for m in model.turns] == ["never drawn"]


async def test_self_correct_sends_the_critique_back_off_the_history(ledger: Ledger) -> None:
    model = ScriptedModel(turns=[turn(TRANSFER), turn(BALANCE, prefix="d"), turn(text="100")])
    done = await ask(self_correct.build(model, tools(ledger), Guard(FakeScorer(rate))))
    assert ledger.ran == [BALANCE]
    assert "not accepted" in model.seen[1][-1].content
    assert [m.type for m in done["messages"]] == ["human", "ai", "tool", "ai"]


async def test_human_review_waits_and_runs_what_was_approved(ledger: Ledger) -> None:
    model = ScriptedModel(turns=[turn(TRANSFER), turn(text="Done.")])
    guard = Guard(FakeScorer(rate), policy=human_review.POLICY)
    graph = human_review.build(model, tools(ledger), guard, checkpointer=InMemorySaver())
    asked = await ask(graph, thread_id="1")
    [pause] = asked["__interrupt__"]
    assert pause.value["action_requests"][0]["name"] == "transfer"
    assert ledger.ran == []
    done = await ask(graph, Command(resume={"decisions": [{"type": "approve"}]}), thread_id="1")
    assert ledger.ran == [TRANSFER]
    assert done["messages"][-1].text == "Done."


async def test_shadow_changes_nothing_and_records_what_would_have_been(
    ledger: Ledger, tmp_path: Path
) -> None:
    model = ScriptedModel(turns=[turn(TRANSFER), turn(text="Done.")])
    with TraceStore(tmp_path / "t.db") as store:
        guard = Guard(FakeScorer(rate), policy=Policy(mode="shadow"), store=store)
        done = await ask(shadow.build(model, tools(ledger), guard))
        assert store.flush()
        first = next(iter(store.reviews()))
    assert ledger.ran == [TRANSFER]
    assert all(not m.response_metadata for m in done["messages"] if isinstance(m, AIMessage))
    assert (first.mode, first.decision) == ("shadow", "reject")


@pytest.mark.parametrize("way", ["sync", "async"])
async def test_the_supervisors_workers_are_guarded(ledger: Ledger, way: str) -> None:
    model = ScriptedModel(
        turns=[
            turn(("ask_bank", {"request": "Give bob 5 dollars."}), prefix="s"),
            turn(TRANSFER),  # the worker's draft, which is not approved
            turn(BALANCE, prefix="d"),  # its correction
            turn(text="There are 100 dollars."),
            turn(text="The bank says 100."),
        ]
    )
    graph = supervisor.build(model, tools(ledger), [ledger.get_balance], Guard(FakeScorer(rate)))
    given = {"messages": [HumanMessage("How much?")]}
    done = graph.invoke(given) if way == "sync" else await graph.ainvoke(given)
    assert ledger.ran == [BALANCE]
    assert done["messages"][2].content == "There are 100 dollars."
    assert done["messages"][-1].text == "The bank says 100."


@pytest.mark.parametrize("name", sorted(SERVED))
def test_every_served_graph_is_one_of_these_modules(name: str) -> None:
    assert SERVED[name] == f"./graphs/{name}.py:graph"
    assert callable(importlib.import_module(f"graphs.{name}").graph)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """`langgraph dev` on a free port, in a copy of the project's graphs."""
    pytest.importorskip("langgraph_api", reason="langgraph-cli[inmem] is not installed")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    folder = tmp_path_factory.mktemp("served")  # the server writes its state beside langgraph.json
    (folder / "graphs").symlink_to(ROOT / "graphs")
    (folder / "langgraph.json").write_text((ROOT / "langgraph.json").read_text())
    command = [sys.executable, "-m", "langgraph_cli", "dev", "--no-browser", "--no-reload"]
    log = (folder / "log").open("w")
    process = subprocess.Popen(
        [*command, "--port", str(port)],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(folder), "LANGSMITH_TRACING": "false"},
        stdout=log,
        stderr=subprocess.STDOUT,
    )
    try:
        yield _ready(f"http://127.0.0.1:{port}", process, folder / "log")
    finally:
        process.terminate()
        process.wait(20)
        log.close()


def _ready(url: str, process: subprocess.Popen[bytes], log: Path) -> str:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and process.poll() is None:
        try:
            if httpx.get(f"{url}/ok", timeout=2).is_success:
                return url
        except httpx.TransportError:
            time.sleep(0.5)
    raise AssertionError(f"the server did not start:\n{log.read_text()[-3000:]}")


def test_langgraph_dev_serves_them_and_a_real_model_answers(server: str) -> None:
    with httpx.Client(base_url=server, timeout=200) as client:
        found = client.post("/assistants/search", json={}).json()
        assert {assistant["graph_id"] for assistant in found} == set(SERVED)
        thread = client.post("/threads", json={}).json()["thread_id"]
        said = {"role": "user", "content": "What is my savings balance?"}
        answer = client.post(
            f"/threads/{thread}/runs/wait",
            json={"assistant_id": "best_of_n", "input": {"messages": [said]}},
        ).json()
    reviewed = answer["messages"][1]
    assert reviewed["type"] == "ai"
    assert reviewed["response_metadata"]["toolrm_guard"]["decision"]
