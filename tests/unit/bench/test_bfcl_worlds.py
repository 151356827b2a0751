"""Executing tools: states, results, time, and what a reference's calls may look like."""

import time
from typing import Any

import pytest

from bench.bfcl import worlds as bfcl_worlds
from bench.bfcl.worlds import Step, World, truth_of
from toolrm_guard.foreign import BadField


class Box:
    """A tool that holds things."""

    def __init__(self) -> None:
        self.things: list[str] = []
        self._log: list[str] = []

    def put(self, thing: str) -> None:
        self._log.append(thing)
        self.things.append(thing)

    def count(self) -> dict[str, int]:
        return {"count": len(self.things)}

    def strange(self) -> dict[str, object]:
        return {"self": int}

    def forever(self) -> None:
        while True:
            time.sleep(0.01)

    def _secret(self) -> str:
        return "secret"


def world(*names: str) -> World:
    return World.start({"Box": Box}, names or ("Box",), {})


def step(name: str, **arguments: Any) -> Step:
    return Step(name=name, arguments=arguments)


def test_results_are_text_and_errors_do_not_stop_the_world() -> None:
    box = world()
    found = box.run([
        step("put", thing="x"), step("count"), step("strange"), step("fry"),
        step("_secret"), step("put", salt=1), Step(name="put", positional=("y",)),
    ])  # fmt: skip
    assert found[:2] == ["None", '{"count": 1}']
    assert "class" in found[2]
    assert found[3] == "Error during execution: there is no tool 'fry'"
    assert found[4].startswith("Error")
    assert found[5].startswith("Error")
    assert box.results == found


def test_public_state_is_compared_and_branches_are_apart() -> None:
    left, right = world(), world()
    left.run([step("put", thing="x")])
    assert not left.state_matches(right)
    branch = right.branch()
    branch.run([step("put", thing="x")])
    assert left.state_matches(branch)
    assert not left.state_matches(right)
    branch.tools["Box"]._log.clear()
    assert left.state_matches(branch)


def test_every_expected_result_counts_as_often_as_expected() -> None:
    box = world()
    box.run([step("count"), step("put", thing="x")])
    assert box.has_results(["None", '{"count": 0}'])
    assert not box.has_results(["None", "None"])


def test_a_call_that_does_not_end_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bfcl_worlds, "TOOL_TIMEOUT_S", 0.05)
    assert "no result after 0.05 s" in world().run([step("forever")])[0]


def test_an_unknown_class_is_named() -> None:
    with pytest.raises(BadField, match="no tool class 'Crate'; known are Box"):
        world("Crate")


def test_reference_calls_are_read_without_running_anything() -> None:
    ((first, second), ()) = truth_of({"ground_truth": [["sort('a.txt')", "put(thing=['x'])"], []]})
    assert (first.name, first.positional) == ("sort", ("a.txt",))
    assert second.arguments == {"thing": ["x"]}
    for text in ("put(thing=open('x'))", "put", "box.put(thing=1)", "put("):
        with pytest.raises(BadField, match="cannot be read"):
            truth_of({"ground_truth": [[text]]})
