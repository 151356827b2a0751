"""What a generative reward model answered: its choice or verdict, and its reasons.

An answer reads `<evaluation>...</evaluation><choice>1</choice>`, or `<verdict>right</verdict>`. It
is read strictly: a label counts only where the answer stands, and one that contradicts itself, or
was cut off in a thought, has no label.
"""

import re
from typing import Literal

Choice = Literal[1, 2] | None
"""Which of two is better; None if the answer names none."""

Verdict = Literal["right", "wrong"] | None
"""What is said of one candidate; None if the answer says neither."""

Tag = Literal["choice", "verdict"]

_LABELS = re.compile(r"<(?P<tag>choice|verdict)>\s*(?P<label>1|2|right|wrong)\s*</(?P=tag)>", re.I)
_EVALUATION = re.compile(r"<evaluation>(.*?)</evaluation>", re.S)


def label_span(text: str, tag: Tag) -> tuple[int, int] | None:
    """Return where the label of an answer stands, as offsets into the text; None if nowhere.

    What stands before the end of a thought, or before the end of an evaluation, does not count: a
    model may weigh `<choice>1</choice>` there, or quote it, and decide for the other. (The official
    evaluation takes the first in the whole text.) Two different labels are none.
    """
    start = _answer_start(text)
    if start is None:
        return None
    found = [match for match in _LABELS.finditer(text, start) if match["tag"].lower() == tag]
    if len({match["label"].lower() for match in found}) != 1:
        return None
    return found[0].span("label")


def choice_in(text: str) -> Choice:
    """Return the choice that an answer names, or None."""
    label = _label(text, "choice")
    return 1 if label == "1" else 2 if label == "2" else None


def verdict_in(text: str) -> Verdict:
    """Return the verdict of an answer, or None."""
    label = _label(text, "verdict")
    return "right" if label == "right" else "wrong" if label == "wrong" else None


def evaluation_in(text: str) -> str | None:
    """Return the reasons of an answer, as the model wrote them; None without any."""
    start = _thought_end(text)
    found = None if start is None else _EVALUATION.search(text, start)
    return found[1].strip() or None if found else None


def _label(text: str, tag: Tag) -> str | None:
    span = label_span(text, tag)
    return None if span is None else text[slice(*span)].lower()


def _answer_start(text: str) -> int | None:
    thought = _thought_end(text)
    if thought is None:
        return None
    end = text.rfind("</evaluation>", thought)
    return thought if end < 0 else end


def _thought_end(text: str) -> int | None:
    """Return where the answer begins; None if a thought began and did not end."""
    end = text.rfind("</think>")
    begun = text.rfind("<think>")
    if begun > end:
        return None
    return 0 if end < 0 else end + len("</think>")
