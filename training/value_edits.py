"""Edits of one value of one call; a change that returns None does not apply."""

import datetime
import re
import unicodedata
from collections.abc import Callable, Mapping
from typing import Any

from toolrm_guard.tools import words
from training.subject import Calls, Edit, Subject, choice, is_number, replaced


def edit_value(
    subject: Subject, change: Callable[[Subject, str, Any, Mapping[str, Any]], object]
) -> Calls | None:
    """Apply a change to one argument of one call; a change that returns None does not apply."""
    slots = [(i, name) for i, call in enumerate(subject.calls) for name in call.arguments]
    subject.rng.shuffle(slots)
    for index, name in slots[:6]:
        call = subject.calls[index]
        value = call.arguments[name]
        schema = subject.tools[call.name].properties.get(name)
        schema = schema if isinstance(schema, Mapping) else {}
        if isinstance(value, list) and value and subject.rng.random() < 0.7:
            at = subject.rng.randrange(len(value))
            inner = schema.get("items") if isinstance(schema.get("items"), Mapping) else {}
            new = change(subject, name, value[at], inner or {})
            changed: object = None if new is None else [*value[:at], new, *value[at + 1 :]]
        elif isinstance(value, dict) and value:
            key = subject.rng.choice(list(value))
            inner = (schema.get("properties") or {}).get(key)
            new = change(subject, key, value[key], inner if isinstance(inner, Mapping) else {})
            changed = None if new is None else {**value, key: new}
        else:
            changed = change(subject, name, value, schema)
        if changed is not None and changed != value:
            return replaced(subject.calls, index, {**call.arguments, name: changed})
    return None


def said_elsewhere(subject: Subject, name: str, value: Any, schema: Mapping[str, Any]) -> object:
    """Take another value of the request."""
    if isinstance(value, str) and "enum" not in schema:
        return choice(subject.rng, [s for s in subject.spans() if s != value])
    if is_number(value):
        return choice(subject.rng, [n for n in subject.numbers() if n != value])
    return None


def other_record(subject: Subject, name: str, value: Any, schema: Mapping[str, Any]) -> object:
    """Take the value of another record."""
    if isinstance(value, bool) or "enum" in schema:
        return None
    return subject.pool.draw(subject.rng, name, value)


def trimmed(subject: Subject, name: str, value: Any, schema: Mapping[str, Any]) -> object:
    """Leave out words at one end."""
    if not isinstance(value, str) or "enum" in schema or len(value.split()) < 2:
        return None
    parts = value.split()
    keep = subject.rng.randrange(1, len(parts))
    kept = parts[:keep] if subject.rng.random() < 0.6 else parts[-keep:]
    return " ".join(kept).strip(",;: ")


def extended(subject: Subject, name: str, value: Any, schema: Mapping[str, Any]) -> object:
    """Take in a neighbouring word, or the argument's own noun: `A` becomes `substance A`."""
    if not isinstance(value, str) or "enum" in schema or not value:
        return None
    at = subject.request.find(value)
    noun = words(name).split()[-1] if words(name) else ""
    if at < 0 or subject.rng.random() < 0.2:
        return subject.rng.choice([f"{noun} {value}", f"{value} {noun}", f"{noun.title()} {value}"])
    before = re.findall(r"\S+", subject.request[:at])[-2:]
    after = re.findall(r"\S+", subject.request[at + len(value) :])[:2]
    pieces = [[*before[-1:], value], [value, *after[:1]], [*before, value], [value, *after]]
    return " ".join(subject.rng.choice(pieces)).strip(".,?!'\" ")


def reworded(subject: Subject, name: str, value: Any, schema: Mapping[str, Any]) -> object:
    """Another look of the same text: case, joints, missing stop words."""
    if not isinstance(value, str) or "enum" in schema or len(value) < 3:
        return None
    forms = [
        value.replace(" ", "_"),
        value.replace(" ", "").lower(),
        re.sub(r",.*", "", value),
        " ".join(w for w in value.split() if w.lower() not in ("the", "of", "in", "a", "and")),
        re.sub(r"[-_]", " ", value),
        value.split()[0][:3].upper() if value[:1].isupper() else value,
        f"{value}, USA" if value[:1].isupper() else f"{value}s",
    ]
    return choice(subject.rng, [f for f in forms if f and f != value])


def date_format(subject: Subject, name: str, value: Any, schema: Mapping[str, Any]) -> object:
    """Write a date in another notation, or shift it."""
    match = re.fullmatch(r"(\d{4})-(\d\d)-(\d\d)(.*)", value) if isinstance(value, str) else None
    if not match:
        return None
    year, month, day, rest = match.groups()
    shifted = f"{int(day) % 28 + 1:02d}"
    return subject.rng.choice(
        [
            f"{day}/{month}/{year}{rest}", f"{month}/{day}/{year}{rest}", f"{year}/{month}/{day}",
            f"{year}-{month}-{shifted}{rest}", f"{int(year) - 1}-{month}-{day}{rest}",
            f"{year}-{day}-{month}{rest}", f"{year}-{month}-{day}T00:00:00" if not rest else
            f"{year}-{month}-{day}",
        ]
    )  # fmt: skip


def number_shifted(subject: Subject, name: str, value: Any, schema: Mapping[str, Any]) -> object:
    """Change a number by one, by a factor, or between percent and fraction."""
    if not is_number(value):
        return None
    factors = [10, 100, 1000, 0.1, 0.01, 60]
    choices = [value + 1, value - 1, value * 2, *(value * f for f in factors), -value]
    if any(percent for _, percent, _ in subject.view.numbers) or 0 < abs(value) < 1:
        choices = [value * 100, value / 100]
    new = round(subject.rng.choice(choices), 6)
    return int(new) if isinstance(value, int) and new == int(new) else new


def flipped(subject: Subject, name: str, value: Any, schema: Mapping[str, Any]) -> object:
    """Turn a switch."""
    return (not value) if isinstance(value, bool) else None


def other_option(subject: Subject, name: str, value: Any, schema: Mapping[str, Any]) -> object:
    """Take another option of the enum."""
    options = [o for o in schema.get("enum") or () if o != value]
    return choice(subject.rng, options)


def placeholder(subject: Subject, name: str, value: Any, schema: Mapping[str, Any]) -> object:
    """Put a placeholder in place of the value."""
    if isinstance(value, str) and value and "enum" not in schema:
        return subject.rng.choice(
            ["", name, "unknown", f"<{name}>", f"your_{name}", "N/A", "example"]
        )
    return 0 if is_number(value) and value else None


def retyped(subject: Subject, name: str, value: Any, schema: Mapping[str, Any]) -> object:
    """Write the value in another type."""
    if isinstance(value, bool):
        return str(value).lower()
    if is_number(value):
        return str(value) if subject.rng.random() < 0.7 else [value]
    if isinstance(value, str):
        if value.isdigit():
            return int(value)
        return [value] if subject.rng.random() < 0.6 else {name: value}
    if isinstance(value, list) and value:
        return ", ".join(map(str, value)) if subject.rng.random() < 0.6 else value[0]
    return None


def value_edit(change: Callable[[Subject, str, Any, Mapping[str, Any]], object]) -> Edit:
    """Return an edit that applies a change to one value."""
    return lambda subject: edit_value(subject, change)


def only_rewritten(subject: Subject, calls: Calls) -> bool:
    """Tell whether calls say what the right ones do, in another writing: `New_York`, `6 May 2024`.

    Writing counts where the schema fixes it with an enum, a const, a format or a pattern.
    """
    if len(calls) != len(subject.calls) or not calls:
        return False
    for new, right in zip(calls, subject.calls, strict=True):
        if new.name != right.name or new.arguments.keys() != right.arguments.keys():
            return False
        properties = subject.tools[right.name].properties
        for name, value in right.arguments.items():
            if not _same_meaning(new.arguments[name], value, properties.get(name)):
                return False
    return True


def _same_meaning(new: object, right: object, schema: object) -> bool:
    schema = schema if isinstance(schema, Mapping) else {}
    if any(key in schema for key in ("enum", "const", "format", "pattern")):
        return new == right and type(new) is type(right)
    if isinstance(new, str) and isinstance(right, str):
        return new == right or _same_text(new, right)
    if isinstance(new, list) and isinstance(right, list):
        items = schema.get("items")
        return len(new) == len(right) and all(map(_same_meaning, new, right, [items] * len(new)))
    if isinstance(new, dict) and isinstance(right, dict):
        inner = schema.get("properties")
        inner = inner if isinstance(inner, Mapping) else {}
        return new.keys() == right.keys() and all(
            _same_meaning(new[key], right[key], inner.get(key)) for key in right
        )
    return new == right and type(new) is type(right)


def _same_text(new: str, right: str) -> bool:
    if _dates(new) & _dates(right):
        return True
    plain = _plain_text(right)
    return bool(plain) and _plain_text(new) == plain


# A sign, a decimal point or a joint between digits says something: 1.5 is not 15.
_JOINTS = re.compile(r"""(?<!\d)(?<!^)[-.,:/]|[-.,:/](?!\d)|[\s_;!?'"()\[\]\\]+""")


def _plain_text(text: str) -> str:
    return _JOINTS.sub("", unicodedata.normalize("NFKC", text).casefold())


_DATE_FORMS = (
    "%Y-%m-%d", "%Y/%m/%d", "%Y.%m.%d", "%Y%m%d", "%d/%m/%Y", "%m/%d/%Y", "%d-%m-%Y", "%m-%d-%Y",
    "%d.%m.%Y", "%B %d, %Y", "%B %d %Y", "%d %B %Y", "%b %d, %Y", "%b %d %Y", "%d %b %Y",
)  # fmt: skip


def _dates(text: str) -> set[datetime.date]:
    """Return the days that a text may name; more than one where day and month could be swapped."""
    if not any(letter.isdigit() for letter in text):
        return set()
    match = re.fullmatch(r"(.*?)(?:[T ]00:00(?::00(?:\.0+)?)?Z?)?", text.strip())
    day = match.group(1) if match else text
    found = set()
    for form in _DATE_FORMS:
        try:
            found.add(datetime.datetime.strptime(day, form).replace(tzinfo=datetime.UTC).date())
        except ValueError:
            continue
    return found
