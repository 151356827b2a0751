"""One reviewed turn: draw, judge, and correct off the history."""

import dataclasses
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage
from langchain_core.messages.utils import count_tokens_approximately

from toolrm_guard.budget import Allowance, Budget
from toolrm_guard.calls import Candidate
from toolrm_guard.drafts import ChatRunnable, with_call_ids
from toolrm_guard.errors import ConfigurationError
from toolrm_guard.guard import Guard
from toolrm_guard.review import Review
from toolrm_guard.steps import Draw, Judge, Steps
from toolrm_guard.tools import ToolSet
from toolrm_guard.verdicts import refusal, with_verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnReviewer:
    """Reviews turns of one model over one set of tools.

    Attributes:
        guard: Decides.
        tools: Everything the model was offered.
        model: Draws candidates; None reviews what it is given, and nothing can be corrected.
        n: Candidates a round, or the budget that decides how many.
    """

    guard: Guard
    tools: ToolSet
    model: ChatRunnable | None = None
    n: int | Budget = 1

    def __post_init__(self) -> None:
        check_n(self.n)
        if self.n != 1 and self.model is None:
            raise ConfigurationError(
                f"n is {self.n}, but there is no model to draw from; pass model=..."
            )

    def steps(self, history: Sequence[BaseMessage], proposal: AIMessage | None) -> Steps[AIMessage]:
        """Return the turn after `history`, with the verdict on each of its calls.

        In shadow the proposal comes back as it was.

        Args:
            history: Everything before the turn.
            proposal: What the model proposed already; None draws every candidate.
        """
        spent = _Spent()
        drafts = [] if proposal is None else [with_call_ids(proposal)]
        spent.add(drafts)
        review = yield from self._round(history, history, drafts, spent)
        winner = drafts[review.chosen]
        while review.decision == "correct":
            told = [*history, *_critique_messages(winner, review)]
            # The draft stays in the running: what scores no better does not replace it.
            drafts = [winner]
            corrected = yield from self._round(history, told, drafts, spent, corrects=review)
            if review.judged and not corrected.judged:
                break  # an outage does not overrule the score that sent the draft back
            review = corrected
            winner = drafts[review.chosen]
        if self.guard.in_shadow:
            return proposal or winner
        return with_verdict(winner, review)

    def _round(
        self,
        history: Sequence[BaseMessage],
        told: Sequence[BaseMessage],
        drafts: list[AIMessage],
        spent: "_Spent",
        *,
        corrects: Review | None = None,
    ) -> Steps[Review]:
        """Fill `drafts` and judge them; with a budget, until it says that they suffice.

        A draw that brings nothing is the turn's last: what is there is decided on.
        """
        # A correction comes on top of the draft that it corrects.
        wanted = self._first_draw() - (0 if corrects else len(drafts))
        judged: Review | None = None
        dry = False
        while True:
            if wanted > 0 and self.model is not None:
                fresh: list[AIMessage] = yield Draw(
                    model=self.model,
                    messages=told,
                    n=wanted,
                    timeout_s=self._timeout_s(spent),
                    optional=bool(drafts),
                )
                spent.add(fresh)
                drafts += fresh
                dry = not fresh
            if not drafts:
                raise ConfigurationError("the model returned no AIMessage; pass a chat model")
            allowance = self._allowance(spent, dry=dry)
            may_draw = not dry and (allowance is None or allowance.left > 0)
            review: Review = yield Judge(
                guard=self.guard,
                messages=history,
                tools=self.tools,
                candidates=drafts,
                round=corrects.round + 1 if corrects else 0,
                may_correct=self.model is not None and may_draw,
                parent_id=corrects.id if corrects else None,
                allowance=allowance,
            )
            if judged is not None and not review.judged:
                # The scores of the smaller set stand: an outage must not let a low one pass.
                return dataclasses.replace(judged, id=review.id, more=0)
            if not review.more:
                return review
            judged, wanted = review, review.more

    def _first_draw(self) -> int:
        if self.guard.in_shadow or isinstance(self.n, Budget):
            return 1  # in shadow nothing is drawn that the bare agent would not draw
        return self.n

    def _allowance(self, spent: "_Spent", *, dry: bool) -> Allowance | None:
        if self.guard.in_shadow or not isinstance(self.n, Budget):
            return None
        left = self.n.left(samples=spent.samples, elapsed_ms=spent.elapsed_ms, tokens=spent.tokens)
        return Allowance(left=0 if dry else left, of=self.n.max_samples, margin=self.n.margin)

    def _timeout_s(self, spent: "_Spent") -> float | None:
        # The first draw is the agent's own turn: without it there would be nothing to decide on.
        if not isinstance(self.n, Budget) or self.n.max_ms is None or not spent.samples:
            return None
        return max(0.0, (self.n.max_ms - spent.elapsed_ms) / 1e3)


@dataclass(slots=True)
class _Spent:
    """What a turn has cost so far."""

    started: float = field(default_factory=time.perf_counter)
    drafts: list[AIMessage] = field(default_factory=list)

    @property
    def samples(self) -> int:
        return len(self.drafts)

    @property
    def tokens(self) -> int:
        return sum(_output_tokens(draft) for draft in self.drafts)

    @property
    def elapsed_ms(self) -> float:
        return (time.perf_counter() - self.started) * 1e3

    def add(self, drafts: Sequence[AIMessage]) -> None:
        self.drafts += drafts


def check_n(n: int | Budget) -> None:
    """Refuse a number of candidates that decides nothing.

    Raises:
        ConfigurationError: If n is below 1.
    """
    if isinstance(n, int) and n < 1:
        raise ConfigurationError(f"n is {n}; a decision needs at least 1 candidate")


def _output_tokens(draft: AIMessage) -> int:
    usage = draft.usage_metadata
    return usage["output_tokens"] if usage else count_tokens_approximately([draft])


def _critique_messages(draft: AIMessage, review: Review) -> list[BaseMessage]:
    """Return the draft and its critique in a form that every provider accepts."""
    critique = review.critique or ""
    calls = Candidate.parse(draft).calls
    if not calls:
        return [draft, HumanMessage(critique)]
    return [draft, *(refusal(call, critique) for call in calls)]
