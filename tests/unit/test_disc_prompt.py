"""What a discriminative reward model reads, and what is cut when it does not fit."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolrm_guard.calls import Call, Candidate
from toolrm_guard.disc_prompt import encode_decision
from toolrm_guard.errors import PromptTooLong
from toolrm_guard.messages import Message, parse_messages
from toolrm_guard.prompt import END_OF_TURN, render_candidate, render_prompt
from toolrm_guard.tools import ToolSet

TOOLS = ToolSet.of(
    [
        {
            "name": "find_trains",
            "description": "Find trains.",
            "parameters": {"type": "object", "properties": {"to": {"type": "string"}}},
        }
    ]
)
CALL = Candidate(calls=(Call(name="find_trains", arguments={"to": "Oslo"}),))
SILENT = Candidate()


def by_character(text: str) -> Sequence[int]:
    return [ord(character) for character in text]


def text_of(ids: Sequence[int]) -> str:
    return "".join(map(chr, ids))


def conversation(*texts: str) -> tuple[Message, ...]:
    roles = ("user", "assistant")
    return parse_messages([{"role": roles[k % 2], "content": text} for k, text in enumerate(texts)])


def test_prompt_and_suffix_are_the_rendered_turn() -> None:
    messages = conversation("To Oslo, please.")
    made = encode_decision(by_character, messages, TOOLS, [CALL, SILENT], max_tokens=10_000)
    assert text_of(made.prompt) == render_prompt(messages, TOOLS)
    assert [text_of(s) for s in made.suffixes] == [
        render_candidate(CALL) + END_OF_TURN,
        END_OF_TURN,
    ]
    assert made.dropped == 0


def test_a_long_conversation_loses_its_oldest_turns_first() -> None:
    messages = conversation("first " * 100, "second " * 100, "third")
    whole = encode_decision(by_character, messages, TOOLS, [SILENT], max_tokens=100_000)
    cut = encode_decision(
        by_character, messages, TOOLS, [SILENT], max_tokens=len(whole.prompt) - 500
    )
    assert cut.dropped == 1
    text = text_of(cut.prompt)
    assert "first" not in text
    assert "second" in text
    assert "find_trains" in text


def test_tools_and_the_latest_request_are_never_cut() -> None:
    messages = conversation("old", "answer", "new " * 200)
    with pytest.raises(PromptTooLong, match="offer fewer tools"):
        encode_decision(by_character, messages, TOOLS, [SILENT], max_tokens=300)


def test_a_long_candidate_is_cut_in_its_middle_and_keeps_its_end() -> None:
    long = Candidate(text="a" * 5_000 + "b" * 5_000)
    made = encode_decision(by_character, conversation("Hi"), ToolSet.of([]), [long], max_tokens=900)
    [suffix] = made.suffixes
    assert len(suffix) == 450
    assert text_of(suffix).startswith("aaa")
    assert text_of(suffix).endswith("bbb" + END_OF_TURN)


@given(
    texts=st.lists(st.text(max_size=200), min_size=1, max_size=6),
    answer=st.text(max_size=300),
    limit=st.integers(min_value=300, max_value=2_000),
)
def test_nothing_is_longer_than_the_limit(texts: list[str], answer: str, limit: int) -> None:
    try:
        made = encode_decision(
            by_character,
            conversation(*texts),
            TOOLS,
            [Candidate(text=answer), CALL],
            max_tokens=limit,
        )
    except PromptTooLong:
        return
    assert all(len(made.prompt) + len(suffix) <= limit for suffix in made.suffixes)
    assert all(text_of(suffix).endswith(END_OF_TURN) for suffix in made.suffixes)
