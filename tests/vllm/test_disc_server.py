"""A discriminative ToolRM behind a real vLLM server, from token ids to an agent."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, Literal

import pytest
import torch
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langgraph.graph import START, MessagesState, StateGraph
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from bench.endpoints import Server
from bench.stand_in.replies import unweighted_folder
from tests.contract.test_scorers import RIGHT, TEXT, TOOLS, WRONG, ask
from tests.support.agents import ASKED, CHECKING, PAY_ANN, PAY_BOB, graph
from tests.support.disc import served_folder
from tests.support.scripted import Ledger, ScriptedModel, turn
from tests.vllm.servers import VllmProcess
from toolrm_guard import Guard, Policy, Rule, TraceStore, guard_node, guarded_tool_node
from toolrm_guard.calls import Call, Candidate
from toolrm_guard.errors import ScorerRefused, ScorerUnavailable
from toolrm_guard.messages import parse_messages
from toolrm_guard.prompt import END_OF_TURN, render_candidate, render_prompt
from toolrm_guard.scorers.base import ScoreRequest
from toolrm_guard.scorers.vllm import VllmScorer

Make = Callable[..., VllmScorer]


@pytest.fixture
async def make(disc_server: VllmProcess) -> AsyncIterator[Make]:
    """Makes scorers of the server, and closes them."""
    made: list[VllmScorer] = []

    def scorer(**options: Any) -> VllmScorer:
        named = {"folder": disc_server.folder, "model": disc_server.model, **options}
        made.append(VllmScorer(disc_server.url, **named))
        return made[-1]

    yield scorer
    for each in made:
        await each.aclose()


@pytest.fixture
async def scorer(make: Make) -> VllmScorer:
    return make()


DECISIONS = [
    ask(RIGHT, WRONG, TEXT, Candidate()),
    ask(RIGHT, TEXT, text="How is the <|im_end|> weather in Malmö? 東京"),
    ScoreRequest(
        messages=parse_messages(
            [
                {"role": "system", "content": "You help travellers."},
                {"role": "user", "content": "Weather in Oslo?"},
                {
                    "role": "assistant",
                    "tool_calls": [
                        {"id": "1", "name": "get_weather", "arguments": {"city": "Oslo"}}
                    ],
                },
                {"role": "tool", "tool_call_id": "1", "content": "7 degrees, rain. " * 10},
                {"role": "user", "content": "And for 5 days?"},
            ]
        ),
        tools=TOOLS,
        candidates=(
            Candidate(calls=(Call(name="get_weather", arguments={"city": "Oslo", "days": 5}),)),
            Candidate(calls=(Call(name="get_weather", arguments={"city": "Oslo", "days": 50}),)),
            TEXT,
        ),
    ),
]


async def test_rewards_are_those_of_transformers_on_the_whole_text(scorer: VllmScorer) -> None:
    """Rendered as one text, read by transformers' tokenizer, one sequence at a time."""
    tokenizer = AutoTokenizer.from_pretrained(served_folder())
    model = AutoModelForSequenceClassification.from_pretrained(
        served_folder(), dtype=torch.float32
    ).eval()
    found = await scorer.score(DECISIONS, None)
    spread = []
    for request, scores in zip(DECISIONS, found, strict=True):
        prompt = render_prompt(request.messages, request.tools)
        for candidate, score in zip(request.candidates, scores, strict=True):
            text = prompt + render_candidate(candidate) + END_OF_TURN
            ids = tokenizer(text, add_special_tokens=False, return_tensors="pt")
            with torch.no_grad():
                expected = model(**ids).logits.item()
            assert score.reward == pytest.approx(expected, abs=1e-4)
            spread.append(expected)
    assert max(spread) - min(spread) > 0.01  # a constant would be equal, too


async def test_candidates_of_a_decision_share_the_computed_prompt(
    disc_server: VllmProcess, scorer: VllmScorer, make: Make
) -> None:
    await scorer.check()
    texts = [f"Answer number {k}." for k in range(8)]
    request = ask(
        *(Candidate(text=text) for text in texts), text=f"A new question, {time.time_ns()}. " * 8
    )
    before = disc_server.metric("vllm:prefix_cache_hits_total")
    [first] = await scorer.score([request], None)
    hits = disc_server.metric("vllm:prefix_cache_hits_total") - before
    [group] = scorer._encode([request])
    blocks = len(group.prompt) // 32 * 32
    assert hits >= 7 * blocks
    fresh = make(cache_items=0)  # the server's cache stays, ours does not
    [again] = await fresh.score([request], None)
    assert [s.reward for s in again] == pytest.approx([s.reward for s in first], abs=1e-4)


async def test_reviews_of_many_agents_are_gathered(scorer: VllmScorer) -> None:
    await scorer.check()
    requests = [ask(RIGHT, TEXT, text=f"Weather on day {k}?") for k in range(24)]
    together = await asyncio.gather(*(scorer.score([request], None) for request in requests))
    served = scorer.stats.servers[0]
    assert served.items == 48
    assert served.batches <= 12
    single = await scorer.score([requests[7]], None)
    assert single == together[7]


async def test_the_wrong_name_and_a_longer_model_are_told_by_check(
    make: Make, tmp_path: Path
) -> None:
    with pytest.raises(ScorerUnavailable, match=r"'toolrm-disc', not 'another'"):
        await make(model="another").check()
    longer = unweighted_folder(tmp_path, max_tokens=4_096)
    with pytest.raises(ScorerRefused, match="--max-model-len 4096"):
        await make(folder=longer).check()
    await make().check()


def test_an_agent_runs_only_what_the_served_model_lets_pass(
    scorer: VllmScorer, tmp_path: Path
) -> None:
    ledger = Ledger()
    model = ScriptedModel(turns=[turn(CHECKING, PAY_BOB, PAY_ANN), turn(text="Done.")])
    never = Policy(deadline_s=60.0, max_corrections=0, write=Rule(threshold=1.0),
                   read=Rule(threshold=0.0), destructive=Rule(threshold=1.0),
                   answer=Rule(threshold=0.0))  # fmt: skip
    with TraceStore(tmp_path / "traces.db") as store:
        guard = Guard(scorer, policy=never, store=store)
        state = graph(model, guard, ledger, draws=False).invoke(ASKED)
        store.flush()
        records = list(store.reviews())
    assert state["messages"][-1].text == "Done."
    assert ledger.ran == [CHECKING]  # a probability of 1 is never reached
    assert {record.scorer for record in records} == {"vllm"}
    assert all(record.scorer_fingerprint == scorer.fingerprint for record in records)
    assert all(candidate.reward is not None for r in records for candidate in r.candidates)


class ServedModel(BaseChatModel):
    """SmolLM2 behind vLLM, held to the schemas of its tools."""

    url: str
    served: str
    tools: list[dict[str, Any]]
    drawn: list[AIMessage] = []

    @property
    def _llm_type(self) -> str:
        return "served"

    async def _agenerate(
        self, messages: list[BaseMessage], *args: Any, **kwargs: Any
    ) -> ChatResult:
        text = "\n".join(str(message.content) for message in messages)
        async with Server(self.url, self.served) as server:
            [reply] = await server.chat(
                [{"role": "user", "content": text}],
                tools=self.tools,
                temperature=1.0,
                max_tokens=80,
                extra={"tool_choice": "required"},
            )
        calls = [{"name": c.name, "args": c.arguments, "id": c.id} for c in reply.candidate.calls]
        self.drawn.append(AIMessage(reply.candidate.text, tool_calls=calls))
        return ChatResult(generations=[ChatGeneration(message=self.drawn[-1])])

    def _generate(self, *args: Any, **kwargs: Any) -> ChatResult:
        raise NotImplementedError

    def bind_tools(self, tools: Any, **kwargs: Any) -> "ServedModel":
        return self


async def test_an_agent_whose_policy_model_is_served_too(
    scorer: VllmScorer, chat_server: VllmProcess
) -> None:
    """Both models on vLLM: of three drafts that SmolLM2 writes, the Disc's best is executed."""
    ran: list[str] = []

    def get_balance(account: Literal["checking", "savings", "credit"]) -> str:
        """Read the balance of an account."""
        ran.append(account)
        return "100"

    policy = Policy(deadline_s=60.0, max_corrections=0, read=Rule(threshold=0.0))
    guard = Guard(scorer, policy=policy)
    [tool] = guard.toolset([get_balance]).values()
    offered = [{**tool.schema(), "strict": True}]
    model = ServedModel(url=chat_server.url, served=chat_server.model, tools=offered)
    built = StateGraph(MessagesState)
    built.add_node("guard", guard_node(guard, [get_balance], model=model, n=3))
    built.add_node("tools", guarded_tool_node([get_balance], guard))
    built.add_edge(START, "guard")
    messages = {"messages": [HumanMessage("How much is on checking?")]}
    state = await built.compile().ainvoke(messages)
    proposed = state["messages"][1]
    assert len(model.drawn) == 3
    assert proposed.tool_calls in [draft.tool_calls for draft in model.drawn]
    assert ran == [call["args"]["account"] for call in proposed.tool_calls]
    assert ran
    assert scorer.stats.items >= 3


async def test_reviews_go_on_while_the_server_is_killed_and_started_again(
    disc_server: VllmProcess, make: Make, tmp_path: Path
) -> None:
    """Outages are told by the policy and recorded as such; scores before and after are the same."""
    scorer = make(cache_items=0, breaker_cooldown_s=0.2)
    policy = Policy(deadline_s=20.0, max_corrections=0, read=Rule(on_unjudged="open"))
    with TraceStore(tmp_path / "traces.db") as store:
        guard = Guard(scorer, policy=policy, store=store)

        async def review(text: str = "Weather in Oslo?") -> Any:
            return await guard.areview(text, list(TOOLS.values()), [RIGHT, TEXT])

        before = await review()
        assert before.judged
        working = asyncio.ensure_future(review("Weather? " * 200))
        await asyncio.sleep(0.1)
        disc_server.kill()
        during = [await working, *[await review() for _ in range(10)]]
        assert not any(outage.judged for outage in during)
        assert all(outage.unjudged_reason for outage in during)
        disc_server.start()
        await asyncio.to_thread(disc_server.wait)
        await asyncio.sleep(1.0)  # longer than the breaker's pause
        after = await review()
        store.flush()
        records = list(store.reviews())
    assert [s.reward for s in after.scores] == pytest.approx(
        [s.reward for s in before.scores], abs=1e-4
    )
    unjudged = [record for record in records if record.unjudged_reason]
    assert len(unjudged) >= len(during)
    assert all(c.reward is None for record in unjudged for c in record.candidates)
