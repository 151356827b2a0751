"""Kill -9 at random moments: is every acknowledged record there, and none by half?

    python -m bench.store_crash --runs 1000 --json bench/results/store_crash.json

A run forks an agent process that reviews from four threads, puts outcomes, flushes, and tells on a
pipe what was acknowledged. It is killed at a random moment: while it opens the store, writes, or
waits. Then the database is checked from outside. SQLite has a new file each run, PostgreSQL one
schema for all.
"""

import argparse
import importlib
import json
import os
import random
import select
import shutil
import signal
import sqlite3
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from sqlalchemy import create_engine, text

from bench import postgres, runs
from toolrm_guard import FakeScorer, Guard, TraceStore
from toolrm_guard.records import OutcomeRecord, ReviewRecord

importlib.import_module("toolrm_guard.store.migrations")  # once, and not in every fork

THREADS = 4
_TOOL = {
    "name": "get_file",
    "parameters": {"type": "object", "properties": {"path": {"type": "string"}}},
}


@dataclass(slots=True, kw_only=True)
class Tally:
    """What the runs of one database added up to.

    Attributes:
        runs: Processes killed.
        early: Of these, killed before anything was acknowledged.
        acknowledged: Records that were, reviews and outcomes.
        stored: Records found.
        lost: Acknowledged and not found.
        halves: Records that cannot be read, or whose calls are not all there.
        damaged: Databases that do not pass their own check.
        wrong: Reviews whose decision was not what it is without a store.
        problems: The first few, in words.
    """

    runs: int = 0
    early: int = 0
    acknowledged: int = 0
    stored: int = 0
    lost: int = 0
    halves: int = 0
    damaged: int = 0
    wrong: int = 0
    problems: list[str] = field(default_factory=list)


def agent(url: str, run: str, pipe: int) -> None:
    """Review and record until killed; what is acknowledged goes to the pipe, a line each."""
    store = TraceStore(url)
    guard = Guard(FakeScorer(lambda request: [0.2, 0.9]), store=store)

    def turns(worker: int) -> None:
        rng = random.Random(f"{run}{worker}")
        for turn in range(1_000_000):
            put = []
            for step in range(rng.randint(1, 20)):
                call_id = f"{run}.{worker}.{turn}.{step}"
                drafts = [
                    {"tool_calls": [{"name": "get_file", "id": call_id + end, "arguments": {
                        "path": "x" * rng.randint(1, 2000)}}]} for end in "ab"
                ]  # fmt: skip
                review = guard.review("Read a file", [_TOOL], drafts, conversation_id=run)
                if review.decision != "execute" or review.chosen != 1:
                    os.write(pipe, b"WRONG\n")
                guard.record_outcome(call_id, ok=True, kind="execution", content="done",
                                     conversation_id=run)  # fmt: skip
                put += [review.id, call_id]
            if store.flush():
                os.write(pipe, "".join(f"{name}\n" for name in put).encode())

    for worker in range(THREADS):
        threading.Thread(target=turns, args=(worker,), daemon=True).start()
    threading.Event().wait()


def killed(url: str, run: str, rng: random.Random) -> list[str]:
    """Return what an agent process acknowledged before it was killed."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(read)
        try:
            agent(url, run, write)
        finally:
            os._exit(1)
    os.close(write)
    with os.fdopen(read, "rb") as pipe:
        if rng.random() < 0.7:  # under load, else while it starts
            select.select([pipe], [], [], 30.0)
        time.sleep(rng.uniform(0.0, 0.2))
        os.kill(child, signal.SIGKILL)
        said = pipe.read()
    _, status = os.waitpid(child, 0)
    if not os.WIFSIGNALED(status):
        raise RuntimeError(f"the agent process ended by itself, with status {status}")
    # The last line is whole: a write of at most PIPE_BUF bytes is; of a longer one a part may be.
    return said.decode().split("\n")[:-1]


def check(url: str, run: str, acknowledged: Sequence[str], tally: Tally) -> None:
    """Look at the database from outside, and count."""
    tally.runs += 1
    tally.wrong += acknowledged.count("WRONG")
    known = [name for name in acknowledged if name != "WRONG"]
    tally.acknowledged += len(known)
    tally.early += not known
    engine = create_engine(url)
    found: set[str] = set()
    with engine.connect() as connection:
        if engine.dialect.name == "sqlite":
            said = connection.execute(text("PRAGMA integrity_check")).scalar()
            if said != "ok":
                tally.damaged += 1
                tally.problems.append(f"{run}: {said}")
        counted = text(
            "SELECT review_id, count(*) FROM calls JOIN reviews ON id = review_id "
            "WHERE conversation_id = :run GROUP BY review_id"
        )
        counts = {row[0]: row[1] for row in connection.execute(counted, {"run": run})}
        for table, read in (("reviews", _read_review), ("outcomes", _read_outcome)):
            payloads = text(f"SELECT payload FROM {table} WHERE conversation_id = :run")
            for (payload,) in connection.execute(payloads, {"run": run}):
                try:
                    found.add(read(payload, counts))
                except ValueError as exc:
                    tally.halves += 1
                    tally.problems.append(f"{run}: {exc}")
    engine.dispose()
    missing = [name for name in known if name not in found]
    tally.stored += len(found)
    tally.lost += len(missing)
    if missing:
        tally.problems.append(f"{run}: lost {missing[:3]}")


def _read_review(payload: str, counts: Mapping[str, int]) -> str:
    record = ReviewRecord.model_validate_json(payload)
    calls = sum(len(candidate.calls) for candidate in record.candidates)
    if counts.get(record.id) != calls:
        raise ValueError(f"{record.id} has {counts.get(record.id)} of {calls} calls")
    return record.id


def _read_outcome(payload: str, counts: Mapping[str, int]) -> str:
    return OutcomeRecord.model_validate_json(payload).call_id


def on_sqlite(count: int, seed: int, folder: Path) -> Tally:
    """Kill agents over a new SQLite file each."""
    rng, tally = random.Random(seed), Tally()
    template = folder / "empty.db"
    TraceStore(template).close()
    sqlite3.connect(template).execute("PRAGMA wal_checkpoint(TRUNCATE)")
    for index in range(count):
        path = folder / f"{index}.db"
        if index % 2:  # every second one makes its tables itself, and may be killed meanwhile
            shutil.copy(template, path)
        url, run = f"sqlite:///{path}", f"s{index}"
        acknowledged = killed(url, run, rng)
        TraceStore(url).close()  # a store that was killed while it was made opens all the same
        check(url, run, acknowledged, tally)
        for file in folder.glob(f"{index}.db*"):
            file.unlink()
    return tally


def on_postgres(count: int, seed: int) -> Tally:
    """Kill agents over one PostgreSQL schema."""
    rng, tally = random.Random(seed), Tally()
    with postgres.server() as server:
        schema = f"crash_{uuid.uuid4().hex}"
        engine = create_engine(server)
        with engine.begin() as connection:
            connection.execute(text(f"CREATE SCHEMA {schema}"))
        joint = "&" if "?" in server else "?"
        url = f"{server}{joint}options=-csearch_path%3D{schema}"
        TraceStore(url).close()
        for index in range(count):
            run = f"p{index}"
            check(url, run, killed(url, run, rng), tally)
        with engine.begin() as connection:
            connection.execute(text(f"DROP SCHEMA {schema} CASCADE"))
        engine.dispose()
    return tally


def main(argv: Sequence[str] | None = None) -> int:
    """Run, print, and fail if anything was lost."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=1000, help="per database (default 1000)")
    parser.add_argument("--database", choices=["sqlite", "postgresql", "both"], default="both")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, metavar="OUT")
    arguments = parser.parse_args(argv)
    tallies: dict[str, Tally] = {}
    if arguments.database != "postgresql":
        with tempfile.TemporaryDirectory() as folder:
            tallies["sqlite"] = on_sqlite(arguments.runs, arguments.seed, Path(folder))
    if arguments.database != "sqlite":
        try:
            tallies["postgresql"] = on_postgres(arguments.runs, arguments.seed)
        except postgres.NoPostgres as exc:
            print(f"bench.store_crash: {exc}", file=sys.stderr)
            return 1
    for name, tally in tallies.items():
        print(name, json.dumps(asdict(tally)))
    if arguments.json:
        payload = {"bench": "store_crash", "run": runs.describe([], arguments.seed)}
        runs.write(arguments.json, {**payload, **{k: asdict(t) for k, t in tallies.items()}})
    return int(any(t.lost or t.halves or t.damaged or t.wrong for t in tallies.values()))


if __name__ == "__main__":
    sys.exit(main())
