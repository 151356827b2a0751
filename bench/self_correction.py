r"""Does a critique make an answer right, and what do critic and policy write for it?

    python -m bench.self_correction --records FILE --policy endpoint --endpoint URL --model NAME \
        --critic gen --critic-endpoint URL --critic-model NAME --rounds 2 --json OUT
    python -m bench.self_correction --records FILE --policy recorded --critic lite --json OUT

The policy answers each prompt; the critic accepts the answer or says what is wrong; the policy
answers again, up to `--rounds` times. An answer that the critic could not judge stands. Right means
right by `bench.answers` (possible answers, else rule score 1.0), for `recorded` by its label.

The JSON: `bench` "self_correction", `run`, and

- `policy`, `critic`, `tasks`, `left_out` (records whose answers cannot be marked), `rounds`
- `before`, `after`: accuracy of the first and of the last answers; `ci95` of their difference, by
  bootstrap over prompts; `accuracy_by_round`: [before, after 1, ..., after]
- `fixed`, `broken`: tasks that became right, and wrong; `kept_right`, `kept_wrong`
- `rejected_wrong`, `rejected_right`: first answers that the critic sent back, of each kind
- `policy_tokens`, `critic_tokens`: generated in all, as the servers count them; `first_tokens`: of
  the policy's first answers, what there is without a critic
- `by_split`: {split: {tasks, before, after, fixed, broken}}
- `unjudged` {reason: drafts} of the critic, `failed` {reason: tasks} of the policy, which are left
  out; `notes`; `ms_per_task`
"""

import argparse
import contextlib
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import numpy as np

from bench import runs
from bench.answers.marking import can_be_marked
from bench.correcting.critics import CRITICS, DraftCritic, make_critic
from bench.correcting.policies import (
    Draft,
    EmbeddedPolicy,
    EndpointPolicy,
    Policy,
    RecordedPolicy,
    Rejected,
)
from bench.endpoints import key_from
from bench.judges.attempts import ask_all
from bench.judges.protocol import JudgeSettings
from bench.pools import sample_of
from bench.sampling import SamplingSettings
from toolrm_guard.errors import ConfigurationError, CouldNotJudge, GuardError
from toolrm_guard.labelled import LabelledRecord, read_records

POLICIES = ("endpoint", "embedded", "recorded")
_ROUNDS = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """How one task went.

    Attributes:
        right: After each round, the first answer included; an accepted answer stays.
        rejected: Whether the first answer was sent back.
        policy_tokens: Of each draft.
        unjudged: Why the critic could not judge a draft, where it could not.
    """

    right: tuple[bool, ...]
    rejected: bool
    policy_tokens: tuple[int, ...]
    critic_tokens: int
    unjudged: str | None


@dataclass(slots=True)
class Correction:
    """Policy and critic together: what `ask_all` asks."""

    policy: Policy
    critic: DraftCritic
    rounds: int
    name: str = field(init=False)
    parallel: int = field(init=False)
    _open: contextlib.AsyncExitStack = field(init=False, default_factory=contextlib.AsyncExitStack)

    def __post_init__(self) -> None:
        self.name = f"{self.policy.name} with {self.critic.name}"
        self.parallel = self.policy.parallel

    async def __aenter__(self) -> Self:
        """Open what needs it."""
        for part in (self.policy, self.critic):
            if isinstance(part, contextlib.AbstractAsyncContextManager):
                await self._open.enter_async_context(part)
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close it."""
        await self._open.aclose()

    async def run(self, record: LabelledRecord) -> Course:
        """Return the course of one task.

        Raises:
            CouldNotJudge: If the policy has no first answer; a later one that is missing leaves the
                answer before it.
        """
        drafts: list[Draft] = [await self.policy.draft(record, [])]
        rejected: list[Rejected] = []
        tokens, unjudged = 0, None
        while len(rejected) < self.rounds:
            current = drafts[-1].candidate
            try:
                critique = await self.critic.review(record, current)
                tokens += critique.output_tokens
                if critique.text is None:
                    break
                rejected.append(Rejected(candidate=current, critique=critique.text))
                drafts.append(await self.policy.draft(record, rejected))
            except CouldNotJudge as exc:
                unjudged = f"{type(exc).__name__}: {exc}"
                break
        right = [draft.is_right(record) for draft in drafts]
        right += [right[-1]] * (self.rounds + 1 - len(right))
        return Course(
            right=tuple(right),
            rejected=bool(rejected),
            policy_tokens=tuple(draft.output_tokens for draft in drafts),
            critic_tokens=tokens,
            unjudged=unjudged,
        )


def evaluate(
    records: Sequence[LabelledRecord],
    policy: Policy,
    critic: DraftCritic,
    rounds: int,
    *,
    timeout_s: float = 600.0,
    seed: int = 0,
) -> dict[str, object]:
    """Return what the JSON holds beside `bench`, `run` and `left_out`.

    Raises:
        ConfigurationError: If the set-up is wrong, or the policy answered nothing.
    """
    together = Correction(policy, critic, rounds)
    done = ask_all(len(records), together, lambda i: together.run(records[i]), timeout_s)
    pairs = [(r, c) for r, c in zip(records, done.results, strict=True) if c is not None]
    if not pairs:
        raise ConfigurationError(
            f"policy {policy.name!r} answered none of {len(records)} prompts: "
            f"{'; '.join(done.examples.values())}"
        )
    courses = [course for _, course in pairs]
    unjudged = Counter(c.unjudged.partition(":")[0] for c in courses if c.unjudged)
    examples = {c.unjudged.partition(":")[0]: c.unjudged for c in courses if c.unjudged}
    notes = [f"policy: {note}" for note in done.notes("tasks")]
    notes += [
        f"the critic or a second answer failed in {number} of {len(courses)} tasks, whose answer "
        f"then stood ({examples[kind]})"
        for kind, number in unjudged.items()
    ]
    if not any(c.rejected for c in courses):
        notes.append("the critic accepted every first answer: nothing was corrected")
    return {
        "policy": policy.name,
        "critic": critic.name,
        "tasks": len(courses),
        "rounds": rounds,
        **_changes(courses),
        "ci95": _interval(courses, seed),
        "accuracy_by_round": np.mean([c.right for c in courses], axis=0).tolist(),
        "kept_right": sum(c.right[0] and c.right[-1] for c in courses),
        "kept_wrong": sum(not c.right[0] and not c.right[-1] for c in courses),
        "rejected_wrong": sum(c.rejected and not c.right[0] for c in courses),
        "rejected_right": sum(c.rejected and c.right[0] for c in courses),
        "policy_tokens": sum(sum(c.policy_tokens) for c in courses),
        "first_tokens": sum(c.policy_tokens[0] for c in courses),
        "critic_tokens": sum(c.critic_tokens for c in courses),
        "by_split": {
            split: {"tasks": len(part), **_changes(part)}
            for split in sorted({record.split for record, _ in pairs})
            for part in [[c for record, c in pairs if record.split == split]]
        },
        "unjudged": dict(unjudged),
        "failed": dict(done.failures),
        "notes": notes,
        "ms_per_task": done.seconds * 1e3 / len(records),
    }


def _changes(courses: Sequence[Course]) -> dict[str, float]:
    return {
        "before": sum(c.right[0] for c in courses) / len(courses),
        "after": sum(c.right[-1] for c in courses) / len(courses),
        "fixed": sum(not c.right[0] and c.right[-1] for c in courses),
        "broken": sum(c.right[0] and not c.right[-1] for c in courses),
    }


def _interval(courses: Sequence[Course], seed: int) -> list[float]:
    """Return the 95% interval of after - before, drawing prompts."""
    change = np.array([float(c.right[-1]) - float(c.right[0]) for c in courses])
    drawn = np.random.default_rng(seed).integers(len(change), size=(_ROUNDS, len(change)))
    low, high = np.quantile(change[drawn].mean(axis=1), (0.025, 0.975))
    return [float(low), float(high)]


def main(argv: Sequence[str] | None = None) -> None:
    """Run from the command line."""
    args = _parser().parse_args(argv)
    try:
        critic = make_critic(args.critic, _critic_settings(args))
        every = read_records(args.records)
        records = [record for record in every if _usable(record, args.policy)]
        if not records:
            raise ConfigurationError(f"{args.records}: no record has answers that can be marked")
        left_out = len(every) - len(records)
        records = sample_of(records, args.limit, args.seed)
        found = evaluate(records, _policy(args), critic, args.rounds, seed=args.seed)
    except (GuardError, OSError) as exc:
        sys.exit(f"bench.self_correction: {exc}")
    print(summary(found))
    if args.json:
        run = runs.describe([args.records], args.seed)
        payload = {"bench": "self_correction", "run": run, "left_out": left_out, **found}
        runs.write(args.json, payload)


def summary(found: Mapping[str, object]) -> str:
    """Return the numbers as a Markdown table, and the notes below it."""
    shown = (
        "policy", "critic", "tasks", "before", "after", "ci95", "fixed", "broken",
        "rejected_wrong", "rejected_right", "policy_tokens", "first_tokens", "critic_tokens",
    )  # fmt: skip
    lines = ["| what | value |", "| --- | --- |"]
    lines += [f"| {name} | {_shown(found[name])} |" for name in shown]
    notes: list[str] = found["notes"]  # type: ignore[assignment]  # a list, as documented
    return "\n".join([*lines, "", *(f"- {note}" for note in notes)]).rstrip()


def _shown(value: object) -> str:
    if isinstance(value, list):
        return " to ".join(_shown(item) for item in value)
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def _usable(record: LabelledRecord, policy: str) -> bool:
    if policy == "recorded":
        return any(c.tool_calls is not None and c.correct is not None for c in record.candidates)
    return can_be_marked(record)


def _policy(args: argparse.Namespace) -> Policy:
    if args.policy == "recorded":
        return RecordedPolicy(args.seed)
    if args.policy == "embedded":
        return EmbeddedPolicy(args.seed)
    if not args.endpoint or not args.model:
        raise ConfigurationError("--policy endpoint needs --endpoint URL and --model NAME")
    return EndpointPolicy(
        SamplingSettings(
            url=args.endpoint,
            model=args.model,
            key=key_from(args.key_env),
            temperature=args.temperature,
            max_tokens=args.max_tokens,
            seed=args.seed,
            parallel=args.parallel,
        )
    )


def _critic_settings(args: argparse.Namespace) -> JudgeSettings:
    return JudgeSettings(
        url=args.critic_endpoint,
        model=args.critic_model,
        key=key_from(args.key_env),
        max_tokens=args.max_tokens,
        seed=args.seed,
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Correct answers by critiques, and count.")
    parser.add_argument("--records", type=Path, required=True, help="labelled records")
    parser.add_argument("--policy", choices=POLICIES, default="endpoint")
    parser.add_argument("--endpoint", metavar="URL", help="server of the policy")
    parser.add_argument("--model", help="the policy's served name")
    parser.add_argument("--critic", choices=CRITICS, default="lite")
    parser.add_argument("--critic-endpoint", metavar="URL", help="server of critic gen")
    parser.add_argument("--critic-model", help="the critic's served name")
    parser.add_argument("--key-env", metavar="NAME", help="environment variable with the API key")
    parser.add_argument("--rounds", type=int, default=1, help="corrections at most (default 1)")
    parser.add_argument("--limit", type=int, help="a random sample of so many prompts")
    parser.add_argument("--temperature", type=float, default=0.0)
    parser.add_argument("--max-tokens", type=int, default=2048, help="of one answer")
    parser.add_argument("--parallel", type=int, default=16, help="prompts in flight at a server")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, metavar="OUT")
    return parser


if __name__ == "__main__":
    main()
