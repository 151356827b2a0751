"""Minimal edits of the reference, each labelled with the error that it makes."""

import json
import random
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Annotated

from pydantic import AfterValidator, Field

from toolrm_guard.calls import Call, canonical_json
from toolrm_guard.errors import InvalidToolError
from toolrm_guard.messages import parse_messages
from toolrm_guard.relevance import latest_request
from toolrm_guard.tools import Tool, ToolSet
from training.perturb import Subject, ValuePool, edit_names, perturb
from training.preferences.naming import hint
from training.preferences.rows import Context, JsonObject, Response
from training.preferences.samplers.base import CouldNotSample

POOL_CONTEXTS = 20_000
"""Contexts of a source that values are learned from: enough that common arguments have their 300
values. Each source has its own bound: a large one would leave those behind it without values."""


def _known_edit(name: str) -> str:
    names = tuple(edit_names())
    if name not in names:
        raise ValueError(f"{name!r} is no edit{hint(name, names)}")
    return name


EditName = Annotated[str, AfterValidator(_known_edit)]


@dataclass(frozen=True, slots=True)
class ValuePools:
    """Values of other records by source, for values that are of the right kind and wrong.

    Learned once, before the workers start: what a worker draws must not hang on what it saw before.
    """

    by_source: Mapping[str, ValuePool] = field(default_factory=dict)

    @classmethod
    def learn(cls, contexts: Iterable[Context], limit: int = POOL_CONTEXTS) -> "ValuePools":
        """Take in the references of the first `limit` contexts of each source."""
        pools: dict[str, ValuePool] = {}
        learned: Counter[str] = Counter()
        for context in contexts:
            learned[context.source] += 1
            if learned[context.source] <= limit:
                pool = pools.setdefault(context.source, ValuePool())
                pool.learn(map(_call, context.reference.calls))
        return cls(pools)


@dataclass(frozen=True, slots=True, kw_only=True)
class PerturbSampler:
    """Wrong answers one edit away from the reference.

    Attributes:
        count: How many a context, as far as different ones are found.
        without: Edits to leave out, by name (`training.perturb.edit_names`).
        pools: Values of other records; without them values come from the context alone.
    """

    count: Annotated[int, Field(ge=1)] = 4
    without: Sequence[EditName] = ()
    pools: ValuePools = field(default_factory=ValuePools)
    name: str = "perturb"

    def sample(self, context: Context, seed: int) -> list[Response]:
        """Return edits, `by="edit:<type>"`; they follow from context, pools and seed alone.

        Raises:
            CouldNotSample: If the reference calls a tool that is not offered, or a schema is bad.
        """
        offered = _toolset(context.tools)
        calls = tuple(map(_call, context.reference.calls))
        unknown = [call.name for call in calls if call.name not in offered]
        if unknown:
            raise CouldNotSample("unknown_tool", f"the reference calls {unknown[0]!r}, not offered")
        subject = Subject(
            request=latest_request(parse_messages(context.messages)),
            tools=offered,
            calls=calls,
            pool=self.pools.by_source.get(context.source) or _own_values(context),
            rng=random.Random(f"{seed}:{context.id}"),
        )
        # Asked for more, so that leaving some edits out does not leave fewer.
        made = perturb(subject, self.count * (3 if self.without else 1))
        kept = [edit for edit in made if edit.error not in self.without]
        return [
            Response(
                text=edit.candidate.text,
                calls=tuple(
                    {"name": call.name, "arguments": dict(call.arguments)}
                    for call in edit.candidate.calls
                ),
                by=f"edit:{edit.error}",
                label=False,
                error=edit.error,
            )
            for edit in kept[: self.count]
        ]


def _call(raw: JsonObject) -> Call:
    return Call(name=raw["name"], arguments=raw["arguments"])


def _own_values(context: Context) -> ValuePool:
    """Return the values of the context's earlier calls."""
    pool = ValuePool()
    for message in context.messages:
        pool.learn(map(_call, message.get("tool_calls") or ()))
    return pool


def _toolset(schemas: Sequence[JsonObject]) -> ToolSet:
    try:
        return ToolSet(_tool(canonical_json(schema)) for schema in schemas)
    except InvalidToolError as exc:
        raise CouldNotSample("bad_tool", str(exc)) from exc


@lru_cache(maxsize=4096)  # many contexts offer the same tools, and checking a schema is slow
def _tool(schema: str) -> Tool:
    return Tool.parse(json.loads(schema))
