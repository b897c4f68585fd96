"""Letters are listed by state."""

from alembic import op

revision = "0016"
down_revision = "0015"


def upgrade() -> None:
    op.execute("CREATE INDEX ix_letters_state ON letters (state, id)")
