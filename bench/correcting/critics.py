"""Who reviews a draft in the self-correction bench, and what it says.

`lite` is the guard as it ships: it accepts a draft or writes what it found. `gen` is a generative
reward model behind an endpoint, asked whether one draft is right and why not. `none` rejects every
draft without a reason, and `oracle` exactly the wrong ones: what is lost and gained by that alone.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, Self

from bench.answers.marking import is_right
from bench.judges.endpoint import critic_of, set_up_mistakes
from bench.judges.protocol import JudgeSettings
from toolrm_guard.calls import Candidate
from toolrm_guard.errors import ConfigurationError, CouldNotJudge
from toolrm_guard.guard import Guard
from toolrm_guard.labelled import LabelledRecord
from toolrm_guard.scorers.base import ScoreRequest

_PLAIN = "This answer was not accepted, and nothing was executed. Propose the turn again."


@dataclass(frozen=True, slots=True, kw_only=True)
class Critique:
    """What a critic says of one draft.

    Attributes:
        text: For the policy; None accepts the draft.
        output_tokens: That the critic generated.
    """

    text: str | None
    output_tokens: int = 0


class DraftCritic(Protocol):
    """Reviews one draft.

    Attributes:
        name: As in `--critic`.
    """

    name: str

    async def review(self, record: LabelledRecord, draft: Candidate) -> Critique:
        """Return the critique.

        Raises:
            CouldNotJudge: If there is none; the draft then stands.
        """
        ...


class GuardCritic:
    """The guard with a scorer by name."""

    def __init__(self, scorer: str = "lite") -> None:
        """Load the scorer."""
        self.name = scorer
        self._guard = Guard(scorer)

    async def review(self, record: LabelledRecord, draft: Candidate) -> Critique:
        """Return the guard's critique, or none where it would let the draft pass."""
        review = await self._guard.areview(record.messages, record.toolset(), [draft])
        if not review.judged:
            raise CouldNotJudge(review.unjudged_reason or "the guard could not judge")
        if review.decision == "execute":
            return Critique(text=None)
        return Critique(text=review.critique or _PLAIN)


class GenCritic:
    """A generative model that is asked whether one draft is right."""

    name = "gen"

    def __init__(self, settings: JudgeSettings) -> None:
        """Take the server.

        Raises:
            ConfigurationError: If none is named.
        """
        self._critic = critic_of(
            settings, "--critic gen needs --critic-endpoint URL and --critic-model"
        )

    async def __aenter__(self) -> Self:
        """Connections open as they are needed."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close the connections."""
        await self._critic.aclose()

    async def review(self, record: LabelledRecord, draft: Candidate) -> Critique:
        """Return what the model says.

        Raises:
            InvalidScore: If the answer has no verdict.
        """
        request = ScoreRequest(
            messages=record.parsed_messages(), tools=record.toolset(), candidates=(draft,)
        )
        with set_up_mistakes():
            opinion = await self._critic.examine(request, 0, None)
        tokens = opinion.stats.output_tokens
        if opinion.right:
            return Critique(text=None, output_tokens=tokens)
        reasons = opinion.evaluation
        return Critique(text=f"{reasons}\n\n{_PLAIN}" if reasons else _PLAIN, output_tokens=tokens)


class RuleCritic:
    """Accepts by a rule that no deployed critic has: for comparison only."""

    def __init__(self, name: str, accepts: Callable[[LabelledRecord, Candidate], bool]) -> None:
        """Take the rule."""
        self.name = name
        self._accepts = accepts

    async def review(self, record: LabelledRecord, draft: Candidate) -> Critique:
        """Return a critique without reasons where the rule does not accept."""
        return Critique(text=None if self._accepts(record, draft) else _PLAIN)


CRITICS = ("lite", "gen", "none", "oracle")


def make_critic(name: str, settings: JudgeSettings) -> DraftCritic:
    """Return the critic of that name.

    Raises:
        ConfigurationError: If there is none, or it lacks a setting.
    """
    if name == "lite":
        return GuardCritic("lite")
    if name == "gen":
        return GenCritic(settings)
    if name == "none":
        return RuleCritic("none", lambda record, draft: False)
    if name == "oracle":
        return RuleCritic("oracle", is_right)
    raise ConfigurationError(f"no critic {name}; known: {', '.join(CRITICS)}")
