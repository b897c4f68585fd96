"""The commands on roles, as an operator and as a program call them."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.support.people import PASSWORD
from tests.support.server import GATELODGE, Server, environment, run_before_terminal, run_command

REFUSED = 3
WRONG_COMMAND_LINE = 2
NO_SUCH_ROLE = "There is no such role. There are: admin, moderator, user."


@pytest.fixture
def here(tmp_path: Path) -> dict[str, str]:
    """Return the environment of an installation with an administrator."""
    environment_here = environment(tmp_path, {"data_dir": str(tmp_path / "data")})
    made = ("user", "create", "root", "root@example.com", "--admin", "--password-stdin")
    assert run_command(*made, environment=environment_here, typed=PASSWORD).returncode == 0
    return environment_here


def said(here: dict[str, str], *arguments: str) -> Any:
    """Return what a command says to a program."""
    done = run_command("role", *arguments, "--json", environment=here)
    assert done.stderr == ""
    return json.loads(done.stdout)


def refused(here: dict[str, str], *arguments: str) -> str:
    """Return the sentence with which a command is refused."""
    done = run_command("role", *arguments, environment=here)
    assert (done.returncode, done.stdout) == (REFUSED, "")
    return done.stderr.strip()


def test_programs_are_told_the_same_in_json(here: dict[str, str]) -> None:
    made = {"name": "editor", "description": "Edits.", "permissions": ["a:b", "c:d"]}
    create = ("create", "editor", "--description", "Edits.")
    assert said(here, *create, "--permission", "c:d", "--permission", "a:b") == made
    assert said(here, "show", "editor") == made
    assert [role["name"] for role in said(here, "list")] == ["admin", "editor", "moderator", "user"]
    changed = made | {"description": "Corrects."}
    assert said(here, "describe", "editor", "Corrects.") == {"changed": True, "role": changed}
    changed["permissions"] = ["a:b", "c:d", "e:f"]
    assert said(here, "permit", "editor", "e:f") == {"changed": True, "role": changed}
    assert said(here, "permit", "editor", "e:f") == {"changed": False, "role": changed}
    changed["permissions"] = ["c:d", "e:f"]
    assert said(here, "forbid", "editor", "a:b") == {"changed": True, "role": changed}
    assert said(here, "delete", "editor") == {"deleted": "editor", "taken_from": 0}
    assert len(said(here, "list")) == 3


def test_what_is_refused_is_a_sentence_and_an_exit_code(here: dict[str, str]) -> None:
    assert refused(here, "show", "editor") == NO_SUCH_ROLE
    assert refused(here, "show", "Admin\n") == NO_SUCH_ROLE
    assert refused(here, "create", "Editor").startswith("A role's name has 1 to 64 characters")
    assert refused(here, "create", "user") == "There is a role of this name already."
    assert refused(here, "permit", "user", "users:*").endswith("There are no wildcards.")
    assert refused(here, "describe", "user", "a\tb").startswith("A description is one line")
    assert refused(here, "delete", "moderator").endswith("cannot be deleted.")
    assert refused(here, "delete", "moderator", "--take-from-all").endswith("cannot be deleted.")
    assert refused(here, "forbid", "admin", "roles:write").startswith("The role admin cannot lose")


def test_bytes_that_are_no_text_are_refused_like_any_other_name(here: dict[str, str]) -> None:
    """No traceback, and nothing gets as far as a database."""
    for arguments in ([b"show", b"\xff"], [b"permit", b"user", b"a:\xff"], [b"create", b"\xff"]):
        done = subprocess.run(
            [os.fsencode(GATELODGE), b"role", *arguments],
            env=here,
            capture_output=True,
            check=False,
        )
        assert done.returncode == REFUSED
        assert b"Traceback" not in done.stderr


def test_a_command_line_that_is_wrong_is_said_to_be(here: dict[str, str]) -> None:
    for arguments in (["permit", "user"], ["forbid"], ["rename", "user"], ["delete", "--all", "x"]):
        assert run_command("role", *arguments, environment=here).returncode == WRONG_COMMAND_LINE


def test_a_role_is_taken_from_all_and_they_are_counted(tmp_path: Path) -> None:
    """A running server refuses them from the next request on, with the tokens they have."""
    with Server(tmp_path) as server:
        server.command("role", "create", "editor", "--permission", "a:b")
        for name in ("ann", "bob"):
            address = f"{name}@example.com"
            made = ("user", "create", name, address, "--role", "editor", "--password-stdin")
            assert server.command(*made, typed=PASSWORD).returncode == 0
        with httpx2.Client(base_url=server.url) as client:
            body = {"username": "ann", "password": PASSWORD}
            token = client.post("/api/auth/signin", json=body).json()["accessToken"]
            client.headers["Authorization"] = f"Bearer {token}"
            path = "/api/auth/verify?permission=a:b&role=editor"
            assert [client.get(path).status_code for _ in range(3)] == [200] * 3

            kept = server.command("role", "delete", "editor")
            assert (kept.returncode, kept.stdout) == (REFUSED, "")
            assert "--take-from-all" in kept.stderr
            assert client.get(path).status_code == 200

            done = server.command("role", "delete", "editor", "--take-from-all")
            assert done.stdout == "editor is deleted; it was taken from 2 users.\n"
            assert done.stderr == ""  # this is no terminal
            assert client.get(path).status_code == 403
        shown = json.loads(server.command("user", "show", "ann", "--json").stdout)
    assert shown["roles"] == []


def test_a_terminal_sees_how_far_it_has_come(here: dict[str, str]) -> None:
    """On standard error; the line is gone when it is done."""
    run_command("role", "create", "editor", environment=here)
    made = ("user", "create", "ann", "ann@example.com", "--role", "editor", "--password-stdin")
    run_command(*made, environment=here, typed=PASSWORD)
    printed, written = run_before_terminal(
        "role", "delete", "editor", "--take-from-all", environment=here
    )

    assert printed == "editor is deleted; it was taken from 1 user.\n"
    assert written == "\rTaken from 1 users …\r\x1b[K"
