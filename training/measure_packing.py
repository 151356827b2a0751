"""What packing saves in training: tokens and time against TRL's own collator, on the same pairs.

    python -m training.measure_packing --recipe training/recipes/disc_smollm2.toml \
        --data ../shared/data/train --decisions 12

Forward and backward of every decision's pairs, packed and as TRL collates them, by turns; the
losses are compared as well. Prints the ratio of the medians and an interval over decisions.
"""

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from peft import get_peft_model
from torch import Tensor
from torch.nn import functional
from trl.trainer.reward_trainer import DataCollatorForPreference

from toolrm_guard.errors import GuardError
from toolrm_guard.scorers.turn_tokens import TurnTokens
from training.bases import Base, load_base, lora_config
from training.commands import parser
from training.packing import EncodedDecision, pack, read_packed, token_counts
from training.recipes import load_recipe
from training.reward_maps import interval
from training.train_reward import DiscRecipe, read_data


def main(argv: Sequence[str] | None = None) -> None:
    """Measure from the command line."""
    args = _parser().parse_args(argv)
    try:
        recipe = load_recipe(DiscRecipe, args.recipe, args.set)
        base = load_base(recipe, recipe.max_tokens)
        data = read_data(recipe, args.data, TurnTokens(base.tokenizer.backend_tokenizer))
    except GuardError as exc:
        sys.exit(f"training.measure_packing: {exc}")
    rows = data.train[: args.decisions]
    packed, whole = (_model(recipe, base) for _ in range(2))
    read_packed(packed.get_base_model() if recipe.lora else packed)
    collate = DataCollatorForPreference(pad_token_id=base.tokenizer.pad_token_id)
    seconds, padded = [], 0
    for row in [rows[0], *rows]:  # the first one warms up
        one, loss = _timed(_packed_loss, packed, row)
        batch = collate(_whole_pairs(row))
        other, expected = _timed(_whole_loss, whole, batch)
        if not torch.allclose(loss, expected, rtol=0.05, atol=0.05):
            sys.exit(f"the losses differ: {loss} packed, {expected} as TRL collates")
        seconds.append((one, other))
        padded += batch["input_ids"].numel()
    padded -= collate(_whole_pairs(rows[0]))["input_ids"].numel()
    print(_report(rows, np.array(seconds[1:]), padded))


def _report(rows: Sequence[EncodedDecision], seconds: Any, padded: int) -> str:
    counts = token_counts(rows)
    ratio = seconds[:, 1] / seconds[:, 0]
    low, high = interval(ratio, [str(k) for k in range(len(ratio))])
    pairs = sum(len(row["better"]) for row in rows)
    return "\n".join(
        (
            f"{len(rows)} decisions, {pairs} pairs, {torch.get_num_threads()} threads",
            "| | tokens | median seconds a decision |",
            "| --- | --- | --- |",
            f"| packed | {counts['packed']:,} | {np.median(seconds[:, 0]):.2f} |",
            f"| TRL's collator | {counts['pairs']:,} ({padded:,} padded) "
            f"| {np.median(seconds[:, 1]):.2f} |",
            f"tokens saved: {counts['pairs'] / counts['packed']:.2f} times; time: "
            f"{ratio.mean():.2f} times (95% over decisions: {low:.2f} to {high:.2f})",
        )
    )


def _model(recipe: DiscRecipe, base: Base) -> Any:
    model = base.classifier(recipe)
    if recipe.lora is not None:
        model = get_peft_model(model, lora_config(model, recipe.lora, base.name, "SEQ_CLS"))
    return model.train()


def _timed(loss: Callable[[Any, Any], Tensor], model: Any, given: Any) -> tuple[float, Tensor]:
    """Return the seconds of a forward and a backward pass, and the loss.

    On CPU those of the processor: other processes may hold the cores.
    """
    clock = time.perf_counter if torch.cuda.is_available() else time.process_time
    started = clock()
    found = loss(model, given)
    found.backward()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return clock() - started, found.detach().float()


def _packed_loss(model: Any, row: EncodedDecision) -> Tensor:
    batch = pack([row])
    better, worse = batch.pop("better"), batch.pop("worse")
    rewards = model(**batch).logits[:, 0].float()
    return -functional.logsigmoid(rewards[better] - rewards[worse]).mean()


def _whole_loss(model: Any, batch: dict[str, Tensor]) -> Tensor:
    better, worse = model(**batch, use_cache=False).logits[:, 0].float().chunk(2)
    return -functional.logsigmoid(better - worse).mean()


def _whole_pairs(row: EncodedDecision) -> list[dict[str, list[int]]]:
    return [
        {
            "chosen_ids": row["prompt_ids"] + row["suffix_ids"][a],
            "rejected_ids": row["prompt_ids"] + row["suffix_ids"][b],
        }
        for a, b in zip(row["better"], row["worse"], strict=True)
    ]


def _parser() -> argparse.ArgumentParser:
    made = parser(__doc__, out=False)
    made.add_argument("--decisions", type=int, default=12, help="so many are timed")
    return made


if __name__ == "__main__":
    main()
