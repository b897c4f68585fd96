"""`auth.letters`: letters of an application's own, on both databases."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI

from gatelodge.audit import Origin
from gatelodge.data_folder import DATABASE, OUTBOX
from gatelodge.fastapi import Gatelodge, Refused
from gatelodge.letters.folder import FolderPost, Kept
from tests.embedded.applications import Running, running
from tests.support.clock import FakeClock
from tests.support.databases import migrated
from tests.support.mailbox import Mailbox

BEN = "Ben@example.com"
TEMPLATES = {
    "order-shipped.txt": "Order {{ order }}\n\nIt is on its way, {{ name }}: {{ link }}\n",
    "order-shipped.html": "<p>It is on its way, {{ name }}</p>",
    "plain.txt": "{{ _('Hello,') }}\n\nAt {{ site_name }}\n",
    "silent.txt": "\n  \n",
    "broken.txt": "Broken\n\n{{ order\n",
    "layout-of-ours.txt": '{% extends "gatelodge/layout.txt" %}{% block subject %}Hi{% endblock %}',
    "verify-email.txt": "Ours, replaced: {{ link }}\n",
}
VALUES = {"order": "17", "name": "Ben", "link": "https://shop.example/17"}


@pytest.fixture
def templates(tmp_path: Path) -> Path:
    """Return the folder of the application's templates."""
    folder = tmp_path / "templates" / "letters"
    folder.mkdir(parents=True)
    for name, text in TEMPLATES.items():
        (folder / name).write_text(text)
    return folder.parent


@pytest.fixture
async def site(
    tmp_path: Path, templates: Path, database: str, clock: FakeClock
) -> AsyncIterator[Running]:
    """Yield an application with templates, which sends nothing by itself."""
    folder = migrated(tmp_path / "data" / DATABASE).parent
    auth = Gatelodge(data_dir=folder, database=database, templates_dir=templates, clock=clock)
    app = FastAPI(lifespan=auth.lifespan)
    auth.install(app)
    auth._source._tells = False  # letters wait until the test sends them
    async with running(app, auth) as site:
        yield site


async def sent(site: Running) -> list[Kept]:
    """Send what waits, and return all letters, the newest first."""
    while await site.house.letters.send_next():
        pass
    return await FolderPost(site.house.settings.data_dir / OUTBOX).list_letters()


async def test_a_letter_of_the_application_is_sent_by_the_queue(site: Running) -> None:
    letter_id = await site.auth.letters.send(BEN, "order-shipped", VALUES)

    stored = await site.house.letters.get(letter_id)
    assert (stored.kind, stored.to, stored.state) == ("order-shipped", BEN, "waiting")
    assert b"shop.example" not in (stored.sealed_values or b"")
    (letter,) = await sent(site)
    assert (letter.id, letter.to, letter.subject) == (letter_id, BEN, "Order 17")
    assert letter.text == "It is on its way, Ben: https://shop.example/17\n"
    assert letter.html.strip() == "<p>It is on its way, Ben</p>"
    assert (await site.house.letters.get(letter_id)).sealed_values is None


async def test_a_letter_may_have_no_html_and_no_values(site: Running) -> None:
    await site.auth.letters.send(BEN, "plain", language="de-AT")
    await site.auth.letters.send(BEN, "plain")

    by_subject = {letter.subject: letter for letter in await sent(site)}
    english, german = by_subject["Hello,"], by_subject["Guten Tag,"]
    assert german.headers["Content-Language"] == "de-AT"
    assert (english.text, english.html) == ("At Gatelodge\n", "")


@pytest.mark.parametrize(
    ("template", "values", "said"),
    [
        ("verify-email", VALUES, "'verify-email' is a template of Gatelodge"),
        ("test", {}, "'test' is a template of Gatelodge"),
        ("layout", {}, "'layout' is a template of Gatelodge"),
        ("nowhere", {}, "nowhere.txt"),
        ("order-shipped", {"order": "17"}, "'name' is undefined"),
        ("silent", {}, "It is empty"),
        ("broken", VALUES, "letters/broken.txt"),
        ("layout-of-ours", {}, "Required block 'main' not found"),
        ("order-shipped", VALUES | {"language": "de"}, "'language' of Gatelodge"),
        ("gatelodge/layout", {}, "is no name of a letter's templates"),
        ("../secret", {}, "is no name of a letter's templates"),
        ("plain.txt", {}, "is no name of a letter's templates"),
        ("plain\nBcc: eve@example.com", {}, "is no name of a letter's templates"),
        ("a" * 65, {}, "64 characters at most"),
    ],
)
async def test_a_mistake_is_raised_at_once(
    site: Running, template: str, values: dict[str, str], said: str
) -> None:
    with pytest.raises(ValueError, match=said):
        await site.auth.letters.send(BEN, template, values)

    assert await sent(site) == []


async def test_a_value_is_text(site: Running) -> None:
    values: Any = {**VALUES, "order": 17}

    with pytest.raises(TypeError, match="'order' of a letter is no text"):
        await site.auth.letters.send(BEN, "order-shipped", values)


@pytest.mark.parametrize(
    "to",
    [
        *("", "ben", "ben@", "@example.com", "ben@example.com, eve@example.com"),
        *("ben@example.com\nBcc: eve@example.com", "ben@example.com\r\n\r\nHello"),
        f"{'b' * 300}@example.com",
    ],
)
async def test_an_address_that_is_none_is_refused(site: Running, to: str) -> None:
    with pytest.raises(Refused) as refused:
        await site.auth.letters.send(to, "order-shipped", VALUES)

    assert (refused.value.status_code, refused.value.refusal.code) == (400, "email_invalid")
    assert await sent(site) == []


@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r", "\u2028", "\x85", "\x0b", "\x00"])
async def test_no_value_adds_a_header_or_a_paragraph(site: Running, ending: str) -> None:
    evil = f"17{ending}Bcc: eve@example.com{ending}{ending}<b>Hello</b>"
    language = f"de{ending}Bcc: eve@example.com"

    await site.auth.letters.send(BEN, "order-shipped", dict.fromkeys(VALUES, evil), language)

    (letter,) = await sent(site)
    assert {"bcc", "cc"}.isdisjoint(name.lower() for name in letter.headers)
    assert letter.subject.startswith("Order 17")
    assert letter.to == BEN
    assert "\n" not in letter.text.rstrip("\n")
    assert "<b>" not in letter.html


async def test_where_no_letters_are_sent_it_is_refused(tmp_path: Path, templates: Path) -> None:
    auth = Gatelodge(
        data_dir=tmp_path / "data", public_url="https://shop.example", templates_dir=templates
    )
    app = FastAPI(lifespan=auth.lifespan)
    auth.install(app)
    with pytest.raises(RuntimeError, match="has not been started"):
        await auth.letters.send(BEN, "plain")
    async with running(app, auth):
        with pytest.raises(Refused) as refused:
            await auth.letters.send(BEN, "plain")

    assert refused.value.refusal.code == "mail_off"


def test_a_server_beside_the_application_sends_its_own_letters() -> None:
    with pytest.raises(TypeError, match="sends its own letters"):
        Gatelodge("https://id.example.com").letters  # noqa: B018 - it raises


async def test_an_application_delivers_its_letters_itself(tmp_path: Path, clock: FakeClock) -> None:
    """By a `Post` of its own, in place of a mail server."""
    mailbox = Mailbox()
    auth = Gatelodge(
        post=mailbox,
        data_dir=tmp_path / "data",
        public_url="https://shop.example",
        email_verification="required",
        clock=clock,
    )
    app = FastAPI(lifespan=auth.lifespan)
    auth.install(app)
    async with running(app, auth) as site:
        await auth.users.create("ann", "ann@example.com", "correct horse battery")
        await site.house.password_reset.ask("ann@example.com", "en", Origin())
        await mailbox.until(lambda: bool(mailbox.mails))

    assert mailbox.mails[0].to == "ann@example.com"
    assert mailbox.mails[0].sender == "Gatelodge <no-reply@shop.example>"
    with pytest.raises(TypeError, match="sends its letters itself"):
        Gatelodge("https://id.example.com", post=mailbox)
