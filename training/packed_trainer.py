"""TRL's `RewardTrainer` on packed decisions: the same loss and gradients, fewer tokens."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from trl.trainer.reward_trainer import RewardTrainer

from training.packing import EncodedDecision, pack

COLUMNS = ("prompt_ids", "suffix_ids", "better", "worse")


class PackedRewardTrainer(RewardTrainer):
    """Bradley-Terry training (the paper's eq. for ToolRM-Disc) where a row holds whole decisions.

    A step's loss is the mean over its pairs, however they fall into micro-batches and devices, so
    packing changes nothing but the cost.
    """

    def __init__(self, model: Any, **settings: Any) -> None:
        """Take a classifier that reads packed rows, and what `RewardTrainer` takes."""
        super().__init__(model=model, data_collator=pack, **settings)
        self.loss_is_scaled_for_ga = True  # divided by the step's pairs in `compute_loss`

    def _prepare_dataset(self, dataset: Any, *_: Any) -> Any:
        """Return the rows as they are: TRL would look for one prompt a pair."""
        missing = set(COLUMNS) - set(dataset.column_names)
        if missing:
            raise ValueError(f"rows lack {', '.join(sorted(missing))}; encode the decisions first")
        return dataset

    def _get_num_items_in_batch(
        self, batch_samples: Sequence[dict[str, Tensor]], device: torch.device
    ) -> Tensor | None:
        """Return the number of pairs in a step, over all devices."""
        if not batch_samples:
            return None
        pairs = torch.tensor(sum(len(batch["better"]) for batch in batch_samples), device=device)
        return self.accelerator.gather(pairs).sum() if self.args.world_size > 1 else pairs

    def compute_loss(
        self,
        model: Any,
        inputs: dict[str, Tensor],
        return_outputs: bool = False,
        num_items_in_batch: Tensor | None = None,
    ) -> Any:
        """Return -log sigmoid(better - worse), summed and divided by the pairs of the step."""
        better, worse = inputs.pop("better"), inputs.pop("worse")
        outputs = model(**inputs)
        rewards = outputs.logits[:, 0].float()  # (candidates,)
        margin = rewards[better] - rewards[worse]  # (pairs,)
        losses = -functional.logsigmoid(margin)
        if self.args.center_rewards_coefficient is not None:
            centre = (rewards[better] + rewards[worse]) ** 2
            losses = losses + self.args.center_rewards_coefficient * centre
        pairs = len(margin) if num_items_in_batch is None else num_items_in_batch
        loss = losses.sum() / pairs
        if num_items_in_batch is not None:
            loss = loss * self.accelerator.num_processes  # gradients are averaged over devices
        self._note(inputs["input_ids"].numel(), rewards, margin)
        return (loss, outputs) if return_outputs else loss

    def _note(self, tokens: int, rewards: Tensor, margin: Tensor) -> None:
        mode = "train" if self.model.training else "eval"
        noted = self._metrics[mode]
        if mode == "train":
            self._total_train_tokens += tokens * self.accelerator.num_processes
        noted["num_tokens"] = [self._total_train_tokens]
        with torch.no_grad():
            noted["accuracy"].append((margin > 0).float().mean().item())
            noted["margin"].append(margin.mean().item())
            noted["mean_reward"].append(rewards.mean().item())


def rewards_of(model: Any, rows: Sequence[EncodedDecision]) -> list[list[float]]:
    """Return the rewards of each decision's candidates.

    Args:
        model: A classifier that reads packed rows, in eval mode.
        rows: The decisions.
    """
    device = next(model.parameters()).device
    found: list[list[float]] = []
    for row in rows:
        batch = {k: v.to(device) for k, v in pack([row]).items() if k not in ("better", "worse")}
        with torch.no_grad():
            found.append(model(**batch).logits[:, 0].float().tolist())
    return found
