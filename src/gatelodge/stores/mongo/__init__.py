"""The MongoDB adapter, through the asynchronous API of PyMongo.

It works on a replica set, on a sharded cluster (every collection that grows shards by a hashed
`_id`) and on a standalone `mongod`, where the driver retries no write by itself.
"""

from gatelodge.clock import SystemClock
from gatelodge.stores import Stores
from gatelodge.stores.mongo.attempts import MongoAttempts
from gatelodge.stores.mongo.connection import MongoDatabase
from gatelodge.stores.mongo.events import MongoEvents
from gatelodge.stores.mongo.feed import MongoChangeFeed
from gatelodge.stores.mongo.names import Names
from gatelodge.stores.mongo.one_time_tokens import MongoOneTimeTokens
from gatelodge.stores.mongo.roles import MongoRoles
from gatelodge.stores.mongo.sessions import MongoSessions
from gatelodge.stores.mongo.signing_keys import MongoSigningKeys
from gatelodge.stores.mongo.users import MongoUsers


def mongo_stores(address: str) -> Stores:
    """Return the stores over the MongoDB at an address; nothing is opened yet.

    Args:
        address: a connection string; without a database name in it, `gatelodge` is used.
    """
    database = MongoDatabase(address)
    users = MongoUsers(database, Names(database, SystemClock()))
    roles = MongoRoles(database)
    database.repeat(users.sweep_names)
    return Stores(
        database=database,
        users=users,
        roles=roles,
        sessions=MongoSessions(database, users, roles),
        signing_keys=MongoSigningKeys(database),
        events=MongoEvents(database),
        one_time_tokens=MongoOneTimeTokens(database),
        attempts=MongoAttempts(database),
        feed=MongoChangeFeed(database),
    )


__all__ = ["MongoDatabase", "MongoUsers", "mongo_stores"]
