"""Contexts made from single-turn references, for what benchmarks ask and the packs hold few of.

Several calls of one tool, two requests in one, tools that do not fit, and conventions that a
description states: percent or fraction, `City, ST`, date formats, the style of examples.
"""

import datetime
import random
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from toolrm_guard.calls import Call, Candidate
from toolrm_guard.labelled import LabelledRecord
from toolrm_guard.tools import Tool, ToolSet
from training.perturb import Labelled, ValuePool


@dataclass(frozen=True, slots=True, kw_only=True)
class Single:
    """A single-turn context whose reference is stated in the request."""

    record: LabelledRecord
    request: str
    tools: ToolSet
    calls: tuple[Call, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """A new context with its right calls, and wrong candidates that belong to its point."""

    request: str
    tools: ToolSet
    calls: tuple[Call, ...]
    wrong: tuple[Labelled, ...] = ()


def synthesize(
    singles: Sequence[Single], pool: ValuePool, seed: int
) -> Iterator[tuple[LabelledRecord, str, Made, random.Random]]:
    """Yield (record, kind, context, its random state); all follows from seed and record id."""
    for index, single in enumerate(singles):
        rng = random.Random(f"{seed}:synthetic:{single.record.id}")
        other = singles[(index + 1 + rng.randrange(max(len(singles) - 1, 1))) % len(singles)]
        for kind, share, make in _KINDS:
            made = make(single, other, pool, rng) if rng.random() < share else None
            if made is not None:
                yield single.record, kind, made, rng


def narrowed(single: Single, other: Single, pool: ValuePool, rng: random.Random) -> Made | None:
    """The same request with another number of tools: only the called ones, or some strangers."""
    called = {call.name for call in single.calls}
    tools = [tool for name, tool in single.tools.items() if name in called]
    for tool in other.tools.values():
        if len(tools) < rng.choice((0, 2, 3, 4)) and all(t.name != tool.name for t in tools):
            tools.append(tool)
    rng.shuffle(tools)
    return Made(request=single.request, tools=ToolSet(tools), calls=single.calls)


def multiplied(single: Single, other: Single, pool: ValuePool, rng: random.Random) -> Made | None:
    """Ask the same of several values: `in Boston` becomes `in Boston, Rome and Oslo`."""
    slot = _slot(single, (str, int, float), rng)
    if slot is None:
        return None
    call, name, value = slot
    drawn = (pool.draw(rng, name, value) for _ in range(rng.choice((1, 1, 2, 3))))
    values = list(dict.fromkeys([value, *(v for v in drawn if v is not None)]))
    if len(values) < 2 or any(str(v) in single.request for v in values[1:]):
        return None
    texts = [str(v) for v in values]
    form = rng.random()
    if form < 0.5:
        listed = f"{', '.join(texts[:-1])} and {texts[-1]}"
        request = single.request.replace(texts[0], listed, 1)
    elif form < 0.75:
        rest = " and ".join(texts[1:])
        more = rng.choice([f"Do the same for {rest}.", f"Then also for {rest}.", f"And {rest}?"])
        request = f"{single.request} {more}"
    else:
        request = rng.choice([" ", " Also, ", " Then ", " and "]).join(
            single.request.replace(texts[0], text, 1) for text in texts
        )
    calls = tuple(Call(name=call.name, arguments={**call.arguments, name: v}) for v in values)
    return Made(request=request, tools=single.tools, calls=calls)


def joined(single: Single, other: Single, pool: ValuePool, rng: random.Random) -> Made | None:
    """Two requests in one."""
    if other is single or single.request.isascii() != other.request.isascii():
        return None
    if any(other.tools[n] is not t for n, t in single.tools.items() if n in other.tools):
        return None
    tools = {**dict(single.tools), **dict(other.tools)}
    needed = {call.name for call in (*single.calls, *other.calls)}
    kept = [t for n, t in tools.items() if n in needed or rng.random() < 0.3]
    rng.shuffle(kept)
    joint = rng.choice([" ", " Also, ", " Then, ", "\n", " And ", " After that, "])
    return Made(
        request=f"{single.request}{joint}{other.request}",
        tools=ToolSet(kept),
        calls=(*single.calls, *other.calls),
    )


def no_tool(single: Single, other: Single, pool: ValuePool, rng: random.Random) -> Made | None:
    """The tools of another request: no call is right."""
    called = {call.name for call in single.calls}
    tools = [tool for name, tool in other.tools.items() if name not in called]
    if rng.random() < 0.4:
        names = {tool.name for tool in tools} | called
        tools += [tool for name, tool in single.tools.items() if name not in names]
    if not tools or other is single or {c.name for c in other.calls} & called:
        return None
    rng.shuffle(tools)
    return Made(request=single.request, tools=ToolSet(tools[: rng.choice((1, 1, 2, 4))]), calls=())


# --- conventions --------------------------------------------------------------------------------

_RATES = (
    "interest_rate annual_rate discount_rate tax_rate growth_rate annual_yield probability"
    " return_rate inflation_rate depreciation_rate commission_rate profit_margin error_rate"
    " confidence_level occupancy_rate increase"
).split()


def percent(single: Single, other: Single, pool: ValuePool, rng: random.Random) -> Made | None:
    """A percentage for a new argument, as its description wants it; without a word, a fraction."""
    if len(single.calls) != 1 or not single.request.isascii():
        return None
    call, rate = single.calls[0], rng.choice(_RATES)
    if rate in single.tools[call.name].required:
        return None
    noun = rate.replace("_", " ")
    number = rng.choice((rng.randint(1, 95), rng.randint(1, 12), rng.randint(2, 40) / 2))
    as_fraction = rng.random() < 0.6
    kind = "number" if as_fraction or rng.random() < 0.5 else "integer"
    if as_fraction:
        says = rng.choice(("", "", "", " as a decimal", " (e.g. 0.05 for 5%)", ", between 0 and 1"))
    else:
        says = "" if kind == "integer" else rng.choice((" in percent", " as a percentage", " (%)"))
    number = int(number) or 1 if kind == "integer" else number
    text = f"{number}{rng.choice(('%', '%', ' percent'))}"
    phrase = rng.choice((f"with {noun} of {text}", f"at a {text} {noun}", f"given {text} {noun}"))
    schema = {
        "type": kind,
        "description": f"{rng.choice(('The', 'Annual', 'Expected'))} {noun}{says}.",
    }
    right, wrong = (round(number / 100, 6), number)[:: 1 if as_fraction else -1]
    tools = _with_argument(single, call.name, rate, schema)
    made = tuple(
        Call(name=call.name, arguments={**call.arguments, rate: v}) for v in (right, wrong)
    )
    return Made(
        request=f"{single.request.rstrip(' .?!')} {phrase}.",
        tools=tools,
        calls=made[:1],
        wrong=(Labelled(candidate=Candidate(calls=made[1:]), right=False, error="convention"),),
    )


_CITIES = dict(
    item.split(":")
    for item in (
        "Boston:MA,Chicago:IL,Seattle:WA,Miami:FL,Austin:TX,Denver:CO,Dallas:TX,Houston:TX,"
        "Atlanta:GA,Phoenix:AZ,Portland:OR,Detroit:MI,San Diego:CA,San Jose:CA,Los Angeles:CA,"
        "New York:NY,Philadelphia:PA,Las Vegas:NV,Nashville:TN,Orlando:FL,Berkeley:CA,"
        "Sacramento:CA,Baltimore:MD,Minneapolis:MN,New Orleans:LA,Salt Lake City:UT,"
        "Paris:France,London:UK,Rome:Italy,Berlin:Germany,Tokyo:Japan,Madrid:Spain,"
        "Toronto:Canada,Sydney:Australia,Mumbai:India,Amsterdam:Netherlands,Vienna:Austria"
    ).split(",")
)


def place(single: Single, other: Single, pool: ValuePool, rng: random.Random) -> Made | None:
    """A city, with its state or country where the description wants it."""
    slot = _slot(single, (str,), rng)
    if slot is None:
        return None
    call, name, value = slot
    city = rng.choice(list(_CITIES))
    region = _CITIES[city]
    full = f"{city}, {region}"
    whole = rng.random() < 0.6
    if whole:
        says = rng.choice(
            (
                "The city and state, e.g. San Francisco, CA",
                "Location in the format 'City, State' or 'City, Country'",
                "The location, such as 'Houston, TX'",
                "City and region in the form of City, ST (e.g. Reno, NV)",
            )
        )
    else:
        says = rng.choice(
            ("The name of the city.", "The city, e.g. 'Houston'.", "Name of the place")
        )
    new = rng.choice(("location", "city", "place", "destination", name))
    tools, renamed = _renamed(single, call, name, new, {"type": "string", "description": says})
    right, wrong = (full, city) if whole else (city, full)
    others = [wrong, f"{city}, USA", f"{city} City", city.lower()]
    return _with_wrong(
        single, value, city, tools, renamed, new, right, others[: 1 + rng.randrange(3)]
    )


_SPOKEN = (
    "%B %d, %Y",
    "%d %B %Y",
    "%B %dth, %Y",
    "%b %d, %Y",
    "%d of %B, %Y",
    "%Y-%m-%d",
    "%m/%d/%Y",
)
_WRITTEN = {
    "YYYY-MM-DD": "%Y-%m-%d", "MM/DD/YYYY": "%m/%d/%Y", "DD-MM-YYYY": "%d-%m-%Y",
    "DD/MM/YYYY": "%d/%m/%Y", "YYYY/MM/DD": "%Y/%m/%d", "MM-DD-YYYY": "%m-%d-%Y",
}  # fmt: skip


def dated(single: Single, other: Single, pool: ValuePool, rng: random.Random) -> Made | None:
    """A date as people say it, in the format that the description spells out."""
    slot = _slot(single, (str,), rng)
    if slot is None:
        return None
    call, name, value = slot
    day = datetime.date(2020, 1, 1) + datetime.timedelta(days=rng.randrange(2000))
    shown, form = rng.choice([*_WRITTEN.items(), ("YYYY-MM-DD", "%Y-%m-%d")])
    says = rng.choice((f"The date in {shown} format.", f"Date, format: {form}", f"Date ({shown})"))
    new = rng.choice(("date", "start_date", "check_in_date", "day", "when"))
    tools, renamed = _renamed(single, call, name, new, {"type": "string", "description": says})
    spoken = day.strftime(rng.choice(_SPOKEN))
    near = day + datetime.timedelta(days=rng.choice((-1, 1, 30, 365)))
    wrong = [day.strftime(f) for f in (*_WRITTEN.values(), "%B %d, %Y") if f != form]
    rng.shuffle(wrong)
    right = day.strftime(form)
    wrong = [w for w in [spoken, *wrong[:2], near.strftime(form)] if w != right]
    return _with_wrong(single, value, spoken, tools, renamed, new, right, wrong)


_STYLES: Mapping[str, Callable[[str], str]] = {
    "as is": str,
    "lower": str.lower,
    "upper": str.upper,
    "title": str.title,
    "snake": lambda text: re.sub(r"\W+", "_", text.strip()).lower(),
    "kebab": lambda text: re.sub(r"\W+", "-", text.strip()).lower(),
}


def styled(single: Single, other: Single, pool: ValuePool, rng: random.Random) -> Made | None:
    """Text in the style of the examples that the description gives."""
    slot = _slot(single, (str,), rng)
    if slot is None or not re.fullmatch(r"[A-Za-z]+(?: [A-Za-z]+){0,3}", slot[2]):
        return None
    call, name, value = slot
    drawn = [pool.draw(rng, name, value) for _ in range(3)]
    examples = [d for d in drawn if isinstance(d, str) and len(d) < 40]
    if not examples:
        return None
    style = rng.choice(list(_STYLES))
    quoted = ", ".join(f"'{_STYLES[style](e)}'" for e in dict.fromkeys(examples))
    schema = single.tools[call.name].properties[name]
    known = str(schema.get("description") or f"The {name}.")
    says = f"{known} {rng.choice(('e.g.', 'For example,', 'Such as', 'Examples:'))} {quoted}."
    tools, renamed = _renamed(single, call, name, name, {**schema, "description": says})
    right = _STYLES[style](value)
    wrong = [made for other_style in _STYLES.values() if (made := other_style(value)) != right]
    rng.shuffle(wrong)
    return _with_wrong(single, value, value, tools, renamed, name, right, wrong[:3])


_Maker = Callable[[Single, Single, ValuePool, random.Random], Made | None]
_KINDS: tuple[tuple[str, float, _Maker], ...] = (
    ("narrowed", 0.9, narrowed),
    ("multiplied", 1.0, multiplied),
    ("joined", 0.5, joined),
    ("no_tool", 0.45, no_tool),
    ("percent", 0.35, percent),
    ("place", 0.25, place),
    ("dated", 0.2, dated),
    ("styled", 0.25, styled),
)


def _slot(
    single: Single, types: tuple[type, ...], rng: random.Random
) -> tuple[Call, str, Any] | None:
    """Return a value of the only call that the request says exactly once, with its argument."""
    if len(single.calls) != 1:
        return None
    call = single.calls[0]
    slots = [
        (call, name, value)
        for name, value in call.arguments.items()
        if isinstance(value, types) and not isinstance(value, bool) and value != ""
        and "enum" not in (single.tools[call.name].properties.get(name) or {"enum": ()})
        and len(re.findall(rf"(?<!\w){re.escape(str(value))}(?!\w)", single.request)) == 1
    ]  # fmt: skip
    return rng.choice(slots) if slots else None


def _renamed(
    single: Single, call: Call, old: str, new: str, schema: Mapping[str, Any]
) -> tuple[ToolSet, Call]:
    """Return the tools with one argument renamed and described anew, and the call likewise."""
    tool = single.tools[call.name]
    if new in tool.properties:
        new = old
    properties = {(new if n == old else n): s for n, s in tool.properties.items()}
    properties[new] = dict(schema)
    parameters = {
        **tool.parameters,
        "properties": properties,
        "required": [new if n == old else n for n in tool.required],
    }
    changed: Tool = replace(tool, parameters=parameters)
    tools = [changed if name == call.name else t for name, t in single.tools.items()]
    arguments = {(new if n == old else n): v for n, v in call.arguments.items()}
    return ToolSet(tools), Call(name=call.name, arguments=arguments)


def _with_argument(single: Single, name: str, argument: str, schema: Mapping[str, Any]) -> ToolSet:
    """Return the tools with one more required argument for one of them."""
    tool = single.tools[name]
    parameters = {
        **tool.parameters,
        "properties": {**tool.properties, argument: dict(schema)},
        "required": [*tool.required, argument],
    }
    changed: Tool = replace(tool, parameters=parameters)
    return ToolSet(changed if n == name else t for n, t in single.tools.items())


def _with_wrong(
    single: Single,
    said: str,
    text: str,
    tools: ToolSet,
    call: Call,
    name: str,
    right: object,
    wrong: Sequence[object],
) -> Made | None:
    """Return the context with `text` in place of `said`, and one candidate per wrong value."""
    if name not in call.arguments:
        return None
    request = re.sub(
        rf"(?<!\w){re.escape(said)}(?!\w)(?:\s?(?:%|percent))?",
        lambda _: text,
        single.request,
        count=1,
    )
    calls = (Call(name=call.name, arguments={**call.arguments, name: right}),)
    others = tuple(
        Labelled(
            candidate=Candidate(
                calls=(Call(name=call.name, arguments={**call.arguments, name: v}),)
            ),
            right=False,
            error="convention",
        )
        for v in wrong
    )
    return Made(request=request, tools=tools, calls=calls, wrong=others)
