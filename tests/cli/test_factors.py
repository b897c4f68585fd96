"""The commands for the second factors of users: what operators see, and how they help."""

import base64
import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx2
import pytest

from gatelodge.clock import SystemClock
from gatelodge.credentials.totp import code_of, step_at
from tests.support.people import PASSWORD
from tests.support.server import Server

FACTORS = "/api/auth/factors"
NO_SUCH_USER = 3


@pytest.fixture
def server(server: Server) -> Server:
    """Return a server with two users: ann is to have a second factor, ben has none."""
    for name in ("ann", "ben"):
        made = ("user", "create", name, f"{name}@example.com", "--password-stdin")
        assert server.command(*made, typed=PASSWORD).returncode == 0
    return server


def post(server: Server, path: str, token: str = "", **body: str) -> httpx2.Response:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    return httpx2.post(f"{server.url}{path}", json=body, headers=headers, timeout=20)


def sign_in(server: Server) -> httpx2.Response:
    return post(server, "/api/auth/signin", username="ann", password=PASSWORD)


def add_app(server: Server) -> tuple[str, list[str]]:
    """Let ann add an app; return her token and recovery codes."""
    token = sign_in(server).json()["accessToken"]
    begun = post(server, f"{FACTORS}/totp", token).json()
    secret = base64.b32decode(begun["secret"])
    body = {
        "enrolment": begun["enrolment"],
        "code": code_of(secret, step_at(SystemClock().now())),
        "name": "Phone",
    }
    added = post(server, f"{FACTORS}/totp/confirm", token, **body)
    assert added.status_code == 200, added.text
    return added.json()["accessToken"], added.json()["recoveryCodes"]


def said(server: Server, *arguments: str) -> Any:
    """Return what a command says to a program."""
    done = server.command("user", *arguments, "--json")
    assert (done.returncode, done.stderr) == (0, "")
    return json.loads(done.stdout)


def told(server: Server, *arguments: str) -> str:
    """Return what a command says to people."""
    done = server.command("user", *arguments)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.strip()


def test_an_operator_sees_the_factors_and_no_secret(server: Server) -> None:
    _, codes = add_app(server)
    challenge = sign_in(server).json()["challenge"]
    used = post(server, "/api/auth/signin/recovery", challenge=challenge, code=codes[0])
    assert used.status_code == 200

    shown = said(server, "factors", "Ann")

    assert [(each["kind"], each["name"], each["left"]) for each in shown] == [
        ("totp", "Phone", None),
        ("recovery_codes", "", 9),
    ]
    assert all(each["created_at"] and each["last_used_at"] for each in shown)
    assert set(shown[0]) == {
        *("id", "kind", "name", "created_at", "last_used_at", "expires_at", "left"),
    }
    table = told(server, "factors", "ann")
    assert table.split()[:2] == ["Kind", "Name"]
    assert "totp" in table
    assert codes[0] not in table
    assert said(server, "show", "ann")["second_factors"] == ["totp"]
    assert "second_factors    totp" in told(server, "show", "ann")


def test_who_has_none_is_told(server: Server) -> None:
    assert said(server, "factors", "ben") == []
    assert told(server, "factors", "BEN") == "ben has no second factor."
    assert said(server, "show", "ben")["second_factors"] == []
    assert told(server, "reset-factors", "ben") == "ben had no second factor."
    assert said(server, "reset-factors", "ben")["changed"] is False
    for command in ("factors", "reset-factors"):
        assert server.command("user", command, "nobody").returncode == NO_SUCH_USER


def test_whoever_has_lost_all_factors_gets_in_by_the_password_again(server: Server) -> None:
    token, codes = add_app(server)
    for _ in range(6):  # the wrong codes are forgiven as well
        challenge = sign_in(server).json()["challenge"]
        post(server, "/api/auth/signin/recovery", challenge=challenge, code="K7PQ")
    challenge = sign_in(server).json()["challenge"]

    sentence = told(server, "reset-factors", "ann")

    assert sentence == "ann has no second factor any more, and every session has ended."
    me = httpx2.get(
        f"{server.url}/api/auth/me", headers={"Authorization": f"Bearer {token}"}, timeout=20
    )
    assert me.status_code == 401
    late = post(server, "/api/auth/signin/recovery", challenge=challenge, code=codes[1])
    assert (late.status_code, late.json()["code"]) == (401, "challenge_over")
    assert sign_in(server).status_code == 200
    assert said(server, "factors", "ann") == []
    _, codes = add_app(server)
    challenge = sign_in(server).json()["challenge"]
    right = post(server, "/api/auth/signin/recovery", challenge=challenge, code=codes[0])
    assert right.status_code == 200
    file = Path(server.environment["GATELODGE_DATA_DIR"]) / "gatelodge.db"
    with closing(sqlite3.connect(file)) as opened:
        asked = "SELECT actor, detail FROM events WHERE name = 'factors.reset'"
        [(actor, detail)] = opened.execute(asked).fetchall()
    assert (actor, json.loads(detail)) == ("command", {"kinds": "totp recovery_codes"})


def test_unlocking_a_user_forgives_the_wrong_codes(server: Server) -> None:
    _, codes = add_app(server)
    for _ in range(5):
        challenge = sign_in(server).json()["challenge"]
        wrong = post(server, "/api/auth/signin/recovery", challenge=challenge, code="K7PQ")
        assert wrong.status_code == 400
    blocked = post(server, "/api/auth/signin/recovery", challenge=challenge, code=codes[0])
    assert blocked.status_code == 429

    assert said(server, "unlock", "ann")["changed"] is True

    right = post(server, "/api/auth/signin/recovery", challenge=challenge, code=codes[0])
    assert right.status_code == 200
    assert said(server, "unlock", "ben")["changed"] is False
