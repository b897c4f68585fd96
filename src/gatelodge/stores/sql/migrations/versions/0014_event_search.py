"""Events are found by whom, by who, from where and what; how often they happen is counted.

`stores/sql/gradual.py` makes the indexes.
"""

from alembic import op

revision = "0014"
down_revision = "0013"


def upgrade() -> None:
    op.execute(
        "CREATE TABLE tallies (day TEXT NOT NULL, name TEXT NOT NULL, count INTEGER NOT NULL, "
        "PRIMARY KEY (day, name)) WITHOUT ROWID"
    )
