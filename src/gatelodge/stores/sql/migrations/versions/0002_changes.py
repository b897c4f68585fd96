"""The changes that a token check must see, written down by triggers."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.create_table(
        "changes",
        sa.Column("number", sa.Integer, primary_key=True),
        sa.Column("changed", sa.Text, nullable=False),
        sqlite_autoincrement=True,
    )
    for name, event, condition, changed in TRIGGERS:
        op.execute(
            f"CREATE TRIGGER {name} AFTER {event} FOR EACH ROW {condition} "
            f"BEGIN INSERT INTO changes (changed) VALUES ({changed}); END"
        )


TRIGGERS = (
    (
        "changes_user_changed",
        "UPDATE OF username, epoch, disabled_at ON users",
        (
            "WHEN NEW.username IS NOT OLD.username OR NEW.epoch IS NOT OLD.epoch "
            "OR NEW.disabled_at IS NOT OLD.disabled_at"
        ),
        "NEW.id",
    ),
    ("changes_user_removed", "DELETE ON users", "", "OLD.id"),
    ("changes_role_granted", "INSERT ON user_roles", "", "NEW.user_id"),
    ("changes_role_withdrawn", "DELETE ON user_roles", "", "OLD.user_id"),
    (
        "changes_session_changed",
        "UPDATE OF epoch, revoked_at ON sessions",
        "WHEN NEW.epoch IS NOT OLD.epoch OR NEW.revoked_at IS NOT OLD.revoked_at",
        "NEW.id",
    ),
    ("changes_key_added", "INSERT ON signing_keys", "", "NEW.kid"),
    ("changes_key_changed", "UPDATE ON signing_keys", "", "NEW.kid"),
)
