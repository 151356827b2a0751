"""A Disc on labelled pairs: alone, beside `lite`, and stacked with it.

    python -m training.evaluate_disc --model runs/disc_smollm2/model \
        --pairs ../shared/data/dev/trbench_dev_pairs.jsonl.gz \
        --records ../shared/data/dev/bfcl_dev.jsonl.gz --prompts 120

Says whether a Disc is worth its milliseconds where `lite` costs one. The stack is a logistic
regression on the two margins, without intercept, fitted on four fifths of the prompts and applied
to the rest: `lite` has seen the training packs, so its margins there would flatter it. With
`--unsure M` the Disc reads only the pairs on which the rewards of `lite` differ by less than M, as
in a cascade, and the last line says what that makes of all pairs.
"""

import argparse
import random
import sys
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.progress import track
from sklearn.linear_model import LogisticRegression

from toolrm_guard.calls import Candidate
from toolrm_guard.errors import GuardError
from toolrm_guard.labelled import LabelledPair, LabelledRecord, read_pairs, read_records
from toolrm_guard.scorers.base import ScoreRequest
from toolrm_guard.scorers.disc_model import load_disc
from toolrm_guard.scorers.lite import LiteModel
from training.decisions import Decision, encode
from training.packed_trainer import rewards_of
from training.packing import read_packed
from training.ranker import Floats
from training.reward_maps import interval
from training.run_folder import console

FOLDS = 5


def main(argv: Sequence[str] | None = None) -> None:
    """Evaluate from the command line."""
    args = _parser().parse_args(argv)
    try:
        pairs = read_pairs(args.pairs)
        records = {record.id: record for record in read_records(args.records)}
        disc = load_disc(args.model)
        decisions = decisions_of(sampled(pairs, args.prompts, args.seed), records)
        margins = lite_margins(decisions)
        asked = unsure(decisions, margins, args.unsure)
        rows, kept = encode(asked, disc.encode, args.max_tokens, skip_long=True)
    except GuardError as exc:
        sys.exit(f"training.evaluate_disc: {exc}")
    if len(kept) < FOLDS:
        sys.exit(
            f"training.evaluate_disc: {len(kept)} prompts are left to judge, and a stack needs "
            f"{FOLDS}; give more --prompts, a wider --unsure, or more --max-tokens"
        )
    judged = sum(len(decision.pairs) for decision in kept)
    console.print(f"{judged} of {len(pairs)} pairs, {len(kept)} prompts")
    model = read_packed(disc.model)
    shown = track(rows, "scoring", console=console)
    rewards = [own for row in shown for own in rewards_of(model, [row])]
    by_disc = np.array(
        [own[a] - own[b] for d, own in zip(kept, rewards, strict=True) for a, b in d.pairs]
    )
    by_lite = lite_margins(kept)
    prompts = [d.key for d in kept for _ in d.pairs]
    print(table(by_lite, by_disc, prompts, _values_only(kept)))
    if args.unsure is not None:
        print(of_all(margins, by_lite, stacked(by_lite, by_disc, prompts)))


def sampled(pairs: Sequence[LabelledPair], prompts: int | None, seed: int) -> list[LabelledPair]:
    """Return the pairs of so many prompts, drawn; all if None."""
    ids = sorted({pair.prompt_id for pair in pairs})
    random.Random(seed).shuffle(ids)
    chosen = set(ids[:prompts])
    return [pair for pair in pairs if pair.prompt_id in chosen]


def decisions_of(
    pairs: Sequence[LabelledPair], records: Mapping[str, LabelledRecord]
) -> list[Decision]:
    """Return one decision a prompt, with its distinct candidates and its pairs."""
    by_prompt: dict[str, list[LabelledPair]] = defaultdict(list)
    for pair in pairs:
        by_prompt[pair.prompt_id].append(pair)
    decisions = []
    for prompt, own in by_prompt.items():
        record = records[prompt]
        number: dict[str, int] = {}
        candidates: list[Candidate] = []
        numbered = []
        for pair in own:
            sides = []
            for side in (pair.chosen.candidate(), pair.rejected.candidate()):
                index = number.setdefault(side.canonical, len(candidates))
                if index == len(candidates):
                    candidates.append(side)
                sides.append(index)
            numbered.append((sides[0], sides[1]))
        request = ScoreRequest(
            messages=record.parsed_messages(), tools=record.toolset(), candidates=tuple(candidates)
        )
        decisions.append(
            Decision(
                key=prompt, source=record.source, request=request,
                right=(None,) * len(candidates), pairs=tuple(numbered),
            )
        )  # fmt: skip
    return decisions


def unsure(decisions: Sequence[Decision], margins: Floats, limit: float | None) -> list[Decision]:
    """Return the pairs whose margins (pairs,) are below a limit, with their candidates alone."""
    if limit is None:
        return list(decisions)
    kept = []
    margin = iter(margins)
    for decision in decisions:
        pairs = [pair for pair in decision.pairs if abs(next(margin)) < limit]
        sides = sorted({side for pair in pairs for side in pair})
        if not pairs:
            continue
        shown = tuple(decision.request.candidates[side] for side in sides)
        kept.append(
            replace(
                decision,
                request=replace(decision.request, candidates=shown),
                right=tuple(decision.right[side] for side in sides),
                pairs=tuple((sides.index(a), sides.index(b)) for a, b in pairs),
            )
        )
    return kept


def of_all(margins: Floats, by_lite: Floats, by_stack: Floats) -> str:
    """Return what `lite` reaches on all pairs, and with a stack on those that were read."""
    pairs, lite = len(margins), int((margins > 0).sum())
    both = lite - int((by_lite > 0).sum()) + int((by_stack > 0).sum())
    return f"of {pairs} pairs lite has {lite / pairs:.3f} right, with the stack {both / pairs:.3f}"


def lite_margins(decisions: Sequence[Decision]) -> Floats:
    """Return by how much `lite` prefers the better side (pairs,), each pair judged by itself."""
    model = LiteModel.load()
    margins = []
    for decision in decisions:
        for a, b in decision.pairs:
            sides = tuple(decision.request.candidates[side] for side in (a, b))
            better, worse = model.score(
                ScoreRequest(
                    messages=decision.request.messages, tools=decision.request.tools,
                    candidates=sides,
                )
            )  # fmt: skip
            margins.append(better.reward - worse.reward)
    return np.array(margins)


def stacked(by_lite: Floats, by_disc: Floats, prompts: Sequence[str]) -> Floats:
    """Return the stack's margins (pairs,), each prompt's from the other folds."""
    both = np.column_stack([by_lite, by_disc])
    both = both / both.std(axis=0).clip(min=1e-9)
    names = sorted(set(prompts))
    fold = np.array([names.index(prompt) % FOLDS for prompt in prompts])
    margins = np.zeros(len(both))
    for number in range(FOLDS):
        seen = both[fold != number]
        model = LogisticRegression(fit_intercept=False)
        model.fit(np.vstack([seen, -seen]), np.repeat([1, 0], len(seen)))
        margins[fold == number] = model.decision_function(both[fold == number])
    return margins


def table(
    by_lite: Floats, by_disc: Floats, prompts: Sequence[str], values_only: NDArray[np.bool_]
) -> str:
    """Return accuracies with intervals over prompts; differences to `lite` are paired."""
    lines = [
        "| scorer | pairs right | 95% interval | minus lite | 95% interval | values only |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    lite = (by_lite > 0).astype(float)
    for name, margins in (
        ("lite", by_lite), ("disc", by_disc), ("stack", stacked(by_lite, by_disc, prompts)),
    ):  # fmt: skip
        won = (margins > 0).astype(float)
        low, high = interval(won, prompts)
        less, more = interval(won - lite, prompts)
        lines.append(
            f"| {name} | {won.mean():.3f} | {low:.3f} to {high:.3f} | {(won - lite).mean():+.3f} "
            f"| {less:+.3f} to {more:+.3f} | {won[values_only].mean():.3f} |"
        )
    lines.append(f"\n{len(prompts)} pairs of {len(set(prompts))} prompts")
    return "\n".join(lines)


def _values_only(decisions: Sequence[Decision]) -> NDArray[np.bool_]:
    """Tell for each pair whether both sides call the same functions."""
    same = []
    for decision in decisions:
        named = [[call.name for call in c.calls] for c in decision.request.candidates]
        same += [bool(named[a]) and named[a] == named[b] for a, b in decision.pairs]
    return np.array(same, dtype=np.bool_)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=Path, required=True, help="folder of the Disc")
    parser.add_argument("--pairs", type=Path, required=True, help="labelled pairs")
    parser.add_argument("--records", type=Path, required=True, help="records they refer to")
    parser.add_argument("--prompts", type=int, help="a random sample of so many; default: all")
    parser.add_argument("--max-tokens", type=int, default=2048, help="longer prompts are left out")
    parser.add_argument("--unsure", type=float, help="only pairs closer than this to lite")
    parser.add_argument("--seed", type=int, default=0)
    return parser


if __name__ == "__main__":
    main()
