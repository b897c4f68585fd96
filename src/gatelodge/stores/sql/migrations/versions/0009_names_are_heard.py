"""The feed reports changes of what a principal tells of its user besides the username."""

from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    op.execute(
        "CREATE TRIGGER changes_user_told AFTER UPDATE OF name, email, email_verified_at ON users "
        "FOR EACH ROW WHEN NEW.name IS NOT OLD.name OR NEW.email IS NOT OLD.email "
        "OR NEW.email_verified_at IS NOT OLD.email_verified_at "
        "BEGIN INSERT INTO changes (changed) VALUES (NEW.id); END"
    )
