"""The gate: a small grammar, evaluated exactly, and nothing else is."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from toolrm_guard.replay.comparison import Comparison, Figures
from toolrm_guard.replay.gate import Gate, GateError
from toolrm_guard.replay.names import NAMES

BASE = Figures(accuracy=0.8, false_block=0.1, false_pass=0.3, replaced=0.0)
NEW = Figures(accuracy=0.85, false_block=0.12, false_pass=0.2, replaced=None)
FOUND = Comparison(
    reviews=10, judged=8, unjudged={}, changes=(), right=5, wrong=3, base=BASE, new=NEW, gained=2,
    lost=1, p_value=1.0, difference=0.05, interval=None, enforced=0,
)  # fmt: skip


@pytest.mark.parametrize(
    ("text", "passed"),
    [
        ("accuracy>=base", True),
        ("accuracy>=base and false_block<=0.02", False),
        ("accuracy >= base or false_block <= 0.02", True),
        ("base<accuracy<=1", True),
        ("false_block<=base+0.02", True),
        ("false_block<=base+0.01", False),
        ("0.1+accuracy-base>0.14", True),
        ("2*false_pass<=0.4", True),
        ("(accuracy>1 or known>=8) and unjudged<=0.2", True),
        ("-lost>=-1", True),
        ("changed<=0", True),
        ("replaced<=1", False),  # there is no such value, so nothing can be said of it
        ("difference_low>=-1 or accuracy>0", True),
        ("difference_low>=-1", False),
    ],
)
def test_a_gate_says_what_it_reads_like(text: str, passed: bool) -> None:
    assert Gate.parse(text).check(FOUND).passed is passed


@pytest.mark.parametrize("text", ["lost<=0", "gained>=lost", "lost-gained<=0", "accuracy>=base"])
def test_without_a_known_turn_nothing_is_gained_and_nothing_lost(text: str) -> None:
    none = Figures(accuracy=None, false_block=None, false_pass=None, replaced=None)
    found = replace(
        FOUND, right=0, wrong=0, base=none, new=none, gained=0, lost=0, p_value=None,
        difference=None,
    )  # fmt: skip
    verdict = Gate.parse(text).check(found)
    assert not verdict.passed
    assert "does not exist" in verdict.lines[0]


def test_every_comparison_is_told_with_its_values() -> None:
    verdict = Gate.parse("accuracy>=base and replaced<=0.1").check(FOUND)
    assert verdict.lines == (
        "holds: accuracy >= base (accuracy 0.85, base 0.8)",
        "fails: replaced <= 0.1 (replaced does not exist)",
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no expression"),
        ("acuracy>=base", "did you mean 'accuracy'"),
        ("nonsense>1", "known: accuracy, false_block"),
        ("accuracy", "made of comparisons"),
        ("accuracy=1", "no expression"),
        ("accuracy==1", "compare with <, <=, > or >="),
        ("not accuracy>1", "made of comparisons"),
        ("accuracy>1 if known>1 else known>1", "made of comparisons"),
        ("base>0", "the one name"),
        ("known>=base", "the one name"),
        ("accuracy+false_block>=base", "the one name"),
        ("__import__('os').system('true')>0", "values are numbers and names"),
        ("accuracy.real>0", "values are numbers and names"),
        ("[x for x in y]>0", "values are numbers and names"),
        ("'a'*9>accuracy", "values are numbers and names"),
        ("True<accuracy", "values are numbers and names"),
        ("1j<accuracy", "values are numbers and names"),
        ("9**9**9>accuracy", "values are numbers and names"),
        ("1e400>accuracy", "at most 1e9"),
        ("accuracy>(lambda: 0)()", "values are numbers and names"),
        ("accuracy\x00>1", "no expression"),
        ("accuracy>1\nimport os", "no expression"),
        ("(" * 400 + "accuracy>1" + ")" * 400, "no expression"),
        ("-" * 900 + "accuracy>1", ""),
        ("~" * 900 + "accuracy>1", ""),
        ("not " * 240 + "accuracy>1", ""),
        ("+".join(["1"] * 490) + ">accuracy", ""),
        ("accuracy>1 and " * 1_000_000, "15,000,000 characters"),
    ],
)
def test_what_is_no_gate_is_refused_with_a_reason(text: str, said: str) -> None:
    with pytest.raises(GateError) as caught:
        Gate.parse(text)
    assert said in str(caught.value)
    assert len(str(caught.value)) < 1_000


@settings(deadline=None)
@given(st.text(max_size=60))
def test_any_text_is_a_gate_or_is_refused(text: str) -> None:
    try:
        gate = Gate.parse(text)
    except GateError:
        return
    assert gate.check(FOUND).passed in (True, False)


names = st.sampled_from(sorted(NAMES))
numbers = st.floats(-5, 5).map(lambda value: f"{value:.4f}")
values = st.recursive(
    names | numbers,
    lambda v: st.tuples(v, st.sampled_from("+-*"), v).map("({0[0]}{0[1]}{0[2]})".format),
    max_leaves=4,
)
comparisons = st.tuples(values, st.sampled_from(["<", "<=", ">", ">="]), values).map(" ".join)
gates = st.recursive(
    comparisons,
    lambda g: st.tuples(g, st.sampled_from([" and ", " or "]), g).map(
        "({0[0]}{0[1]}{0[2]})".format
    ),
    max_leaves=4,
)


@settings(deadline=None)
@given(gates)
def test_a_gate_of_the_grammar_means_what_python_means(text: str) -> None:
    if len(text) > 900:
        return
    known = {
        "accuracy": 0.85, "false_block": 0.12, "false_pass": 0.2, "replaced": 0.0, "changed": 0.0,
        "unjudged": 1 - 8 / 10, "known": 8.0, "gained": 2.0, "lost": 1.0, "p_value": 1.0,
        "difference": 0.05, "difference_low": -0.1, "difference_high": 0.2,
    }  # fmt: skip
    new = Figures(accuracy=0.85, false_block=0.12, false_pass=0.2, replaced=0.0)
    found = Comparison(
        reviews=10, judged=8, unjudged={}, changes=(), right=5, wrong=3, base=BASE, new=new,
        gained=2, lost=1, p_value=1.0, difference=0.05, interval=(-0.1, 0.2), enforced=0,
    )  # fmt: skip
    expected = eval(text, {"__builtins__": {}}, known)
    assert Gate.parse(text).check(found).passed == expected
