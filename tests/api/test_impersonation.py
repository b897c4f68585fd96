"""An administrator sees the application as a user does: by the API, and accountable for it."""

import base64
import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx2
import pytest

from gatelodge.accounts.store import User
from gatelodge.app import DOORS, House, build
from gatelodge.audit import COMMAND, Origin
from gatelodge.credentials.own_proof import FRESH
from gatelodge.credentials.refusals import TooManyAttempts
from gatelodge.methods import BY_PASSWORD
from gatelodge.sessions.refusals import RefreshTokenReused
from gatelodge.sessions.service import SignedIn
from gatelodge.settings import read_settings
from gatelodge.sign_in.refusals import InvalidCredentials
from gatelodge.web.same_origin import SAFE_METHODS
from tests.api.test_cookies import ACCESS, LATER, REFRESH, TLS, Browser, cookies_set_by
from tests.support.access_table import declared_routes, path_of_trial
from tests.support.clock import FakeClock
from tests.support.events import newest
from tests.support.logs import lines_logged
from tests.support.mailbox import Mailbox, delivered, subscribed
from tests.support.people import HERE, PASSWORD, Person, new_user, signed_in

PARKED = "gatelodge-parked"
END = "/api/auth/impersonation/end"
SUPPORT = "support"
WHY = "Ticket 4711"
IN_PERSON = {
    ("GET", "/api/auth/events"),
    ("GET", "/api/auth/factors"),
    *((("GET", route.path)) for route in declared_routes() if route.path.startswith("/api/admin")),
}
"""Routes that change nothing, and that nobody calls in the place of another."""


def of(user: User | str) -> str:
    """Return the path at which one begins to see the application as a user does."""
    return f"/api/admin/users/{user if isinstance(user, str) else user.id}/impersonate"


async def make_support(house: House) -> None:
    """Make the role of whoever may do so, as the commands do."""
    await house.roles.create(SUPPORT, "Helps people.", ["account:manage"], COMMAND)
    await house.roles.permit(SUPPORT, "users:impersonate", COMMAND)


@pytest.fixture
async def eve(client: httpx2.AsyncClient, house: House) -> Person:
    """Return Eve of the support, who is signed in."""
    await make_support(house)
    return await signed_in(client, house, "eve", SUPPORT)


@pytest.fixture
async def bob(client: httpx2.AsyncClient, house: House) -> Person:
    """Return Bob, who is signed in."""
    return await signed_in(client, house, "bob")


async def begin(eve: Person, user: User | str, **body: object) -> httpx2.Response:
    """Ask to see the application as a user does."""
    asked = {"reason": WHY} | body
    return await eve.client.post(of(user), json=asked, headers=eve.headers)


async def viewing(eve: Person, bob: Person) -> Person:
    """Return Eve as she sees the application as Bob does."""
    begun = await begin(eve, str(bob.answer["id"]))
    assert begun.status_code == 200, begun.text
    return Person("bob", eve.client, answer=begun.json())


def refused(response: httpx2.Response) -> tuple[int, str]:
    """Return the status and the code of a refusal."""
    return response.status_code, response.json()["code"]


def claims_in(token: str) -> dict[str, Any]:
    """Return what an access token says."""
    part = token.split(".")[1]
    claims: dict[str, Any] = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    return claims


# What it is


async def test_eve_sees_what_bob_sees_and_everybody_is_told_that_it_is_she(
    eve: Person, bob: Person, house: House
) -> None:
    as_bob = await viewing(eve, bob)

    me = (await as_bob.get("/api/auth/me")).json()
    assert (me["username"], me["impersonator"]) == ("bob", eve.answer["id"])
    assert (me["roles"], me["session"]["methods"]) == (["user"], [])
    claims = claims_in(as_bob.token)
    assert (claims["sub"], claims["act"]) == (bob.answer["id"], {"sub": eve.answer["id"]})
    assert (claims["amr"], claims["auth_time"], claims["acr"]) == ([], 0, "aal1")
    verified = await as_bob.get("/api/auth/verify")
    assert verified.headers["x-auth-subject"] == bob.answer["id"]
    assert verified.headers["x-auth-actor"] == eve.answer["id"]
    assert (await as_bob.get("/api/test/user")).status_code == 200

    own = (await bob.get("/api/auth/me")).json()
    assert own["impersonator"] is None
    assert "act" not in claims_in(bob.token)
    verified = await bob.get("/api/auth/verify")
    assert verified.headers["x-auth-actor"] == bob.answer["id"]


async def test_nobody_may_by_default_not_even_an_administrator(
    client: httpx2.AsyncClient, house: House, bob: Person
) -> None:
    """And no route gives the permission: a command does."""
    ada = await signed_in(client, house, "ada", "admin")
    assert refused(await begin(ada, str(bob.answer["id"]))) == (403, "forbidden")

    await house.roles.permit("admin", "users:impersonate", COMMAND)
    as_bob = await viewing(ada, bob)
    assert (await as_bob.get("/api/test/user")).status_code == 200


@pytest.mark.parametrize(
    "caller", ["nobody", "bob", "eve as bob", "eve of long ago", "eve without the role"]
)
async def test_who_may_not_begin(
    caller: str, eve: Person, bob: Person, house: House, clock: FakeClock
) -> None:
    ida = await new_user(house, "ida")
    if caller == "nobody":
        answer = await eve.client.post(of(ida), json={"reason": WHY})
        assert refused(answer) == (401, "token_missing")
    elif caller == "bob":
        assert refused(await begin(bob, ida)) == (403, "forbidden")
    elif caller == "eve as bob":
        await house.roles.permit("user", "users:impersonate", COMMAND)
        as_bob = await viewing(await admin_of(eve, house), bob)
        assert refused(await begin(as_bob, ida)) == (403, "impersonating")
    elif caller == "eve of long ago":
        clock.advance(FRESH + timedelta(seconds=1))
        eve_now = await eve.get("/api/test/user")
        assert eve_now.status_code == 200
        answer = await begin(eve, ida)
        assert refused(answer) == (401, "insufficient_user_authentication")
    else:
        await house.accounts.withdraw(await house.accounts.get_by_username("eve"), SUPPORT, COMMAND)
        assert refused(await begin(eve, ida)) == (403, "forbidden")
    stored = await house.stores.sessions.list_stored(ida.id, limit=9)
    assert stored == []


async def admin_of(person: Person, house: House) -> Person:
    """Make somebody an administrator, too."""
    user = await house.accounts.get_by_username(person.name)
    await house.accounts.grant(user, "admin", COMMAND)
    return person


async def test_as_whom_one_may_not(eve: Person, bob: Person, house: House) -> None:
    """Nobody who may do more, and nobody with a role that Eve lacks: applications ask for roles."""
    await house.roles.create("editor", "Writes.", [], COMMAND)
    zoe = await new_user(house, "zoe")
    await house.accounts.disable(zoe, COMMAND)
    for name, roles in {
        "mod": ["moderator"],
        "ada": ["admin"],
        "max": [SUPPORT],
        "edd": ["editor"],
    }.items():
        user = await new_user(house, name, *roles)
        assert refused(await begin(eve, user)) == (403, "out_of_reach"), name

    assert refused(await begin(eve, str(eve.answer["id"]))) == (409, "cannot_impersonate")
    assert refused(await begin(eve, zoe)) == (409, "cannot_impersonate")
    for unknown in ("usr_x", "usr_%00", "usr_%ed%a0%80", f"usr_{'a' * 3000}"):
        assert refused(await begin(eve, unknown)) == (404, "user_not_found")
    assert refused(await begin(eve, "bob")) == (404, "not_found")

    await admin_of(eve, house)
    for name in ("mod", "ada", "max", "edd"):
        user = await house.accounts.get_by_username(name)
        assert (await begin(eve, user)).status_code == 200, name


@pytest.mark.parametrize(
    ("reason", "status"),
    [
        ("  Ticket\u00a04711 – ¿qué? 🙂  ", 200),
        ("x" * 256, 200),
        ("", 400),
        (" \t ", 400),
        ("x" * 257, 400),
        ("x" * 2000, 400),
        ("two\nlines", 400),
        ("\u202ebackwards", 400),
        (None, 400),
        (7, 400),
        (["Ticket"], 400),
    ],
)
async def test_a_reason_is_one_line_that_people_can_read(
    eve: Person, bob: Person, house: House, reason: object, status: int
) -> None:
    answer = await begin(eve, str(bob.answer["id"]), reason=reason)
    assert answer.status_code == status, answer.text
    if status == 400:
        assert answer.json()["field"] == "reason"
        events = await newest(house.stores.events, 50)
        assert "impersonation.began" not in {each.name for each in events}


# What is refused


async def test_nothing_is_changed_in_the_place_of_another_and_no_secret_is_read(
    eve: Person, bob: Person, house: House
) -> None:
    """Each route of the server is tried, those of the administration too, whatever Bob may do."""
    await admin_of(eve, house)
    await house.accounts.grant(await house.accounts.get_by_username("bob"), "admin", COMMAND)
    before = await house.stores.users.find_by_username("bob")
    as_bob = await viewing(eve, bob)
    tried = 0
    for route in declared_routes():
        if route.rule.public:
            continue
        path = path_of_trial(route.path)
        kind = {} if route.method in SAFE_METHODS else {"json": {}}
        answer = await eve.client.request(route.method, path, headers=as_bob.headers, **kind)
        named = (route.method, route.path)
        if route.method not in SAFE_METHODS or named in IN_PERSON:
            assert refused(answer) == (403, "impersonating"), named
            tried += 1
        else:
            assert answer.status_code == (403 if route.path == "/api/test/mod" else 200), named

    assert tried > 25
    assert await house.stores.users.find_by_username("bob") == before
    assert (await as_bob.get("/api/test/admin")).status_code == 200


async def test_every_route_of_the_administration_refuses_impersonators() -> None:
    """One that is added and forgets it is found here."""
    for door in DOORS:
        for route in door.routes:
            if route.path.startswith(("/api/admin", "/admin")):
                assert route.rule.while_impersonating == "nothing", route.path


async def test_what_was_refused_is_in_the_log_as_hers(eve: Person, bob: Person) -> None:
    as_bob = await viewing(eve, bob)
    with lines_logged() as lines:
        answer = await eve.client.patch("/api/auth/me", json={"name": "x"}, headers=as_bob.headers)
    assert refused(answer) == (403, "impersonating")

    [line] = [details for event, details in lines if event == "request.refused"]
    assert (line["actor"], line["as"]) == (eve.answer["id"], bob.answer["id"])
    assert line["code"] == "impersonating"


# What the user sees of it


async def test_bob_finds_it_among_his_devices_and_ends_it(
    eve: Person, bob: Person, house: House
) -> None:
    """Where Eve sits is not shown to him, and who she is neither."""
    as_bob = await viewing(eve, bob)

    listed = (await bob.get("/api/auth/sessions")).json()["items"]
    [device] = [each for each in listed if each["impersonated"]]
    assert (device["reason"], device["userAgent"], device["address"]) == (WHY, "", "")
    assert [each["reason"] for each in listed if not each["impersonated"]] == [None]

    answer = await bob.client.delete(f"/api/auth/sessions/{device['id']}", headers=bob.headers)
    assert answer.status_code == 200
    assert refused(await as_bob.get("/api/test/user")) == (401, "token_invalid")
    assert (await eve.get("/api/test/user")).status_code == 200

    happened = (await bob.get("/api/auth/events")).json()["items"]
    began, ended = [
        next(each for each in happened if each["name"] == f"impersonation.{what}")
        for what in ("began", "ended")
    ]
    assert (began["by"], began["detail"]) == ("administrator", {"reason": WHY})
    assert (began["address"], began["userAgent"]) == ("", "")
    assert (ended["by"], ended["detail"]) == ("you", {})
    assert ended["address"] == "127.0.0.1"
    assert eve.answer["id"] not in json.dumps(happened)


async def test_what_happened_to_the_own_account_is_listed_and_nothing_of_others(
    eve: Person, bob: Person, house: House, clock: FakeClock
) -> None:
    user, second = await house.accounts.get_by_username("bob"), timedelta(seconds=1)
    clock.advance(second)
    await viewing(eve, bob)
    clock.advance(second)
    await house.accounts.grant(user, "moderator", COMMAND)
    clock.advance(second)
    await house.accounts.disable(user, COMMAND, reason="Sends spam.")
    clock.advance(second)
    await house.accounts.enable(user, COMMAND)
    clock.advance(second)
    bob = Person("bob", bob.client)
    await bob.sign_in()

    first = (await bob.get("/api/auth/events?limit=2")).json()
    names, page = [each["name"] for each in first["items"]], first
    while page["next"]:
        page = (await bob.get(f"/api/auth/events?limit=2&cursor={page['next']}")).json()
        names += [each["name"] for each in page["items"]]
    assert names[:5] == [
        *("session.opened", "user.enabled", "user.disabled", "role.granted"),
        "impersonation.began",
    ]
    assert sorted(names[5:]) == ["session.opened", "user.created"]
    everything = (await bob.get("/api/auth/events")).json()
    assert [each["name"] for each in everything["items"]] == names
    assert "spam" not in json.dumps(everything)
    assert [each["detail"] for each in everything["items"] if each["name"] == "role.granted"] == [
        {"role": "moderator"}
    ]

    hers = (await eve.get("/api/auth/events")).json()["items"]
    assert "impersonation.began" not in {each["name"] for each in hers}
    assert (await bob.get("/api/auth/events?cursor=~")).status_code == 400


# How it ends


async def test_signing_out_ends_what_she_sees_and_nothing_of_bobs(
    eve: Person, bob: Person, house: House
) -> None:
    """Everywhere means nowhere else here: Bob's sessions are his."""
    as_bob = await viewing(eve, bob)
    answer = await eve.client.post(
        "/api/auth/signout", json={"everywhere": True}, headers=as_bob.headers
    )
    assert answer.status_code == 200

    assert refused(await as_bob.get("/api/test/user")) == (401, "token_invalid")
    assert (await bob.get("/api/test/user")).status_code == 200
    assert (await eve.get("/api/test/user")).status_code == 200
    events = await newest(house.stores.events, 50)
    assert not {"session.ended", "session.ended_everywhere"} & {each.name for each in events}
    [ended] = [each for each in events if each.name == "impersonation.ended"]
    assert (ended.actor, ended.target) == (eve.answer["id"], bob.answer["id"])
    assert ended.detail == {"session": as_bob.answer["session"], "as": bob.answer["id"]}


async def test_a_refresh_token_alone_ends_it_too(eve: Person, bob: Person) -> None:
    as_bob = await viewing(eve, bob)
    body = {"everywhere": True, "refreshToken": as_bob.answer["refreshToken"]}
    assert (await eve.client.post("/api/auth/signout", json=body)).status_code == 200
    assert refused(await as_bob.get("/api/test/user")) == (401, "token_invalid")
    assert (await bob.get("/api/test/user")).status_code == 200


async def test_it_is_refreshed_and_goes_on_to_say_who_acts(
    eve: Person, bob: Person, clock: FakeClock
) -> None:
    as_bob = await viewing(eve, bob)
    clock.advance(LATER)
    body = {"refreshToken": as_bob.answer["refreshToken"]}
    with lines_logged() as lines:
        answer = await eve.client.post("/api/auth/refresh", json=body)
    assert answer.status_code == 200
    assert claims_in(answer.json()["accessToken"])["act"] == {"sub": eve.answer["id"]}
    [noted] = [details for event, details in lines if event == "session.refreshed"]
    assert (noted["actor"], noted["as"]) == (eve.answer["id"], bob.answer["id"])

    clock.advance(timedelta(minutes=20))
    body = {"refreshToken": answer.json()["refreshToken"]}
    assert refused(await eve.client.post("/api/auth/refresh", json=body)) == (
        401,
        "refresh_token_expired",
    )


async def test_a_stolen_refresh_token_that_comes_back_ends_it(
    eve: Person, bob: Person, house: House, clock: FakeClock
) -> None:
    as_bob = await viewing(eve, bob)
    old = {"refreshToken": as_bob.answer["refreshToken"]}
    new = (await eve.client.post("/api/auth/refresh", json=old)).json()
    clock.advance(timedelta(seconds=11))
    assert refused(await eve.client.post("/api/auth/refresh", json=old)) == (
        401,
        "refresh_token_reused",
    )

    stolen = Person("bob", eve.client, answer=new)
    assert refused(await stolen.get("/api/test/user")) == (401, "token_invalid")
    events = await newest(house.stores.events, 50)
    [reused] = [each for each in events if each.name == "refresh_token.reused"]
    assert reused.actor == eve.answer["id"]


# With cookies


@pytest.fixture
def browser(client: httpx2.AsyncClient) -> Browser:
    """Return an empty browser."""
    return Browser(client, {})


async def seen_in(browser: Browser, house: House, name: str = "bob") -> httpx2.Response:
    """Sign Eve in, and let her see the application as somebody does."""
    await make_support(house)
    await new_user(house, "eve", SUPPORT)
    assert (await browser.sign_in("eve")).status_code == 200
    user = await new_user(house, name)
    answer = await browser.send("POST", of(user), json={"reason": WHY})
    assert answer.status_code == 200, answer.text
    return answer


async def who(browser: Browser) -> tuple[str, bool]:
    """Return as whom the browser is signed in, and whether it is somebody else."""
    me = (await browser.send("GET", "/api/auth/me")).json()
    return me["username"], me["impersonator"] is not None


async def test_with_cookies_her_own_session_waits_and_comes_back(
    browser: Browser, house: House, clock: FakeClock
) -> None:
    """No token is in any body. Her refresh token waits where no page and no other host sees it."""
    begun = await seen_in(browser, house)
    assert set(begun.json()) == {"id", "username", "session", "expiresAt"}
    parked = cookies_set_by(begun)[PARKED]
    assert {"HttpOnly", "SameSite=Strict", "Path=/"} <= parked.attributes
    assert parked.max_age <= 30 * 60
    assert await who(browser) == ("bob", True)

    clock.advance(LATER)  # the access token is over; the refresh cookie is traded
    assert await who(browser) == ("bob", True)
    as_bob = browser.jar[ACCESS]

    assert (await browser.send("POST", END)).json() == {
        "message": "You are yourself again.",
        "signedIn": True,
    }
    assert await who(browser) == ("eve", False)
    assert PARKED not in browser.jar
    answer = await browser.client.get(
        "/api/test/user", headers={"Authorization": f"Bearer {as_bob}"}
    )
    assert refused(answer) == (401, "token_invalid")
    assert (await browser.send("POST", END)).status_code == 200  # once more: nothing happens
    assert await who(browser) == ("eve", False)


async def test_her_session_comes_back_when_its_cookies_were_renewed_by_the_same_request(
    browser: Browser, house: House, clock: FakeClock
) -> None:
    """What waits is the newest token: one from before would look stolen, and end her session."""
    await make_support(house)
    await new_user(house, "eve", SUPPORT)
    bob = await new_user(house, "bob")
    await browser.sign_in("eve")
    del browser.jar[ACCESS]
    assert (await browser.send("POST", of(bob), json={"reason": WHY})).status_code == 200
    clock.advance(timedelta(minutes=5))

    assert (await browser.send("POST", END)).json()["signedIn"]
    assert await who(browser) == ("eve", False)
    clock.advance(LATER)
    assert await who(browser) == ("eve", False)


@pytest.mark.parametrize("loss", ["her role", "time", "bob"])
async def test_she_comes_back_after_it_has_ended_by_itself(
    browser: Browser, house: House, clock: FakeClock, loss: str
) -> None:
    await seen_in(browser, house)
    if loss == "her role":
        await house.accounts.withdraw(await house.accounts.get_by_username("eve"), SUPPORT, COMMAND)
    elif loss == "bob":
        await house.accounts.delete(await house.accounts.get_by_username("bob"), COMMAND)
    else:
        clock.advance(timedelta(minutes=29, seconds=59))
        assert await who(browser) == ("bob", True)
        clock.advance(timedelta(seconds=1))
    assert (await browser.send("GET", "/api/auth/me")).status_code == 401

    assert (await browser.send("POST", END)).json()["signedIn"]
    assert await who(browser) == ("eve", False)


async def test_without_a_session_of_her_own_she_signs_in(browser: Browser, house: House) -> None:
    await seen_in(browser, house)
    del browser.jar[PARKED]
    answer = await browser.send("POST", END)
    assert (answer.status_code, answer.json()["signedIn"]) == (200, False)
    assert ACCESS not in browser.jar
    assert REFRESH not in browser.jar


async def test_what_waits_of_somebody_else_signs_nobody_in(
    browser: Browser, house: House, client: httpx2.AsyncClient
) -> None:
    """A cookie that was put there by another hand, of a session that is not Eve's."""
    await seen_in(browser, house)
    mallory = Browser(client, {})
    await new_user(house, "mallory")
    await mallory.sign_in("mallory")
    for token in (mallory.jar[REFRESH], "rt_x", browser.jar[REFRESH], "a" * 5000):
        browser.jar[PARKED] = token
        taken = dict(browser.jar)
        answer = await browser.send("POST", END)
        assert answer.status_code in {200, 431}, token
        assert not answer.json().get("signedIn"), token
        assert ACCESS not in browser.jar or answer.status_code == 431
        browser.jar = taken


async def test_signing_out_leaves_nobody_signed_in(browser: Browser, house: House) -> None:
    """Neither as Bob nor as herself: whoever signs out on a shared machine means it."""
    await seen_in(browser, house)
    kept = dict(browser.jar)
    assert (await browser.send("POST", "/api/auth/signout", json={})).status_code == 200

    assert PARKED not in browser.jar
    browser.jar = kept
    assert (await browser.send("GET", "/api/auth/me")).status_code == 401
    assert not (await browser.send("POST", END)).json()["signedIn"]


async def test_another_site_can_neither_begin_nor_end_it(browser: Browser, house: House) -> None:
    await seen_in(browser, house)
    foreign = {"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"}
    answer = await browser.send("POST", END, headers=foreign)
    assert refused(answer) == (403, "cross_site_request")
    assert await who(browser) == ("bob", True)


async def test_the_cookie_that_waits_stays_with_this_host_whatever_the_others_do(
    tmp_path: Path,
) -> None:
    """Where the tokens are shared with applications of the domain, hers is not."""
    house = build(read_settings(data_dir=tmp_path, public_url=TLS, cookie_domain="example.com"))
    scope: dict[str, Any] = {"headers": []}
    house.delivery.park(scope, "rt_x", timedelta(minutes=30))
    [(_, header)] = scope["gatelodge.cookie_jar"].headers
    name, *attributes = header.decode().split("; ")
    assert name == "__Host-gatelodge-parked=rt_x"
    assert "Secure" in attributes
    assert not [each for each in attributes if each.startswith("Domain")]


async def test_a_sign_in_takes_its_place(browser: Browser, house: House) -> None:
    await seen_in(browser, house)
    as_bob = browser.jar[ACCESS]
    assert (await browser.sign_in("bob")).status_code == 200

    assert await who(browser) == ("bob", False)
    headers = {"Authorization": f"Bearer {as_bob}"}
    answer = await browser.client.get("/api/test/user", headers=headers)
    assert refused(answer) == (401, "token_invalid")
    events = await newest(house.stores.events, 9)
    ended = next(each for each in events if each.name == "impersonation.ended")
    eve = await house.accounts.get_by_username("eve")
    assert ended.actor == eve.id


# What must not follow from it


async def test_her_device_does_not_become_one_of_bobs(
    posting_house: House, mailbox: Mailbox, clock: FakeClock
) -> None:
    """If she signs in as Bob one day, with his password, he gets the letter about a new device."""
    house, hers = posting_house, Origin(address="203.0.113.5", user_agent="curl/8.0")
    await subscribed(house)
    await make_support(house)
    eve = await house.sessions.open(
        await new_user(house, "eve", SUPPORT), BY_PASSWORD, "cookie", HERE
    )
    await house.sessions.open(await new_user(house, "bob"), BY_PASSWORD, "cookie", HERE)
    bob = await house.accounts.get_by_username("bob")
    await house.sessions.impersonate(bob, eve.session, WHY, hers)

    signed_in = await house.sign_in.sign_in("bob", PASSWORD, "cookie", hers, device="")
    clock.advance(timedelta(minutes=1))
    await delivered(house)

    assert isinstance(signed_in, SignedIn)
    assert [kind for _, kind in mailbox.kinds()] == ["new-device"]


async def test_her_address_does_not_become_one_that_bob_is_known_by(
    house: House, clock: FakeClock
) -> None:
    """From a known address one may go on trying while strangers have used up the tries."""
    hers, afar = Origin(address="203.0.113.5"), Origin(address="198.51.100.1")
    await make_support(house)
    eve = await house.sessions.open(
        await new_user(house, "eve", SUPPORT), BY_PASSWORD, "cookie", HERE
    )
    bob = await new_user(house, "bob")
    viewed = await house.sessions.impersonate(bob, eve.session, WHY, hers)
    for _ in range(10):
        with pytest.raises(InvalidCredentials):
            await house.sign_in.sign_in("bob", "wrong horse battery", "bearer", afar)

    for former in (None, viewed.tokens.refresh_token):
        with pytest.raises(TooManyAttempts):
            await house.sign_in.sign_in("bob", PASSWORD, "bearer", hers, former=former)
    assert await house.gate.authenticate(viewed.tokens.access_token)


async def test_the_letter_about_a_stolen_session_goes_to_whose_it_was(
    posting_house: House, mailbox: Mailbox, clock: FakeClock
) -> None:
    house = posting_house
    await subscribed(house)
    await make_support(house)
    eve = await house.sessions.open(
        await new_user(house, "eve", SUPPORT), BY_PASSWORD, "bearer", HERE
    )
    bob = await new_user(house, "bob")
    viewed = await house.sessions.impersonate(bob, eve.session, WHY, HERE)
    await house.sessions.refresh(viewed.tokens.refresh_token, HERE)
    clock.advance(timedelta(seconds=11))
    with pytest.raises(RefreshTokenReused):
        await house.sessions.refresh(viewed.tokens.refresh_token, HERE)
    await delivered(house)

    assert mailbox.kinds() == [("eve@example.com", "refresh-token-reused")]
