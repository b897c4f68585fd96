"""Letters, and one-time tokens with a code that the reader of a letter types."""

from alembic import op

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    op.execute(
        "CREATE TABLE letters (id TEXT NOT NULL PRIMARY KEY, kind TEXT NOT NULL, "
        '"to" TEXT NOT NULL, to_key TEXT NOT NULL, message_id TEXT NOT NULL, '
        "created_at INTEGER NOT NULL, due_at INTEGER NOT NULL, state TEXT NOT NULL, "
        "language TEXT, subject TEXT, sealed_values BLOB, written BOOLEAN NOT NULL, "
        "request_digest BLOB, guesses INTEGER NOT NULL, claims INTEGER NOT NULL, "
        "failures INTEGER NOT NULL, ended_at INTEGER, error TEXT NOT NULL) WITHOUT ROWID"
    )
    op.execute("CREATE INDEX ix_letters_due ON letters (due_at, id) WHERE state = 'waiting'")
    op.execute("CREATE INDEX ix_letters_to_key ON letters (to_key, created_at)")
    op.execute("CREATE INDEX ix_letters_ended_at ON letters (ended_at) WHERE ended_at IS NOT NULL")
    op.execute("ALTER TABLE one_time_tokens ADD COLUMN life INTEGER")
    op.execute("ALTER TABLE one_time_tokens ADD COLUMN code_digest BLOB")
    op.execute("ALTER TABLE one_time_tokens ADD COLUMN letter TEXT")
    op.execute("ALTER TABLE one_time_tokens ADD COLUMN facts JSON NOT NULL DEFAULT '{}'")
    op.execute("CREATE INDEX ix_one_time_tokens_expires_at ON one_time_tokens (expires_at)")
