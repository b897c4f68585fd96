"""The commands that disable users, and require new passwords of them."""

import json
from typing import Any

import httpx2
import pytest

from tests.support.people import PASSWORD
from tests.support.server import Server

REFUSED = 3


@pytest.fixture
def server(server: Server) -> Server:
    """Return a server with a user."""
    made = server.command(
        "user", "create", "ann", "ann@example.com", "--password-stdin", typed=PASSWORD
    )
    assert made.returncode == 0
    return server


def shown(server: Server) -> dict[str, Any]:
    """Return what `user show` tells of Ann."""
    found: dict[str, Any] = json.loads(server.command("user", "show", "ann", "--json").stdout)
    return found


def sign_in(server: Server) -> httpx2.Response:
    body = {"username": "ann", "password": PASSWORD}
    return httpx2.post(f"{server.url}/api/auth/signin", json=body, timeout=20)


def test_a_reason_for_disabling_is_kept_until_the_user_is_enabled(server: Server) -> None:
    long = server.command("user", "disable", "ann", "--reason", "x" * 257)
    assert (long.returncode, shown(server)["disabled_at"]) == (REFUSED, None)

    told = server.command("user", "disable", "ann", "--reason", " Sends spam. ")

    assert told.stdout.strip() == "ann is disabled, and every session has ended."
    assert shown(server)["disabled_reason"] == "Sends spam."
    server.command("user", "enable", "ann")
    assert shown(server)["disabled_reason"] is None


def test_a_new_password_is_required_by_a_command(server: Server) -> None:
    done = "ann has to set a new password, and every session has ended."
    for sentence in (done, "ann had to set a new password already."):
        told = server.command("user", "require-new-password", "ann")
        assert (told.returncode, told.stdout.strip()) == (0, sentence)

    assert shown(server)["must"] == ["set_password"]
    assert (sign_in(server).status_code, sign_in(server).json()["code"]) == (
        401,
        "password_must_change",
    )
    server.command("user", "password", "ann", "--stdin", typed="eight wild geese at dawn")
    assert shown(server)["must"] == []
    assert sign_in(server).status_code == 401
