"""The checker's verdicts, its error types, and what must hold for any prompt."""

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolrm_guard.bfcl.checker import check
from toolrm_guard.bfcl.prompts import first_values
from toolrm_guard.calls import Call
from toolrm_guard.foreign import BadField

BAKE = {
    "name": "bake",
    "parameters": {
        "type": "object",
        "properties": {
            "what": {"type": "string"},
            "minutes": {"type": "integer"},
            "heat": {"type": "number"},
            "fan": {"type": "boolean"},
            "seeds": {"type": "array", "items": {"type": "string"}},
            "sizes": {"type": "array", "items": {"type": "integer"}},
            "shape": {"type": "object", "properties": {}},
            "layers": {"type": "array", "items": {"type": "object"}},
            "free": {},
            "list": {"type": "array"},
        },
        "required": ["what"],
    },
}
WAIT = {
    "name": "wait",
    "parameters": {"type": "object", "properties": {"s": {"type": "integer"}}, "required": ["s"]},
}


def bake(**arguments: Any) -> Call:
    return Call(name="bake", arguments=arguments)


def error(accept: dict[str, Any], call: Call, split: str = "simple") -> str | None:
    return check(split, [BAKE, WAIT], [{"bake": accept}], [call]).error_type


@pytest.mark.parametrize(
    ("accept", "arguments"),
    [
        ({"what": ["Rye Bread"]}, {"what": "rye-bread"}),
        ({"what": ["it's"]}, {"what": 'IT"S'}),
        ({"what": ["x"], "heat": [200]}, {"what": "x", "heat": 200.0}),
        ({"what": ["x"], "heat": [200.0]}, {"what": "x", "heat": 200}),
        ({"what": ["x"], "minutes": ["", 30]}, {"what": "x"}),
        ({"what": ["x"], "minutes": ["time"]}, {"what": "x", "minutes": "time"}),
        ({"what": ["x"], "seeds": [["Sesame", "rye"]]}, {"what": "x", "seeds": ["sesame", "rye"]}),
        ({"what": ["x"], "seeds": ["", ["a"]]}, {"what": "x", "seeds": []}),
        ({"what": ["x"], "list": [[1, "a"]]}, {"what": "x", "list": [1, "A"]}),
        ({"what": ["x"], "shape": [{"form": ["Tin", ""], "w": ["", 5]}]},
         {"what": "x", "shape": {"form": "tin"}}),
        ({"what": ["x"], "layers": [[{"of": ["jam"]}, {"of": ["nuts"]}]]},
         {"what": "x", "layers": [{"of": "Jam"}, {"of": "nuts"}]}),
        ({"what": ["x"], "free": ["any text"]}, {"what": "x", "free": "Any text"}),
        ({"what": ["x"], "free": [7]}, {"what": "x", "free": 7}),
    ],
)  # fmt: skip
def test_equivalent_values_are_right(accept: dict[str, Any], arguments: dict[str, Any]) -> None:
    assert error(accept, bake(**arguments)) is None


@pytest.mark.parametrize(
    ("accept", "arguments", "expected"),
    [
        ({"what": ["x"]}, {}, "simple_function_checker:missing_required"),
        ({"what": ["x"], "heat": [1.0]}, {"what": "x"}, "simple_function_checker:missing_optional"),
        ({"what": ["x"]}, {"what": "x", "fan": True}, "simple_function_checker:unexpected_param"),
        ({"what": ["x"]}, {"what": "x", "salt": 1}, "simple_function_checker:unexpected_param"),
        ({"what": ["x"]}, {"what": "y"}, "value_error:string"),
        ({"what": ["x"]}, {"what": 3}, "type_error:simple"),
        ({"what": ["x"], "minutes": [30]}, {"what": "x", "minutes": "30"}, "type_error:simple"),
        ({"what": ["x"], "minutes": [1]}, {"what": "x", "minutes": True}, "type_error:simple"),
        ({"what": ["x"], "minutes": [30]}, {"what": "x", "minutes": 31}, "value_error:others"),
        ({"what": ["x"], "heat": [1.0]}, {"what": "x", "heat": 10**400}, "type_error:simple"),
        ({"what": ["x"], "seeds": [["a"]]}, {"what": "x", "seeds": [1]}, "type_error:nested"),
        ({"what": ["x"], "seeds": [["a"]]}, {"what": "x", "seeds": "a"}, "type_error:simple"),
        ({"what": ["x"], "sizes": [[1, 2]]}, {"what": "x", "sizes": [2, 1]},
         "value_error:list/tuple"),
        ({"what": ["x"], "shape": [{"w": [5]}]}, {"what": "x", "shape": {"w": 6}},
         "value_error:dict_value"),
        ({"what": ["x"], "shape": [{"w": [5]}]}, {"what": "x", "shape": {"w": 5, "h": 1}},
         "value_error:dict_key"),
        ({"what": ["x"], "shape": [{"w": [5]}]}, {"what": "x", "shape": {}},
         "value_error:dict_key"),
        ({"what": ["x"], "layers": [[{"of": ["jam"]}]]}, {"what": "x", "layers": []},
         "value_error:list_dict_count"),
        ({"what": ["x"], "layers": [[{"of": ["jam"]}]]}, {"what": "x", "layers": [{"of": "nut"}]},
         "value_error:dict_value"),
    ],
)  # fmt: skip
def test_what_is_wrong_has_its_type(
    accept: dict[str, Any], arguments: dict[str, Any], expected: str
) -> None:
    assert error(accept, bake(**arguments)) == expected


def test_counts_and_names_are_judged_by_split() -> None:
    accept = [{"bake": {"what": ["x"]}}]
    tools = [BAKE, WAIT]
    assert check("simple", tools, accept, []).error_type == "simple_function_checker:wrong_count"
    assert check("live_multiple", tools, accept, [bake(what="x")] * 2).error_type == (
        "multiple_function_checker:wrong_count"
    )
    assert check("parallel", tools, accept, []).error_type == (
        "parallel_function_checker_no_order:wrong_count"
    )
    wrong = check("multiple", tools, accept, [Call(name="wait", arguments={"s": 1})])
    assert wrong.error_type == "simple_function_checker:wrong_func_name"
    assert "wait is called, expected bake" in wrong.message


def test_where_no_call_is_right_only_silence_is() -> None:
    assert check("irrelevance", [BAKE], None, []).ok
    made = check("irrelevance", [BAKE], None, [bake(what="x")])
    assert made.error_type == "irrelevance_error:call_made"


def test_parallel_calls_are_matched_as_a_whole() -> None:
    """The first call fits both answers; giving it to the first answer would leave the second."""
    accept = [{"bake": {"what": ["x", "y"]}}, {"bake": {"what": ["x"]}}]
    calls = [bake(what="x"), bake(what="y")]
    assert check("parallel", [BAKE], accept, calls).ok
    assert check("parallel", [BAKE], accept, calls[::-1]).ok


def test_an_unmatched_parallel_call_says_what_is_wrong_with_the_closest() -> None:
    accept = [{"bake": {"what": ["x"], "minutes": [1]}}, {"wait": {"s": [5]}}]
    calls = [Call(name="wait", arguments={"s": 5}), bake(what="x", minutes=2)]
    verdict = check("parallel_multiple", [BAKE, WAIT], accept, calls)
    assert verdict.error_type == (
        "parallel_function_checker_no_order:cannot_find_match/value_error:others"
    )


@pytest.mark.parametrize(
    ("accept", "why"),
    [
        ([{"fry": {}}], "calls 'fry'; offered are bake"),
        ([{"bake": {}, "wait": {}}], "names 2 functions"),
        (["bake"], "a possible answer is str"),
        ([{"bake": [1]}], "the arguments of bake is list"),
    ],
)
def test_answers_that_are_none_are_refused(accept: Any, why: str) -> None:
    with pytest.raises(BadField, match=why):
        check("simple", [BAKE], accept, [])


# --- any prompt ---------------------------------------------------------------------------------

ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)
WORDS = st.text("abcdefgh ", min_size=1, max_size=6).filter(lambda text: text.strip())
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "string": WORDS,
    "integer": st.integers(-99, 99),
    "number": st.integers(-99, 99).map(float) | st.integers(-99, 99),
    "boolean": st.booleans(),
    "array": st.lists(WORDS, min_size=1, max_size=3),
}


@st.composite
def prompts(draw: st.DrawFn) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return tools and possible answers; every required argument has a value."""
    tools, accept = [], []
    for name in draw(st.lists(st.sampled_from("pqrs"), min_size=1, max_size=3, unique=True)):
        kinds = draw(st.dictionaries(st.sampled_from("abcd"), st.sampled_from(list(VALUES)),
                                     min_size=1))  # fmt: skip
        required = [key for key in kinds if draw(st.booleans())]
        properties = {
            key: {"type": kind, **({"items": {"type": "string"}} if kind == "array" else {})}
            for key, kind in kinds.items()
        }
        parameters = {"type": "object", "properties": properties, "required": required}
        tools.append({"name": name, "parameters": parameters})
        for _ in range(draw(st.integers(1, 2))):
            accept.append({name: {
                key: ([""] if key not in required and draw(st.booleans()) else [])
                + draw(st.lists(VALUES[kind], min_size=1, max_size=2))
                for key, kind in kinds.items()
            }})  # fmt: skip
    return tools, accept


def reference(accept: list[dict[str, Any]]) -> list[Call]:
    return [Call(**call) for call in first_values(accept)]


@given(prompts(), st.randoms(use_true_random=False))
def test_a_reference_is_accepted_in_any_order(
    made: tuple[list[dict[str, Any]], list[dict[str, Any]]], rng: Any
) -> None:
    tools, accept = made
    calls = reference(accept)
    rng.shuffle(calls)
    assert check("parallel_multiple", tools, accept, calls).ok


@given(prompts(), st.data())
def test_any_order_of_any_calls_has_the_same_verdict(
    made: tuple[list[dict[str, Any]], list[dict[str, Any]]], data: st.DataObject
) -> None:
    tools, accept = made
    calls = reference(accept)
    other = data.draw(st.sampled_from(calls))
    calls[0] = Call(name=other.name, arguments=other.arguments)
    verdict = check("parallel", tools, accept, calls)
    assert check("parallel", tools, accept, data.draw(st.permutations(calls))).ok == verdict.ok


@given(prompts(), st.data())
def test_without_a_required_argument_no_call_is_right(
    made: tuple[list[dict[str, Any]], list[dict[str, Any]]], data: st.DataObject
) -> None:
    tools, accept = made
    needed = [(i, key) for i, item in enumerate(accept) for name in item
              for tool in tools if tool["name"] == name
              for key in tool["parameters"]["required"]]  # fmt: skip
    if not needed:
        return
    index, key = data.draw(st.sampled_from(needed))
    calls = reference(accept)
    left = {k: v for k, v in calls[index].arguments.items() if k != key}
    calls[index] = Call(name=calls[index].name, arguments=left)
    assert not check("parallel", tools, accept, calls).ok


@given(prompts())
def test_a_call_too_many_or_too_few_is_wrong(
    made: tuple[list[dict[str, Any]], list[dict[str, Any]]],
) -> None:
    tools, accept = made
    calls = reference(accept)
    for count in ([*calls, calls[0]], calls[1:]):
        assert check("parallel", tools, accept, count).error_type == (
            "parallel_function_checker_no_order:wrong_count"
        )


@given(prompts(), ANYTHING)
def test_no_value_breaks_the_checker_and_nothing_is_changed(
    made: tuple[list[dict[str, Any]], list[dict[str, Any]]], value: Any
) -> None:
    tools, accept = made
    before = copy.deepcopy((tools, accept))
    name = next(iter(accept[0]))
    call = Call(name=name, arguments=dict.fromkeys("abcd", value))
    check("simple", tools, accept[:1], [call])
    assert (tools, accept) == before
