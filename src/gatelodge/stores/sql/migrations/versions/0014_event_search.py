"""How often events happen is counted; events are found by whom, by who, from where and what.

The indexes of a database with many events are made afterwards, by `stores/sql/gradual.py`.
"""

from alembic import op

revision = "0014"
down_revision = "0013"


def upgrade() -> None:
    op.execute(
        "CREATE TABLE tallies (day TEXT NOT NULL, name TEXT NOT NULL, count INTEGER NOT NULL, "
        "PRIMARY KEY (day, name)) WITHOUT ROWID"
    )
