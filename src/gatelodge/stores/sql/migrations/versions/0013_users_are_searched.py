"""Users are searched by their names, and listed by what they have.

The keys of names and the indexes of a database with many users are made afterwards, by
`stores/sql/gradual.py`.
"""

from alembic import op

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    op.execute("ALTER TABLE users ADD COLUMN name_key TEXT")
    op.execute("ALTER TABLE users ADD COLUMN factor_state INTEGER NOT NULL DEFAULT 0")
    # A process of the version before, which runs on, changes names without their keys. So a change
    # of the name takes the key away, and whoever knows the new one stores it after that.
    op.execute(
        "CREATE TRIGGER users_named AFTER UPDATE OF name ON users FOR EACH ROW "
        "WHEN NEW.name IS NOT OLD.name "
        "BEGIN UPDATE users SET name_key = NULL WHERE id = NEW.id; END"
    )
    for name, event in (
        ("users_added_with_factors", "INSERT ON users FOR EACH ROW WHEN NEW.factors IS NOT NULL"),
        (
            "users_factors_changed",
            f"UPDATE OF factors ON users FOR EACH ROW WHEN {STATE} IS NOT OLD.factor_state",
        ),
    ):
        op.execute(
            f"CREATE TRIGGER {name} AFTER {event} "
            f"BEGIN UPDATE users SET factor_state = {STATE} WHERE id = NEW.id; END"
        )


STATE = (
    "(CASE WHEN NEW.factors IS NULL THEN 0 WHEN EXISTS (SELECT 1 FROM json_each(NEW.factors) "
    "WHERE json_extract(value, '$.kind') IN ('totp', 'passkey')) THEN 2 ELSE 1 END)"
)
