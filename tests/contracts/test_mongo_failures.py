"""Which refusals MongoDB's errors become. The servers in these tests really fail."""

from collections.abc import Awaitable, Callable, Iterator

import pytest
from pymongo.errors import OperationFailure

from gatelodge.accounts.store import SET_PASSWORD, Role
from gatelodge.errors import OutcomeUnknown, StoreUnavailable
from gatelodge.stores import Stores, open_stores
from tests.contracts.builders import NOON, a_session, a_signing_key, a_user, an_event
from tests.contracts.failpoints import failing
from tests.support.events import newest
from tests.support.mongod import empty_mongodb
from tests.support.server import free_port

pytestmark = [
    pytest.mark.usefixtures("lost_sockets"),
    pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning"),
]

NOT_PRIMARY = 10107
UNAUTHORIZED = 13
REPLICATION_FAILED = {"code": 64, "errmsg": "waiting for replication timed out"}

Verb = Callable[[Stores], Awaitable[object]]

READS: dict[str, Verb] = {
    "users.find": lambda stores: stores.users.find(a_user().id),
    "users.find_by_username": lambda stores: stores.users.find_by_username("ada"),
    "users.list_users": lambda stores: stores.users.list_users(after=None, limit=1),
    "users.anyone_holds": lambda stores: stores.users.anyone_holds("admin"),
    "roles.list_roles": lambda stores: stores.roles.list_roles(),
    "roles.find": lambda stores: stores.roles.find("admin"),
    "users.list_holders": lambda stores: stores.users.list_holders("admin", limit=1),
    "sessions.find_with_rights": lambda stores: stores.sessions.find_with_rights(a_session().id),
    "sessions.find": lambda stores: stores.sessions.find(a_session().id),
    "sessions.list_live": lambda stores: stores.sessions.list_live(
        a_user(), NOON, used_after=NOON, before=None, limit=1
    ),
    "signing_keys.list_keys": lambda stores: stores.signing_keys.list_keys(),
    "events.list_events": lambda stores: newest(stores.events, 1),
    "database.ping": lambda stores: stores.database.ping(),
}
WRITES: dict[str, Verb] = {
    "users.add": lambda stores: stores.users.add(a_user(), an_event()),
    "users.change_password": lambda stores: stores.users.change_password(
        a_user(), "new", an_event(), continued=None
    ),
    "users.rename": lambda stores: stores.users.rename(
        a_user("Ada"), an_event(), name="Ada L.", username="ADA", username_key="ada"
    ),
    "users.reset_password": lambda stores: stores.users.reset_password(
        a_user(), "new", an_event(), at=NOON
    ),
    "users.set_email": lambda stores: stores.users.set_email(
        a_user("Ada"),
        an_event(),
        email="ada@example.org",
        email_key="ada@example.org",
        verified_at=NOON,
    ),
    "users.require": lambda stores: stores.users.require(a_user().id, SET_PASSWORD, an_event()),
    "users.grant": lambda stores: stores.users.grant(a_user().id, "admin", an_event()),
    "users.withdraw": lambda stores: stores.users.withdraw(a_user().id, "admin", an_event()),
    "roles.add": lambda stores: stores.roles.add(Role("editor", ""), an_event()),
    "roles.describe": lambda stores: stores.roles.describe("editor", "x", an_event()),
    "roles.permit": lambda stores: stores.roles.permit("editor", "a:b", an_event(), limit=256),
    "roles.forbid": lambda stores: stores.roles.forbid("editor", "a:b", an_event()),
    "roles.remove": lambda stores: stores.roles.remove("editor", an_event()),
    "sessions.add": lambda stores: stores.sessions.add(a_session()),
    "sessions.rotate": lambda stores: stores.sessions.rotate(a_session().id, 0, lambda: NOON),
    "sessions.remove_ended": lambda stores: stores.sessions.remove_ended(NOON),
    "signing_keys.add": lambda stores: stores.signing_keys.add(a_signing_key(), an_event()),
    "events.add": lambda stores: stores.events.add(an_event()),
}
WRITE_COMMANDS = ("insert", "update", "delete", "findAndModify")


@pytest.fixture
def address(own_mongodb: str) -> Iterator[str]:
    """Yield the address of a MongoDB database: these tests need no other database."""
    yield own_mongodb
    empty_mongodb(own_mongodb)


@pytest.mark.parametrize("read", READS.values(), ids=READS)
async def test_a_read_that_fails_says_so(stores: Stores, address: str, read: Verb) -> None:
    with (
        failing(address, "find", closeConnection=True),
        pytest.raises(StoreUnavailable) as caught,
    ):
        await read(stores)

    assert caught.value.retry_after
    await read(stores)


async def test_a_read_that_fails_once_is_asked_again(stores: Stores, address: str) -> None:
    with failing(address, "find", mode={"times": 1}, closeConnection=True):
        assert await stores.roles.list_roles() == []


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
async def test_after_a_lost_connection_the_outcome_is_unknown(
    stores: Stores, address: str, write: Verb
) -> None:
    with (
        failing(address, *WRITE_COMMANDS, closeConnection=True),
        pytest.raises(OutcomeUnknown) as caught,
    ):
        await write(stores)

    assert caught.value.retry_after


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
async def test_what_no_majority_confirmed_may_be_lost(
    stores: Stores, address: str, write: Verb
) -> None:
    with (
        failing(address, *WRITE_COMMANDS, writeConcernError=REPLICATION_FAILED),
        pytest.raises(OutcomeUnknown),
    ):
        await write(stores)


async def test_a_write_whose_connection_is_lost_once_is_done_once(
    stores: Stores, address: str
) -> None:
    session = a_session()
    await stores.sessions.add(session)

    with failing(address, "update", mode={"times": 1}, closeConnection=True):
        assert await stores.sessions.rotate(session.id, 0, lambda: NOON)

    assert not await stores.sessions.rotate(session.id, 0, lambda: NOON)


async def test_an_unconfirmed_write_may_have_happened(stores: Stores, address: str) -> None:
    session = a_session()
    await stores.sessions.add(session)

    with (
        failing(address, "update", writeConcernError=REPLICATION_FAILED),
        pytest.raises(OutcomeUnknown),
    ):
        await stores.sessions.revoke(session.id, NOON, "signed_out", an_event())

    assert not await stores.sessions.revoke(session.id, NOON, "signed_out", an_event())


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
async def test_a_write_that_no_primary_takes_changes_nothing(
    stores: Stores, address: str, write: Verb
) -> None:
    labels = ["RetryableWriteError", "NoWritesPerformed"]
    with (
        failing(address, *WRITE_COMMANDS, errorCode=NOT_PRIMARY, errorLabels=labels),
        pytest.raises(StoreUnavailable),
    ):
        await write(stores)


@pytest.mark.parametrize("verb", (READS | WRITES).values(), ids=READS | WRITES)
async def test_where_no_server_answers_nothing_changes(verb: Verb) -> None:
    address = f"mongodb://127.0.0.1:{free_port()}/nowhere?serverSelectionTimeoutMS=50"
    stores = open_stores(address)
    await stores.database.start()
    try:
        with pytest.raises(StoreUnavailable) as caught:
            await verb(stores)
    finally:
        await stores.database.stop()

    assert caught.value.retry_after


async def test_an_error_that_no_retry_can_fix_stays_an_exception(
    stores: Stores, address: str
) -> None:
    with failing(address, "find", "update", errorCode=UNAUTHORIZED):
        with pytest.raises(OperationFailure):
            await stores.roles.list_roles()
        with pytest.raises(OperationFailure):
            await stores.sessions.rotate(a_session().id, 0, lambda: NOON)
