"""Whoever must have a second factor is held back until they have proved it: no way leads around."""

import re
from datetime import timedelta
from typing import Any

import httpx2
import pytest

from gatelodge.app import DOORS, House, build, create_app
from gatelodge.audit import COMMAND
from gatelodge.methods import BY_EMAIL_CODE, BY_PASSKEY, BY_PASSWORD, Methods, with_second_factor
from gatelodge.settings import read_settings
from gatelodge.testing import SoftwareAuthenticator
from gatelodge.tokens.refusals import InvalidToken
from gatelodge.web.cookie_jar import cookie_jar
from gatelodge.web.door import Declared, Door
from tests.api.test_cookies import OURS
from tests.api.test_letters import post
from tests.api.test_own_account import ME, refused
from tests.pages.reader import ACCEPT
from tests.support.access_table import path_of_trial
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
)
from tests.support.mailbox import Mailbox, delivered, token_in
from tests.support.people import (
    HERE,
    PASSWORD,
    let_in,
    new_user,
    sign_in_browser,
    signed_in,
)

ENROL = (403, "second_factor_enrolment_required", None)
PROVE = (401, "insufficient_user_authentication", None)
FREE = (200, "", None)
AGAIN = "/api/auth/again"
VERIFY = "/api/auth/verify"
BOARD = "/api/test/user"
ADMIN_BOARD = "/api/test/admin"
NEW_PAGE = "/account/authenticator/new"
STEP = timedelta(seconds=30)
BY_PASSWORD_AND_CODE = with_second_factor(BY_PASSWORD, ("otp",))

required = pytest.mark.parametrize("settings", [{"second_factor": "required"}], indirect=True)
for_admins = pytest.mark.parametrize(
    "settings", [{"second_factor_required_for": "admin"}], indirect=True
)
off = pytest.mark.parametrize(
    "settings",
    [{"second_factor": "off"}, {"second_factor": "off", "second_factor_required_for": "user"}],
    indirect=True,
)

LEADS = {
    ("GET", FACTORS),
    ("POST", f"{FACTORS}/totp"),
    ("POST", f"{FACTORS}/totp/confirm"),
    ("POST", f"{FACTORS}/passkey/options"),
    ("POST", f"{FACTORS}/passkey"),
    ("POST", AGAIN),
    ("POST", f"{AGAIN}/code"),
}
"""The JSON routes for somebody who is signed in that lead to a second factor."""

PAGES_THAT_LEAD = re.compile(r"/sign-in/again(/.*)?|/account/(authenticator|passkeys)(/.*)?")


def answered(answer: httpx2.Response) -> tuple[int, str, str | None]:
    """Return the status, the code and the field of an answer; of a good one, that it is good."""
    return FREE if answer.is_success else refused(answer)


async def session_of(house: House, name: str, methods: Methods = BY_PASSWORD) -> dict[str, str]:
    """Return the header of a new session of a user, opened in this way."""
    user = await house.accounts.get_by_username(name)
    tokens = (await house.sessions.open(user, methods, "bearer", HERE)).tokens
    return {"Authorization": f"Bearer {tokens.access_token}"}


async def asked(client: httpx2.AsyncClient, path: str, headers: dict[str, str]) -> Any:
    """Return what a GET request is answered."""
    return answered(await client.get(path, headers=headers))


async def with_app(house: House, client: httpx2.AsyncClient, clock: FakeClock) -> App:
    """Return the authenticator app of Ann, whom its setup has made."""
    ann = await signed_in(client, house, "ann")
    app = await add_app(ann, clock)
    clock.advance(STEP)
    return app


# What a session that is held back may do


@required
async def test_only_what_leads_to_a_second_factor_is_open(
    client: httpx2.AsyncClient, house: House
) -> None:
    """Every route that is not for everybody, with its own answer or the refusal."""
    ann = await signed_in(client, house, "ann", "admin", "moderator")
    routes = [each for door in DOORS if isinstance(door, Door) for each in door.routes]
    for route in routes:
        if route.rule.public:
            continue
        answer = await client.request(
            route.method,
            path_of_trial(route.path),
            headers=ann.headers,
            json={} if route.method != "GET" else None,
        )
        leads = (route.method, route.path) in LEADS
        assert (answered(answer) != ENROL) == leads, (route.method, route.path, answer.text)
        assert route.rule.while_held_back == leads
    assert {(each.method, each.path) for each in routes if each.rule.while_held_back} == LEADS


def test_the_pages_that_lead_to_a_second_factor_are_open() -> None:
    pages = [each for door in DOORS if not isinstance(door, Door) for each in door.routes]
    held = [each for each in pages if not each.rule.public]
    leading = [each for each in held if PAGES_THAT_LEAD.fullmatch(each.path)]
    assert leading
    assert [each.path for each in held if each.rule.while_held_back] == [
        each.path for each in leading
    ]


@required
async def test_a_page_leads_to_the_page_where_a_factor_is_added(
    client: httpx2.AsyncClient, house: House
) -> None:
    await sign_in_browser(client, house, "ann", "admin")
    for route in _pages_of_users():
        answer = await client.request(route.method, route.path, headers={**OURS, "Accept": ACCEPT})
        assert answer.status_code == 303, route.path
        assert answer.headers["location"].startswith(f"{NEW_PAGE}?next=/"), route.path


@required
async def test_a_page_leads_to_the_proof_of_a_factor(
    client: httpx2.AsyncClient, house: House, clock: FakeClock
) -> None:
    await with_app(house, client, clock)
    await let_in(client, house, await house.accounts.get_by_username("ann"))
    for route in _pages_of_users():
        answer = await client.request(route.method, route.path, headers={**OURS, "Accept": ACCEPT})
        assert answer.status_code == 303, route.path
        assert answer.headers["location"].startswith("/sign-in/again?next=/"), route.path


def _pages_of_users() -> list[Declared]:
    pages = [each for door in DOORS if not isinstance(door, Door) for each in door.routes]
    return [each for each in pages if not each.rule.public and not each.rule.while_held_back]


@required
async def test_the_sign_in_page_leads_on_as_well(
    client: httpx2.AsyncClient, house: House, clock: FakeClock
) -> None:
    """A proxy sends readers there: without this they would go round in circles."""
    await sign_in_browser(client, house, "bob")
    answer = await client.get("/sign-in?next=/app", headers={"Accept": ACCEPT})
    assert answer.headers["location"] == f"{NEW_PAGE}?next=/sign-in%3Fnext%3D/app"
    client.cookies.clear()
    await with_app(house, client, clock)
    await let_in(client, house, await house.accounts.get_by_username("ann"))
    answer = await client.get("/sign-in?next=/app", headers={"Accept": ACCEPT})
    assert answer.headers["location"] == "/sign-in/again?next=/sign-in%3Fnext%3D/app"


@required
async def test_forward_auth_leads_a_browser_on(
    client: httpx2.AsyncClient, house: House, clock: FakeClock
) -> None:
    public = "http://localhost:8080"
    headers = {
        "Accept": ACCEPT,
        "X-Forwarded-Proto": "http",
        "X-Forwarded-Host": "localhost:8080",
        "X-Forwarded-Uri": "/app",
    }
    await sign_in_browser(client, house, "bob")
    answer = await client.get(f"{VERIFY}?redirect=1", headers=headers)
    assert (answer.status_code, answer.headers["location"]) == (
        302,
        f"{public}{NEW_PAGE}?next=%2Fapp",
    )
    assert refused(await client.get(VERIFY)) == ENROL
    client.cookies.clear()
    await with_app(house, client, clock)
    await let_in(client, house, await house.accounts.get_by_username("ann"))
    answer = await client.get(f"{VERIFY}?redirect=1", headers=headers)
    assert answer.headers["location"] == f"{public}/sign-in/again?next=%2Fapp"
    prove = await client.get(VERIFY)
    assert refused(prove) == PROVE
    assert 'acr_values="aal2"' in prove.headers["www-authenticate"]


@required
async def test_everybody_may_sign_out(client: httpx2.AsyncClient, house: House) -> None:
    ann = await signed_in(client, house, "ann")
    assert (await client.post("/api/auth/signout", headers=ann.headers)).is_success
    assert await asked(client, BOARD, ann.headers) == (401, "token_invalid", None)
    await sign_in_browser(client, house, "bob")
    assert (await client.get("/sign-out", headers={"Accept": ACCEPT})).status_code == 200
    assert (await client.post("/sign-out", headers=OURS)).status_code == 303
    assert (await client.get(BOARD)).status_code == 403  # no token


# Who is held back


@for_admins
async def test_a_role_that_is_granted_or_taken_counts_on_the_next_request(
    client: httpx2.AsyncClient, house: House
) -> None:
    """Also where memory knows the token: for the boards, forward-auth, and every other route."""
    await signed_in(client, house, "keeper", "admin")
    ann = await signed_in(client, house, "ann")
    user = await house.accounts.get_by_username("ann")
    for _ in range(2):
        for path in (BOARD, VERIFY, ME, BOARD):
            assert await asked(client, path, ann.headers) == FREE, path
        assert house.gate.recall(ann.token.encode()) is not None

        await house.accounts.grant(user, "admin", COMMAND)
        for path in (BOARD, ADMIN_BOARD, VERIFY, ME, f"{VERIFY}?role=admin", BOARD):
            assert await asked(client, path, ann.headers) == ENROL, path
        assert house.gate.recall(ann.token.encode()) is None

        await house.accounts.withdraw(user, "admin", COMMAND)


@for_admins
async def test_who_holds_no_such_role_goes_on_as_before(
    client: httpx2.AsyncClient, house: House
) -> None:
    ann = await signed_in(client, house, "ann", "moderator")
    assert await asked(client, "/api/test/mod", ann.headers) == FREE


@for_admins
async def test_which_refusal_it_is_follows_the_factors_of_now(
    client: httpx2.AsyncClient, house: House, clock: FakeClock
) -> None:
    """In one session, asked again and again: memory does not matter."""
    ann = await signed_in(client, house, "ann", "admin")
    old = dict(ann.headers)
    user = await house.accounts.get_by_username("ann")
    other = await session_of(house, "ann")
    assert await asked(client, BOARD, other) == ENROL
    await add_app(ann, clock)
    assert await asked(client, BOARD, other) == PROVE
    assert await asked(client, BOARD, ann.headers) == FREE
    assert await asked(client, BOARD, old) == (401, "token_invalid", None)
    factors = (await house.accounts.get_by_username("ann")).factors
    assert user.factors == ()
    await house.stores.factors.change(user.id, lambda _: ())
    assert factors
    assert await asked(client, BOARD, other) == ENROL


@required
@pytest.mark.parametrize(
    ("methods", "free"),
    [
        (BY_PASSWORD, False),
        (BY_EMAIL_CODE, False),
        (("pop",), False),
        (BY_PASSWORD_AND_CODE, True),
        (with_second_factor(BY_EMAIL_CODE, ("otp",)), True),
        (BY_PASSKEY, True),
    ],
)
async def test_two_factors_of_the_session_count_and_nothing_else(
    client: httpx2.AsyncClient, house: House, methods: Methods, free: bool
) -> None:
    await new_user(house, "ann")
    headers = await session_of(house, "ann", methods)
    assert await asked(client, BOARD, headers) == (FREE if free else ENROL)


async def test_a_server_that_begins_to_require_it_holds_the_sessions_of_before_back(
    client: httpx2.AsyncClient, house: House, clock: FakeClock
) -> None:
    ann = await signed_in(client, house, "ann")
    app = await add_app(ann, clock)
    password = await session_of(house, "ann")
    bob = await signed_in(client, house, "bob")
    assert await asked(client, BOARD, password) == FREE
    settings = house.settings.model_copy(update={"second_factor": "required"})
    async with build(settings, clock).open() as stricter:
        transport = httpx2.ASGITransport(app=create_app(stricter), raise_app_exceptions=False)
        base = str(client.base_url)
        async with httpx2.AsyncClient(transport=transport, base_url=base) as later:
            assert await asked(later, BOARD, password) == PROVE
            assert await asked(later, BOARD, bob.headers) == ENROL
            assert await asked(later, BOARD, ann.headers) == FREE
            clock.advance(STEP)
            answer = await later.post(AGAIN, json={"password": PASSWORD}, headers=password)
            body = {"challenge": answer.json()["challenge"], "code": app.code(clock)}
            proved = (await later.post(TOTP, json=body)).json()
            header = {"Authorization": f"Bearer {proved['accessToken']}"}
            assert await asked(later, BOARD, header) == FREE


# The way out


@required
async def test_who_adds_an_app_goes_on_in_the_same_place(
    client: httpx2.AsyncClient, house: House, clock: FakeClock
) -> None:
    ann = await signed_in(client, house, "ann")
    assert await asked(client, BOARD, ann.headers) == ENROL
    shown = await client.get(FACTORS, headers=ann.headers)
    assert shown.json() == {"items": [], "required": True}
    await add_app(ann, clock)
    assert await asked(client, BOARD, ann.headers) == FREE
    me = (await ann.get(ME)).json()
    assert me["session"]["methods"] == ["pwd", "otp", "mfa"]


@required
async def test_who_adds_a_passkey_goes_on_in_the_same_place(
    client: httpx2.AsyncClient, house: House
) -> None:
    ann = await signed_in(client, house, "ann")
    authenticator = SoftwareAuthenticator(house.settings.public_origin)
    assert (await add_passkey(ann, authenticator)).is_success
    assert await asked(client, BOARD, ann.headers) == FREE
    token = (await by_passkey(client, authenticator)).json()["accessToken"]
    assert await asked(client, BOARD, {"Authorization": f"Bearer {token}"}) == FREE


@required
async def test_a_session_of_a_while_ago_proves_the_password_before_a_factor_is_added(
    client: httpx2.AsyncClient, house: House, clock: FakeClock
) -> None:
    ann = await signed_in(client, house, "ann")
    clock.advance(timedelta(minutes=6))
    assert refused(await client.post(f"{FACTORS}/totp", headers=ann.headers)) == PROVE
    again = await client.post(AGAIN, json={"password": PASSWORD}, headers=ann.headers)
    ann.answer = again.json()
    assert await asked(client, BOARD, ann.headers) == ENROL
    await add_app(ann, clock)
    assert await asked(client, BOARD, ann.headers) == FREE


@required
async def test_the_last_factor_stays(
    client: httpx2.AsyncClient, house: House, clock: FakeClock
) -> None:
    ann = await signed_in(client, house, "ann")
    app = await add_app(ann, clock)
    gone = await client.delete(f"{FACTORS}/{app.id}", headers=ann.headers)
    assert refused(gone)[:2] == (409, "last_second_factor")
    assert await asked(client, BOARD, ann.headers) == FREE


# No way leads around


@required
async def test_who_signs_up_is_held_back(client: httpx2.AsyncClient) -> None:
    body = {"username": "ann", "email": "ann@example.com", "password": PASSWORD}
    for way in ("bearer", "cookie"):
        body |= {"username": f"ann-{way}", "email": f"{way}@example.com"}
        made = await client.post("/api/auth/signup", json={**body, "delivery": way}, headers=OURS)
        assert made.is_success
        token = made.json().get("accessToken")
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        assert await asked(client, BOARD, headers) == ENROL


@required
async def test_who_signs_up_on_a_page_is_held_back(client: httpx2.AsyncClient) -> None:
    page = {**OURS, "Accept": ACCEPT}
    form = {"username": "ann", "email": "ann@example.com", "password": PASSWORD, "next": "/app"}
    made = await client.post("/sign-up", data=form, headers=page)
    assert (made.status_code, made.headers["location"]) == (303, f"{NEW_PAGE}?next=/app")
    assert refused(await client.get(BOARD)) == ENROL
    await client.post("/sign-out", headers=OURS)

    form = {"username": "ann", "password": PASSWORD}
    back = await client.post("/sign-in", data=form, headers=page)
    assert (back.status_code, back.headers["location"]) == (303, NEW_PAGE)
    assert refused(await client.get(BOARD)) == ENROL


@required
async def test_the_first_administrator_is_held_back(
    client: httpx2.AsyncClient, house: House
) -> None:
    secret = await house.setup.invite()
    assert secret is not None
    moved = await client.get(f"/setup?token={secret}", headers={"Accept": ACCEPT})
    form = {"username": "root1", "email": "root1@example.com", "password": PASSWORD}
    if moved.status_code == 200:
        form["token"] = secret
    made = await client.post("/setup", data=form, headers={**OURS, "Accept": ACCEPT})
    assert (made.status_code, made.headers["location"]) == (303, NEW_PAGE)
    assert refused(await client.get(ADMIN_BOARD)) == ENROL


LETTERS = {"second_factor": "required", "sign_in_by_code": "on"}


class TestWithLetters:
    """What a letter proves is one factor."""

    @pytest.fixture
    def house(self, posting_house: House) -> House:
        """Return a house whose letters go into a mailbox when a test says so."""
        return posting_house

    @pytest.mark.parametrize("settings", [LETTERS], indirect=True)
    async def test_an_invitation_and_a_code_hold_back(
        self, client: httpx2.AsyncClient, house: House, mailbox: Mailbox
    ) -> None:
        await house.invitations.invite("ann@example.com", ["admin"], COMMAND)
        await delivered(house)
        body = {"token": token_in(mailbox), "username": "ann", "password": PASSWORD}
        made = await post(client, "/invitation", **body, delivery="bearer")
        header = {"Authorization": f"Bearer {made.json()['accessToken']}"}
        assert await asked(client, ADMIN_BOARD, header) == ENROL
        assert await self._by_code(client, house, mailbox) == ENROL

    @pytest.mark.parametrize("settings", [LETTERS], indirect=True)
    async def test_a_code_asks_for_the_factor_that_there_is(
        self, client: httpx2.AsyncClient, house: House, mailbox: Mailbox, clock: FakeClock
    ) -> None:
        await with_app(house, client, clock)
        answer = await self._by_code(client, house, mailbox)
        assert answer == (401, "second_factor_required", None)

    @pytest.mark.parametrize("settings", [LETTERS], indirect=True)
    async def test_a_new_password_signs_nobody_in_and_asks_for_the_factor(
        self, client: httpx2.AsyncClient, house: House, mailbox: Mailbox, clock: FakeClock
    ) -> None:
        await with_app(house, client, clock)
        await post(client, "/password/forgot", email="ann@example.com")
        await delivered(house)
        new = "eight wild geese at dawn"
        done = await post(client, "/password/reset", token=token_in(mailbox), password=new)
        assert done.is_success, done.text
        assert "accessToken" not in done.json()
        body = {"username": "ann", "password": new}
        answer = await client.post("/api/auth/signin", json=body)
        assert refused(answer)[:2] == (401, "second_factor_required")

    async def _by_code(
        self, client: httpx2.AsyncClient, house: House, mailbox: Mailbox
    ) -> tuple[int, str, str | None]:
        """Sign in by a code from a letter, and return what a board answers, or the refusal."""
        begun = await post(client, "/signin/code", email="ann@example.com")
        await delivered(house)
        body = {"request": begun.json()["request"], "code": mailbox.values()["code"]}
        answer = await post(client, "/signin/code", **body)
        if not answer.is_success:
            return refused(answer)
        header = {"Authorization": f"Bearer {answer.json()['accessToken']}"}
        found: tuple[int, str, str | None] = await asked(client, ADMIN_BOARD, header)
        return found


@required
async def test_a_refresh_leaves_it_so(client: httpx2.AsyncClient, house: House) -> None:
    """Both routes, in bodies and cookies, and what a request with an old cookie renews."""
    ann = await signed_in(client, house, "ann")
    for path in ("/api/auth/refresh", "/api/auth/refreshtoken"):
        body = {"refreshToken": ann.answer["refreshToken"]}
        ann.answer = (await client.post(path, json=body)).json()
        assert await asked(client, BOARD, ann.headers) == ENROL

    scope: dict[str, Any] = {}
    user = await house.accounts.get_by_username("ann")
    tokens = (await house.sessions.open(user, BY_PASSWORD, "cookie", HERE)).tokens
    house.delivery.set_cookies(scope, tokens)
    refresh = next(
        value.decode().partition(";")[0]
        for _, value in cookie_jar(scope).headers
        if b"refresh" in value.partition(b"=")[0]
    )
    renewed = await client.get(ME, headers={"Cookie": refresh})
    assert refused(renewed) == ENROL
    assert "set-cookie" in renewed.headers


@pytest.mark.parametrize(
    "settings", [{"second_factor": "required", "profile": "tutorial"}], indirect=True
)
async def test_the_tutorials_refresh_leaves_it_so(client: httpx2.AsyncClient, house: House) -> None:
    ann = await signed_in(client, house, "ann")
    body = {"refreshToken": ann.answer["refreshToken"]}
    ann.answer = (await client.post("/api/auth/refreshtoken", json=body)).json()
    assert await asked(client, BOARD, ann.headers) == ENROL
    token = {"x-access-token": ann.token}
    assert await asked(client, BOARD, token) == ENROL


@required
async def test_no_browser_is_remembered(
    client: httpx2.AsyncClient, house: House, clock: FakeClock
) -> None:
    app = await with_app(house, client, clock)
    signing = {"username": "ann", "password": PASSWORD}
    for kind, path in ((None, TOTP), (app.codes[0], RECOVERY)):
        challenge = (await client.post("/api/auth/signin", json=signing)).json()["challenge"]
        body = {"challenge": challenge, "code": kind or app.code(clock), "remember": True}
        answer = await client.post(path, json=body, headers=OURS)
        assert answer.is_success
        assert "browser" not in str(answer.headers.get_list("set-cookie"))
    user = await house.accounts.get_by_username("ann")
    assert not [each for each in user.factors if each.kind == "browser"]


@for_admins
async def test_a_browser_that_was_remembered_before_counts_no_more(
    client: httpx2.AsyncClient, house: House, clock: FakeClock
) -> None:
    app = await with_app(house, client, clock)
    signing = {"username": "ann", "password": PASSWORD, "delivery": "cookie"}
    challenge = (await client.post("/api/auth/signin", json=signing, headers=OURS)).json()
    body = {"challenge": challenge["challenge"], "code": app.code(clock), "remember": True}
    assert (await client.post(TOTP, json=body, headers=OURS)).is_success
    await client.post("/api/auth/signout", headers=OURS)
    back = await client.post("/api/auth/signin", json=signing, headers=OURS)
    assert back.is_success  # remembered
    assert (await client.get(BOARD)).is_success

    user = await house.accounts.get_by_username("ann")
    await house.accounts.grant(user, "admin", COMMAND)

    assert refused(await client.get(BOARD)) == PROVE
    await client.post("/api/auth/signout", headers=OURS)
    back = await client.post("/api/auth/signin", json=signing, headers=OURS)
    assert refused(back)[:2] == (401, "second_factor_required")
    page = await client.post(
        "/sign-in",
        data={"username": "ann", "password": PASSWORD},
        headers={**OURS, "Accept": ACCEPT},
    )
    assert page.headers["location"] == "/sign-in/second"
    shown = await client.get("/sign-in/second", headers={"Accept": ACCEPT})
    assert 'name="remember"' not in shown.text


@required
async def test_a_password_proved_again_is_one_factor(
    client: httpx2.AsyncClient, house: House
) -> None:
    ann = await signed_in(client, house, "ann")
    ann.answer = (await client.post(AGAIN, json={"password": PASSWORD}, headers=ann.headers)).json()
    assert await asked(client, BOARD, ann.headers) == ENROL
    change = {"currentPassword": PASSWORD, "newPassword": "eight wild geese at dawn"}
    answer = await client.post("/api/auth/password", json=change, headers=ann.headers)
    assert refused(answer) == ENROL


@required
async def test_the_tokens_are_for_the_server_alone(
    client: httpx2.AsyncClient, house: House, clock: FakeClock
) -> None:
    """A service that checks tokens by itself refuses them for their audience."""
    ann = await signed_in(client, house, "ann", "admin")
    claims = await house.access_tokens.verify(ann.token)
    assert (claims.audience, claims.roles, claims.held_back) == ("gatelodge-held-back", (), True)
    await add_app(ann, clock)
    claims = await house.access_tokens.verify(ann.token)
    assert (claims.audience, claims.roles, claims.held_back) == (
        "gatelodge",
        ("user", "admin"),
        False,
    )


async def test_no_other_audience_passes(house: House) -> None:
    user = await new_user(house, "ann")
    session = (await house.sessions.open(user, BY_PASSWORD, "bearer", HERE)).session
    for audience in ("gatelodge-held-back-held-back", "held-back", "-held-back", "other"):
        other = house.access_tokens
        foreign = type(other)(other.keys, other.clock, other.issuer, audience, other.life)
        token = foreign.issue(
            subject=user.id,
            session_id=session.id,
            roles=(),
            authenticated_at=session.authenticated_at,
            methods=BY_PASSWORD_AND_CODE,
        )
        with pytest.raises(InvalidToken):
            await house.gate.authenticate(token)


# How long sessions last


@for_admins
async def test_sessions_of_who_must_have_one_are_shorter(
    client: httpx2.AsyncClient, house: House, clock: FakeClock
) -> None:
    ann = await signed_in(client, house, "ann", "admin")
    await add_app(ann, clock)
    me = (await ann.get(ME)).json()["session"]
    life = clock.now() + timedelta(hours=24)
    assert me["expiresAt"] == life.isoformat().replace("+00:00", "Z")
    bob = await signed_in(client, house, "bob")
    for _ in range(26):
        clock.advance(timedelta(minutes=55))
        for person in (ann, bob):
            body = {"refreshToken": person.answer["refreshToken"]}
            answer = await client.post("/api/auth/refresh", json=body)
            person.answer |= answer.json() if answer.is_success else {}
    clock.advance(timedelta(minutes=20))
    for person, status in ((ann, 401), (bob, 200)):
        body = {"refreshToken": person.answer["refreshToken"]}
        answer = await client.post("/api/auth/refresh", json=body)
        assert answer.status_code == status, answer.text


@for_admins
@pytest.mark.parametrize(("minutes", "status"), [(59, 200), (60, 401)])
async def test_an_hour_without_use_ends_them(
    client: httpx2.AsyncClient, house: House, clock: FakeClock, minutes: int, status: int
) -> None:
    ann = await signed_in(client, house, "ann", "admin")
    clock.advance(timedelta(minutes=minutes))
    body = {"refreshToken": ann.answer["refreshToken"]}
    answer = await client.post("/api/auth/refresh", json=body)
    assert answer.status_code == status
    if status == 401:
        assert answer.json()["code"] == "refresh_token_expired"


@for_admins
async def test_a_session_of_before_the_role_is_not_refreshed_beyond_a_day(
    client: httpx2.AsyncClient, house: House, clock: FakeClock
) -> None:
    await new_user(house, "ann")
    user = await house.accounts.get_by_username("ann")
    opened = await house.sessions.open(user, BY_PASSWORD_AND_CODE, "bearer", HERE)
    clock.advance(timedelta(hours=23, minutes=30))
    refreshed = await house.sessions.refresh(opened.tokens.refresh_token, HERE)
    await house.accounts.grant(user, "admin", COMMAND)
    clock.advance(timedelta(minutes=30))
    body = {"refreshToken": refreshed.tokens.refresh_token}
    answer = await client.post("/api/auth/refresh", json=body)
    assert refused(answer)[:2] == (401, "refresh_token_expired")


# Off


@off
async def test_nobody_may_add_one(
    client: httpx2.AsyncClient, house: House, clock: FakeClock
) -> None:
    ann = await signed_in(client, house, "ann")
    assert await asked(client, BOARD, ann.headers) == FREE
    clock.advance(timedelta(hours=1))  # it says so before it asks for a proof
    ann.answer = (
        await client.post("/api/auth/refresh", json={"refreshToken": ann.answer["refreshToken"]})
    ).json()
    for path, body in (
        ("/totp", None),
        ("/totp/confirm", {"enrolment": "x", "code": "123456"}),
        ("/passkey/options", None),
        ("/passkey", {"challenge": "x", "credential": {}}),
    ):
        answer = await client.post(f"{FACTORS}{path}", json=body, headers=ann.headers)
        assert refused(answer)[:2] == (403, "second_factors_off"), path
    assert not house.pages.site.second_factors


async def test_what_there_is_is_asked_for_all_the_same(
    client: httpx2.AsyncClient, house: House, clock: FakeClock
) -> None:
    """A setting opens no door: whoever has a factor proves it, and may remove it."""
    ann = await signed_in(client, house, "ann")
    authenticator = SoftwareAuthenticator(house.settings.public_origin)
    app = await add_app(ann, clock)
    await add_passkey(ann, authenticator)
    clock.advance(STEP)
    settings = house.settings.model_copy(update={"second_factor": "off"})
    async with build(settings, clock).open() as switched:
        transport = httpx2.ASGITransport(app=create_app(switched), raise_app_exceptions=False)
        base = str(client.base_url)
        async with httpx2.AsyncClient(transport=transport, base_url=base) as later:
            signing = {"username": "ann", "password": PASSWORD}
            answer = await later.post("/api/auth/signin", json=signing)
            assert refused(answer)[:2] == (401, "second_factor_required")
            body = {"challenge": answer.json()["challenge"], "code": app.code(clock)}
            assert (await later.post(TOTP, json=body)).is_success
            assert (await by_passkey(later, authenticator)).is_success
            assert (await later.post(f"{PASSKEY}/options", json={})).is_success
            made = await later.post(f"{FACTORS}/recovery-codes", headers=ann.headers)
            assert made.is_success
            gone = await later.delete(f"{FACTORS}/{app.id}", headers=ann.headers)
            assert gone.is_success


# The setting


@pytest.mark.parametrize(
    ("written", "held_back"),
    [("admin, editor", ["admin"]), (" MODERATOR ", ["moderator"]), ("", []), ("user", ["user"])],
)
async def test_the_list_of_roles_is_read_as_other_lists(
    house: House, clock: FakeClock, written: str, held_back: list[str]
) -> None:
    read = read_settings(second_factor_required_for=written).second_factor_required_for
    settings = house.settings.model_copy(update={"second_factor_required_for": read})
    policy = build(settings, clock).second_factor_policy
    found = [role for role in ("user", "moderator", "admin") if policy.requires((role,))]
    assert found == held_back
