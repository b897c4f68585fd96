"""Applications are told of events."""

from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    op.execute(
        "CREATE TABLE subscriptions (name TEXT NOT NULL PRIMARY KEY, events JSON NOT NULL, "
        "seen_at INTEGER NOT NULL, url TEXT, sealed_secret BLOB) WITHOUT ROWID"
    )
    op.execute(
        "CREATE TABLE messages (number INTEGER NOT NULL PRIMARY KEY, event_id TEXT NOT NULL, "
        "subscription TEXT NOT NULL, due_at INTEGER NOT NULL, claims INTEGER NOT NULL DEFAULT 0, "
        "failures INTEGER NOT NULL DEFAULT 0, "
        "CONSTRAINT uq_messages_event_id_subscription UNIQUE (event_id, subscription))"
    )
    op.execute("CREATE INDEX ix_messages_due ON messages (subscription, due_at)")
    op.execute(
        "CREATE TRIGGER messages_of_event AFTER INSERT ON events BEGIN "
        "INSERT INTO messages (event_id, subscription, due_at) "
        "SELECT NEW.id, subscriptions.name, NEW.at "
        "FROM subscriptions, json_each(subscriptions.events) "
        "WHERE json_each.value = NEW.name; END"
    )
