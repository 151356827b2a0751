"""Base models: loaded for a trainer, and refused before the first step where they do not fit it."""

import hashlib
import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from jinja2 import TemplateError
from peft import LoraConfig, PeftModel, get_peft_model_state_dict
from safetensors.torch import load_file, save_file
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForSequenceClassification,
    AutoTokenizer,
)
from trl.trainer.reward_trainer import suppress_seqcls_warning

from toolrm_guard.embedded.weights import ensure_smollm2
from toolrm_guard.errors import ConfigurationError
from toolrm_guard.scorers.disc_card import EMBEDDED_BASE
from toolrm_guard.scorers.disc_folder import ADAPTER_WEIGHTS
from training.recipes import Lora, Recipe

CHATML = ("<|im_start|>", "<|im_end|>")
"""What `toolrm_guard.prompt` writes between turns."""

_KEPT_OUT = ("score", "lm_head")
_SAMPLE = 64


class BaseModelError(ConfigurationError):
    """A base model does not fit its trainer; the message says what to take instead."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Base:
    """A base model.

    Attributes:
        name: As the recipe says it.
        path: What `from_pretrained` takes.
        tokenizer: Checked.
        completed: Whether the recipe added to the tokenizer, so that it must be saved, too.
    """

    name: str
    path: str
    tokenizer: Any
    completed: bool

    def classifier(self, recipe: Recipe) -> Any:
        """Return the model with a fresh head of one output."""
        with suppress_seqcls_warning():
            return self._load(AutoModelForSequenceClassification, recipe, num_labels=1)

    def language_model(self, recipe: Recipe) -> Any:
        """Return the model with its language head."""
        return self._load(AutoModelForCausalLM, recipe)

    def at(self, folder: Path) -> "Base":
        """Return the same base with weights from another folder."""
        return replace(self, path=str(folder))

    def chat_text(
        self,
        messages: Sequence[Mapping[str, Any]],
        tools: Sequence[Mapping[str, Any]] | None = None,
    ) -> str:
        """Return a conversation in the chat template, up to the assistant's turn.

        Raises:
            BaseModelError: If the template does not take it.
        """
        shaped = [{"type": "function", "function": dict(tool)} for tool in tools or ()]
        try:
            text: str = self.tokenizer.apply_chat_template(
                list(messages), tools=shaped or None, add_generation_prompt=True, tokenize=False
            )
        except TemplateError as exc:
            raise BaseModelError(f"the chat template of {self.name!r} fails: {exc}") from exc
        return text

    def ids(self, text: str) -> list[int]:
        """Return the ids of a text; control tokens in it are read as such, none is added."""
        return list(self.tokenizer.encode(text, add_special_tokens=False))

    def write(
        self, model: Any, prompt: str, *, count: int, max_tokens: int, temperature: float, seed: int
    ) -> list[str]:
        """Return what a model writes after a prompt.

        Args:
            model: In eval mode.
            prompt: Text with its control tokens.
            count: How many answers.
            max_tokens: Of one.
            temperature: 0 takes the likeliest token.
            seed: Of sampling.
        """
        ids = torch.tensor([self.ids(prompt)], device=next(model.parameters()).device)
        luck = {"do_sample": True, "temperature": temperature, "top_k": 0}
        torch.manual_seed(seed)
        with torch.no_grad():
            written = model.generate(
                input_ids=ids, attention_mask=torch.ones_like(ids), max_new_tokens=max_tokens,
                num_return_sequences=count, pad_token_id=self.tokenizer.pad_token_id,
                **(luck if temperature else {"do_sample": False}),
            )  # fmt: skip
        texts: list[str] = self.tokenizer.batch_decode(
            written[:, ids.shape[1] :], skip_special_tokens=True
        )
        return texts

    def _load(self, kind: Any, recipe: Recipe, **settings: Any) -> Any:
        torch.manual_seed(recipe.seed)  # a fresh head is drawn now, and adapters right after
        # A full fine-tune keeps fp32 masters: updates of 1e-6 vanish in bf16's 8 bits.
        low = recipe.precision == "bf16" and recipe.lora is not None
        dtype = torch.bfloat16 if low else torch.float32
        model = kind.from_pretrained(self.path, dtype=dtype, **settings)
        if len(self.tokenizer) > model.get_input_embeddings().num_embeddings:
            model.resize_token_embeddings(len(self.tokenizer))
        model.config.pad_token_id = self.tokenizer.pad_token_id
        return model


def load_base(recipe: Recipe, max_tokens: int) -> Base:
    """Return a base model's tokenizer and place.

    Args:
        recipe: Names it, and says what its tokenizer lacks.
        max_tokens: The longest sequence it will be given.

    Raises:
        BaseModelError: If it cannot be loaded, has no chat template, pads with its end-of-turn
            token, or has too short a context.
    """
    name = recipe.base
    path = str(ensure_smollm2()) if name == EMBEDDED_BASE else name
    try:
        config = AutoConfig.from_pretrained(path)
        tokenizer = AutoTokenizer.from_pretrained(path)
    except (OSError, ValueError) as exc:
        raise BaseModelError(
            f"base {name!r} cannot be loaded ({exc}); give a Hub id, a folder that "
            f"`save_pretrained` wrote, or {EMBEDDED_BASE!r}"
        ) from exc
    _complete(tokenizer, recipe)
    if not tokenizer.chat_template:
        raise BaseModelError(
            f"base {name!r} has no chat template, so it is no instruction-tuned model; take its "
            "instruct version, or save a tokenizer with `chat_template` beside the weights"
        )
    if tokenizer.pad_token_id is None or tokenizer.pad_token_id == tokenizer.eos_token_id:
        raise BaseModelError(
            f"the tokenizer of {name!r} pads with {tokenizer.pad_token!r}, its end-of-turn token "
            f"being {tokenizer.eos_token!r}: padding would be taken for the end of a turn. Name "
            "another one as `pad_token` in the recipe, such as an unused special token"
        )
    limit = getattr(config, "max_position_embeddings", None)
    if limit is not None and max_tokens > limit:
        raise BaseModelError(
            f"`max_tokens` is {max_tokens:,}, but {name!r} was built for {limit:,}; lower it"
        )
    completed = recipe.chatml or recipe.pad_token is not None
    return Base(name=name, path=path, tokenizer=tokenizer, completed=completed)


def _complete(tokenizer: Any, recipe: Recipe) -> None:
    """Add what the recipe says that a tokenizer lacks.

    Raises:
        BaseModelError: If the pad token is not in the vocabulary, or new tokens would not be
            trained.
    """
    if recipe.chatml:
        if recipe.lora is not None:
            raise BaseModelError(
                "`chatml` adds tokens, whose embeddings adapters on linear layers leave as they "
                "were drawn; leave out `[lora]` to train every weight, or take a ChatML base"
            )
        tokenizer.add_special_tokens({"additional_special_tokens": list(CHATML)})
    if recipe.pad_token is not None:
        if recipe.pad_token not in tokenizer.get_vocab():
            raise BaseModelError(
                f"`pad_token` {recipe.pad_token!r} is not in the vocabulary of {recipe.base!r}"
            )
        tokenizer.pad_token = recipe.pad_token


def lora_config(model: Any, lora: Lora, name: str, task: str) -> LoraConfig:
    """Return the adapters' configuration, on every linear layer but the heads.

    The layers are named, since `all-linear` does not go with a choice of layers (peft 0.21).

    Raises:
        BaseModelError: If the model has fewer layers than the recipe trains.
    """
    linear = {
        path.rsplit(".", 1)[-1]
        for path, module in model.named_modules()
        if isinstance(module, torch.nn.Linear)
    }
    layers = model.config.num_hidden_layers
    if lora.last_layers is not None and lora.last_layers > layers:
        raise BaseModelError(f"lora.last_layers is {lora.last_layers}, {name!r} has {layers}")
    chosen = None if lora.last_layers is None else list(range(layers - lora.last_layers, layers))
    config = LoraConfig(
        task_type=task,
        r=lora.rank,
        lora_alpha=lora.alpha,
        target_modules=sorted(linear - set(_KEPT_OUT)),
        layers_to_transform=chosen,
        modules_to_save=["score"] if task == "SEQ_CLS" else None,
    )
    config.base_model_name_or_path = name
    return config


def save_weights(model: Any, folder: Path, base: Base, whole: Path | None = None) -> None:
    """Write adapter and head, or the whole model, and the tokenizer where the base has another.

    An adapter is written in fp16, which moved scores by 2e-4; its head in fp32.

    Args:
        model: As it was trained.
        folder: Where to.
        base: What it was trained from.
        whole: Where the trainer has put together what several devices hold a part of each.
    """
    if base.completed or not isinstance(model, PeftModel):
        base.tokenizer.save_pretrained(folder)
    if not isinstance(model, PeftModel):
        if whole is None:
            model.save_pretrained(folder)
        else:
            for path in (*whole.glob("model*.safetensors*"), whole / "config.json"):
                shutil.copy2(path, folder)
        return
    if whole is None:
        found = get_peft_model_state_dict(model, save_embedding_layers=False)
    else:
        found = load_file(whole / ADAPTER_WEIGHTS)
    state = {
        name: (tensor.float() if "score" in name else tensor.half()).contiguous().cpu()
        for name, tensor in found.items()
    }
    save_file(state, folder / ADAPTER_WEIGHTS, metadata={"format": "pt"})
    config = model.peft_config["default"]
    config.inference_mode = True
    config.base_model_name_or_path = base.name  # PEFT puts the path on this machine there
    config.save_pretrained(folder)


def fingerprint(model: Any) -> str:
    """Return a hash of a model's shape and a sample of every weight, before it is trained.

    Two bases of the same shape differ in it, a base and its copy elsewhere do not.
    """
    digest = hashlib.sha256()
    config = model.config.to_dict()
    shape = {k: config.get(k) for k in ("model_type", "hidden_size", "num_hidden_layers")}
    digest.update(json.dumps(shape).encode())
    for name, weight in sorted(model.state_dict().items()):
        if "score" not in name and "lora_" not in name:
            digest.update(weight.detach().flatten()[:_SAMPLE].float().cpu().numpy().tobytes())
    return digest.hexdigest()
