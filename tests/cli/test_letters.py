"""`gatelodge letters`: what is known of letters, on both databases, and a letter as a test."""

import asyncio
import json
import subprocess
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import datetime, timedelta
from email import message_from_bytes
from pathlib import Path
from typing import Any

import pytest

from gatelodge.app import House, build
from gatelodge.clock import SystemClock
from gatelodge.ids import new_id
from gatelodge.letters.post import Deferred, Undeliverable
from gatelodge.letters.store import Letter, LetterState
from gatelodge.settings import Settings
from tests.support.mail_server import MailServer, mail_server
from tests.support.mailbox import Mailbox
from tests.support.server import environment, run_command

REFUSED, WRONG = 3, 2
ANN = ("Ann@example.com", "ann@example.com")
SECRETS = {
    "username": "ann",
    "link": "https://id.example/x?token=SECRET",
    "code": "SECR-ET22",
    "minutes": "10",
}


@pytest.fixture
def where(database: str, tmp_path: Path) -> dict[str, str]:
    """Return the environment of an installation."""
    return environment(tmp_path, {"database": database} if database else {})


@pytest.fixture
async def house(where: dict[str, str], mailbox: Mailbox) -> AsyncIterator[House]:
    """Yield a house of this installation, which sends nothing by itself."""
    folder, database = Path(where["GATELODGE_DATA_DIR"]), where.get("GATELODGE_DATABASE", "")
    built = build(Settings(data_dir=folder, database=database))
    await asyncio.to_thread(built.stores.database.migrate)
    vars(built)["letters"] = replace(built.letters, post=mailbox)
    async with built.open():
        yield built


async def command(where: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a command while the test's own event loop goes on."""
    return await asyncio.to_thread(run_command, "letters", *arguments, environment=where)


async def printed(where: dict[str, str], *arguments: str) -> Any:
    """Return what a command prints for programs."""
    done = await command(where, *arguments, "--json")
    assert (done.returncode, done.stderr) == (0, "")
    return json.loads(done.stdout)


def files_in(folder: Path) -> list[Path]:
    """Return what is in a folder."""
    return list(folder.iterdir())


async def ask(house: House, kind: str = "reset-password", **more: Any) -> str:
    """Ask for a letter to Ann, and return its id."""
    request = await house.letters.ask(kind, *ANN, SECRETS, **more)
    return request.partition(".")[0]


async def test_letters_are_listed_with_what_became_of_them(
    house: House, where: dict[str, str], mailbox: Mailbox
) -> None:
    sent, given_up, waiting = await ask(house), await ask(house), await ask(house)
    later = await ask(house, after=timedelta(hours=1))
    mailbox.failures = [Undeliverable("550 no such user"), Deferred("451 later")]
    for _ in range(3):
        assert await house.letters.send_next()
    states = {each["id"]: each for each in await printed(where, "list")}

    ended = {each["id"] for each in await printed(where, "list", "--state", "given_up")}
    assert [each["id"] for each in await printed(where, "list", "--limit", "1")] == [later]
    assert set(states) == {sent, given_up, waiting, later}
    assert states[later]["tries"] == 0
    (refused,) = ended
    assert (states[refused]["error"], states[refused]["tries"]) == ("550 no such user", 1)
    both = await printed(where, "list", "--state", "waiting", "--state", "sent")
    assert {each["id"] for each in both} == set(states) - ended
    assert {each["to"] for each in both} == {ANN[0]}


async def test_notices_stand_among_other_letters_by_their_time(
    house: House, where: dict[str, str]
) -> None:
    """Their ids are made from their causes, and not when they are asked for."""
    clock = SystemClock()
    kinds = [f"kind-{number}" for number in range(8)]
    for kind in kinds:
        await house.letters.ask(kind, *ANN, about=new_id("evt", clock.now()))
        await ask(house)
        await asyncio.sleep(0.002)  # ids tell milliseconds

    listed = [each["kind"] for each in await printed(where, "list")]

    assert [kind for kind in listed if kind in kinds] == kinds[::-1]
    assert sum(kind in kinds for kind in listed[:4]) == 2


async def test_no_command_shows_what_is_written_in_a_letter(
    house: House, where: dict[str, str], mailbox: Mailbox
) -> None:
    letter = await ask(house)
    mailbox.failures = [Deferred("451 later")]
    assert await house.letters.send_next()
    stored = await house.letters.get(letter)
    assert stored.sealed_values

    shown = [
        await command(where, "list"),
        await command(where, "list", "--json"),
        await command(where, "show", letter),
        await command(where, "show", letter, "--json"),
        await command(where, "retry", letter),
    ]

    assert [each.returncode for each in shown] == [0] * 5
    told = "".join(each.stdout + each.stderr for each in shown)
    assert ANN[0] in told
    assert "451 later" in told
    for secret in ("SECR", "token=", stored.sealed_values.hex()):
        assert secret not in told


async def test_one_letter_is_shown(house: House, where: dict[str, str]) -> None:
    letter = await ask(house, language="de", subject="usr_ann")

    shown = await printed(where, "show", letter)

    assert shown["id"] == letter
    assert shown["message_id"] == f"{letter}@localhost"
    assert (shown["language"], shown["user"], shown["state"]) == ("de", "usr_ann", "waiting")
    assert "waiting" in (await command(where, "show", letter)).stdout
    nobodys = await command(where, "show", "ltr_none")
    assert nobodys.returncode == REFUSED
    assert nobodys.stderr == "There is no letter of this id.\n"


async def test_a_letter_that_was_given_up_is_sent_again(
    house: House, where: dict[str, str], mailbox: Mailbox
) -> None:
    letter = await ask(house)
    mailbox.failures = [Undeliverable("550 no such user")]
    assert await house.letters.send_next()
    assert not await house.letters.send_next()

    assert await printed(where, "retry", letter) == {"due": letter}

    assert await house.letters.send_next()
    assert "SECR-ET22" in mailbox.mails[0].text
    refused = await command(where, "retry", letter)
    assert (refused.returncode, "waits or was given up" in refused.stderr) == (REFUSED, True)


async def test_a_state_that_letters_do_not_have_is_refused(tmp_path: Path) -> None:
    done = await command(environment(tmp_path, {}), "list", "--state", "lost")

    assert done.returncode == WRONG
    assert "waiting, sent, given_up, dropped" in done.stderr


# What the doctor says


async def findings(where: dict[str, str]) -> dict[str, tuple[str, str]]:
    """Return what the doctor says of letters: level and message, by code."""
    done = await asyncio.to_thread(run_command, "doctor", "--json", environment=where)
    told = json.loads(done.stdout)["findings"]
    ours = [each for each in told if each["code"] in {"letters_waiting", "letters_given_up"}]
    return {each["code"]: (each["level"], each["message"]) for each in ours}


async def test_the_doctor_tells_of_letters_that_do_not_leave(
    house: House, where: dict[str, str]
) -> None:
    await ask(house)
    assert await findings(where) == {}
    now = house.clock.now()
    for minutes, state in ((59, "waiting"), (61, "waiting"), (9000, "waiting"), (61, "sent")):
        await add(house, now - timedelta(minutes=minutes), state)
    assert await findings(where) == {
        "letters_waiting": ("warning", "2 letters have waited for more than an hour.")
    }

    await add(house, now - timedelta(hours=30), "given_up", ended_at=now - timedelta(hours=25))
    assert "letters_given_up" not in await findings(where)
    await add(house, now, "given_up", ended_at=now, error="550 no such user.")
    assert (await findings(where))["letters_given_up"] == (
        "note",
        "1 letter has been given up in the last day. The last error: 550 no such user.",
    )


async def add(house: House, at: datetime, state: LetterState, **changes: Any) -> None:
    """Store a letter that was asked for at an instant."""
    letter = Letter(new_id("ltr", at), "test", *ANN, "x@localhost", at, at, state, **changes)
    await house.stores.letters.add(letter)


# A letter as a test


@pytest.fixture
async def server() -> AsyncIterator[MailServer]:
    """Yield a mail server."""
    async with mail_server() as running:
        yield running


def with_mail(folder: Path, server: MailServer) -> dict[str, str]:
    """Return the environment of a server whose letters go there."""
    return environment(folder, {"smtp_url": f"smtp://127.0.0.1:{server.port}"})


async def test_a_test_letter_goes_to_the_mail_server_at_once(
    tmp_path: Path, server: MailServer
) -> None:
    """Also before the first start: it needs no database, and makes none."""
    done = await command(with_mail(tmp_path, server), "send-test", "ann@example.com")

    assert (done.returncode, done.stderr) == (0, "")
    place = f"127.0.0.1 port {server.port}"
    assert done.stdout == f"The letter to ann@example.com was taken by {place}.\n"
    assert server.letters[0]["Subject"] == "A test letter from Gatelodge"
    assert server.taken[0].rcpt_tos == ["ann@example.com"]
    assert files_in(tmp_path) == []


@pytest.mark.parametrize(
    ("step", "answer", "said"),
    [
        ("RCPT", "451 4.7.1 greylisted", "not taken; a later try may succeed: 451 4.7.1 greylist"),
        ("RCPT", "550 5.1.1 no <ann@example.com>", "refused for good: 550 5.1.1 no <…>"),
        ("message", "cut", "was sent, but no answer came, so it may have been taken: "),
    ],
)
async def test_what_the_mail_server_answered_is_told(
    tmp_path: Path, server: MailServer, step: str, answer: str, said: str
) -> None:
    server.answers = {step: [answer]}

    done = await command(with_mail(tmp_path, server), "send-test", "ann@example.com")

    assert (done.returncode, done.stdout) == (REFUSED, "")
    assert said in done.stderr
    assert "Traceback" not in done.stderr


async def test_a_test_letter_of_a_server_in_development_is_in_its_outbox(tmp_path: Path) -> None:
    where = environment(tmp_path, {})

    taken = await printed(where, "send-test", "ann@example.com")

    outbox = Path(where["GATELODGE_DATA_DIR"]) / "outbox"
    assert taken == {"to": "ann@example.com", "taken_by": f"the folder {outbox}"}
    (file,) = files_in(outbox)
    assert message_from_bytes(file.read_bytes())["To"] == "ann@example.com"


async def test_without_mail_or_an_address_no_test_letter_is_sent(tmp_path: Path) -> None:
    public = environment(tmp_path, {"public_url": "https://id.example.com"})

    without, nobody = await asyncio.gather(
        command(public, "send-test", "ann@example.com"),
        command(environment(tmp_path, {}), "send-test", "ann"),
    )

    assert (without.returncode, nobody.returncode) == (REFUSED, REFUSED)
    assert without.stderr.startswith("This server sends no e-mail.")
    assert "e-mail address" in nobody.stderr
