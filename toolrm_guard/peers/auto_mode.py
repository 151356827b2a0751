"""ToolRM as the judge of LangChain's AutoModeMiddleware (`langchain-typesafe`, experimental).

    auto_mode = AutoModeMiddleware(tools=["delete_file"])
    auto_mode.classifier = ToolRMDecision("lite", tools)

The middleware blocks at P(risky) >= 0.5; here that is 1 - P(the call is right).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from langchain_core.runnables import Runnable, RunnableConfig

from toolrm_guard import blocking
from toolrm_guard.calls import Call, Candidate
from toolrm_guard.messages import parse_messages
from toolrm_guard.scorers import resolve
from toolrm_guard.scorers.base import Scorer, ScoreRequest
from toolrm_guard.tools import ToolSet


@dataclass(frozen=True, slots=True, kw_only=True)
class Noul:
    """A probability, under the name that the middleware reads."""

    noul: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """The answers to the middleware's questions, by question."""

    nouls: Mapping[str, Noul]


class ToolRMDecision(Runnable[Any, Decision]):
    """Answers every yes/no question about a call with P(the call is wrong)."""

    def __init__(self, scorer: str | Scorer, tools: Sequence[object] | ToolSet) -> None:
        """Load the scorer.

        Args:
            scorer: The name of a registered scorer, or any object with the `Scorer` protocol.
            tools: Everything the model is offered.
        """
        self._scorer = resolve(scorer)
        self._tools = ToolSet.of(tools)

    def invoke(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> Decision:
        """Judge the call of a classification request.

        Raises:
            CouldNotJudge: If there is no score; the middleware then does not execute the call.
        """
        return blocking.run(self.ainvoke(input, config))

    async def ainvoke(
        self, input: Any, config: RunnableConfig | None = None, **kwargs: Any
    ) -> Decision:
        """Do what `invoke` does, without blocking the event loop."""
        call = Call.parse(input["state"]["tool_call"])
        request = ScoreRequest(
            messages=parse_messages(_before(input["state"]["messages"], call.id)),
            tools=self._tools,
            candidates=(Candidate(calls=(call,)),),
        )
        [[score]] = await self._scorer.score([request], None)
        # A schema error is certain, whatever a statistical score makes of it.
        broken = any(finding.severity == "error" for finding in request.findings[0])
        wrong = Noul(noul=1.0 if broken else 1.0 - score.probability)
        return Decision(nouls=dict.fromkeys(input["questions"], wrong))


def _before(messages: Sequence[Any], call_id: str | None) -> Sequence[Any]:
    """Return the messages before the turn that proposes the call."""
    for index in range(len(messages) - 1, -1, -1):
        calls = getattr(messages[index], "tool_calls", None) or ()
        if any(call.get("id") == call_id for call in calls):
            return messages[:index]
    return messages
