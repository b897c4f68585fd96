"""A sign-up that signs in: what settings change, and what goes wrong after the user was stored."""

import contextlib
import sqlite3
from collections.abc import Iterator
from contextlib import closing

import httpx2
import pytest

from gatelodge.app import House, create_app
from gatelodge.data_folder import DATABASE
from tests.api.test_cookies import ACCESS, OURS, REFRESH, cookies_set_by
from tests.api.test_sign_up import events_of, sign_up
from tests.support.people import PASSWORD

REGISTERED = b'{"message":"User was registered successfully!"}'


@pytest.mark.parametrize(
    "settings", [{}, {"delivery": "cookie"}, {"profile": "tutorial"}], indirect=True
)
@pytest.mark.parametrize("asked", [{}, {"delivery": None}], ids=["nothing", "null"])
async def test_without_delivery_the_answer_is_the_tutorials(
    client: httpx2.AsyncClient, house: House, asked: dict[str, object]
) -> None:
    answer = await sign_up(client, OURS, **asked)

    assert (answer.status_code, answer.content) == (200, REGISTERED)
    assert cookies_set_by(answer) == {}
    assert await events_of(house) == ["user.signed_up"]


@pytest.mark.parametrize("settings", [{"profile": "tutorial"}], indirect=True)
async def test_the_tutorial_profile_delivers_both_ways(client: httpx2.AsyncClient) -> None:
    answer = await sign_up(client, OURS, delivery="bearer")

    assert {"accessToken", "refreshToken"} <= set(answer.json())
    assert set(cookies_set_by(answer)) == {ACCESS, REFRESH}


@pytest.mark.parametrize("settings", [{"sign_up": "closed"}], indirect=True)
async def test_where_nobody_can_sign_up_nobody_is_signed_in(client: httpx2.AsyncClient) -> None:
    answer = await sign_up(client, delivery="bearer")
    assert (answer.status_code, answer.json()["code"]) == (403, "sign_up_closed")


@pytest.mark.parametrize("settings", [{"sign_ups_per_address": 2}], indirect=True)
async def test_sign_ups_that_sign_in_are_limited_as_others(house: House) -> None:
    """One address has two an hour, of both kinds together."""
    from_afar = httpx2.ASGITransport(app=create_app(house), client=("192.0.2.7", 1))
    async with httpx2.AsyncClient(transport=from_afar, base_url="http://localhost:8080") as afar:
        await sign_up(afar)
        await sign_up(afar, delivery="bearer", username="bob", email="bob@example.com")
        answer = await sign_up(afar, delivery="bearer", username="eve", email="eve@example.com")
    assert (answer.status_code, answer.json()["code"]) == (429, "too_many_attempts")
    assert len(await house.accounts.list_users(after=None, limit=9)) == 2


async def test_a_failure_after_the_user_was_stored_is_no_nothing_was_changed(
    client: httpx2.AsyncClient, house: House
) -> None:
    """The database takes the user, and no session. The API and the page say so."""
    with refusing(house, "BEFORE INSERT ON sessions BEGIN SELECT raise(ABORT, 'full'); END"):
        answer = await sign_up(client, OURS, delivery="cookie")
        form = {"username": "bob", "email": "bob@example.com", "password": PASSWORD}
        page = await client.post("/sign-up", data=form, headers=OURS | {"Accept": "text/html"})

    assert (answer.status_code, answer.json()["code"]) == (503, "outcome_unknown")
    assert "retry-after" in answer.headers
    assert page.status_code == 503
    assert "Please look whether it happened" in page.text
    assert "Nothing was changed" not in page.text
    assert cookies_set_by(answer) == {}
    names = [user.username for user in await house.accounts.list_users(after=None, limit=9)]
    assert sorted(names) == ["ann", "bob"]
    assert await events_of(house) == ["user.signed_up"] * 2
    again = await client.post("/sign-up", data=form, headers=OURS)  # the same form signs in
    assert (again.status_code, again.headers["location"]) == (303, "/")


@pytest.mark.parametrize(
    "change", ["SET disabled_at = 1", "SET epoch = epoch + 1"], ids=["disabled", "signed out"]
)
async def test_a_session_opens_only_for_the_user_as_stored(
    client: httpx2.AsyncClient, house: House, change: str
) -> None:
    """Somebody disables the new user, or ends all sessions, before the session is opened."""
    at_once = f"AFTER INSERT ON users BEGIN UPDATE users {change} WHERE id = NEW.id; END"
    with refusing(house, at_once):
        answer = await sign_up(client, OURS, delivery="cookie")

    assert (answer.status_code, answer.json()["code"]) == (401, "invalid_credentials")
    assert cookies_set_by(answer) == {}
    assert await events_of(house) == ["user.signed_up"]


@contextlib.contextmanager
def refusing(house: House, trigger: str) -> Iterator[None]:
    """Have the SQLite file do something at a change, as another process would."""
    file = house.settings.data_dir / DATABASE
    with closing(sqlite3.connect(file)) as connection:
        connection.execute(f"CREATE TRIGGER meanwhile {trigger}")
        yield
        connection.execute("DROP TRIGGER meanwhile")
