"""The guard: candidates in, decision out.

Framework-free. The adapters translate their framework's state into a call of `Guard.areview` and
its `Review` back; everything that decides stands here and in the pure modules below.
"""

import dataclasses
import datetime
import functools
import os
import time
import uuid
from collections.abc import Sequence
from pathlib import Path

from toolrm_guard import blocking, content, records, redaction, tracing
from toolrm_guard.asking import ask_critic, ask_scorer
from toolrm_guard.budget import Allowance, more_samples
from toolrm_guard.calls import Call, Candidate
from toolrm_guard.correction import critique, explained
from toolrm_guard.errors import InvalidConversationError
from toolrm_guard.messages import parse_messages
from toolrm_guard.policy import Policy, decide, is_blocked, judge, threshold_for
from toolrm_guard.recording import Recorder, review_record
from toolrm_guard.redaction import Redactor
from toolrm_guard.review import Review, shadowed
from toolrm_guard.scorers import resolve
from toolrm_guard.scorers.base import Critic, Score, Scorer, ScoreRequest, fingerprint_of, joined
from toolrm_guard.selection import best
from toolrm_guard.store import TraceStore
from toolrm_guard.telemetry import Telemetry, count_outcome
from toolrm_guard.tools import ToolSet
from toolrm_guard.toolsets import ToolSets
from toolrm_guard.watched import watch


class Guard:
    """Scores candidates, chooses, and says what may execute.

    Example:
        >>> guard = Guard("lite")
        >>> review = guard.review("Delete a.txt", tools, candidates)
        >>> if review.decision == "execute":
        ...     run(review.approved)
    """

    def __init__(
        self,
        scorer: str | Scorer = "lite",
        *,
        policy: Policy | None = None,
        store: TraceStore | str | Path | None = None,
        critic: Critic | None = None,
        redactor: Redactor | None = redaction.DEFAULT,
        tool_metrics: bool = False,
        capture_content: bool | None = None,
    ) -> None:
        """Load the scorer and open the store, so that a wrong set-up fails before the agent starts.

        Args:
            scorer: The name of a registered scorer, or any object with the `Scorer` protocol.
            policy: The rules; the default takes its thresholds from the scorer's calibration.
            store: Where records go: a store, a SQLAlchemy URL or a SQLite path; None keeps none.
            critic: Writes the critique of a draft that is sent back; None makes it from findings,
                and so does a critic that fails or is late.
            redactor: Takes secrets out of what is stored and exported; None leaves them in.
            tool_metrics: Whether OpenTelemetry counts calls by the name of their tool, too.
            capture_content: Whether spans show messages, candidates and critique, redacted and
                cut; None asks OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT.

        Raises:
            ConfigurationError: If the scorer is unknown or damaged, a threshold is missing, or the
                store cannot be opened.
            MissingExtraError: If the scorer's extra is not installed.
        """
        self.scorer = resolve(scorer)
        self._fingerprint = fingerprint_of(self.scorer)
        self.policy = policy or Policy()
        self.critic = critic
        for rule in ("read", "write", "destructive", "answer"):
            threshold_for(rule, self.policy, self.scorer.thresholds)  # missing ones are told now
        self.store = store if store is None or isinstance(store, TraceStore) else TraceStore(store)
        self._toolsets = ToolSets()
        self._recorder = Recorder(store=self.store, redactor=redactor)
        self._telemetry = Telemetry(
            tool_metrics=tool_metrics,
            capture_content=(
                content.is_wanted(os.environ) if capture_content is None else capture_content
            ),
            shown_id=self._recorder.shown_id,
        )
        for source in (self.scorer, self.critic, self.store):
            watch(source)

    async def areview(
        self,
        messages: Sequence[object] | str,
        tools: Sequence[object] | ToolSet,
        candidates: Sequence[object],
        *,
        round: int = 0,
        may_correct: bool = True,
        parent_id: str | None = None,
        conversation_id: str | None = None,
        allowance: Allowance | None = None,
    ) -> Review:
        """Score the candidates of one turn, choose one, and decide what may execute.

        Never raises for what a model wrote. A scorer that fails or misses the policy's deadline
        gives a review that says so (`judged` is False); one that waits is cut off at the deadline,
        one that computes on the event loop is found late when it returns.

        Args:
            messages: The context before the turn: OpenAI dicts, LangChain messages, or one user
                request as text.
            tools: Everything the model was offered, in any shape that `ToolSet.of` reads.
            candidates: Proposed turns, the model's own first choice first.
            round: How many corrections came before.
            may_correct: Whether the caller can draw again; if not, the decision is final.
            parent_id: The review that this one corrects.
            conversation_id: Joins the reviews of one conversation.
            allowance: What a sampling budget leaves. A review whose `more` is not 0 is provisional:
                it is not recorded, and the caller reviews the larger set.

        Raises:
            ConfigurationError: If there are no candidates, or an input has an unknown shape.
        """
        if not candidates:
            raise InvalidConversationError("no candidates: pass at least the model's own proposal")
        started = time.perf_counter()
        request = ScoreRequest(
            messages=parse_messages(messages),
            tools=self.toolset(tools),
            candidates=tuple(Candidate.parse(candidate) for candidate in candidates),
        )
        review_id = uuid.uuid4().hex
        deadline_s = self.policy.deadline_of(request.candidates, request.tools)
        deadline = time.monotonic() + deadline_s
        with tracing.review_span(review_id, conversation_id, self._recorder.shown_id) as span:
            scoring = time.perf_counter()
            scores, unjudged_reason = await ask_scorer(self.scorer, request, deadline_s)
            review = self._decide(
                request,
                scores,
                review_id=review_id,
                unjudged_reason=unjudged_reason,
                round=round,
                may_correct=may_correct,
                allowance=allowance,
                scorer_ms=_ms_since(scoring),
                started=started,
            )
            if self.critic is not None and review.decision == "correct" and not review.more:
                text = await ask_critic(self.critic, request, review.chosen, deadline)
                review = dataclasses.replace(review, critique=text or review.critique)
            review = dataclasses.replace(review, total_ms=_ms_since(started))
            build = functools.partial(
                review_record,
                request,
                review,
                scorer=self.scorer.name,
                scorer_fingerprint=self._fingerprint,
                mode=self.policy.mode,
                parent_id=parent_id,
                conversation_id=conversation_id,
                samples_allowed=allowance.of if allowance else None,
                created_at=_now(),
            )
            self._telemetry.observe(
                span,
                review,
                scorer=self.scorer.name,
                mode=self.policy.mode,
                record=functools.partial(self._recorder.shown, build),
            )
        if not review.more:
            self._recorder.review(build)
        if not self.in_shadow:
            return review
        proposal = request.candidates[0]
        effects = [self.policy.effect_of(call.name, request.tools) for call in proposal.calls]
        return shadowed(review, proposal, effects)

    def review(
        self,
        messages: Sequence[object] | str,
        tools: Sequence[object] | ToolSet,
        candidates: Sequence[object],
        *,
        round: int = 0,
        may_correct: bool = True,
        parent_id: str | None = None,
        conversation_id: str | None = None,
        allowance: Allowance | None = None,
    ) -> Review:
        """Do what `areview` does, from code that is not async (a running loop does not matter)."""
        return blocking.run(
            self.areview(
                messages,
                tools,
                candidates,
                round=round,
                may_correct=may_correct,
                parent_id=parent_id,
                conversation_id=conversation_id,
                allowance=allowance,
            )
        )

    @property
    def in_shadow(self) -> bool:
        """Whether the policy only watches."""
        return self.policy.mode == "shadow"

    def toolset(self, tools: Sequence[object] | ToolSet, *, lenient: bool = False) -> ToolSet:
        """Return the tools as a set, read and checked once.

        Args:
            tools: Everything the model was offered.
            lenient: Whether a tool with an invalid schema takes any arguments, and is logged.

        Raises:
            InvalidToolError: If a tool is invalid, or two share a name.
        """
        return self._toolsets.of(tools, lenient=lenient)

    def record_outcome(
        self,
        call_id: str,
        *,
        ok: bool,
        kind: records.OutcomeKind = "task",
        label: str = "",
        content: str = "",
        latency_ms: float | None = None,
        digest: str | None = None,
        conversation_id: str | None = None,
        call: Call | None = None,
        tools: Sequence[object] | ToolSet = (),
    ) -> None:
        """Record what became of a call: now by the tool node, or later when more is known.

        Returns at once, and whatever the store meets is counted there, never raised here.

        Args:
            call_id: The provider's id of the call; joins the outcome to its review.
            ok: Whether it went well.
            kind: What the outcome is about.
            label: What happened, in a word of your own: `task_solved`, `user_complained`.
            content: The tool's result or error, or a note.
            latency_ms: How long the tool took.
            digest: Of the call that ran; left out, the outcome is of every call under this id.
            conversation_id: Of the review; ids of calls come again in other conversations.
            call: The call itself, in place of its digest.
            tools: Its tool; what that marks as sensitive is not stored.

        Raises:
            ConfigurationError: If a value cannot be right.
        """
        self._recorder.outcome(
            call_id,
            ok=ok,
            kind=kind,
            label=label,
            content=content,
            latency_ms=latency_ms,
            digest=digest,
            conversation_id=conversation_id,
            call=call,
            tools=tools,
        )
        count_outcome(kind, ok=ok)

    def _decide(
        self,
        request: ScoreRequest,
        scores: tuple[Score, ...],
        *,
        review_id: str,
        unjudged_reason: str | None,
        round: int,
        may_correct: bool,
        allowance: Allowance | None,
        scorer_ms: float,
        started: float,
    ) -> Review:
        certain = [request.finder.find_certain(candidate) for candidate in request.candidates]
        blocked = [
            is_blocked(candidate, found, request.tools, self.policy)
            for candidate, found in zip(request.candidates, certain, strict=True)
        ]
        # Without scores the model's own order stands; what cannot be right is still passed over.
        rewards = [score.reward for score in scores] or [0.0] * len(request.candidates)
        chosen = best(rewards, blocked=blocked)
        candidate = request.candidates[chosen]
        probability = scores[chosen].probability if scores else None
        thresholds = self.scorer.thresholds
        verdicts = judge(
            candidate,
            probability=probability,
            findings=certain[chosen],
            tools=request.tools,
            policy=self.policy,
            thresholds=thresholds,
        )
        answer_threshold = threshold_for("answer", self.policy, thresholds)
        accepted = probability is None or probability >= answer_threshold
        decision = decide(
            verdicts,
            answer_accepted=accepted,
            # Without a judgement there is nothing to say in a critique but the findings.
            may_correct=may_correct
            and round < self.policy.max_corrections
            and (bool(scores) or blocked[chosen]),
        )
        flawless = all(v.verdict == "approve" for v in verdicts) and (bool(verdicts) or accepted)
        more = 0
        if allowance is not None:
            more = more_samples(
                [score.probability for score in scores],
                [candidate.canonical for candidate in request.candidates],
                chosen=chosen,
                passes=flawless,
                allowance=allowance,
            )
        # Explaining costs several times the scoring, and a larger set follows a provisional review.
        # Only if that cannot be judged does this one stand, with what its findings say.
        if not flawless and not more:
            scores = explained(self.scorer, request, scores, chosen)
        told = scores[chosen].findings if scores else ()
        found = () if flawless else joined(request.finder.find(candidate), told)
        return Review(
            id=review_id,
            decision=decision,
            chosen=chosen,
            candidate=candidate,
            scores=scores,
            request=request,
            verdicts=verdicts,
            critique=None if flawless else critique(candidate, found, verdicts),
            unjudged_reason=unjudged_reason,
            round=round,
            more=more,
            total_ms=_ms_since(started),
            scorer_ms=scorer_ms,
        )


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)


def _ms_since(started: float) -> float:
    return (time.perf_counter() - started) * 1e3
