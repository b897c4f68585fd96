"""`auth.users`: what the code of an application may do with users."""

from collections.abc import AsyncIterator
from enum import StrEnum

import pytest
from fastapi import FastAPI

from gatelodge.credentials.passwords import PasswordHasher
from gatelodge.fastapi import Account, CurrentUser, Gatelodge, Refused
from tests.embedded.applications import Running, running
from tests.gate.houses import new_device
from tests.support.events import newest
from tests.support.people import PASSWORD


class Kind(StrEnum):
    """Roles of an application."""

    MODERATOR = "moderator"


@pytest.fixture
async def site(auth: Gatelodge) -> AsyncIterator[Running]:
    """Yield an application that makes and deletes users."""
    app = FastAPI(lifespan=auth.lifespan)
    auth.install(app)

    @app.get("/me")
    async def me(user: CurrentUser) -> list[str]:
        return sorted(user.roles)

    @app.post("/twins")
    async def twins() -> None:
        for _ in range(2):
            await auth.users.create("twin", "twin@example.com", PASSWORD)

    @app.delete("/users/{subject}")
    async def delete(subject: str, user: CurrentUser) -> bool:
        return await auth.users.delete(subject, by=user)

    async with running(app, auth) as site:
        yield site


async def test_users_are_made_found_and_changed(site: Running) -> None:
    users = site.auth.users
    made = await users.create("Ann", "ann@example.com", PASSWORD, roles=[Kind.MODERATOR])
    assert isinstance(made, Account)
    assert (made.username, made.roles) == ("Ann", {"user", "moderator"})
    assert await users.get(made.subject) == made
    assert await users.find(username="ANN") == made
    assert await users.find(email="Ann@Example.com") == made
    assert await users.get("usr_nobody") is None
    assert await users.find(username="bob") is None

    assert not await users.grant(made.subject, "moderator")
    assert await users.revoke(made.subject, Kind.MODERATOR)
    assert await users.disable(made.subject)
    now = await users.get(made.subject)
    assert now is not None
    assert (now.roles, now.disabled) == ({"user"}, True)
    assert await users.enable(made.subject)
    assert await users.delete(made.subject)
    assert not await users.delete(made.subject)


async def test_changes_count_on_the_next_request_and_name_who_made_them(site: Running) -> None:
    house, users = site.house, site.auth.users
    ann, bob = await new_device(house, None, "admin"), await new_device(house)
    assert (await site.client.get("/me", headers=bob.headers)).json() == ["user"]
    await users.grant(bob.user.id, "moderator")
    assert (await site.client.get("/me", headers=bob.headers)).json() == ["moderator", "user"]
    await users.sign_out(bob.user.id)
    assert (await site.client.get("/me", headers=bob.headers)).status_code == 401
    done = await site.client.delete(f"/users/{bob.user.id}", headers=ann.headers)
    assert done.json() is True
    events = await newest(house.stores.events, 10)
    assert {
        ("user.deleted", ann.user.id),
        ("session.ended_everywhere", "application"),
        ("role.granted", "application"),
    } <= {(each.name, each.actor) for each in events if each.target == bob.user.id}


async def test_what_is_refused_is_an_answer(site: Running) -> None:
    answer = await site.client.post("/twins")
    assert (answer.status_code, answer.json()["detail"]["code"]) == (400, "username_taken")
    with pytest.raises(Refused) as refused:
        await site.auth.users.grant("usr_nobody", "moderator")
    assert refused.value.status_code == 404
    ann = await site.auth.users.find(username="twin")
    assert ann is not None
    with pytest.raises(Refused):
        await site.auth.users.grant(ann.subject, "no-such-role")
    with pytest.raises(Refused):
        await site.auth.users.create("bob", "bob@example.com", "short")
    with pytest.raises(TypeError):
        await site.auth.users.find()


async def test_the_last_administrator_stays(site: Running) -> None:
    device = await new_device(site.house, None, "admin")
    with pytest.raises(Refused) as refused:
        await site.auth.users.delete(device.user.id)
    assert refused.value.status_code == 409
    await site.house.accounts.get_by_username(device.user.username)


def test_a_server_beside_has_the_users() -> None:
    with pytest.raises(TypeError, match="server beside"):
        _ = Gatelodge("https://id.example.com").users


async def test_nothing_is_known_before_the_start(auth: Gatelodge) -> None:
    with pytest.raises(RuntimeError, match="has not been started"):
        await auth.users.get("usr_1")


async def test_a_user_comes_with_the_hash_of_another_login(site: Running) -> None:
    users, hashed = site.auth.users, PasswordHasher(8192, 1, 4).hash(PASSWORD)
    made = await users.create("ann", "ann@example.com", password_hash=hashed, email_verified=True)
    assert made.email_verified
    body = {"username": "ann@example.com", "password": PASSWORD}
    assert (await site.client.post("/api/auth/signin", json=body)).status_code == 200
    stored = await site.house.accounts.get_by_username("ann")
    assert stored.password_hash is not None
    assert stored.password_hash.startswith("$argon2id$v=19$m=19456,t=2,p=1$")

    with pytest.raises(Refused) as refused:
        await users.create("bob", "bob@example.com", password_hash="md5:x")
    assert refused.value.refusal.code == "password_hash_unusable"
    for both in ({}, {"password": PASSWORD, "password_hash": hashed}):
        with pytest.raises(TypeError, match="either a password or a password_hash"):
            await users.create("bob", "bob@example.com", **both)
    assert await users.find(username="bob") is None
