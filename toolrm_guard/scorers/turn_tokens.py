"""Turns to token ids, each turn once: a conversation's earlier turns come back on every review."""

from collections import OrderedDict

from tokenizers import Tokenizer

from toolrm_guard.errors import ModelIntegrityError
from toolrm_guard.messages import Message
from toolrm_guard.prompt import END_OF_TURN, OPENER, render_turns
from toolrm_guard.tools import ToolSet

CACHED_CHARACTERS = 4_000_000
"""About 20 MB of text and ids."""

_START = OPENER.partition("assistant")[0]


class TurnTokens:
    """The `Encode` of `disc_prompt` over a tokenizer, with a cache of turns. Not thread-safe."""

    def __init__(self, tokenizer: Tokenizer, *, cached_characters: int = CACHED_CHARACTERS) -> None:
        """Take a tokenizer that keeps turns apart.

        Args:
            tokenizer: Read from the model's `tokenizer.json`.
            cached_characters: How much text is kept; the turns unused for longest go first.

        Raises:
            ModelIntegrityError: If it splits a control token, or adds some of its own.
        """
        self._tokenizer = tokenizer
        self._room = cached_characters
        self._known: OrderedDict[str, tuple[int, ...]] = OrderedDict()
        self._characters = 0
        self.end = self._check()

    def __call__(self, text: str) -> tuple[int, ...]:
        """Return the ids of a text; control tokens in it are read as such, none is added."""
        found = self._known.get(text)
        if found is not None:
            self._known.move_to_end(text)
            return found
        ids = tuple(self._tokenizer.encode(text, add_special_tokens=False).ids)
        self._known[text] = ids
        self._characters += len(text)
        while self._characters > self._room:
            oldest, _ = self._known.popitem(last=False)
            self._characters -= len(oldest)
        return ids

    def _check(self) -> int:
        """Return the id of the end of a turn, if every turn can be encoded on its own."""
        for token in (_START, END_OF_TURN):
            if len(ids := self(token)) != 1:
                raise ModelIntegrityError(
                    f"the tokenizer reads {token!r} as {len(ids)} tokens, not as one; a "
                    "discriminative ToolRM needs a model that was trained on ChatML"
                )
        messages = (Message(role="system", text="Be brief."), Message(role="user", text=" 7 é "))
        turns = render_turns(messages, ToolSet.of([]))
        if self("".join(turns)) != tuple(id for turn in turns for id in self(turn)):
            raise ModelIntegrityError(
                "the tokenizer reads turns joined otherwise than one by one, so prompts could not "
                "be shared; use a byte-level tokenizer that adds nothing of its own"
            )
        [end] = self(END_OF_TURN)
        return end
