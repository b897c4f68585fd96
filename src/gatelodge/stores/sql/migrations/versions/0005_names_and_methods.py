"""Users: name, language, reason, duties. Sessions: when and how proven, for which client.

Columns are added and renamed in place. So no table is copied, and triggers and indexes stay. Only
the rows of sessions are rewritten, once each.
"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.alter_column("users", "verified_at", new_column_name="email_verified_at")
    op.add_column("users", sa.Column("name", sa.Text, nullable=False, server_default=""))
    op.add_column("users", sa.Column("language", sa.Text))
    op.add_column("users", sa.Column("disabled_reason", sa.Text))
    op.add_column("users", sa.Column("must", sa.JSON, nullable=False, server_default="[]"))
    op.alter_column("sessions", "factors", new_column_name="methods")
    # A session without a time counts as authenticated in 1970. That is too long ago for everything
    # that needs a recent proof.
    long_ago = sa.Column(
        "authenticated_at", sa.Integer, nullable=False, server_default=sa.text("0")
    )
    op.add_column("sessions", long_ago)
    op.add_column("sessions", sa.Column("client_id", sa.Text))
    op.execute(
        "UPDATE sessions SET authenticated_at = created_at, "
        """methods = replace(methods, '"password"', '"pwd"')"""
    )
