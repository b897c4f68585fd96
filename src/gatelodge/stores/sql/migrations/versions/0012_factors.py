"""Users have factors, and the ids of passkeys are unique."""

from alembic import op

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    op.execute("ALTER TABLE users ADD COLUMN factors JSON")
    op.execute(
        "CREATE TABLE passkeys (credential_id TEXT NOT NULL PRIMARY KEY, user_id TEXT NOT NULL, "
        "FOREIGN KEY(user_id) REFERENCES users (id) ON DELETE CASCADE) WITHOUT ROWID"
    )
    op.execute("CREATE INDEX ix_passkeys_user_id ON passkeys (user_id)")
