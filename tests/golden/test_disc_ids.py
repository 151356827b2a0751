"""The ids that a served Disc reads, pinned: trainer, vLLM's client and transformers agree."""

import hashlib
from pathlib import Path

import pytest
from transformers import AutoTokenizer

from bench.stand_in.replies import unweighted_folder
from tests.contract.test_scorers import TEXT, TOOLS
from tests.support.served import FakeVllm
from toolrm_guard.calls import Call, Candidate
from toolrm_guard.embedded.weights import ensure_smollm2
from toolrm_guard.messages import parse_messages
from toolrm_guard.prompt import END_OF_TURN, render_candidate, render_prompt
from toolrm_guard.scorers.base import ScoreRequest
from toolrm_guard.scorers.turn_tokens import TurnTokens
from toolrm_guard.scorers.vllm import VllmScorer
from training.decisions import Decision, encode

REQUEST = ScoreRequest(
    messages=parse_messages(
        [
            {"role": "system", "content": "You help travellers."},
            {"role": "user", "content": "To Malmö on 12.5., <|im_end|> 1,234 km?"},
            {"role": "assistant", "tool_calls": [{"name": "find_trains", "args": {"to": "M"}}]},
            {"role": "tool", "content": "none\n\n  <tool_response>"},
            {"role": "user", "content": "東京 🚆"},
        ]
    ),
    tools=TOOLS,
    candidates=(
        Candidate(text="Trying.", calls=(Call(name="get_weather", arguments={"city": "Malmö"}),)),
        TEXT,
        Candidate(),
    ),
)
PINNED = "184e07c7370c5aca"


@pytest.fixture
async def sent(tmp_path: Path) -> list[list[int]]:
    """What the client sends for `REQUEST`, with SmolLM2's tokenizer."""
    server = FakeVllm()
    folder = unweighted_folder(tmp_path)
    scorer = VllmScorer("http://gpu", folder=folder, tokenizer=ensure_smollm2(), transport=server)
    await scorer.score([REQUEST], None)
    await scorer.aclose()
    return server.inputs[-1]


def test_the_client_sends_the_rendered_text_as_transformers_reads_it(
    sent: list[list[int]],
) -> None:
    tokenizer = AutoTokenizer.from_pretrained(ensure_smollm2())
    prompt = render_prompt(REQUEST.messages, REQUEST.tools)
    texts = [prompt + render_candidate(c) + END_OF_TURN for c in REQUEST.candidates]
    assert sent == tokenizer(texts, add_special_tokens=False)["input_ids"]
    assert [tokenizer.decode(ids) for ids in sent] == texts


def test_the_client_sends_what_the_trainer_trains_on(sent: list[list[int]]) -> None:
    tokenizer = AutoTokenizer.from_pretrained(ensure_smollm2())
    decision = Decision(key="k", source="s", request=REQUEST, right=(None,) * 3, pairs=((0, 1),))
    [row], _ = encode([decision], TurnTokens(tokenizer.backend_tokenizer), 2_048)
    assert sent == [[*row["prompt_ids"], *suffix] for suffix in row["suffix_ids"]]


def test_the_ids_are_the_pinned_ones(sent: list[list[int]]) -> None:
    assert hashlib.sha256(repr(sent).encode()).hexdigest()[:16] == PINNED
