"""Pairs as questions to a critic: asked as in serving, half of them with the worse side first."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from toolrm_guard.calls import Candidate
from toolrm_guard.critic_answer import choice_in
from toolrm_guard.critic_prompt import CriticMode, comparison_messages
from toolrm_guard.findings import Finder
from toolrm_guard.scorers.base import ScoreRequest
from training.bases import Base
from training.decisions import Decision
from training.preferences.outputs.critique import is_swapped
from training.reward_maps import interval
from training.tables import DatasetError

Chat = list[dict[str, str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """A question with its answer.

    Attributes:
        prompt: A system and a user message.
        answer: 1 or 2, the better side.
        tokens: Of the prompt in the base's chat template.
        request: The context.
        better, worse: The two sides.
        key: Of the context.
    """

    prompt: Chat
    answer: int
    tokens: int
    request: ScoreRequest
    better: Candidate
    worse: Candidate
    key: str


def comparisons(
    decisions: Sequence[Decision], base: Base, mode: CriticMode, max_tokens: int, skip_long: bool
) -> list[Comparison]:
    """Return one question a pair.

    Raises:
        DatasetError: If a question is longer than `max_tokens` and none may be left out.
    """
    asked: list[Comparison] = []
    long = 0
    for decision in decisions:
        for number, (a, b) in enumerate(decision.pairs):
            better, worse = (decision.request.candidates[side] for side in (a, b))
            swapped = is_swapped(f"{decision.key}:{number}", 0)
            sides = (worse, better) if swapped else (better, worse)
            prompt = _question(decision.request, *sides, mode)
            tokens = len(base.ids(base.chat_text(prompt)))
            if tokens > max_tokens:
                long += 1
                continue
            asked.append(
                Comparison(
                    prompt=prompt, answer=2 if swapped else 1, tokens=tokens,
                    request=decision.request, better=better, worse=worse, key=decision.key,
                )
            )  # fmt: skip
    if long and (not skip_long or not asked):
        raise DatasetError(
            f"{long:,} of {long + len(asked):,} questions are longer than {max_tokens:,} tokens; "
            "raise `max_prompt_tokens`, or leave them out with `skip_long = true`"
        )
    return asked


def written_critique(comparison: Comparison) -> str:
    """Return an answer in the required form, whose reasons are the findings of both sides."""
    finder = Finder(comparison.request.messages, comparison.request.tools)
    sides = [comparison.better, comparison.worse]
    if comparison.answer == 2:
        sides.reverse()
    said = []
    for number, side in enumerate(sides, 1):
        found = [finding.message for finding in finder.find(side)][:2]
        what = ", ".join(call.name for call in side.calls) or "no function"
        said.append(
            f"Response {number} calls {what}: {'; '.join(found) or 'nothing speaks against it'}."
        )
    verdict = f"Response {comparison.answer} serves the user better."
    return (
        f"<evaluation>{' '.join(said)} {verdict}</evaluation><choice>{comparison.answer}</choice>"
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """What a critic reached on pairs, each asked in both orders.

    Attributes:
        choices: (pairs, 2) the choice in each order, 0 for an answer without one; the better side
            stands first in the first order and second in the second.
        keys: (pairs,) of the contexts.
    """

    choices: np.ndarray[Any, Any]
    keys: list[str]

    def facts(self) -> dict[str, str]:
        """Return lines for a card, with intervals over prompts."""
        right = self.choices == np.array([1, 2])
        lines = {
            "Answers in the required form": (self.choices > 0).mean(axis=1),
            "Right choice, mean of both orders": right.mean(axis=1),
            "Right in both orders": right.all(axis=1),
            "Same place in both orders": (self.choices[:, 0] == self.choices[:, 1])
            & (self.choices[:, 0] > 0),
        }
        facts = {}
        for name, values in lines.items():
            low, high = interval(values.astype(float), self.keys)
            facts[name] = (
                f"{values.mean():.3f} of {len(values)} pairs (95%: {low:.3f} to {high:.3f})"
            )
        return facts


def judged(
    model: Any, base: Base, asked: Sequence[Comparison], mode: CriticMode, max_tokens: int
) -> Judged:
    """Return the model's likeliest answers to pairs in both orders."""
    model.eval()
    rows = []
    for comparison in asked:
        orders = (
            (comparison.better, comparison.worse),
            (comparison.worse, comparison.better),
        )
        prompts = [_question(comparison.request, *order, mode) for order in orders]
        rows.append([_choice(model, base, prompt, max_tokens) for prompt in prompts])
    return Judged(choices=np.array(rows), keys=[c.key for c in asked])


def _choice(model: Any, base: Base, prompt: Chat, max_tokens: int) -> int:
    """Return the choice of the likeliest answer, 0 for none."""
    [text] = base.write(
        model, base.chat_text(prompt), count=1, max_tokens=max_tokens, temperature=0.0, seed=0
    )
    return choice_in(text) or 0


def _question(request: ScoreRequest, first: Candidate, second: Candidate, mode: CriticMode) -> Chat:
    return comparison_messages(request.messages, request.tools, first, second, mode)
