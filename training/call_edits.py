"""Edits of a call or of the whole turn; an edit that does not apply returns None."""

import json
import re
from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from toolrm_guard.calls import Call
from toolrm_guard.relevance import Relevance
from toolrm_guard.tools import Tool, words
from training.subject import (
    NOTHING,
    Calls,
    Edit,
    Subject,
    fits_type,
    replaced,
    with_arguments,
)
from training.value_edits import (
    edit_value,
    flipped,
    number_shifted,
    other_option,
    other_record,
    said_elsewhere,
    trimmed,
)


def swapped(subject: Subject) -> Calls | None:
    """Exchange two values of one call."""
    index = subject.rng.randrange(len(subject.calls))
    arguments = subject.calls[index].arguments
    pairs = [
        (a, b) for a in arguments for b in arguments
        if a < b and type(arguments[a]) is type(arguments[b]) and arguments[a] != arguments[b]
        and not isinstance(arguments[a], bool)
    ]  # fmt: skip
    if not pairs:
        return None
    a, b = subject.rng.choice(pairs)
    return replaced(subject.calls, index, {**arguments, a: arguments[b], b: arguments[a]})


def dropped(required: bool) -> Edit:
    """Return an edit that leaves an argument out; an optional one only if it is spoken of."""

    def edit(subject: Subject) -> Calls | None:
        slots = []
        for index, call in enumerate(subject.calls):
            tool = subject.tools[call.name]
            for name, value in call.arguments.items():
                if (name in tool.required) is not required:
                    continue
                schema = tool.properties.get(name)
                default = isinstance(schema, Mapping) and schema.get("default", NOTHING) == value
                if required or (not default and is_spoken_of(subject, name, value)):
                    slots.append((index, name))
        if not slots:
            return None
        index, dropped = subject.rng.choice(slots)
        rest = {n: v for n, v in subject.calls[index].arguments.items() if n != dropped}
        return replaced(subject.calls, index, rest)

    return edit


def is_spoken_of(subject: Subject, name: str, value: object) -> bool:
    """Tell whether the request states a value, or names a switch."""
    if isinstance(value, bool):
        return any(w in subject.view.at for w in words(name).split())
    return subject.evidence.support(value) > 0.8


def added_optional(subject: Subject) -> Calls | None:
    """Fill in an optional argument that nobody asked for."""
    index = subject.rng.randrange(len(subject.calls))
    call = subject.calls[index]
    tool = subject.tools[call.name]
    free = [
        (n, s) for n, s in tool.properties.items()
        if n not in call.arguments and n not in tool.required and isinstance(s, Mapping)
    ]  # fmt: skip
    if not free:
        return None
    name, schema = subject.rng.choice(free)
    value = made_up(subject, name, schema)
    if value is None or value == schema.get("default", NOTHING):
        return None
    return replaced(subject.calls, index, {**call.arguments, name: value})


def made_up(subject: Subject, name: str, schema: Mapping[str, Any]) -> Any:
    """Return a value of the declared type for an argument, from the request or out of the air."""
    rng, kind = subject.rng, schema.get("type")
    options = schema.get("enum")
    if options:
        return rng.choice(list(options))
    known = subject.pool.by_name.get(name)
    if known and rng.random() < 0.35:
        value = rng.choice(known)
        if fits_type(value, schema):
            return value
    if kind in ("integer", "number"):
        numbers = [n for n in subject.numbers() if kind == "number" or isinstance(n, int)]
        return (
            rng.choice(numbers) if numbers and rng.random() < 0.7 else rng.choice([1, 5, 10, 100])
        )
    if kind == "boolean":
        return rng.random() < 0.6
    if kind == "string":
        spans = subject.spans()
        if spans and rng.random() < 0.65:
            return rng.choice(spans)
        examples = re.findall(r"'([^']{2,30})'", str(schema.get("description") or ""))
        said = [subject.view.surface[i] for i in sorted(subject.view.content)]
        return rng.choice([*examples[:3], *(rng.sample(said, min(3, len(said)))), name])
    if kind == "array":
        inner = schema.get("items")
        item = made_up(subject, name, inner if isinstance(inner, Mapping) else {"type": "string"})
        return None if item is None else [item]
    return None


def invented(subject: Subject) -> Calls | None:
    """Give an argument that the tool does not take."""
    index = subject.rng.randrange(len(subject.calls))
    call = subject.calls[index]
    others = [n for t in subject.tools.values() for n in t.properties if t.name != call.name]
    name = subject.rng.choice(
        [*others[:40], "query", "format", "language", "limit", "unit", "type"]
    )
    if name in subject.tools[call.name].properties:
        return None
    value = subject.rng.choice([*subject.spans(), *subject.numbers(), True, "default"])
    return replaced(subject.calls, index, {**call.arguments, name: value})


def renamed(subject: Subject) -> Calls | None:
    """Misspell the name of an argument."""
    index = subject.rng.randrange(len(subject.calls))
    call = subject.calls[index]
    if not call.arguments:
        return None
    old = subject.rng.choice(list(call.arguments))
    new = subject.rng.choice(
        [f"{old}s", old.split("_")[-1], f"{old}_name", old.title(), f"the_{old}"]
    )
    return replaced(
        subject.calls, index, {(new if n == old else n): v for n, v in call.arguments.items()}
    )


def nested(subject: Subject) -> Calls | None:
    """Wrap the arguments in an object, or unwrap one."""
    index = subject.rng.randrange(len(subject.calls))
    call = subject.calls[index]
    if not call.arguments:
        return None
    inner = [n for n, v in call.arguments.items() if isinstance(v, dict)]
    if inner:
        name = subject.rng.choice(inner)
        rest = {n: v for n, v in call.arguments.items() if n != name}
        return replaced(subject.calls, index, {**rest, **call.arguments[name]})
    key = subject.rng.choice(["arguments", "parameters", "params", "kwargs"])
    return replaced(subject.calls, index, {key: dict(call.arguments)})


def wrong_tool(subject: Subject) -> Calls | None:
    """Call another tool, the more similar the likelier, with the values that fit."""
    index = subject.rng.randrange(len(subject.calls))
    call = subject.calls[index]
    others = [tool for name, tool in subject.tools.items() if name != call.name]
    if not others:
        return None
    fits = Relevance(subject.tools, subject.request).fits
    weights = [
        0.2 + fits[t.name].score + len(set(t.properties) & set(call.arguments)) for t in others
    ]
    tool = subject.rng.choices(others, weights)[0]
    return (*subject.calls[:index], filled(subject, tool, call), *subject.calls[index + 1 :])


def renamed_tool(subject: Subject) -> Calls | None:
    """Misspell the name of a tool."""
    index = subject.rng.randrange(len(subject.calls))
    call = subject.calls[index]
    name = call.name
    new = subject.rng.choice(
        [f"{name}_v2", name.split(".")[-1], name.replace("_", "."), f"do_{name}"]
    )
    if new in subject.tools:
        return None
    renamed = Call(name=new, arguments=call.arguments)
    return (*subject.calls[:index], renamed, *subject.calls[index + 1 :])


def filled(subject: Subject, tool: Tool, like: Call | None = None) -> Call:
    """Return a well-formed call of a tool, with the values of another call where they fit."""
    given = dict(like.arguments) if like else {}
    left = list(given.values())
    arguments: dict[str, Any] = {}
    for name, schema in tool.properties.items():
        inner = schema if isinstance(schema, Mapping) else {}
        if name not in tool.required and subject.rng.random() < 0.8:
            continue
        fitting = [v for v in left if fits_type(v, inner)]
        if name in given and fits_type(given[name], inner):
            arguments[name] = given[name]
        elif fitting and "enum" not in inner:
            arguments[name] = fitting[0]
            left.remove(fitting[0])
        else:
            value = made_up(subject, name, inner)
            if value is not None:
                arguments[name] = value
    return Call(name=tool.name, arguments=arguments)


# --- the whole turn -------------------------------------------------------------------------------


def no_call(subject: Subject) -> Calls | None:
    """Answer in text."""
    return ()


def one_dropped(subject: Subject) -> Calls | None:
    """Leave one call out."""
    index = subject.rng.randrange(len(subject.calls))
    return (*subject.calls[:index], *subject.calls[index + 1 :])


def only_one(subject: Subject) -> Calls | None:
    """Make one call of several."""
    return (subject.rng.choice(subject.calls),) if len(subject.calls) > 2 else None


def repeated(subject: Subject) -> Calls | None:
    """Make a call twice."""
    return (*subject.calls, subject.rng.choice(subject.calls))


def one_more(subject: Subject) -> Calls | None:
    """Add a call that nobody asked for: the same tool with another value, or another tool."""
    call = subject.rng.choice(subject.calls)
    if subject.rng.random() < 0.55 and call.arguments:
        single = Subject(
            request=subject.request, tools=subject.tools, calls=(call,), pool=subject.pool,
            rng=subject.rng,
        )  # fmt: skip
        changes = (said_elsewhere, other_record, other_option, flipped, trimmed, number_shifted)
        extra = edit_value(single, subject.rng.choice(changes))
        return None if extra is None else (*subject.calls, *extra)
    others = [t for n, t in subject.tools.items() if all(n != c.name for c in subject.calls)]
    if not others:
        return None
    return (*subject.calls, filled(subject, subject.rng.choice(others), call))


def split_list(subject: Subject) -> Calls | None:
    """Call once per element of a list that belongs into one call."""
    for index, call in enumerate(subject.calls):
        for name, value in call.arguments.items():
            if isinstance(value, list) and len(value) > 1:
                parts = tuple(
                    with_arguments(call, {**call.arguments, name: [item]}) for item in value
                )
                return (*subject.calls[:index], *parts, *subject.calls[index + 1 :])
    return None


def merged(subject: Subject) -> Calls | None:
    """One call for several: differing values joined into a text or a list."""
    by_name: dict[str, list[int]] = defaultdict(list)
    for index, call in enumerate(subject.calls):
        by_name[call.name].append(index)
    several = [found for found in by_name.values() if len(found) > 1]
    if not several:
        return None
    found = subject.rng.choice(several)
    parts = [subject.calls[i] for i in found]
    arguments: dict[str, Any] = {}
    for name, value in parts[0].arguments.items():
        values = list(
            {json.dumps(p.arguments.get(name)): p.arguments.get(name) for p in parts}.values()
        )
        if len(values) == 1:
            arguments[name] = value
        elif all(isinstance(v, str) for v in values) and subject.rng.random() < 0.6:
            arguments[name] = subject.rng.choice([" and ", ", "]).join(map(str, values))
        else:
            flat = [v for item in values for v in (item if isinstance(item, list) else [item])]
            arguments[name] = flat
    rest = tuple(c for i, c in enumerate(subject.calls) if i not in found)
    return (with_arguments(parts[0], arguments), *rest)


def crossed(subject: Subject) -> Calls | None:
    """Exchange one value between two calls of the same tool."""
    for i, one in enumerate(subject.calls):
        for j in range(i + 1, len(subject.calls)):
            other = subject.calls[j]
            differing = [
                n for n, v in one.arguments.items()
                if n in other.arguments and other.arguments[n] != v
            ]  # fmt: skip
            if one.name == other.name and len(differing) > 1:
                name = subject.rng.choice(differing)
                calls = list(subject.calls)
                calls[i] = with_arguments(one, {**one.arguments, name: other.arguments[name]})
                calls[j] = with_arguments(other, {**other.arguments, name: one.arguments[name]})
                return tuple(calls)
    return None


def call_instead(subject: Subject) -> Calls | None:
    """Call a tool where none is needed."""
    if not subject.tools:
        return None
    fits = Relevance(subject.tools, subject.request).fits
    tools = list(subject.tools.values())
    weights = [0.1 + fits[t.name].score for t in tools]
    count = subject.rng.choices([1, 2], [0.85, 0.15])[0]
    return tuple(filled(subject, subject.rng.choices(tools, weights)[0]) for _ in range(count))
