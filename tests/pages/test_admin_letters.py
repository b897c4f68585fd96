"""The console's pages of letters."""

import httpx2
import pytest

from gatelodge.app import House, create_app
from gatelodge.audit import COMMAND
from gatelodge.letters.post import Deferred, Undeliverable
from tests.pages.reader import Reader
from tests.support.mailbox import Mailbox
from tests.support.people import sign_in_browser

LETTERS = "/admin/letters"
LETTER = f"{LETTERS}/letter"
REASON = "550 5.1.1 No such user"


@pytest.fixture
async def petra(posting_house: House) -> Reader:
    """Return the browser of somebody who may see to letters, and nothing else."""
    await posting_house.roles.create("postmaster", "", ["letters:manage"], COMMAND)
    transport = httpx2.ASGITransport(app=create_app(posting_house), raise_app_exceptions=False)
    client = httpx2.AsyncClient(transport=transport, base_url="http://localhost:8080")
    await sign_in_browser(client, posting_house, "petra", "postmaster")
    return Reader(client)


async def ask_for(house: House, name: str, kind: str = "test") -> str:
    """Ask for a letter whose text has a secret, and return its id."""
    to = f"{name}@example.com"
    request = await house.letters.ask(kind, to, to, {"link": "https://x.org/?token=s3cret"})
    return request.partition(".")[0]


async def test_a_letter_that_was_given_up_says_why_and_is_sent_again(
    posting_house: House, mailbox: Mailbox, petra: Reader
) -> None:
    mailbox.failures = [Undeliverable(REASON)]
    letter = await ask_for(posting_house, "ann")
    await posting_house.letters.send_next()

    listed = await petra.open(LETTERS)
    assert "given up (1)" in listed.text
    assert REASON in listed.text
    assert f"{LETTER}?letter={letter}" in listed.links
    shown = await petra.open(f"{LETTER}?letter={letter}")
    assert "refuses this letter or its address for good" in shown.text
    assert "ann@example.com" in shown.text
    assert "s3cret" not in shown.response.text

    again = await petra.send(LETTER, **shown.form(LETTER))
    assert again.notice == "The letter is sent as soon as possible."
    assert "waiting" in again.text
    await posting_house.letters.send_next()
    assert [mail.to for mail in mailbox.mails] == ["ann@example.com"]
    sent = await petra.open(f"{LETTER}?letter={letter}")
    assert "Send it" not in sent.text
    refused = await petra.post(LETTER, {"letter": letter})
    assert refused.status_code == 404


async def test_states_are_tabs_and_empty_ones_teach(
    posting_house: House, mailbox: Mailbox, petra: Reader
) -> None:
    empty = await petra.open(LETTERS)
    assert "No letter yet" in empty.text
    mailbox.failures = [Deferred("451 Greylisted")]
    await ask_for(posting_house, "ann")
    await posting_house.letters.send_next()

    waiting = await petra.open(f"{LETTERS}?state=waiting")
    given_up = await petra.open(f"{LETTERS}?state=given_up")

    assert "waiting (1)" in waiting.text
    assert "451 Greylisted" in waiting.text
    assert "No letter was given up" in given_up.text
    assert "ann@example.com" not in given_up.text
    for state in ("sent", "dropped", "no-such-state"):
        assert (await petra.open(f"{LETTERS}?state={state}")).status == 200


async def test_pages_of_letters_show_each_once(posting_house: House, petra: Reader) -> None:
    wanted = [await ask_for(posting_house, f"user{number}") for number in range(60)]

    seen: list[str] = []
    path = f"{LETTERS}?state=waiting"
    while path:
        page = await petra.open(path)
        links = [each for each in page.links if each.startswith(f"{LETTER}?letter=")]
        seen += [each.partition("letter=")[2] for each in links]
        path = next(
            (each for each in page.links if "before=" in each and "language" not in each), ""
        )
    assert seen == wanted[::-1]


@pytest.mark.parametrize("letter", ["", "ltr_x", "%00", "%ff", "a" * 900])
async def test_a_letter_that_there_is_not_is_not_found(petra: Reader, letter: str) -> None:
    assert (await petra.open(f"{LETTER}?letter={letter}")).status == 404
    assert (await petra.open(f"{LETTERS}?before=%21")).status == 400


async def test_others_find_no_letters(posting_house: House, petra: Reader) -> None:
    await posting_house.roles.create("reader", "", ["users:read", "users:write"], COMMAND)
    petra.client.cookies.clear()
    await sign_in_browser(petra.client, posting_house, "rita", "reader")

    page = await petra.open(LETTERS)

    assert page.status == 403
    assert LETTERS not in (await petra.open("/admin/users")).links
