"""`GATELODGE_SIGN_UP_BY_PASSKEY=on`: an account with a passkey and no password, by the pages.

The forms here are those that the script sends. The browser tests run that script.
"""

import json

import httpx2
import pytest

from gatelodge.app import House
from gatelodge.credentials.factors import of_kind
from gatelodge.testing import SoftwareAuthenticator
from tests.api.test_cookies import OURS
from tests.pages.reader import Reader, text_of
from tests.support.mailbox import Mailbox, delivered
from tests.support.people import PASSWORD, new_user

PAGE, OPTIONS = "/sign-up/passkey", "/sign-up/passkey/options"
ON = {"sign_up_by_passkey": "on"}
NAMES = {"username": "eve", "email": "eve@example.com"}
FORM = NAMES | {"challenge": "", "credential": "", "next": ""}
NOT_VERIFIED = "The passkey could not be verified. Please try again."

on = pytest.mark.parametrize("settings", [ON], indirect=True)


@pytest.fixture
def house(posting_house: House) -> House:
    """Return a house whose letters go into a mailbox when a test says so."""
    return posting_house


@pytest.fixture
def device(house: House) -> SoftwareAuthenticator:
    """Return a browser's authenticator."""
    return SoftwareAuthenticator(house.settings.public_origin)


async def asked(reader: Reader, **changed: str) -> httpx2.Response:
    """Send the form to the options, as the script does."""
    return await reader.client.post(OPTIONS, data=FORM | changed, headers=OURS)


async def filled(reader: Reader, device: SoftwareAuthenticator, **changed: str) -> dict[str, str]:
    """Return the form with the passkey that the device makes for it."""
    answer = await asked(reader, **changed)
    assert answer.status_code == 200, answer.text
    question = answer.json()
    credential = json.dumps(device.create(question["publicKey"]))
    return FORM | changed | {"challenge": question["challenge"], "credential": credential}


@on
async def test_a_passkey_makes_an_account_and_signs_in_ever_after(
    reader: Reader, house: House, device: SoftwareAuthenticator
) -> None:
    page = await reader.open("/sign-up?next=/account/password")
    (link,) = [each for each in page.links if each.startswith(PAGE)]
    page = await reader.open(link)
    assert page.heading == "Create an account"
    assert "/sign-up?next=/account/password" in page.links
    form = page.form(PAGE) | await filled(reader, device, next="/account")

    page = await reader.send(PAGE, **form)

    assert page.path == PAGE
    assert page.heading == "Keep your recovery codes"
    assert page.notice == "Welcome! Your account is ready."
    assert page.response.headers["cache-control"] == "no-store"
    codes = [text_of(each) for each in page.tree.iterfind(".//code")]
    assert len(set(codes)) == 10
    assert "/account" in page.links
    assert not any(code in str(reader.client.cookies.jar) for code in codes)
    user = await house.accounts.get_by_username("eve")
    assert user.password_hash is None
    (passkey,) = of_kind(user.factors, "passkey")
    assert passkey.name == "Python"  # as its User-Agent says
    account = await reader.open("/account")
    assert "eve@example.com" in account.text
    assert not any(code in account.response.text for code in codes)

    again = await reader.send(PAGE, **form)
    assert again.path == "/account"
    assert again.alert == ""
    assert await house.accounts.list_users(after=None, limit=9) == [user]

    reader.client.cookies.clear()
    question = (await reader.client.post("/sign-in/options", headers=OURS)).json()
    answer = json.dumps(device.get(question["publicKey"]))
    fields = {"challenge": question["challenge"], "credential": answer, "next": "/account"}
    assert (await reader.send("/sign-in/passkey", **fields)).path == "/account"


@on
async def test_whoever_loses_the_device_comes_back_by_a_letter_and_a_recovery_code(
    reader: Reader, house: House, device: SoftwareAuthenticator, mailbox: Mailbox
) -> None:
    page = await reader.send(PAGE, **await filled(reader, device))
    code = text_of(page.tree.findall(".//code")[0])
    reader.client.cookies.clear()
    await reader.send("/forgot", email="eve@example.com")
    await delivered(house)
    await reader.fill_in("/reset-password", code=mailbox.values()["code"], password=PASSWORD)

    page = await reader.send("/sign-in", username="eve", password=PASSWORD, next="/account")
    assert page.path == "/sign-in/second"
    assert (await reader.open("/account")).path == "/sign-in"
    await reader.send("/sign-in", username="eve", password=PASSWORD, next="/account")
    page = await reader.send("/sign-in/second", method="recovery_code", code=code, next="/account")

    assert page.path == "/account"


@on
async def test_names_that_nobody_can_have_are_refused_before_a_passkey_is_made(
    reader: Reader, house: House
) -> None:
    """The script then sends the form without a passkey, and the page says what is wrong."""
    await new_user(house, "bob")
    for changed, field, told in (
        ({"username": "bob"}, "username", "That username is taken. Please choose another."),
        ({"username": ""}, "username", "Enter a username."),
        ({"email": "eve@"}, "email", ""),
        ({"email": "bob@example.com"}, "email", ""),
    ):
        answer = await asked(reader, **changed)
        assert answer.status_code == 400, answer.text
        assert "publicKey" not in answer.json()

        page = await reader.send(PAGE, **FORM | changed | {"next": "/account"})

        assert page.status == 400
        assert page.path == PAGE
        assert page.problem(field)
        assert told in page.alert
        assert NOT_VERIFIED not in page.alert
        form = page.form(PAGE)
        assert form["next"] == "/account"
        assert {name: form[name] for name in NAMES} == NAMES | changed
    page = await reader.send(PAGE, username="", email="eve@")
    assert page.problem("username")
    assert page.problem("email")
    users = await house.accounts.list_users(after=None, limit=9)
    assert [each.username for each in users] == ["bob"]


@on
async def test_what_is_no_right_passkey_makes_no_account(
    reader: Reader, house: House, device: SoftwareAuthenticator
) -> None:
    form = await filled(reader, device)
    stranger = SoftwareAuthenticator("http://evil.localhost:8080")
    question = (await asked(reader)).json()
    forged = json.dumps(stranger.create(question["publicKey"]))
    for wrong in (
        {"credential": ""},
        {"credential": "[]"},
        {"challenge": ""},
        {"challenge": question["challenge"]},  # the answer is to another question
        {"challenge": question["challenge"], "credential": forged},
    ):
        page = await reader.send(PAGE, **form | wrong)
        assert page.alert == NOT_VERIFIED
        assert page.form(PAGE)["username"] == "eve"
        assert page.form(PAGE)["credential"] == ""
    assert await house.accounts.list_users(after=None, limit=9) == []

    page = await reader.send(PAGE, **form)
    assert page.heading == "Keep your recovery codes"


@pytest.mark.parametrize(
    "settings",
    [ON | {"email_verification": "required", "hide_known_emails": "off"}],
    indirect=True,
)
async def test_an_address_that_must_be_verified_comes_before_the_first_session(
    reader: Reader, house: House, device: SoftwareAuthenticator, mailbox: Mailbox
) -> None:
    page = await reader.send(PAGE, **await filled(reader, device))
    assert page.heading == "Keep your recovery codes"
    assert page.notice == "Welcome! Verify your e-mail address, then sign in."
    assert "/verify-email" in page.links
    assert (await reader.open("/account")).path == "/sign-in"

    await delivered(house)
    await reader.fill_in("/verify-email", code=mailbox.values()["code"])

    user = await house.accounts.get_by_username("eve")
    assert user.email_verified_at is not None


@on
async def test_whoever_is_signed_in_is_led_on(reader: Reader) -> None:
    await reader.sign_up("ann")
    assert (await reader.open(PAGE)).path == "/account"
    assert (await reader.open(f"{PAGE}?next=/account/password")).path == "/account/password"


@on
async def test_the_page_speaks_german(reader: Reader) -> None:
    reader.headers["Accept-Language"] = "de"
    page = await reader.open(PAGE)
    assert page.heading == "Konto anlegen"
    assert "Ihr Konto hat einen Passkey anstelle eines Passworts" in page.text
    assert "Konto mit Passkey anlegen" in page.text


@on
async def test_without_a_script_the_page_says_what_is_needed(reader: Reader) -> None:
    page = await reader.open(PAGE)
    form = page.one(".//form[@data-passkey]")
    assert "hidden" in form.attrib
    assert form.attrib["data-passkey"] == "create"
    assert "A passkey needs a browser with JavaScript" in page.text
    assert "/sign-up" in page.links


async def test_by_default_nobody_signs_up_so_and_no_page_leads_there(reader: Reader) -> None:
    assert PAGE not in (await reader.open("/sign-up")).links
    page = await reader.open(PAGE)
    assert page.status == 403
    assert not page.tree.findall(".//form[@data-passkey]")
    assert (await asked(reader)).status_code == 403
    assert (await reader.send(PAGE, **FORM)).status == 403


@pytest.mark.parametrize("settings", [ON | {"sign_up": "closed"}], indirect=True)
async def test_where_nobody_may_sign_up_a_passkey_makes_no_difference(reader: Reader) -> None:
    page = await reader.open(PAGE)
    assert page.status == 403
    assert not page.tree.findall(".//form[@data-passkey]")


@on
@pytest.mark.parametrize("path", [PAGE, OPTIONS])
async def test_pages_of_other_sites_ask_for_nothing(client: httpx2.AsyncClient, path: str) -> None:
    answer = await client.post(
        path, data=FORM, headers={"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"}
    )
    assert (answer.status_code, answer.json()["code"]) == (403, "cross_site_request")
