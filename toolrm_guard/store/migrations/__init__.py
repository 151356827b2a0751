"""The store's history of tables, as Alembic migrations; applied when a store is opened."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

from toolrm_guard.errors import StoreError
from toolrm_guard.store.tables import REVISION


def upgrade(connection: Connection, version: str | None) -> None:
    """Bring the tables to this version, in the connection's transaction.

    Args:
        connection: To the database.
        version: Of its tables now; None if there are none.

    Raises:
        StoreError: If the version is not known here.
    """
    config = _config(connection)
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    if version is not None and version not in known:
        raise StoreError(
            f"the trace store was written by a newer version of toolrm-guard (its tables are of "
            f"revision {version!r}, this version knows up to {REVISION!r}); "
            "pip install --upgrade toolrm-guard"
        )
    if version is not None:
        command.stamp(config, version)
    command.upgrade(config, "head")


def _config(connection: Connection) -> Config:
    config = Config()
    folder = str(Path(__file__).parent).replace("%", "%%")
    config.set_main_option("script_location", folder)
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config
