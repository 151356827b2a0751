"""What a reward server is asked: the candidates of one decision, as token ids."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

Ids = tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Candidates that share their prompt; they travel together, so that it is computed once.

    Attributes:
        prompt: The ids before every candidate.
        suffixes: The ids of each candidate.
    """

    prompt: Ids
    suffixes: tuple[Ids, ...]

    @property
    def tokens(self) -> int:
        """How many tokens a server computes that keeps prefixes."""
        return len(self.prompt) + sum(map(len, self.suffixes))


Send = Callable[[Sequence[Group]], Awaitable[list[list[float]]]]
"""Asks one server for the rewards of several groups, as one request.

A reward may be NaN or infinite: that is the server's answer for this one candidate. Raises
`CouldNotJudge` if there is no answer for any.
"""
