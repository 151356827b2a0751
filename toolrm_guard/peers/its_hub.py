"""A scorer as the reward model of its_hub's algorithms: `BestOfN(ToolRMReward("lite", tools))`."""

from collections.abc import Sequence
from typing import Any

from its_hub import AbstractOutcomeRewardModel

from toolrm_guard import blocking
from toolrm_guard.calls import Candidate
from toolrm_guard.messages import parse_messages
from toolrm_guard.scorers import resolve
from toolrm_guard.scorers.base import Scorer, ScoreRequest
from toolrm_guard.tools import ToolSet


class ToolRMReward(AbstractOutcomeRewardModel):  # type: ignore[misc]  # its_hub has no types
    """Scores conversations whose last message is a candidate.

    its_hub never hands its reward models the tools, so they are given here. It scores identical
    candidates once, so a scorer cannot see how often the model repeated itself.
    """

    def __init__(self, scorer: str | Scorer, tools: Sequence[object] | ToolSet) -> None:
        """Load the scorer.

        Args:
            scorer: The name of a registered scorer, or any object with the `Scorer` protocol.
            tools: Everything the model is offered.
        """
        self._scorer = resolve(scorer)
        self._tools = ToolSet.of(tools)

    def score(self, messages: Any, **kwargs: Any) -> list[float] | float:
        """Return P(right) in [0, 1] of one conversation, or of each of several."""
        return blocking.run(self.ascore(messages, **kwargs))

    async def ascore(
        self, messages: Any, orchestrator: Any = None, **kwargs: Any
    ) -> list[float] | float:
        """Return P(right) in [0, 1] of one conversation, or of each of several.

        Candidates of one context are judged together, as the guard judges them.

        Raises:
            CouldNotJudge: If there is no score; its_hub then has none to select by.
        """
        several = isinstance(messages, list) and bool(messages) and isinstance(messages[0], list)
        talks = [[_fields(m) for m in talk] for talk in (messages if several else [messages])]
        requests: dict[str, list[int]] = {}
        for index, talk in enumerate(talks):
            requests.setdefault(repr(talk[:-1]), []).append(index)
        scored = await self._scorer.score(
            [self._request([talks[i] for i in group]) for group in requests.values()], None
        )
        rewards = [0.0] * len(talks)
        for group, scores in zip(requests.values(), scored, strict=True):
            for index, score in zip(group, scores, strict=True):
                rewards[index] = score.probability
        return rewards if several else rewards[0]

    def _request(self, talks: Sequence[Sequence[dict[str, Any]]]) -> ScoreRequest:
        return ScoreRequest(
            messages=parse_messages(talks[0][:-1]),
            tools=self._tools,
            candidates=tuple(Candidate.parse(talk[-1]) for talk in talks),
        )


def _fields(message: Any) -> dict[str, Any]:
    return message if isinstance(message, dict) else message.to_dict()
