"""Acts that are decided by one write: the session that goes on, outcomes, the life of tokens."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    op.add_column("users", sa.Column("continued", sa.Text))
    success = sa.Column("outcome", sa.Text, nullable=False, server_default="success")
    op.add_column("events", success)
    op.execute("UPDATE events SET outcome = 'refused' WHERE name = 'refresh_token.reused'")
    none = sa.Column("token_life", sa.Integer, nullable=False, server_default=sa.text("0"))
    op.add_column("signing_keys", none)
