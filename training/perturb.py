"""Minimal edits of a right answer, each labelled with the error it makes.

The edits imitate what models get wrong on tool-use benchmarks: calls too many or too few, a
similar tool, a value of the right kind from the wrong place, a unit or format, an optional argument
left out although it was asked for or filled in although it was not.
"""

from collections.abc import Iterator, Mapping

from toolrm_guard.calls import Candidate
from training import call_edits, value_edits
from training.subject import Edit, Labelled, Subject, ValuePool, fits_type, with_arguments
from training.value_edits import only_rewritten, value_edit

__all__ = ["Labelled", "Subject", "ValuePool", "edit_names", "perturb", "right_variants"]


def perturb(subject: Subject, count: int) -> list[Labelled]:
    """Return up to `count` different wrong candidates of the subject's right calls.

    What differs from the right calls in writing alone (case, joints, the notation of a date) is not
    among them, since nobody could say that it is wrong.
    """
    right = Candidate(calls=subject.calls).canonical
    edits = NO_CALL_EDITS if not subject.calls else CALL_EDITS
    if len(subject.calls) > 1:
        edits = {**edits, **PARALLEL_EDITS}
    names = list(edits)
    weights = [edits[name][1] for name in names]
    found: dict[str, Labelled] = {}
    for _ in range(count * 6):
        if len(found) >= count:
            break
        name = subject.rng.choices(names, weights)[0]
        calls = edits[name][0](subject)
        if calls is None or only_rewritten(subject, calls):
            continue
        text = subject.rng.choice(_EXCUSES) if not calls else ""
        candidate = Candidate(text=text, calls=calls)
        if candidate.canonical != right and candidate.canonical not in found:
            found[candidate.canonical] = Labelled(candidate=candidate, right=False, error=name)
    return list(found.values())


def right_variants(subject: Subject) -> list[Labelled]:
    """Return other forms of the right calls: defaults spelled out."""
    calls = []
    for call in subject.calls:
        tool = subject.tools[call.name]
        spelled = dict(call.arguments)
        for name, schema in tool.properties.items():
            if isinstance(schema, Mapping) and name not in spelled and "default" in schema:
                if subject.rng.random() < 0.6 and fits_type(schema["default"], schema):
                    spelled[name] = schema["default"]
        calls.append(with_arguments(call, spelled))
    variant = Candidate(calls=tuple(calls))
    if variant.canonical == Candidate(calls=subject.calls).canonical:
        return []
    return [Labelled(candidate=variant, right=True)]


CALL_EDITS: Mapping[str, tuple[Edit, float]] = {
    "value_said_elsewhere": (value_edit(value_edits.said_elsewhere), 1.6),
    "value_other_record": (value_edit(value_edits.other_record), 0.8),
    "value_trimmed": (value_edit(value_edits.trimmed), 1.4),
    "value_extended": (value_edit(value_edits.extended), 1.4),
    "value_reworded": (value_edit(value_edits.reworded), 1.0),
    "date_format": (value_edit(value_edits.date_format), 0.8),
    "number_shifted": (value_edit(value_edits.number_shifted), 1.0),
    "switch_flipped": (value_edit(value_edits.flipped), 0.6),
    "option_other": (value_edit(value_edits.other_option), 0.9),
    "placeholder": (value_edit(value_edits.placeholder), 0.4),
    "type_changed": (value_edit(value_edits.retyped), 1.2),
    "values_swapped": (call_edits.swapped, 0.8),
    "required_dropped": (call_edits.dropped(required=True), 0.5),
    "optional_dropped": (call_edits.dropped(required=False), 1.5),
    "optional_added": (call_edits.added_optional, 1.5),
    "argument_invented": (call_edits.invented, 0.3),
    "argument_renamed": (call_edits.renamed, 0.2),
    "wrong_nesting": (call_edits.nested, 0.3),
    "tool_wrong": (call_edits.wrong_tool, 1.2),
    "tool_renamed": (call_edits.renamed_tool, 0.2),
    "no_call": (call_edits.no_call, 0.9),
    "call_repeated": (call_edits.repeated, 0.2),
    "call_added": (call_edits.one_more, 1.6),
    "list_split": (call_edits.split_list, 0.6),
}
PARALLEL_EDITS: Mapping[str, tuple[Edit, float]] = {
    "call_dropped": (call_edits.one_dropped, 2.5),
    "only_one_call": (call_edits.only_one, 1.0),
    "calls_merged": (call_edits.merged, 1.5),
    "values_crossed": (call_edits.crossed, 1.0),
}
NO_CALL_EDITS: Mapping[str, tuple[Edit, float]] = {"call_instead": (call_edits.call_instead, 1.0)}

_EXCUSES = (
    "",
    "I'm sorry, but I cannot help with that.",
    "Could you please provide more details?",
    "None of the functions can be used for this.",
    "Here is what I know about it.",
)


def edit_names() -> Iterator[str]:
    """Yield the name of every edit."""
    yield from (*CALL_EDITS, *PARALLEL_EDITS, *NO_CALL_EDITS)
