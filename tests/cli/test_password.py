"""The command `user password`."""

import json
import os
import pty
import subprocess
from pathlib import Path

import httpx2
import pytest

from tests.support.people import PASSWORD
from tests.support.server import GATELODGE, Server, environment, run_command

NEW = "eight wild geese at dawn"
REFUSED = 3
NOT_CONFIGURED = 4


@pytest.fixture
def here(tmp_path: Path) -> dict[str, str]:
    """Return the environment of an installation with a user."""
    environment_here = environment(tmp_path, {"data_dir": str(tmp_path / "data")})
    made = ("user", "create", "ann", "ann@example.com", "--password-stdin")
    assert run_command(*made, environment=environment_here, typed=PASSWORD).returncode == 0
    return environment_here


def test_a_new_password_counts_from_the_next_request_and_ends_every_session(
    tmp_path: Path,
) -> None:
    with Server(tmp_path) as server, httpx2.Client(base_url=server.url) as client:
        ann = {"username": "ann", "password": PASSWORD, "email": "ann@example.com"}
        assert client.post("/api/auth/signup", json=ann).status_code == 200
        signed_in = client.post("/api/auth/signin", json=_who(PASSWORD))
        headers = {"Authorization": f"Bearer {signed_in.json()['accessToken']}"}
        assert client.get("/api/test/user", headers=headers).status_code == 200

        changed = run_command(
            "user", "password", "ANN", "--stdin", environment=server.environment, typed=NEW
        )

        assert changed.stdout == "ann has a new password, and every session has ended.\n"
        assert client.get("/api/test/user", headers=headers).status_code == 401
        assert client.post("/api/auth/signin", json=_who(PASSWORD)).status_code == 401
        assert client.post("/api/auth/signin", json=_who(NEW)).status_code == 200


def _who(password: str) -> dict[str, str]:
    return {"username": "ann", "password": password}


def test_a_made_password_is_printed_once_and_works(here: dict[str, str]) -> None:
    done = run_command("user", "password", "ann", "--generate", "--json", environment=here)

    made = json.loads(done.stdout)["password"]
    assert (len(made), done.stderr) == (20, "")
    again = run_command("user", "password", "ann", "--generate", environment=here)
    assert again.stdout.splitlines()[1].startswith("The password is: ")
    assert made not in again.stdout


def test_in_a_terminal_it_asks_twice(here: dict[str, str]) -> None:
    outer, inner = pty.openpty()
    with subprocess.Popen(
        [GATELODGE, "user", "password", "ann"],
        env=here,
        stdin=inner,
        stdout=subprocess.PIPE,
        stderr=inner,
        start_new_session=True,
        text=True,
    ) as process:
        os.close(inner)
        for question in ("Password: ", "Again: "):
            _wait_for(outer, question)  # what is typed before is thrown away
            os.write(outer, f"{NEW}\n".encode())
        said = process.communicate(timeout=30)[0]
    os.close(outer)
    assert (process.returncode, said) == (
        0,
        "ann has a new password, and every session has ended.\n",
    )


def _wait_for(terminal: int, question: str) -> None:
    shown = ""
    while question not in shown:
        shown += os.read(terminal, 1024).decode()


@pytest.mark.parametrize(
    ("arguments", "typed", "code", "sentence"),
    [
        (("nobody", "--stdin"), NEW, REFUSED, "There is no such user."),
        (("ann", "--stdin"), "short", REFUSED, "Use at least 8 characters."),
        (("ann", "--stdin"), "ann@example.com", REFUSED, "easy to guess"),
        (("ann", "--stdin"), "", REFUSED, "Use at least 8 characters."),
        (("ann", "--stdin", "--generate"), NEW, NOT_CONFIGURED, "not both"),
        (("ann",), NEW, NOT_CONFIGURED, "use --stdin or --generate"),
    ],
    ids=["nobody", "short", "a name", "empty", "both", "no terminal"],
)
def test_what_is_refused_changes_nothing(
    here: dict[str, str], arguments: tuple[str, ...], typed: str, code: int, sentence: str
) -> None:
    done = run_command("user", "password", *arguments, environment=here, typed=typed)

    assert (done.returncode, done.stdout) == (code, "")
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr
