"""Each public format on rows made up in its layout, right ones and bad ones."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.training.sources.made import BAKE, CALL, array, lines, reasons, taken
from toolrm_guard.errors import ConfigurationError
from training.preferences.sources import NAMES, open_source

OTHER: dict[str, Any] = {"name": "bake", "arguments": {"what": "cake"}}


def test_an_unknown_source_names_the_nearest() -> None:
    with pytest.raises(ConfigurationError, match="did you mean 'xlam_60k'"):
        open_source("xlam60k")
    with pytest.raises(ConfigurationError, match=", ".join(NAMES)):
        open_source("?")


def test_an_unknown_option_is_an_error() -> None:
    with pytest.raises(ConfigurationError, match="licens"):
        open_source("labelled", "x.jsonl", licens="MIT")


def xlam(**changed: Any) -> dict[str, Any]:
    tool = {
        "name": "bake",
        "description": "Bake something.",
        "parameters": {
            "what": {"type": "str", "description": "What."},
            "minutes": {"type": "int, optional", "default": 30},
        },
    }
    row = {
        "id": 7,
        "query": "Bake bread for 40 minutes and a cake.",
        "answers": json.dumps([CALL, OTHER]),
        "tools": json.dumps([tool]),
    }
    return {**row, **changed}


def test_xlam_parallel_calls_with_python_types(tmp_path: Path) -> None:
    (row,), dropped = taken("xlam_60k", array(tmp_path / "x.json", xlam()))
    assert not dropped
    assert (row.id, row.source, row.licence, row.group) == (
        "7", "xlam_60k", "CC-BY-4.0", "xlam_60k:7",
    )  # fmt: skip
    assert row.tools[0]["parameters"] == {
        "type": "object",
        "properties": {
            "what": {"type": "string", "description": "What."},
            "minutes": {"type": "integer", "default": 30},
        },
        "required": ["what"],
    }
    assert row.messages[1]["tool_calls"] == [CALL, OTHER]


def test_xlam_with_json_schema_already(tmp_path: Path) -> None:
    (row,), _ = taken("xlam_60k", array(tmp_path / "x.json", xlam(tools=json.dumps([BAKE]))))
    assert row.tools == (BAKE,)


def test_xlam_bad_rows_are_dropped_by_reason(tmp_path: Path) -> None:
    path = array(
        tmp_path / "x.json",
        xlam(answers="[{"),
        xlam(answers="{}"),
        xlam(query=None),
        xlam(query=3),
        xlam(tools='[{"description": "no name"}]'),
        xlam(answers='[{"arguments": {}}]'),
        xlam(answers='[{"name": "bake", "arguments": "what?"}]'),
        xlam(),
    )
    rows, dropped = taken("xlam_60k", path)
    assert len(rows) == 1
    assert [reason for _, reason in reasons(dropped)] == [
        "bad_json_field", "wrong_type", "missing_field", "wrong_type", "bad_tool", "no_call_name",
        "bad_arguments",
    ]  # fmt: skip


def apigen(*turns: tuple[str, str], **changed: Any) -> dict[str, Any]:
    conversations = [{"from": who, "value": value} for who, value in turns]
    tools = json.dumps([BAKE])
    return {"conversations": conversations, "tools": tools, "system": "No cakes.", **changed}


def test_apigen_turns_and_policy(tmp_path: Path) -> None:
    row = apigen(
        ("human", "Bread?"), ("function_call", json.dumps(CALL)), ("observation", "ok"),
        ("gpt", "Baked."),
    )  # fmt: skip
    (got,), dropped = taken("apigen_mt", array(tmp_path / "a.json", row))
    assert not dropped
    assert [m["role"] for m in got.messages] == ["system", "user", "assistant", "tool", "assistant"]
    assert got.messages[2]["tool_calls"] == [CALL]
    assert got.messages[3]["name"] == "bake"
    assert got.licence == "CC-BY-NC-4.0"


def test_apigen_bad_rows(tmp_path: Path) -> None:
    path = array(
        tmp_path / "a.json",
        apigen(("robot", "beep")),
        apigen(("function_call", "bake()")),
        apigen(("human", "x"), tools="nothing"),
        {"tools": "[]"},
    )
    rows, dropped = taken("apigen_mt", path)
    assert not rows
    assert [reason for _, reason in reasons(dropped)] == [
        "unknown_role", "bad_literal", "bad_json_field", "missing_field",
    ]  # fmt: skip


def button(*messages: tuple[str, str], system: str | None = None) -> dict[str, Any]:
    head = f"You use functions:\n<tool>\n{json.dumps([BAKE])}\n</tool>\nUse <call></call>. "
    head += "You should call one function at a time, and wait for the response."
    first = head if system is None else system
    turns = [("system", first), *messages]
    return {"messages": [{"role": role, "content": content} for role, content in turns]}


def test_button_thoughts_calls_and_results(tmp_path: Path) -> None:
    result = json.dumps([{**CALL, "results": {"done": True}}])
    row = button(
        ("user", "Bread."),
        ("assistant", f"I bake. <call>[{json.dumps(CALL)}]</call>"),
        ("tool", result),
        ("assistant", "All done. <final>It is baked.</final>"),
    )
    (got,), dropped = taken("button", lines(tmp_path / "b.jsonl", row))
    assert not dropped
    assert got.messages == (
        {
            "role": "system",
            "content": "You should call one function at a time, and wait for the response.",
        },
        {"role": "user", "content": "Bread."},
        {"role": "assistant", "content": "I bake.", "tool_calls": [CALL]},
        {"role": "tool", "content": '{"done": true}', "name": "bake"},
        {"role": "assistant", "content": "It is baked."},
    )
    assert got.tools == (BAKE,)


def test_button_bad_rows(tmp_path: Path) -> None:
    path = lines(
        tmp_path / "b.jsonl",
        button(("user", "x"), system="no tools"),
        button(("assistant", "<call>[{")),
        button(("assistant", "<call>bake bread</call>")),
        button(("judge", "x")),
        {"messages": [{"role": "user", "content": "x"}]},
    )
    rows, dropped = taken("button", path)
    assert not rows
    assert [reason for _, reason in reasons(dropped)] == [
        "no_tools", "bad_call", "bad_literal", "unknown_role", "no_tools",
    ]  # fmt: skip


def complexfunc(*turns: dict[str, Any]) -> dict[str, Any]:
    return {"id": "Cross-1", "functions": [BAKE], "conversations": list(turns)}


def test_complexfuncbench_gives_each_result_its_call(tmp_path: Path) -> None:
    row = complexfunc(
        {"role": "user", "content": "Bread and cake."},
        {"role": "assistant", "function_call": [CALL, OTHER]},
        {"role": "observation", "content": [{"ok": 1}, "burnt"]},
        {"role": "assistant", "content": "Half done."},
    )
    (got,), dropped = taken("complexfuncbench", lines(tmp_path / "c.jsonl", row))
    assert not dropped
    assert got.id == "Cross-1"
    assert [(m["role"], m["content"]) for m in got.messages[2:]] == [
        ("tool", '{"ok": 1}'),
        ("tool", "burnt"),
        ("assistant", "Half done."),
    ]


def test_complexfuncbench_bad_rows(tmp_path: Path) -> None:
    path = lines(
        tmp_path / "c.jsonl",
        complexfunc({"role": "assistant", "function_call": [CALL]},
                    {"role": "observation", "content": []}),
        complexfunc({"role": "narrator", "content": ""}),
        {"id": 3},
    )  # fmt: skip
    _, dropped = taken("complexfuncbench", path)
    assert [reason for _, reason in reasons(dropped)] == [
        "result_count", "unknown_role", "wrong_type",
    ]  # fmt: skip


def hermes(*turns: tuple[str, str], **changed: Any) -> dict[str, Any]:
    system = f"Signatures within <tools> </tools>:\n<tools>\n[{BAKE!r}]\n</tools>\n"
    conversations = [{"from": who, "value": v} for who, v in [("system", system), *turns]]
    return {"id": "h1", "conversations": conversations, **changed}


def test_hermes_python_literals_between_tags(tmp_path: Path) -> None:
    said = f"Sure.\n<tool_call>\n{CALL!r}\n</tool_call>\n<tool_call>\n{OTHER!r}\n</tool_call>\n"
    results = "<tool_response>\nyes\n</tool_response><tool_response>no</tool_response>"
    row = hermes(("human", "Both."), ("gpt", said), ("tool", results), ("gpt", "Well."))
    (got,), dropped = taken("hermes_fc_v1", array(tmp_path / "h.json", row))
    assert not dropped
    assert got.tools == (BAKE,)
    assert got.messages[1] == {
        "role": "assistant", "content": "Sure.", "tool_calls": [CALL, OTHER],
    }  # fmt: skip
    assert [m["content"] for m in got.messages[2:4]] == ["yes", "no"]


def test_hermes_takes_the_tools_from_their_field(tmp_path: Path) -> None:
    listed = json.dumps([{"type": "function", "function": BAKE}])
    row = {"conversations": [{"from": "human", "value": "Hi"}], "tools": listed}
    (got,), _ = taken("hermes_fc_v1", array(tmp_path / "h.json", row))
    assert (got.id, got.tools) == ("h.json[0]", (BAKE,))


def test_hermes_bad_rows(tmp_path: Path) -> None:
    path = array(
        tmp_path / "h.json",
        {"conversations": [{"from": "human", "value": "json mode"}]},
        hermes(("gpt", "<tool_call>{'name': 'bake', 'arguments': {}}")),
        hermes(("gpt", "<tool_call>bake()</tool_call>")),
        hermes(("dog", "woof")),
    )
    _, dropped = taken("hermes_fc_v1", path)
    assert [reason for _, reason in reasons(dropped)] == [
        "no_tools", "bad_call", "bad_literal", "unknown_role",
    ]  # fmt: skip


def glaive(chat: str, functions: str | None = None) -> dict[str, str]:
    listed = f'{json.dumps(BAKE, indent=4)}\n\n{{"name": "wait", "parameters": {{}}}}\n'
    shown = listed if functions is None else functions
    return {"system": f"SYSTEM: You have functions -\n{shown}", "chat": chat}


CHAT = """USER: Grandma's bread, please


ASSISTANT: <functioncall> {"name": "bake", "arguments": '{"what": "Grandma's bread"}'} <|endoftext|>


FUNCTION RESPONSE: {"ok": true}


ASSISTANT: It's done: a note says
USER: is a word. <|endoftext|>


"""


def test_glaive_calls_in_single_quotes(tmp_path: Path) -> None:
    (got,), dropped = taken("glaive_fc_v2", array(tmp_path / "g.json", glaive(CHAT)))
    assert not dropped
    assert [tool["name"] for tool in got.tools] == ["bake", "wait"]
    assert got.tools[1]["parameters"] == {"type": "object", "properties": {}}
    assert got.messages == (
        {"role": "user", "content": "Grandma's bread, please"},
        {
            "role": "assistant",
            "content": "",
            "tool_calls": [{"name": "bake", "arguments": {"what": "Grandma's bread"}}],
        },
        {"role": "tool", "content": '{"ok": true}', "name": "bake"},
        {"role": "assistant", "content": "It's done: a note says\nUSER: is a word."},
    )


@pytest.mark.parametrize(
    ("call", "arguments"),
    [
        ('{"name": "wait"}', {}),
        ('{"name": "wait", "arguments": {"s": 3}}', {"s": 3}),
        ("""{"name": "wait", "arguments": '{"s": "it\\'s"}'}""", {"s": "it's"}),
        ("""{"name": "wait", "arguments": '{}'}""", {}),
    ],
)
def test_glaive_call_notations(tmp_path: Path, call: str, arguments: dict[str, Any]) -> None:
    chat = f"USER: x\n\n\nASSISTANT: <functioncall> {call} <|endoftext|>"
    (got,), _ = taken("glaive_fc_v2", array(tmp_path / "g.json", glaive(chat)))
    assert got.messages[1]["tool_calls"] == [{"name": "wait", "arguments": arguments}]


def test_glaive_bad_rows(tmp_path: Path) -> None:
    path = array(
        tmp_path / "g.json",
        glaive("USER: hi", functions="no access to external functions."),
        glaive('USER: hi\n\n\nASSISTANT: <functioncall> {"name": "wait", "argu'),
        glaive("nobody speaks"),
        glaive("USER: hi", functions='{"name": "cut'),
        glaive('ASSISTANT: <functioncall> {"name": "a", "arguments": \'{"b": }\'}'),
    )
    _, dropped = taken("glaive_fc_v2", path)
    assert [reason for _, reason in reasons(dropped)] == [
        "no_tools", "bad_call", "bad_chat", "bad_tool", "bad_arguments",
    ]  # fmt: skip


def alpaca(**changed: Any) -> dict[str, Any]:
    arguments = {
        "what": "Required. string. One of: [bread, cake]. What to bake.",
        "minutes": "integer. How long.",
        "extras": "Array[string].",
    }
    described = f"Bake something.\nParameters: {json.dumps(arguments)}\nOutput: ok\n - Format: text"
    api = {"Name": "Oven", "Function_Description": {"bake": described, "components": ""}}
    return {**api, **changed}


def test_toolalpaca_training_steps(tmp_path: Path) -> None:
    steps = [
        [["getDetails", '{"Question": "Which?"}', "log"], "Bread."],
        [["bake", '{"what": "bread"}', "log"], "Status Code: 200"],
    ]
    instance = {"input": "Bake.", "output": "Baked.", "intermediate_steps": steps}
    bad = {**instance, "intermediate_steps": [[["bake", "{what", "log"], "x"]]}
    path = array(tmp_path / "t.json", alpaca(Instances=[instance, bad, {"input": "x"}]))
    (got,), dropped = taken("toolalpaca", path)
    assert reasons(dropped) == [
        ("t.json[0]/1", "bad_arguments"),
        ("t.json[0]/2", "missing_field"),
    ]
    assert [(m["role"], m["content"]) for m in got.messages] == [
        ("user", "Bake."), ("assistant", "Which?"), ("user", "Bread."), ("assistant", ""),
        ("tool", "Status Code: 200"), ("assistant", "Baked."),
    ]  # fmt: skip
    assert got.tools == (
        {
            "name": "bake",
            "description": "Bake something.",
            "parameters": {
                "type": "object",
                "properties": {
                    "what": {
                        "type": "string",
                        "enum": ["bread", "cake"],
                        "description": "What to bake.",
                    },
                    "minutes": {"type": "integer", "description": "How long."},
                    "extras": {"type": "array"},
                },
                "required": ["what"],
            },
        },
    )


def test_toolalpaca_golden_answers(tmp_path: Path) -> None:
    def action(name: str, given: str) -> dict[str, str]:
        return {"Action": name, "Action_Input": given}

    answers = [
        [action("bake", '{"what": "bread"}'), action("bake", '{"what": "cake"}')],
        [action("getDetails", '{"Question": "What?"}'), action("bake", '{"what": ${what}}')],
        [action("bake", '{"what": "bread"}'), action("bake", '{"what": ${name from bake}}')],
    ]
    row = alpaca(Instructions=["a", "b", "c"], Golden_Answers=answers)
    (calls, asks), dropped = taken("toolalpaca", array(tmp_path / "t.json", row))
    assert len(calls.messages[-1]["tool_calls"]) == 2
    assert asks.messages[-1] == {"role": "assistant", "content": "What?"}
    assert reasons(dropped) == [("t.json[0]/2", "needs_result")]
    assert calls.group == asks.group == "toolalpaca:Oven"


def test_toolalpaca_bad_apis(tmp_path: Path) -> None:
    path = array(
        tmp_path / "t.json",
        alpaca(Instructions=["a"], Golden_Answers=[]),
        alpaca(Function_Description="text", Instances=[]),
        {"Function_Description": {}},
    )
    _, dropped = taken("toolalpaca", path)
    assert [reason for _, reason in reasons(dropped)] == [
        "answer_count", "wrong_type", "missing_field",
    ]  # fmt: skip


def openai(*messages: dict[str, Any], **changed: Any) -> dict[str, Any]:
    tools = [{"type": "function", "function": BAKE}]
    return {"messages": list(messages), "tools": tools, **changed}


def test_openai_calls_with_text_arguments(tmp_path: Path) -> None:
    call = {"id": "c1", "function": {"name": "bake", "arguments": json.dumps(CALL["arguments"])}}
    row = openai(
        {"role": "developer", "content": "Be brief."},
        {"role": "user", "content": [{"type": "text", "text": "Bread."}]},
        {"role": "assistant", "content": None, "tool_calls": [call], "weight": 0},
        {"role": "tool", "tool_call_id": "c1", "content": "ok"},
        {"role": "assistant", "content": "Done.", "weight": 1},
        id="row-9",
    )
    (got,), dropped = taken(
        "openai_jsonl", lines(tmp_path / "o.jsonl", row), source="bakery", licence="MIT"
    )
    assert not dropped
    assert (got.id, got.source, got.licence, got.targets) == ("row-9", "bakery", "MIT", (4,))
    assert got.messages == (
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Bread."},
        {"role": "assistant", "content": "", "tool_calls": [CALL]},
        {"role": "tool", "content": "ok", "name": "bake"},
        {"role": "assistant", "content": "Done."},
    )


def test_openai_older_spelling(tmp_path: Path) -> None:
    row = {
        "functions": [BAKE],
        "messages": [
            {"role": "user", "content": "x"},
            {"role": "assistant", "function_call": {"name": "bake", "arguments": "{}"}},
            {"role": "function", "name": "bake", "content": "ok"},
        ],
    }
    (got,), _ = taken("openai_jsonl", lines(tmp_path / "o.jsonl", row))
    assert got.targets is None
    assert got.messages[1]["tool_calls"] == [{"name": "bake", "arguments": {}}]
    assert got.messages[2] == {"role": "tool", "content": "ok", "name": "bake"}


def test_openai_bad_rows(tmp_path: Path) -> None:
    broken = {"role": "assistant", "tool_calls": [{"function": {"name": "a", "arguments": "{"}}]}
    path = lines(
        tmp_path / "o.jsonl",
        openai({"role": "user", "content": "x"}, tools=[]),
        openai({"role": "wizard", "content": "x"}),
        openai(broken),
        openai({"role": "assistant", "tool_calls": "bake"}),
        openai({"role": "assistant", "tool_calls": ["bake"]}),
    )
    _, dropped = taken("openai_jsonl", path)
    assert [reason for _, reason in reasons(dropped)] == [
        "no_tools", "unknown_role", "bad_arguments", "bad_call", "bad_call",
    ]  # fmt: skip
