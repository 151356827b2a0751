"""A made-up generative reward model behind a real server: it reads the prompt and answers it."""

import json
import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

RESPONSE = re.compile(r"<(first_response|second_response|the_response)>\n(.*?)\n</\1>", re.S)
IDS = {"1": 16, "2": 17, "right": 210, "wrong": 220}


def responses_in(body: dict[str, Any]) -> list[str]:
    """What the prompt shows: two responses, or one."""
    return [match[2] for match in RESPONSE.finditer(body["messages"][1]["content"])]


def quality(response: str) -> float:
    """The number that a test's candidate carries in its arguments; 0 without one."""
    found = re.search(r'"quality": (\d+)', response)
    return float(found[1]) if found else 0.0


@dataclass(kw_only=True)
class Model:
    """Answers as a trained critic would, from a quality in the arguments.

    Attributes:
        quality: Of a response; 5 is as likely right as wrong.
        bias: Added to the quality of whatever stands first.
        logprobs: Whether the server offers them.
        thinks: What stands before every answer.
        evaluation: The reasons it gives.
    """

    quality: Callable[[str], float] = quality
    bias: float = 0.0
    logprobs: bool = True
    thinks: str = ""
    evaluation: str = "so it is"

    def __call__(self, body: dict[str, Any]) -> tuple[int, Any]:
        if "prompt" in body:  # /tokenize: the begun answer, then one token for each label
            label = body["prompt"].rpartition(">")[2]
            return 200, {"tokens": [1, 2, *([IDS[label]] if label else [])]}
        shown = responses_in(body)
        if len(shown) == 2:
            lead = self.quality(shown[0]) + self.bias - self.quality(shown[1])
            tag, labels = "choice", ("1", "2")
        else:
            lead = self.quality(shown[0]) - 5.0
            tag, labels = "verdict", ("right", "wrong")
        first = 1.0 / (1.0 + math.exp(-lead))
        label = labels[0] if lead > 0 or (lead == 0 and tag == "choice") else labels[1]
        likely = {labels[0]: _log(first), labels[1]: _log(1.0 - first)}
        if body.get("continue_final_message"):
            return 200, completion([label], likely if body.get("logprobs") else None, at=0)
        opened = f"{self.thinks}<evaluation>{self.evaluation}</evaluation><{tag}>"
        pieces = [opened, label, f"</{tag}>"]
        return 200, completion(pieces, likely if self.logprobs else None, at=1)


def completion(
    pieces: list[str],
    likely: dict[str, float] | None,
    *,
    at: int,
    tokens: int = 10,
    ended: str = "stop",
) -> dict[str, Any]:
    """A chat completion of these tokens, with the alternatives of one of them."""
    choice: dict[str, Any] = {
        "message": {"role": "assistant", "content": "".join(pieces)},
        "finish_reason": ended,
    }
    if likely is not None:
        content = [{"token": piece, "logprob": -0.1, "top_logprobs": []} for piece in pieces]
        content[at] = {
            "token": pieces[at],
            "logprob": likely.get(pieces[at], -0.1),
            "top_logprobs": [{"token": t, "logprob": value} for t, value in likely.items()],
        }
        choice["logprobs"] = {"content": content}
    return {"choices": [choice], "usage": {"prompt_tokens": 100, "completion_tokens": tokens}}


def raw(status: int, value: object) -> tuple[int, bytes]:
    """A reply that Python's JSON, unlike the standard, can write: NaN and its like."""
    return status, json.dumps(value).encode()


def _log(p: float) -> float:
    return math.log(p) if p > 0 else -9999.0
