"""Accounts: cases that a test with one request can hardly reach."""

import asyncio

import httpx2
import pytest

from gatelodge.accounts.refusals import LastAdmin, UnknownRole
from gatelodge.accounts.roles import ADMIN
from gatelodge.accounts.service import NewUser
from gatelodge.app import House
from gatelodge.audit import COMMAND
from gatelodge.credentials.refusals import RejectedPassword
from tests.contracts.builders import an_event
from tests.support.people import PASSWORD, Person


@pytest.mark.parametrize("way", ["delete", "disable", "withdraw"])
async def test_two_administrators_who_go_at_once_do_not_leave_none(house: House, way: str) -> None:
    """Each of them still sees the other one. At the end there is an administrator."""
    users = [
        await house.accounts.create(
            NewUser(name, f"{name}@example.com", PASSWORD, (ADMIN,)), COMMAND
        )
        for name in ("adele", "bertha")
    ]
    act = {
        "delete": lambda user: house.accounts.delete(user, COMMAND),
        "disable": lambda user: house.accounts.disable(user, COMMAND),
        "withdraw": lambda user: house.accounts.withdraw(user, ADMIN, COMMAND),
    }[way]
    outcomes = await asyncio.gather(*(act(user) for user in users), return_exceptions=True)
    assert any(isinstance(outcome, LastAdmin) for outcome in outcomes)
    assert await house.accounts.has_admin()


async def test_a_name_that_is_not_ascii_goes_through_forward_auth(
    client: httpx2.AsyncClient, house: House
) -> None:
    """The proxy gets the name as it was typed, from the fast door and from the route behind it."""
    person = Person("ａｌｉｃｅ", client)
    body = {"username": person.name, "email": "alice@example.com", "password": PASSWORD}
    assert (await client.post("/api/auth/signup", json=body)).status_code == 200
    await person.sign_in()
    for extra in ({}, {}, {"origin": "http://localhost:8080"}):
        response = await client.get("/api/auth/verify", headers=person.headers | extra)
        assert response.status_code == 200
        names = [value for name, value in response.headers.raw if name.lower() == b"x-auth-user"]
        assert names == ["ａｌｉｃｅ".encode()]


@pytest.mark.parametrize(
    "settings",
    [{"site_name": "Little Swans", "public_url": "https://swans.example.com"}],
    indirect=True,
)
@pytest.mark.parametrize("password", ["little swans", "SWANS.EXAMPLE.COM", "Gatelodge"])
async def test_nobody_has_the_name_of_the_site_for_a_password(house: House, password: str) -> None:
    """The names of its host and of this product are refused too (ASVS 6.2.11)."""
    with pytest.raises(RejectedPassword):
        await house.accounts.create(NewUser("ann", "ann@example.com", password), COMMAND)


async def test_the_roles_of_every_installation_come_back_when_the_database_was_emptied(
    house: House,
) -> None:
    """Under a server that runs; roles that an operator made are gone for good."""
    for role in ("user", "moderator", "admin"):
        await house.stores.roles.remove(role, an_event())
    await house.accounts.sign_up(NewUser("ann", "ann@example.com", PASSWORD), COMMAND.origin)
    with pytest.raises(UnknownRole):
        await house.accounts.create(
            NewUser("bob", "bob@example.com", PASSWORD, ("editor",)), COMMAND
        )
    assert "user" in {role.name for role in await house.roles.list_roles()}
