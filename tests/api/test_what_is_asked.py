"""What is asked before each act: every act, session, age and policy, as the guide's tables say."""

import itertools
import secrets
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx2
import pytest

from gatelodge.accounts.store import User
from gatelodge.app import House
from gatelodge.audit import COMMAND
from gatelodge.credentials.factors import Factor
from gatelodge.methods import (
    BY_CODE_OF_FACTOR,
    BY_EMAIL_CODE,
    BY_PASSKEY,
    BY_PASSWORD,
    Methods,
    with_second_factor,
)
from gatelodge.testing import SoftwareAuthenticator
from tests.api.test_cookies import OURS
from tests.api.test_letters import post
from tests.contracts.builders import a_factor
from tests.support.clock import FakeClock
from tests.support.factors import FACTORS, TOTP, App, add_app, add_passkey, by_passkey
from tests.support.mailbox import Mailbox, delivered
from tests.support.people import HERE, PASSWORD, new_user, signed_in

GUIDE = Path(__file__).parents[2] / "docs" / "guides" / "second-factors.md"
POLICIES = ("offered", "required")
ME = "/api/auth/me"

# What may be asked

NOTHING = "nothing"
ONE = "a new proof"
BOTH = "both factors"
ADD = "to add one first"
SIGN_IN = "to sign in"
NOT_THERE = "–"

AGES = {
    "": timedelta(0),
    "after 5 minutes": timedelta(minutes=5, seconds=1),
    "after half an hour": timedelta(minutes=30),
    "after a day": timedelta(days=1),
}
"""How long ago the session was opened, as the table says it."""


@dataclass(frozen=True)
class Way:
    """A way of opening a session.

    Attributes:
        name: the head of the column.
        methods: how the user has proved who they are by it.
        has_factor: whether the user has a second factor.
    """

    name: str
    methods: Methods
    has_factor: bool = True


REMEMBERED = Way("password, remembered browser", BY_PASSWORD)
WAYS = (
    Way("password, no second factor", BY_PASSWORD, has_factor=False),
    Way("e-mailed code, no second factor", BY_EMAIL_CODE, has_factor=False),
    REMEMBERED,
    Way("password and app", with_second_factor(BY_PASSWORD, BY_CODE_OF_FACTOR)),
    Way("e-mailed code and app", with_second_factor(BY_EMAIL_CODE, BY_CODE_OF_FACTOR)),
    Way("passkey", BY_PASSKEY),
)


@dataclass
class Caller:
    """Somebody with a session."""

    client: httpx2.AsyncClient
    user: User
    token: str

    async def ask(self, method: str, path: str, **body: Any) -> httpx2.Response:
        """Send a request."""
        return await self.client.request(
            method,
            path,
            json=body if method != "GET" else None,
            headers={"Authorization": f"Bearer {self.token}"},
        )

    def factor(self, kind: str) -> str:
        """Return the id of a factor of this kind; one that nobody has if there is none."""
        return next((each.id for each in self.user.factors if each.kind == kind), "fac_none")


FREE = {"see a board", "see the board of administrators", "forget a browser"}
ADDS = {"add an app", "add a passkey"}
OF_FACTORS = {"make new recovery codes", "remove a factor that is not the last one"}
TYPES_THE_PASSWORD = "change the password, with the current one"

Act = Callable[[Caller], Awaitable[httpx2.Response]]

ACTS: dict[str, Act] = {
    "see a board": lambda caller: caller.ask("GET", "/api/test/user"),
    "see the board of administrators": lambda caller: caller.ask("GET", "/api/test/admin"),
    "delete the account": lambda caller: caller.ask("DELETE", ME),
    "take another username": lambda caller: caller.ask(
        "PATCH", ME, username=f"n{secrets.token_hex(8)}"
    ),
    "take another e-mail address": lambda caller: caller.ask(
        "POST", "/api/auth/email", email=f"{secrets.token_hex(8)}@example.org"
    ),
    TYPES_THE_PASSWORD: lambda caller: caller.ask(
        "POST",
        "/api/auth/password",
        currentPassword=PASSWORD,
        newPassword="eight wild geese at dawn",
    ),
    "add an app": lambda caller: caller.ask("POST", f"{FACTORS}/totp"),
    "add a passkey": lambda caller: caller.ask("POST", f"{FACTORS}/passkey/options"),
    "make new recovery codes": lambda caller: caller.ask("POST", f"{FACTORS}/recovery-codes"),
    "remove a factor that is not the last one": lambda caller: caller.ask(
        "DELETE", f"{FACTORS}/{caller.factor('totp')}"
    ),
    "forget a browser": lambda caller: caller.ask(
        "DELETE", f"{FACTORS}/{caller.factor('browser')}"
    ),
}


def asked_by(answer: httpx2.Response) -> str:
    """Return what an answer asks for."""
    if answer.is_success:
        return NOTHING
    code = answer.json()["code"]
    if code == "insufficient_user_authentication":
        assert answer.status_code == 401
        assert 'error="insufficient_user_authentication"' in answer.headers["www-authenticate"]
        return BOTH if answer.json().get("acr_values") == "aal2" else ONE
    expected = {
        "second_factor_enrolment_required": (403, ADD),
        "factor_not_found": (404, NOT_THERE),
        "no_second_factor": (409, NOT_THERE),
    }
    status, asked = expected[code]
    assert answer.status_code == status
    return asked


def what_the_rules_say(policy: str, way: Way, act: str, age: str) -> str:
    """Return what is asked, by the rules of security.md: written apart from the code."""
    has_proved_all = way.has_factor == ("mfa" in way.methods)
    if policy == "required" and age == "after a day":
        return SIGN_IN
    if policy == "required" and not way.has_factor:
        return _with_a_proof(way, age) if act in ADDS else ADD
    if act in FREE and (policy == "offered" or has_proved_all):
        return NOTHING if way.has_factor or act != "forget a browser" else NOT_THERE
    if not has_proved_all:
        return BOTH
    if act == TYPES_THE_PASSWORD:
        return NOTHING
    is_there = way.has_factor or act not in OF_FACTORS
    return _with_a_proof(way, age) if is_there else _without_a_factor(act, age)


def _without_a_factor(act: str, age: str) -> str:
    """Return what an act on factors asks for, of somebody who has none."""
    return ONE if age and act == "make new recovery codes" else NOT_THERE


def _with_a_proof(way: Way, age: str) -> str:
    """Return what an act asks for that wants a proof of the last five minutes."""
    if not age:
        return NOTHING
    return BOTH if way.has_factor else ONE


async def opened(house: House, client: httpx2.AsyncClient, way: Way) -> tuple[Caller, str]:
    """Return somebody whose session was opened in a way, and the refresh token."""
    user = await new_user(house, f"u{secrets.token_hex(8)}", "admin")
    if way.has_factor:
        browser = a_factor(
            "browser",
            counter=user.epoch,
            digests=(secrets.token_bytes(32),),
            expires_at=house.clock.now() + timedelta(days=30),
        )
        passkey = a_factor("passkey", credential_id=secrets.token_urlsafe(32))
        factors = (a_factor(), passkey, a_factor("recovery_codes"), browser)
        await house.stores.factors.change(user.id, _becoming(factors))
        stored = await house.stores.users.find(user.id)
        assert stored is not None
        user = stored
    tokens = (await house.sessions.open(user, way.methods, "bearer", HERE)).tokens
    return Caller(client, user, tokens.access_token), tokens.refresh_token


def _becoming(factors: tuple[Factor, ...]) -> Callable[[object], tuple[Factor, ...]]:
    return lambda _before: factors


async def answer_to(
    house: House, client: httpx2.AsyncClient, clock: FakeClock, way: Way, act: Act, age: timedelta
) -> str:
    """Return what is asked before an act, in a session of this age that was used meanwhile."""
    caller, refresh = await opened(house, client, way)
    left = age
    while left:
        step = min(left, timedelta(minutes=50))
        clock.advance(step)
        left -= step
        again = await client.post("/api/auth/refresh", json={"refreshToken": refresh})
        if not again.is_success:
            assert again.json()["code"] == "refresh_token_expired"
            return SIGN_IN
        caller.token, refresh = again.json()["accessToken"], again.json()["refreshToken"]
    return asked_by(await act(caller))


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.name)
@pytest.mark.parametrize(
    "settings",
    [{"second_factor": policy, "username_change": "on"} for policy in POLICIES],
    indirect=True,
    ids=POLICIES,
)
async def test_what_is_asked_is_what_the_rules_say(
    client: httpx2.AsyncClient, house: House, clock: FakeClock, way: Way
) -> None:
    await signed_in(client, house, "keeper", "admin")
    policy = house.settings.second_factor
    for (act, do), (age, time) in itertools.product(ACTS.items(), AGES.items()):
        asked = await answer_to(house, client, clock, way, do, time)
        assert asked == what_the_rules_say(policy, way, act, age), (act, age)


# The tables of the guide


def table(policy: str) -> str:
    """Return the table for one policy, as the guide must contain it.

    Equal columns are one, and equal rows are one.
    """
    columns: dict[tuple[str, ...], list[str]] = {}
    for way in WAYS:
        if policy == "offered" or way is not REMEMBERED:
            cells = tuple(_over_time(policy, way, act) for act in ACTS)
            columns.setdefault(cells, []).append(way.name)
    rows: dict[tuple[str, ...], list[str]] = {}
    for number, act in enumerate(ACTS):
        rows.setdefault(tuple(cells[number] for cells in columns), []).append(act)
    head = ["To", *("; ".join(names) for names in columns.values())]
    lines = [head, ["---"] * len(head), *(["; ".join(acts), *row] for row, acts in rows.items())]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _over_time(policy: str, way: Way, act: str) -> str:
    """Return what is asked, and how that changes with the age of the session."""
    return "; ".join(_changes(policy, way, act))


def _changes(policy: str, way: Way, act: str) -> Iterator[str]:
    last = ""
    for age in AGES:
        asked = what_the_rules_say(policy, way, act, age)
        ends = policy == "required" and asked == SIGN_IN  # said above the table
        if ends or last in {asked, NOT_THERE}:
            continue
        yield f"{age}: {asked}" if age else asked
        last = asked


@pytest.mark.parametrize("policy", POLICIES)
def test_the_guide_has_the_table(policy: str) -> None:
    assert table(policy) in GUIDE.read_text()


# The sessions of the tables are those that sign-ins open


BY_LETTER = {"sign_in_by_code": "on"}


class TestSignIns:
    """What each way opens."""

    @pytest.fixture
    def house(self, posting_house: House) -> House:
        """Return a house whose letters go into a mailbox when a test says so."""
        return posting_house

    @pytest.mark.parametrize(
        "settings",
        [BY_LETTER | {"second_factor": policy} for policy in POLICIES],
        indirect=True,
        ids=POLICIES,
    )
    async def test_each_way_opens_the_session_that_the_tables_name(
        self, client: httpx2.AsyncClient, house: House, mailbox: Mailbox, clock: FakeClock
    ) -> None:
        await new_user(house, "bob")
        ann = await signed_in(client, house, "ann")
        for name in ("ann", "bob"):  # else a code would void the password
            await house.accounts.verify_email(await house.accounts.get_by_username(name), COMMAND)
        authenticator = SoftwareAuthenticator(house.settings.public_origin)
        app = await add_app(ann, clock)
        await add_passkey(ann, authenticator)
        by_name = {way.name: way.methods for way in WAYS}

        found = {
            "password, no second factor": await self._by_password(client, house, "bob"),
            "e-mailed code, no second factor": await self._by_letter(client, house, mailbox, "bob"),
            "passkey": await _methods(house, await by_passkey(client, authenticator)),
        }
        for name, begin in (
            ("e-mailed code and app", self._by_letter(client, house, mailbox, "ann")),
            ("password and app", self._by_password(client, house, "ann")),
        ):
            clock.advance(timedelta(seconds=30))
            challenge, remember = await begin, name == "password and app"
            found[name] = await self._finished(
                client, house, app, clock, challenge, remember=remember
            )
        remembered = await self._by_password(client, house, "ann")
        if house.settings.second_factor == "required":
            assert isinstance(remembered, str)  # a question: no browser is remembered
            del by_name[REMEMBERED.name]
        else:
            found[REMEMBERED.name] = remembered
        assert found == by_name

    async def _by_password(
        self, client: httpx2.AsyncClient, house: House, name: str
    ) -> Methods | str:
        body = {"username": name, "password": PASSWORD}
        return await _methods(house, await client.post("/api/auth/signin", json=body, headers=OURS))

    async def _by_letter(
        self, client: httpx2.AsyncClient, house: House, mailbox: Mailbox, name: str
    ) -> Methods | str:
        begun = await post(client, "/signin/code", email=f"{name}@example.com")
        await delivered(house)
        body = {"request": begun.json()["request"], "code": mailbox.values()["code"]}
        return await _methods(house, await post(client, "/signin/code", **body))

    async def _finished(
        self,
        client: httpx2.AsyncClient,
        house: House,
        app: App,
        clock: FakeClock,
        challenge: Methods | str,
        *,
        remember: bool,
    ) -> Methods | str:
        body = {"challenge": challenge, "code": app.code(clock), "remember": remember}
        return await _methods(house, await client.post(TOTP, json=body, headers=OURS))


async def _methods(house: House, answer: httpx2.Response) -> Methods | str:
    """Return the methods of the session that was opened, or the question for a second factor."""
    if answer.status_code == 401:
        return str(answer.json()["challenge"])
    claims = await house.access_tokens.verify(answer.json()["accessToken"])
    return claims.methods
