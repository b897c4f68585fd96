"""Signing up with a passkey and no password."""

from datetime import timedelta

import httpx2
import pytest

from gatelodge.app import House
from gatelodge.testing import SoftwareAuthenticator
from tests.api.test_own_account import ME, refused
from tests.support.clock import FakeClock
from tests.support.factors import FACTORS, by_passkey
from tests.support.people import PASSWORD, new_user, signed_in

SIGN_UP = "/api/auth/signup/passkey"
ANN = {"username": "ann", "email": "ann@example.com"}
ON = pytest.mark.parametrize("settings", [{"sign_up_by_passkey": "on"}], indirect=True)


@pytest.fixture
def authenticator(house: House) -> SoftwareAuthenticator:
    """Return an authenticator that believes to be at this site."""
    return SoftwareAuthenticator(house.settings.public_origin)


async def sign_up(
    client: httpx2.AsyncClient, authenticator: SoftwareAuthenticator, **changes: object
) -> httpx2.Response:
    """Sign up as browsers do."""
    asked = await client.post(f"{SIGN_UP}/options", json=ANN)
    assert asked.status_code == 200, asked.text
    credential = authenticator.create(asked.json()["publicKey"])
    body = ANN | {"challenge": asked.json()["challenge"], "credential": credential}
    return await client.post(SIGN_UP, json=body | changes)


@ON
async def test_somebody_signs_up_without_a_password(
    client: httpx2.AsyncClient, house: House, authenticator: SoftwareAuthenticator
) -> None:
    answer = await sign_up(client, authenticator, delivery="bearer")

    assert answer.status_code == 200, answer.text
    assert len(answer.json()["recoveryCodes"]) == 10
    headers = {"Authorization": f"Bearer {answer.json()['accessToken']}"}
    me = (await client.get(ME, headers=headers)).json()
    assert (me["username"], me["session"]["methods"]) == ("ann", ["pop", "mfa"])
    factors = (await client.get(FACTORS, headers=headers)).json()["items"]
    assert [each["kind"] for each in factors] == ["passkey", "recovery_codes"]
    user = await house.accounts.get_by_username("ann")
    assert user.password_hash is None
    assert (await by_passkey(client, authenticator)).json()["id"] == user.id
    for password in ("", PASSWORD):
        body = {"username": "ann", "password": password}
        assert (await client.post("/api/auth/signin", json=body)).status_code in (400, 401)


@ON
async def test_without_a_delivery_nobody_is_signed_in(
    client: httpx2.AsyncClient, authenticator: SoftwareAuthenticator
) -> None:
    answer = await sign_up(client, authenticator)
    assert sorted(answer.json()) == ["message", "recoveryCodes"]


async def test_it_is_off_unless_the_operator_turns_it_on(client: httpx2.AsyncClient) -> None:
    whole = {**ANN, "challenge": "x", "credential": {}}
    for path, body in ((f"{SIGN_UP}/options", ANN), (SIGN_UP, whole)):
        assert refused(await client.post(path, json=body))[:2] == (403, "sign_up_by_passkey_off")


@ON
async def test_names_that_are_taken_are_told_before_a_passkey_is_made(
    client: httpx2.AsyncClient, house: House
) -> None:
    await new_user(house, "ann")
    answer = await client.post(f"{SIGN_UP}/options", json=ANN)
    assert refused(answer) == (400, "username_taken", "username")
    answer = await client.post(f"{SIGN_UP}/options", json=ANN | {"username": "anna"})
    assert refused(answer) == (400, "email_taken", "email")


@ON
@pytest.mark.parametrize("wrong", ["late", "twice", "unverified", "another question", "of a user"])
async def test_an_answer_that_is_not_right_makes_nobody(
    client: httpx2.AsyncClient,
    house: House,
    clock: FakeClock,
    authenticator: SoftwareAuthenticator,
    wrong: str,
) -> None:
    asked = (await client.post(f"{SIGN_UP}/options", json=ANN)).json()
    body = ANN | {"challenge": asked["challenge"]}
    authenticator.verifies_user = wrong != "unverified"
    options = asked["publicKey"]
    if wrong == "unverified":
        chosen = options["authenticatorSelection"] | {"userVerification": "preferred"}
        options = options | {"authenticatorSelection": chosen}
    body["credential"] = authenticator.create(options)
    match wrong:
        case "late":
            clock.advance(timedelta(minutes=5))
        case "twice":
            assert (await client.post(SIGN_UP, json=body)).is_success
            body |= {"username": "bob", "email": "bob@example.com"}
        case "another question":
            other = (await client.post(f"{SIGN_UP}/options", json=ANN)).json()
            body["challenge"] = other["challenge"]
        case "of a user":
            bob = await signed_in(client, house, "bob")
            enrol = await client.post(f"{FACTORS}/passkey/options", headers=bob.headers)
            body["challenge"] = enrol.json()["challenge"]
            body["credential"] = authenticator.create(enrol.json()["publicKey"])
        case _:
            pass
    assert refused(await client.post(SIGN_UP, json=body))[:2] == (400, "passkey_invalid")
    users = await house.stores.users.list_users(after=None, limit=10)
    assert len(users) == {"twice": 1, "of a user": 1}.get(wrong, 0)
