"""`gatelodge doctor`, and what a start says of its own accord."""

import json
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.support.databases import of_revision
from tests.support.people import PASSWORD
from tests.support.server import Server, environment, run_command

ERRORS = 1
SOUND = {
    "public_url": "https://id.example.com",
    "trusted_proxies": "10.0.0.7",
    "password_minimum": "15",
    "smtp_url": "smtp://mail.example.com",
}


def run(where: dict[str, str], *options: str) -> subprocess.CompletedProcess[str]:
    return run_command("doctor", *options, environment=where)


def codes(where: dict[str, str]) -> dict[str, str]:
    """Return the level of each finding by its code, but for those about this machine."""
    done = run(where, "--json")
    told: dict[str, Any] = json.loads(done.stdout)
    assert done.stderr == ""
    assert done.returncode == (ERRORS if told["errors"] else 0)
    assert told["errors"] == sum(each["level"] == "error" for each in told["findings"])
    ours = {"files_few", "disk_full", "no_breached_passwords"}
    return {each["code"]: each["level"] for each in told["findings"] if each["code"] not in ours}


def made_in(folder: Path, **settings: str) -> dict[str, str]:
    """Return the environment of an installation with a database."""
    where = environment(folder, settings)
    made = ("user", "create", "ann", "ann@example.com", "--password-stdin")
    done = run_command(*made, environment=where, typed=PASSWORD)
    assert done.returncode == 0, done.stderr
    return where


def test_a_sound_installation_gets_no_warning(tmp_path: Path) -> None:
    where = made_in(tmp_path, **SOUND)
    before = {file.name: file.read_bytes() for file in (tmp_path / "data").iterdir()}

    assert codes(where) == {}
    after = {file.name: file.read_bytes() for file in (tmp_path / "data").iterdir()}
    assert after.keys() == before.keys()
    assert after["gatelodge.db"] == before["gatelodge.db"]


def test_people_read_what_is_so_and_what_to_do(tmp_path: Path) -> None:
    where = environment(tmp_path, {"trusted_proxies": "0.0.0.0/0", "publik_url": "x"})

    done = run(where)

    assert done.returncode == ERRORS
    lines = done.stdout.splitlines()
    assert lines[0].startswith("error    GATELODGE_TRUSTED_PROXIES names a proxy, but GATELODGE_")
    assert lines[1].startswith("         Set GATELODGE_PUBLIC_URL to the address that people type")
    assert "warning  GATELODGE_PUBLIK_URL (is GATELODGE_PUBLIC_URL meant?) is no setting" in (
        done.stdout
    )
    assert lines[-1].startswith("2 errors, 2 warnings, 2 notes")


def test_a_place_without_a_database_is_told_and_left_empty(tmp_path: Path) -> None:
    assert codes(environment(tmp_path, SOUND)) == {"database_missing": "note"}
    assert list(tmp_path.iterdir()) == []


def test_a_secret_key_of_another_database_is_an_error(tmp_path: Path) -> None:
    made_in(tmp_path, **SOUND)
    other = SOUND | {"secret_key": "Qm8ZrTx0aWfYbN5uLhJ7pGcE2sVo9Xi1BtRyKdPz"}

    assert codes(environment(tmp_path, other)) == {"secret_key_wrong": "error"}


def test_a_database_of_a_version_before_is_told_and_left_as_it_is(tmp_path: Path) -> None:
    """Whoever has installed the new version asks before the first start."""
    where = made_in(tmp_path, **SOUND)
    file = tmp_path / "data" / "gatelodge.db"
    file.unlink()
    of_revision(file, "0009")
    before = file.read_bytes()

    assert codes(where) == {"database_older": "note"}
    assert file.read_bytes() == before


def test_a_database_of_a_version_to_come_is_an_error(tmp_path: Path) -> None:
    where = made_in(tmp_path, **SOUND)
    with closing(sqlite3.connect(tmp_path / "data" / "gatelodge.db")) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")

    assert codes(where) == {"database_unusable": "error"}


def test_a_migration_that_was_cut_short_is_told(tmp_path: Path) -> None:
    """Everything else is looked at all the same."""
    where = made_in(tmp_path, **SOUND)
    with closing(sqlite3.connect(tmp_path / "data" / "gatelodge.db")) as connection, connection:
        connection.execute("DROP INDEX ix_events_actor")
    other = SOUND | {"secret_key": "Qm8ZrTx0aWfYbN5uLhJ7pGcE2sVo9Xi1BtRyKdPz"}

    assert codes(where) == {"database_unfinished": "note"}
    assert codes(environment(tmp_path, other)) == {
        "secret_key_wrong": "error",
        "database_unfinished": "note",
    }


@pytest.mark.parametrize("spoil", ["no key", "open key", "no database", "nobody there"])
def test_what_cannot_be_checked_is_an_error(tmp_path: Path, spoil: str) -> None:
    where = made_in(tmp_path, **SOUND)
    expected = {"database_unusable": "error"}
    key = tmp_path / "data" / "secret.key"
    if spoil == "no key":
        key.unlink()
    elif spoil == "open key":
        key.chmod(0o644)
        expected["secret_key_open"] = "error"
    elif spoil == "no database":
        (tmp_path / "data" / "gatelodge.db").write_text("Dear Sir or Madam, " * 500)
    else:
        where["GATELODGE_DATABASE"] = "mongodb://127.0.0.1:1/shop"

    assert codes(where) == expected


def test_mongodb_is_examined_too(tmp_path: Path, mongodb_address: str) -> None:
    """The tests' replica set has one member."""
    where = made_in(tmp_path, **SOUND, database=mongodb_address)

    assert codes(where) == {"mongodb_majority": "warning"}


def test_settings_that_are_none_end_the_doctor_as_they_end_the_start(tmp_path: Path) -> None:
    done = run(environment(tmp_path, {"port": "http"}))

    assert done.returncode == 4
    assert done.stderr.startswith("GATELODGE_PORT must be ")


# The start


def test_a_start_tells_errors_but_leaves_warnings_to_the_doctor(tmp_path: Path) -> None:
    with Server(tmp_path, trusted_proxies="0.0.0.0/0", allowed_hosts="*") as server:
        said = server.log.read_text()
        asked = codes(server.environment)

    assert "  error: GATELODGE_TRUSTED_PROXIES trusts everybody (0.0.0.0/0)" in said
    assert "GATELODGE_ALLOWED_HOSTS" not in said
    assert asked["hosts_any"] == "warning"


def test_a_start_warns_of_a_cookie_domain_that_no_browser_takes(tmp_path: Path) -> None:
    public = {"public_url": "https://id.acme.co.uk", "cookie_domain": "co.uk"}
    with Server(tmp_path, **public) as server:
        assert "  error: GATELODGE_COOKIE_DOMAIN: co.uk is a public suffix" in (
            server.log.read_text()
        )


def test_a_start_warns_of_origins_whose_cookies_stay_behind(tmp_path: Path) -> None:
    public = {
        "public_url": "https://id.acme.co.uk",
        "cors_origins": "https://app.other.co.uk,https://app.acme.co.uk",
    }
    with Server(tmp_path, **public) as server:
        said = server.log.read_text()

    assert "Cookies will not travel with requests from https://app.other.co.uk, which is" in said
    assert "requests from https://app.acme.co.uk" not in said
