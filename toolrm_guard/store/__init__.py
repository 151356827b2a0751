"""The trace store: reviews and outcomes in SQLite or PostgreSQL, written off the hot path."""

from pathlib import Path

from toolrm_guard.store.deletion import Deleted
from toolrm_guard.store.queue import StoreHealth
from toolrm_guard.store.trace_store import TraceStore

__all__ = ["Deleted", "StoreHealth", "TraceStore", "store_name"]


def store_name(url: str) -> str:
    """Return the last part of a path or URL, which never holds a password."""
    return Path(url.partition("?")[0]).name
