"""No secret reaches the log, and a program can read every line (security.md, section 11)."""

import json
import re
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from email import message_from_bytes
from email.policy import default
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, urlsplit

import httpx2
import pytest

from gatelodge.logs import LIBRARY_WARNED
from tests.support.mails import code_in
from tests.support.server import Server

PASSWORD = "canary-Password-7f3a"
MISTYPED = "canary-Mistyped-51bd"
OTHER = "canary-Other-e8c2"
BAD_TOKEN = "canary.bad.token-0d9e"
IN_QUERY = "canary-query-44aa"
IN_COOKIE = "canary-cookie-9b1f"
IN_BODY = "canary-body-c07d"
TYPED = (PASSWORD, MISTYPED, OTHER, BAD_TOKEN, IN_QUERY, IN_COOKIE, IN_BODY)

USER_AGENT = b"Agent \xe2\x80\xa8\xe2\x80\xae\xc2\x85 " + b"u" * 1000


@dataclass
class Visit:
    """Requests of every kind to one server, right and wrong."""

    server: Server
    secrets: set[str] = field(default_factory=lambda: set(TYPED))
    request_ids: list[str] = field(default_factory=list)

    def make(self) -> None:
        """Send all requests."""
        with httpx2.Client(base_url=self.server.url) as self.client:
            self.sign_up_and_in()
            self.use_tokens()
            self.use_letters()
            self.go_wrong()
            self.break_off()

    def sign_up_and_in(self) -> None:
        """Sign up, try to sign in with wrong names and passwords, and sign in."""
        ann = {"username": "ann", "email": "ann@example.com", "password": PASSWORD}
        assert self.post("signup", ann).status_code == 200
        assert self.post("signup", ann).status_code == 400
        assert self.post("signup", ann | {"password": "short"}).status_code == 400
        for username, password in (("ann", OTHER), (MISTYPED, PASSWORD), (PASSWORD, "")):
            attempt = {"username": username, "password": password}
            assert self.post("signin", attempt).status_code == 401
        eve = {"username": "eve", "email": "eve@example.com", "password": PASSWORD}
        answer = self.post("signup", eve | {"delivery": "bearer"}).json()
        self.secrets |= {answer["accessToken"], answer["refreshToken"]}
        self.rename_and_delete(answer["accessToken"])
        answer = self.post("signin", {"username": "ann", "password": PASSWORD}).json()
        self.tokens = (answer["accessToken"], answer["refreshToken"])
        self.secrets |= set(self.tokens)

    def rename_and_delete(self, token: str) -> None:
        """Change the username, and delete the account, with a wrong password and the right one."""
        headers = {"Authorization": f"Bearer {token}"}
        for method, asked in (("PATCH", {"username": "evelyn"}), ("DELETE", {})):
            for password, status in ((OTHER, 400), (PASSWORD, 200)):
                body = asked | {"password": password}
                answer = self.client.request(method, "/api/auth/me", json=body, headers=headers)
                assert self.noted(answer).status_code == status

    def use_tokens(self) -> None:
        """Send good and bad tokens in every place where a caller might put one."""
        access, refresh = self.tokens
        for token, status in ((access, 200), (refresh, 401), (BAD_TOKEN, 401), (access[:-2], 401)):
            for headers in ({"Authorization": f"Bearer {token}"}, {"x-access-token": token}):
                assert self.get("/api/test/user", headers).status_code == status
        assert self.get(f"/api/test/user?access_token={access}&token={IN_QUERY}").status_code == 403
        assert self.get(f"/nowhere/{IN_QUERY}?{IN_QUERY}").status_code == 404
        cookie = f"gatelodge-access={IN_COOKIE}; gatelodge-refresh={IN_COOKIE}"
        assert self.get("/api/test/user", {"Cookie": cookie}).status_code in {401, 403}
        assert self.post("refresh", {"refreshToken": BAD_TOKEN}).status_code == 401
        answer = self.post("refresh", {"refreshToken": refresh}).json()
        self.secrets |= {answer["accessToken"], answer["refreshToken"]}

    def use_letters(self) -> None:
        """Ask for a letter, open its link, and set a password with its code."""
        asked = self.post("password/forgot", {"email": "ann@example.com"}).json()["request"]
        link, code = self.link_and_code()
        token = link.query.partition("=")[2]
        self.secrets |= {asked, code, code.replace("-", ""), token}
        assert self.get(f"{link.path}?{link.query}").status_code == 303
        body = {"request": asked, "password": OTHER}
        assert self.post("password/reset", body | {"code": MISTYPED}).status_code == 400
        assert self.post("password/reset", {"token": token + "x", "password": OTHER}).is_error
        assert self.post("password/reset", body | {"code": code}).status_code == 200
        attempt = {"username": "ann", "password": OTHER}
        answer = self.post("signin", attempt).json()
        self.secrets |= {answer["accessToken"], answer["refreshToken"]}
        changed = {"currentPassword": OTHER, "newPassword": PASSWORD}
        headers = {"Authorization": f"Bearer {answer['accessToken']}"}
        changing = self.client.post("/api/auth/password", json=changed, headers=headers)
        assert self.noted(changing).status_code == 200

    def link_and_code(self) -> tuple[SplitResult, str]:
        """Return what is in the letter for a new password, as soon as it is in the outbox."""
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            for file in self.server.folder.rglob("*.eml"):
                letter = message_from_bytes(file.read_bytes(), policy=default)
                body = letter.get_body(("plain",))
                text = "" if body is None else body.get_content()
                if "/reset-password" in text:
                    link = re.search(r"http\S+", text)
                    assert link is not None
                    return urlsplit(link[0]), code_in(text)
            time.sleep(0.05)
        pytest.fail("no letter came")

    def go_wrong(self) -> None:
        """Send bodies that no door accepts."""
        for body in (
            {"username": "ann", "password": [IN_BODY]},
            {"username": IN_BODY},
            {"password": IN_BODY, IN_BODY: IN_BODY},
            [IN_BODY],
        ):
            assert self.post("signin", body).status_code == 400
        for content in (f'{{"password": "{IN_BODY}"', f"password={IN_BODY}", IN_BODY * 2000):
            response = self.client.post("/api/auth/signin", content=content)
            assert response.status_code in {400, 413, 415}
        agent = {b"User-Agent": USER_AGENT, b"Content-Type": b"application/json"}
        attempt = json.dumps({"username": "ann", "password": OTHER})
        assert (
            self.client.post("/api/auth/signin", content=attempt, headers=agent).status_code == 401
        )

    def break_off(self) -> None:
        """Close the connection inside a body, and send malformed chunks."""
        head = b"POST /api/auth/signin HTTP/1.1\r\nHost: localhost\r\n"
        head += b"Content-Type: application/json\r\n"
        body = f'{{"password": "{IN_BODY}"'.encode()
        for framing in (b"Content-Length: 999\r\n\r\n", b"Transfer-Encoding: chunked\r\n\r\n"):
            with socket.create_connection(("127.0.0.1", self.server.port)) as connection:
                connection.sendall(head + framing + body)
                connection.shutdown(socket.SHUT_WR)
                connection.settimeout(5)
                connection.recv(65536)

    def post(self, door: str, body: object) -> httpx2.Response:
        """Send JSON to a route under `/api/auth`."""
        return self.noted(self.client.post(f"/api/auth/{door}", json=body))

    def get(self, url: str, headers: dict[str, str] | None = None) -> httpx2.Response:
        """Send a GET request."""
        return self.noted(self.client.get(url, headers=headers))

    def noted(self, response: httpx2.Response) -> httpx2.Response:
        """Remember the request's id, and return the answer."""
        self.request_ids.append(response.headers["x-request-id"])
        return response


@pytest.fixture
def visit(tmp_path: Path) -> Visit:
    """Return all requests, after the server has stopped. Its log level was `debug`."""
    with Server(tmp_path, log_level="debug", username_change="on") as server:
        visit = Visit(server)
        visit.make()
    return visit


def test_no_secret_is_written_anywhere(visit: Visit) -> None:
    """No secret is in the log or in the data folder; of a password only its hash is kept."""
    files = [path for path in visit.server.folder.rglob("*") if path.is_file()]
    files = [path for path in files if path.suffix != ".eml"]  # these are the letters themselves
    assert {"server.log", "gatelodge.db"} <= {path.name for path in files}
    for path in files:
        content = path.read_bytes()
        for secret in visit.secrets:
            assert secret.encode() not in content, (path.name, secret)
            assert secret.rpartition(".")[2].encode() not in content, (path.name, secret)


def test_every_line_of_the_log_is_one_object_that_says_what_and_when(visit: Visit) -> None:
    """The lines after the start-up message are JSON.

    Text from a user cannot make a line of its own, and cannot make a line unreadable.
    """
    log = visit.server.log.read_text().partition(" --admin\n")[2]
    lines = log.splitlines()
    assert len(lines) >= 6
    for line in lines:
        assert line.isascii()
        entry = json.loads(line)
        assert re.fullmatch(r"[a-z_]+\.[a-z_]+", entry["event"]), line
        assert datetime.fromisoformat(entry["timestamp"]).utcoffset() is not None
        told = entry.get("request_id", "")
        assert told.startswith("req_") or entry.get("actor", "server") == "server", line
        assert is_of_library(entry) or entry["outcome"] in {"success", "refused", "failure"}, line
        assert len(entry.get("user_agent", "")) <= 256
        assert "Traceback" not in line, line


def test_the_log_tells_what_happened_to_whom(visit: Visit) -> None:
    """Each sign-up and each sign-in has one line, with the request's id of its answer."""
    entries = list(events(visit.server.log))
    named: Callable[[str], list[Any]] = lambda name: [  # noqa: E731
        entry for entry in entries if entry["event"] == name
    ]
    (signed_up, _), (_, opened, _) = named("user.signed_up"), named("session.opened")
    assert signed_up["target"] == opened["actor"]
    assert signed_up["target"].startswith("usr_")
    failed = named("sign_in.failed")
    assert [entry["target"] for entry in failed] == [
        signed_up["target"],
        None,
        None,
        signed_up["target"],
    ]
    assert all(re.fullmatch(r"[0-9a-f]{16}", entry["name_hash"]) for entry in failed)
    answered = {signed_up["request_id"], opened["request_id"], failed[0]["request_id"]}
    assert answered <= set(visit.request_ids)


def is_of_library(entry: dict[str, Any]) -> bool:
    """Say whether a line is one of a library.

    On a busy machine, the HTTP server may say of a worker that has ended that it does not.
    """
    return entry["event"] == LIBRARY_WARNED and {"logger", "message"} <= entry.keys()


def events(log: Path) -> Any:
    """Yield the log's JSON objects."""
    for line in log.read_text().splitlines():
        if line.startswith("{"):
            yield json.loads(line)
