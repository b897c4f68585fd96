"""What a change of a role does to those who hold it: on the next request, on both databases."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx2
import pytest

from gatelodge.accounts import roles as role_rules
from gatelodge.accounts.refusals import NoSuchRole, RoleHeld, RoleNameTaken, UnknownRole
from gatelodge.accounts.roles import RoleService
from gatelodge.accounts.service import NewUser
from gatelodge.accounts.store import Role, User
from gatelodge.app import House, create_app
from gatelodge.audit import COMMAND
from gatelodge.errors import OutcomeUnknown, StoreUnavailable
from gatelodge.gate.principal import Principal
from gatelodge.stores.mongo.feed import MAX_STALENESS
from tests.contracts.builders import a_user, an_event
from tests.gate.houses import Device, asked, houses, new_device, reading_through, trusted
from tests.support.events import newest
from tests.support.held import Held
from tests.support.people import PASSWORD

EDIT = "pages:edit"
VERIFY = f"/api/auth/verify?permission={EDIT}"


@pytest.fixture
async def pair(tmp_path: Path, address: str) -> AsyncIterator[list[House]]:
    """Yield two houses over a database in which there is a role `editor`."""
    async with houses(tmp_path, address) as both:
        await both[0].roles.create("editor", "", [EDIT], COMMAND)
        yield both


@contextlib.asynccontextmanager
async def client_of(house: House) -> AsyncIterator[httpx2.AsyncClient]:
    """Yield a client of the whole application over a house."""
    transport = httpx2.ASGITransport(app=create_app(house), raise_app_exceptions=False)
    async with httpx2.AsyncClient(transport=transport, base_url="http://localhost:8080") as client:
        yield client


async def status_in_time(house: House, device: Device, path: str, status: int) -> bool:
    """Say whether a path is answered like this as soon as it must be, and from then on.

    That is by the next request; from another node of MongoDB as soon as the stream tells.
    """
    tells = house.gate.feed.state().kind == "stream"
    deadline = time.monotonic() + (MAX_STALENESS.total_seconds() if tells else 0)
    async with client_of(house) as client:
        while (await client.get(path, headers=device.headers)).status_code != status:
            if time.monotonic() > deadline:
                return False
            await asyncio.sleep(0.002)
        again = [await client.get(path, headers=device.headers) for _ in range(5)]
    return {answer.status_code for answer in again} == {status}


async def permissions_of(house: House, device: Device) -> frozenset[str]:
    """Return what the gate says that a device's user may do."""
    principal = await asked(house, device.token)
    assert isinstance(principal, Principal)
    return principal.permissions


async def crowd_of(house: House, size: int, *roles: str) -> list[User]:
    """Return so many new users who hold these roles."""
    crowd = [a_user(roles=roles) for _ in range(size)]
    for first in range(0, size, 100):  # as many as the driver has connections
        some = crowd[first : first + 100]
        await asyncio.gather(*(house.stores.users.add(user, an_event()) for user in some))
    return crowd


async def holders_of(house: House, role: str) -> int:
    """Return how many users hold the name of a role."""
    return len(await house.stores.users.list_holders(role, limit=10_000))


async def events_of(house: House, name: str) -> list[dict[str, str]]:
    """Return the details of what was recorded under a name, the oldest first."""
    events = await newest(house.stores.events, 100)
    return [dict(event.detail) for event in reversed(events) if event.name == name]


# The next request, with the same token


@pytest.mark.parametrize("writer", [0, 1], ids=["same house", "another house"])
async def test_a_permission_that_is_given_and_taken_counts_at_once(
    pair: list[House], writer: int
) -> None:
    device = await new_device(pair[0], None, "editor")
    roles = pair[writer].roles
    assert await status_in_time(pair[0], device, VERIFY, 200)

    assert await roles.forbid("editor", EDIT, COMMAND)
    assert await status_in_time(pair[0], device, VERIFY, 403)

    assert await roles.permit("editor", EDIT, COMMAND)
    assert await status_in_time(pair[0], device, VERIFY, 200)


@pytest.mark.parametrize("writer", [0, 1], ids=["same house", "another house"])
async def test_a_role_with_a_permission_that_is_granted_and_taken_counts_at_once(
    pair: list[House], writer: int
) -> None:
    device = await new_device(pair[0])
    accounts = pair[writer].accounts
    assert await status_in_time(pair[0], device, VERIFY, 403)

    assert await accounts.grant(device.user, "editor", COMMAND)
    assert await status_in_time(pair[0], device, VERIFY, 200)

    assert await accounts.withdraw(device.user, "editor", COMMAND)
    assert await status_in_time(pair[0], device, VERIFY, 403)


@pytest.mark.parametrize("path", [VERIFY, "/api/auth/verify?role=editor"])
@pytest.mark.parametrize("writer", [0, 1], ids=["same house", "another house"])
async def test_a_role_that_is_deleted_gives_nothing_any_more(
    pair: list[House], writer: int, path: str
) -> None:
    """Neither its permissions nor its name."""
    device = await new_device(pair[0], None, "editor")
    assert await status_in_time(pair[0], device, path, 200)

    assert await pair[writer].roles.delete_and_take("editor", COMMAND) == 1

    assert await status_in_time(pair[0], device, path, 403)
    assert await status_in_time(pair[0], device, "/api/test/user", 200)


async def test_a_page_that_names_a_permission_is_seen_by_whoever_has_it(pair: list[House]) -> None:
    """Of whichever role; the tutorial's board goes on asking for its own role."""
    device = await new_device(pair[0], None, "editor")
    assert await status_in_time(pair[0], device, "/boards/mod", 403)

    await pair[0].roles.permit("editor", "boards:moderate", COMMAND)

    assert await status_in_time(pair[0], device, "/boards/mod", 200)
    assert await status_in_time(pair[0], device, "/api/test/mod", 403)


async def test_me_says_what_the_gate_says(pair: list[House]) -> None:
    device = await new_device(pair[0], None, "editor")
    async with client_of(pair[0]) as client:

        async def me() -> dict[str, Any]:
            answer = await client.get("/api/auth/me", headers=device.headers)
            return {name: answer.json()[name] for name in ("roles", "permissions")}

        assert await me() == {
            "roles": ["user", "editor"],
            "permissions": ["account:manage", EDIT],
        }
        await pair[0].roles.forbid("editor", EDIT, COMMAND)
        assert await me() == {"roles": ["user", "editor"], "permissions": ["account:manage"]}
        await pair[0].stores.roles.remove("editor", an_event())
        assert await me() == {"roles": ["user"], "permissions": ["account:manage"]}


async def test_those_who_hold_the_same_roles_share_one_set_of_permissions(
    pair: list[House],
) -> None:
    devices = [await new_device(pair[0], None, "editor") for _ in range(3)]

    sets = [await permissions_of(pair[0], device) for device in devices]

    assert sets[0] == {"account:manage", EDIT}
    assert all(each is sets[0] for each in sets)


# A fill in flight


@pytest.mark.parametrize("writer", [0, 1], ids=["same house", "another house"])
@pytest.mark.parametrize("what", ["forbid", "delete"])
async def test_permissions_that_were_read_before_a_change_are_never_kept(
    pair: list[House], what: str, writer: int
) -> None:
    """Who asked before the change may pass; nobody after them does."""
    device = await new_device(pair[0], None, "editor")
    sessions = Held(pair[0].stores.sessions, "find_with_rights")
    filling = asyncio.create_task(asked(reading_through(pair[0], sessions), device.token))
    await sessions.arrived.wait()

    if what == "forbid":
        await pair[writer].roles.forbid("editor", EDIT, COMMAND)
    else:
        await pair[writer].stores.roles.remove("editor", an_event())
    sessions.let_go.set()

    principal = await filling
    assert isinstance(principal, Principal)
    assert EDIT in principal.permissions
    assert await status_in_time(pair[0], device, VERIFY, 403)


async def test_the_news_of_a_role_overtakes_a_read_of_it(pair: list[House]) -> None:
    """Else it would be remembered after the last time that anybody is told."""
    device = await new_device(pair[0], None, "editor")
    sessions = Held(pair[0].stores.sessions, "find_with_rights")
    filling = asyncio.create_task(asked(reading_through(pair[0], sessions), device.token))
    await sessions.arrived.wait()
    known = pair[0].gate.memory.changes

    await pair[1].roles.forbid("editor", EDIT, COMMAND)
    while pair[0].gate.memory.changes == known:
        assert pair[0].gate.feed.catch_up()
        await asyncio.sleep(0.002)
    sessions.let_go.set()
    await filling

    assert pair[0].gate.recall(device.token.encode()) is None
    assert EDIT not in await permissions_of(pair[0], device)


async def test_a_warm_check_of_a_permission_reads_nothing(pair: list[House]) -> None:
    """After any change of a role each session is read once, and then remembered again."""
    device = await new_device(pair[0], None, "editor")
    sessions = Counted(pair[0].stores.sessions, "find_with_rights")
    house = reading_through(pair[0], sessions)  # type: ignore[arg-type]
    async with client_of(house) as client:
        for expected in (1, 2):
            for _ in range(100):
                assert (await client.get(VERIFY, headers=device.headers)).status_code == 200
                await asyncio.sleep(0)  # for the feed, which must hear the database
                await trusted(pair[0])  # on a busy machine it may hear late, and then each is read
            assert sessions.calls == expected
            await pair[0].roles.permit("moderator", f"a:{expected}", COMMAND)


# Deleting


async def test_a_role_that_nobody_holds_is_deleted(pair: list[House]) -> None:
    await pair[0].roles.delete("editor", COMMAND)

    assert await pair[0].stores.roles.find("editor") is None
    assert await events_of(pair[0], "role.deleted") == [{"permissions": EDIT}]
    with pytest.raises(NoSuchRole):
        await pair[0].roles.delete("editor", COMMAND)


@pytest.fixture
def page(monkeypatch: pytest.MonkeyPatch) -> int:
    """Let a role be taken from few at once, and return from how many."""
    monkeypatch.setattr(role_rules, "HOLDERS_AT_ONCE", 20)
    return 20


async def test_a_role_that_somebody_holds_is_not_deleted_just_so(pair: list[House]) -> None:
    """A user who is disabled holds it too."""
    [holder] = await crowd_of(pair[0], 1, "editor")
    for change in (None, pair[0].accounts.disable):
        if change is not None:
            await change(holder, COMMAND)
        with pytest.raises(RoleHeld):
            await pair[0].roles.delete("editor", COMMAND)
    assert await pair[0].roles.get("editor") == Role("editor", "", (EDIT,))
    assert await holders_of(pair[0], "editor") == 1


async def test_a_role_is_taken_from_all_in_pages(pair: list[House], page: int) -> None:
    size = 2 * page + 7
    await crowd_of(pair[0], size, "user", "editor")
    [other] = await crowd_of(pair[0], 1, "user", "admin")
    progress: list[int] = []

    taken = await pair[0].roles.delete_and_take("editor", COMMAND, progress.append)

    assert taken == size
    assert progress == [page, 2 * page, size]
    assert await holders_of(pair[0], "editor") == 0
    assert await pair[0].stores.users.find(other.id) == other
    users = await pair[0].stores.users.list_users(after=None, limit=size)
    assert {user.roles for user in users} <= {("user",), ("user", "admin")}
    assert await events_of(pair[0], "role.deleted") == [{"permissions": EDIT}]
    assert await events_of(pair[0], "role.withdrawn") == [{"role": "editor"}] * size
    assert await events_of(pair[0], "role.taken_from_all") == [{"users": str(size)}]


async def test_a_deletion_that_dies_on_the_way_gives_nobody_anything_and_is_gone_on_with(
    pair: list[House], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(role_rules, "HOLDERS_AT_ONCE", 1)  # so nobody is amid a write when it dies
    device = await new_device(pair[0], None, "editor")
    await crowd_of(pair[0], 5, "editor")
    users = Held(pair[0].stores.users, "withdraw")
    dying = replace(pair[0].roles, users=users)  # type: ignore[arg-type]
    deleting = asyncio.create_task(dying.delete_and_take("editor", COMMAND))
    await users.arrived.wait()
    deleting.cancel()
    await asyncio.wait([deleting])
    assert await holders_of(pair[0], "editor") == 5

    # What those who are left may do meanwhile: nothing by it.
    again = await pair[0].stores.users.grant(device.user.id, "editor", an_event())
    assert await status_in_time(pair[0], device, VERIFY, 403)
    assert await status_in_time(pair[0], device, "/api/auth/verify?role=editor", 403)
    with pytest.raises(UnknownRole):
        await pair[0].accounts.grant((await crowd_of(pair[0], 1))[0], "editor", COMMAND)
    with pytest.raises(RoleHeld, match="deleted"):
        await pair[0].roles.create("editor", "", ["all:things"], COMMAND)
    with pytest.raises(RoleHeld):
        await pair[0].roles.delete("editor", COMMAND)

    assert await pair[1].roles.delete_and_take("editor", COMMAND) == 5 + again
    assert await holders_of(pair[0], "editor") == 0
    assert len(await events_of(pair[0], "role.withdrawn")) == 6 + again
    with pytest.raises(NoSuchRole):
        await pair[1].roles.delete_and_take("editor", COMMAND)

    # And nobody of them holds a new role of that name.
    await pair[1].roles.create("editor", "", [EDIT], COMMAND)
    assert await status_in_time(pair[0], device, VERIFY, 403)


async def test_a_name_of_a_deleted_role_can_be_taken_from_one_user(pair: list[House]) -> None:
    [user] = await crowd_of(pair[0], 1, "user", "ghost")

    assert await pair[0].accounts.withdraw(user, "ghost", COMMAND)

    assert await holders_of(pair[0], "ghost") == 0
    with pytest.raises(UnknownRole):
        await pair[0].accounts.withdraw(replace(user, roles=("user",)), "ghost", COMMAND)


# Deleting beside granting


async def test_grants_beside_a_deletion_leave_nobody_with_a_role_that_is_gone(
    pair: list[House],
) -> None:
    """Each grant is refused, or was there in time to be taken."""
    crowd = await crowd_of(pair[0], 60)

    async def grant(number: int, user: User) -> object:
        await asyncio.sleep(0.0005 * number)
        return await pair[number % 2].accounts.grant(user, "editor", COMMAND)

    granting = asyncio.gather(
        *(grant(number, user) for number, user in enumerate(crowd)), return_exceptions=True
    )
    await asyncio.sleep(0.01)
    await pair[1].roles.delete_and_take("editor", COMMAND)
    outcomes = await granting

    assert {type(each) for each in outcomes} <= {bool, UnknownRole}
    assert await pair[0].stores.roles.find("editor") is None
    assert await holders_of(pair[0], "editor") == 0


async def test_a_role_is_not_deleted_under_whom_it_is_granted_to(pair: list[House]) -> None:
    """Without taking it from all: either somebody holds the role, or it is gone."""
    for number in range(10):
        name = f"role-{number}"
        await pair[0].roles.create(name, "", [EDIT], COMMAND)
        [user] = await crowd_of(pair[0], 1)

        granted, deleted = await asyncio.gather(
            pair[0].accounts.grant(user, name, COMMAND),
            pair[1].roles.delete(name, COMMAND),
            return_exceptions=True,
        )

        role = await pair[0].stores.roles.find(name)
        held = await holders_of(pair[0], name) == 1
        assert held == (granted is True)
        assert (role is None) == (deleted is True)
        assert not (held and role is None)
        assert isinstance(deleted, RoleHeld | bool)
        assert isinstance(granted, UnknownRole | bool)
        assert role is None or role.permissions == (EDIT,)


async def test_a_grant_that_lands_when_the_role_is_gone_is_taken_back(pair: list[House]) -> None:
    """It had seen the role; the deletion has been through by the time it writes."""
    [user] = await crowd_of(pair[0], 1, "user")
    roles = Held(pair[0].stores.roles, "list_roles")
    slow = replace(pair[0].accounts, roles=roles)  # type: ignore[arg-type]
    granting = asyncio.create_task(slow.grant(user, "editor", COMMAND))
    await roles.arrived.wait()
    assert await pair[1].roles.delete_and_take("editor", COMMAND) == 0
    roles.let_go.set()

    with pytest.raises(UnknownRole):
        await granting

    assert await pair[0].stores.users.find(user.id) == user
    assert await events_of(pair[0], "role.granted") == [{"role": "editor"}]
    assert await events_of(pair[0], "role.withdrawn") == [{"role": "editor"}]


async def test_a_user_who_is_made_while_a_role_is_deleted_does_not_hold_it(
    pair: list[House],
) -> None:
    """A password takes a while to hash."""
    wanted = NewUser("ann", "ann@example.com", PASSWORD, ("user", "editor"))
    prepared = await pair[0].accounts.prepare(wanted)
    await pair[1].roles.delete_and_take("editor", COMMAND)

    made = await pair[0].accounts.add(prepared, "user.created", COMMAND)

    assert made.roles == ("user",)
    assert await pair[0].stores.users.find(made.id) == made
    assert await events_of(pair[0], "user.created") == [{"roles": "user editor"}]
    assert await events_of(pair[0], "role.withdrawn") == [{"role": "editor"}]


async def test_a_role_that_is_granted_while_it_is_deleted_stays_as_it_was(
    pair: list[House],
) -> None:
    """With the permission that it got at the last moment."""
    [user] = await crowd_of(pair[0], 1)
    roles = Held(pair[0].stores.roles, "find")
    deleting = asyncio.create_task(
        replace(pair[0].roles, roles=roles).delete("editor", COMMAND)  # type: ignore[arg-type]
    )
    await roles.arrived.wait()  # nobody holds it yet
    assert await pair[1].accounts.grant(user, "editor", COMMAND)
    assert await pair[1].roles.permit("editor", "pages:delete", COMMAND)
    roles.let_go.set()

    with pytest.raises(RoleHeld):
        await deleting

    role = await pair[0].roles.get("editor")
    assert role.permissions == (EDIT, "pages:delete")
    assert await holders_of(pair[0], "editor") == 1
    assert await events_of(pair[0], "role.deleted") == []


async def test_of_many_deletions_one_counts(pair: list[House]) -> None:
    await crowd_of(pair[0], 30, "editor")

    outcomes = await asyncio.gather(
        *(pair[number % 2].roles.delete_and_take("editor", COMMAND) for number in range(10)),
        return_exceptions=True,
    )

    taken = [each for each in outcomes if isinstance(each, int)]
    assert {type(each) for each in outcomes} <= {int, NoSuchRole}
    assert sum(taken) == 30
    assert len(await events_of(pair[0], "role.deleted")) == 1


async def test_of_many_who_make_one_role_one_does(pair: list[House]) -> None:
    outcomes = await asyncio.gather(
        *(
            pair[number % 2].roles.create("author", f"Number {number}.", [], COMMAND)
            for number in range(20)
        ),
        return_exceptions=True,
    )

    [made] = [each for each in outcomes if isinstance(each, Role)]
    assert {type(each) for each in outcomes} == {Role, RoleNameTaken}
    assert await pair[0].roles.get("author") == made
    assert len(await events_of(pair[0], "role.created")) == 2  # `editor` is the other one


@pytest.mark.parametrize("method", ["list_holders", "withdraw"])
async def test_when_the_database_goes_away_on_the_way_nobody_is_told_that_nothing_changed(
    pair: list[House], method: str
) -> None:
    await crowd_of(pair[0], 1, "editor")
    users = Away(pair[0].stores.users, method)

    with pytest.raises(OutcomeUnknown):
        await dying(pair[0].roles, users).delete_and_take("editor", COMMAND)

    assert await pair[0].stores.roles.find("editor") is None
    assert await pair[0].roles.delete_and_take("editor", COMMAND) == 1


def dying(roles: RoleService, users: "Away") -> RoleService:
    """Return the same service over users who cannot be reached."""
    return replace(roles, users=users)  # type: ignore[arg-type]


class Away:
    """Stands in front of a store of which one method finds no database any more."""

    def __init__(self, store: object, method: str) -> None:
        """Hand on everything else."""
        self._store = store
        self._method = method

    def __getattr__(self, name: str) -> Any:
        """Return the store's own, or what fails."""
        return self._fail if name == self._method else getattr(self._store, name)

    async def _fail(self, *_question: object, **_how: object) -> None:
        raise StoreUnavailable(retry_after=1)


class Counted:
    """Stands in front of a store and counts the calls of one method."""

    def __init__(self, store: object, method: str) -> None:
        """Hand everything on."""
        self._store = store
        self._method = method
        self.calls = 0

    def __getattr__(self, name: str) -> Any:
        """Return the store's own, counted."""
        self.calls += name == self._method
        return getattr(self._store, name)
