"""The example for Django, served by Django's own server beside a real Gatelodge."""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from tests.support.examples import (
    as_,
    each_sees_their_own_notes,
    plain_environment,
    serving,
    sign_in,
)
from tests.support.run import free_port
from tests.support.server import Server

MANAGE = Path(__file__).parents[2] / "examples" / "django" / "manage.py"
ADMIN = {"username": "root", "password": "correct horse battery"}


@pytest.fixture
def notes(server: Server, tmp_path: Path) -> Iterator[httpx2.Client]:
    """Return a client of the example."""
    port = free_port()
    environment = {
        "ISSUER": f"http://localhost:{server.port}",
        "NOTES": str(tmp_path / "notes.db"),
        "DJANGO_SUPERUSER_PASSWORD": ADMIN["password"],
        "PYTHONUNBUFFERED": "1",
    }
    admin = ["createsuperuser", "--noinput", "--username", ADMIN["username"], "--email", ""]
    for command in (["migrate"], ["makemigrations", "--check"], admin):
        subprocess.run(
            [sys.executable, MANAGE, *command],
            env=plain_environment() | environment,
            check=True,
            capture_output=True,
        )
    run = [sys.executable, str(MANAGE), "runserver", "--noreload", f"127.0.0.1:{port}"]
    with (
        serving(["sh", "-c", 'exec "$@" 1>&2', "sh", *run], environment, says="Quit the server"),
        httpx2.Client(base_url=f"http://127.0.0.1:{port}") as client,
    ):
        yield client


def test_each_sees_their_own_notes_and_only_moderators_delete(
    server: Server, notes: httpx2.Client
) -> None:
    each_sees_their_own_notes(server, notes)


def test_djangos_own_users_still_administer_and_need_their_csrf_token(
    server: Server, notes: httpx2.Client
) -> None:
    form = notes.get("/admin/login/").text
    token = re.search('csrfmiddlewaretoken" value="([^"]+)"', form)
    assert token is not None
    signing_in = ADMIN | {"csrfmiddlewaretoken": token[1]}
    assert notes.post("/admin/login/?next=/admin/", data=signing_in).status_code == 302
    assert "Site administration" in notes.get("/admin/").text
    basic = {"Authorization": "Basic YTpi"}  # a proxy may ask for it
    assert "Site administration" in notes.get("/admin/", headers=basic).text

    assert notes.post("/notes", json={"text": "milk"}).status_code == 403  # no CSRF token
    assert notes.get("/notes").json()["code"] == "token_missing"

    ann = sign_in(server, "ann")
    assert notes.get("/admin/", headers=as_(ann)).status_code == 302  # the token decides
    assert notes.post("/admin/logout/", headers=as_(ann)).status_code == 302
    assert notes.post("/admin/logout/", headers={"Authorization": "Bearer x"}).status_code == 302
