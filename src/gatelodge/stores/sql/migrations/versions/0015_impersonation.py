"""Sessions of impersonators say who sees the application as their user, from where, and why."""

from alembic import op

revision = "0015"
down_revision = "0014"


def upgrade() -> None:
    for name in ("impersonator", "begun_in", "reason"):
        op.execute(f"ALTER TABLE sessions ADD COLUMN {name} TEXT")
