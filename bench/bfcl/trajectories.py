"""Multi-turn outputs as labelled records: one record a point where trajectories part.

Trajectories that made the same calls so far share a history; the next step of each is a candidate.
A step is right if the turn it belongs to ends as it should for one of the models that took it. It
is wrong if the turn fails for all of them and cannot be saved any more: neither the rest of a right
trajectory nor any tail of the reference's calls gets there after it, unless by calling again what
the step got wrong. Between the two no label is trusted: a model that looks around first and fails
later did not fail by looking.
"""

import hashlib
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.bfcl.pools import EXECUTED, Source, Tally
from bench.bfcl.worlds import (
    Backend,
    Classes,
    Dialog,
    Step,
    World,
    functions_of,
    installed_backend,
    truth_of,
)
from toolrm_guard.bfcl.categories import join_key
from toolrm_guard.bfcl.lines import Line, Unread, read_lines
from toolrm_guard.bfcl.outputs import decode
from toolrm_guard.bfcl.prompts import category_lines, question_turns
from toolrm_guard.calls import canonical_json
from toolrm_guard.errors import MissingExtraError
from toolrm_guard.foreign import BadField, Json, list_of, text_of
from toolrm_guard.labelled import LabelledCall, LabelledCandidate, LabelledRecord

Action = tuple[Step, ...]
History = tuple[tuple[int, str], ...]
"""The turn and the canonical calls of every step so far."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Trajectory:
    """What one model did in a dialog.

    Attributes:
        turns: Its steps; a step without calls ends its turn.
        broken: The turn with a step that could not be decoded; None if there is none.
        failed: The first turn that did not end as it should, and the error type.
    """

    source: Source
    turns: tuple[tuple[Action, ...], ...]
    broken: int | None = None
    failed: tuple[int, str] | None = None

    def passes(self, turn: int) -> bool:
        """Tell whether the turn ended as it should."""
        return self.failed is None or self.failed[0] > turn


def multi_turn_records(
    sources: Sequence[Source],
    folder: Path,
    tally: Tally,
    *,
    backend: Backend | None = None,
    trust_ids: bool = False,
) -> list[LabelledRecord]:
    """Return a record for every point where right and wrong trajectories part.

    Args:
        sources: Result files; those of other splits are passed over.
        folder: BFCL's prompts.
        tally: Where what was read is counted; says why the split is left out, if it is.
        backend: The tools; None takes those of the installed `bfcl-eval`.
        trust_ids: Take the outputs of other generations, whose prompts may differ.
    """
    files = [source for source in sources if source.file.name.split == EXECUTED]
    if not files:
        return []
    try:
        backend = backend or installed_backend()
    except MissingExtraError as exc:
        tally.left_out[EXECUTED] = str(exc)
        return []
    dialogs = _dialogs(folder, backend, tally)
    done: dict[str, list[Trajectory]] = defaultdict(list)
    for source in files:
        for key, trajectory in _trajectories(source, dialogs, tally, trust_ids):
            done[key].append(_judged(trajectory, dialogs[key], backend.classes))
    return [
        record
        for key, dialog in dialogs.items()
        for record in _records(dialog, done[key], backend.classes, tally)
    ]


def _dialogs(folder: Path, backend: Backend, tally: Tally) -> dict[str, Dialog]:
    truths: dict[str, Json] = {}
    for _, row in category_lines(folder / "possible_answer", EXECUTED):
        if isinstance(row, Line):
            truths[str(row.value.get("id"))] = row.value
    found = {}
    for file, row in category_lines(folder, EXECUTED):
        if isinstance(row, Unread):
            tally.problem(row.where, row.reason, row.detail)
            continue
        try:
            dialog = _dialog(row.value, truths, folder, backend, file.generation)
            dialog.world(backend.classes)
            found[join_key(EXECUTED, dialog.id)] = dialog
        except BadField as exc:
            tally.problem(str(row.value.get("id", row.where)), exc.reason, str(exc))
    return found


def _dialog(
    row: Json, truths: Mapping[str, Json], folder: Path, backend: Backend, generation: str
) -> Dialog:
    key = text_of(row, "id")
    if key not in truths:
        raise BadField("no_reference", f"{key} has no possible answer")
    involved = [str(name) for name in list_of(row, "involved_classes")]
    excluded = [str(name) for name in row.get("excluded_function") or ()]
    turns, truth = tuple(question_turns(row.get("question"))), truth_of(truths[key])
    if len(turns) != len(truth):
        raise BadField("bad_answer", f"{key} has {len(turns)} turns and answers to {len(truth)}")
    return Dialog(
        id=key,
        generation=generation,
        turns=turns,
        truth=truth,
        involved=tuple(involved),
        config=row.get("initial_config") or {},
        tools=functions_of(folder, backend.documents, involved, excluded),
    )


def _trajectories(
    source: Source, dialogs: Mapping[str, Dialog], tally: Tally, trust_ids: bool
) -> Iterator[tuple[str, Trajectory]]:
    seen = set()
    for line in read_lines(source.file.path):
        where = f"{source.origin}/{source.file.model}/{line.where}"
        if isinstance(line, Unread):
            tally.problem(where, line.reason, line.detail)
            continue
        tally.counts["outputs"] += 1
        key = join_key(EXECUTED, str(line.value.get("id")))
        if key not in dialogs:
            detail = f"no prompt {line.value.get('id')!r}; give the prompts it answers"
            tally.problem(where, "unknown_prompt", detail)
        elif source.file.name.generation != dialogs[key].generation and not trust_ids:
            detail = f"the prompts are of {dialogs[key].generation}; --trust-ids takes it anyway"
            tally.problem(where, "prompt_of_other_generation", detail)
        elif key in seen:
            tally.problem(where, "duplicate_output", f"{line.value.get('id')} was answered before")
        else:
            seen.add(key)
            try:
                yield key, _trajectory(source, line.value, dialogs[key], tally)
            except BadField as exc:
                tally.problem(where, exc.reason, str(exc))


def _trajectory(source: Source, row: Json, dialog: Dialog, tally: Tally) -> Trajectory:
    names = [tool["name"] for tool in dialog.tools]
    turns: list[tuple[Action, ...]] = []
    for number, raw_turn in enumerate(list_of(row, "result")[: len(dialog.turns)]):
        if not isinstance(raw_turn, list):
            raise BadField("wrong_type", f"turn {number} is no list of steps")
        steps: list[Action] = []
        for raw in raw_turn:
            try:
                calls = decode(raw, names)[1]
            except BadField:
                tally.counts["undecodable"] += 1
                # The steps before it are known; how their turn would have ended is not.
                kept = (*turns, tuple(steps))
                return Trajectory(source=source, turns=kept, broken=number)
            steps.append(tuple(Step(name=c["name"], arguments=c["arguments"]) for c in calls))
            if not calls:
                break
        turns.append(tuple(steps))
    return Trajectory(source=source, turns=tuple(turns))


def _judged(trajectory: Trajectory, dialog: Dialog, classes: Classes) -> Trajectory:
    """Return the trajectory with the first turn that failed, if one did."""
    world, truth = dialog.world(classes), dialog.world(classes)
    for turn, steps in enumerate(trajectory.turns):
        if turn == trajectory.broken:
            break
        for action in steps:
            world.run(action)
        expected = truth.run(dialog.truth[turn])
        error = _turn_error(world, truth, expected, steps) if expected else None
        if error is not None:
            return Trajectory(
                source=trajectory.source,
                turns=trajectory.turns[: turn + 1],
                failed=(turn, error),
            )
    return trajectory


def _turn_error(
    world: World, truth: World, expected: Sequence[str], steps: Sequence[Action]
) -> str | None:
    if not any(steps):
        return "multi_turn:empty_turn_model_response"
    if not world.state_matches(truth):
        return "multi_turn:instance_state_mismatch"
    return None if world.has_results(expected) else "multi_turn:execution_response_mismatch"


# --- where trajectories part --------------------------------------------------------------------


def _records(
    dialog: Dialog, trajectories: Sequence[Trajectory], classes: Classes, tally: Tally
) -> Iterator[LabelledRecord]:
    points: dict[History, dict[str, list[Trajectory]]] = defaultdict(lambda: defaultdict(list))
    where: dict[History, tuple[int, int]] = {}
    for trajectory in trajectories:
        history: History = ()
        for turn, steps in enumerate(trajectory.turns):
            for number, action in enumerate(steps):
                points[history][_canonical(action)].append(trajectory)
                where[history] = turn, number
                history = (*history, (turn, _canonical(action)))
    for history, options in points.items():
        if len(options) > 1:
            record = _record(dialog, where[history], options, classes)
            labels = {candidate.correct for candidate in record.candidates}
            tally.counts["unsettled_steps"] += sum(
                candidate.correct is None for candidate in record.candidates
            )
            if {True, False} <= labels:
                yield record


def _record(
    dialog: Dialog,
    at: tuple[int, int],
    options: Mapping[str, Sequence[Trajectory]],
    classes: Classes,
) -> LabelledRecord:
    turn, number = at
    first = next(iter(options.values()))[0]
    world, messages = _replayed(dialog, first, at, classes)
    truth = dialog.world(classes)
    for past in dialog.truth[:turn]:
        truth.run(past)
    expected = truth.run(dialog.truth[turn])
    saving: list[Sequence[Step]] = [
        dialog.truth[turn][start:] for start in range(len(dialog.truth[turn]) + 1)
    ]
    for takers in options.values():
        saving += [_rest(taker, at) for taker in takers if _settled(taker, turn) is True]
    candidates: list[LabelledCandidate] = []
    for takers in options.values():
        action = takers[0].turns[turn][number]
        settled = [_settled(taker, turn) for taker in takers]
        label = True if True in settled else None
        if label is None and None not in settled:
            label = None if _can_be_saved(world, action, saving, truth, expected) else False
        candidates += [_candidate(taker, action, label, turn) for taker in takers]
    return LabelledRecord(
        id=f"{dialog.id}:{turn}:{number}:{_short(messages)}",
        source=f"bfcl-{dialog.generation}",
        split=EXECUTED,
        tools=dialog.tools,
        messages=tuple(messages),
        dialog=dialog.id,
        candidates=tuple(candidates),
    )


def _settled(trajectory: Trajectory, turn: int) -> bool | None:
    """Tell whether the turn passed; None if the trajectory cannot be read that far."""
    if trajectory.broken is not None and trajectory.broken <= turn:
        return None
    return trajectory.passes(turn)


def _rest(trajectory: Trajectory, at: tuple[int, int]) -> list[Step]:
    turn, number = at
    return [step for action in trajectory.turns[turn][number:] for step in action]


def _can_be_saved(
    world: World,
    action: Action,
    saving: Sequence[Sequence[Step]],
    truth: World,
    expected: Sequence[str],
) -> bool:
    """Tell whether some continuation still brings the turn to its end after the step.

    One that repeats, to put it right, a call by which the step changed the world does not count.
    """
    if not action:
        return False  # the turn is over
    known = {_canonical((step,)) for steps in saving for step in steps}
    after = world.branch()
    after.run(action)
    undone = {step.name for step in action if _canonical((step,)) not in known}
    if after.state_matches(world):
        undone = set()
    for steps in saving:
        if any(step.name in undone for step in steps):
            continue
        end = after.branch()
        end.run(steps)
        if end.state_matches(truth) and end.has_results(expected):
            return True
    return False


def _replayed(
    dialog: Dialog, trajectory: Trajectory, at: tuple[int, int], classes: Classes
) -> tuple[World, list[Any]]:
    """Return the world and the messages right before a step."""
    world = dialog.world(classes)
    messages: list[Any] = []
    for turn, said in enumerate(dialog.turns[: at[0] + 1]):
        messages += said
        steps = trajectory.turns[turn]
        for action in steps if turn < at[0] else steps[: at[1]]:
            if action:
                calls = [{"name": s.name, "arguments": dict(s.arguments)} for s in action]
                messages.append({"role": "assistant", "content": "", "tool_calls": calls})
                for step, result in zip(action, world.run(action), strict=True):
                    messages.append({"role": "tool", "name": step.name, "content": result})
    return world, messages


def _candidate(
    trajectory: Trajectory, action: Action, label: bool | None, turn: int
) -> LabelledCandidate:
    calls = tuple(LabelledCall(name=s.name, arguments=dict(s.arguments)) for s in action)
    failed = trajectory.failed
    return LabelledCandidate(
        model=trajectory.source.file.model,
        origin=trajectory.source.origin,
        content=None if calls else "",
        tool_calls=calls,
        correct=label,
        error_type=failed[1] if label is False and failed and failed[0] == turn else None,
    )


def _canonical(action: Action) -> str:
    return canonical_json([[step.name, dict(step.arguments)] for step in action])


def _short(messages: Sequence[Any]) -> str:
    """Return a few hex digits that tell histories of one dialog apart."""
    return hashlib.sha256(canonical_json(messages).encode()).hexdigest()[:8]
