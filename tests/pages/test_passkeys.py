"""The forms that the script of the pages sends for passkeys. The browser tests run that script."""

import json
from datetime import timedelta

import httpx2
import pytest

from gatelodge.accounts.service import NewUser
from gatelodge.accounts.store import User
from gatelodge.app import House
from gatelodge.audit import COMMAND
from gatelodge.credentials.factors import of_kind
from gatelodge.credentials.own_proof import FRESH
from gatelodge.testing import SoftwareAuthenticator
from tests.api.test_cookies import OURS
from tests.pages.reader import Reader, text_of
from tests.support.clock import FakeClock
from tests.support.people import PASSWORD, let_in

LATER = FRESH + timedelta(seconds=1)
FORMS = {
    "/sign-in/passkey": "/sign-in/options",
    "/sign-in/second/passkey": "/sign-in/second/options",
    "/sign-in/again/passkey": "/sign-in/again/options",
    "/account/passkeys": "/account/passkeys/options",
}


@pytest.fixture
def device(house: House) -> SoftwareAuthenticator:
    """Return a browser's authenticator."""
    return SoftwareAuthenticator(house.settings.public_origin)


async def filled(reader: Reader, device: SoftwareAuthenticator, form: str) -> dict[str, str]:
    """Return the fields that the script fills in: the answer to what it asks the server for."""
    answer = await reader.client.post(FORMS[form], headers=OURS)
    assert answer.status_code == 200, answer.text
    asked = answer.json()
    act = device.create if form.startswith("/account") else device.get
    fields = {"credential": json.dumps(act(asked["publicKey"]))}
    return fields | ({"challenge": asked["challenge"]} if "challenge" in asked else {})


@pytest.fixture
async def codes(reader: Reader, ann: User, device: SoftwareAuthenticator) -> list[str]:
    """Let Ann add a passkey, and return her recovery codes."""
    await reader.open("/account/passkeys")
    fields = await filled(reader, device, "/account/passkeys")
    page = await reader.send("/account/passkeys", name="Laptop", **fields)
    assert page.heading == "Keep your recovery codes"
    return [text_of(each) for each in page.tree.iterfind(".//code")]


async def test_the_form_that_adds_a_passkey_shows_the_codes_once(
    reader: Reader, house: House, ann: User, codes: list[str], device: SoftwareAuthenticator
) -> None:
    assert len(codes) == 10
    user = await house.accounts.get_by_username("ann")
    (passkey,) = of_kind(user.factors, "passkey")
    page = await reader.open("/account/passkeys")
    assert "Laptop" in page.text
    assert not any(code in page.response.text for code in codes)
    told = json.loads(page.one(".//*[@data-passkeys]").attrib["data-passkeys"])
    assert told["ids"] == [passkey.credential_id]
    assert told["rpId"] == "localhost"

    second = SoftwareAuthenticator(device.origin)
    fields = await filled(reader, second, "/account/passkeys")
    page = await reader.send("/account/passkeys", next="/account/password", **fields)
    assert page.path == "/account/password"


async def test_a_passkey_is_asked_for_what_the_page_is_for(
    reader: Reader, ann: User, codes: list[str], device: SoftwareAuthenticator
) -> None:
    """An answer for another page counts nowhere else, even with the right question."""
    again = await filled(reader, device, "/sign-in/again/passkey")
    page = await reader.send("/account/passkeys", name="Mine", **again)
    assert page.alert == "The passkey could not be verified. Please try again."
    assert page.one(".//input[@name='name']").get("value") == "Mine"
    cookies = str(reader.client.cookies.jar)
    assert again["credential"][:40] not in page.response.text + cookies


async def test_a_passkey_leads_to_where_the_reader_was_going(
    reader: Reader, codes: list[str], device: SoftwareAuthenticator
) -> None:
    reader.client.cookies.clear()
    for going, arrives in (("/account/password", "/account/password"), ("//evil.example/", "/")):
        fields = await filled(reader, device, "/sign-in/passkey")
        answer = await reader.post("/sign-in/passkey", fields | {"next": going})
        assert (answer.status_code, answer.headers["location"]) == (303, arrives)
        reader.client.cookies.clear()


async def test_what_is_wrong_with_a_passkey_is_told_on_the_sign_in_page(
    reader: Reader, house: House, codes: list[str], device: SoftwareAuthenticator
) -> None:
    reader.client.cookies.clear()
    fields = await filled(reader, device, "/sign-in/passkey")
    fields["credential"] = fields["credential"].replace("webauthn", "x")
    for credential in ("", "[]", "{", "null", '{"id": 1}', "\u2603"):
        page = await reader.send(
            "/sign-in/passkey", challenge="", credential=credential, next="/account"
        )
        assert page.heading == "Sign in"
        assert page.alert == "The passkey could not be verified. Please try again."
        assert page.form("/sign-in")["next"] == "/account"
    assert not page.tree.findall(".//*[@data-passkey-unknown]")

    user = await house.accounts.get_by_username("ann")
    await house.accounts.delete(user, COMMAND)
    page = await reader.send("/sign-in/passkey", **await filled(reader, device, "/sign-in/passkey"))
    assert page.alert == "This passkey is not known here any more. Please sign in another way."
    assert page.one(".//*[@data-passkey-unknown]").attrib["data-passkey-unknown"] == "localhost"


async def test_a_disabled_user_is_told_nothing_of_it(
    reader: Reader, house: House, codes: list[str], device: SoftwareAuthenticator
) -> None:
    """The device must not be told to forget the passkey: the user may be enabled again."""
    user = await house.accounts.get_by_username("ann")
    await house.accounts.disable(user, COMMAND)
    reader.client.cookies.clear()
    page = await reader.send("/sign-in/passkey", **await filled(reader, device, "/sign-in/passkey"))
    assert page.alert == "The passkey could not be verified. Please try again."


@pytest.mark.parametrize("settings", [{"email_verification": "required"}], indirect=True)
async def test_an_address_that_must_be_verified_comes_first(
    reader: Reader, house: House, codes: list[str], device: SoftwareAuthenticator
) -> None:
    reader.client.cookies.clear()
    page = await reader.send("/sign-in/passkey", **await filled(reader, device, "/sign-in/passkey"))
    assert page.path == "/verify-email"
    assert "We have sent you a letter" in page.notice


async def test_who_has_no_password_proves_it_by_a_passkey_first(
    reader: Reader, house: House, clock: FakeClock, device: SoftwareAuthenticator
) -> None:
    await house.invitations.create(NewUser("eve", "eve@example.com"), COMMAND)
    await let_in(reader.client, house, await house.accounts.get_by_username("eve"))
    fields = await filled(reader, device, "/account/passkeys")
    await reader.send("/account/passkeys", **fields)
    clock.advance(LATER)
    page = await reader.open("/account/delete")
    assert page.heading == "Is it you?"
    assert not list(page.tree.iterfind(".//input[@type='password']"))
    assert "A passkey needs a browser with JavaScript" in page.text
    fields = page.form("/sign-in/again/passkey")
    fields |= await filled(reader, device, "/sign-in/again/passkey")
    page = await reader.send("/sign-in/again/passkey", **fields)
    assert page.path == "/account/delete"


async def test_who_has_a_password_may_choose(
    reader: Reader, clock: FakeClock, codes: list[str]
) -> None:
    clock.advance(LATER)
    page = await reader.open("/account/delete")
    assert page.form("/sign-in/again")["next"] == "/account/delete"
    assert page.form("/sign-in/again/passkey")["next"] == "/account/delete"


async def test_a_proof_that_is_too_old_is_asked_for_and_keeps_the_name(
    reader: Reader, clock: FakeClock, ann: User, codes: list[str], device: SoftwareAuthenticator
) -> None:
    other = SoftwareAuthenticator(device.origin)
    fields = await filled(reader, other, "/account/passkeys")
    clock.advance(LATER)
    asked = await reader.client.post("/account/passkeys/options", headers=OURS)
    assert (asked.status_code, asked.json()["code"]) == (401, "insufficient_user_authentication")
    page = await reader.send("/account/passkeys", name="Phone", **fields)
    assert page.path == "/sign-in/again"
    assert fields["credential"][:40] not in str(reader.client.cookies.jar)
    proof = page.form("/sign-in/again/passkey")
    proof |= await filled(reader, device, "/sign-in/again/passkey")
    page = await reader.send("/sign-in/again/passkey", **proof)
    assert page.path == "/account/passkeys"
    assert page.notice == "Nothing has changed yet. Please send the form once more."
    assert page.form("/account/passkeys")["name"] == "Phone"


async def test_a_passkey_of_somebody_else_is_no_proof(
    reader: Reader, house: House, codes: list[str], device: SoftwareAuthenticator
) -> None:
    reader.client.cookies.clear()
    await reader.sign_up("bob")
    asked = (await reader.client.post("/sign-in/again/options", headers=OURS)).json()
    credential = json.dumps(device.get(asked["publicKey"] | {"allowCredentials": []}))
    page = await reader.send(
        "/sign-in/again/passkey", challenge=asked["challenge"], credential=credential
    )
    assert page.alert == "The passkey could not be verified. Please try again."
    assert "ann" not in page.text


async def test_a_passkey_finishes_a_sign_in_that_waits(
    reader: Reader, codes: list[str], device: SoftwareAuthenticator
) -> None:
    reader.client.cookies.clear()
    page = await reader.send("/sign-in", username="ann", password=PASSWORD, next="/account")
    assert page.path == "/sign-in/second"
    answer = await reader.client.post("/sign-in/second/options", headers=OURS)
    assert set(answer.json()) == {"publicKey"}  # the script need not know the rest
    page = await reader.send("/sign-in/second/passkey", credential="{}", next="/account")
    assert page.path == "/sign-in/second/passkey"
    assert page.alert == "The passkey could not be verified. Please try again."
    fields = await filled(reader, device, "/sign-in/second/passkey")
    page = await reader.send("/sign-in/second/passkey", next="/account", **fields)
    assert page.path == "/account"
    page = await reader.send("/sign-in/second/passkey", next="/account", **fields)
    assert page.path == "/"  # the question is over; the sign-in page leads on who is signed in


async def test_a_question_that_is_too_old_is_over(
    reader: Reader, clock: FakeClock, codes: list[str], device: SoftwareAuthenticator
) -> None:
    reader.client.cookies.clear()
    fields = await filled(reader, device, "/sign-in/passkey")
    clock.advance(timedelta(minutes=5))
    page = await reader.send("/sign-in/passkey", **fields)
    assert page.alert == "The passkey could not be verified. Please try again."


@pytest.mark.parametrize("path", [*FORMS, *FORMS.values()])
async def test_pages_of_other_sites_ask_for_nothing(
    client: httpx2.AsyncClient, ann: User, path: str
) -> None:
    answer = await client.post(
        path, headers={"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"}
    )
    assert (answer.status_code, answer.json()["code"]) == (403, "cross_site_request")


async def test_ten_passkeys_are_enough(
    reader: Reader, ann: User, device: SoftwareAuthenticator
) -> None:
    for number in range(10):
        fields = await filled(reader, SoftwareAuthenticator(device.origin), "/account/passkeys")
        await reader.send("/account/passkeys", name=f"Key {number}", **fields)
    page = await reader.open("/account/passkeys")
    assert "You have ten of these already" in page.text
    fields = await filled(reader, SoftwareAuthenticator(device.origin), "/account/passkeys")
    page = await reader.send("/account/passkeys", **fields)
    assert page.alert == "You have ten of these already. Remove one first."


@pytest.mark.parametrize("settings", [{"second_factor": "required"}], indirect=True)
async def test_who_must_have_a_second_factor_may_take_a_passkey(
    reader: Reader, ann: User, device: SoftwareAuthenticator
) -> None:
    """And goes on from there to the page that was asked for."""
    page = await reader.open("/boards/user")
    assert page.heading == "Add an authenticator app"
    (link,) = [each for each in page.links if each.startswith("/account/passkeys")]
    page = await reader.open(link)
    assert "You need a second step for your sign-ins here." in page.text
    assert "/account/authenticator/new?next=/boards/user" in page.links
    fields = page.form("/account/passkeys") | await filled(reader, device, "/account/passkeys")
    page = await reader.send("/account/passkeys", **fields)
    assert page.heading == "Keep your recovery codes"
    assert "/boards/user" in page.links
    assert (await reader.open("/boards/user")).heading == "User board"


@pytest.mark.parametrize("settings", [{"second_factor": "off"}], indirect=True)
async def test_where_nobody_may_add_a_second_factor_no_form_does(reader: Reader, ann: User) -> None:
    page = await reader.open("/account/passkeys")
    assert "Second factors cannot be added here." in page.text
    assert not page.tree.findall(".//form[@data-passkey]")
    asked = await reader.client.post("/account/passkeys/options", headers=OURS)
    assert (asked.status_code, asked.json()["code"]) == (403, "second_factors_off")


async def test_the_script_is_kept_for_ever_by_its_address(reader: Reader) -> None:
    page = await reader.open("/sign-in")
    address = page.one(".//script[@src]").attrib["src"]
    script = await reader.ask(address)
    assert "immutable" in script.headers["cache-control"]
    assert script.headers["content-type"] == "text/javascript; charset=utf-8"
    assert (await reader.ask("/static/passkeys.js")).headers["cache-control"] == "no-cache"
