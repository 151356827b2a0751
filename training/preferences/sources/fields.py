"""Reading foreign fields, which the library shares with bench: `toolrm_guard.foreign`."""

from toolrm_guard.foreign import (
    BadField,
    Json,
    call,
    json_text,
    list_of,
    literal,
    mapping,
    plain,
    said,
    text_of,
    tool,
    tools,
    written,
)

__all__ = [
    "BadField",
    "Json",
    "call",
    "json_text",
    "list_of",
    "literal",
    "mapping",
    "plain",
    "said",
    "text_of",
    "tool",
    "tools",
    "written",
]
