"""A real ToolRM-Disc over SmolLM2: random but not trivial, the same on every machine.

`disc_folder()` is an adapter (LoRA, r=8, every linear layer) with a score head; made once, kept in
the cache. Its rewards of different candidates differ by tenths, so that a wrong token, position or
mask shows.
"""

import shutil
from functools import partial
from pathlib import Path

import torch
from peft import LoraConfig, get_peft_model
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    LlamaConfig,
    LlamaForSequenceClassification,
)

from toolrm_guard.embedded.folder import MANIFEST, ensure_folder
from toolrm_guard.embedded.weights import cache_home, ensure_smollm2, quiet_transformers
from toolrm_guard.scorers.disc_card import EMBEDDED_BASE
from toolrm_guard.scorers.disc_folder import seal
from toolrm_guard.scorers.disc_model import export_disc
from toolrm_guard.scorers.reward_map import RewardMap

REWARD_MAP = RewardMap(
    rewards=(-4.0, 0.0, 4.0),
    probabilities=(0.05, 0.5, 0.95),
    thresholds={"read": 0.2, "write": 0.5, "destructive": 0.6, "answer": 0.2},
    rule="made up for tests",
)
MAX_TOKENS = 2048
_VERSION = 1
_SEED = 7

torch.set_num_threads(1)  # on shared cores two threads wait for each other


def disc_folder(max_tokens: int = MAX_TOKENS) -> Path:
    """The adapter, from the cache; do not write into it."""
    name = f"test-disc-{_VERSION}-{max_tokens}"
    return ensure_folder(cache_home() / name, partial(_build, max_tokens=max_tokens))


def copied_disc_folder(target: Path) -> Path:
    """A copy to damage."""
    shutil.copytree(disc_folder(), target, ignore=shutil.ignore_patterns(MANIFEST))
    return target


def served_folder() -> Path:
    """The same model merged into one full folder, as `export_disc` writes it for vLLM."""

    def build(folder: Path) -> None:
        export_disc(disc_folder(), folder / "merged")
        for path in (folder / "merged").iterdir():
            path.rename(folder / path.name)
        (folder / "merged").rmdir()

    return ensure_folder(cache_home() / f"test-disc-{_VERSION}-merged", build)


def tiny_folder(folder: Path, *, labels: int = 1) -> Path:
    """A full Disc folder of two small layers with the embedded model's tokenizer; not sealed."""
    tokenizer = AutoTokenizer.from_pretrained(ensure_smollm2())
    torch.manual_seed(_SEED)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        num_labels=labels,
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=1,
        eos_token_id=2,
    )
    with quiet_transformers():
        LlamaForSequenceClassification(config).save_pretrained(folder)
        tokenizer.save_pretrained(folder)
    return folder


def sealed(folder: Path, **fields: str) -> Path:
    """The folder with a card for what is in it."""
    base = fields.get("base", EMBEDDED_BASE)
    seal(folder, base=base, max_tokens=MAX_TOKENS, reward_map=REWARD_MAP)
    return folder


def _build(folder: Path, *, max_tokens: int) -> None:
    config = LoraConfig(
        task_type="SEQ_CLS", r=8, lora_alpha=16, target_modules="all-linear", lora_dropout=0.0
    )
    with quiet_transformers():  # no report on the score head that the base lacks
        model = AutoModelForSequenceClassification.from_pretrained(
            ensure_smollm2(), num_labels=1, dtype=torch.float32
        )
        wrapped = get_peft_model(model, config)
    wrapped.peft_config["default"].base_model_name_or_path = EMBEDDED_BASE  # not a path of ours
    draw = torch.Generator().manual_seed(_SEED)
    with torch.no_grad():
        for name, tensor in sorted(wrapped.named_parameters()):
            if tensor.requires_grad:
                spread = 0.1 if ".score." in name else 0.05
                tensor.copy_(torch.randn(tensor.shape, generator=draw) * spread)
    wrapped.save_pretrained(folder, save_embedding_layers=False)  # True asks the Hub
    (folder / "README.md").unlink(missing_ok=True)
    seal(folder, base=EMBEDDED_BASE, max_tokens=max_tokens, reward_map=REWARD_MAP)
