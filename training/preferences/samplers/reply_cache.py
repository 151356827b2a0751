"""Replies on disk, and what was spent on them: a second run asks nothing.

SQLite in WAL mode: every reply is committed when it comes, so a killed run loses what was in
flight and nothing else, and several processes may share the file.
"""

import hashlib
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from pydantic import ValidationError

from toolrm_guard.calls import canonical_json
from toolrm_guard.errors import ConfigurationError
from training.preferences.samplers.chat_api import Answer

_SCHEMA = """
CREATE TABLE IF NOT EXISTS replies (key TEXT PRIMARY KEY, answer TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS spent (
    id INTEGER PRIMARY KEY CHECK (id = 1), requests INTEGER NOT NULL, tokens INTEGER NOT NULL
);
INSERT OR IGNORE INTO spent VALUES (1, 0, 0);
"""


class ReplyCache:
    """Answers by key, and the requests and tokens that all runs with this file have spent."""

    def __init__(self, path: Path) -> None:
        """Open or make the file.

        Raises:
            ConfigurationError: If it is no cache, or its folder cannot be written.
        """
        self._path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            # One thread at a time uses it, but not the one that opens it.
            self._db = sqlite3.connect(path, timeout=30.0, check_same_thread=False)
        except (OSError, sqlite3.Error) as exc:
            raise ConfigurationError(f"cannot open the reply cache {path}: {exc}") from exc
        try:
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=NORMAL")
            self._db.executescript(_SCHEMA)
        except sqlite3.Error as exc:
            self._db.close()
            raise ConfigurationError(
                f"{path} is no reply cache ({exc}); give another path, or delete it"
            ) from exc

    def get(self, key: str) -> Answer | None:
        """Return a known answer; what cannot be read counts as unknown."""
        with self._open() as db:
            row = db.execute("SELECT answer FROM replies WHERE key = ?", (key,)).fetchone()
        try:
            return None if row is None else Answer.model_validate_json(row[0])
        except ValidationError:
            return None

    def put(self, key: str, answer: Answer) -> None:
        """Keep an answer."""
        with self._open() as db:
            db.execute(
                "INSERT OR REPLACE INTO replies VALUES (?, ?)", (key, answer.model_dump_json())
            )

    def take(self, max_requests: int | None, max_tokens: int | None) -> bool:
        """Count one request, or return False if that is beyond the budget."""
        with self._open() as db:
            done = db.execute(
                "UPDATE spent SET requests = requests + 1 WHERE (? IS NULL OR requests < ?) "
                "AND (? IS NULL OR tokens < ?)",
                (max_requests, max_requests, max_tokens, max_tokens),
            )
        return done.rowcount == 1

    def charge(self, tokens: int) -> None:
        """Count the tokens of a reply."""
        with self._open() as db:
            db.execute("UPDATE spent SET tokens = tokens + ?", (tokens,))

    def spent(self) -> tuple[int, int]:
        """Return the requests and tokens spent so far."""
        with self._open() as db:
            requests, tokens = db.execute("SELECT requests, tokens FROM spent").fetchone()
        return int(requests), int(tokens)

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        """Give the database for one transaction."""
        try:
            with self._db:
                yield self._db
        except sqlite3.Error as exc:
            raise ConfigurationError(
                f"reply cache {self._path}: {exc}; is its disk full, or is another program "
                "holding it?"
            ) from exc

    def close(self) -> None:
        """Release the file."""
        self._db.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def reply_key(model: str, body: Mapping[str, Any]) -> str:
    """Return the key of a request: sha256 of the model and the canonical body."""
    return hashlib.sha256(f"{model}\n{canonical_json(body)}".encode()).hexdigest()
