"""What every store promises about roles."""

import asyncio
from dataclasses import replace

import pytest

from gatelodge.accounts.store import Rights, Role
from gatelodge.errors import AlreadyExists
from gatelodge.stores import Stores
from gatelodge.stores.mongo.roles import MongoRoles
from gatelodge.stores.mongo.sessions import MongoSessions
from tests.contracts.builders import a_session, a_user, an_event
from tests.support.held import Held

ADMIN = Role("admin", "Runs the place.", ("users:write", "events:read"))
USER = Role("user", "Whoever signed up.")
EDITOR = Role("editor", "Writes \u2013 and \u201ccorrects\u201d.", ("pages:write",))
LIMIT = 256


async def test_roles_come_back_in_order_of_name(stores: Stores) -> None:
    await stores.roles.ensure([USER, ADMIN])

    assert await stores.roles.list_roles() == [ADMIN, USER]


async def test_a_role_that_exists_stays_as_it_is(stores: Stores) -> None:
    await stores.roles.ensure([ADMIN])
    await stores.roles.ensure([Role("admin", "Something else."), USER])

    assert await stores.roles.list_roles() == [ADMIN, USER]


async def test_an_empty_set_of_roles_can_be_ensured(stores: Stores) -> None:
    await stores.roles.ensure([])

    assert await stores.roles.list_roles() == []


async def test_servers_that_start_together_may_all_ensure_the_roles(stores: Stores) -> None:
    await asyncio.gather(*(stores.roles.ensure([ADMIN, USER]) for _ in range(50)))

    assert await stores.roles.list_roles() == [ADMIN, USER]


async def test_a_role_is_found_as_it_was_kept(stores: Stores) -> None:
    await stores.roles.add(EDITOR, an_event())

    assert await stores.roles.find("editor") == EDITOR
    assert await stores.roles.find("edit") is None
    assert await stores.roles.list_roles() == [EDITOR]


async def test_a_name_that_is_taken_is_refused(stores: Stores) -> None:
    await stores.roles.add(EDITOR, an_event())

    with pytest.raises(AlreadyExists) as caught:
        await stores.roles.add(Role("editor", "Another one."), an_event())

    assert caught.value.field == "name"
    assert await stores.roles.find("editor") == EDITOR


async def test_of_many_roles_of_one_name_one_stays(stores: Stores) -> None:
    wanted = [Role("editor", f"Number {number}.") for number in range(50)]

    outcomes = await asyncio.gather(
        *(stores.roles.add(role, an_event()) for role in wanted), return_exceptions=True
    )

    [kept] = [role for role, error in zip(wanted, outcomes, strict=True) if error is None]
    assert all(isinstance(error, AlreadyExists) for error in outcomes if error is not None)
    assert await stores.roles.list_roles() == [kept]


async def test_a_role_is_described_in_other_words(stores: Stores) -> None:
    await stores.roles.add(EDITOR, an_event())

    assert await stores.roles.describe("editor", "Corrects.", an_event())
    assert not await stores.roles.describe("editor", "Corrects.", an_event())
    assert not await stores.roles.describe("nobody", "Corrects.", an_event())

    assert await stores.roles.find("editor") == replace(EDITOR, description="Corrects.")


async def test_a_permission_is_given_once_and_behind_the_others(stores: Stores) -> None:
    await stores.roles.add(EDITOR, an_event())

    assert await stores.roles.permit("editor", "pages:delete", an_event(), limit=LIMIT)
    assert not await stores.roles.permit("editor", "pages:delete", an_event(), limit=LIMIT)
    assert await stores.roles.permit("editor", "a:b", an_event(), limit=LIMIT)
    assert not await stores.roles.permit("nobody", "a:b", an_event(), limit=LIMIT)

    permissions = ("pages:write", "pages:delete", "a:b")
    assert await stores.roles.find("editor") == replace(EDITOR, permissions=permissions)


async def test_a_permission_is_taken_once(stores: Stores) -> None:
    await stores.roles.add(ADMIN, an_event())

    assert await stores.roles.forbid("admin", "users:write", an_event())
    assert not await stores.roles.forbid("admin", "users:write", an_event())
    assert not await stores.roles.forbid("nobody", "users:write", an_event())

    assert await stores.roles.find("admin") == replace(ADMIN, permissions=("events:read",))


async def test_of_fifty_permissions_given_at_once_all_stay(stores: Stores) -> None:
    await stores.roles.add(EDITOR, an_event())
    given = [f"pages:number-{number}" for number in range(50)]

    outcomes = await asyncio.gather(
        *(stores.roles.permit("editor", each, an_event(), limit=LIMIT) for each in given)
    )

    assert outcomes == [True] * 50
    role = await stores.roles.find("editor")
    assert role is not None
    assert sorted(role.permissions) == sorted(["pages:write", *given])


async def test_what_is_given_and_taken_at_once_undoes_nothing_else(stores: Stores) -> None:
    taken = [f"pages:old-{number}" for number in range(25)]
    given = [f"pages:new-{number}" for number in range(25)]
    await stores.roles.add(Role("editor", "", tuple(taken)), an_event())

    await asyncio.gather(
        *(stores.roles.forbid("editor", each, an_event()) for each in taken),
        *(stores.roles.permit("editor", each, an_event(), limit=LIMIT) for each in given),
        *(stores.roles.describe("editor", f"Number {number}.", an_event()) for number in range(10)),
    )

    role = await stores.roles.find("editor")
    assert role is not None
    assert sorted(role.permissions) == sorted(given)


async def test_of_one_permission_given_by_many_one_counts(stores: Stores) -> None:
    await stores.roles.add(USER, an_event())

    outcomes = await asyncio.gather(
        *(stores.roles.permit("user", "a:b", an_event(), limit=LIMIT) for _ in range(50))
    )

    assert outcomes.count(True) == 1
    assert await stores.roles.find("user") == replace(USER, permissions=("a:b",))


async def test_no_role_has_more_permissions_than_the_limit(stores: Stores) -> None:
    """However many are given at once."""
    await stores.roles.add(EDITOR, an_event())

    outcomes = await asyncio.gather(
        *(
            stores.roles.permit("editor", f"a:{number}", an_event(), limit=10)
            for number in range(30)
        )
    )

    assert outcomes.count(True) == 9
    role = await stores.roles.find("editor")
    assert role is not None
    assert len(role.permissions) == 10
    assert await stores.roles.forbid("editor", "pages:write", an_event())
    assert await stores.roles.permit("editor", "a:again", an_event(), limit=10)


async def test_a_role_that_is_removed_is_gone(stores: Stores) -> None:
    await stores.roles.ensure([EDITOR, USER])

    assert await stores.roles.remove("editor", an_event()) == EDITOR
    assert await stores.roles.remove("editor", an_event()) is None

    assert await stores.roles.find("editor") is None
    assert await stores.roles.list_roles() == [USER]
    assert not await stores.roles.permit("editor", "a:b", an_event(), limit=LIMIT)
    assert not await stores.roles.forbid("editor", "pages:write", an_event())
    assert not await stores.roles.describe("editor", "Gone.", an_event())
    await stores.roles.add(EDITOR, an_event())
    assert await stores.roles.find("editor") == EDITOR


async def test_of_many_removals_one_gets_the_role(stores: Stores) -> None:
    """As it was at its end: with every permission that was given before."""
    await stores.roles.add(EDITOR, an_event())

    *given, removed = await asyncio.gather(
        *(
            stores.roles.permit("editor", f"a:{number}", an_event(), limit=LIMIT)
            for number in range(10)
        ),
        asyncio.gather(*(stores.roles.remove("editor", an_event()) for _ in range(20))),
    )

    [role] = [each for each in removed if each is not None]
    assert len(role.permissions) == 1 + given.count(True)


# Changes of roles that may have certain permissions only


async def test_a_role_with_other_permissions_is_left_as_it_is(stores: Stores) -> None:
    await stores.roles.ensure([ADMIN])
    some = frozenset({"users:write", "pages:write"})

    assert not await stores.roles.describe("admin", "Other.", an_event(), within=some)
    assert not await stores.roles.permit("admin", "a:b", an_event(), limit=LIMIT, within=some)
    assert not await stores.roles.forbid("admin", "users:write", an_event(), within=some)
    assert await stores.roles.remove("admin", an_event(), within=some) is None
    gone = await stores.roles.remove("admin", an_event(), unless_held=True, within=frozenset())
    assert gone is None

    assert await stores.roles.find("admin") == ADMIN


async def test_a_role_with_no_other_permissions_is_changed(stores: Stores) -> None:
    """One that permits nothing, too."""
    await stores.roles.ensure([ADMIN, USER])
    all_of_them = [*ADMIN.permissions, "pages:write"]

    for name, within in (("admin", all_of_them), ("user", [])):
        assert await stores.roles.describe(name, "Other.", an_event(), within=within)
        assert await stores.roles.permit(name, "a:b", an_event(), limit=LIMIT, within=within)
        more = [*within, "a:b"]
        assert await stores.roles.forbid(name, "a:b", an_event(), within=more)
        gone = await stores.roles.remove(name, an_event(), unless_held=True, within=more)
        assert gone is not None
    assert await stores.roles.list_roles() == []


async def test_a_role_that_gets_more_meanwhile_gets_nothing_else(stores: Stores) -> None:
    """Fifty times, one gives what another does not have, who gives something of theirs."""
    for number in range(50):
        name = f"role-{number}"
        await stores.roles.add(Role(name, "", ("pages:write",)), an_event())
        more, given = await asyncio.gather(
            stores.roles.permit(name, "users:write", an_event(), limit=LIMIT),
            stores.roles.permit(name, "a:b", an_event(), limit=LIMIT, within=["pages:write"]),
        )
        role = await stores.roles.find(name)
        assert role is not None
        assert more
        in_order = (
            ("pages:write", "a:b", "users:write") if given else ("pages:write", "users:write")
        )
        assert role.permissions == in_order


# Holders


async def test_every_holder_is_listed_whatever_their_state(stores: Stores) -> None:
    holders = [
        a_user(roles=("user", "editor")),
        a_user(roles=("editor",), disabled_at=a_user().created_at),
    ]
    for user in [*holders, a_user(), a_user(roles=("editors",))]:
        await stores.users.add(user, an_event())

    listed = await stores.users.list_holders("editor", limit=10)

    assert sorted(listed) == sorted(user.id for user in holders)
    assert len(await stores.users.list_holders("editor", limit=1)) == 1
    assert await stores.users.list_holders("nobody", limit=10) == []


async def test_a_holder_who_is_gone_is_not_listed(stores: Stores) -> None:
    user = a_user(roles=("editor",))
    await stores.users.add(user, an_event())

    await stores.users.remove(user.id, an_event())

    assert await stores.users.list_holders("editor", limit=10) == []
    assert not await stores.users.withdraw(user.id, "editor", an_event())


# Rights


async def test_a_session_is_found_with_its_user_and_their_rights(stores: Stores) -> None:
    """Of a role that does not exist, the name alone is held: it gives nothing."""
    await stores.roles.ensure([ADMIN, EDITOR, USER])
    user = a_user(roles=("editor", "ghost", "user", "admin"))
    session = a_session(user_id=user.id)
    await stores.sessions.add(session)
    assert await stores.sessions.find_with_rights(session.id) is None
    await stores.users.add(user, an_event())

    found = await stores.sessions.find_with_rights(session.id)

    permissions = frozenset({"pages:write", "users:write", "events:read"})
    assert found == (session, user, Rights(("editor", "user", "admin"), permissions))
    assert found[2] == Rights.of(user.roles, await stores.roles.list_roles())
    await stores.users.remove(user.id, an_event())
    assert await stores.sessions.find_with_rights(session.id) is None


async def test_who_holds_nothing_has_no_rights(stores: Stores) -> None:
    user = a_user(roles=())
    session = a_session(user_id=user.id)
    await stores.users.add(user, an_event())
    await stores.sessions.add(session)

    assert await stores.sessions.find_with_rights(session.id) == (session, user, Rights())


async def test_rights_are_those_of_this_moment(stores: Stores) -> None:
    await stores.roles.ensure([EDITOR])
    user = a_user(roles=("editor",))
    session = a_session(user_id=user.id)
    await stores.users.add(user, an_event())
    await stores.sessions.add(session)

    async def permissions() -> set[str]:
        found = await stores.sessions.find_with_rights(session.id)
        assert found is not None
        return set(found[2].permissions)

    await stores.roles.permit("editor", "a:b", an_event(), limit=LIMIT)
    assert await permissions() == {"pages:write", "a:b"}
    await stores.roles.forbid("editor", "pages:write", an_event())
    assert await permissions() == {"a:b"}
    await stores.roles.remove("editor", an_event())
    assert await permissions() == set()
    await stores.roles.add(EDITOR, an_event())
    assert await permissions() == {"pages:write"}
    await stores.users.withdraw(user.id, "editor", an_event())
    assert await permissions() == set()


async def test_nobody_is_found_with_what_a_role_got_after_they_lost_it(stores: Stores) -> None:
    """Whoever reads meanwhile: the two changes are made in this order, one after the other."""
    user = a_user(roles=("user",))
    session = a_session(user_id=user.id)
    await stores.users.add(user, an_event())
    await stores.sessions.add(session)
    over = asyncio.Event()
    seen: set[str] = set()

    async def keep_reading() -> None:
        while not over.is_set():
            found = await stores.sessions.find_with_rights(session.id)
            assert found is not None
            seen.update(found[2].permissions)

    async with asyncio.TaskGroup() as reading:
        for _ in range(4):
            reading.create_task(keep_reading())
        for number in range(40):
            name = f"role-{number}"
            await stores.roles.add(Role(name, "", ("held:once",)), an_event())
            await stores.users.grant(user.id, name, an_event())
            await stores.users.withdraw(user.id, name, an_event())
            await stores.roles.permit(name, "given:late", an_event(), limit=LIMIT)
        over.set()

    assert seen <= {"held:once"}


@pytest.mark.parametrize("address", ["mongodb"], indirect=True)
async def test_roles_that_are_read_after_one_was_taken_are_read_again(stores: Stores) -> None:
    """The same, with both changes exactly between the two reads."""
    await stores.roles.ensure([EDITOR, USER])
    user = a_user(roles=("user", "editor"))
    session = a_session(user_id=user.id)
    await stores.users.add(user, an_event())
    await stores.sessions.add(session)
    assert isinstance(stores.sessions, MongoSessions)
    assert isinstance(stores.roles, MongoRoles)
    held = Held(stores.sessions.users, "find")
    reader = replace(stores.sessions, users=held)  # type: ignore[arg-type]

    reading = asyncio.create_task(reader.find_with_rights(session.id))
    await held.arrived.wait()  # the user was read, the roles not yet
    await stores.users.withdraw(user.id, "editor", an_event())
    await stores.roles.permit("editor", "pages:delete", an_event(), limit=LIMIT)
    held.let_go.set()

    found = await reading
    assert found is not None
    assert found[2] == Rights(("user",), frozenset())
