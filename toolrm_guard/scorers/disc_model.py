"""A ToolRM-Disc in transformers, checked; and as one full folder that vLLM serves.

disc = load_disc("runs/disc")           # an adapter or a full model, see `disc_folder`
export_disc("runs/disc", "runs/served") # always a full model
"""

import copy
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors import SafetensorError
from transformers import AutoConfig, AutoModelForSequenceClassification, AutoTokenizer

from toolrm_guard.embedded.folder import place_folder
from toolrm_guard.embedded.weights import quiet_transformers
from toolrm_guard.errors import ConfigurationError, MissingExtraError, ModelIntegrityError
from toolrm_guard.files import check_place
from toolrm_guard.prompt import END_OF_TURN
from toolrm_guard.scorers.disc_card import DiscCard
from toolrm_guard.scorers.disc_folder import (
    base_folder,
    is_adapter,
    seal,
    tensors_sha256,
    verify,
)
from toolrm_guard.scorers.turn_tokens import TurnTokens

DType = Literal["float32", "bfloat16", "float16"]

_LOADING = (OSError, ValueError, RuntimeError, KeyError, SafetensorError)
"""What transformers and PEFT raise for files that do not fit together."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Disc:
    """A discriminative reward model, ready to score.

    Attributes:
        card: Its `disc.json`.
        model: An `AutoModelForSequenceClassification` with one label, in eval mode; an adapter is
            merged into its base.
        tokenizer: Of transformers.
        encode: Turns to ids, as `disc_prompt.encode_decision` wants it.
    """

    card: DiscCard
    model: Any
    tokenizer: Any
    encode: TurnTokens


def load_disc(
    folder: str | Path,
    *,
    base: str | Path | None = None,
    dtype: DType = "float32",
    device: str = "cpu",
) -> Disc:
    """Return the model in a folder, every file checked against its card.

    Args:
        folder: As `disc_folder` describes it.
        base: Where the base of an adapter is, if not where its card says.
        dtype: float32 on CPU: bfloat16 moved scores by up to 0.13 and flipped near-ties. An
            adapter is merged in float32 whatever is asked for.
        device: As torch names it.

    Raises:
        ModelIntegrityError: If a file is missing or changed, the base is another, there is no score
            head for one label, or the tokenizer does not keep turns apart.
        ConfigurationError: If the base cannot be had.
        MissingExtraError: If an adapter needs `peft`.
    """
    folder = Path(folder)
    card = DiscCard.load(folder)
    verify(folder, card)
    with quiet_transformers():
        if is_adapter(folder):
            root = base_folder(str(base or card.base))
            _check_base(root, card)
            tokenizer_folder = folder if (folder / "tokenizer.json").is_file() else root
            model = _merged(root, folder)
        else:
            tokenizer_folder = folder
            model = _full(folder)
        tokenizer = _tokenizer(tokenizer_folder)
    encode = TurnTokens(tokenizer.backend_tokenizer)
    model.config.pad_token_id = _pad_id(tokenizer, encode.end, tokenizer_folder)
    return Disc(
        card=card,
        model=model.to(device=device, dtype=getattr(torch, dtype)).eval(),
        tokenizer=tokenizer,
        encode=encode,
    )


def export_disc(folder: str | Path, out: str | Path, *, base: str | Path | None = None) -> Path:
    """Write a Disc folder as a full model in float32, with its tokenizer and a card of its own.

    What vLLM needs is in its config: one label, the pad token, and `problem_type` regression, so
    that a score is the raw reward even where a client forgets to ask for it.

    Args:
        folder: An adapter or a full model.
        out: Where it is to stand; complete or not at all.
        base: As for `load_disc`.

    Raises:
        ConfigurationError: If `out` is there already or cannot be written, and as `load_disc`.
    """
    out = Path(out)
    if out.exists():
        raise ConfigurationError(f"{out} is there already; name a folder that is not")
    check_place(out)
    disc = load_disc(folder, base=base)
    try:
        place_folder(out, partial(_write_full, disc))
    except (OSError, SafetensorError) as exc:
        raise ConfigurationError(f"{out} could not be written: {exc}") from exc
    return out


def _write_full(disc: Disc, folder: Path) -> None:
    model = disc.model
    model.config.problem_type = "regression"
    with quiet_transformers():
        model.save_pretrained(folder)
        disc.tokenizer.save_pretrained(folder)
    seal(folder, base=disc.card.base, max_tokens=disc.card.max_tokens, reward_map=disc.card)


def _full(folder: Path) -> Any:
    try:
        labels = AutoConfig.from_pretrained(folder).num_labels
        if labels != 1:
            raise ModelIntegrityError(
                f"{folder}: {labels} labels; a reward model has one, trained with num_labels=1"
            )
        model, report = AutoModelForSequenceClassification.from_pretrained(
            folder, dtype=torch.float32, output_loading_info=True
        )
    except _LOADING as exc:
        if isinstance(exc, ModelIntegrityError):
            raise
        raise ModelIntegrityError(f"{folder}: not a sequence-classification model: {exc}") from exc
    if missing := sorted(report["missing_keys"]):
        raise ModelIntegrityError(
            f"{folder} lacks {', '.join(missing[:3])}; save it as a sequence-classification model"
        )
    return model


def _merged(root: Path, folder: Path) -> Any:
    """Return the base with the adapter added to its weights, and the adapter's score head."""
    try:
        # Three seconds that a full model does not need.
        from peft import LoraConfig, PeftConfig, PeftModel, set_peft_model_state_dict
        from peft.utils import load_peft_weights
    except ModuleNotFoundError as exc:
        raise MissingExtraError(
            f"an adapter needs {exc.name!r}: pip install 'toolrm-guard[local]'"
        ) from exc
    try:
        config = PeftConfig.from_pretrained(folder)
        if not isinstance(config, LoraConfig) or config.task_type != "SEQ_CLS":
            raise ModelIntegrityError(
                f"{folder}: a {config.peft_type} adapter for {config.task_type}; it must be LORA "
                "for SEQ_CLS"
            )
        model = AutoModelForSequenceClassification.from_pretrained(
            root, num_labels=1, dtype=torch.float32
        )
        wrapped = PeftModel(model, copy.deepcopy(config))
        given = load_peft_weights(str(folder), device="cpu", use_safetensors=True)
        if not any(".score." in name for name in given):
            raise ModelIntegrityError(
                f"{folder} has no score head; train with modules_to_save=['score']"
            )
        result = set_peft_model_state_dict(wrapped, given)
        _check_adapter(given, result, folder)
        return wrapped.merge_and_unload(safe_merge=True)  # safe: refuses what is not finite
    except _LOADING as exc:
        if isinstance(exc, ConfigurationError):
            raise
        raise ModelIntegrityError(
            f"{folder} does not fit its base {root}: {str(exc)[:500]}; give the base that it was "
            "trained from"
        ) from exc


def _check_adapter(given: dict[str, Any], result: Any, folder: Path) -> None:
    """Refuse an adapter that would leave a part of the model as it was drawn at random."""
    parts = ("lora_", "modules_to_save")
    left = [name for name in result.missing_keys if any(part in name for part in parts)]
    if strange := sorted([*result.unexpected_keys, *left]):
        raise ModelIntegrityError(
            f"{folder} does not fit its base: {', '.join(strange[:3])} has no counterpart; give "
            "the base that it was trained from"
        )
    for name, tensor in given.items():
        if not torch.isfinite(tensor).all():
            raise ModelIntegrityError(f"{folder}: {name} is not finite; train again")


def _check_base(root: Path, card: DiscCard) -> None:
    if card.base_sha256 is not None and tensors_sha256(root) != card.base_sha256:
        raise ModelIntegrityError(
            f"{root} is not the {card.base!r} that the adapter was trained on: its tensors differ; "
            "give the base that it was trained from"
        )


def _tokenizer(folder: Path) -> Any:
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder)
        tokenizer.backend_tokenizer.no_truncation()
        tokenizer.backend_tokenizer.no_padding()
    except (*_LOADING, AttributeError) as exc:
        raise ModelIntegrityError(f"{folder}: no fast tokenizer in it: {exc}") from exc
    return tokenizer


def _pad_id(tokenizer: Any, end: int, folder: Path) -> int:
    """Return the pad token's id: sequence classification pools the last token that is not it."""
    pad: int | None = tokenizer.pad_token_id
    if pad is None or pad in (end, tokenizer.eos_token_id):
        raise ModelIntegrityError(
            f"{folder}: the pad token is {tokenizer.pad_token!r}, but what is pooled is the last "
            f"token that is no padding, {END_OF_TURN!r}; set a pad token of its own, such as "
            "'<|endoftext|>'"
        )
    return pad
