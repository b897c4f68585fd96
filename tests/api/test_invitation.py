"""Invitations and signing in by e-mail, as programs ask for them."""

from typing import Any

import httpx2
import pytest

from gatelodge.app import House
from gatelodge.audit import COMMAND
from tests.api.test_letters import code_of, post
from tests.support.mailbox import Mailbox, delivered, token_in
from tests.support.people import PASSWORD, Person, new_user, signed_in_by_the_door

by_code = pytest.mark.parametrize("settings", [{"sign_in_by_code": "on"}], indirect=True)


@pytest.fixture
def house(posting_house: House) -> House:
    """Return a house whose letters go into a mailbox when a test says so."""
    return posting_house


async def invitation(house: House, mailbox: Mailbox) -> dict[str, Any]:
    """Invite Ann, and return the body with which she accepts."""
    await house.invitations.invite("ann@example.com", ["moderator"], COMMAND)
    await delivered(house)
    return {"token": token_in(mailbox), "username": "ann", "password": PASSWORD}


@pytest.mark.parametrize("settings", [{"sign_up": "closed"}], indirect=True)
async def test_an_invitation_is_accepted_where_nobody_may_sign_up(
    client: httpx2.AsyncClient, house: House, mailbox: Mailbox
) -> None:
    body = await invitation(house, mailbox)

    answer = await post(client, "/invitation", **body, name="Ann Lee")

    assert answer.json() == {"message": "User was registered successfully!"}
    assert answer.headers["cache-control"] == "no-store"
    assert "set-cookie" not in answer.headers
    ann = Person("ann", client)
    assert (await ann.sign_in()).json()["roles"] == ["ROLE_MODERATOR"]
    me = (await ann.get("/api/auth/me")).json()
    assert (me["name"], me["emailVerified"]) == ("Ann Lee", True)


async def test_who_accepts_an_invitation_is_signed_in_as_asked(
    client: httpx2.AsyncClient, house: House, mailbox: Mailbox
) -> None:
    body = await invitation(house, mailbox)

    bearer = await post(client, "/invitation", **body, delivery="bearer")
    cookie = await post(client, "/invitation", **body, delivery="cookie")  # the same form, again

    assert bearer.json()["email"] == "ann@example.com"
    assert {"accessToken", "refreshToken"} <= set(bearer.json())
    assert cookie.json()["id"] == bearer.json()["id"]
    assert "accessToken" not in cookie.json()
    assert (await client.get("/api/auth/me")).json()["username"] == "ann"


@pytest.mark.parametrize(
    ("change", "refusal"),
    [
        ({"token": "x"}, (400, "code_invalid")),
        ({"username": "admin"}, (400, "username_invalid")),
        ({"username": "BEN"}, (400, "username_taken")),
        ({"password": "short"}, (400, "password_rejected")),
        ({"name": "A\u202e"}, (400, "name_invalid")),
        ({"email": "eve@example.com"}, (400, "invalid_request")),
        ({"roles": ["admin"]}, (400, "invalid_request")),
        ({"token": None}, (400, "invalid_request")),
    ],
)
async def test_what_is_wrong_is_told_and_the_link_works_on(
    client: httpx2.AsyncClient,
    house: House,
    mailbox: Mailbox,
    change: dict[str, Any],
    refusal: tuple[int, str],
) -> None:
    await new_user(house, "ben")
    body = await invitation(house, mailbox)

    assert code_of(await post(client, "/invitation", **body | change)) == refusal
    assert (await post(client, "/invitation", **body)).status_code == 200
    assert code_of(await post(client, "/invitation", **body | {"username": "ann2"})) == (
        400,
        "code_invalid",
    )


# Signing in by e-mail


@by_code
@pytest.mark.parametrize("delivery", ["bearer", "cookie"])
async def test_a_code_from_a_letter_signs_in(
    client: httpx2.AsyncClient, house: House, mailbox: Mailbox, delivery: str
) -> None:
    await new_user(house, "ann")
    asked = await post(client, "/signin/code", email=" ann@example.com ")
    assert set(asked.json()) == {"message", "request"}
    await delivered(house)
    request, code = asked.json()["request"], mailbox.values()["code"]

    answer = await post(client, "/signin/code", request=request, code=code, delivery=delivery)

    assert answer.json()["username"] == "ann"
    assert answer.headers["cache-control"] == "no-store"
    headers = {}
    if delivery == "bearer":
        headers["Authorization"] = f"Bearer {answer.json()['accessToken']}"
    me = (await client.get("/api/auth/me", headers=headers)).json()
    assert (me["username"], me["emailVerified"]) == ("ann", True)
    client.cookies.clear()
    again = await post(client, "/signin/code", request=request, code=code)
    assert code_of(again) == (400, "code_invalid")


@by_code
async def test_a_code_locks_out_who_signed_up_with_somebody_elses_address(
    client: httpx2.AsyncClient, house: House, mailbox: Mailbox
) -> None:
    stranger = await signed_in_by_the_door(client, house, "ann")
    asked = await post(client, "/signin/code", email="ann@example.com")
    await delivered(house)
    request, code = asked.json()["request"], mailbox.values()["code"]

    owner = await post(client, "/signin/code", request=request, code=code)

    headers = {"Authorization": f"Bearer {owner.json()['accessToken']}"}
    assert (await client.get("/api/auth/me", headers=headers)).json()["username"] == "ann"
    assert (await stranger.get("/api/auth/me")).status_code == 401
    assert code_of(await stranger.sign_in()) == (401, "invalid_credentials")


@by_code
async def test_no_answer_tells_who_has_an_account(client: httpx2.AsyncClient, house: House) -> None:
    await new_user(house, "ann")
    known = await post(client, "/signin/code", email="ann@example.com")
    unknown = await post(client, "/signin/code", email="nobody@example.com")
    await delivered(house)

    assert known.json()["message"] == unknown.json()["message"]
    assert len(known.content) == len(unknown.content)
    for answer in (known, unknown):
        request = answer.json()["request"]
        for _ in range(7):
            refused = await post(client, "/signin/code", request=request, code="AAAA-AAAA")
            assert code_of(refused) == (400, "code_invalid")


@by_code
@pytest.mark.parametrize(
    "body",
    [
        {},
        {"code": "AAAA-AAAA"},
        {"request": "x"},
        {"email": "ann@example.com", "code": "AAAA-AAAA"},
        {"email": "ann@example.com", "request": "x", "code": "AAAA-AAAA"},
        {"email": ["ann@example.com"]},
        {"email": {"$ne": None}},
    ],
)
async def test_a_request_names_an_address_or_a_code(
    client: httpx2.AsyncClient, body: dict[str, Any]
) -> None:
    assert code_of(await post(client, "/signin/code", **body)) == (400, "invalid_request")


async def test_nobody_signs_in_by_e_mail_where_that_is_off(client: httpx2.AsyncClient) -> None:
    for body in ({"email": "ann@example.com"}, {"request": "x", "code": "AAAA-AAAA"}):
        answer = await post(client, "/signin/code", **body)
        assert code_of(answer) == (403, "sign_in_by_code_off")
