"""What `bench.overhead` compares without a framework: `Guard.areview` and its_hub's Best-of-N.

Every contender gets the same cases: a short dialogue, eight tools as OpenAI schemas, and N distinct
candidates as OpenAI messages. Scores are constants, distinct so that a choice is made.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from bench.latency import made_up_cases
from toolrm_guard.guard import Guard
from toolrm_guard.review import Review
from toolrm_guard.scorers.base import ScoreRequest
from toolrm_guard.scorers.fake import FakeScorer

Kind = Literal["decision", "turn"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """The input of one turn, in the forms that agents hand over.

    Attributes:
        messages: The dialogue, as OpenAI messages.
        tools: As OpenAI schemas.
        candidates: (N,) assistant messages, one call each, no two alike.
    """

    messages: list[dict[str, Any]]
    tools: list[dict[str, Any]]
    candidates: list[dict[str, Any]]

    @property
    def request(self) -> str:
        """What the user said last; unique among the turns of a run."""
        return str(self.messages[-1]["content"])


@dataclass(frozen=True, slots=True, kw_only=True)
class Contender:
    """One way to run a turn.

    Attributes:
        name: Its row in the table.
        kind: A `decision` over candidates, or a whole agent `turn` with its tool call.
        run: Runs one turn; built for a fixed N.
        twin: The contender that does the same without what is measured.
        note: What it does and does not do.
    """

    name: str
    kind: Kind
    run: Callable[[Turn], Awaitable[object]]
    twin: str | None = None
    note: str = ""


def turns(n: int, limit: int, seed: int = 0) -> list[Turn]:
    """Return turns with n candidates each; the dialogues differ, the tools are the same."""
    made: list[Turn] = []
    for index, case in enumerate(made_up_cases(1, limit, seed)):
        tools = [{"type": "function", "function": schema} for schema in case.tools.schemas()]
        messages = [dict(message) for message in case.messages]  # type: ignore[call-overload]
        asked = str(messages[-1]["content"])
        messages[-1]["content"] = f"{asked} This is request {index}."
        made.append(
            Turn(
                messages=messages,
                tools=made[0].tools if made else tools,
                candidates=[_proposal(asked, seats) for seats in range(1, n + 1)],
            )
        )
    return made


def _proposal(asked: str, seats: int) -> dict[str, Any]:
    # "Book 2 train seats from Oslo to Lyon on 2026-05-04."
    _, _, _, _, _, origin, _, destination, _, day = asked.rstrip(".").split()
    stated = {"origin": origin, "destination": destination, "day": day, "seats": seats}
    function = {"name": "book_train", "arguments": json.dumps(stated)}
    call_id = f"call_{seats}"
    return {
        "role": "assistant",
        "content": None,
        "tool_calls": [{"id": call_id, "type": "function", "function": function}],
    }


def constant_scores(count: int) -> list[float]:
    """Return (count,) distinct scores in [0.5, 1); the last candidate is the best."""
    return [0.5 + 0.49 * (index + 1) / count for index in range(count)]


def instant_guard() -> Guard:
    """Return a guard whose scorer takes no time, and which keeps no records."""

    def rate(request: ScoreRequest) -> Sequence[float]:
        return constant_scores(len(request.candidates))

    return Guard(FakeScorer(rate))


def guard_contenders(n: int, cases: Sequence[Turn]) -> list[Contender]:
    """Return the framework-free guard: handed its candidates, and drawing them first."""
    guard = instant_guard()

    async def handed(turn: Turn) -> Review:
        return checked(await guard.areview(turn.messages, turn.tools, turn.candidates))

    async def drawing(turn: Turn) -> Review:
        model = InstantModel(turn)
        drawn = await asyncio.gather(
            *(model.agenerate_single(turn.messages, tools=turn.tools) for _ in range(n))
        )
        return checked(await guard.areview(turn.messages, turn.tools, drawn))

    does = "schema, repeats and types checked; policy, sha256 approvals, deadline, span"
    return [
        Contender(name="Guard.areview", kind="decision", run=handed, note=does),
        Contender(
            name="draw + areview", kind="decision", run=drawing, note=f"draws by gather; {does}"
        ),
    ]


def checked(review: Review) -> Review:
    """Return the review.

    Raises:
        RuntimeError: If nothing was approved: then the work was not the work that is measured.
    """
    if not review.approved:
        raise RuntimeError(f"a review approved nothing: {review.critique or review.decision}")
    return review


def its_hub_contenders(n: int, cases: Sequence[Turn]) -> list[Contender]:
    """Return its_hub's Best-of-N: as shipped, and with its responses handed over.

    Raises:
        ImportError: If its_hub is not installed.
    """
    from its_hub import BestOfN
    from its_hub.api import ChatMessage

    # Its messages are typed ones, made before; the guard reads dicts, and that is in its time.
    read = {turn.request: [ChatMessage.from_dict(m) for m in turn.messages] for turn in cases}

    async def shipped(turn: Turn) -> object:
        messages, model = read[turn.request], InstantModel(turn)
        result = await as_shipped.ainfer(
            model, messages, n, return_response_only=False, tools=turn.tools
        )
        return result.the_one

    async def handed(turn: Turn) -> object:
        messages = read[turn.request]
        result = await without_draw.ainfer(
            turn, messages, n, return_response_only=False, tools=turn.tools
        )
        return result.the_one

    as_shipped = BestOfN(InstantRewards())
    without_draw = BestOfN(InstantRewards(), HandedOver())
    scored = "n=1 is not scored" if n == 1 else "argmax over distinct responses"
    does = f"{scored}; no schema check, no policy, no approval, no deadline, no span"
    return [
        Contender(name="its_hub", kind="decision", run=shipped, note=f"draws as shipped; {does}"),
        Contender(name="its_hub, no draw", kind="decision", run=handed, note=does),
    ]


class InstantModel:
    """A language model in its_hub's form that answers with a turn's candidates, one by one."""

    def __init__(self, turn: Turn) -> None:
        """Start with the first candidate."""
        self._left = iter(turn.candidates)

    async def agenerate_single(self, messages: Sequence[object], **options: object) -> object:
        """Return the next candidate."""
        return next(self._left)


class InstantRewards:
    """An outcome reward model in its_hub's form."""

    async def ascore(self, messages: Sequence[object], **options: object) -> list[float]:
        """Return one constant per conversation."""
        return constant_scores(len(messages))


class HandedOver:
    """An orchestrator in its_hub's form that draws nothing: the candidates are there."""

    async def agenerate(self, lm: Turn, messages: Sequence[object], **options: object) -> object:
        """Return the turn's candidates."""
        return lm.candidates
