"""Questions to MongoDB that are asked often use an index."""

import pytest

from gatelodge.accounts.search import UserQuery
from gatelodge.audit import EventQuery
from gatelodge.sessions.store import SessionQuery
from gatelodge.stores import Stores
from tests.contracts.builders import NOON, a_session, a_user, an_event
from tests.support.databases import with_collections
from tests.support.mongod import observed

pytestmark = [
    pytest.mark.alone,  # it sets a parameter of the server that all tests share
    pytest.mark.usefixtures("lost_sockets"),
    pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning"),
]


@pytest.fixture
def address(mongodb_address: str) -> str:
    """Return the address of a MongoDB database: these tests need no other database."""
    return with_collections(mongodb_address)


async def test_no_frequent_question_reads_a_whole_collection(stores: Stores, address: str) -> None:
    """The server is set to refuse queries without an index, and answers all of these."""
    ada = a_user("Ada", roles=("admin",))
    session = a_session(user_id=ada.id)
    admin = observed(address).client.admin
    admin.command("setParameter", notablescan=True)
    try:
        await stores.users.add(ada, an_event())
        await stores.users.find_by_username("ada")
        await stores.users.list_users(after=ada.id, limit=10)
        await stores.users.anyone_holds("admin")
        await stores.users.change_password(ada, "new", an_event(), continued=session.id)
        for order in ("created", "username", "last_sign_in"):
            query = UserQuery(order=order, enabled=True)  # type: ignore[arg-type]
            page = await stores.users.search(query, after=None, limit=1)
            await stores.users.search(query, after=page.after, limit=1)
        for query in (
            *(UserQuery(text="a"), UserQuery(text="a", role="admin"), UserQuery(factor="none")),
            *(
                UserQuery(enabled=False),
                UserQuery(verified=False),
                UserQuery(signed_in_from=NOON),
            ),
        ):
            await stores.users.search(query, after=None, limit=1)
            await stores.users.count_matching(query, limit=10)
        await stores.users.count_users()
        await stores.users.count_created([NOON, NOON])
        await stores.users.complete_names()  # type: ignore[attr-defined]
        await stores.users.sweep_names()  # type: ignore[attr-defined]
        await stores.users.outbox.sweep()  # type: ignore[attr-defined]
        await stores.users.remove(ada.id, an_event(), unless_last="user")
        await stores.letters.list_letters(before="ltr_z", limit=5, states=["given_up"])
        await stores.letters.count("given_up", limit=5)
        await stores.sessions.add(session)
        await stores.sessions.rotate(session.id, 0, lambda: NOON)
        await stores.sessions.list_live(ada, NOON, used_after=NOON, before=None, limit=10)
        for query in (SessionQuery(), SessionQuery(ada.id), SessionQuery(address="c")):
            await stores.sessions.search(query, NOON, used_after=NOON, before=session.id, limit=10)
        await stores.users.find_many([ada.id])
        await stores.sessions.remove_ended(NOON)
        await stores.events.add(an_event())
        await stores.events.search(EventQuery(), before="evt_z", limit=10)
        await stores.events.search(EventQuery(about=ada.id), before=None, limit=10)
        await stores.events.search(EventQuery(name="a.b", address="c"), before=None, limit=10)
        await stores.events.blank(ada.id, after=None, limit=10)
        await stores.events.remove_before(NOON, limit=10)
        await stores.tallies.add({(NOON.date(), "session.opened"): 1})
        await stores.tallies.list_days(NOON.date(), NOON.date())
        await stores.tallies.remove_before(NOON.date())
    finally:
        admin.command("setParameter", notablescan=False)
