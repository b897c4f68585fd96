"""Events are found by whom, by who, from where and what; how often they happen is counted."""

from alembic import op

revision = "0014"
down_revision = "0012"


def upgrade() -> None:
    op.execute(
        "CREATE TABLE tallies (day TEXT NOT NULL, name TEXT NOT NULL, count INTEGER NOT NULL, "
        "PRIMARY KEY (day, name)) WITHOUT ROWID"
    )
    for field in ("target", "actor"):
        op.execute(f"CREATE INDEX ix_events_{field} ON events ({field}) WHERE {field} IS NOT NULL")
    for field in ("address", "name"):
        op.execute(f"CREATE INDEX ix_events_{field} ON events ({field})")
