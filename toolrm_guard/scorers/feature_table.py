"""The feature table of `lite`: what each column says, its range, and whether it may only hurt."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class FeatureSpec:
    """One column.

    Attributes:
        name: Column name; the model file holds the same names in the same order.
        meaning: What it says.
        range: Closed interval, `inf` where open.
        monotone: -1 if more of it never helps, +1 if it never hurts, else 0.
        group: What it belongs to; groups are left out together in an ablation, and each is
            computed in one place, so that its cost can be told.
    """

    name: str
    meaning: str
    range: tuple[float, float]
    monotone: int
    group: str


_INF = float("inf")
_COUNTED: Mapping[str, Mapping[str, tuple[str, int]]] = {
    "size": {
        "arguments": ("arguments given", 0),
    },
    "schema": {
        "errors": ("schema findings that cannot be right", -1),
        "error_missing": ("required arguments that are missing", -1),
        "error_unexpected": ("arguments that no schema names", -1),
        "error_type": ("values of a wrong type", -1),
        "error_enum": ("values outside their enum", -1),
        "error_format": ("values out of range or in a wrong format", -1),
        "error_unknown": ("calls of tools that are not offered", -1),
        "error_other": ("other schema findings", -1),
        "absent_required": ("required arguments left out", -1),
    },
    "grounding": {
        "empty_values": ("empty or null values", 0),
        "ungrounded": ("values that nothing supports", -1),
        "ungrounded_optional": ("the same, optional arguments only", -1),
        "half_grounded": ("values that are supported in part", 0),
        "placeholder": ("values that look like placeholders", -1),
    },
    "optional arguments": {
        "optional_given": ("optional arguments given", 0),
        "optional_default": ("optional arguments given as their default", 0),
        "optional_unstated": ("optional arguments, no default, that the request does not state", 0),
        "optional_stated": ("optional arguments, not their default, that the request states", 0),
        "absent": ("arguments left out", 0),
        "absent_said": ("arguments left out whose name the request says", 0),
        "absent_said_most": ("the share of the name's words said, of the most said one", 0),
        "absent_option_said": (
            "arguments left out though the request says an option of theirs",
            0,
        ),
        "absent_number_said": ("numeric arguments left out, a loose number near their name", 0),
    },
    "switches": {
        "true_said": ("true switches that the request speaks of", 0),
        "true_unsaid": ("true switches that it does not", 0),
        "false_said": ("false switches that the request speaks of", 0),
        "false_unsaid": ("false switches that it does not", 0),
        "switch_wrong": ("switches against a (missing) negation before their name", 0),
    },
    "numbers": {
        "percent_as_fraction": ("percentages given as fractions", 0),
        "percent_as_percent": ("percentages given as they were said", 0),
        "percent_right": ("percentages in the convention of the description", 0),
        "percent_wrong": ("percentages against the convention of the description", -1),
        "number_scaled": ("numbers a unit or power of ten away from a stated one", 0),
        "coded": ("numbers that the description gives as the code of something said", 0),
        "number_unstated": ("numbers that the request does not state", 0),
    },
    "texts": {
        "texts": ("free text values", 0),
        "text_whole": ("texts that stand in the request as one piece", 0),
        "text_verbatim": ("the same, letter by letter", 0),
        "text_cut": ("texts whose piece goes on with a capitalised or quoted word", 0),
        "text_drops_noun": ("texts next to a word of their argument's name", 0),
        "text_holds_noun": ("texts that hold a word of their argument's name", 0),
        "text_alien_words": ("words of texts that nobody said", 0),
        "text_described": ("texts that the argument's description names", 0),
        "text_chars": ("characters of texts", 0),
        "text_capital": ("texts that start with a capital", 0),
        "text_joint": ("texts with an underscore", 0),
        "text_words": ("words of texts", 0),
        "text_merged": ("texts that join several things the request lists", 0),
        "text_generic": ("texts made of words of the tool or of argument names", 0),
        "text_edge_stop": ("texts that start or end with a function word", 0),
    },
    "formats": {
        "format_good": ("texts in the format that the description spells out", 0),
        "format_bad": ("texts in another format", -1),
        "examples": ("texts whose argument has examples", 0),
        "example_unlike": ("1 - likeness to the most similar example", 0),
        "example_comma": ("texts with a comma where no example has one, or without", 0),
    },
    "choices": {
        "choices": ("values of enum arguments", 0),
        "choice_said": ("enum values that the request says", 0),
        "choice_margin": ("support of enum values minus that of the best other option", 0),
        "choice_beaten": ("enum values not said while another option is", 0),
    },
    "roles": {
        "placed": ("arguments whose value stands in the request", 0),
        "reused": ("arguments all of whose words another argument covers, too", 0),
        "reused_optional": ("the same, optional arguments only", 0),
        "shared_words": ("arguments that take the same word as another", 0),
        "near_name": ("nearness of values to their argument's name in the request", 0),
        "role_pairs": ("pairs of arguments whose values could be swapped", 0),
        "role_inverted": ("pairs that stand in the request in the other order", 0),
        "role_margin": ("nearness to the own name minus nearness when swapped", 0),
        "role_swapped": ("pairs that would stand nearer when swapped", 0),
    },
    "coverage": {
        "list_neighbours_loose": ("items listed beside a used value that no value covers", 0),
    },
}
"""What is counted over the calls, by group: name to meaning and monotone."""

COUNTS: Mapping[str, tuple[str, int]] = {
    name: said for group in _COUNTED.values() for name, said in group.items()
}
SUMS = (
    "errors", "error_missing", "error_unexpected", "error_type", "error_enum", "error_format",
    "error_unknown", "error_other", "arguments", "ungrounded", "list_neighbours_loose",
    "optional_stated", "text_merged",
)  # fmt: skip
"""Counts that are summed over the calls; the others are means, so that leaving a call out does not
look like a mistake less."""


def _rows(group: str, *rows: tuple[str, str, tuple[float, float], int]) -> tuple[FeatureSpec, ...]:
    return tuple(FeatureSpec(*row, group) for row in rows)


_OWN = (
    *_rows(
        "grounding",
        ("support_min", "least support of a value in the conversation", (0, 1), 1),
        ("support_mean", "mean support of the values", (0, 1), 0),
        ("stated_min", "least support of a value in the latest request", (0, 1), 0),
        ("stated_mean", "mean support in the latest request", (0, 1), 0),
        ("text_support_min", "least support of a text value", (0, 1), 0),
    ),
    *_rows(
        "calls",
        ("calls", "calls made", (0, _INF), 0),
        ("no_call", "1 for a text turn", (0, 1), 0),
        ("duplicates", "calls that repeat another of this candidate", (0, _INF), -1),
        ("repeated", "calls that the conversation holds already", (0, _INF), 0),
        ("names", "different tools called", (0, _INF), 0),
    ),
    *_rows(
        "tool fit",
        ("fit_mean", "BM25 of the called tools, relative to the best tool", (0, 1), 0),
        ("fit_min", "the same, the worst call", (0, 1), 0),
        ("fit_share", "share of the request's words that the tools' words cover", (0, 1), 0),
        ("fit_name", "share of the tools' names that the request says, mean", (0, 1), 0),
        ("fit_rank", "rank of the worst called tool, 0 is the best", (0, _INF), 0),
    ),
    *_rows(
        "coverage",
        ("numbers_covered", "share of the request's numbers that values cover", (0, 1), 0),
        ("numbers_loose", "numbers of the request that no value covers", (0, _INF), 0),
        ("names_covered", "share of capitalised and quoted words covered", (0, 1), 0),
        ("names_loose", "capitalised and quoted words that no value covers", (0, _INF), 0),
        ("quotes_loose", "quoted pieces that no value covers", (0, _INF), 0),
        ("content_covered", "share of content words that values cover", (0, 1), 0),
        ("content_said", "share covered by values, tool and argument names", (0, 1), 0),
        ("own_min", "fewest words that one of several calls of a tool covers alone", (0, _INF), 0),
        ("own_none", "calls without a word that no other call of the tool covers", (0, _INF), 0),
    ),
    *_rows(
        "clauses",
        ("clause_covered", "share of the clauses' best tools that are called", (0, 1), 0),
        ("clause_foreign", "called tools that are no clause's best", (0, _INF), 0),
        ("clause_gap", "best tools of clauses minus tools called, distinct", (-_INF, _INF), 0),
        ("clauses_minus_calls", "clauses of the request minus calls", (-_INF, _INF), 0),
        ("listed_minus_calls", "longest enumeration minus calls", (-_INF, _INF), 0),
    ),
)
_CONTEXT = _rows(
    "context",
    ("tools", "tools offered", (0, _INF), 0),
    ("request_words", "words of the latest request", (0, _INF), 0),
    ("request_numbers", "numbers in it", (0, _INF), 0),
    ("request_names", "capitalised and quoted words in it", (0, _INF), 0),
    ("clauses", "clauses of it", (0, _INF), 0),
    ("listed", "longest enumeration in it", (1, _INF), 0),
    ("each", "it speaks of things one by one", (0, 1), 0),
    ("asks", "it holds a question mark", (0, 1), 0),
    ("tool_fit", "share of it that the best tool's words cover", (0, 1), 0),
    ("best_name", "share of a tool's name that it says, the best tool", (0, 1), 0),
    ("fillable", "share of the best tool's required arguments it could fill", (0, 1), 0),
    ("after_tool", "the last message is a tool result", (0, 1), 0),
    ("calls_before", "calls since the latest user message", (0, _INF), 0),
    ("turns", "user messages", (0, _INF), 0),
)

PER: dict[str, str] = {
    **{n: "texts" for n in COUNTS if n.startswith("text_")},
    **{n: "examples" for n in COUNTS if n.startswith("example_")},
    **{n: "choices" for n in COUNTS if n.startswith("choice_")},
    **{n: "role_pairs" for n in COUNTS if n.startswith("role_") and n != "role_pairs"},
    "near_name": "placed",
}
"""What a mean is taken over, where it is not the calls."""

NEUTRAL = {"text_whole": 1.0, "text_verbatim": 1.0}
"""Means over nothing that are not 0."""

_GROUP_OF = {name: group for group, said in _COUNTED.items() for name in said}


def _total(name: str) -> FeatureSpec:
    meaning, monotone = COUNTS[name]
    return FeatureSpec(
        f"{name}_total", f"{meaning}, all calls", (0, _INF), monotone, _GROUP_OF[name]
    )


def _over_calls(name: str) -> FeatureSpec:
    meaning, monotone = COUNTS[name]
    least = -_INF if "margin" in name else 0
    said = f"{meaning}, mean over {PER.get(name, 'calls')}"
    return FeatureSpec(name, said, (least, _INF), monotone, _GROUP_OF[name])


FEATURES: tuple[FeatureSpec, ...] = (
    *map(_total, SUMS),
    *map(_over_calls, COUNTS),
    *_OWN,
    *_CONTEXT,
)
"""The table: the order of the columns of `extract`."""

NAMES: tuple[str, ...] = tuple(spec.name for spec in FEATURES)
GROUPS: tuple[str, ...] = tuple(dict.fromkeys(spec.group for spec in FEATURES))
COMPARED: tuple[int, ...] = tuple(i for i, spec in enumerate(FEATURES) if spec.group != "context")
"""Columns that `compare` sets against the other candidates."""

INPUTS: tuple[str, ...] = (*NAMES, *(f"{NAMES[i]}_vs_others" for i in COMPARED))
"""The columns of the model: `extract`, then `compare`."""

MONOTONE: tuple[int, ...] = (
    *(spec.monotone for spec in FEATURES),
    *(FEATURES[i].monotone for i in COMPARED),
)

INPUT_GROUPS: tuple[str, ...] = (
    *(spec.group for spec in FEATURES),
    *(FEATURES[i].group for i in COMPARED),
)
"""The group of each column of the model."""
