"""Score a context's responses: by the source's label where it is trusted, else by the rule.

Label right: 1, for every response that means the same. Label wrong: the rule score, unless that is
1; then label and rule contradict each other and the response is dropped as a `label_conflict`. No
label: the rule score. Two responses mean the same if their calls are the same to the rule score, or
neither calls and they say the same; so no answer is both chosen and rejected.
"""

import dataclasses
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from toolrm_guard.rule_score import Reference
from training.preferences.codec import meaning_key, turn_key
from training.preferences.faults import malformed
from training.preferences.rows import Context, Dropped, Response

STAGE = "rule_score"


def score_responses(
    context: Context, *, include_reference: bool = True
) -> Iterator[Context | Dropped]:
    """Yield what cannot be scored, then the context with its scored, distinct responses.

    Of two responses that are the same turn a model's stays before an edit, a labelled one before
    one without a label, and then the first. The reference comes last, so that a model that said the
    same keeps its name; an empty reference (a right answer in text that the source did not keep)
    is no response.
    """
    reference = Reference(_calls(context.reference))
    disputed, right = _labels(context)
    kept: dict[str, Response] = {}
    for number, response in sorted(enumerate(context.responses), key=_precedence):
        at = f"{context.id}#{number}@{response.by}"
        problem = malformed(response.calls)
        if problem is not None:
            yield Dropped(stage=STAGE, reason="malformed_response", id=at, detail=problem[:500])
            continue
        meaning = meaning_key(response)
        score = 1.0 if meaning in right else reference.score(_calls(response))
        conflict = meaning in disputed or (is_edit(response) and meaning in right)
        if conflict or (response.label is False and score == 1.0):
            detail = "labelled wrong, and scored or labelled right: " + meaning[:300]
            yield Dropped(stage=STAGE, reason="label_conflict", id=at, detail=detail)
            continue
        key = turn_key(response)
        if key in kept:
            detail = f"the same turn as that of {kept[key].by}"
            yield Dropped(stage=STAGE, reason="same_turn", id=at, detail=detail)
            continue
        kept[key] = dataclasses.replace(response, score=score)
    answer = context.reference
    if include_reference and (answer.calls or answer.text.strip()):
        kept.setdefault(turn_key(answer), dataclasses.replace(answer, score=1.0))
    yield dataclasses.replace(context, responses=tuple(kept.values()))


def has_wrong(context: Context) -> bool:
    """Tell whether any response of a context scores below 1."""
    scored = list(score_responses(context))
    last = scored[-1]
    return isinstance(last, Context) and any(r.score != 1.0 for r in last.responses)


def rule_scores(context: Context, *responses: Response) -> list[float]:
    """Return what the rule alone gives sound responses, whatever their labels say."""
    reference = Reference(_calls(context.reference))
    return [reference.score(_calls(response)) for response in responses]


def is_edit(response: Response) -> bool:
    """Tell whether a response was made by editing the reference, not by a model."""
    return response.by.startswith("edit:")


def _precedence(numbered: tuple[int, Response]) -> tuple[bool, bool, int]:
    number, response = numbered
    return is_edit(response), response.label is None, number


def _labels(context: Context) -> tuple[set[str], set[str]]:
    """Return the answers that models' labels disagree about, and those labelled right."""
    right: set[str] = set()
    wrong: set[str] = set()
    for response in context.responses:
        if response.label is not None and not is_edit(response):
            (right if response.label else wrong).add(meaning_key(response))
    return right & wrong, right - wrong


class _Plain(NamedTuple):
    """A call that is known to be sound: `Call` would build its canonical form again."""

    name: str
    arguments: Mapping[str, object]


def _calls(response: Response) -> list[_Plain]:
    return [_Plain(raw["name"], raw["arguments"]) for raw in response.calls]
