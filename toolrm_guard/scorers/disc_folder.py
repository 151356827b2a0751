"""A ToolRM-Disc on disk: `disc.json` beside one of two kinds of weights.

    full model                      adapter over a base
    config.json                     adapter_config.json        PEFT, task type SEQ_CLS
    model*.safetensors              adapter_model.safetensors  LoRA matrices and the score head
    tokenizer.json, ...             tokenizer.json, ...        only if it is not the base's own

A folder with `adapter_config.json` is an adapter. The card holds the sha256 of every file that a
score depends on, so a folder is whole or refused. A trainer fills a folder and then seals it:

    model.save_pretrained(folder)
    seal(folder, base="smollm2-135m-instruct", max_tokens=2048, reward_map=fitted)

Weights in pickle form (`*.bin`) are not read: loading them would run code.
"""

import hashlib
from collections.abc import Mapping
from fnmatch import fnmatch
from pathlib import Path

import torch
from huggingface_hub import snapshot_download
from safetensors import SafetensorError, safe_open

from toolrm_guard.embedded.folder import sha256_of
from toolrm_guard.embedded.weights import ensure_smollm2
from toolrm_guard.errors import ConfigurationError, ModelIntegrityError
from toolrm_guard.scorers.disc_card import DISC_FILE, EMBEDDED_BASE, PROMPT_FORMAT, DiscCard
from toolrm_guard.scorers.reward_map import RewardMap

ADAPTER_CONFIG = "adapter_config.json"
ADAPTER_WEIGHTS = "adapter_model.safetensors"

_TOKENIZER = (
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "merges.txt",
)
_READ_OF_ADAPTER = (ADAPTER_CONFIG, ADAPTER_WEIGHTS, *_TOKENIZER)
_READ_OF_MODEL = ("config.json", "model*.safetensors", "model.safetensors.index.json", *_TOKENIZER)


def is_adapter(folder: Path) -> bool:
    """Tell whether a Disc folder holds an adapter, not a full model."""
    return (folder / ADAPTER_CONFIG).is_file()


def files_read(folder: Path) -> list[str]:
    """Return the names of the files in a Disc folder that a score depends on."""
    patterns = _READ_OF_ADAPTER if is_adapter(folder) else _READ_OF_MODEL
    names = sorted(path.name for path in folder.iterdir() if path.is_file())
    return [name for name in names if any(fnmatch(name, pattern) for pattern in patterns)]


def seal(folder: str | Path, *, base: str, max_tokens: int, reward_map: RewardMap) -> DiscCard:
    """Write `disc.json` for the weights in a folder, and return it.

    Args:
        folder: Filled by `save_pretrained` of a PEFT model or of a sequence-classification model.
        base: What the model was trained from, as `DiscCard.base`.
        max_tokens: The longest prompt and suffix together that the model was trained for.
        reward_map: Knots, thresholds and their rule.

    Raises:
        ConfigurationError: If the base of an adapter is not to be had.
        ModelIntegrityError: If there are no weights to seal.
    """
    folder = Path(folder)
    weights = {name: sha256_of(folder / name) for name in files_read(folder)}
    _check_names(folder, weights)
    card = DiscCard(
        rewards=reward_map.rewards,
        probabilities=reward_map.probabilities,
        thresholds=reward_map.thresholds,
        rule=reward_map.rule,
        base=base,
        base_sha256=tensors_sha256(base_folder(base)) if is_adapter(folder) else None,
        weights=weights,
        prompt_format=PROMPT_FORMAT,
        max_tokens=max_tokens,
    )
    (folder / DISC_FILE).write_text(card.model_dump_json(indent=1) + "\n")
    return card


def verify(folder: Path, card: DiscCard) -> None:
    """Check that a folder holds what its card says, and nothing beside it that would be read.

    Raises:
        ModelIntegrityError: Naming the file.
    """
    _check_names(folder, card.weights)
    if unlisted := set(files_read(folder)) - set(card.weights):
        raise ModelIntegrityError(
            f"{folder / min(unlisted)} would be read, but {DISC_FILE} does not list it; remove "
            "it, or seal the folder again"
        )
    for name, digest in card.weights.items():
        try:
            actual = sha256_of(folder / name)
        except OSError as exc:
            raise ModelIntegrityError(
                f"{folder / name}: {exc.strerror}, but {DISC_FILE} lists it; copy the folder again"
            ) from exc
        if actual != digest:
            raise ModelIntegrityError(
                f"{folder / name} has sha256 {actual}, but {DISC_FILE} says {digest}; copy the "
                "folder again"
            )


def base_folder(base: str) -> Path:
    """Return the folder of a base model: the embedded one, one on disk, or a snapshot of the Hub.

    Raises:
        ConfigurationError: If it cannot be had.
    """
    if base == EMBEDDED_BASE:
        return ensure_smollm2()
    path = Path(base).expanduser()
    if path.is_dir():
        return path
    try:
        return Path(snapshot_download(base, allow_patterns=["*.json", "*.safetensors", "*.txt"]))
    except (OSError, ValueError) as exc:  # every error of the Hub's client is one of the two
        raise ConfigurationError(
            f"the base model {base!r} is neither a folder nor to be had from the Hub ({exc}); "
            "download it and pass its folder as `base`"
        ) from exc


def tensors_sha256(folder: Path) -> str:
    """Return one hash of all tensors in a folder, whatever files they are divided over.

    Of names, types, shapes and values; 0.4 s for half a gigabyte.

    Raises:
        ModelIntegrityError: If there are none, or a file is damaged.
    """
    held = {}
    try:
        for path in sorted(folder.glob("*.safetensors")):
            with safe_open(path, framework="pt") as file:
                held.update(dict.fromkeys(file.keys(), path))
        digest = hashlib.sha256()
        for name in sorted(held):
            with safe_open(held[name], framework="pt") as file:
                tensor = file.get_tensor(name)
            digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
            digest.update(tensor.reshape(-1).view(torch.uint8).numpy())
    except (SafetensorError, OSError) as exc:
        raise ModelIntegrityError(f"{folder}: damaged safetensors ({exc}); copy it again") from exc
    if not held:
        raise ModelIntegrityError(f"{folder} holds no safetensors; give the folder of a model")
    return digest.hexdigest()


def _check_names(folder: Path, weights: Mapping[str, str]) -> None:
    """Refuse a card that leaves out the weights themselves, or points outside its folder."""
    adapter = is_adapter(folder)
    needed = (ADAPTER_CONFIG, ADAPTER_WEIGHTS) if adapter else ("config.json", "*.safetensors")
    for pattern in needed:
        if not any(fnmatch(name, pattern) for name in weights):
            raise ModelIntegrityError(
                f"{folder / DISC_FILE} covers no {pattern}; a Disc folder holds a PEFT adapter or "
                "a full sequence-classification model, with safetensors"
            )
    for name in weights:
        if Path(name).name != name:
            raise ModelIntegrityError(f"{folder / DISC_FILE} lists {name!r}, not a file beside it")
