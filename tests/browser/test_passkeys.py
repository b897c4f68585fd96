"""Passkeys in Chromium: its own virtual authenticator, and the pages of a real server."""

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from playwright.sync_api import Browser, expect

from tests.browser.authenticators import Authenticator
from tests.browser.sites import Site
from tests.browser.test_pages import look
from tests.browser.visitors import PASSWORD, Visitor
from tests.support.blocks import blocks_of
from tests.support.server import Server

pytestmark = pytest.mark.browser

GUIDE = Path(__file__).parents[2] / "docs" / "guides" / "passkeys.md"

NO_PASSKEY = "No passkey was used. Please try again, or sign in another way."
NOT_VERIFIED = "The passkey could not be verified. Please try again."
NOT_KNOWN = "This passkey is not known here any more. Please sign in another way."
API = "/api/auth/signin/passkey"

Visitors = Callable[..., Visitor]

ASKED = """async ([options, rpId]) => {
    const publicKey = PublicKeyCredential.parseRequestOptionsFromJSON({...options, rpId});
    try {
        return (await navigator.credentials.get({publicKey})).toJSON();
    } catch (error) {
        return error.name;
    }
}"""
"""What any page can do: ask for a passkey of a domain, by options that it got somewhere."""


NO_AUTOFILL = "PublicKeyCredential.isConditionalMediationAvailable = async () => false"
"""Makes it a browser that offers no passkeys in fields: nothing happens before a button is used."""

NOTES_REQUESTS = """
const get = navigator.credentials.get.bind(navigator.credentials);
navigator.credentials.get = (options) => {
    window.asked = options.mediation;
    return get(options);
};"""
"""Lets a test see that the browser waits for the user."""


@pytest.fixture(scope="module")
def app() -> Iterator[Site]:
    """Return an application whose pages may ask for passkeys."""
    with Site() as site:
        yield site


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, app: Site) -> Iterator[Server]:
    """Return a server for all tests of this module, by its name: an address has no passkeys."""
    server = Server(
        tmp_path_factory.mktemp("passkeys"),
        passkey_origins=app.by_name,
        cors_origins=app.by_name,
        sign_ups_per_address="0",
        sign_in_tries_per_address="0",
        username_change="on",
        sign_up_by_passkey="on",
    )
    server.url = f"http://localhost:{server.port}"
    with server:
        yield server


def with_passkey(
    visitor: Visitors, name: str, *, autofill: bool = False, verifies: bool = True
) -> tuple[Visitor, Authenticator]:
    """Return somebody who has an account and a passkey, and is signed in."""
    person = visitor()
    if not autofill:
        person.context.add_init_script(NO_AUTOFILL)
    authenticator = Authenticator(person, verifies=verifies)
    person.sign_up(name)
    person.open("/account/passkeys")
    person.press("Add a passkey")
    person.sees("Keep your recovery codes")
    return person, authenticator


def signed_out(person: Visitor, path: str = "/sign-in") -> None:
    """Let a person sign out, and open the sign-in page."""
    person.sign_out()
    person.sees("Welcome to Gatelodge")
    person.open(path)
    person.sees("Sign in")


def told(person: Visitor) -> Any:
    """Return what is wrong, as the page says it."""
    return person.page.locator("[role=alert]:visible")


def fetched(person: Visitor, method: str, path: str, body: object = None) -> Any:
    """Send a request as a script of the page does, and return the JSON of the answer."""
    return person.page.evaluate(
        """async ([method, path, body]) => {
            const headers = {"Content-Type": "application/json"};
            const sent = body === null ? undefined : JSON.stringify(body);
            return (await fetch(path, {method, headers, body: sent})).json();
        }""",
        [method, path, body],
    )


# A passkey alone


def test_a_passkey_is_added_and_signs_in(server: Server, visitor: Visitors) -> None:
    ann = visitor()
    ann.context.add_init_script(NO_AUTOFILL)
    authenticator = Authenticator(ann)
    ann.sign_up("ann")
    ann.open("/account/passkeys")
    ann.sees("Your passkeys")
    expect(ann.page.locator("[data-passkey-needs]")).to_be_hidden()
    expect(ann.page.locator("#name")).to_have_value("Chrome on Linux")
    ann.page.locator("#name").fill("My laptop")
    ann.page.locator("#name").press("Enter")

    ann.sees("Keep your recovery codes", "/account/passkeys")
    expect(ann.page.get_by_role("status")).to_have_text("Your passkey is added.")
    codes = ann.page.locator(".codes code").all_inner_texts()
    assert len(set(codes)) == 10
    kept = json.dumps([dict(each) for each in ann.context.cookies()])
    assert not any(code in kept or code in ann.page.url for code in codes)
    ann.page.get_by_role("link", name="I have kept them").click()
    ann.sees("Your passkeys")
    expect(ann.page.locator("main li")).to_contain_text("My laptop")
    expect(ann.page.locator("main li")).to_contain_text("not used yet · on one device only")
    (passkey,) = authenticator.passkeys
    assert (passkey["rpId"], passkey["userName"]) == ("localhost", "ann")

    signed_out(ann, "/sign-in?next=/account/password")
    ann.press("Sign in with a passkey")
    ann.sees("Change password", "/account/password")
    session = fetched(ann, "GET", "/api/auth/me")["session"]
    assert session["methods"] == ["pop", "mfa"]
    ann.open("/account/passkeys")
    expect(ann.page.locator("main li")).to_contain_text("last used just now")


def test_a_second_passkey_brings_no_codes_and_one_device_makes_one(visitor: Visitors) -> None:
    bob, authenticator = with_passkey(visitor, "bob")
    bob.open("/account/passkeys")
    bob.press("Add a passkey")
    expect(told(bob)).to_have_text("This device has a passkey for your account already.")
    expect(bob.page.get_by_role("button", name="Add a passkey")).to_be_enabled()
    (first,) = authenticator.passkeys
    authenticator.put(first, credentialId="AAAAAAAAAAAAAAAAAAAAAA==", rpId="other.localhost")
    bob.press("Add a passkey")
    expect(bob.page.get_by_role("status")).to_have_text("Your passkey is added.")
    expect(bob.page.locator("main li")).to_have_count(2)


def test_a_passkey_in_the_autofill_signs_in(visitor: Visitors) -> None:
    """The browser offers it in the username field; nobody has to look for a button."""
    carl, authenticator = with_passkey(visitor, "carl", autofill=True)
    authenticator.answer(at_once=False)
    signed_out(carl)
    expect(carl.page.locator("#username")).to_have_attribute("autocomplete", "username webauthn")
    carl.page.goto("about:blank")  # the page may not have asked yet, and would be answered
    authenticator.answer(at_once=True)

    carl.open("/sign-in?next=/account/password")

    carl.sees("Change password", "/account/password")


def test_the_button_works_while_the_browser_waits_in_the_autofill(visitor: Visitors) -> None:
    """And if it comes to nothing, the autofill waits again."""
    cleo, authenticator = with_passkey(visitor, "cleo", autofill=True)
    cleo.context.add_init_script(NOTES_REQUESTS)
    authenticator.answer(at_once=False)
    signed_out(cleo)
    until(cleo, lambda: cleo.page.evaluate("window.asked") == "conditional")
    authenticator.verify(right=False)
    authenticator.answer(at_once=True)
    cleo.press("Sign in with a passkey")
    expect(told(cleo)).to_have_text(NO_PASSKEY)
    authenticator.answer(at_once=False)
    until(cleo, lambda: cleo.page.evaluate("window.asked") == "conditional")
    authenticator.verify(right=True)
    authenticator.answer(at_once=True)
    cleo.press("Sign in with a passkey")
    cleo.sees("Hello, cleo", "/")


def test_a_question_in_the_autofill_is_renewed_before_it_is_too_old(visitor: Visitors) -> None:
    dora = visitor()
    Authenticator(dora).answer(at_once=False)
    asked: list[str] = []
    dora.page.on("request", lambda each: asked.append(each.url) if each.method == "POST" else None)
    dora.page.clock.install()
    with dora.page.expect_response("**/sign-in/options"):
        dora.open("/sign-in")
    dora.page.clock.run_for(3 * 60_000)
    assert len(asked) == 1
    with dora.page.expect_response("**/sign-in/options"):
        dora.page.clock.run_for(61_000)
    assert len(asked) == 2


def test_a_wrong_finger_signs_nobody_in(visitor: Visitors) -> None:
    """The button works again."""
    dan, authenticator = with_passkey(visitor, "dan")
    signed_out(dan)
    authenticator.verify(right=False)
    for _ in range(2):
        dan.press("Sign in with a passkey")
        expect(told(dan)).to_have_text(NO_PASSKEY)
    authenticator.verify(right=True)
    dan.press("Sign in with a passkey")
    dan.sees("Hello, dan", "/")


def test_a_key_that_only_feels_a_touch_is_a_second_factor_but_none_alone(
    visitor: Visitors,
) -> None:
    emma, _ = with_passkey(visitor, "emma", verifies=False)
    signed_out(emma)
    emma.press("Sign in with a passkey")
    expect(told(emma)).to_have_text(NO_PASSKEY)

    emma.send(username="emma", password=PASSWORD)
    emma.sees("One more step", "/sign-in/second")
    emma.press("Use a passkey")
    emma.sees("Hello, emma", "/")
    methods = fetched(emma, "GET", "/api/auth/me")["session"]["methods"]
    assert methods == ["pwd", "pop", "mfa"]


def test_a_passkey_is_renamed_and_removed(visitor: Visitors) -> None:
    """The device learns that it is removed; with it go the recovery codes."""
    pia, authenticator = with_passkey(visitor, "pia")
    pia.open("/account/passkeys")
    pia.page.get_by_role("link", name="Rename").click()
    pia.send(name="Phone")
    pia.sees("Your passkeys", "/account/passkeys")
    expect(pia.page.locator("main li")).to_contain_text("Phone")
    pia.page.get_by_role("link", name="Remove").click()
    pia.sees("Remove “Phone”?")
    pia.press("Remove it")
    pia.sees("Your passkeys", "/account/passkeys")
    expect(pia.page.locator("main li")).to_have_count(0)
    until(pia, lambda: authenticator.passkeys == [])
    assert fetched(pia, "GET", "/api/auth/factors")["items"] == []


def test_a_passkey_makes_an_account_without_a_password(visitor: Visitors) -> None:
    """A name that is taken is told before the device makes anything."""
    with_passkey(visitor, "tom")
    rita = visitor()
    rita.context.add_init_script(NO_AUTOFILL)
    authenticator = Authenticator(rita)
    rita.open("/sign-up?next=/account")
    rita.page.get_by_role("link", name="Use a passkey instead of a password").click()
    expect(rita.page.locator("[data-passkey-needs]")).to_be_hidden()
    expect(rita.page.locator("#username")).to_be_focused()
    rita.send(username="tom", email="rita@example.com")
    expect(rita.page.locator("#username-problem")).to_have_text(
        "That username is taken. Please choose another."
    )
    expect(rita.page.locator("#username")).to_be_focused()
    expect(rita.page.locator("#email")).to_have_value("rita@example.com")
    assert authenticator.passkeys == []

    rita.send(username="rita")

    rita.sees("Keep your recovery codes", "/sign-up/passkey")
    expect(rita.page.get_by_role("status")).to_have_text("Welcome! Your account is ready.")
    codes = rita.page.locator(".codes code").all_inner_texts()
    assert len(set(codes)) == 10
    kept = json.dumps([dict(each) for each in rita.context.cookies()])
    assert not any(code in kept or code in rita.page.url for code in codes)
    (passkey,) = authenticator.passkeys
    assert (passkey["rpId"], passkey["userName"]) == ("localhost", "rita")
    rita.page.get_by_role("link", name="I have kept them").click()
    rita.sees("Your account", "/account")
    rita.open("/account/passkeys")
    expect(rita.page.locator("main li")).to_contain_text("Chrome on Linux")

    signed_out(rita)
    rita.press("Sign in with a passkey")
    rita.sees("Hello, rita", "/")


def test_who_declines_to_make_a_passkey_may_try_again(visitor: Visitors) -> None:
    uma = visitor()
    authenticator = Authenticator(uma)
    authenticator.verify(right=False)
    uma.open("/sign-up/passkey")
    uma.send(username="uma", email="uma@example.com")
    expect(told(uma)).to_have_text("No passkey was made. Please try again.")
    authenticator.verify(right=True)
    uma.press("Create account with a passkey")
    uma.sees("Keep your recovery codes", "/sign-up/passkey")


# A passkey as the second factor


def test_a_passkey_is_the_second_factor(visitor: Visitors) -> None:
    fay, _ = with_passkey(visitor, "fay")
    code = fay.page.locator(".codes code").first.inner_text()
    signed_out(fay, "/sign-in?next=/account/password")
    fay.send(username="fay", password=PASSWORD)
    fay.sees("One more step", "/sign-in/second")
    challenge = next(each for each in fay.context.cookies() if "challenge" in each["name"])
    assert challenge["httpOnly"]
    assert challenge["value"] not in fay.page.content()
    fay.page.get_by_role("link", name="Use a recovery code").click()
    expect(fay.page.locator("#code")).to_be_visible()
    fay.page.get_by_role("link", name="Use a passkey").click()
    fay.page.get_by_label("Do not ask again").check()
    fay.press("Use a passkey")
    fay.sees("Change password", "/account/password")

    signed_out(fay)
    fay.send(username="fay", password=PASSWORD)
    fay.sees("Hello, fay", "/")  # the browser is remembered

    phone = visitor()
    phone.sign_in("fay")
    phone.sees("One more step", "/sign-in/second")
    phone.page.get_by_role("link", name="Use a recovery code").click()
    phone.send(code=code)
    phone.sees("Hello, fay", "/")


def test_a_second_step_that_is_over_leads_to_the_sign_in(visitor: Visitors) -> None:
    gus, _ = with_passkey(visitor, "gus")
    signed_out(gus)
    gus.send(username="gus", password=PASSWORD)
    gus.sees("One more step")
    gus.context.clear_cookies(name=re.compile("challenge"))
    gus.press("Use a passkey")
    gus.sees("Sign in", "/sign-in")
    expect(gus.page.get_by_role("status")).to_have_text("That took too long. Please sign in again.")


def test_a_proof_by_passkey_leads_back_to_the_form_that_waits(visitor: Visitors) -> None:
    """In a remembered browser the password is not enough for what changes the account."""
    hal, authenticator = with_passkey(visitor, "hal")
    for _ in ("to be remembered", "remembered"):
        signed_out(hal)
        hal.send(username="hal", password=PASSWORD)
        if hal.page.locator("h1").inner_text() == "One more step":
            hal.page.get_by_label("Do not ask again").check()
            hal.press("Use a passkey")
        hal.sees("Hello, hal")
    hal.open("/account/profile")
    hal.send(name="Hal", username="harold")
    hal.sees("Is it you?", "/sign-in/again")
    expect(hal.page.locator("#password")).to_be_visible()
    hal.press("Use a passkey")
    hal.sees("Edit profile", "/account/profile")
    expect(hal.page.locator("#username")).to_have_value("harold")
    hal.send()
    expect(hal.page.get_by_role("status")).to_have_text("Your profile is saved.")

    hal.open("/account/passkeys")  # tells the authenticator of the new name
    hal.sees("Your passkeys")
    until(hal, lambda: authenticator.passkeys[0]["userName"] == "harold")
    assert authenticator.passkeys[0]["userDisplayName"] == "Hal"


# What is refused


def test_a_passkey_that_was_removed_is_refused_and_forgotten(visitor: Visitors) -> None:
    ida, authenticator = with_passkey(visitor, "ida")
    (item,) = [
        each
        for each in fetched(ida, "GET", "/api/auth/factors")["items"]
        if each["kind"] == "passkey"
    ]
    fetched(ida, "DELETE", f"/api/auth/factors/{item['id']}")
    signed_out(ida)
    ida.press("Sign in with a passkey")

    expect(told(ida)).to_have_text(NOT_KNOWN)
    until(ida, lambda: authenticator.passkeys == [])
    ida.send(username="ida", password=PASSWORD)
    ida.sees("Hello, ida", "/")


def test_the_page_of_passkeys_has_the_authenticator_forget_what_was_removed(
    visitor: Visitors,
) -> None:
    jan, authenticator = with_passkey(visitor, "jan")
    (kept,) = authenticator.passkeys
    jan.open("/account/passkeys")
    jan.sees("Your passkeys")
    assert authenticator.passkeys == [kept]
    items = fetched(jan, "GET", "/api/auth/factors")["items"]
    fetched(jan, "DELETE", f"/api/auth/factors/{items[0]['id']}")
    jan.open("/account/passkeys")
    until(jan, lambda: authenticator.passkeys == [])


def test_a_copy_that_has_counted_less_is_refused(server: Server, visitor: Visitors) -> None:
    kim, authenticator = with_passkey(visitor, "kim")
    (early,) = authenticator.passkeys
    signed_out(kim)
    kim.press("Sign in with a passkey")
    kim.sees("Hello, kim")
    authenticator.put(early)
    signed_out(kim)
    kim.press("Sign in with a passkey")

    expect(told(kim)).to_have_text(NOT_VERIFIED)
    assert '"event": "passkey.cloned"' in server.log.read_text()


def test_pages_of_other_origins_get_nothing_that_counts(
    server: Server, browser: Browser, visitor: Visitors, site: Site
) -> None:
    """Another port of the same host, and a host whose name looks like ours."""
    _, authenticator = with_passkey(visitor, "lea")
    (passkey,) = authenticator.passkeys
    fake = f"http://login.localhost:{site.port}"
    with httpx2.Client(base_url=server.url) as client:

        def answer_at(origin: str, rp_id: str) -> tuple[object, int, str]:
            asked = client.post(f"{API}/options", json={}).json()
            thief = Visitor(server, browser.new_context())
            tool = Authenticator(thief)
            tool.put(passkey, rpId=rp_id)
            thief.page.goto(origin)
            got = thief.page.evaluate(ASKED, [asked["publicKey"], rp_id])
            thief.context.close()
            body = {"challenge": asked["challenge"], "credential": got}
            sent = client.post(API, json=body) if isinstance(got, dict) else None
            code = sent.json().get("code", "") if sent else ""
            return type(got), sent.status_code if sent else 0, code

        refused = (dict, 400, "passkey_invalid")
        assert answer_at(site.by_name, "localhost") == refused
        assert answer_at(fake, "login.localhost") == refused
        assert answer_at(fake, "localhost") == (str, 0, "")  # the browser itself refuses
        assert answer_at(server.url, "localhost") == (dict, 200, "")


def test_where_passkeys_cannot_work_the_page_says_what_they_need(
    server: Server, visitor: Visitors
) -> None:
    """At another name of the server, and without scripts: the password works."""
    needs = f"A passkey needs a browser with JavaScript, at the address {server.url}."
    mia, _ = with_passkey(visitor, "mia")
    codes = mia.page.locator(".codes code").all_inner_texts()
    elsewhere = Server.__new__(Server)
    elsewhere.__dict__.update(server.__dict__ | {"url": f"http://127.0.0.1:{server.port}"})
    for options, code in ({"java_script_enabled": False}, codes[0]), ({}, codes[1]):
        person = visitor(**options)
        if not options:
            person.server = elsewhere
        person.open("/sign-in")
        expect(person.page.get_by_role("button", name="passkey")).to_have_count(0)
        person.send(username="mia", password=PASSWORD)
        person.sees("One more step", "/sign-in/second")
        expect(person.page.get_by_text(needs)).to_be_visible()
        expect(person.page.get_by_role("button", name="passkey")).to_have_count(0)
        person.page.get_by_role("link", name="Use a recovery code").click()
        person.send(code=code)
        person.sees("Hello, mia", "/")
        person.open("/account/passkeys")
        person.sees("Your passkeys")
        expect(person.page.get_by_text(needs)).to_be_visible()
        expect(person.page.locator("main li")).to_contain_text("Chrome on Linux")


# Pages of others


def test_the_script_of_the_guide_adds_a_passkey_and_signs_in(
    server: Server, browser: Browser, app: Site
) -> None:
    """On a page of an application with another origin, which is listed."""
    person = Visitor(server, browser.new_context())
    Authenticator(person)
    page = person.page
    page.goto(app.by_name)
    for block in blocks_of(GUIDE):
        if block.language == "javascript":
            page.add_script_tag(content=block.text.replace("http://localhost:8080", server.url))
    olga = {"username": "olga", "email": "olga@example.com", "password": PASSWORD}
    asked = olga | {"delivery": "bearer"}
    token = page.evaluate("body => post('/api/auth/signup', body)", asked)["accessToken"]
    added = page.evaluate("token => addPasskey(token, 'Tablet')", token)
    assert added["factor"]["name"] == "Tablet"
    assert len(added["recoveryCodes"]) == 10
    assert page.evaluate("signInWithPasskey()")["username"] == "olga"

    with httpx2.Client(base_url=server.url) as client:
        body = {"username": "olga", "password": PASSWORD}
        question = client.post("/api/auth/signin", json=body).json()
    done = page.evaluate("challenge => signInWithPasskey(challenge)", question["challenge"])
    assert done["username"] == "olga"
    person.context.close()
    assert [each for each in person.mishaps if not each.startswith((app.by_name, "http"))] == []


# Looks


def test_every_page_with_passkeys_looks_well(server: Server, visitor: Visitors) -> None:
    nora = visitor()
    nora.context.add_init_script(NO_AUTOFILL)
    authenticator = Authenticator(nora)
    nora.sign_up("nora")
    nora.open("/account/passkeys")
    expect(nora.page.locator("[data-passkey-needs]")).to_be_hidden()
    look(nora, "passkeys-none")
    nora.press("Add a passkey")
    nora.sees("Keep your recovery codes")
    nora.open("/account/passkeys")
    look(nora, "passkeys")
    nora.press("Add a passkey")
    expect(told(nora)).to_be_visible()
    look(nora, "passkeys-refused")
    nora.open("/sign-in/again")
    expect(nora.page.get_by_role("button", name="Use a passkey")).to_be_visible()
    look(nora, "again-passkey")
    signed_out(nora)
    authenticator.verify(right=False)
    nora.press("Sign in with a passkey")
    expect(told(nora)).to_be_visible()
    look(nora, "sign-in-passkey-refused")
    nora.send(username="nora", password=PASSWORD)
    nora.sees("One more step")
    look(nora, "second-passkey")
    nora.open("/sign-in/second/passkey?language=de")
    expect(nora.page.locator("h1")).not_to_have_text("One more step")
    look(nora, "second-passkey-german")
    nora.context.clear_cookies()
    nora.open("/sign-up/passkey?language=en")
    expect(nora.page.locator("[data-passkey-needs]")).to_be_hidden()
    look(nora, "sign-up-passkey")
    nora.send(username="nora", email="n")
    expect(nora.page.locator("#email-problem")).not_to_be_empty()
    look(nora, "sign-up-passkey-refused")
    plain = visitor(java_script_enabled=False)
    plain.open("/sign-up/passkey")
    expect(plain.page.locator("[data-passkey-needs]")).to_be_visible()
    expect(plain.page.locator("#username")).to_be_hidden()
    plain.sign_in("nora")
    plain.sees("One more step")
    plain.page.set_viewport_size({"width": 320, "height": 640})
    expect(plain.page.locator("[data-passkey-needs]")).to_be_visible()


def until(person: Visitor, holds: Callable[[], bool]) -> None:
    """Wait until the browser has done what nothing on the page shows."""
    for _ in range(100):
        if holds():
            return
        person.page.wait_for_timeout(50)
    raise AssertionError("it does not become so")
