"""The commands that invite people, and those for addresses."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.people import PASSWORD
from tests.support.server import environment, run_command

REFUSED = 3
NOT_CONFIGURED = 4


@pytest.fixture
def here(tmp_path: Path) -> dict[str, str]:
    """Return the environment of an installation with a user."""
    environment_here = environment(tmp_path, {"data_dir": str(tmp_path / "data")})
    made = ("user", "create", "ann", "ann@example.com", "--password-stdin")
    assert run_command(*made, environment=environment_here, typed=PASSWORD).returncode == 0
    return environment_here


def said(here: dict[str, str], *arguments: str) -> Any:
    """Return what a command says to a program."""
    done = run_command("user", *arguments, "--json", environment=here)
    assert done.stderr == ""
    return json.loads(done.stdout)


def told(here: dict[str, str], *arguments: str) -> str:
    """Return what a command says to people."""
    done = run_command("user", *arguments, environment=here)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.strip()


def test_somebody_is_invited_and_the_invitation_is_listed_and_taken_back(
    here: dict[str, str],
) -> None:
    """No command shows the link."""
    roles = ("--role", "user", "--role", "moderator")
    sentence = told(here, "invite", " Ben@Example.com", *roles)
    assert sentence == "An invitation to Ben@example.com is on its way: user, moderator."
    ben = {
        "email": "Ben@example.com",
        "roles": ["user", "moderator"],
        "by": "command",
        "expires_at": None,
    }
    assert said(here, "invite", "cat@example.com")["roles"] == ["user"]
    assert said(here, "invitations")[0] == ben
    head, row, _ = told(here, "invitations").splitlines()
    assert head.split() == ["E-mail", "Roles", "By", "Expires"]
    assert row.split() == ["Ben@example.com", "user,", "moderator", "command", "-"]

    assert told(here, "uninvite", "ben@example.com") == "ben@example.com is no longer invited."
    assert said(here, "uninvite", "ben@example.com") == {
        "changed": False,
        "email": "ben@example.com",
    }
    assert [each["email"] for each in said(here, "invitations")] == ["cat@example.com"]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("ANN@example.com",), "Failed! Email is already in use!"),
        (("ben",), "That is not an e-mail address."),
        (("ben@example.com", "--role", "king"), "Failed! Role king does not exist!"),
    ],
)
def test_who_cannot_be_invited_is_told_why(
    here: dict[str, str], arguments: tuple[str, ...], sentence: str
) -> None:
    done = run_command("user", "invite", *arguments, environment=here)

    assert (done.returncode, done.stdout) == (REFUSED, "")
    assert done.stderr.startswith(sentence)


def test_nobody_is_invited_where_no_letters_are_sent(here: dict[str, str]) -> None:
    silent = here | {"GATELODGE_PUBLIC_URL": "https://id.example.com"}
    for arguments in (("invite", "ben@example.com"), ("create", "ben", "ben@x.org", "--invite")):
        done = run_command("user", *arguments, environment=silent)

        assert (done.returncode, done.stdout) == (REFUSED, "")
        assert "sends no e-mail" in done.stderr
    assert [each["username"] for each in said(here, "list")] == ["ann"]


def test_a_user_is_made_who_sets_the_password(here: dict[str, str]) -> None:
    """No password is asked for, so no terminal is needed."""
    sentence = told(here, "create", "ben", "ben@example.com", "--invite", "--role", "moderator")

    assert sentence == "Created ben: moderator. A letter to ben@example.com is on its way."
    assert said(here, "show", "ben")["must"] == []
    both = ("create", "cat", "cat@example.com", "--invite", "--password-stdin")
    done = run_command("user", *both, environment=here, typed=PASSWORD)
    assert done.returncode == NOT_CONFIGURED
    assert "not both" in done.stderr


def test_an_address_is_verified_without_a_letter(here: dict[str, str]) -> None:
    assert told(here, "verify", "ANN") == "ann has a verified address."
    assert told(here, "verify", "ann") == "ann had a verified address already."
    assert said(here, "verify", "ann")["user"]["email_verified_at"] is not None
    assert run_command("user", "verify", "ben", environment=here).returncode == REFUSED
