"""The typed rows that flow through the pipeline, from a source's dialog to a preference pair.

    Trajectory -> Context -> Context with scored Responses -> Pair

Rows are plain data: `to_json` gives the canonical bytes that files, hashes and the order of every
stage depend on, so two engines that hold the same rows write the same files.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

JsonObject = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """One proposed assistant turn for a context.

    Attributes:
        text: What it says.
        calls: `{"name", "arguments"}` each; empty for an answer in text.
        by: Who made it: a model's name, `reference`, or `edit:<error type>`.
        label: Whether the source says that it is right; None where it says nothing.
        error: The error type that the source or the edit names; None for a right one.
        score: Rule score in [0, 1]; None until it is scored.
    """

    text: str = ""
    calls: tuple[JsonObject, ...] = ()
    by: str
    label: bool | None = None
    error: str | None = None
    score: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Trajectory:
    """One dialog of a source, as its adapter reads it.

    Attributes:
        id: Unique and stable within the source.
        source: The adapter's name, and its part where the source has parts: `xlam_60k`.
        licence: SPDX name, or None where the source states none.
        tools: Bare function schemas: name, description, parameters (JSON Schema).
        messages: `{"role", "content", "tool_calls"?, "name"?}`; roles are system, user, assistant
            and tool; a tool call is `{"name", "arguments"}` with arguments as an object.
        targets: Indexes of the assistant messages that are references; None for all of them.
        recorded: Responses of models to the last target turn, where the source has some.
        group: What must stay on one side of a split: the dialog, or the query that it varies.
    """

    id: str
    source: str
    licence: str | None
    tools: tuple[JsonObject, ...]
    messages: tuple[JsonObject, ...]
    targets: tuple[int, ...] | None = None
    recorded: tuple[Response, ...] = ()
    group: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """One decision: what came before, the tools, a right turn, and what was answered.

    Attributes:
        id: `<source>:<trajectory id>:<index of the turn>`.
        messages: Everything before the turn.
        reference: A right turn.
        responses: Sampled turns; empty before sampling.
    """

    id: str
    source: str
    licence: str | None
    group: str
    tools: tuple[JsonObject, ...]
    messages: tuple[JsonObject, ...]
    reference: Response
    responses: tuple[Response, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """Two responses to one context, the first scored higher.

    Attributes:
        id: The context's id and the numbers of the two responses.
        intensity: s+ - s-, in (0, 1].
        complexity: Calls plus arguments of the chosen side.
    """

    id: str
    context: Context
    chosen: Response
    rejected: Response
    intensity: float
    complexity: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Dropped:
    """A row that a stage did not pass on, and why.

    Attributes:
        stage: The stage that dropped it: `read`, `schemas`, `roles`, ...
        reason: A short fixed code that reports count by: `bad_json`, `unknown_tool`, ...
        id: Of the row, or its file and line where it has none.
        detail: For people: the value and what was expected.
    """

    stage: str
    reason: str
    id: str
    detail: str
