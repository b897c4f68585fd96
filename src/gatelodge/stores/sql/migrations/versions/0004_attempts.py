"""Failed tries: to sign in, and to sign up."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.create_table(
        "attempts",
        sa.Column("key", sa.Text, primary_key=True),
        sa.Column("failures", sa.Integer, nullable=False),
        sa.Column("streak", sa.Integer, nullable=False),
        sa.Column("until", sa.Integer, nullable=False),
        sa.Column("blocked_until", sa.Integer, nullable=False),
        sa.Column("forget_at", sa.Integer, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_attempts_forget_at", "attempts", ["forget_at"])
