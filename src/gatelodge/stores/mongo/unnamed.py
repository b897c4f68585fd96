"""Users whose names have no key yet: a server of the version before has written them."""

from collections.abc import Callable

from pymongo import UpdateOne
from pymongo.synchronous.database import Database

from gatelodge.stores.mongo.records import Document
from gatelodge.stores.user_order import stored_name_key

PAGE = 1_000
"""How many names get their keys at a time."""

_TELL_EVERY = 10 * PAGE

WITHOUT_KEY: Document = {"name": {"$gt": ""}, "name_key": None}
"""Matches these users. An index has them, and no others."""


def completing(document: Document) -> UpdateOne:
    """Return the write that stores the key of a name, if nobody has changed the name since."""
    unchanged = {"_id": {"$eq": document["_id"]}, "name": {"$eq": document["name"]}}
    key = stored_name_key(document["name"])
    return UpdateOne(unchanged | {"name_key": None}, {"$set": {"name_key": key}})


def complete_all(database: Database[Document], watch: Callable[[str], None]) -> list[str]:
    """Complete them all, page by page; return a line if there are any.

    Args:
        database: the database, which has its indexes.
        watch: called with a line now and then.
    """
    done = 0
    users = database["users"]
    while page := list(users.find(WITHOUT_KEY, ["name"]).limit(PAGE)):
        users.bulk_write([completing(each) for each in page], ordered=False)
        done += len(page)
        if done % _TELL_EVERY == 0:
            watch(f"{done:,} names can be searched")
    return [f"completed {done:,} names"] if done else []
