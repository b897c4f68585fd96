"""`gatelodge user export` and `gatelodge events export`, as an operator calls them."""

import asyncio
import contextlib
import csv
import json
import os
import signal
import stat
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert

from gatelodge.ids import new_id
from gatelodge.stores import open_stores
from gatelodge.stores.sql.tables import user_roles, users
from gatelodge.stores.sql.users import SqlUsers
from tests.support.mongod import wait_until
from tests.support.people import PASSWORD
from tests.support.server import GATELODGE, environment, run_command

REFUSED = 3
NOT_CONFIGURED = 4


class Place:
    """A data folder, and the commands on it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = environment(folder, {})

    def __call__(self, *arguments: object, typed: str = "") -> subprocess.CompletedProcess[str]:
        return run_command(*map(str, arguments), environment=self.environment, typed=typed)

    def done(self, *arguments: object, typed: str = "") -> subprocess.CompletedProcess[str]:
        made = self(*arguments, typed=typed)
        assert made.returncode == 0, made.stderr
        return made

    def add(self, name: str, *options: str) -> None:
        address = f"{name}@example.com"
        self.done("user", "create", name, address, "--password-stdin", *options, typed=PASSWORD)

    def crowd(self, number: int) -> None:
        """Put many users straight into the database: no hash is computed for them."""
        stores = open_stores(str(self.folder / "data" / "gatelodge.db"))
        assert isinstance(stores.users, SqlUsers)
        began = datetime(2026, 1, 1, tzinfo=UTC)
        people = [_stored(n, began + timedelta(seconds=n)) for n in range(number)]
        held = [{"user_id": each["id"], "role": "user"} for each in people]

        async def put() -> None:
            database: Any = stores.database
            await database.start()
            await database.write(lambda connection: connection.execute(insert(users), people))
            await database.write(lambda connection: connection.execute(insert(user_roles), held))
            await database.stop()

        asyncio.run(put())


def _stored(number: int, at: datetime) -> dict[str, Any]:
    name = f"user{number}"
    return {
        "id": new_id("usr", at),
        "username": name,
        "username_key": name,
        "email": f"{name}@example.com",
        "email_key": f"{name}@example.com",
        "password_hash": "$argon2id$none",
        "epoch": 0,
        "created_at": at,
        "must": (),
    }


@pytest.fixture
def here(tmp_path: Path) -> Place:
    """Return a place with two users."""
    place = Place(tmp_path)
    place.add("ann", "--admin")
    place.add("bob")
    return place


def lines_of(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def test_users_come_as_json_lines_the_oldest_first(here: Place) -> None:
    """They are what `user show --json` prints."""
    shown = [
        json.loads(here.done("user", "show", name, "--json").stdout) for name in ("ann", "bob")
    ]

    exported = here.done("user", "export")

    assert lines_of(exported.stdout) == shown
    assert exported.stderr == f"Exported 2 users. The last one is {shown[1]['id']}.\n"


def test_no_hash_is_exported_unless_it_is_asked_for(here: Place) -> None:
    assert "argon2" not in here.done("user", "export").stdout
    assert "argon2" not in here.done("user", "export", "--format", "csv").stdout

    hashes = [
        each["password_hash"]
        for each in lines_of(here.done("user", "export", "--with-hashes").stdout)
    ]
    assert all(each.startswith("$argon2id$") for each in hashes)
    assert len(hashes) == 2


def test_an_export_goes_on_after_an_id(here: Place) -> None:
    first, second = lines_of(here.done("user", "export").stdout)

    assert lines_of(here.done("user", "export", "--after", first["id"]).stdout) == [second]
    assert here.done("user", "export", "--after", second["id"], "--format", "csv").stdout == ""


def test_a_file_is_new_complete_and_private(here: Place, tmp_path: Path) -> None:
    file = tmp_path / "users.jsonl"

    said = here.done("user", "export", file).stdout

    assert said == f"Exported 2 users to {file}.\n"
    assert [each["username"] for each in lines_of(file.read_text())] == ["ann", "bob"]
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [each.name for each in tmp_path.glob("users*")] == ["users.jsonl"]
    refused = here("user", "export", file)
    assert (refused.returncode, refused.stderr) == (
        REFUSED,
        f"There is {file} already. Name a new file.\n",
    )


@pytest.mark.parametrize(
    "name", ['=HYPERLINK("https://evil.example")', " =1", "＝1", "＋1", "－1", "＠SUM(1)"]
)
def test_a_spreadsheet_gets_no_formula(here: Place, tmp_path: Path, name: str) -> None:
    """A user may be called anything; in a cell, `=…` would be computed, and `＝…` by some."""
    asyncio.run(_call(here, "ann", name))
    file = tmp_path / "users.csv"

    here.done("user", "export", file, "--format", "csv")

    with file.open(newline="", encoding="utf-8") as opened:
        ann, bob = csv.DictReader(opened)
    assert ann["name"] == f"'{name}"
    assert ann["roles"] == "user admin"
    assert (bob["username"], bob["disabled_at"]) == ("bob", "")


async def _call(place: Place, username: str, name: str) -> None:
    stores = open_stores(str(place.folder / "data" / "gatelodge.db"))
    database: Any = stores.database
    await database.start()
    change = users.update().where(users.c.username == username).values(name=name)
    await database.change(change)
    await database.stop()


def test_events_are_exported_too(here: Place) -> None:
    events = lines_of(here.done("events", "export").stdout)

    made = [each for each in events if each["name"] == "user.created"]
    assert [each["detail"]["roles"] for each in made] == ["user admin", "user"]
    assert [each["actor"] for each in made] == ["command", "command"]
    assert [each["id"] for each in events] == sorted(each["id"] for each in events)
    assert (
        lines_of(here.done("events", "export", "--after", events[-2]["id"]).stdout) == events[-1:]
    )


@pytest.mark.parametrize("format_", ["jsonl", "csv"])
def test_a_killed_export_goes_on_where_it_was(here: Place, tmp_path: Path, format_: str) -> None:
    """No user is missing, none comes twice, and a line that was not finished is written again."""
    here.crowd(30_000)
    whole, file = tmp_path / "whole", tmp_path / "users"
    here.done("user", "export", whole, "--format", format_)
    draft = tmp_path / "users.part"

    kill_amid([str(file), "--format", format_], draft, here)
    with draft.open("ab") as cut:  # as if the kill had come amid a line
        cut.write(b'{"id":"usr_')

    refused = here("user", "export", file, "--format", format_)
    assert refused.returncode == REFUSED
    assert "Go on with --resume" in refused.stderr
    said = here.done("user", "export", file, "--format", format_, "--resume", "--json").stdout
    assert file.read_bytes() == whole.read_bytes()
    assert 0 < json.loads(said)["exported"] < 30_002
    assert not draft.exists()


def kill_amid(arguments: list[str], draft: Path, place: Place) -> None:
    """Kill an export that has written some users, but not all."""
    command = [str(GATELODGE), "user", "export", *arguments]
    running = subprocess.Popen(command, env=place.environment, stderr=subprocess.DEVNULL)
    with contextlib.suppress(ProcessLookupError):
        wait_until(lambda: draft.exists() and draft.stat().st_size > 100_000, "nothing is written")
        os.kill(running.pid, signal.SIGKILL)
    assert running.wait() == -signal.SIGKILL


def test_an_export_goes_on_in_no_file_of_another_kind(here: Place, tmp_path: Path) -> None:
    file, draft = tmp_path / "users", tmp_path / "users.part"
    for text in ("my notes\n", '{"id": "usr_x"}\n', "id,username\r\nusr_x,ann\r\n"):
        draft.write_text(text)
        for format_ in ("jsonl", "csv"):
            refused = here("user", "export", file, "--resume", "--format", format_)
            assert refused.returncode == REFUSED
            assert draft.read_text() == text.replace("\r\n", "\n")


def test_an_export_goes_on_in_no_file_elsewhere(here: Place, tmp_path: Path) -> None:
    """A link that somebody has placed in a shared folder leads to a file of another program."""
    other = tmp_path / "other"
    other.write_text("no line ends here")
    (tmp_path / "users.jsonl.part").symlink_to(other)

    failed = here("user", "export", tmp_path / "users.jsonl", "--resume")

    assert failed.returncode == NOT_CONFIGURED
    assert other.read_text() == "no line ends here"


def test_options_that_contradict_each_other_are_refused(here: Place, tmp_path: Path) -> None:
    for arguments in (["--resume"], [str(tmp_path / "x"), "--after", "usr_x"]):
        refused = here("user", "export", *arguments)
        assert refused.returncode == NOT_CONFIGURED
    assert here("user", "export", "--format", "xml").returncode == 2
