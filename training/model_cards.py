"""The model card that every trainer writes beside its weights."""

import datetime
import platform
from collections.abc import Mapping
from pathlib import Path

import torch
import transformers
import trl

from training.recipes import Recipe

CARD_FILE = "MODEL_CARD.md"


def write_card(
    folder: Path,
    *,
    title: str,
    what: str,
    recipe: Recipe,
    command: str,
    data: str,
    facts: Mapping[str, str],
) -> None:
    """Write the card: what it is, how it was made, what it reaches, what may be done with it.

    Args:
        folder: Of the model.
        title: Of the card.
        what: One sentence.
        recipe: As it was used, changes included.
        command: That made it.
        data: sha256 of the training files.
        facts: Further lines; numbers with their intervals.
    """
    versions = (
        f"torch {torch.__version__}, transformers {transformers.__version__}, trl {trl.__version__}"
    )
    lines = [
        f"# {title}", "", what, "",
        f"- Base: `{recipe.base}`",
        f"- Command: `{command}`",
        f"- Date: {datetime.datetime.now(tz=datetime.UTC).date()}; {versions}; "
        f"Python {platform.python_version()}; {torch.get_num_threads()} threads",
        f"- Data sha256 (names and bytes): `{data}`",
        f"- Seed: {recipe.seed}",
        *(f"- {name}: {value}" for name, value in facts.items()),
        f"- Licence: {recipe.licence}",
        "", "## Recipe", "", "```json", recipe.model_dump_json(indent=1), "```",
    ]  # fmt: skip
    (folder / CARD_FILE).write_text("\n".join(lines) + "\n", encoding="utf-8", newline="\n")
