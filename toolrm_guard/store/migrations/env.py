"""What Alembic runs: the migrations, on the connection and in the transaction that it is given."""

from alembic import context
from sqlalchemy import Connection

from toolrm_guard.store.tables import VERSION_TABLE, metadata

_connection: Connection = context.config.attributes["connection"]
context.configure(connection=_connection, target_metadata=metadata, version_table=VERSION_TABLE)
context.run_migrations()
