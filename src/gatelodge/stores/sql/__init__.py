"""The SQL adapter: SQLite with SQLAlchemy Core, on one writer thread and two reader threads."""

from pathlib import Path

from gatelodge.stores import Stores
from gatelodge.stores.sql.attempts import SqlAttempts
from gatelodge.stores.sql.database import SqlDatabase
from gatelodge.stores.sql.events import SqlEvents
from gatelodge.stores.sql.factors import SqlFactors
from gatelodge.stores.sql.feed import SqlChangeFeed
from gatelodge.stores.sql.letters import SqlLetters
from gatelodge.stores.sql.one_time_tokens import SqlOneTimeTokens
from gatelodge.stores.sql.roles import SqlRoles
from gatelodge.stores.sql.sessions import SqlSessions
from gatelodge.stores.sql.signing_keys import SqlSigningKeys
from gatelodge.stores.sql.subscriptions import SqlSubscriptions
from gatelodge.stores.sql.tallies import SqlTallies
from gatelodge.stores.sql.users import SqlUsers


def sql_stores(path: str) -> Stores:
    """Return the stores of one SQLite file; nothing is opened yet."""
    database = SqlDatabase(Path(path))
    return Stores(
        database=database,
        users=SqlUsers(database),
        factors=SqlFactors(database),
        roles=SqlRoles(database),
        sessions=SqlSessions(database),
        signing_keys=SqlSigningKeys(database),
        events=SqlEvents(database),
        one_time_tokens=SqlOneTimeTokens(database),
        attempts=SqlAttempts(database),
        subscriptions=SqlSubscriptions(database),
        letters=SqlLetters(database),
        tallies=SqlTallies(database),
        feed=SqlChangeFeed(database),
    )
