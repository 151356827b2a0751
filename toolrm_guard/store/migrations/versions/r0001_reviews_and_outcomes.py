"""Reviews and outcomes: the tables of the versions that had no migrations."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "reviews",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("created_at", sa.String(40), nullable=False),
        sa.Column("conversation_id", sa.String(200), index=True),
        sa.Column("decision", sa.String(16), nullable=False),
        sa.Column("scorer", sa.String(100), nullable=False),
        sa.Column("judged", sa.Boolean, nullable=False),
        sa.Column("total_ms", sa.Float, nullable=False),
        sa.Column("payload", sa.Text, nullable=False),
    )
    op.create_table(
        "outcomes",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("call_id", sa.String(200), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("ok", sa.Boolean, nullable=False),
        sa.Column("payload", sa.Text, nullable=False),
    )
    op.create_index("outcomes_by_call", "outcomes", ["call_id"])
