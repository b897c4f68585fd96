"""A server that is killed between the queue and the mail server loses no letter."""

import asyncio
import os
import random
import secrets
from pathlib import Path

import pytest

from gatelodge.app import build
from gatelodge.settings import Settings
from gatelodge.stores import open_stores
from tests.contracts.builders import an_event
from tests.support.crowd import Crowd
from tests.support.mail_server import MailServer, mail_server
from tests.support.server import Server

pytestmark = pytest.mark.faults

ROUNDS = int(os.environ.get("GATELODGE_ROUNDS", "4"))
PEOPLE = 12


@pytest.mark.parametrize("store", ["sqlite", "mongodb"])
async def test_kill_9_loses_no_letter(
    tmp_path: Path, store: str, request: pytest.FixtureRequest
) -> None:
    """Each comes at least once, and every time under its own `Message-ID`.

    A letter that the killed server had claimed waits until the claim ends. To save these minutes,
    the test lets all that wait be due again after each kill, as an operator can.
    """
    seed = secrets.randbits(32)
    chance = random.Random(seed)
    database = str(request.getfixturevalue("mongodb_address")) if store == "mongodb" else ""
    asked: set[str] = set()
    async with mail_server() as mail:
        given = {
            "smtp_url": f"smtp://127.0.0.1:{mail.port}",
            "mail_from": "no-reply@example.com",
            "sign_ups_per_address": "0",
        }
        if database:
            given["database"] = database
        with Server(tmp_path, **given) as server:
            for number in range(ROUNDS):
                names = [f"r{number}n{each}" for each in range(PEOPLE)]
                mail.answers["message"] = [chance.choice([0.0, 0.01, 0.05])]
                asked |= await ask_until_killed(server, names, chance)
                server.start()
                await make_due(tmp_path / "data", database)
            await asyncio.wait_for(all_sent(tmp_path / "data", database), 60)
    check_arrived(mail, asked, f"seed {seed}")


async def ask_until_killed(server: Server, names: list[str], chance: random.Random) -> set[str]:
    """Ask for letters, and kill the server a moment later; return who was promised one."""
    async with Crowd(server) as client:
        answers = await asyncio.gather(
            *(
                client.post("/api/auth/password/forgot", json={"email": f"{name}@example.com"})
                for name in await signed_up(client, names)
            )
        )
        assert {each.status_code for each in answers} == {200}
        await asyncio.sleep(chance.uniform(0, 0.2))
        await asyncio.to_thread(server.kill)
    return {f"{name}@example.com" for name in names}


async def signed_up(client: Crowd, names: list[str]) -> list[str]:
    """Let people sign up, and return their names."""
    for each in await asyncio.gather(*(client.sign_up(name) for name in names)):
        assert each.status_code == 200, each.text
    return names


async def make_due(folder: Path, database: str) -> None:
    """Let every letter that waits be due now."""
    settings = Settings(data_dir=folder, database=database)
    async with build(settings).open() as house:
        now = house.clock.now()
        for letter in await house.stores.letters.list_letters(
            before=None, limit=1000, states=["waiting"]
        ):
            await house.stores.letters.retry(letter.id, now, an_event(), claims_end_by=now)


async def all_sent(folder: Path, database: str) -> None:
    """Return when no letter waits."""
    stores = open_stores(Settings(data_dir=folder, database=database).database_address)
    await stores.database.start()
    try:
        while await stores.letters.count_waiting():  # noqa: ASYNC110 - another process sends
            await asyncio.sleep(0.1)
    finally:
        await stores.database.stop()


def check_arrived(mail: MailServer, asked: set[str], context: str) -> None:
    """Check that each reset came, and that two letters of one id are the same letter."""
    resets = [each for each in mail.letters if "new password" in str(each["Subject"])]
    assert {str(each["To"]) for each in resets} == asked, context
    by_id: dict[str, set[str]] = {}
    for each in mail.letters:
        body = each.get_body(("plain",))
        assert body is not None
        by_id.setdefault(str(each["Message-ID"]), set()).add(body.get_content())
    assert all(len(same) == 1 for same in by_id.values()), context
    resets_by_id = {str(each["Message-ID"]) for each in resets}
    assert len(resets_by_id) == len(asked), context
