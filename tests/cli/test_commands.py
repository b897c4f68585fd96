"""What all commands have in common: help, tables, names, exit codes, patience."""

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.main import get_command
from typer.testing import CliRunner

from gatelodge import __version__
from gatelodge.cli.main import app
from tests.support.databases import migrated
from tests.support.people import PASSWORD
from tests.support.server import GATELODGE, before_terminal, environment, run_command

REFUSED = 3
UNAVAILABLE = 5
MOST_SECONDS = 10.0


def commands() -> Iterator[list[str]]:
    """Yield the words of every command and of every group of commands."""
    pending = [([], get_command(app))]
    while pending:
        words, command = pending.pop()
        yield words
        below = getattr(command, "commands", {})
        pending += [([*words, name], each) for name, each in below.items()]


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Return the environment of an installation with a user."""
    folder = tmp_path_factory.mktemp("commands")
    migrated(folder / "data" / "gatelodge.db")
    return made_with(environment(folder, {}), "ann")


def made_with(where: dict[str, str], name: str) -> dict[str, str]:
    made = ("user", "create", name, f"{name}@example.com", "--password-stdin")
    assert run_command(*made, environment=where, typed=PASSWORD).returncode == 0
    return where


# Help


@pytest.mark.parametrize("words", list(commands()), ids=lambda words: " ".join(words) or "-")
def test_help_tells_no_type_beside_a_switch(words: list[str]) -> None:
    for asked in ("-h", "--help"):
        shown = CliRunner().invoke(app, [*words, asked], prog_name="gatelodge")

        assert shown.exit_code == 0
        assert shown.output.startswith(" ".join(["Usage: gatelodge", *words]))
        assert "bool" not in shown.output.lower()
        assert "list[" not in shown.output
        assert "\x1b" not in shown.output


def test_the_version_is_told(here: dict[str, str]) -> None:
    done = run_command("--version", environment=here)

    assert (done.returncode, done.stdout) == (0, f"gatelodge {__version__}\n")


# Tables


def test_keys_are_a_table_for_people_and_json_for_programs(here: dict[str, str]) -> None:
    (key,) = json.loads(run_command("keys", "list", "--json", environment=here).stdout)
    head, row = run_command("keys", "list", environment=here).stdout.splitlines()

    assert re.split(r"  +", head.strip()) == [
        *("Key", "Algorithm", "Signs from", "Signs until", "Verifies until")
    ]
    assert row.split() == [key["kid"], "EdDSA", key["not_before"], "-", "-"]
    assert set(key) == {"kid", "algorithm", "not_before", "retires_at", "gone_at"}


@pytest.mark.parametrize("group", ["keys", "user", "role"])
def test_a_list_in_a_terminal_is_a_table_that_fits(here: dict[str, str], group: str) -> None:
    _, shown = before_terminal(
        lambda terminal: subprocess.run(
            [GATELODGE, group, "list"],
            env=here | {"COLUMNS": "72", "TERM": "xterm"},
            stdout=terminal,
            check=True,
        )
    )

    shown = re.sub(r"\x1b\[[0-9;]*m", "", shown)
    assert max(len(line) for line in shown.splitlines()) <= 72
    assert "…" not in shown
    assert {"keys": "Algorithm", "user": "E-mail", "role": "Permissions"}[group] in shown


def test_a_name_with_marks_of_the_tables_language_is_shown_as_it_is(tmp_path: Path) -> None:
    migrated(tmp_path / "data" / "gatelodge.db")
    where = made_with(environment(tmp_path, {}), "ann")
    create = ("role", "create", "odd", "--description", "[red]not red[/red] :smile:")
    assert run_command(*create, environment=where).returncode == 0

    assert "[red]not red[/red] :smile:" in run_command("role", "list", environment=where).stdout


# Names that nothing has


@pytest.mark.parametrize(
    "arguments",
    [
        "user show nobody",
        "user grant nobody admin",
        "user revoke nobody admin",
        "user disable nobody",
        "user enable nobody",
        "user unlock nobody",
        "user sign-out nobody",
        "user delete nobody",
        "user grant ann king",
        "role show king",
        "role describe king x",
        "role permit king a:b",
        "role forbid king a:b",
        "role delete king",
        "keys retire key_00000",
    ],
)
def test_what_does_not_exist_is_refused(here: dict[str, str], arguments: str) -> None:
    done = run_command(*arguments.split(), environment=here)

    assert (done.returncode, done.stdout) == (REFUSED, "")
    assert done.stderr.count("\n") == 1
    if "king" in arguments:
        assert done.stderr.endswith(" There are: admin, moderator, user.\n")


def test_a_user_of_an_unknown_role_is_not_made(here: dict[str, str]) -> None:
    create = ("user", "create", "bob", "bob@example.com", "--role", "King", "--password-stdin")
    done = run_command(*create, environment=here, typed=PASSWORD)

    assert (done.returncode, done.stdout) == (REFUSED, "")
    assert done.stderr == ("Failed! Role King does not exist! There are: admin, moderator, user.\n")
    assert run_command("user", "show", "bob", environment=here).returncode == REFUSED


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        ("serve --port abc", 4, "--port must be a whole number. Accepted: 0 to 65535."),
        ("serve --workers -1", 4, "--workers must be at least 1. Accepted: 1 to 256."),
        ("user list --limit abc", 2, "it must be a whole number from 1 to 1000000000."),
        ("user list --limit 0", 2, "it must be a whole number from 1 to 1000000000."),
        ("user list --limit 99999999999999999999", 2, "it must be a whole number from 1"),
    ],
)
def test_a_wrong_option_is_told_in_our_words(
    here: dict[str, str], arguments: str, code: int, sentence: str
) -> None:
    done = run_command(*arguments.split(), environment=here)

    assert done.returncode == code
    assert sentence in done.stderr
    assert "Input" not in done.stderr
