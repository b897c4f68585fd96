"""Letters by a real Postfix, with TLS and a password, read where it relays them.

Root must start it, so that these tests run only when asked for: `make mta`.
"""

import asyncio
import logging
import re
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from gatelodge.app import House, build
from gatelodge.data_folder import DATABASE
from gatelodge.letters.store import Letter
from gatelodge.settings import Settings
from gatelodge.tasks import WAITS
from tests.support import figures
from tests.support.clock import FakeClock
from tests.support.databases import migrated
from tests.support.mail_server import PASSWORD, MailServer, mail_server
from tests.support.mails import a_mail
from tests.support.mongod import wait_until
from tests.support.postfix import Postfix, require_postfix
from tests.support.server import environment, run_command

pytestmark = pytest.mark.mta

ANN = "ann@example.com"
WRONG = "not:the/pass %"
SENDER = "Büro Süd <no-reply@example.com>"
LETTERS = 200


@pytest.fixture
async def arrived() -> AsyncIterator[MailServer]:
    """Yield the server that Postfix relays to."""
    async with mail_server(enable_SMTPUTF8=True) as server:
        yield server


@pytest.fixture
def postfix(arrived: MailServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[Postfix]:
    """Yield a Postfix that runs, and whose certificate this process trusts."""
    require_postfix()
    with Postfix(arrived.port) as running:
        monkeypatch.setenv("SSL_CERT_FILE", str(running.certificate))
        yield running


@pytest.fixture
async def house(postfix: Postfix, tmp_path: Path, clock: FakeClock) -> AsyncIterator[House]:
    """Yield a house whose letters go to Postfix when a test says so."""
    async with opened(postfix.url(), tmp_path, clock) as built:
        yield built


@asynccontextmanager
async def opened(url: str, folder: Path, clock: FakeClock) -> AsyncIterator[House]:
    """Open a house with this mail server, and close the connections to it at the end."""
    settings = Settings.model_validate(
        {"data_dir": folder / "data", "smtp_url": url, "mail_from": SENDER}
    )
    migrated(settings.data_dir / DATABASE)
    built = build(settings, clock)
    async with built.open():
        yield built
        assert built.letters.post is not None
        await built.letters.post.close()


async def ask(house: House, to: str = ANN) -> str:
    """Ask for a letter, and return its id."""
    return (await house.letters.ask("test", to, to)).partition(".")[0]


async def sent(house: House, letter_id: str) -> Letter:
    """Try to send the letter that is due, and return what became of it."""
    assert await house.letters.send_next()
    return await house.letters.get(letter_id)


@pytest.mark.parametrize(
    ("to", "reader", "protocol"),
    [
        ("ann@bücher.example", "ann@xn--bcher-kva.example", "ESMTPSA"),
        ("jürgen@example.com", "jürgen@example.com", "UTF8SMTPSA"),
    ],
)
async def test_a_letter_arrives_as_it_was_written(
    house: House, arrived: MailServer, to: str, reader: str, protocol: str
) -> None:
    """Postfix writes into the letter how it came: with TLS (S) and a password (A), RFC 3848."""
    mail = a_mail(
        to=to,
        sender=SENDER,
        subject="Ihr Code für Söhne 🔑",
        text="ASCII, so that it is sent as it is\n.\n..two\n  \nFrom here on\n",
        html="<p>" + "ß" * 1000 + " – 🔑</p>\n",
    )
    assert house.letters.post is not None
    await house.letters.post.deliver(mail)
    await arrived.until(lambda it: len(it.taken) == 1)

    (envelope,), (letter,) = arrived.taken, arrived.letters
    assert (envelope.mail_from, envelope.rcpt_tos) == ("no-reply@example.com", [reader])
    assert f"with {protocol} id" in letter["Received"]
    assert letter["Message-ID"] == "<ltr_0mail@id.example.com>"
    assert (letter["Subject"], letter["From"], letter["To"]) == (mail.subject, SENDER, reader)
    assert (letter["Auto-Submitted"], letter["Content-Language"]) == ("auto-generated", "en-GB")
    bodies = [letter.get_body((kind,)) for kind in ("plain", "html")]
    read = [body.get_content().replace("\r\n", "\n") for body in bodies if body is not None]
    assert read == [mail.text, mail.html]


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ("password", "535 5.7.8 Error: authentication failed"),
        ("certificate", "certificate verify failed"),
        ("no TLS", "530 5.7.0 Must issue a STARTTLS command first"),
    ],
)
async def test_a_letter_waits_until_the_settings_are_right(
    postfix: Postfix,
    arrived: MailServer,
    tmp_path: Path,
    clock: FakeClock,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    wrong: str,
    reason: str,
) -> None:
    """Operators read why, and neither they nor the log see a password."""
    urls = {"password": postfix.url(WRONG), "no TLS": f"smtp://127.0.0.1:{postfix.port}"}
    with monkeypatch.context() as patch, caplog.at_level(logging.DEBUG):
        if wrong == "certificate":
            patch.delenv("SSL_CERT_FILE")
        async with opened(urls.get(wrong, postfix.url()), tmp_path, clock) as house:
            letter = await sent(house, await ask(house))
    assert (letter.state, letter.failures) == ("waiting", 1)
    shown = await asyncio.to_thread(
        run_command, "letters", "show", letter.id, environment=environment(tmp_path, {})
    )
    assert reason in shown.stdout
    logged = "".join(str(vars(record)) for record in caplog.records)
    assert reason in logged
    assert not [each for each in (PASSWORD, WRONG) if each in logged + shown.stdout]

    clock.advance(WAITS[0])
    async with opened(postfix.url(), tmp_path, clock) as house:
        assert (await sent(house, letter.id)).state == "sent"
    await arrived.until(lambda it: len(it.taken) == 1)
    assert arrived.letters[0]["Message-ID"] == f"<{letter.message_id}>"


async def test_a_letter_to_nobody_is_given_up(house: House, arrived: MailServer) -> None:
    """The next one goes over the same connection."""
    refused = await sent(house, await ask(house, "nobody@example.com"))
    assert refused.state == "given_up"
    assert refused.error is not None
    assert refused.error.startswith("550 5.1.1 <…>: Recipient address rejected: User unknown")

    assert (await sent(house, await ask(house))).state == "sent"
    await arrived.until(lambda it: len(it.taken) == 1)
    assert arrived.taken[0].rcpt_tos == [ANN]


async def test_a_letter_waits_while_postfix_is_away(
    house: House, postfix: Postfix, arrived: MailServer, clock: FakeClock
) -> None:
    first = await sent(house, await ask(house))
    await asyncio.to_thread(postfix.stop)
    second = await sent(house, await ask(house))
    assert (first.state, second.state, second.failures) == ("sent", "waiting", 1)

    await asyncio.to_thread(postfix.start)
    clock.advance(WAITS[0])
    assert (await sent(house, second.id)).state == "sent"

    await arrived.until(lambda it: len(it.taken) == 2)
    ids = {str(each["Message-ID"]) for each in arrived.letters}
    assert ids == {f"<{each.message_id}>" for each in (first, second)}


async def test_a_restart_of_postfix_between_two_letters_delays_neither(
    house: House, postfix: Postfix, arrived: MailServer
) -> None:
    first = await sent(house, await ask(house))
    await asyncio.to_thread(postfix.stop)
    await asyncio.to_thread(postfix.start)
    second = await sent(house, await ask(house))

    assert [(each.state, each.failures) for each in (first, second)] == [("sent", 0)] * 2
    await arrived.until(lambda it: len(it.taken) == 2)


async def test_many_letters_arrive_over_few_connections(
    house: House,
    postfix: Postfix,
    arrived: MailServer,
    record_property: Callable[[str, object], None],
) -> None:
    """Postfix notes at the end of each connection how many letters came over it."""
    asked = {f"<{await ask(house)}@localhost>" for _ in range(LETTERS)}
    began = time.monotonic()
    async with house.letters.sending():
        await arrived.until(lambda it: len(it.taken) == LETTERS, seconds=60)
        took = time.monotonic() - began

    assert len(arrived.letters) == LETTERS
    assert {str(each["Message-ID"]) for each in arrived.letters} == asked
    await asyncio.to_thread(
        wait_until, lambda: sum(over_each(postfix)) == LETTERS, "Postfix noted other letters"
    )
    assert len(over_each(postfix)) <= 6  # four at a time, and each is replaced after 100
    line = f"Postfix: {LETTERS} letters in {took:.1f} s, {over_each(postfix)} over each connection"
    record_property(figures.NAME, line)


def over_each(postfix: Postfix) -> list[int]:
    """Return how many letters came over each connection that has ended."""
    return [int(each) for each in re.findall(r" auth=1 mail=(\d+) ", postfix.log)]
