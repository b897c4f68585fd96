"""Users are told of every change of their factors, and can stop it."""

from datetime import timedelta

import httpx2
import pytest

from gatelodge.app import House
from gatelodge.audit import COMMAND
from gatelodge.credentials.factors import removing_all
from gatelodge.testing import SoftwareAuthenticator
from tests.support.clock import FakeClock
from tests.support.events import newest
from tests.support.factors import FACTORS, RECOVERY, TOTP, add_app, add_passkey
from tests.support.mailbox import Mailbox, delivered, subscribed, token_in
from tests.support.people import HERE, PASSWORD, Person, signed_in

SIGN_IN = {"username": "ann", "password": PASSWORD}


@pytest.fixture
async def house(posting_house: House) -> House:
    """Return a house whose letters go into a mailbox when a test says so."""
    await subscribed(posting_house)
    return posting_house


@pytest.fixture
async def ann(client: httpx2.AsyncClient, house: House) -> Person:
    """Return somebody with a verified address: so no limit is on the letters."""
    ann = await signed_in(client, house, "ann")
    await house.accounts.verify_email(await house.accounts.get_by_username("ann"), COMMAND)
    return ann


async def told(house: House, mailbox: Mailbox) -> list[tuple[str, dict[str, str]]]:
    """Return the letters that came since the last time: kinds, and what each says of a factor."""
    before = len(mailbox.mails)
    await delivered(house)
    named = ("factor", "left", "last")
    return [
        (mail.subject, {name: text for name, text in values.items() if name in named})
        for mail, values in zip(
            mailbox.mails[before:],
            [mailbox.values(number) for number in range(before, len(mailbox.mails))],
            strict=True,
        )
    ]


async def test_each_change_of_factors_is_told_once(
    client: httpx2.AsyncClient, house: House, clock: FakeClock, mailbox: Mailbox, ann: Person
) -> None:
    """The codes that come with the first factor have no letter of their own, nor has a name."""
    authenticator = SoftwareAuthenticator(house.settings.public_origin)

    app = await add_app(ann, clock)
    assert len(app.codes) == 10
    assert await told(house, mailbox) == [("factor-added", {"factor": "totp"})]
    assert mailbox.mails[-1].to == "ann@example.com"

    passkey = (await add_passkey(ann, authenticator)).json()["factor"]["id"]
    assert await told(house, mailbox) == [("factor-added", {"factor": "passkey"})]
    assert mailbox.values()["device"] == "Python"

    await client.patch(f"{FACTORS}/{passkey}", json={"name": "Key"}, headers=ann.headers)
    await client.post(f"{FACTORS}/recovery-codes", headers=ann.headers)
    assert await told(house, mailbox) == [("recovery-codes-made", {})]

    await client.delete(f"{FACTORS}/{passkey}", headers=ann.headers)
    assert await told(house, mailbox) == [("factor-removed", {"factor": "passkey"})]
    await client.delete(f"{FACTORS}/{app.id}", headers=ann.headers)
    assert await told(house, mailbox) == [("factor-removed", {"factor": "totp", "last": "yes"})]


async def test_recovery_codes_that_are_removed_and_come_back(
    client: httpx2.AsyncClient, house: House, clock: FakeClock, mailbox: Mailbox, ann: Person
) -> None:
    await add_app(ann, clock)
    listed = (await ann.get(FACTORS)).json()["items"]
    codes = next(each["id"] for each in listed if each["kind"] == "recovery_codes")
    await client.delete(f"{FACTORS}/{codes}", headers=ann.headers)
    await add_passkey(ann, SoftwareAuthenticator(house.settings.public_origin))

    assert [each for each in await told(house, mailbox) if each[0] != "factor-added"] == [
        ("factor-removed", {"factor": "recovery_codes"})
    ]


async def sign_in_by(
    client: httpx2.AsyncClient, path: str, code: str, **more: object
) -> httpx2.Response:
    """Sign in with the password and a code."""
    asked = (await client.post("/api/auth/signin", json=SIGN_IN)).json()
    answer = await client.post(path, json={"challenge": asked["challenge"], "code": code} | more)
    assert answer.is_success, answer.text
    return answer


async def test_a_recovery_code_that_is_used_is_told_with_how_many_are_left(
    client: httpx2.AsyncClient, house: House, clock: FakeClock, mailbox: Mailbox, ann: Person
) -> None:
    app = await add_app(ann, clock)
    await told(house, mailbox)
    for left in (9, 8):
        await sign_in_by(client, RECOVERY, app.codes[left])
        letters = await told(house, mailbox)
        assert ("recovery-code-used", {"left": str(left)}) in letters


async def test_a_browser_that_is_remembered_is_not_told(
    client: httpx2.AsyncClient, house: House, clock: FakeClock, mailbox: Mailbox, ann: Person
) -> None:
    """Its user has just proved two factors; a new device has its letter anyway."""
    app = await add_app(ann, clock)
    clock.advance(timedelta(seconds=30))
    await told(house, mailbox)

    await sign_in_by(client, TOTP, app.code(clock), remember=True)

    stored = await newest(house.stores.events, 20)
    assert "browser.remembered" in [each.name for each in stored]
    assert await told(house, mailbox) == []


async def test_factors_that_an_operator_resets_are_told(
    house: House, clock: FakeClock, mailbox: Mailbox, ann: Person
) -> None:
    await add_app(ann, clock)
    await told(house, mailbox)
    user = await house.accounts.get_by_username("ann")

    event = house.audit.event("factors.reset", COMMAND, target=user.id)
    await house.stores.factors.change(user.id, removing_all(), event)

    assert await told(house, mailbox) == [("factors-reset", {})]


async def test_the_link_in_the_letter_stops_a_thief(
    client: httpx2.AsyncClient, house: House, clock: FakeClock, mailbox: Mailbox, ann: Person
) -> None:
    """Every session ends, that of the new factor too, and so does every remembered browser."""
    app = await add_app(ann, clock)
    clock.advance(timedelta(seconds=30))
    await sign_in_by(client, TOTP, app.code(clock), remember=True)
    await told(house, mailbox)
    assert (await ann.get("/api/auth/me")).is_success

    await house.notices.stop(token_in(mailbox, "stop_link"), HERE)

    assert (await ann.get("/api/auth/me")).status_code == 401
    again = await client.post("/api/auth/signin", json=SIGN_IN)
    assert again.json()["code"] == "second_factor_required"
