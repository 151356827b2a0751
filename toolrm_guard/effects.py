"""Effect classes: what a call may change, told by its tool's name or by the operator's patterns."""

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import get_args

from toolrm_guard.errors import ConfigurationError
from toolrm_guard.tools import Effect, words

_READS = frozenset(
    "calculate check compare convert count describe fetch find get is list look lookup preview "
    "query read retrieve search show status summarize view".split()
)
_WRITES = frozenset(
    "add append book create edit insert make move put rename save set update".split()
)
_DESTRUCTIVE = frozenset(
    "cancel charge clear delete deploy destroy disable drop erase execute kill overwrite pay "
    "purge refund remove reset revoke run send terminate transfer uninstall unsubscribe wipe "
    "withdraw".split()
)


@lru_cache(maxsize=4_096)
def effect_by_name(name: str) -> Effect:
    """Guess the effect class from the verbs in a tool's name; what is unclear is a write."""
    spoken = words(name).split()
    if any(word in _DESTRUCTIVE for word in spoken):
        return "destructive"
    # `get_or_create` reads first and writes then: only a leading verb makes a read.
    reads = bool(spoken) and spoken[0] in _READS and not {"and", "or", *_WRITES} & {*spoken}
    return "read" if reads else "write"


def effect_by_pattern(name: str, patterns: Mapping[str, Effect]) -> Effect | None:
    """Return the effect of the pattern that a tool's name matches, or None."""
    for pattern, effect in patterns.items():
        if fnmatchcase(name, pattern):
            return effect
    return None


def check_patterns(patterns: Mapping[str, Effect]) -> None:
    """Refuse patterns that give one name two effects: nobody can say which would hold.

    Args:
        patterns: Shell patterns with `*` and `?`, e.g. `{"delete_*": "destructive"}`.

    Raises:
        ConfigurationError: If an effect is unknown, a pattern has other wildcards, or two patterns
            of different effects match one name.
    """
    for pattern, effect in patterns.items():
        if effect not in get_args(Effect):
            raise ConfigurationError(
                f"pattern {pattern!r} has the effect {effect!r}; "
                f"give one of {', '.join(get_args(Effect))}"
            )
        if not pattern or "[" in pattern:
            raise ConfigurationError(
                f"pattern {pattern!r} cannot be used; write a name with * and ?"
            )
    listed = list(patterns.items())
    for index, (first, effect) in enumerate(listed):
        for second, other in listed[index + 1 :]:
            name = common_name(first, second) if effect != other else None
            if name is not None:
                raise ConfigurationError(
                    f"patterns {first!r} ({effect}) and {second!r} ({other}) both match "
                    f"{name!r}; make one of them narrower, or use Policy(classify=...)"
                )


def common_name(first: str, second: str) -> str | None:
    """Return a shortest name that both patterns match, or None if there is none."""
    # Breadth first over positions (i, j); each step consumes one character of the common name.
    seen = set()
    level = [(0, 0, "")]
    while level:
        following: list[tuple[int, int, str]] = []
        for i, j, name in level:
            for k, m in _after_stars(first, second, i, j):
                if (k, m) in seen:
                    continue
                seen.add((k, m))
                if k == len(first) and m == len(second):
                    return name
                following += _steps(first, second, k, m, name)
        level = following
    return None


def _after_stars(first: str, second: str, i: int, j: int) -> Sequence[tuple[int, int]]:
    """Return the positions reached by letting stars match nothing more."""
    return [(k, m) for k in _past_stars(first, i) for m in _past_stars(second, j)]


def _past_stars(pattern: str, i: int) -> list[int]:
    ends = [i]
    while pattern[ends[-1] : ends[-1] + 1] == "*":
        ends.append(ends[-1] + 1)
    return ends


def _steps(first: str, second: str, i: int, j: int, name: str) -> list[tuple[int, int, str]]:
    """Return the positions after one more character that both patterns take."""
    if i == len(first) or j == len(second):
        return []
    one, two = first[i], second[j]
    literal = [char for char in (one, two) if char not in "*?"]
    if len(set(literal)) > 1:
        return []
    char = literal[0] if literal else "x"
    return [(i if one == "*" else i + 1, j if two == "*" else j + 1, name + char)]
