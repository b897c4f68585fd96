"""What every store promises about roles."""

import asyncio

from gatelodge.accounts.store import Role
from gatelodge.stores import Stores

ADMIN = Role("admin", "Runs the place.", ("users:write", "events:read"))
USER = Role("user", "Whoever signed up.")


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
