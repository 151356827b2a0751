"""How a candidate becomes reward-model text: the one place where prompts are built.

ChatML turns with tools in the Hermes function-calling form. The text before the candidate
(`render_prompt`) is the same for every candidate of a decision, so its KV cache can be shared;
`render_candidate` gives the suffix. Serving and training both import this module.
"""

import json
import re
from collections.abc import Sequence

from toolrm_guard.calls import Call, Candidate
from toolrm_guard.messages import Message
from toolrm_guard.tools import Tool, ToolSet

END_OF_TURN = "<|im_end|>"
OPENER = "<|im_start|>assistant\n"

MAX_TEXT_CHARS = 20_000
"""A longer text is cut in the middle: its head and tail say most, and the model has an end."""

_CONTROL = re.compile(
    r"<(?=\||/?(?:tools?|think|evaluation|choice|verdict|s|[a-z]+(?:_[a-z]+)+)>)", re.I
)
"""`<|...|>`, the Hermes tags, those of a critic's answer, and every tag of joined words:
`<tool_call>`, `<start_of_turn>`, `<file_sep>` and their like are control tokens of one model or
another."""

_SURROGATE = re.compile("[\ud800-\udfff]")
_INSTRUCTIONS = (
    "You can call functions. Their signatures stand between <tools> and </tools>, one JSON object "
    "a line. To call one, write its name and arguments as JSON between <tool_call> and "
    "</tool_call>; several calls follow each other. Answer in plain text when no function fits or "
    "something required is not known.\n<tools>\n{tools}\n</tools>"
)


def render_prompt(messages: Sequence[Message], tools: ToolSet) -> str:
    """Return the shared text of a decision, up to and including the assistant's turn opener."""
    return "".join(render_turns(messages, tools))


def render_turns(messages: Sequence[Message], tools: ToolSet) -> list[str]:
    """Return the same text in pieces: the system turn if there is one, each turn, the opener.

    Every piece begins with a control token, so the token ids of the pieces, joined, are those of
    the whole.
    """
    system = "\n\n".join(inert(m.text) for m in messages if m.role == "system" and m.text)
    if tools:
        listed = "\n".join(_render_tool(tool) for tool in tools.values())
        system = f"{system}\n\n{_INSTRUCTIONS.format(tools=listed)}".strip()
    turns = [_turn("system", system)] if system else []
    turns += [_render_message(message) for message in messages if message.role != "system"]
    return [*turns, OPENER]


def render_candidate(candidate: Candidate) -> str:
    """Return the candidate's own text; with `END_OF_TURN` after it the turn is complete."""
    return _assistant_text(candidate.text, candidate.calls)


def inert(text: str) -> str:
    """Return text in which no chat-template token and no Hermes tag is left.

    A space after the bracket is enough: `<|im_end|>` reads on as `< |im_end|>` and tokenizes as
    plain text. Lone surrogates become U+FFFD, since no tokenizer takes them.
    """
    if len(text) > MAX_TEXT_CHARS:
        half = MAX_TEXT_CHARS // 2
        text = f"{text[:half]}\n[... {len(text) - 2 * half:,} characters cut ...]\n{text[-half:]}"
    return _SURROGATE.sub("\ufffd", _CONTROL.sub("< ", text))


def has_control_text(text: str) -> bool:
    """Tell whether text holds a chat-template token or a Hermes tag."""
    return _CONTROL.search(text) is not None


def _render_tool(tool: Tool) -> str:
    # Only what every source of training data has: an effect class would be seen in serving alone.
    shown = {"name": tool.name, "description": tool.description, "parameters": tool.parameters}
    return _json(shown)


def _render_message(message: Message) -> str:
    if message.role == "tool":
        return _turn("tool", f"<tool_response>\n{inert(message.text)}\n</tool_response>")
    if message.role == "assistant":
        return _turn("assistant", _assistant_text(message.text, message.calls))
    return _turn(message.role, inert(message.text))


def _assistant_text(text: str, calls: Sequence[Call]) -> str:
    parts = [inert(text)] if text else []
    parts += [f"<tool_call>\n{_render_call(call)}\n</tool_call>" for call in calls]
    return "\n".join(parts)


def _render_call(call: Call) -> str:
    if call.defect is not None:
        return _json({"name": call.name, "defect": call.defect.message})
    return _json({"name": call.name, "arguments": call.arguments})


def _turn(role: str, text: str) -> str:
    return f"<|im_start|>{role}\n{text}{END_OF_TURN}\n"


def _json(value: object) -> str:
    # Inside JSON the bracket has an escape of its own, so nothing is lost.
    text = json.dumps(value, ensure_ascii=False, default=repr)
    text = _CONTROL.sub(r"\\u003c", text)
    if len(text) > MAX_TEXT_CHARS:
        return inert(text)
    return _SURROGATE.sub("\ufffd", text)
