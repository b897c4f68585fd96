"""One's own account by the API: another name, another username, and its deletion."""

import asyncio
from collections import Counter
from datetime import timedelta

import httpx2
import pytest

from gatelodge.app import House, create_app
from gatelodge.audit import Event
from gatelodge.credentials.own_proof import FRESH
from tests.api.test_cookies import ACCESS, OURS, REFRESH, cookies_set_by
from tests.support.clock import FakeClock
from tests.support.events import newest
from tests.support.people import PASSWORD, Person, new_user, sign_in_browser, signed_in

ME = "/api/auth/me"
MAY = pytest.mark.parametrize("house_anywhere", [{"username_change": "on"}], indirect=True)
MAY_NOT = pytest.mark.parametrize("house_anywhere", [{}], indirect=True)
WRONG = "wrong horse battery"
AFAR = ("192.0.2.7", 1)
LATER = FRESH + timedelta(seconds=1)


@pytest.fixture
def house(house_anywhere: House) -> House:
    """Return the house over each kind of database."""
    return house_anywhere


async def patch(person: Person, **asked: object) -> httpx2.Response:
    """Ask to be called something else."""
    return await person.client.patch(ME, json=asked, headers=person.headers)


async def delete(person: Person, **asked: object) -> httpx2.Response:
    """Ask to be deleted."""
    return await person.client.request("DELETE", ME, json=asked, headers=person.headers)


def refused(answer: httpx2.Response) -> tuple[int, str, str | None]:
    """Return the status, the code and the field of a refusal."""
    return answer.status_code, answer.json()["code"], answer.json().get("field")


async def renamings(house: House) -> list[Event]:
    """Return the stored events of renamings."""
    events = await newest(house.stores.events, 100)
    return [event for event in events if event.name == "user.renamed"]


# The name


@MAY_NOT
async def test_somebody_says_what_to_call_them(client: httpx2.AsyncClient, house: House) -> None:
    """It is trimmed, stored in NFC, and told by every answer from then on."""
    ann = await signed_in(client, house, "ann")
    before = (await ann.get(ME)).json()

    answer = await patch(ann, name="\u00a0 Anne\u0301 of Green Gables \n")

    assert answer.status_code == 200
    assert answer.json() == before | {"name": "Ann\u00e9 of Green Gables"}
    assert (await ann.get(ME)).json() == answer.json()
    [event] = await renamings(house)
    assert (event.actor, event.target, dict(event.detail)) == (
        before["id"],
        before["id"],
        {"changed": "name"},
    )


@MAY_NOT
@pytest.mark.parametrize("asked", [{}, {"name": None}, {"name": "Ann"}, {"username": "ann"}])
async def test_what_changes_nothing_is_no_event(
    client: httpx2.AsyncClient, house: House, asked: dict[str, object]
) -> None:
    """The present username may be sent too, whatever the setting, and needs no password."""
    ann = await signed_in(client, house, "ann")
    await patch(ann, name="Ann")

    answer = await patch(ann, **asked)

    assert (answer.status_code, answer.json()["name"]) == (200, "Ann")
    assert len(await renamings(house)) == 1


@MAY_NOT
@pytest.mark.parametrize("name", ["", "   "])
async def test_an_empty_name_removes_it(
    client: httpx2.AsyncClient, house: House, name: str
) -> None:
    ann = await signed_in(client, house, "ann")
    await patch(ann, name="Ann")
    assert (await patch(ann, name=name)).json()["name"] == ""


@MAY_NOT
async def test_names_that_break_the_rules_are_refused(
    client: httpx2.AsyncClient, house: House
) -> None:
    ann = await signed_in(client, house, "ann")
    for name in ("x" * 101, "a\u202eb", "a\u0001b", "a\nb", "\u200b", "a\u200fb", "\u200d"):
        assert refused(await patch(ann, name=name)) == (400, "name_invalid", "name"), repr(name)
    for wrong in (7, True, ["Ann"], {"$ne": ""}, "x" * 257):
        assert refused(await patch(ann, name=wrong)) == (400, "invalid_request", "name")
    for field in ("id", "roles", "email", "emailVerified", "disabled_at", "epoch", "session"):
        assert refused(await patch(ann, **{field: "x"})) == (400, "invalid_request", field)
    assert (await ann.get(ME)).json()["name"] == ""
    assert await renamings(house) == []


@MAY_NOT
async def test_of_many_names_at_once_each_is_stored_and_one_stays(
    client: httpx2.AsyncClient, house: House
) -> None:
    """Nobody is refused for somebody else's change: the last one stays."""
    ann = await signed_in(client, house, "ann")

    answers = await asyncio.gather(*(patch(ann, name=f"Ann {n}") for n in range(10)))

    assert [answer.status_code for answer in answers] == [200] * 10
    assert {answer.json()["name"] for answer in answers} == {f"Ann {n}" for n in range(10)}
    assert (await ann.get(ME)).json()["name"].startswith("Ann ")
    assert len(await renamings(house)) == 10


# The username


@MAY_NOT
async def test_usernames_stay_unless_the_setting_says_otherwise(
    client: httpx2.AsyncClient, house: House
) -> None:
    ann = await signed_in(client, house, "ann")
    asked = {"name": "Ann", "username": "anna", "password": PASSWORD}
    assert refused(await patch(ann, **asked)) == (403, "username_fixed", None)
    assert refused(await patch(ann, username="ANN", password=PASSWORD))[1] == "username_fixed"
    assert (await ann.get(ME)).json()["name"] == ""


@MAY
async def test_somebody_changes_their_username(client: httpx2.AsyncClient, house: House) -> None:
    """The session goes on. They sign in by the new name, and the former one is free."""
    ann = await signed_in(client, house, "ann")

    answer = await patch(ann, username=" Anna ", name="Anna", password=PASSWORD)

    assert (answer.status_code, answer.json()["username"]) == (200, "Anna")
    verified = await ann.get("/api/auth/verify")
    assert verified.headers["x-auth-user"] == "Anna"
    for name, status in (("ann", 401), ("ANNA", 200), ("ann@example.com", 200)):
        body = {"username": name, "password": PASSWORD}
        assert (await client.post("/api/auth/signin", json=body)).status_code == status
    [event] = await renamings(house)
    assert dict(event.detail) == {"changed": "name username", "username": "Anna", "former": "ann"}
    taken = await Person("anna", client).sign_up()
    assert refused(taken) == (400, "username_taken", "username")
    again = {"username": "ann", "email": "new@example.com", "password": PASSWORD}
    assert (await client.post("/api/auth/signup", json=again)).status_code == 200
    assert (await ann.get("/api/auth/verify")).headers["x-auth-user"] == "Anna"


@MAY
async def test_another_username_needs_the_password_some_time_after_the_sign_in(
    client: httpx2.AsyncClient, house: House, clock: FakeClock
) -> None:
    """Also if only upper and lower case change: it is what one signs in with."""
    ann = await signed_in(client, house, "ann")
    clock.advance(LATER)
    for username in ("anna", "ANN"):
        for asked in ({}, {"password": ""}, {"password": None}):
            answer = await patch(ann, username=username, **asked)
            assert refused(answer) == (401, "insufficient_user_authentication", None)
            assert answer.json()["max_age"] == 300
        answer = await patch(ann, username=username, password=WRONG)
        assert refused(answer) == (400, "current_password_wrong", "password")
    assert (await ann.get(ME)).json()["username"] == "ann"
    spelt = await patch(ann, username="ANN", password=PASSWORD)
    assert spelt.json()["username"] == "ANN"


@MAY
async def test_a_stolen_session_is_no_way_to_guess_the_password(
    client: httpx2.AsyncClient, house: House
) -> None:
    """Ten wrong ones in this session, by both routes together; then the right one waits too."""
    ann = await signed_in(client, house, "ann")
    for _ in range(5):
        assert (await patch(ann, username="anna", password=WRONG)).status_code == 400
        assert (await delete(ann, password=WRONG)).status_code == 400

    for answer in (
        await patch(ann, username="anna", password=PASSWORD),
        await delete(ann, password=PASSWORD),
    ):
        assert refused(answer)[:2] == (429, "too_many_attempts")
        assert int(answer.headers["retry-after"]) > 0
    assert (await patch(ann, name="Ann")).status_code == 200


@MAY
async def test_usernames_that_break_the_rules_or_are_taken_are_refused(
    client: httpx2.AsyncClient, house: House
) -> None:
    await new_user(house, "bob")
    ann = await signed_in(client, house, "ann")
    for username, code in (
        ("", "username_invalid"),
        ("an", "username_invalid"),
        ("a b", "username_invalid"),
        ("admin", "username_invalid"),
        ("\u0430nn", "username_invalid"),
        ("ann@example.com", "username_invalid"),
        ("Bob", "username_taken"),
    ):
        answer = await patch(ann, username=username, password=PASSWORD)
        assert refused(answer) == (400, code, "username"), username
    assert (await ann.get(ME)).json()["username"] == "ann"
    assert await renamings(house) == []


@MAY
async def test_who_has_a_reserved_name_may_spell_it_otherwise(
    client: httpx2.AsyncClient, house: House
) -> None:
    root = await signed_in(client, house, "root")
    assert (await patch(root, username="Root", password=PASSWORD)).json()["username"] == "Root"
    assert refused(await patch(root, username="admin", password=PASSWORD))[1] == "username_invalid"


@MAY
async def test_of_many_who_want_one_username_one_gets_it(
    client: httpx2.AsyncClient, house: House
) -> None:
    """By a change or by a sign-up."""
    people = [await signed_in(client, house, f"person{n}") for n in range(5)]
    wanted = {"username": "wanted", "email": "new@example.com", "password": PASSWORD}

    answers = await asyncio.gather(
        *(patch(each, username="wanted", password=PASSWORD) for each in people),
        client.post("/api/auth/signup", json=wanted),
    )

    outcomes = Counter(answer.json().get("code", answer.status_code) for answer in answers)
    assert outcomes == {200: 1, "username_taken": 5}


@pytest.mark.parametrize(
    "house_anywhere", [{"username_change": "on", "sign_ups_per_address": 3}], indirect=True
)
async def test_usernames_are_tried_out_no_faster_than_at_the_sign_up(house: House) -> None:
    """Each try counts as a sign-up from this address, refused or not; a wrong password does not."""
    await new_user(house, "bob")
    transport = httpx2.ASGITransport(app=create_app(house), client=AFAR)
    async with httpx2.AsyncClient(transport=transport, base_url="http://localhost:8080") as afar:
        ann = await signed_in(afar, house, "ann")
        assert (await patch(ann, username="bob", password=WRONG)).status_code == 400
        for _ in range(3):
            answer = await patch(ann, username="bob", password=PASSWORD)
            assert refused(answer)[1] == "username_taken"
        for username in ("bob", "anna"):
            answer = await patch(ann, username=username, password=PASSWORD)
            assert refused(answer)[:2] == (429, "too_many_attempts")
        assert refused(await Person("eve", afar).sign_up())[:2] == (429, "too_many_attempts")
        assert (await patch(ann, username="ANN", password=PASSWORD)).status_code == 200


@MAY
async def test_failures_follow_the_new_name(client: httpx2.AsyncClient, house: House) -> None:
    """Those of whoever tried the name before it was somebody's are forgotten.

    The former name keeps its own, until somebody takes it.
    """
    ann = await signed_in(client, house, "ann")
    for name in ("ann", "anna"):
        for _ in range(10):
            wrong = {"username": name, "password": WRONG}
            assert (await client.post("/api/auth/signin", json=wrong)).status_code == 401

    assert (await patch(ann, username="anna", password=PASSWORD)).status_code == 200

    for name, status in (("anna", 200), ("ann", 429)):
        right = {"username": name, "password": PASSWORD}
        assert (await client.post("/api/auth/signin", json=right)).status_code == status, name


@MAY
async def test_a_session_that_was_ended_renames_nobody(
    client: httpx2.AsyncClient, house: House
) -> None:
    """Nor does a request that was under way when all sessions were ended."""
    ann = await signed_in(client, house, "ann")
    user = await house.accounts.get_by_username("ann")
    body = {"everywhere": True}

    answers = await asyncio.gather(
        *(patch(ann, name=f"Ann {n}") for n in range(5)),
        client.post("/api/auth/signout", json=body, headers=ann.headers),
        *(patch(ann, name=f"Ann {n}") for n in range(5, 10)),
    )

    assert {answer.status_code for answer in answers} <= {200, 401}
    stored = await house.stores.users.find(user.id)
    assert stored is not None
    assert len(await renamings(house)) == [a.status_code for a in answers].count(200) - 1
    assert (await patch(ann, name="Late")).status_code == 401


# The deletion


@MAY_NOT
async def test_somebody_deletes_their_account(
    client: httpx2.AsyncClient, house: House, clock: FakeClock
) -> None:
    """The password is asked for. Tokens, sessions and names are gone at once."""
    ann = await signed_in(client, house, "ann")
    clock.advance(LATER)
    user = await house.accounts.get_by_username("ann")
    assert refused(await delete(ann)) == (401, "insufficient_user_authentication", None)
    assert refused(await delete(ann, password=WRONG)) == (
        400,
        "current_password_wrong",
        "password",
    )
    assert refused(await delete(ann, password=PASSWORD, id="x"))[2] == "id"
    bare = await client.request("DELETE", ME, headers=ann.headers)
    assert bare.status_code == 415

    answer = await delete(ann, password=PASSWORD)

    assert (answer.status_code, answer.json()) == (200, {"message": "Your account was deleted."})
    assert answer.headers["clear-site-data"] == '"cookies", "storage"'
    assert (await ann.get(ME)).status_code == 401
    assert await house.stores.users.find(user.id) is None
    assert (await ann.sign_in()).status_code == 401
    assert (await ann.sign_up()).status_code == 200
    events = await newest(house.stores.events, 20)
    assert [event.target for event in events if event.name == "user.deleted"] == [user.id]


@MAY_NOT
async def test_a_browser_that_deletes_the_account_loses_its_cookies(
    client: httpx2.AsyncClient, house: House
) -> None:
    await sign_in_browser(client, house, "ann")
    evil = {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"}
    body = {"password": PASSWORD}
    for headers in (evil, {}):
        answer = await client.request("DELETE", ME, json=body, headers=headers)
        assert refused(answer)[:2] == (403, "cross_site_request")
        answer = await client.patch(ME, json={"name": "Eve"}, headers=headers)
        assert refused(answer)[:2] == (403, "cross_site_request")

    assert (await client.patch(ME, json={"name": "Ann"}, headers=OURS)).json()["name"] == "Ann"
    answer = await client.request("DELETE", ME, json=body, headers=OURS)

    assert answer.status_code == 200
    told = cookies_set_by(answer)
    assert {name: cookie.max_age for name, cookie in told.items()} == {ACCESS: 0, REFRESH: 0}
    assert client.cookies.get(ACCESS) is None


@MAY_NOT
async def test_the_last_administrator_stays(client: httpx2.AsyncClient, house: House) -> None:
    adele = await signed_in(client, house, "adele", "admin")
    assert refused(await delete(adele, password=PASSWORD))[:2] == (409, "last_admin")
    await signed_in(client, house, "bertha", "admin")
    assert (await delete(adele, password=PASSWORD)).status_code == 200
