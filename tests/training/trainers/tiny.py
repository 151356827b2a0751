"""A tiny Llama with SmolLM2's tokenizer, and a few pairs: what a trainer can be tried on."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

from toolrm_guard.embedded.weights import ensure_smollm2
from training.recipes import Recipe, load_recipe
from training.run_folder import RunFolder

CITIES = "Oslo Lima Rome Kyiv Bern Cairo Accra Quito Hanoi Tunis".split()
TOOLS = [
    {
        "name": "weather",
        "description": "Weather of a city",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
            "required": ["city"],
        },
    }
]

FORM = """
[form]
pairs = 4
[form.optimiser]
batch = 2
max_steps = 2
save_steps = 1
learning_rate = 1e-2
"""
"""The first stage of a critic, in two steps."""

WARNINGS = pytest.mark.filterwarnings(
    # transformers, TRL and PEFT call each other's deprecated names
    "ignore::FutureWarning:transformers",
    "ignore::FutureWarning:trl",
    "ignore:.*base_model_name_or_path.*:UserWarning:peft",
)


def trainer(module: Any, kind: type[Recipe]) -> Callable[..., Path]:
    """Return a function that runs a trainer's recipe file and gives the folder of its model."""

    def train(recipe: Path, out: Path, data: Path | None = None) -> Path:
        data = data or pairs_file(out.with_name("pairs.jsonl"))
        module.run(load_recipe(kind, recipe), data, RunFolder(path=out), "the command")
        return out / "model"

    return train


def tiny_base(folder: Path, *, seed: int = 0, **changes: Any) -> Path:
    """Save two random layers; `changes` are attributes of the tokenizer."""
    tokenizer = AutoTokenizer.from_pretrained(ensure_smollm2())
    for name, value in changes.items():
        setattr(tokenizer, name, value)
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=2048,
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=1,
        eos_token_id=2,
        tie_word_embeddings=True,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def pair(number: int, wrong: str = "Paris", **changes: Any) -> dict[str, Any]:
    """A row in TRL's explicit shape, as the pipeline writes it."""
    city = CITIES[number % len(CITIES)]
    asked = {"role": "user", "content": f"Weather in {city} on day {number}?"}
    row = {
        "id": f"made:{number}:{wrong}",
        "source": "made",
        "prompt": [asked],
        "chosen": [_turn(city)],
        "rejected": [_turn(wrong)],
        "tools": json.dumps([{"type": "function", "function": tool} for tool in TOOLS]),
        "chosen_score": 1.0,
        "rejected_score": 0.0,
    }
    return {**row, **changes}


def pairs_file(path: Path, contexts: int = 12) -> Path:
    """Two pairs of each context, one after the other."""
    rows = [pair(number, wrong) for number in range(contexts) for wrong in ("Paris", "Berlin")]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def recipe_file(path: Path, base: Path | str, text: str) -> Path:
    """A recipe over a base."""
    path.write_text(f'base = "{base}"\n{text}')
    return path


def _turn(city: str) -> dict[str, Any]:
    arguments = json.dumps({"city": city})
    function = {"name": "weather", "arguments": arguments}
    call = {"id": "call_1_0", "type": "function", "function": function}
    return {"role": "assistant", "content": "", "tool_calls": [call]}
