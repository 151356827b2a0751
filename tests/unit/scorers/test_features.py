"""Features are finite, documented, and blind to what they must not see."""

import os
import subprocess
import sys
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from toolrm_guard.calls import Call, Candidate
from toolrm_guard.findings import Finder
from toolrm_guard.messages import Message
from toolrm_guard.scorers.base import ScoreRequest
from toolrm_guard.scorers.features import (
    COMPARED,
    FEATURES,
    GROUPS,
    INPUT_GROUPS,
    INPUTS,
    MONOTONE,
    NAMES,
    compare,
    extract,
)
from toolrm_guard.tools import Tool, ToolSet

LOAN = Tool(
    name="loan_payment",
    description="Calculate the monthly payment of a loan",
    parameters={
        "type": "object",
        "properties": {
            "amount": {"type": "number", "description": "The amount"},
            "rate": {"type": "number", "description": "The rate as a decimal"},
            "city": {"type": "string", "description": "The city, e.g. 'Reno, NV'"},
            "unit": {"type": "string", "enum": ["month", "year"], "default": "month"},
            "start": {"type": "string", "description": "Date in YYYY-MM-DD format"},
        },
        "required": ["amount", "rate"],
    },
)
MAP = Tool(name="draw_map", description="Draw a map", parameters={"type": "object"})
TOOLS = ToolSet([LOAN, MAP])
TEXT = "Calculate the payment of a loan of $20,000 at a rate of 5% in Boston from March 4, 2024"


def rows(*candidates: Candidate, text: str = TEXT) -> Any:
    request = ScoreRequest(
        messages=(Message(role="user", text=text),), tools=TOOLS, candidates=candidates
    )
    return extract(request, Finder(request.messages, request.tools))


def loan(**arguments: Any) -> Candidate:
    return Candidate(calls=(Call(name="loan_payment", arguments=arguments),))


def column(found: Any, name: str) -> list[float]:
    return [round(float(v), 4) for v in found[:, NAMES.index(name)]]


def test_the_table_is_documented_and_matches_the_columns() -> None:
    assert len(set(NAMES)) == len(NAMES) == len(FEATURES)
    assert all(spec.meaning and spec.range[0] < spec.range[1] for spec in FEATURES)
    assert len(INPUTS) == len(MONOTONE) == len(INPUT_GROUPS) == len(NAMES) + len(COMPARED)
    assert set(INPUT_GROUPS) == set(GROUPS)
    assert rows(loan(amount=1)).shape == (1, len(NAMES))


def test_evidence_tells_right_from_wrong_values() -> None:
    found = rows(
        loan(amount=20000, rate=0.05, city="Boston, MA", start="2024-03-04"),
        loan(amount=20000, rate=5, city="Boston", start="04/03/2024"),
        loan(amount=777, rate=0.05, city="Vladivostok"),
        loan(rate=0.05),
    )
    assert column(found, "percent_right") == [1, 0, 1, 1]
    assert column(found, "percent_wrong") == [0, 1, 0, 0]
    assert column(found, "format_bad") == [0, 1, 0, 0]
    assert column(found, "example_comma") == [0, 1, 1, 0]
    assert column(found, "ungrounded") == [0, 0, 2, 0]
    assert column(found, "error_missing_total") == [0, 0, 0, 1]
    assert column(found, "no_call") == [0, 0, 0, 0]


def test_a_text_turn_is_marked_and_its_wording_does_not_matter() -> None:
    found = rows(Candidate(text="no"), Candidate(text="I am so very sorry, but I cannot."))
    assert column(found, "no_call") == [1, 1]
    assert np.array_equal(found[0], found[1])


def test_the_order_of_calls_and_arguments_does_not_matter() -> None:
    a = Call(name="loan_payment", arguments={"amount": 20000, "rate": 0.05})
    b = Call(name="draw_map", arguments={"city": "Boston"})
    turned = Call(name="loan_payment", arguments={"rate": 0.05, "amount": 20000})
    found = rows(Candidate(calls=(a, b)), Candidate(calls=(b, turned)))
    assert np.allclose(found[0], found[1])


def test_compare_subtracts_the_mean_of_the_others_in_the_same_set() -> None:
    features = np.zeros((4, len(NAMES)), dtype=np.float32)
    first = COMPARED[0]
    features[:, first] = [1, 3, 5, 9]
    found = compare(features, np.array([7, 7, 7, 2]))
    assert found[:, 0].tolist() == [-3.0, 0.0, 3.0, 0.0]  # the last one is alone
    assert found.shape == (4, len(COMPARED))


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=30),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner),
    max_leaves=8,
)


@settings(max_examples=150)
@given(
    text=st.text(max_size=120),
    calls=st.lists(
        st.tuples(
            st.sampled_from(["loan_payment", "draw_map", "unknown"]),
            st.dictionaries(st.sampled_from([*LOAN.properties, "x"]), JSON, max_size=4),
        ),
        max_size=3,
    ),
)
def test_features_are_finite_for_any_input(
    text: str, calls: list[tuple[str, dict[str, Any]]]
) -> None:
    made = tuple(Call(name=name, arguments=arguments) for name, arguments in calls)
    assert np.isfinite(rows(Candidate(calls=made), Candidate(), text=text)).all()


_IN_ANY_PROCESS = """
import hashlib
from tests.unit.scorers.test_features import Tool, ToolSet, Candidate, Call, Message
from toolrm_guard.scorers.base import ScoreRequest
from toolrm_guard.scorers.features import extract

names = ("hourly_wind_details", "gusts_chart_legend", "rain_radar_tiles")
switches = {name: {"type": "boolean"} for name in names}
tool = Tool(name="weather", parameters={"type": "object", "properties": switches})
text = "No hourly values please, but of the wind all details. Without a chart! Legend and gusts" \
    " are fine, no radar, but tiles and rain."
made = Candidate(calls=(Call(name="weather", arguments=dict.fromkeys(names, True)),))
request = ScoreRequest(
    messages=(Message(role="user", text=text),), tools=ToolSet([tool]), candidates=(made,)
)
print(hashlib.sha256(extract(request, request.finder).tobytes()).hexdigest())
"""


def test_features_do_not_depend_on_the_order_of_sets() -> None:
    """The hash of a string, and so the order of a set, is another in each process."""
    runs = [
        subprocess.Popen(
            [sys.executable, "-c", _IN_ANY_PROCESS],
            env={**os.environ, "PYTHONHASHSEED": salt},
            stdout=subprocess.PIPE,
        )
        for salt in ("1", "2", "3", "4")
    ]
    assert len({run.communicate()[0] for run in runs}) == 1
    assert all(run.returncode == 0 for run in runs)
