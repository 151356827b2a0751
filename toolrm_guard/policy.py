"""What the guard does with a judgement, and without one: the only place where policy lives.

A rule belongs to an effect class. Its threshold is compared with the calibrated probability that
the candidate is right; left out, it comes from the scorer's own calibration, since a number that
suits one model means nothing for another.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, assert_never, get_args

from toolrm_guard.calls import Call, Candidate
from toolrm_guard.effects import check_patterns, effect_by_name, effect_by_pattern
from toolrm_guard.errors import ConfigurationError
from toolrm_guard.findings import Finding
from toolrm_guard.tools import Effect, Tool, ToolSet

_log = logging.getLogger(__name__)

Decision = Literal["execute", "correct", "escalate", "reject"]
Verdict = Literal["approve", "reject", "escalate"]
OnUnjudged = Literal["open", "closed", "escalate"]
OnLow = Literal["reject", "escalate"]
RuleName = Literal["read", "write", "destructive", "answer"]
Mode = Literal["enforce", "shadow"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """What applies to one effect class.

    Attributes:
        threshold: Least probability of being right, in [0, 1]; None takes the scorer's.
        on_low: What a call below the threshold meets once corrections are spent.
        on_unjudged: What a call meets when the guard could not judge: `open` executes it,
            `closed` rejects it, `escalate` hands it to a human.
        repeats: Whether a call may run again that already succeeded with the same arguments since
            the user last spoke. A model that does not know when to stop pays a bill twice.
        deadline_s: Seconds that a review of such a call may take; None takes the policy's.
    """

    threshold: float | None = None
    on_low: OnLow = "reject"
    on_unjudged: OnUnjudged = "closed"
    repeats: bool = False
    deadline_s: float | None = None

    def __post_init__(self) -> None:
        if self.threshold is not None and not 0.0 <= self.threshold <= 1.0:
            raise ConfigurationError(
                f"threshold {self.threshold!r} is not a probability; give a value in [0, 1]"
            )
        _check_choice("on_low", self.on_low, get_args(OnLow))
        _check_choice("on_unjudged", self.on_unjudged, get_args(OnUnjudged))
        _check_deadline(self.deadline_s)


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """The rules by effect class, and the limits of one decision.

    Attributes:
        read: For calls that change nothing. An outage lets them pass.
        write: For calls that change something. An outage stops them.
        destructive: For calls that are not easily undone. An outage asks a human.
        answer: For turns without a call: nothing executes, so an outage lets them pass.
        mode: `enforce` the decisions, or `shadow`: score and record, and change nothing.
        deadline_s: Seconds the scoring of one review may take, where no rule says otherwise.
        max_corrections: Rounds of critique and fresh candidates before a low score is final.
        max_rejections: Fully rejected turns in a row before an adapter ends the agent's run.
        patterns: Effect class by name pattern (`*`, `?`), before what the tool says of itself.
        classify: Effect class of a tool, before everything else; None leaves it to the patterns,
            the tool's metadata, and the verbs of its name.
    """

    read: Rule = field(default_factory=lambda: Rule(on_unjudged="open", repeats=True))
    write: Rule = field(default_factory=lambda: Rule(on_unjudged="closed"))
    destructive: Rule = field(default_factory=lambda: Rule(on_unjudged="escalate"))
    answer: Rule = field(default_factory=lambda: Rule(on_unjudged="open"))
    mode: Mode = "enforce"
    deadline_s: float = 2.0
    max_corrections: int = 1
    max_rejections: int = 2
    patterns: Mapping[str, Effect] = field(default_factory=dict)
    classify: Callable[[Tool], Effect] | None = None

    def __post_init__(self) -> None:
        _check_choice("mode", self.mode, get_args(Mode))
        _check_deadline(self.deadline_s)
        check_patterns(self.patterns)
        for name in ("max_corrections", "max_rejections"):
            if getattr(self, name) < 0:
                raise ConfigurationError(f"{name} is {getattr(self, name)}; give 0 or more")

    def rule(self, name: RuleName) -> Rule:
        """Return the rule of an effect class, or of a turn without calls."""
        rule: Rule = getattr(self, name)
        return rule

    def effect_of(self, name: str, tools: ToolSet) -> Effect:
        """Return the effect class of a call; an unknown tool counts as destructive."""
        tool = tools.get(name)
        if tool is None:
            return "destructive"
        if self.classify is not None:
            return self._classified(tool, self.classify)
        return effect_by_pattern(name, self.patterns) or tool.effect or effect_by_name(name)

    def _classified(self, tool: Tool, classify: Callable[[Tool], Effect]) -> Effect:
        try:
            effect = classify(tool)
        except Exception:  # noqa: BLE001  # the user's function must not end the agent
            _log.exception("classify failed for tool %r; it counts as destructive", tool.name)
            return "destructive"
        if effect not in get_args(Effect):
            _log.error("classify gave %r for tool %r; it counts as destructive", effect, tool.name)
            return "destructive"
        return effect

    def deadline_of(self, candidates: Sequence[Candidate], tools: ToolSet) -> float:
        """Return the seconds that the scoring of these candidates may take.

        The most patient rule among the proposed calls holds: a turn that may delete something is
        worth the wait that a look-up is not.
        """
        effects = {self.effect_of(call.name, tools) for c in candidates for call in c.calls}
        rules = [self.rule(effect) for effect in effects] or [self.answer]
        return max(rule.deadline_s or self.deadline_s for rule in rules)


@dataclass(frozen=True, slots=True, kw_only=True)
class CallVerdict:
    """What the policy says of one call of the chosen candidate.

    Attributes:
        call: The call.
        effect: Its effect class.
        verdict: Only an approved call may execute.
        reason: Why it was not approved, for people and for the model; empty when approved.
    """

    call: Call
    effect: Effect
    verdict: Verdict
    reason: str = ""


def judge(
    candidate: Candidate,
    *,
    probability: float | None,
    findings: Sequence[Finding],
    tools: ToolSet,
    policy: Policy,
    thresholds: Mapping[RuleName, float],
) -> tuple[CallVerdict, ...]:
    """Return one verdict per call of the candidate.

    Args:
        candidate: The chosen candidate.
        probability: Calibrated P(right) in [0, 1]; None when the guard could not judge.
        findings: Of this candidate; an error or a forbidden repeat rejects its call whatever the
            score.
        tools: The tools on offer.
        policy: The rules.
        thresholds: The scorer's calibrated thresholds, used where a rule states none.
    """
    verdicts = []
    for index, call in enumerate(candidate.calls):
        effect = policy.effect_of(call.name, tools)
        against = _blocking(findings, index, policy.rule(effect))
        if against:
            verdict: Verdict = "reject"
            reason = " ".join(finding.message for finding in against)
        else:
            verdict, reason = _by_probability(probability, effect, policy, thresholds)
        verdicts.append(CallVerdict(call=call, effect=effect, verdict=verdict, reason=reason))
    return tuple(verdicts)


def is_blocked(
    candidate: Candidate, findings: Sequence[Finding], tools: ToolSet, policy: Policy
) -> bool:
    """Tell whether a finding rules out any call of the candidate, whatever its score."""
    return bool(findings) and any(
        _blocking(findings, index, policy.rule(policy.effect_of(call.name, tools)))
        for index, call in enumerate(candidate.calls)
    )


def threshold_for(name: RuleName, policy: Policy, thresholds: Mapping[RuleName, float]) -> float:
    """Return the threshold in force for an effect class.

    Raises:
        ConfigurationError: If neither the policy nor the scorer's calibration states one.
    """
    stated = policy.rule(name).threshold
    if stated is not None:
        return stated
    if name not in thresholds:
        raise ConfigurationError(
            f"no threshold for {name!r}: the scorer brings no calibration for it; "
            f"set Policy({name}=Rule(threshold=...))"
        )
    return thresholds[name]


def decide(
    verdicts: Sequence[CallVerdict], *, answer_accepted: bool, may_correct: bool
) -> Decision:
    """Return the decision of a review from its verdicts.

    Args:
        verdicts: Of the chosen candidate; empty for a turn without calls.
        answer_accepted: Whether a turn without calls reached its threshold.
        may_correct: Whether a round of correction is left.
    """
    if all(v.verdict == "approve" for v in verdicts) and (verdicts or answer_accepted):
        return "execute"
    if may_correct:
        return "correct"
    if any(v.verdict == "escalate" for v in verdicts):
        return "escalate"
    if not verdicts or any(v.verdict == "approve" for v in verdicts):
        return "execute"  # the approved part of the turn, or a text that executes nothing
    return "reject"


def _blocking(findings: Sequence[Finding], index: int, rule: Rule) -> list[Finding]:
    """Return what rules a call out: what cannot be right, and a repeat where none is allowed."""
    return [
        finding
        for finding in findings
        if finding.call in (index, None)
        and (finding.severity == "error" or (finding.code == "repeated_call" and not rule.repeats))
    ]


def _by_probability(
    probability: float | None,
    effect: Effect,
    policy: Policy,
    thresholds: Mapping[RuleName, float],
) -> tuple[Verdict, str]:
    rule = policy.rule(effect)
    if probability is None:
        return _unjudged(rule.on_unjudged, effect)
    threshold = threshold_for(effect, policy, thresholds)
    if probability >= threshold:
        return "approve", ""
    reason = (
        f"The probability that this is right is {probability:.2f}; "
        f"a {effect} call needs {threshold:.2f}."
    )
    return rule.on_low, reason


def _unjudged(choice: OnUnjudged, effect: Effect) -> tuple[Verdict, str]:
    match choice:
        case "open":
            return "approve", ""
        case "closed":
            return "reject", f"The guard could not judge, and a {effect} call needs a judgement."
        case "escalate":
            return "escalate", f"The guard could not judge; a {effect} call then needs a human."
        case _:
            assert_never(choice)


def _check_choice(name: str, value: object, known: tuple[str, ...]) -> None:
    if value not in known:
        raise ConfigurationError(f"{name} {value!r} is none of {', '.join(known)}")


def _check_deadline(deadline_s: float | None) -> None:
    if deadline_s is not None and not deadline_s > 0:
        raise ConfigurationError(f"deadline_s {deadline_s!r} leaves no time; give seconds")
