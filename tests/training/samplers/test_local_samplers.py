"""Samplers that ask nobody: recorded responses, edits, and the choice by name."""

import os
import pickle
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from tests.training.samplers.made import TIDES, context
from toolrm_guard.errors import ConfigurationError
from training.perturb import edit_names
from training.preferences.rows import Dropped, Response
from training.preferences.samplers import NAMES, make, sample_each
from training.preferences.samplers.perturb import PerturbSampler, ValuePools

ROOT = Path(__file__).resolve().parents[3]
ONE = Response(text="no", by="a", label=False, error="value")
TWO = Response(text="yes", by="b", label=True)


def test_recorded_returns_what_the_source_recorded_in_its_order() -> None:
    assert make("recorded").sample(context(0, ONE, TWO), 5) == [ONE, TWO]


def test_recorded_leaves_out_harsh_labels_and_other_models() -> None:
    asked = context(0, ONE, TWO)
    assert make("recorded", {"without_errors": ["value"]}).sample(asked, 0) == [TWO]
    assert make("recorded", {"models": ["a"]}).sample(asked, 0) == [ONE]
    assert make("recorded", {"limit": 1}).sample(asked, 0) == [ONE]


def test_edits_are_wrong_named_and_different() -> None:
    asked = context()
    made = make("perturb", {"count": 6}).sample(asked, 1)
    assert len(made) == 6
    assert len({str((response.calls, response.text)) for response in made}) == 6
    for response in made:
        assert response.label is False
        assert response.error in set(edit_names())
        assert response.by == f"edit:{response.error}"
        assert list(response.calls) != list(asked.reference.calls)


def test_an_answer_in_text_is_edited_into_a_call() -> None:
    asked = replace(context(), reference=Response(text="You are welcome.", by="reference"))
    assert {response.error for response in make("perturb").sample(asked, 0)} == {"call_instead"}


def test_edits_that_are_left_out_do_not_come() -> None:
    left_out = [name for name in edit_names() if not name.startswith("value_")]
    sampler = make("perturb", {"count": 3, "without": left_out})
    made = [r for n in range(5) for r in sampler.sample(context(n), 0)]
    assert made
    assert all(str(response.error).startswith("value_") for response in made)


def test_edits_do_not_hang_on_what_was_sampled_before_or_on_the_process() -> None:
    contexts = [context(number) for number in range(12)]
    sampler = PerturbSampler(count=5, pools=ValuePools.learn(contexts))
    forward = [sampler.sample(c, 3) for c in contexts]
    copy = pickle.loads(pickle.dumps(sampler))
    backward = [copy.sample(c, 3) for c in reversed(contexts)]
    assert forward == backward[::-1]
    assert forward != [sampler.sample(c, 4) for c in contexts]


def test_a_source_behind_a_large_one_has_values_too() -> None:
    large = [context(number) for number in range(9)]
    small = [replace(context(number), source="small") for number in range(9)]
    pools = ValuePools.learn([*large, *small], limit=5).by_source
    alone = ValuePools.learn(small[:5]).by_source
    assert set(pools) == {"made", "small"}
    assert pools["small"] == alone["small"]


def test_edits_are_the_same_under_any_hash_seed() -> None:
    code = (
        "from tests.training.samplers.made import context\n"
        "from training.preferences.samplers import make\n"
        "print([make('perturb', {'count': 5}).sample(context(n), 3) for n in range(8)])"
    )
    outputs = {
        subprocess.run(
            [sys.executable, "-c", code],
            cwd=ROOT,
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(outputs) == 1


def test_the_pool_takes_the_first_contexts_and_gives_values_of_other_records() -> None:
    contexts = [context(number) for number in range(40)]
    pools = ValuePools.learn(iter(contexts), limit=10)
    assert len(pools.by_source["made"].by_name["day"]) == 10


def test_a_reference_that_calls_what_is_not_offered_is_counted() -> None:
    items = list(sample_each(make("perturb"), [context(tools=(TIDES,))], 0))
    assert [item.reason for item in items if isinstance(item, Dropped)] == ["unknown_tool"]
    assert items[-1] == (context(tools=(TIDES,)), [])


def test_a_bad_schema_is_counted() -> None:
    bad = {"name": "get_weather", "parameters": {"type": "objekt"}}
    first, _ = sample_each(make("perturb"), [context(tools=(bad,))], 0)
    assert isinstance(first, Dropped)
    assert (first.stage, first.reason) == ("sample", "bad_tool")


def test_an_unknown_sampler_names_the_nearest() -> None:
    with pytest.raises(ConfigurationError, match="did you mean 'endpoints'"):
        make("endpoint")
    with pytest.raises(ConfigurationError, match=", ".join(NAMES)):
        make("")


def test_an_unknown_option_is_an_error_that_names_it() -> None:
    with pytest.raises(ConfigurationError, match="cout"):
        make("perturb", {"cout": 3})
