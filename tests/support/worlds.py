"""A world for random runs: a model that drafts from a plan, tools that write down what ran, a
scorer that rates by the arguments, a human, and an oracle that knows what may run.

A call is told apart by its arguments: every one that a model drafts has a `tag` of its own. The
oracle works out from first principles what the policy allows, and shares no code with the guard. It
works at the scorer, where it sees every review, and at the tools, where it sees what follows.
"""

import itertools
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.tools import BaseTool, tool
from pydantic import PrivateAttr

from toolrm_guard import FakeScorer, Guard, Policy, Rule, ScoreRequest
from toolrm_guard.calls import Candidate
from toolrm_guard.errors import ScorerTimeout, ScorerUnavailable

EFFECTS = {"get_item": "read", "save_item": "write", "delete_item": "destructive"}
CALIBRATED = {"read": 0.3, "write": 0.5, "destructive": 0.7, "answer": 0.5}
"""The scorer's thresholds, for rules that state none."""

FAILS_AT = 7
"""The quality at which a tool raises: an approved call may fail, too."""

Identity = tuple[str, int, str]
"""A call's tool, quality and tag."""

CallPlan = tuple[Literal["get_item", "save_item", "delete_item", "no_such_tool", "unreadable"], int]
Draft = tuple[CallPlan, ...]
"""The calls of one drafted turn; none is an answer in text."""

Ids = Literal["unique", "repeated", "missing"]


@dataclass
class World:
    """One run's script, and what happened in it. Reused graphs find the current one in `Stage`."""

    drafts: Sequence[Draft] = ()
    outages: Sequence[bool] = ()
    ids: Ids = "unique"
    policy: Policy = field(default_factory=Policy)
    ran: list[Identity] = field(default_factory=list)
    forbidden: list[Identity] = field(default_factory=list)
    approved: dict[Identity, bool] = field(default_factory=dict)
    unjudged: set[Identity] = field(default_factory=set)
    over: set[Identity] = field(default_factory=set)
    """Calls that were answered unexecuted; a review that comes later changes nothing."""
    drawn: int = 0
    judged: int = 0
    tags: Any = field(default_factory=itertools.count)

    def draft(self) -> AIMessage:
        """The next drafted turn; a text when the script has ended."""
        plan = self.drafts[self.drawn] if self.drawn < len(self.drafts) else ()
        self.drawn += 1
        if not plan:
            return AIMessage(content=f"text {self.drawn}")
        calls: list[dict[str, Any]] = []
        unreadable: list[dict[str, Any]] = []
        for index, (name, quality) in enumerate(plan):
            call_id = {"unique": f"d{self.drawn}.{index}", "repeated": f"c{index}"}.get(self.ids)
            if name == "unreadable":
                broken = {"name": "save_item", "args": "{", "id": call_id, "error": "bad JSON"}
                unreadable.append(broken)
            else:
                calls.append({"name": name, "args": self.args(quality), "id": call_id})
        return AIMessage(content="", tool_calls=calls, invalid_tool_calls=unreadable)

    def args(self, quality: int) -> dict[str, Any]:
        """Arguments that no other call has."""
        return {"quality": quality, "tag": f"t{next(self.tags)}"}

    def rate(self, request: ScoreRequest) -> list[float]:
        """A candidate is as good as the worst of its calls; now and then the scorer is down."""
        out = self.outages[self.judged % len(self.outages)] if self.outages else False
        self.judged += 1
        rates = [rate_of(candidate) for candidate in request.candidates]
        winner = winner_of(request, None if out else rates)
        for index, candidate in enumerate(request.candidates):
            for call in candidate.calls:
                if call.defect is None:
                    won = index == winner and call.name in request.tools
                    identity = identity_of(call.name, call.arguments)
                    self._judge(identity, None if out else rates[index], won=won)
        if out:
            raise (ScorerUnavailable if self.judged % 2 else ScorerTimeout)("down")
        return rates

    def _judge(self, call: Identity, rate: float | None, *, won: bool) -> None:
        """Note what a review means for a call: the last one counts, but an outage undoes none."""
        rule = self.policy.rule(EFFECTS[call[0]]) if won else None  # type: ignore[arg-type]
        if rate is None:
            self.unjudged.add(call)
            self.approved.setdefault(call, rule is not None and rule.on_unjudged == "open")
        elif rule is None:
            self.approved[call] = False
        else:
            stated = rule.threshold
            threshold = CALIBRATED[EFFECTS[call[0]]] if stated is None else stated
            self.approved[call] = rate >= threshold

    def heed(self, call: Identity, *, approves: bool) -> None:
        """Note what a human said of a call; one that they declined has its answer."""
        self.approved[call] = approves
        if not approves:
            self.over.add(call)

    def run(self, call: Identity) -> None:
        """Note that a call runs, and whether it may by what was decided so far."""
        self.ran.append(call)
        if not self.is_approved(call):
            self.forbidden.append(call)

    def is_approved(self, call: Identity) -> bool:
        """Whether the policy, or a human, approved exactly this call."""
        return self.approved.get(call, False) and call not in self.over

    def must_run(self, call: Identity) -> bool:
        """Whether a call is approved for sure: no outage was in it."""
        return self.is_approved(call) and call not in self.unjudged

    def assert_only_approved_calls_ran(self, *, retried: bool) -> None:
        """Nothing ran that was not approved, and nothing twice, unless something else retries."""
        assert not self.forbidden, f"ran without approval: {self.forbidden}"
        twice = [call for call, times in Counter(self.ran).items() if times > 1]
        assert retried or not twice, f"ran twice: {twice}"


def rate_of(candidate: Candidate) -> float:
    readable = [call for call in candidate.calls if call.defect is None]
    return min((quality_of(call.arguments) for call in readable), default=6) / 10


def winner_of(request: ScoreRequest, rates: Sequence[float] | None) -> int:
    """The best of the candidates whose calls can all be made, of equals and in an outage the first.

    Where no candidate is such, the best of all: a part of it may do.
    """
    candidates = request.candidates
    sound = [
        index
        for index, candidate in enumerate(candidates)
        if all(call.defect is None and call.name in request.tools for call in candidate.calls)
    ]
    order = sound or range(len(candidates))
    return order[0] if rates is None else max(order, key=lambda index: (rates[index], -index))


def quality_of(arguments: Any) -> int:
    quality = arguments.get("quality", 0)
    return quality if isinstance(quality, int) else 0


def identity_of(name: str, arguments: Any) -> Identity:
    return name, quality_of(arguments), str(arguments.get("tag", ""))


class Stage:
    """Where compiled graphs find the world of the current run."""

    def __init__(self) -> None:
        self.world = World()
        scorer = FakeScorer(lambda request: self.world.rate(request), thresholds=CALIBRATED)
        self.guard = Guard(scorer)
        self._tools: dict[bool, list[BaseTool]] = {}

    def enter(self, world: World) -> None:
        self.world = world
        self.guard.policy = world.policy

    def tools(self, *, fails: bool) -> list[BaseTool]:
        """The tools, made once; with `fails`, a quality of `FAILS_AT` raises."""
        if fails not in self._tools:
            self._tools[fails] = self._made(fails=fails)
        return self._tools[fails]

    def _made(self, *, fails: bool) -> list[BaseTool]:

        def act(name: str, quality: int, tag: str) -> str:
            self.world.run((name, quality, tag))
            if fails and quality == FAILS_AT:
                raise ValueError(f"{tag} failed")
            return f"{tag} done"

        def get_item(quality: int, tag: str) -> str:
            """Read an item."""
            return act("get_item", quality, tag)

        def save_item(quality: int, tag: str) -> str:
            """Save an item."""
            return act("save_item", quality, tag)

        def delete_item(quality: int, tag: str) -> str:
            """Delete an item."""
            return act("delete_item", quality, tag)

        return [tool(function) for function in (get_item, save_item, delete_item)]


class PlannedModel(BaseChatModel):
    """Drafts what the world on the stage has planned."""

    _stage: Stage = PrivateAttr()

    def __init__(self, stage: Stage) -> None:
        super().__init__()
        self._stage = stage

    @property
    def _llm_type(self) -> str:
        return "planned"

    def _generate(self, messages: list[BaseMessage], *args: Any, **kwargs: Any) -> ChatResult:
        return ChatResult(generations=[ChatGeneration(message=self._stage.world.draft())])

    async def _agenerate(
        self, messages: list[BaseMessage], *args: Any, **kwargs: Any
    ) -> ChatResult:
        return self._generate(messages)

    def bind_tools(self, tools: Sequence[Any], **kwargs: Any) -> "PlannedModel":
        return self


def rule(
    threshold: float | None,
    on_low: Literal["reject", "escalate"],
    on_unjudged: Literal["open", "closed", "escalate"],
) -> Rule:
    """A rule under which every call may be repeated."""
    return Rule(threshold=threshold, on_low=on_low, on_unjudged=on_unjudged, repeats=True)
