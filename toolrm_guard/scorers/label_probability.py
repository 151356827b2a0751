"""How likely a model finds each of two labels, read from the tokens of its answer; pure."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from toolrm_guard.critic_answer import Tag, label_span

LABELS: dict[Tag, tuple[str, str]] = {"choice": ("1", "2"), "verdict": ("right", "wrong")}


@dataclass(frozen=True, slots=True)
class Written:
    """One token of an answer.

    Attributes:
        token: Its text.
        alternatives: Natural log-probability by text of what could have stood here, itself
            included; empty where the server tells none.
    """

    token: str
    alternatives: Mapping[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What an answer says.

    Attributes:
        first: P(the first label), of the two; in [0, 1].
        from_logprobs: Whether it was read from log-probabilities; else it is 0 or 1.
    """

    first: float
    from_logprobs: bool


def read_label(text: str, written: Sequence[Written], tag: Tag, *, cut: bool) -> Reading | None:
    """Return the label of an answer with its probability; None if the answer has none.

    Args:
        text: The answer.
        written: Its tokens; they may hold a thought that the text leaves out, or none.
        tag: Which label is asked for.
        cut: Whether the server ended the answer, not the model.
    """
    span = label_span(text, tag)
    if span is None or (cut and not text.rstrip().endswith(f"</{tag}>")):
        return None  # a thought that was cut off may weigh a label
    label = text[slice(*span)].lower()
    if label not in LABELS[tag]:
        return None
    spoken = "".join(piece.token for piece in written)
    place = label_span(spoken, tag)
    if place is not None and spoken[slice(*place)].lower() == label:
        index, offset = _token_at(written, place[0])
        found = _at(written[index], written[index].token[:offset], tag)
        if found is not None:
            return found
    return Reading(first=float(label == LABELS[tag][0]), from_logprobs=False)


def read_begun(written: Sequence[Written], tag: Tag) -> Reading | None:
    """Return the label that a model added to an answer which was begun for it, or None.

    It must be a label itself: a server that does not continue answers, but starts a new one, has
    the labels somewhere among its alternatives, too.

    Args:
        written: One token or more; the first is the label.
        tag: Which label is asked for.
    """
    if (label := _label_begun(written[0].token, tag)) is None:
        return None
    found = _at(written[0], "", tag)
    return found or Reading(first=float(label == 0), from_logprobs=False)


def _label_begun(token: str, tag: Tag) -> int | None:
    """Return which label a token is or begins; None if neither, or both."""
    begun = token.strip().lower()
    fits = [bool(begun) and label.startswith(begun) for label in LABELS[tag]]
    return fits.index(True) if sum(fits) == 1 else None


def _token_at(written: Sequence[Written], position: int) -> tuple[int, int]:
    """Return the token at a position of the joined text, and the offset inside it."""
    for index, piece in enumerate(written):
        if position < len(piece.token):
            return index, position
        position -= len(piece.token)
    raise ValueError(f"no token at {position}")


def _at(piece: Written, before: str, tag: Tag) -> Reading | None:
    """Return what the alternatives of a token say; None if neither label is among them.

    A label may be more than one token; then its beginning decides. A label that is not listed is
    less likely than all that are, and counts as impossible.

    Args:
        piece: The token.
        before: What of the token stands before the label, e.g. the `>` of `>1`.
        tag: Which label.
    """
    found: tuple[list[float], list[float]] = ([], [])
    for token, logprob in piece.alternatives.items():
        if not token.startswith(before) or not math.isfinite(logprob):
            continue
        if (label := _label_begun(token[len(before) :], tag)) is not None:
            found[label].append(logprob)
    most = max([*found[0], *found[1]], default=None)
    if most is None:
        return None
    first, second = (sum(math.exp(logprob - most) for logprob in logprobs) for logprobs in found)
    return Reading(first=first / (first + second), from_logprobs=True)
