"""What BFCL calls things: categories, files and ids of its generations, brought to one name.

The generations name one category differently: `simple` (v1 to v3) and `simple_python` (v4) are the
split `simple`; `multiple_function` (v1) is `multiple`; v1's `relevance`, where no call is right, is
`irrelevance`. Ids begin with the category and are joined by what follows it.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Kind = Literal["prompts", "result", "score"]

SPLITS: Mapping[str, tuple[str, ...]] = {
    "simple": ("simple_python", "simple"),
    "multiple": ("multiple_function", "multiple"),
    "parallel": ("parallel_function", "parallel"),
    "parallel_multiple": ("parallel_multiple_function", "parallel_multiple"),
    "live_simple": ("live_simple",),
    "live_multiple": ("live_multiple",),
    "live_parallel": ("live_parallel",),
    "live_parallel_multiple": ("live_parallel_multiple",),
    "multi_turn_base": ("multi_turn_base",),
    "irrelevance": ("irrelevance", "relevance"),
}
"""The splits with what the generations call them; a longer name stands before its beginning."""

NONE_RIGHT = ("irrelevance", "live_irrelevance")
"""Where an answer without a call is the only right one."""

_FILE = re.compile(
    r"(?:(?P<first>gorilla_openfunctions_v1_test)|BFCL_v(?P<number>\d+))_"
    r"(?P<category>[a-z_]+?)(?:_(?P<kind>result|score))?\.json"
)

_ELSEWHERE = re.compile(
    r"(simple_)?(java|javascript)|live_(ir)?relevance|relevance|chatable|sql|rest|format_sensitivity"
    r"|multi_turn_\w+|exec(utable)?_\w+|memory\w*|web_search\w*"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class FileName:
    """What the name of one of BFCL's files says.

    Attributes:
        generation: `v1` to `v4`.
        category: As the file writes it.
    """

    generation: str
    category: str
    kind: Kind

    @property
    def split(self) -> str | None:
        """The split, or None for a category that is none of `SPLITS`."""
        return split_of(self.category, self.generation)

    @classmethod
    def parse(cls, name: str) -> "FileName | None":
        """Read a file's name; None if it is not one of BFCL's."""
        match = _FILE.fullmatch(name)
        if match is None:
            return None
        kind: Kind = "prompts"
        if match["kind"]:
            kind = "result" if match["kind"] == "result" else "score"
        generation = "v1" if match["first"] else f"v{match['number']}"
        return cls(generation=generation, category=match["category"], kind=kind)


def split_of(category: str, generation: str = "v4") -> str | None:
    """Return the split of a category; None for one that is not judged here."""
    if category == "relevance" and generation != "v1":
        return None  # later generations ask for any call there, and name none
    for split, names in SPLITS.items():
        if category in names:
            return split
    return None


def none_right(category: str, generation: str = "v4") -> bool:
    """Tell whether only an answer without a call is right in the category."""
    return category in NONE_RIGHT or split_of(category, generation) == "irrelevance"


def join_key(split: str, prompt_id: str) -> str:
    """Return the id without its category: `simple_python_7` and `simple_7` are both `7`."""
    for name in SPLITS[split]:
        if prompt_id.startswith(f"{name}_"):
            return prompt_id[len(name) + 1 :]
    return prompt_id


def known_elsewhere(category: str) -> bool:
    """Tell whether the category is one of BFCL's that need execution, another language or a judge.

    These are left out on purpose; a name that is known nowhere is a mistake.
    """
    return _ELSEWHERE.fullmatch(category) is not None
