"""`gatelodge events`: what events say of users who are gone, on both databases."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from gatelodge.audit import Event
from gatelodge.settings import Settings
from gatelodge.stores import open_stores
from tests.contracts.builders import an_event
from tests.support.people import PASSWORD
from tests.support.server import environment, run_before_terminal, run_command

REFUSED = 3
GONE = "usr_06f4h2k9c0q1v8d3n5b7t2m4s6r8p0a1e3gg"
"""An id that a user can have."""


@pytest.fixture
def where(database: str, tmp_path: Path) -> dict[str, str]:
    """Return the environment of an installation with an administrator and a user."""
    here = environment(tmp_path, {"database": database} if database else {})
    for made in (("root", "root@example.com", "--admin"), ("ann", "ann@example.com")):
        done = run_command(
            "user", "create", *made, "--password-stdin", environment=here, typed=PASSWORD
        )
        assert done.returncode == 0
    return here


def said(where: dict[str, str], *arguments: str) -> Any:
    """Return what a command says to a program."""
    done = run_command(*arguments, "--json", environment=where)
    assert (done.returncode, done.stderr) == (0, "")
    return json.loads(done.stdout)


async def happened(where: dict[str, str], events: list[Event]) -> None:
    """Store events, as if the user had done something."""
    settings = Settings(
        data_dir=Path(where["GATELODGE_DATA_DIR"]), database=where.get("GATELODGE_DATABASE", "")
    )
    database = open_stores(settings.database_address)
    await database.database.start()
    for event in events:
        await database.events.add(event)
    await database.database.stop()


def test_events_of_a_deleted_user_are_blanked(where: dict[str, str]) -> None:
    """A user who exists is refused, and the second time nothing is left to do."""
    ann = said(where, "user", "show", "ann")["id"]
    asyncio.run(happened(where, [an_event(actor=ann, target="ses_1") for _ in range(2)]))

    refused = run_command("events", "blank", ann, environment=where)
    assert (refused.returncode, refused.stdout) == (REFUSED, "")
    assert refused.stderr.startswith("This user still exists.")

    assert run_command("user", "delete", "ann", environment=where).returncode == 0
    assert said(where, "events", "blank", ann) == {"user": ann, "blanked": 2}
    again = run_command("events", "blank", ann, environment=where)
    assert again.stdout == "Nothing to do: the events say nothing of this user but the id.\n"


def test_a_terminal_shows_how_far_it_is(where: dict[str, str]) -> None:
    asyncio.run(happened(where, [an_event(actor=GONE)]))
    printed, written = run_before_terminal("events", "blank", GONE, environment=where)

    assert printed == f"1 event said more of {GONE} than the id, and no longer does.\n"
    assert written == "\rEvents looked at: 1 …\r\x1b[K"


def test_nobody_has_an_id_of_which_no_event_tells(where: dict[str, str]) -> None:
    refused = run_command("events", "blank", "usr_nobody", environment=where)

    assert (refused.returncode, refused.stdout) == (REFUSED, "")
    assert refused.stderr == "There is no such user.\n"
