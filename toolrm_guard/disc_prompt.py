"""The token ids that a discriminative reward model reads: one prompt, one suffix a candidate.

Serving and training both import this module. Prompt and suffix are encoded apart and then joined,
so that a prompt's ids are the same for every candidate and its KV cache can be shared; a text
encoded as a whole could merge tokens across the seam.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain

from toolrm_guard.calls import Candidate
from toolrm_guard.errors import PromptTooLong
from toolrm_guard.messages import Message
from toolrm_guard.prompt import END_OF_TURN, render_candidate, render_turns
from toolrm_guard.tools import ToolSet

Encode = Callable[[str], Sequence[int]]
"""Text to token ids; control tokens in the text are read as such, none is added."""

MAX_SUFFIX_SHARE = 0.5
"""A candidate takes at most this share of the context; what is longer is cut in its middle."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DiscInput:
    """One decision as token ids.

    Attributes:
        prompt: Shared by the candidates; ends in the assistant's opener.
        suffixes: One a candidate; each ends in `END_OF_TURN`, whose position is pooled.
        dropped: How many of the oldest turns did not fit and were left out.
    """

    prompt: tuple[int, ...]
    suffixes: tuple[tuple[int, ...], ...]
    dropped: int = 0


def encode_decision(
    encode: Encode,
    messages: Sequence[Message],
    tools: ToolSet,
    candidates: Sequence[Candidate],
    *,
    max_tokens: int,
) -> DiscInput:
    """Return the ids of a decision, no sequence longer than `max_tokens`.

    What does not fit is cut where it says least: a candidate in its middle, a conversation at its
    oldest turns. The tools and everything from the latest user message on are never cut.

    Args:
        encode: The model's tokenizer. Called once a turn, so a cache of turns pays.
        messages: The conversation before the candidates.
        tools: The tools that were offered.
        candidates: Proposed turns.
        max_tokens: Of prompt and suffix together, as the model was trained or is served.

    Raises:
        PromptTooLong: If what is never cut is too long.
    """
    suffixes = tuple(
        _cut(tuple(encode(render_candidate(candidate) + END_OF_TURN)), max_tokens)
        for candidate in candidates
    )
    room = max_tokens - max(map(len, suffixes), default=0)
    turns = [tuple(encode(turn)) for turn in render_turns(messages, tools)]
    conversation = [message for message in messages if message.role != "system"]
    head = len(turns) - 1 - len(conversation)  # 1 if there is a system turn
    may_go = _before_latest_request(conversation)
    length, dropped = sum(map(len, turns)), 0
    while length > room and dropped < may_go:
        length -= len(turns[head + dropped])
        dropped += 1
    if length > room:
        raise PromptTooLong(
            f"the tools and the latest request take {length:,} tokens, but {room:,} of "
            f"{max_tokens:,} are left for them; offer fewer tools, or serve the reward model with "
            "a longer context"
        )
    kept = [*turns[:head], *turns[head + dropped :]]
    return DiscInput(prompt=tuple(chain(*kept)), suffixes=suffixes, dropped=dropped)


def _before_latest_request(conversation: Sequence[Message]) -> int:
    """Return how many turns stand before the latest user message; none if there is no such one."""
    users = [index for index, message in enumerate(conversation) if message.role == "user"]
    return users[-1] if users else 0


def _cut(suffix: tuple[int, ...], max_tokens: int) -> tuple[int, ...]:
    room = max(2, int(max_tokens * MAX_SUFFIX_SHARE))
    if len(suffix) <= room:
        return suffix
    head = room // 2
    return suffix[:head] + suffix[-(room - head) :]
