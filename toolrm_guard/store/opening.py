"""From a URL to a database with this version's tables."""

import logging
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import Literal

from sqlalchemy import Connection, create_engine, event, inspect, text
from sqlalchemy.engine import Engine, make_url
from sqlalchemy.exc import ArgumentError, OperationalError, SQLAlchemyError

from toolrm_guard.errors import StoreError
from toolrm_guard.store.tables import REVISION, VERSION_TABLE

_log = logging.getLogger(__name__)

Synchronous = Literal["normal", "full"]

_LOCK = 0x746F6F6C726D  # any number; PostgreSQL's advisory locks are told apart by one
_WAIT_S = 30.0
_FIRST_COLUMNS = {"id", "created_at", "conversation_id", "decision", "scorer", "judged", "payload"}


def open_engine(url: str | Path, synchronous: Synchronous = "normal") -> Engine:
    """Return an engine on a database whose tables are those of this version.

    Raises:
        StoreError: If it cannot be opened, or was written by a newer version.
    """
    address = str(url)
    if ":memory:" in address or address == "sqlite://":
        raise StoreError("a trace store in memory is lost to its writer's thread; give a file")
    if isinstance(url, Path) or "://" not in address:
        address = f"sqlite:///{Path(address).expanduser()}"
    engine = None
    try:
        # Values of rows are in no message and no log: they are what agents said.
        engine = create_engine(make_url(address), hide_parameters=True, pool_pre_ping=True)
        if engine.dialect.name == "sqlite":
            event.listen(engine, "connect", _pragmas(synchronous))
        _migrate(engine)
    except ModuleNotFoundError as exc:
        raise StoreError(f"the trace store needs the driver {exc.name!r}; install it") from exc
    except (ArgumentError, SQLAlchemyError, OSError, StoreError) as exc:
        if engine is not None:
            engine.dispose()
        if isinstance(exc, StoreError):
            raise
        shown = address if "@" not in address else address.rsplit("@", 1)[-1]  # no password
        raise StoreError(
            f"cannot open the trace store {shown!r}: {getattr(exc, 'orig', None) or exc}; "
            "give a SQLAlchemy URL, or the path of a SQLite file in a folder that can be written"
        ) from exc
    return engine


def _pragmas(synchronous: Synchronous) -> Callable[[sqlite3.Connection, object], None]:
    def set_pragmas(connection: sqlite3.Connection, _record: object) -> None:
        cursor = connection.cursor()
        cursor.execute("PRAGMA busy_timeout=5000")
        # Changing the mode of a new file meets others that do the same, and does not wait for them.
        until = time.monotonic() + _WAIT_S
        while cursor.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
            try:
                cursor.execute("PRAGMA journal_mode=WAL")
            except sqlite3.OperationalError as exc:
                if "locked" not in str(exc) or time.monotonic() > until:
                    raise
                time.sleep(0.02)
        cursor.execute(f"PRAGMA synchronous={synchronous.upper()}")
        cursor.close()

    return set_pragmas


def _migrate(engine: Engine) -> None:
    with engine.connect() as connection:
        if _version(connection) == REVISION:
            return
    until = time.monotonic() + _WAIT_S
    while True:
        try:
            with engine.connect() as connection:
                _migrate_alone(connection)
            return
        except OperationalError as exc:
            if "locked" not in str(exc.orig) or time.monotonic() > until:
                raise
            time.sleep(0.05)


def _migrate_alone(connection: Connection) -> None:
    """Bring the tables to this version in one transaction, while no other process does."""
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql("BEGIN IMMEDIATE")
    elif connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
    version = _version(connection)
    if version == REVISION:
        return  # another process was first
    from toolrm_guard.store.migrations import upgrade  # Alembic costs 0.2 s; a store has it once

    if version is None and _has_first_tables(connection):
        version = "0001"
        _log.warning("the trace store is of an older version; its records are kept")
    upgrade(connection, version)
    connection.commit()


def _version(connection: Connection) -> str | None:
    if not inspect(connection).has_table(VERSION_TABLE):
        return None
    found = connection.execute(text(f"SELECT version_num FROM {VERSION_TABLE}")).scalar()
    return str(found) if found is not None else None


def _has_first_tables(connection: Connection) -> bool:
    """Tell whether the tables are there that versions without migrations made.

    Raises:
        StoreError: If a table of that name is there that is not ours.
    """
    inspector = inspect(connection)
    if not inspector.has_table("reviews"):
        return False
    columns = {column["name"] for column in inspector.get_columns("reviews")}
    if not columns >= _FIRST_COLUMNS or not inspector.has_table("outcomes"):
        raise StoreError(
            "the database has a table `reviews` that is no trace store's; give a database, or a "
            "schema, of its own"
        )
    return True
