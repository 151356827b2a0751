"""A world for random runs: a model that drafts from a plan, tools that write down what ran, a
scorer that rates by the arguments, a human, and an oracle that knows what may run.

A call is told apart by its arguments: every one that a model drafts has a `tag` of its own. The
oracle works out from first principles what the policy allows, and shares no code with the guard.
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
from toolrm_guard.errors import ScorerTimeout, ScorerUnavailable

EFFECTS = {"get_item": "read", "save_item": "write", "delete_item": "destructive"}
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
    scored: dict[Identity, list[float]] = field(default_factory=dict)
    unjudged: set[Identity] = field(default_factory=set)
    approved_by_human: set[Identity] = field(default_factory=set)
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
        rates = []
        for candidate in request.candidates:
            calls = [call for call in candidate.calls if call.defect is None]
            rate = min((quality_of(call.arguments) for call in calls), default=6) / 10
            rates.append(rate)
            for call in calls:
                identity = identity_of(call.name, call.arguments)
                if out:
                    self.unjudged.add(identity)
                else:
                    self.scored.setdefault(identity, []).append(rate)
        if out:
            raise (ScorerUnavailable if self.judged % 2 else ScorerTimeout)("down")
        return rates

    def may_run(self, call: Identity) -> bool:
        """Whether the policy, or a human, allows exactly this call."""
        effect = EFFECTS.get(call[0])
        if effect is None:
            return False
        rule = self.policy.rule(effect)  # type: ignore[arg-type]
        threshold = 0.5 if rule.threshold is None else rule.threshold
        if call in self.approved_by_human or max(self.scored.get(call, [0.0])) >= threshold:
            return True
        # A judgement is not undone by an outage that follows it.
        return call in self.unjudged and call not in self.scored and rule.on_unjudged == "open"

    def assert_only_approved_calls_ran(self, *, retried: bool) -> None:
        """Nothing ran that was not approved, and nothing twice, unless something else retries."""
        forbidden = [call for call in self.ran if not self.may_run(call)]
        assert not forbidden, f"ran without approval: {forbidden}"
        twice = [call for call, times in Counter(self.ran).items() if times > 1]
        assert retried or not twice, f"ran twice: {twice}"


def quality_of(arguments: Any) -> int:
    quality = arguments.get("quality", 0)
    return quality if isinstance(quality, int) else 0


def identity_of(name: str, arguments: Any) -> Identity:
    return name, quality_of(arguments), str(arguments.get("tag", ""))


class Stage:
    """Where compiled graphs find the world of the current run."""

    def __init__(self) -> None:
        self.world = World()
        self.guard = Guard(FakeScorer(lambda request: self.world.rate(request)))
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
            self.world.ran.append((name, quality, tag))
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
    on_low: Literal["reject", "escalate"], on_unjudged: Literal["open", "closed", "escalate"]
) -> Rule:
    """A rule of the default threshold; every call may be repeated."""
    return Rule(on_low=on_low, on_unjudged=on_unjudged, repeats=True)
