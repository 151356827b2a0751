"""What speaks for and against one call: the numbers behind the features, summed over candidates."""

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from toolrm_guard.calls import Call
from toolrm_guard.grounding import Evidence, is_described, is_given, schema_leaves
from toolrm_guard.normal import STOP, WORD, content_stems, stem, stems
from toolrm_guard.relevance import Relevance
from toolrm_guard.scorers.hints import Hints
from toolrm_guard.scorers.request_view import NOWHERE, Place, RequestView
from toolrm_guard.tools import Tool
from toolrm_guard.validation import Finding

_PLACEHOLDER = re.compile(
    r"<.*>|\{.*\}|your[_ ].*|example.*|unknown|n/?a|tbd|string|none|null|undefined|placeholder"
    r"|x{2,}|\$\{?\w+.*|.*\bexample\.com.*|user_?id|not specified|unspecified|default",
    re.I,
)
_JOINER = re.compile(r"\s+and\s+|\s*,\s*|\s+&\s+|\s*;\s*|\s+or\s+")
_NEGATED = re.compile(r"\b(?:no|not|without|don't|do not|doesn't|except|exclude|excluding)\b", re.I)
_ERROR_GROUP = {
    "missing_required": "missing",
    "unexpected_argument": "unexpected",
    "wrong_type": "type",
    "not_in_enum": "enum",
    "out_of_range": "format",
    "wrong_format": "format",
    "unknown_tool": "unknown",
}


@dataclass(slots=True)
class CallEvidence:
    """One call's evidence.

    Attributes:
        counts: Named sums; a candidate adds them up over its calls.
        supports: Support of every value in the whole conversation, in [0, 1].
        stated: Support of every value in the latest request, in [0, 1].
        texts: Support of the text values alone.
        covered: Indices of the request's words that the values cover.
        said: Stems of the tool's and the given arguments' names.
        tool: The tool's name.
    """

    tool: str = ""

    counts: dict[str, float] = field(default_factory=dict)
    supports: list[float] = field(default_factory=list)
    stated: list[float] = field(default_factory=list)
    texts: list[float] = field(default_factory=list)
    covered: set[int] = field(default_factory=set)
    said: set[str] = field(default_factory=set)

    def add(self, name: str, amount: float = 1.0) -> None:
        """Add to a count."""
        self.counts[name] = self.counts.get(name, 0.0) + amount


@dataclass(frozen=True, slots=True)
class Scene:
    """What every call of a review is judged by."""

    everything: Evidence
    request: Evidence
    view: RequestView
    relevance: Relevance


@dataclass(slots=True)
class _Argument:
    name: str
    value: Any
    schema: Mapping[str, Any]
    hints: Hints
    optional: bool
    place: Place


def weigh(call: Call, tool: Tool | None, errors: tuple[Finding, ...], scene: Scene) -> CallEvidence:
    """Return the evidence of a call; `errors` are its schema findings."""
    found = CallEvidence(tool=call.name)
    for error in errors:
        if error.severity == "error":
            found.add("errors")
            found.add("error_" + _ERROR_GROUP.get(error.code, "other"))
    if tool is None:
        return found
    arguments = list(_arguments(call, tool, scene))
    card = scene.relevance.card(call.name)
    if card is not None:
        found.said.update(card.name)
    for argument in arguments:
        _weigh_argument(argument, found, scene, call.name)
    weigh_roles(arguments, found, scene)
    weigh_reuse(arguments, found)
    weigh_absent(call, tool, found, scene)
    found.add("arguments", len(call.arguments))
    return found


def _arguments(call: Call, tool: Tool, scene: Scene) -> Any:
    required = tool.required
    for path, value, schema in schema_leaves(call.arguments, tool.parameters):
        name = next((p for p in reversed(path) if isinstance(p, str)), "")
        top = str(path[0]) if path else ""
        stated = value is not None and not isinstance(value, bool) and value != ""
        yield _Argument(
            name=name,
            value=value,
            schema=schema,
            hints=Hints.of(name, schema),
            optional=top not in required,
            place=scene.view.place(value) if stated else NOWHERE,
        )


def _weigh_argument(argument: _Argument, found: CallEvidence, scene: Scene, tool: str) -> None:
    value, schema = argument.value, argument.schema
    found.said.update(argument.hints.name)
    default = is_default(value, schema, argument.hints)
    if argument.optional:
        found.add("optional_given")
        found.add("optional_default", float(default))
    if isinstance(value, bool):
        weigh_switch(argument, found, scene)
        return
    if value is None or value == "":
        found.add("empty_values")
        return
    support = scene.everything.support(value, schema)
    stated = scene.request.stated(value)
    if stated < 0.9 and isinstance(value, int) and scene.request.is_coded(value, schema):
        stated = 0.95
        found.add("coded")
    found.supports.append(support)
    found.stated.append(stated)
    found.covered |= argument.place.words
    if support < 0.3:
        found.add("ungrounded")
        found.add("ungrounded_optional", float(argument.optional))
    elif support < 0.75:
        found.add("half_grounded")
    if argument.optional and not default:
        found.add("optional_stated" if stated > 0.75 else "optional_unstated")
    if isinstance(value, str):
        found.texts.append(support)
        weigh_text(argument, value, found, scene, tool)
    else:
        weigh_number(argument, found)


def weigh_switch(argument: _Argument, found: CallEvidence, scene: Scene) -> None:
    """A true switch should be spoken of; a false one should be denied or be the default."""
    said = sorted(i for w in argument.hints.name for i in scene.view.at.get(w, ()))
    default = argument.schema.get("default")
    if argument.value:
        found.add("true_said" if said else "true_unsaid")
    else:
        found.add("false_said" if said else "false_unsaid")
    if said and not isinstance(default, bool):
        at = scene.view.start[said[0]]
        denied = bool(_NEGATED.search(scene.view.text[max(0, at - 30) : at]))
        found.add("switch_wrong", float(denied == argument.value))
    found.covered.update(said)


def weigh_number(argument: _Argument, found: CallEvidence) -> None:
    relation, unit = argument.place.relation, argument.hints.unit
    if relation in ("fraction", "percent"):
        found.add(f"percent_as_{relation}")
        if unit:
            found.add("percent_right" if unit == relation else "percent_wrong")
        if argument.schema.get("type") == "integer" and relation == "percent":
            found.add("percent_right")
    elif relation == "scaled":
        found.add("number_scaled")
    elif not relation:
        found.add("number_unstated")


def weigh_text(
    argument: _Argument, value: str, found: CallEvidence, scene: Scene, tool: str
) -> None:
    place, hints, schema = argument.place, argument.hints, argument.schema
    if _PLACEHOLDER.fullmatch(value.strip()) or value.lower() == argument.name.lower():
        found.add("placeholder")
    weigh_format(value, hints, found)
    if "enum" in schema:
        weigh_choice(argument, found, scene)
        return
    found.add("texts")
    if place.whole:
        found.add("text_whole")
        found.add("text_verbatim", float(place.verbatim))
        found.add("text_cut", float(place.cut))
        found.add("text_drops_noun", float(any(w in hints.name for w in place.beside)))
    else:
        surface = [stem(w) for w in WORD.findall(value[:400])]
        alien = sum(w not in scene.everything.words for w in surface if w not in STOP)
        found.add("text_alien_words", min(alien, 8))
        found.add("text_described", float(is_described(value, schema)))
    card = scene.relevance.card(tool)
    own = set(content_stems(value[:200]))
    found.add("text_generic", float(bool(own) and card is not None and own <= card.vocabulary))
    edges = value.lower().split()
    if len(edges) > 1:
        loose = edges[-1] in STOP or (edges[0] in STOP and edges[0] != "the")
        found.add("text_edge_stop", float(loose))
    found.add("text_chars", min(len(value), 100))
    found.add("text_capital", float(value[:1].isupper()))
    found.add("text_joint", float("_" in value))
    found.add("text_words", min(len(value.split()), 20))
    if hints.name and place.words:
        inside = {scene.view.stems[i] for i in place.words}
        found.add("text_holds_noun", float(bool(hints.name & inside)))
    if not hints.is_list:
        parts = [p for p in _JOINER.split(value) if p]
        if len(parts) > 1 and all(scene.view.place(p).whole for p in parts[:4]):
            found.add("text_merged")


def weigh_format(value: str, hints: Hints, found: CallEvidence) -> None:
    fits = hints.fits_pattern(value)
    if fits is not None:
        found.add("format_good" if fits else "format_bad")
    likeness = hints.likeness(value)
    if likeness is not None:
        found.add("examples")
        found.add("example_unlike", 1.0 - likeness)
        found.add("example_comma", float(all(s.comma != ("," in value) for s in hints.shapes)))


def weigh_choice(argument: _Argument, found: CallEvidence, scene: Scene) -> None:
    """An option that was said beats the chosen one that was not."""
    options = [o for o in argument.schema.get("enum") or () if isinstance(o, str) and o]
    own = scene.request.stated(argument.value)
    others = [scene.request.stated(o) for o in options[:30] if o != argument.value]
    found.add("choices")
    found.add("choice_said", float(own > 0.85))
    found.add("choice_margin", own - max(others, default=0.0))
    found.add("choice_beaten", float(own < 0.5 and max(others, default=0.0) > 0.85))


def weigh_roles(arguments: list[_Argument], found: CallEvidence, scene: Scene) -> None:
    """Values of one kind may be swapped: names stand near their values, and both in order."""
    placed = [a for a in arguments if a.place.start >= 0][:8]
    taken: dict[int, str] = {}
    for a in placed:
        if a.place.start in taken and taken[a.place.start] != a.name and len(a.place.words) == 1:
            found.add("shared_words")
        taken.setdefault(a.place.start, a.name)
    for i, one in enumerate(placed):
        near = _nearness(one, one.place, scene.view)
        found.add("near_name", near)
        for other in placed[i + 1 :]:
            if isinstance(one.value, str) != isinstance(other.value, str) or one.name == other.name:
                continue
            found.add("role_pairs")
            found.add("role_inverted", float(one.place.start > other.place.start))
            own = near + _nearness(other, other.place, scene.view)
            swapped = _nearness(one, other.place, scene.view) + _nearness(
                other, one.place, scene.view
            )
            found.add("role_margin", own - swapped)
            found.add("role_swapped", float(swapped > own + 0.2))


def weigh_reuse(arguments: list[_Argument], found: CallEvidence) -> None:
    """A value made of words that other arguments use already is likely no statement of its own."""
    placed = [a for a in arguments if a.place.words]
    found.add("placed", len(placed))
    if len(placed) < 2:
        return
    users = Counter(a.place.words for a in placed)
    for a in placed:
        wider = any(a.place.words < other for other in users)
        if wider or users[a.place.words] > a.place.times:
            found.add("reused")
            found.add("reused_optional", float(a.optional))


def _nearness(argument: _Argument, place: Place, view: RequestView) -> float:
    """1 / distance between a place and the nearest word of the argument's name; 0 from 8 words."""
    best = 9
    for word in argument.hints.name:
        for at in view.at.get(word, ()):
            if at not in place.words:
                best = min(best, abs(at - place.start))
    return 1.0 / best if best < 8 else 0.0


def weigh_absent(call: Call, tool: Tool, found: CallEvidence, scene: Scene) -> None:
    """Optional arguments that were left out although the request speaks of them."""
    view = scene.view
    for name, schema in list(tool.properties.items())[:40]:
        if name in call.arguments or not isinstance(schema, Mapping):
            continue
        hints = Hints.of(name, schema)
        found.add("absent")
        fresh = [w for w in hints.name if w not in found.said]
        said = sum(w in view.at for w in fresh) / len(fresh) if fresh else 0.0
        found.add("absent_said", float(said >= 0.5))
        found.counts["absent_said_most"] = max(found.counts.get("absent_said_most", 0.0), said)
        for option in (schema.get("enum") or ())[:30]:
            if isinstance(option, str) and option != schema.get("default"):
                place = view.place(option)
                if place.whole and not place.words <= found.covered:
                    found.add("absent_option_said")
                    break
        if schema.get("type") in ("integer", "number") and said:
            loose = view.number_words - found.covered
            near = [
                i for w in fresh for at in view.at.get(w, ()) for i in loose if abs(i - at) <= 4
            ]
            found.add("absent_number_said", float(bool(near)))
        if name not in tool.required:
            continue
        found.add("absent_required")


def is_default(value: object, schema: Mapping[str, Any], hints: Hints) -> bool:
    """Tell whether a value is the schema's default, or the one that the description states."""
    if "default" in schema:
        return bool(schema["default"] == value)
    return bool(hints.default) and str(value).lower() == hints.default


def tool_words(tool: Tool) -> frozenset[str]:
    """Return the stems of a tool's name and description."""
    return frozenset(content_stems(tool.description)) | frozenset(stems(tool.name))


__all__ = ["CallEvidence", "Scene", "is_given", "tool_words", "weigh"]
