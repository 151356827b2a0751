"""What models write for BFCL, as calls."""

from typing import Any

import pytest

from toolrm_guard.bfcl.outputs import decode
from toolrm_guard.foreign import BadField

NAMES = ["oven.bake", "wait"]


def call(name: str, **arguments: Any) -> dict[str, Any]:
    return {"name": name, "arguments": arguments}


@pytest.mark.parametrize(
    ("output", "calls"),
    [
        ([{"oven_bake": '{"what": "bread"}'}], [call("oven.bake", what="bread")]),
        ([{"wait": {"s": 1}}, {"wait": {"s": 2}}], [call("wait", s=1), call("wait", s=2)]),
        ([{"name": "wait", "arguments": "{}"}], [call("wait")]),
        ([], []),
        ("[oven.bake(what='bread', n=[1, 2.5], deep={'a': True})]",
         [call("oven.bake", what="bread", n=[1, 2.5], deep={"a": True})]),
        ("wait(s=1)", [call("wait", s=1)]),
        ("wait(s=1); wait(s=-2);", [call("wait", s=1), call("wait", s=-2)]),
        ("wait(s=1)\nwait(s=2)", [call("wait", s=1), call("wait", s=2)]),
        ("wait(a=true, b=null, c=(1, 2))", [call("wait", a=True, b=None, c=[1, 2])]),
        ("```python\n[wait(s=1)]\n```", [call("wait", s=1)]),
        ('{"tool_calls": [{"name": "wait", "arguments": {"s": 1}}]}', [call("wait", s=1)]),
        ('[{"name": "wait", "parameters": {"s": 1}}]', [call("wait", s=1)]),
        ("[{'wait': {'s': 1}}]", [call("wait", s=1)]),
        ("[]", []),
        ('<tool_call>\n{"name": "wait", "arguments": {"s": 1}}\n</tool_call>', [call("wait", s=1)]),
        ("<think>wait(s=9)</think>wait(s=1)", [call("wait", s=1)]),
        ("Hm, wait(s=9)?</think>\n[wait(s=1)]", [call("wait", s=1)]),
        ("I cannot bake (sorry).", []),
        ("out_of_domain(user_query='Fry an egg.')", []),
        ('["I cannot bake."]', []),
        (["I cannot bake."], []),
        ("Please tell me: what should I bake?", []),
    ],
)  # fmt: skip
def test_outputs_are_decoded(output: object, calls: list[dict[str, Any]]) -> None:
    assert decode(output, NAMES)[1] == calls


def test_text_without_a_call_is_kept() -> None:
    assert decode("No oven here.", NAMES) == ("No oven here.", [])


@pytest.mark.parametrize(
    "output",
    [
        "[wait(s=]",
        "wait(1, 2)",
        "wait(s=open('x'))",
        "wait(s=1e999)",
        '[{"name": "wait", "arguments": {"s": 1}',
        "<tool_call>{broken</tool_call>",
        [{"wait": "{broken"}],
        [3],
        None,
        "wait(s=",
        "You could write wait(s=1), or not.",
        "Sure:\n```\n[wait(s=1)]\n```",
        'So {"name": "wait", "arguments": {}} it is.',
        '[{"name": "wait", "params": {"s": 1}}]',
        "Call oven_bake(what='bread'), please.",
        "Use [{'oven.bake': {'what': 'bread'}}] for it.",
        "<think>I should",
        "```python\nprint(1)\n```\nThis prints 1.",
        "[wait(s=" + "-" * 50_000 + "1)]",
        "wait(s=" + "1" * 200_000 + ")",
    ],
)
def test_what_looks_like_a_call_and_cannot_be_read_is_unreadable(output: object) -> None:
    with pytest.raises(BadField) as caught:
        decode(output, NAMES)
    assert caught.value.reason == "unreadable_output"
