"""Proving again who one is: which acts ask for it, and what a proof is worth."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta

import httpx2
import pytest

from gatelodge.accounts.service import NewUser
from gatelodge.app import House
from gatelodge.audit import COMMAND, Origin
from gatelodge.credentials.own_proof import FRESH
from gatelodge.methods import BY_EMAIL_CODE, BY_PASSWORD, Methods
from gatelodge.sessions.lookup import Records
from gatelodge.tokens.refusals import InvalidToken
from tests.api.test_cookies import OURS
from tests.api.test_own_account import ME, WRONG, refused
from tests.support.breached import import_text, line
from tests.support.clock import FakeClock
from tests.support.mailbox import Mailbox, delivered
from tests.support.people import HERE, PASSWORD, Person, new_user, sign_in_browser, signed_in

AGAIN = "/api/auth/again"
LATER = FRESH + timedelta(seconds=1)
STALE = (401, "insufficient_user_authentication", None)
CODES = pytest.mark.parametrize("settings", [{"sign_in_by_code": "on"}], indirect=True)

Act = Callable[[Person, dict[str, str]], Awaitable[httpx2.Response]]


@pytest.fixture
def house(posting_house: House) -> House:
    """Return a house whose letters go into a mailbox when a test says so."""
    return posting_house


async def prove(person: Person, **asked: object) -> httpx2.Response:
    """Prove again who one is."""
    return await person.client.post(AGAIN, json=asked, headers=person.headers)


async def session_in(person: Person) -> dict[str, object]:
    """Return what the server says of the session."""
    session: dict[str, object] = (await person.get(ME)).json()["session"]
    return session


# What asks for it


async def _delete(person: Person, shown: dict[str, str]) -> httpx2.Response:
    return await person.client.request("DELETE", ME, json=shown, headers=person.headers)


async def _rename(person: Person, shown: dict[str, str]) -> httpx2.Response:
    body = {"username": "anna", **shown}
    return await person.client.patch(ME, json=body, headers=person.headers)


async def _move(person: Person, shown: dict[str, str]) -> httpx2.Response:
    body = {"email": "ann@new.example", **shown}
    return await person.client.post("/api/auth/email", json=body, headers=person.headers)


ACTS: dict[str, Act] = {"delete": _delete, "rename": _rename, "e-mail": _move}
OPENED: dict[str, Methods] = {"password": BY_PASSWORD, "code": BY_EMAIL_CODE}
AGES = {"now": timedelta(0), "5 minutes": FRESH, "later": LATER, "days": timedelta(days=3)}
SHOWN = {"nothing": {}, "password": {"password": PASSWORD}, "wrong": {"password": WRONG}}


async def test_a_proof_from_the_future_is_none(
    client: httpx2.AsyncClient, house: House, clock: FakeClock
) -> None:
    """The clock was ahead at the sign-in, and has been set right since."""
    user, at = await new_user(house, "ann"), clock.now() + timedelta(days=1)
    session = await house.sessions.open(user, BY_PASSWORD, "bearer", HERE, authenticated_at=at)
    ann = Person("ann", client, answer={"accessToken": session.tokens.access_token})
    assert refused(await _delete(ann, {})) == STALE


@pytest.mark.parametrize("settings", [{"username_change": "on"}], indirect=True)
@pytest.mark.parametrize("shown", SHOWN)
@pytest.mark.parametrize("age", AGES)
@pytest.mark.parametrize("opened", OPENED)
@pytest.mark.parametrize("act", ACTS)
async def test_what_each_act_asks(
    client: httpx2.AsyncClient,
    house: House,
    clock: FakeClock,
    act: str,
    opened: str,
    age: str,
    shown: str,
) -> None:
    """A password that was typed must be right, in a new session too."""
    user = await new_user(house, "ann")
    at = clock.now()
    clock.advance(AGES[age])
    session = await house.sessions.open(user, OPENED[opened], "bearer", HERE, authenticated_at=at)
    ann = Person("ann", client, answer={"accessToken": session.tokens.access_token})
    answer = await ACTS[act](ann, SHOWN[shown])
    if shown == "wrong":
        assert refused(answer) == (400, "current_password_wrong", "password")
    elif shown == "nothing" and AGES[age] > FRESH:
        assert refused(answer) == STALE
        assert answer.json()["max_age"] == 300
        challenge = answer.headers["www-authenticate"]
        assert challenge.endswith('error="insufficient_user_authentication", max_age="300"')
    else:
        assert answer.status_code == 200


# The proof


async def test_a_password_opens_a_new_session_in_place_of_this_one(
    client: httpx2.AsyncClient, house: House, clock: FakeClock
) -> None:
    ann = await signed_in(client, house, "ann")
    before = await session_in(ann)
    old = Person("ann", client, answer=ann.answer)
    clock.advance(LATER)
    answer = await prove(ann, password=PASSWORD)
    assert answer.json()["message"] == "You have proved who you are."
    ann.answer = answer.json()

    after = await session_in(ann)
    assert after["id"] != before["id"]
    assert after["authenticatedAt"] == clock.now().isoformat().replace("+00:00", "Z")
    assert after["methods"] == ["pwd"]
    assert (await old.get(ME)).status_code == 401
    assert (await _delete(ann, {})).status_code == 200


async def test_a_browser_gets_new_cookies(
    client: httpx2.AsyncClient, house: House, clock: FakeClock
) -> None:
    await sign_in_browser(client, house, "ann")
    before = (await client.get(ME)).json()["session"]["id"]
    clock.advance(LATER)
    cross = await client.post(AGAIN, json={"password": PASSWORD})
    assert refused(cross)[:2] == (403, "cross_site_request")
    answer = await client.post(AGAIN, json={"password": PASSWORD}, headers=OURS)
    assert answer.json() == {"message": "You have proved who you are."}
    assert (await client.get(ME)).json()["session"]["id"] != before
    assert (await client.request("DELETE", ME, json={}, headers=OURS)).status_code == 200


async def test_a_stolen_session_is_no_way_to_guess_the_password(
    client: httpx2.AsyncClient, house: House
) -> None:
    ann = await signed_in(client, house, "ann")
    for _ in range(10):
        assert refused(await prove(ann, password=WRONG)) == (
            400,
            "current_password_wrong",
            "password",
        )
    answer = await prove(ann, password=PASSWORD)
    assert refused(answer)[:2] == (429, "too_many_attempts")
    assert int(answer.headers["retry-after"]) > 0


@pytest.mark.parametrize("ended", ["signed out", "everywhere", "disabled", "deleted"])
async def test_nobody_proves_anything_in_a_session_that_has_ended(
    client: httpx2.AsyncClient, house: House, ended: str
) -> None:
    ann = await signed_in(client, house, "ann")
    user = await house.accounts.get_by_username("ann")
    session = str((await session_in(ann))["id"])
    await {
        "signed out": lambda: house.sessions.sign_out(session, COMMAND),
        "everywhere": lambda: house.sessions.sign_out_everywhere(user.id, COMMAND),
        "disabled": lambda: house.accounts.disable(user, COMMAND),
        "deleted": lambda: house.accounts.delete(user, COMMAND),
    }[ended]()
    assert refused(await prove(ann, password=PASSWORD))[:2] == (401, "token_invalid")


async def test_a_session_that_ends_during_the_proof_gets_no_successor(
    client: httpx2.AsyncClient, house: House
) -> None:
    """It was ended on another device while the password was hashed."""
    ann = await signed_in(client, house, "ann")
    user = await house.accounts.get_by_username("ann")
    records = Records(user, (await house.sessions.list_own(user, before=None, limit=1))[0])
    await house.sessions.sign_out(records.session.id, COMMAND)

    with pytest.raises(InvalidToken):
        await house.sign_in.sign_in_again(records, PASSWORD, HERE)

    assert await house.sessions.list_own(user, before=None, limit=9) == []
    assert (await ann.get(ME)).status_code == 401


async def test_who_proves_it_twice_at_once_stays_signed_in(
    client: httpx2.AsyncClient, house: House
) -> None:
    ann = await signed_in(client, house, "ann")
    answers = await asyncio.gather(*(prove(ann, password=PASSWORD) for _ in range(4)))
    # 401: it came when another one had been answered.
    assert {answer.status_code for answer in answers} - {401} == {200}
    for answer in answers:
        if answer.status_code == 200:
            ann.answer = answer.json()
            assert (await ann.get(ME)).status_code == 200


@pytest.mark.parametrize("settings", [{"email_verification": "required"}], indirect=True)
async def test_a_proof_is_no_way_around_what_a_sign_in_asks(
    client: httpx2.AsyncClient, house: House
) -> None:
    ann = await signed_in(client, house, "ann")
    before = await session_in(ann)
    answer = await prove(ann, password=PASSWORD)
    assert refused(answer)[:2] == (401, "email_not_verified")
    assert await session_in(ann) == before


@pytest.mark.parametrize(
    ("settings", "code"),
    [({"breached_at_sign_in": "change"}, "password_must_change"), ({}, "")],
    indirect=["settings"],
)
async def test_a_breached_password_is_a_proof_as_it_is_a_sign_in(
    client: httpx2.AsyncClient, house: House, code: str
) -> None:
    ann = await signed_in(client, house, "ann")
    import_text(line(PASSWORD), house.settings.breached_file)
    answer = await prove(ann, password=PASSWORD)
    assert (answer.status_code, answer.json().get("code", "")) == (401 if code else 200, code)


@pytest.mark.parametrize(("device", "told"), [("x", ["new-device"]), (None, [])])
async def test_a_browser_that_the_user_does_not_know_is_told_of(
    house: House, clock: FakeClock, mailbox: Mailbox, device: str | None, told: list[str]
) -> None:
    """Whoever has stolen cookies and password: a notice goes out. A program gets none."""
    ann = await new_user(house, "ann")
    await house.sessions.open(ann, BY_PASSWORD, "cookie", HERE)
    user = await house.accounts.get_by_username("ann")
    (session,) = await house.sessions.list_own(user, before=None, limit=1)
    afar = Origin(address="203.0.113.5", user_agent="curl/8.0")
    await house.sign_in.sign_in_again(Records(user, session), PASSWORD, afar, device=device)
    clock.advance(timedelta(minutes=1))
    await delivered(house)
    assert [kind for _, kind in mailbox.kinds()] == told


async def test_a_sign_out_everywhere_beside_the_proof_ends_all_of_it(
    client: httpx2.AsyncClient, house: House
) -> None:
    """Whichever comes first: no session lives on."""
    for number in range(20):
        ann = await signed_in(client, house, f"ann{number}")
        user = await house.accounts.get_by_username(f"ann{number}")
        proof, _ = await asyncio.gather(
            prove(ann, password=PASSWORD), house.sessions.sign_out_everywhere(user.id, COMMAND)
        )
        now = await house.accounts.get_by_username(f"ann{number}")
        living = await house.sessions.list_own(now, before=None, limit=9)
        assert proof.status_code in {200, 401}
        assert [each.epoch for each in living] == [now.epoch] * len(living)
        assert len(living) <= (proof.status_code == 200)


@pytest.mark.parametrize(
    "asked",
    [
        {},
        {"password": None},
        {"code": "AAAA-AAAA"},
        {"request": "ltr_x"},
        {"password": PASSWORD, "code": "AAAA-AAAA", "request": "x"},
        {"password": PASSWORD, "code": "AAAA-AAAA"},
    ],
)
async def test_one_kind_of_proof_is_sent(
    client: httpx2.AsyncClient, house: House, asked: dict[str, str]
) -> None:
    ann = await signed_in(client, house, "ann")
    assert refused(await prove(ann, **asked)) == (400, "invalid_request", "password")


async def test_nobody_is_nobody(client: httpx2.AsyncClient) -> None:
    for path in (AGAIN, f"{AGAIN}/code"):
        answer = await client.post(path, json={"password": PASSWORD})
        assert refused(answer)[:2] == (401, "token_missing")


# By a letter


@CODES
async def test_a_code_proves_it_once_and_only_to_its_own_user(
    client: httpx2.AsyncClient, house: House, clock: FakeClock, mailbox: Mailbox
) -> None:
    """Somebody else who has stolen the letter leaves the code as it is."""
    await house.accounts.create(NewUser("ann", "ann@example.com", PASSWORD), COMMAND)
    ann, eve = Person("ann", client), await signed_in(client, house, "eve")
    await ann.sign_in()
    clock.advance(LATER)
    sent = await client.post(f"{AGAIN}/code", headers=ann.headers)
    assert sent.json()["message"] == "A letter with a code is on its way."
    await delivered(house)
    proof = {"request": sent.json()["request"], "code": mailbox.values()["code"]}

    assert refused(await prove(eve, **proof)) == (400, "code_invalid", "code")
    wrong = await prove(ann, **proof | {"code": "AAAA-AAAA"})
    assert refused(wrong) == (400, "code_invalid", "code")
    answers = await asyncio.gather(*(prove(ann, **proof) for _ in range(5)))

    assert sorted(answer.status_code for answer in answers)[:2] in ([200, 400], [200, 401])
    (good,) = [answer for answer in answers if answer.status_code == 200]
    ann.answer = good.json()
    assert (await session_in(ann))["methods"] == ["otp"]
    assert (await ann.get(ME)).json()["emailVerified"] is True
    assert (await _delete(ann, {})).status_code == 200


async def test_where_nobody_signs_in_by_a_code_nobody_proves_anything_by_one(
    client: httpx2.AsyncClient, house: House
) -> None:
    ann = await signed_in(client, house, "ann")
    for answer in (
        await client.post(f"{AGAIN}/code", headers=ann.headers),
        await prove(ann, request="ltr_x", code="AAAA-AAAA"),
    ):
        assert refused(answer)[:2] == (403, "sign_in_by_code_off")
