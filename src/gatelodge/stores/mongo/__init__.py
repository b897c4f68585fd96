"""The MongoDB adapter, with the asynchronous API of PyMongo.

It works with a replica set, a sharded cluster and a standalone `mongod`. On a sharded cluster,
every collection that grows can be sharded by a hashed `_id`. On a standalone `mongod`, the driver
does not retry writes.
"""

from gatelodge.clock import SystemClock
from gatelodge.stores import Stores
from gatelodge.stores.mongo.attempts import MongoAttempts
from gatelodge.stores.mongo.connection import MongoDatabase
from gatelodge.stores.mongo.events import MongoEvents
from gatelodge.stores.mongo.factors import MongoFactors
from gatelodge.stores.mongo.feed import MongoChangeFeed
from gatelodge.stores.mongo.last_holder import LastHolders
from gatelodge.stores.mongo.letters import MongoLetters
from gatelodge.stores.mongo.names import Names
from gatelodge.stores.mongo.one_time_tokens import MongoOneTimeTokens
from gatelodge.stores.mongo.outbox import Outbox
from gatelodge.stores.mongo.roles import MongoRoles
from gatelodge.stores.mongo.sessions import MongoSessions
from gatelodge.stores.mongo.signing_keys import MongoSigningKeys
from gatelodge.stores.mongo.subscriptions import MongoSubscriptions
from gatelodge.stores.mongo.tallies import MongoTallies
from gatelodge.stores.mongo.users import MongoUsers


def mongo_stores(address: str) -> Stores:
    """Return the stores of a MongoDB database; nothing is opened yet.

    Args:
        address: a connection string. If it has no database name, `gatelodge` is used.
    """
    database = MongoDatabase(address)
    clock, outbox = SystemClock(), Outbox(database)
    names, last_holders = Names(database, clock, outbox), LastHolders(database, clock)
    users = MongoUsers(database, names, outbox, last_holders)
    roles = MongoRoles(database, outbox, clock)
    subscriptions = MongoSubscriptions(database, outbox)
    for chore in (
        *(users.sweep_names, users.complete_names),
        *(roles.sweep, outbox.sweep, subscriptions.sweep),
    ):
        database.repeat(chore)
    return Stores(
        database=database,
        users=users,
        factors=MongoFactors(database, names, outbox),
        roles=roles,
        sessions=MongoSessions(database, users, roles, outbox),
        signing_keys=MongoSigningKeys(database, outbox),
        events=MongoEvents(database, outbox.sweep),
        one_time_tokens=MongoOneTimeTokens(database, outbox),
        attempts=MongoAttempts(database, outbox),
        subscriptions=subscriptions,
        letters=MongoLetters(database, outbox),
        tallies=MongoTallies(database),
        feed=MongoChangeFeed(database),
    )


__all__ = ["MongoDatabase", "MongoUsers", "mongo_stores"]
