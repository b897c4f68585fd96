"""Changes of roles, which a token check must see now that it knows permissions."""

from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    for name, event, condition, changed in TRIGGERS:
        op.execute(
            f"CREATE TRIGGER {name} AFTER {event} ON roles FOR EACH ROW {condition} "
            f"BEGIN INSERT INTO changes (changed) VALUES ('role:' || {changed}); END"
        )


TRIGGERS = (
    ("changes_role_added", "INSERT", "", "NEW.name"),
    (
        "changes_role_changed",
        "UPDATE OF name, permissions",
        "WHEN NEW.name IS NOT OLD.name OR NEW.permissions IS NOT OLD.permissions",
        "NEW.name",
    ),
    ("changes_role_removed", "DELETE", "", "OLD.name"),
)
