"""Contexts made from references stay valid, whatever the tools hold already."""

import random

from toolrm_guard.calls import Call
from toolrm_guard.labelled import LabelledRecord
from toolrm_guard.tools import Tool, ToolSet
from training.perturb import ValuePool
from training.synthetic import Single, percent


def single(*rates: str) -> Single:
    properties = {name: {"type": "number"} for name in ("amount", *rates)}
    tool = Tool(
        name="loan",
        description="Pay a loan back",
        parameters={"type": "object", "properties": properties, "required": list(properties)},
    )
    record = LabelledRecord(id="r", source="s", split="s", tools=(), messages=())
    call = Call(name="loan", arguments=dict.fromkeys(properties, 3))
    request = "Pay back a loan of 3"
    return Single(record=record, request=request, tools=ToolSet([tool]), calls=(call,))


def test_a_percentage_is_added_as_an_argument_and_never_twice() -> None:
    added = set()
    for seed in range(120):
        plain = single()
        made = percent(plain, plain, ValuePool(), random.Random(seed))
        assert made is not None
        required = made.tools["loan"].required
        assert len(set(required)) == len(required) == 2
        added.add(required[-1])
        taken = single(required[-1])
        assert percent(taken, taken, ValuePool(), random.Random(seed)) is None
    assert len(added) > 5
