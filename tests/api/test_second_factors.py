"""Signing in with a second factor, and the factors of one's own account."""

import asyncio
import base64
from datetime import timedelta

import httpx2
import pytest

from gatelodge.accounts.refusals import UsernameTaken
from gatelodge.accounts.service import NewUser
from gatelodge.app import House
from gatelodge.audit import COMMAND
from gatelodge.base64url import decode_base64url, encode_base64url
from gatelodge.credentials.factors import Factor, FactorId, adding
from gatelodge.credentials.own_proof import FRESH
from gatelodge.methods import BY_PASSWORD
from gatelodge.sign_in.challenges import Challenge
from gatelodge.sign_in.opening import SignInContext
from gatelodge.sign_in.refusals import InvalidCredentials
from gatelodge.testing import SoftwareAuthenticator
from gatelodge.tokens.refusals import InvalidToken
from tests.api.test_cookies import OURS
from tests.api.test_own_account import ME, refused
from tests.support.clock import FakeClock
from tests.support.factors import (
    FACTORS,
    PASSKEY,
    RECOVERY,
    TOTP,
    App,
    add_app,
    add_passkey,
    by_passkey,
    keep_tokens,
)
from tests.support.logs import lines_logged
from tests.support.people import HERE, PASSWORD, Person, new_user, signed_in

STEP = timedelta(seconds=30)
SIGN_IN = {"username": "ann", "password": PASSWORD}
AGAIN = "/api/auth/again"
CONFIRM = f"{FACTORS}/totp/confirm"
STALE = (401, "insufficient_user_authentication", None)


async def asked(client: httpx2.AsyncClient, **more: object) -> dict[str, object]:
    """Sign in with the right password, and return the question for the second factor."""
    answer = await client.post("/api/auth/signin", json={**SIGN_IN, **more}, headers=OURS)
    assert answer.status_code == 401, answer.text
    body: dict[str, object] = answer.json()
    assert body["code"] == "second_factor_required"
    assert body["accessToken"] is None
    return body


async def with_app(
    client: httpx2.AsyncClient, house: House, clock: FakeClock
) -> tuple[Person, App]:
    """Return somebody with an authenticator app, which shows its next code."""
    ann = await signed_in(client, house, "ann")
    app = await add_app(ann, clock)
    clock.advance(STEP)
    return ann, app


async def session_of(client: httpx2.AsyncClient, answer: httpx2.Response) -> dict[str, object]:
    """Return what the server says of the session that was opened."""
    token = answer.json()["accessToken"]
    shown = await client.get(ME, headers={"Authorization": f"Bearer {token}"})
    session: dict[str, object] = shown.json()["session"]
    return session


# Signing in


async def test_a_code_of_the_app_finishes_a_sign_in(
    client: httpx2.AsyncClient, house: House, clock: FakeClock
) -> None:
    _, app = await with_app(client, house, clock)

    question = await asked(client)
    assert question["methods"] == ["totp", "recovery_code"]
    body = {"challenge": question["challenge"], "code": app.code(clock)}
    answer = await client.post(TOTP, json=body)

    assert answer.status_code == 200
    assert answer.json()["username"] == "ann"
    assert (await session_of(client, answer))["methods"] == ["pwd", "otp", "mfa"]
    again = await client.post(TOTP, json=body)
    assert refused(again)[:2] == (401, "challenge_over")


async def test_a_code_works_once(
    client: httpx2.AsyncClient, house: House, clock: FakeClock
) -> None:
    """Also for a second challenge, in the same half minute or the next."""
    _, app = await with_app(client, house, clock)
    code = app.code(clock)
    first, second = await asked(client), await asked(client)

    assert (
        await client.post(TOTP, json={"challenge": first["challenge"], "code": code})
    ).is_success
    for _ in range(2):
        answer = await client.post(TOTP, json={"challenge": second["challenge"], "code": code})
        assert refused(answer) == (400, "factor_code_wrong", "code")
        clock.advance(STEP)
    body = {"challenge": second["challenge"], "code": app.code(clock)}
    assert (await client.post(TOTP, json=body)).is_success  # a wrong code leaves the question


async def test_a_code_counts_for_its_own_kind_of_factor(
    client: httpx2.AsyncClient, house: House, clock: FakeClock
) -> None:
    _, app = await with_app(client, house, clock)
    challenge = (await asked(client))["challenge"]
    for path, code in ((TOTP, app.codes[0]), (RECOVERY, app.code(clock))):
        answer = await client.post(path, json={"challenge": challenge, "code": code})
        assert refused(answer) == (400, "factor_code_wrong", "code")
    for path, code in ((TOTP, app.code(clock)), (RECOVERY, app.codes[0])):
        challenge = (await asked(client))["challenge"]
        assert (await client.post(path, json={"challenge": challenge, "code": code})).is_success


@pytest.mark.parametrize(("steps", "right"), [(-2, False), (-1, True), (0, True), (1, False)])
async def test_the_code_of_one_past_step_is_right(
    client: httpx2.AsyncClient, house: House, clock: FakeClock, steps: int, right: bool
) -> None:
    _, app = await with_app(client, house, clock)
    clock.advance(3 * STEP)
    body = {"challenge": (await asked(client))["challenge"], "code": app.code(clock, steps=steps)}
    answer = await client.post(TOTP, json=body)
    assert answer.status_code == (200 if right else 400)


async def test_a_recovery_code_works_once(
    client: httpx2.AsyncClient, house: House, clock: FakeClock
) -> None:
    ann, app = await with_app(client, house, clock)
    assert len(set(app.codes)) == 10
    typed = app.codes[3].lower().replace("-", " ")

    body = {"challenge": (await asked(client))["challenge"], "code": typed}
    assert (await client.post(RECOVERY, json=body)).is_success

    body = {"challenge": (await asked(client))["challenge"], "code": app.codes[3]}
    assert refused(await client.post(RECOVERY, json=body))[:2] == (400, "factor_code_wrong")
    codes = [each for each in await listed(ann) if each["kind"] == "recovery_codes"]
    assert [each["left"] for each in codes] == [9]


async def test_new_recovery_codes_void_the_old(
    client: httpx2.AsyncClient, house: House, clock: FakeClock
) -> None:
    ann, app = await with_app(client, house, clock)
    made = await client.post(f"{FACTORS}/recovery-codes", headers=ann.headers)
    assert len(made.json()["codes"]) == 10

    challenge = (await asked(client))["challenge"]
    old = await client.post(RECOVERY, json={"challenge": challenge, "code": app.codes[0]})
    assert refused(old)[:2] == (400, "factor_code_wrong")
    body = {"challenge": challenge, "code": made.json()["codes"][0]}
    assert (await client.post(RECOVERY, json=body)).is_success


@pytest.mark.parametrize(
    "ended", ["late", "everywhere", "disabled", "deleted", "address", "password"]
)
async def test_a_question_ends(
    client: httpx2.AsyncClient, house: House, clock: FakeClock, ended: str
) -> None:
    ann, app = await with_app(client, house, clock)
    challenge = (await asked(client))["challenge"]
    user = await house.accounts.get_by_username("ann")
    match ended:
        case "late":
            clock.advance(timedelta(minutes=10))
        case "everywhere":
            await client.post("/api/auth/signout", json={"everywhere": True}, headers=ann.headers)
        case "disabled":
            await house.accounts.disable(user, COMMAND)
        case "address":
            event = house.audit.event("user.email_changed", COMMAND, target=user.id)
            other = "ann@example.org"
            assert await house.stores.users.set_email(
                user, event, email=other, email_key=other, verified_at=None
            )
        case "deleted":
            await house.accounts.delete(user, COMMAND)
        case _:
            body = {"currentPassword": PASSWORD, "newPassword": "eight wild geese at dawn"}
            changed = await client.post("/api/auth/password", json=body, headers=ann.headers)
            assert changed.is_success, changed.text
    answer = await client.post(TOTP, json={"challenge": challenge, "code": app.code(clock)})
    assert refused(answer)[:2] == (401, "challenge_over")


@pytest.mark.parametrize("text", ["", "chl_x", "chl_x.y", "☃", "." * 256])
async def test_a_question_that_nobody_asked_is_over(client: httpx2.AsyncClient, text: str) -> None:
    for path in (TOTP, RECOVERY):
        answer = await client.post(path, json={"challenge": text, "code": "123456"})
        assert refused(answer)[:2] == (401, "challenge_over")
        assert answer.json()["accessToken"] is None
    answer = await client.post(PASSKEY, json={"challenge": text, "credential": {}})
    assert refused(answer)[:2] == (400, "passkey_invalid")


async def test_five_wrong_codes_block_the_factor_for_a_while(
    client: httpx2.AsyncClient, house: House, clock: FakeClock
) -> None:
    _, app = await with_app(client, house, clock)
    challenge = (await asked(client))["challenge"]
    for _ in range(5):
        answer = await client.post(TOTP, json={"challenge": challenge, "code": "000000"})
        assert refused(answer)[:2] == (400, "factor_code_wrong")
    right = {"challenge": challenge, "code": app.code(clock)}
    assert refused(await client.post(TOTP, json=right))[:2] == (429, "too_many_attempts")
    recovery = {"challenge": challenge, "code": app.codes[0]}
    assert refused(await client.post(RECOVERY, json=recovery))[:2] == (429, "too_many_attempts")
    clock.advance(timedelta(minutes=5))
    right = {"challenge": challenge, "code": app.code(clock)}
    assert (await client.post(TOTP, json=right)).is_success


async def test_a_right_password_counts_until_the_factor_completes_it(
    client: httpx2.AsyncClient, house: House, clock: FakeClock
) -> None:
    _, app = await with_app(client, house, clock)
    for _ in range(9):  # the next one is the tenth, which is the last that is allowed
        await asked(client)
    challenge = (await asked(client))["challenge"]
    assert refused(await client.post("/api/auth/signin", json=SIGN_IN))[:2] == (
        429,
        "too_many_attempts",
    )
    body = {"challenge": challenge, "code": app.code(clock)}
    assert (await client.post(TOTP, json=body)).is_success
    await asked(client)  # the failures are forgotten


async def test_a_sign_in_that_began_before_the_factor_opens_nothing(
    client: httpx2.AsyncClient, house: House, clock: FakeClock
) -> None:
    """Its password waits for a hash while the user adds the first factor."""
    ann = await signed_in(client, house, "ann")
    before = await house.accounts.get_by_username("ann")
    await add_app(ann, clock)

    at = SignInContext(HERE)
    with pytest.raises(InvalidToken):
        await house.opening.open(before, BY_PASSWORD, "bearer", at)
    with pytest.raises(InvalidCredentials):
        await house.sign_in.open_first(before, "bearer", HERE)
    now = await house.accounts.get_by_username("ann")
    assert isinstance(await house.opening.open(now, BY_PASSWORD, "bearer", at), Challenge)


async def test_nobody_without_a_factor_is_asked(client: httpx2.AsyncClient, house: House) -> None:
    await new_user(house, "ann")
    assert (await client.post("/api/auth/signin", json=SIGN_IN)).is_success


# Remembered browsers


async def test_a_remembered_browser_is_not_asked(
    client: httpx2.AsyncClient, house: House, clock: FakeClock
) -> None:
    ann, app = await with_app(client, house, clock)
    challenge = (await asked(client, delivery="cookie"))["challenge"]
    body = {"challenge": challenge, "code": app.code(clock), "remember": True}
    answer = await client.post(TOTP, json=body, headers=OURS)
    assert answer.is_success
    (cookie,) = [
        each for each in answer.headers.get_list("set-cookie") if each.startswith("gatelodge-brow")
    ]
    assert {"HttpOnly", "SameSite=Lax", "Max-Age=2592000"} <= set(cookie.split("; "))

    left = await client.post("/api/auth/signout", headers=OURS)
    assert left.headers["clear-site-data"] == '"storage"'
    back = await client.post(
        "/api/auth/signin", json={**SIGN_IN, "delivery": "cookie"}, headers=OURS
    )
    assert back.is_success
    assert (await client.get(ME)).json()["session"]["methods"] == ["pwd"]
    browsers = [each for each in await listed(ann) if each["kind"] == "browser"]
    assert len(browsers) == 1

    gone = await client.delete(f"{FACTORS}/{browsers[0]['id']}", headers=ann.headers)
    assert gone.is_success
    await asked(client)


async def test_a_browser_is_remembered_for_each_of_its_users(
    client: httpx2.AsyncClient, house: House, clock: FakeClock
) -> None:
    for name in ("ann", "bob"):
        app = await add_app(await signed_in(client, house, name), clock)
        clock.advance(STEP)
        asked_of = await client.post(
            "/api/auth/signin", json={"username": name, "password": PASSWORD}
        )
        body = {"challenge": asked_of.json()["challenge"], "code": app.code(clock)}
        assert (await client.post(TOTP, json={**body, "remember": True})).is_success
    for name in ("ann", "bob"):
        body = {"username": name, "password": PASSWORD}
        assert (await client.post("/api/auth/signin", json=body)).is_success


async def test_a_browser_that_did_not_ask_for_it_is_not_remembered(
    client: httpx2.AsyncClient, house: House, clock: FakeClock
) -> None:
    ann, app = await with_app(client, house, clock)
    body = {"challenge": (await asked(client))["challenge"], "code": app.code(clock)}
    assert (await client.post(TOTP, json=body)).is_success
    assert [each for each in await listed(ann) if each["kind"] == "browser"] == []
    await asked(client)


@pytest.mark.parametrize(("before", "counts"), [(0, True), (3, True), (4, False), (150, False)])
async def test_a_browser_shows_few_secrets(
    client: httpx2.AsyncClient, house: House, clock: FakeClock, before: int, counts: bool
) -> None:
    """More than four users are never remembered in one browser.

    The cookie is read before the password is verified: with many secrets, the time that it takes
    would tell a stranger whether the user has a second factor.
    """
    _, app = await with_app(client, house, clock)
    body = {"challenge": (await asked(client))["challenge"], "code": app.code(clock)}
    await client.post(TOTP, json=body | {"remember": True}, headers=OURS)
    (name,) = [each for each in client.cookies if "browser" in each]
    cookie = ".".join([*[f"{number:043}" for number in range(before)], client.cookies[name]])
    client.cookies.clear()

    headers = {**OURS, "Cookie": f"{name}={cookie}"}
    answer = await client.post("/api/auth/signin", json=SIGN_IN, headers=headers)
    assert answer.status_code == (200 if counts else 401)


async def test_a_question_is_over_when_the_last_factor_is_removed(
    client: httpx2.AsyncClient, house: House, clock: FakeClock
) -> None:
    ann, app = await with_app(client, house, clock)
    challenge = (await asked(client))["challenge"]
    assert (await client.delete(f"{FACTORS}/{app.id}", headers=ann.headers)).is_success

    for path, code in ((TOTP, app.code(clock)), (RECOVERY, app.codes[0])):
        answer = await client.post(path, json={"challenge": challenge, "code": code})
        assert refused(answer)[:2] == (401, "challenge_over")
    options = await client.post(f"{PASSKEY}/options", json={"challenge": challenge})
    assert refused(options)[:2] == (401, "challenge_over")
    assert (await client.post("/api/auth/signin", json=SIGN_IN)).is_success


@pytest.mark.parametrize("way", ["password", "everywhere", "late", "other user"])
async def test_a_browser_is_forgotten(
    client: httpx2.AsyncClient, house: House, clock: FakeClock, way: str
) -> None:
    ann, app = await with_app(client, house, clock)
    challenge = (await asked(client))["challenge"]
    body = {"challenge": challenge, "code": app.code(clock), "remember": True}
    assert (await client.post(TOTP, json=body)).is_success
    assert (await client.post("/api/auth/signin", json=SIGN_IN)).is_success
    username, password = "ann", PASSWORD
    match way:
        case "password":
            password = "eight wild geese at dawn"
            change = {"currentPassword": PASSWORD, "newPassword": password}
            changed = await client.post("/api/auth/password", json=change, headers=ann.headers)
            assert changed.is_success, changed.text
        case "everywhere":
            await client.post("/api/auth/signout", json={"everywhere": True}, headers=ann.headers)
        case "late":
            clock.advance(timedelta(days=30))
        case _:
            username = "bob"
            bob = await signed_in(client, house, "bob")
            await add_app(bob, clock)
    answer = await client.post(
        "/api/auth/signin", json={"username": username, "password": password}
    )
    assert refused(answer)[:2] == (401, "second_factor_required")


# Passkeys


@pytest.fixture
def authenticator(house: House) -> SoftwareAuthenticator:
    """Return an authenticator that believes to be at this site."""
    return SoftwareAuthenticator(house.settings.public_origin)


async def test_a_passkey_signs_in_alone(
    client: httpx2.AsyncClient, house: House, authenticator: SoftwareAuthenticator
) -> None:
    ann = await signed_in(client, house, "ann")
    added = await add_passkey(ann, authenticator)
    assert added.status_code == 200, added.text
    assert len(added.json()["recoveryCodes"]) == 10

    answer = await by_passkey(client, authenticator)

    assert answer.status_code == 200, answer.text
    assert answer.json()["username"] == "ann"
    assert (await session_of(client, answer))["methods"] == ["pop", "mfa"]


async def test_a_passkey_is_a_second_factor(
    client: httpx2.AsyncClient, house: House, authenticator: SoftwareAuthenticator
) -> None:
    """Then it need not verify its user: the password has."""
    ann = await signed_in(client, house, "ann")
    await add_passkey(ann, authenticator)
    authenticator.verifies_user = False
    question = await asked(client)
    assert question["methods"] == ["passkey", "recovery_code"]

    answer = await by_passkey(client, authenticator, str(question["challenge"]))

    assert answer.status_code == 200, answer.text
    assert (await session_of(client, answer))["methods"] == ["pwd", "pop", "mfa"]


async def test_a_passkey_alone_verifies_its_user(
    client: httpx2.AsyncClient, house: House, authenticator: SoftwareAuthenticator
) -> None:
    """Otherwise it would be one factor: whoever has found the device."""
    await add_passkey(await signed_in(client, house, "ann"), authenticator)
    for verifies in (False, True):
        authenticator.verifies_user = verifies
        question = (await client.post(f"{PASSKEY}/options", json={})).json()
        assert question["publicKey"]["userVerification"] == "required"
        options = question["publicKey"] | {"userVerification": "discouraged"}  # the browser lies
        body = {"challenge": question["challenge"], "credential": authenticator.get(options)}
        answer = await client.post(PASSKEY, json=body)
        assert answer.is_success == verifies
        assert verifies or refused(answer)[:2] == (400, "passkey_invalid")


async def test_a_passkey_of_somebody_disabled_signs_nobody_in(
    client: httpx2.AsyncClient, house: House, authenticator: SoftwareAuthenticator
) -> None:
    await add_passkey(await signed_in(client, house, "ann"), authenticator)
    await house.accounts.disable(await house.accounts.get_by_username("ann"), COMMAND)
    assert refused(await by_passkey(client, authenticator))[:2] == (400, "passkey_invalid")


async def test_a_passkey_of_somebody_else_is_no_second_factor(
    client: httpx2.AsyncClient, house: House, authenticator: SoftwareAuthenticator
) -> None:
    """The challenge of Ann's sign-in stays, and her own passkey answers it."""
    await add_passkey(await signed_in(client, house, "ann"), authenticator)
    bobs = SoftwareAuthenticator(house.settings.public_origin)
    await add_passkey(await signed_in(client, house, "bob"), bobs)
    challenge = str((await asked(client))["challenge"])

    options = (await client.post(f"{PASSKEY}/options", json={"challenge": challenge})).json()
    public_key = {**options["publicKey"], "allowCredentials": []}
    body = {"challenge": challenge, "credential": bobs.get(public_key)}
    assert refused(await client.post(PASSKEY, json=body))[:2] == (400, "passkey_invalid")

    answer = await by_passkey(client, authenticator, challenge)
    assert answer.json()["username"] == "ann"


async def test_a_browser_is_remembered_after_a_passkey_too(
    client: httpx2.AsyncClient, house: House, authenticator: SoftwareAuthenticator
) -> None:
    await add_passkey(await signed_in(client, house, "ann"), authenticator)
    challenge = str((await asked(client))["challenge"])
    assert (await by_passkey(client, authenticator, challenge, remember=True)).is_success
    assert (await client.post("/api/auth/signin", json=SIGN_IN)).is_success


async def test_an_answer_works_once(
    client: httpx2.AsyncClient, house: House, authenticator: SoftwareAuthenticator
) -> None:
    ann = await signed_in(client, house, "ann")
    await add_passkey(ann, authenticator)
    question = (await client.post(f"{PASSKEY}/options", json={})).json()
    body = {
        "challenge": question["challenge"],
        "credential": authenticator.get(question["publicKey"]),
    }
    assert (await client.post(PASSKEY, json=body)).is_success
    assert refused(await client.post(PASSKEY, json=body))[:2] == (400, "passkey_invalid")


@pytest.mark.parametrize("wrong", ["late", "another text", "another question", "enrolment"])
async def test_an_answer_counts_for_its_own_question(
    client: httpx2.AsyncClient,
    house: House,
    clock: FakeClock,
    authenticator: SoftwareAuthenticator,
    wrong: str,
) -> None:
    ann = await signed_in(client, house, "ann")
    await add_passkey(ann, authenticator)
    first, second = [(await client.post(f"{PASSKEY}/options", json={})).json() for _ in range(2)]
    text, credential = first["challenge"], authenticator.get(first["publicKey"])
    match wrong:
        case "late":
            clock.advance(timedelta(minutes=5))
        case "another text":
            text = second["challenge"]
        case "another question":
            text = (await asked(client))["challenge"]
        case _:
            enrol = await client.post(f"{FACTORS}/passkey/options", headers=ann.headers)
            text = enrol.json()["challenge"]
            options = {**first["publicKey"], "challenge": enrol.json()["publicKey"]["challenge"]}
            credential = authenticator.get(options)
    answer = await client.post(PASSKEY, json={"challenge": text, "credential": credential})
    assert refused(answer)[:2] == (400, "passkey_invalid")
    again = {"challenge": second["challenge"], "credential": authenticator.get(second["publicKey"])}
    assert (await client.post(PASSKEY, json=again)).status_code == (400 if wrong == "late" else 200)


async def test_whoever_signs_up_twice_gets_no_session_past_the_second_factor(
    house: House, clock: FakeClock
) -> None:
    """A form that is sent twice within two minutes signs in, but not whoever has a factor."""
    wanted = NewUser("ann", "ann@example.com", PASSWORD)
    user = (await house.sign_in.sign_up(wanted, "cookie", HERE, once=True)).user
    assert user is not None
    assert (await house.sign_in.sign_up(wanted, "cookie", HERE, once=True)).session is not None
    factor = Factor(FactorId("fac_x"), "totp", "", clock.now())
    await house.stores.factors.change(user.id, adding(factor, limit=1))
    with pytest.raises(UsernameTaken):
        await house.sign_in.sign_up(wanted, "cookie", HERE, once=True)


async def test_a_passkey_that_is_removed_signs_nobody_in(
    client: httpx2.AsyncClient, house: House, authenticator: SoftwareAuthenticator
) -> None:
    ann = await signed_in(client, house, "ann")
    added = await add_passkey(ann, authenticator)
    gone = await client.delete(f"{FACTORS}/{added.json()['factor']['id']}", headers=ann.headers)
    assert gone.json()["items"] == []
    answer = await by_passkey(client, authenticator)
    assert refused(answer)[:2] == (400, "passkey_unknown")
    assert (await client.post("/api/auth/signin", json=SIGN_IN)).is_success


async def test_a_passkey_that_counts_back_is_refused(
    client: httpx2.AsyncClient,
    house: House,
    authenticator: SoftwareAuthenticator,
) -> None:
    ann = await signed_in(client, house, "ann")
    await add_passkey(ann, authenticator)
    assert (await by_passkey(client, authenticator)).is_success
    authenticator.passkeys[0].sign_count -= 1
    assert refused(await by_passkey(client, authenticator))[:2] == (400, "passkey_invalid")


async def test_a_passkey_is_in_one_account(
    client: httpx2.AsyncClient, house: House, authenticator: SoftwareAuthenticator
) -> None:
    """An id that one user has is refused for another, who answers a question of their own."""
    ann, bob = await signed_in(client, house, "ann"), await signed_in(client, house, "bob")
    assert (await add_passkey(ann, authenticator)).is_success
    taken = authenticator.passkeys[0].credential_id

    question = (await client.post(f"{FACTORS}/passkey/options", headers=bob.headers)).json()
    credential = SoftwareAuthenticator(house.settings.public_origin).create(question["publicKey"])
    made = decode_base64url(credential["id"])
    attestation = decode_base64url(credential["response"]["attestationObject"])
    forged = encode_base64url(attestation.replace(made, taken))
    credential["id"] = credential["rawId"] = encode_base64url(taken)
    credential["response"]["attestationObject"] = forged
    body = {"challenge": question["challenge"], "credential": credential}
    answer = await client.post(f"{FACTORS}/passkey", json=body, headers=bob.headers)

    assert refused(answer)[:2] == (409, "passkey_taken")
    assert await listed(bob) == []
    assert (await by_passkey(client, authenticator)).json()["username"] == "ann"


async def test_an_answer_to_the_question_of_somebody_else_adds_no_passkey(
    client: httpx2.AsyncClient, house: House, authenticator: SoftwareAuthenticator
) -> None:
    ann, bob = await signed_in(client, house, "ann"), await signed_in(client, house, "bob")
    question = await client.post(f"{FACTORS}/passkey/options", headers=bob.headers)
    credential = authenticator.create(question.json()["publicKey"])
    body = {"challenge": question.json()["challenge"], "credential": credential}
    stolen = await client.post(f"{FACTORS}/passkey", json=body, headers=ann.headers)
    assert refused(stolen)[:2] == (400, "passkey_invalid")
    assert await listed(ann) == []


# The factors of one's own account


async def listed(person: Person) -> list[dict[str, object]]:
    """Return the factors of a person."""
    items: list[dict[str, object]] = (await person.get(FACTORS)).json()["items"]
    return items


async def test_factors_are_listed_named_and_removed(
    client: httpx2.AsyncClient, house: House, clock: FakeClock
) -> None:
    ann, app = await with_app(client, house, clock)
    assert [(each["kind"], each["name"]) for each in await listed(ann)] == [
        ("totp", "Phone"),
        ("recovery_codes", ""),
    ]
    assert "secret" not in str(await listed(ann)).lower()

    renamed = await client.patch(
        f"{FACTORS}/{app.id}", json={"name": " Tablet "}, headers=ann.headers
    )
    assert renamed.json()["items"][0]["name"] == "Tablet"
    removed = await client.delete(f"{FACTORS}/{app.id}", headers=ann.headers)
    assert removed.json() == {"items": [], "required": False}
    again = await client.delete(f"{FACTORS}/{app.id}", headers=ann.headers)
    assert refused(again)[:2] == (404, "factor_not_found")


async def test_a_factor_has_a_name_of_at_most_100_characters(
    client: httpx2.AsyncClient, house: House, clock: FakeClock
) -> None:
    ann, app = await with_app(client, house, clock)
    for name, status in (("x" * 101, 400), ("x" * 100, 200), ("", 200)):
        path = f"{FACTORS}/{app.id}"
        answer = await client.patch(path, json={"name": name}, headers=ann.headers)
        assert answer.status_code == status, name
        if status == 400:
            assert answer.json()["code"] == "name_invalid"
    assert (await listed(ann))[0]["name"] == ""


async def test_nobody_has_more_than_ten_apps(
    client: httpx2.AsyncClient, house: House, clock: FakeClock
) -> None:
    ann = await signed_in(client, house, "ann")
    for number in range(10):
        await add_app(ann, clock, f"Phone {number}")
    begun = (await client.post(f"{FACTORS}/totp", headers=ann.headers)).json()
    code = App("", base64.b32decode(begun["secret"]), []).code(clock)
    body = {"enrolment": begun["enrolment"], "code": code}
    answer = await client.post(CONFIRM, json=body, headers=ann.headers)
    assert refused(answer)[:2] == (409, "too_many_factors")
    assert len(await listed(ann)) == 11  # with the recovery codes


async def test_whoever_has_no_second_factor_gets_no_recovery_codes(
    client: httpx2.AsyncClient, house: House
) -> None:
    ann = await signed_in(client, house, "ann")
    answer = await client.post(f"{FACTORS}/recovery-codes", headers=ann.headers)
    assert refused(answer)[:2] == (409, "no_second_factor")


async def test_nobody_touches_the_factors_of_others(
    client: httpx2.AsyncClient, house: House, clock: FakeClock
) -> None:
    ann, app = await with_app(client, house, clock)
    bob = await signed_in(client, house, "bob")
    for method, body in (("PATCH", {"name": "Mine"}), ("DELETE", None)):
        answer = await client.request(method, f"{FACTORS}/{app.id}", json=body, headers=bob.headers)
        assert refused(answer)[:2] == (404, "factor_not_found")
    assert len(await listed(ann)) == 2


async def test_what_changes_factors_asks_for_a_new_proof(
    client: httpx2.AsyncClient, house: House, clock: FakeClock
) -> None:
    ann, app = await with_app(client, house, clock)
    clock.advance(FRESH)
    for method, path in (
        ("POST", "/totp"),
        ("POST", "/passkey/options"),
        ("POST", "/recovery-codes"),
        ("DELETE", f"/{app.id}"),
    ):
        answer = await client.request(method, f"{FACTORS}{path}", headers=ann.headers)
        assert refused(answer) == STALE
        assert answer.json()["acr_values"] == "aal2"
        assert answer.json()["max_age"] == 300
    assert len(await listed(ann)) == 2


async def test_a_password_alone_is_no_new_proof_for_who_has_a_factor(
    client: httpx2.AsyncClient, house: House, clock: FakeClock
) -> None:
    ann, app = await with_app(client, house, clock)
    clock.advance(FRESH)
    answer = await client.post(AGAIN, json={"password": PASSWORD}, headers=ann.headers)
    assert refused(answer)[:2] == (401, "second_factor_required")
    assert refused(await client.delete(f"{FACTORS}/{app.id}", headers=ann.headers)) == STALE

    body = {"challenge": answer.json()["challenge"], "code": app.code(clock)}
    proved = await client.post(TOTP, json=body)
    assert proved.is_success
    old = ann.headers
    ann.answer = proved.json()
    assert (await client.get(ME, headers=old)).status_code == 401
    assert (await client.delete(f"{FACTORS}/{app.id}", headers=ann.headers)).is_success


async def test_a_passkey_is_a_new_proof(
    client: httpx2.AsyncClient,
    house: House,
    clock: FakeClock,
    authenticator: SoftwareAuthenticator,
) -> None:
    ann = await signed_in(client, house, "ann")
    await add_passkey(ann, authenticator)
    clock.advance(FRESH + STEP)
    made = await client.post(f"{FACTORS}/recovery-codes", headers=ann.headers)
    assert refused(made) == STALE
    question = (await client.post(f"{PASSKEY}/options", json={})).json()
    body = {
        "challenge": question["challenge"],
        "credential": authenticator.get(question["publicKey"]),
    }
    proved = await client.post(AGAIN, json=body, headers=ann.headers)
    assert proved.is_success, proved.text
    ann.answer = proved.json()
    made = await client.post(f"{FACTORS}/recovery-codes", headers=ann.headers)
    assert made.is_success


async def test_a_remembered_browser_cannot_change_what_protects_the_account(
    client: httpx2.AsyncClient, house: House, clock: FakeClock
) -> None:
    """Whoever has the laptop and the password gets in, and no further."""
    _, app = await with_app(client, house, clock)
    challenge = (await asked(client, delivery="cookie"))["challenge"]
    body = {"challenge": challenge, "code": app.code(clock), "remember": True}
    assert (await client.post(TOTP, json=body, headers=OURS)).is_success
    by_password = {**SIGN_IN, "delivery": "cookie"}
    assert (await client.post("/api/auth/signin", json=by_password, headers=OURS)).is_success
    acts = (
        ("DELETE", f"{FACTORS}/{app.id}", None),
        ("DELETE", ME, {"password": PASSWORD}),
        (
            "POST",
            "/api/auth/password",
            {"currentPassword": PASSWORD, "newPassword": "eight wild geese at dawn"},
        ),
    )
    for method, path, sent in acts:
        answer = await client.request(method, path, json=sent, headers=OURS)
        assert refused(answer) == STALE, path


async def test_a_wrong_code_is_noted_as_what_it_was_for(
    client: httpx2.AsyncClient, house: House, clock: FakeClock
) -> None:
    """At a sign-in, and where somebody who is signed in proves again who they are."""
    ann, _ = await with_app(client, house, clock)
    again = await client.post(AGAIN, json={"password": PASSWORD}, headers=ann.headers)
    for challenge, event in (
        ((await asked(client))["challenge"], "sign_in.failed"),
        (again.json()["challenge"], "sign_in.again_failed"),
    ):
        with lines_logged() as lines:
            answer = await client.post(TOTP, json={"challenge": challenge, "code": "000000"})
        assert refused(answer) == (400, "factor_code_wrong", "code")
        assert [(name, told["factor"], told["target"]) for name, told in lines] == [
            (event, "totp", ann.answer["id"])
        ]


@pytest.mark.parametrize("over", ["late", "newer", "another user", "used"])
async def test_a_secret_of_an_app_waits_for_its_first_code(
    client: httpx2.AsyncClient, house: House, clock: FakeClock, over: str
) -> None:
    """It works once, for ten minutes, for one user, until there is a newer one."""
    ann, bob = await signed_in(client, house, "ann"), await signed_in(client, house, "bob")
    begun = (await client.post(f"{FACTORS}/totp", headers=ann.headers)).json()
    app = App("", base64.b32decode(begun["secret"]), [])
    sender = ann
    match over:
        case "late":
            clock.advance(timedelta(minutes=10))
            session = {"refreshToken": ann.answer["refreshToken"]}
            ann.answer |= (await client.post("/api/auth/refresh", json=session)).json()
            again = await client.post(AGAIN, json={"password": PASSWORD}, headers=ann.headers)
            keep_tokens(ann, again)
        case "newer":
            await client.post(f"{FACTORS}/totp", headers=ann.headers)
        case "another user":
            sender = bob
        case _:
            body = {"enrolment": begun["enrolment"], "code": app.code(clock)}
            used = await client.post(CONFIRM, json=body, headers=ann.headers)
            assert used.is_success
            keep_tokens(ann, used)
            clock.advance(STEP)
    before = await listed(sender)
    body = {"enrolment": begun["enrolment"], "code": app.code(clock)}
    answer = await client.post(CONFIRM, json=body, headers=sender.headers)
    assert refused(answer)[:2] == (410, "enrolment_over")
    assert await listed(sender) == before


async def test_a_new_app_counts_when_its_first_code_was_right(
    client: httpx2.AsyncClient, house: House, clock: FakeClock
) -> None:
    ann = await signed_in(client, house, "ann")
    begun = (await client.post(f"{FACTORS}/totp", headers=ann.headers)).json()
    code = App("", base64.b32decode(begun["secret"]), []).code(clock)
    wrong = {"enrolment": begun["enrolment"], "code": f"{(int(code) + 1) % 1_000_000:06}"}
    answer = await client.post(CONFIRM, json=wrong, headers=ann.headers)
    assert refused(answer)[:2] == (400, "factor_code_wrong")
    unknown = {"enrolment": "x", "code": code}
    answer = await client.post(CONFIRM, json=unknown, headers=ann.headers)
    assert refused(answer)[:2] == (410, "enrolment_over")
    assert await listed(ann) == []
    assert (await client.post("/api/auth/signin", json=SIGN_IN)).is_success

    right = {"enrolment": begun["enrolment"], "code": code}
    answer = await client.post(CONFIRM, json=right, headers=ann.headers)
    assert [len(each) for each in answer.json()["recoveryCodes"]] == [29] * 10
    assert (await session_of(client, answer))["methods"] == ["pwd", "otp", "mfa"]
    await asked(client)


async def test_two_sessions_of_one_factor_do_not_both_add_one(
    client: httpx2.AsyncClient, house: House, clock: FakeClock
) -> None:
    """Whoever was slower has proved one factor, and there are two by now."""
    ann = await signed_in(client, house, "ann")
    thief = Person(
        "ann", client, answer=(await client.post("/api/auth/signin", json=SIGN_IN)).json()
    )
    authenticators = [SoftwareAuthenticator("http://localhost:8080") for _ in range(2)]

    answers = await asyncio.gather(
        *(add_passkey(*each) for each in zip((ann, thief), authenticators, strict=True))
    )

    slower = [each for each in answers if not each.is_success]
    assert [refused(each) for each in slower] == [STALE]
    user = await house.accounts.get_by_username("ann")
    assert [each.kind for each in user.factors] == ["passkey", "recovery_codes"]
