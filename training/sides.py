"""The two sides of a run's data, decisions to train on and held-out ones, for every trainer."""

from dataclasses import dataclass
from pathlib import Path

from pydantic import Field

from training.decisions import Decision, read_decisions, split
from training.lite_data import make_groups, read_packs
from training.recipes import Section
from training.short_decisions import short_decisions
from training.tables import DatasetError, digest_of


class Packs(Section):
    """How labelled packs become decisions.

    Attributes:
        cap: Groups of edits a source.
        tools: Most tools that are offered.
        candidates: Most candidates of a decision.
        per_source: Most decisions of a source, of those that are short enough.
        texts: Largest share of decisions in which a text turn is right, before long ones and those
            of full sources are left out.
        latin: Leave out contexts in another script, for a base that cannot read it.
    """

    cap: int = Field(default=700, ge=1)
    tools: int = Field(default=4, ge=1)
    candidates: int = Field(default=5, ge=2)
    per_source: int = Field(default=200, ge=1)
    texts: float = Field(default=1.0, ge=0, le=1)
    latin: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Sides:
    """Decisions of both sides, and the sha256 of the files they came from."""

    train: list[Decision]
    held: list[Decision]
    digest: str


def read_sides(path: Path, packs: Packs | None, held: float, seed: int) -> Sides:
    """Return both sides.

    Args:
        path: The pipeline's `trl_explicit` folder, one file of that shape, or a folder of packs.
        packs: Set if it holds labelled packs.
        held: Share of the prompts held out, where the data have no validation side.
        seed: Of what packs become.

    Raises:
        DatasetError: If the data do not fit, or a side is empty.
    """
    if packs is not None:
        files = sorted(path.glob("*.jsonl*"))
        groups = make_groups(read_packs(path), seed, packs.cap)
        found = short_decisions(
            groups, seed=seed, tools=packs.tools, candidates=packs.candidates,
            texts=packs.texts, latin=packs.latin,
        )  # fmt: skip
        train, out = split(found, held)
    elif path.is_file():
        files = [path]
        train, out = split(read_decisions(path), held)
    else:
        files = [path / "train.parquet", path / "validation.parquet"]
        train, out = read_decisions(files[0]), read_decisions(files[1])
    if not train or not out:
        raise DatasetError(
            f"{path}: {len(train)} decisions to train on and {len(out)} held out, but both are "
            "needed; give more data, or change `held`"
        )
    return Sides(train=train, held=out, digest=digest_of(files))
