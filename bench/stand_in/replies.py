"""A Disc folder without weights, and what vLLM answers for it.

The tokenizer reads bytes, so it is made in a millisecond; a reward is a function of the token ids,
so that a wrong token or a mixed-up row shows.
"""

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer, decoders, models, pre_tokenizers

from toolrm_guard.scorers.disc_card import PROMPT_FORMAT

MODEL = "my-disc"
MAX_TOKENS = 65_536
SPECIAL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")


def byte_tokenizer() -> Tokenizer:
    """Return a tokenizer of bytes and three control tokens."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE(vocab={c: k for k, c in enumerate(alphabet)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(list(SPECIAL))
    return tokenizer


def unweighted_folder(parent: Path, *, name: str = MODEL, max_tokens: int = MAX_TOKENS) -> Path:
    """Return a folder with `disc.json` and `tokenizer.json`: all that a client reads."""
    folder = parent / name
    folder.mkdir(parents=True)
    byte_tokenizer().save(str(folder / "tokenizer.json"))
    digest = hashlib.sha256((folder / "tokenizer.json").read_bytes()).hexdigest()
    card = {
        "format": 1,
        "base": "nothing",
        "weights": {"model.safetensors": "0" * 64, "tokenizer.json": digest},
        "prompt_format": PROMPT_FORMAT,
        "max_tokens": max_tokens,
        "rewards": [-4.0, 0.0, 4.0],
        "probabilities": [0.05, 0.5, 0.95],
        "thresholds": {"read": 0.2, "write": 0.5, "destructive": 0.6, "answer": 0.2},
        "rule": "made up for tests",
    }
    (folder / "disc.json").write_text(json.dumps(card))
    return folder


def reward(ids: Sequence[int]) -> float:
    """Return a number in [-4, 4) that any change of any id changes."""
    digest = hashlib.sha256(repr(tuple(ids)).encode()).digest()
    return int.from_bytes(digest[:4], "little") / 2**32 * 8 - 4


def models_reply(*names: str, max_model_len: int = MAX_TOKENS) -> dict[str, Any]:
    """Return the answer of `/v1/models`."""
    return {"data": [{"id": name, "max_model_len": max_model_len} for name in names]}


def classify_reply(body: Mapping[str, Any], *, model: str = MODEL) -> dict[str, Any]:
    """Return what vLLM 0.32 answers: all that we read, and fields that we do not."""
    raw = [reward(ids) for ids in body["input"]]
    if body.get("use_activation", True):
        raw = [1 / (1 + math.exp(-value)) for value in raw]
    rows = [
        {"index": k, "label": "LABEL_0", "probs": [value], "num_classes": 1}
        for k, value in enumerate(raw)
    ]
    return {"id": "classify-1", "model": model, "data": rows}
