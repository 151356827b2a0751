"""The prompt of the embedded policy: one-line signatures and worked examples.

Reward models read `toolrm_guard.prompt`; this is for the 135-million-parameter policy alone, which
gets little out of JSON Schema. The examples come first and never change, so they are read once per
process; the signatures follow, and stay the same over the tasks and turns of an agent.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from toolrm_guard.calls import Call, Candidate
from toolrm_guard.messages import Message
from toolrm_guard.prompt import END_OF_TURN, inert, render_candidate
from toolrm_guard.tools import Tool, ToolSet

_INSTRUCTIONS = (
    "You are an assistant that answers each request with a function call. "
    "Copy the values from the request."
)


def _call(name: str, **arguments: object) -> Call:
    return Call(name=name, arguments=arguments)


_Turn = tuple[str, str | Candidate]

_EXAMPLES: tuple[_Turn, ...] = (
    ("user", "What is the weather in Oslo tomorrow?"),
    ("assistant", Candidate(calls=(_call("get_weather", city="Oslo", day="tomorrow"),))),
    ("tool", "Rain, 8 degrees."),
    ("assistant", "It will rain in Oslo tomorrow, at 8 degrees."),
    ("user", "Please play the song Yesterday by the Beatles."),
    ("assistant", Candidate(calls=(_call("play_song", title="Yesterday", artist="the Beatles"),))),
    ("tool", "Playing."),
    ("assistant", "Done."),
    ("user", "Find the note about rent and delete it."),
    ("assistant", Candidate(calls=(_call("find_notes", text="rent"),))),
    ("tool", "N31: rent is due"),
    ("assistant", Candidate(calls=(_call("delete_note", note_id="N31"),))),
    ("tool", "Deleted note N31."),
    ("assistant", "Done."),
    ("user", "Translate good morning to French and set a timer for 15 minutes."),
    (
        "assistant",
        Candidate(
            calls=(
                _call("translate", text="good morning", language="French"),
                _call("set_timer", minutes=15),
            )
        ),
    ),
    ("tool", "bonjour"),
    ("tool", "Timer set."),
    ("assistant", "Done."),
    ("user", "Thanks, that is all."),
    ("assistant", "You are welcome!"),
)


def render_policy_prompt(messages: Sequence[Message], tools: ToolSet) -> str:
    """Return the text up to and including the assistant's turn opener."""
    turns = []
    if tools:
        turns.append(_turn("system", _INSTRUCTIONS))
        turns += [
            _turn(role, text if isinstance(text, str) else render_candidate(text))
            for role, text in _EXAMPLES
        ]
    system = [inert(m.text) for m in messages if m.role == "system" and m.text]
    if tools:
        system.append("Functions:\n" + "\n".join(signature(tool) for tool in tools.values()))
    if system:
        turns.append(_turn("system", "\n\n".join(system)))
    for message in messages:
        if message.role == "assistant":
            answer = Candidate(text=message.text, calls=message.calls)
            turns.append(_turn("assistant", render_candidate(answer)))
        elif message.role != "system":
            turns.append(_turn(message.role, inert(message.text)))
    return "".join(turns) + "<|im_start|>assistant\n"


def signature(tool: Tool) -> str:
    """Return e.g. `pay_bill(payee: string, amount: number, note?: string) - Pay a bill.`."""
    parameters = ", ".join(
        f"{name}{'' if name in tool.required else '?'}: {_type(schema)}"
        for name, schema in tool.properties.items()
    )
    line = f"{tool.name}({parameters})"
    return inert(f"{line} - {tool.description}" if tool.description else line)


def _type(schema: Any) -> str:
    if not isinstance(schema, Mapping):  # JSON Schema allows true and false
        return "any"
    if "enum" in schema:
        return "|".join(_value(value) for value in schema["enum"])
    if "const" in schema:
        return _value(schema["const"])
    for key in ("anyOf", "oneOf"):
        if key in schema:
            return "|".join(_type(inner) for inner in schema[key])
    kind = schema.get("type", "any")
    return "|".join(map(str, kind)) if isinstance(kind, list) else str(kind)


def _value(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, default=repr)


def _turn(role: str, text: str) -> str:
    return f"<|im_start|>{role}\n{text}{END_OF_TURN}\n"
