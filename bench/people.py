"""The people of a run. All have the same password, and each name contains a number."""

from typing import Any

from bench.load import Load, get, get_with, post, post_with, run
from bench.server import Server

PASSWORD = "correct horse battery"


def name_of(number: int) -> str:
    """Return the username of the person with this number."""
    return f"bench-{number}"


def sign_up(number: int) -> str:
    """Return the request with which this person signs up."""
    name = name_of(number)
    body = {"username": name, "email": f"{name}@example.com", "password": PASSWORD}
    return post("/api/auth/signup", body)


def sign_in(number: int) -> str:
    """Return the request with which this person signs in."""
    return post("/api/auth/signin", _credentials(number))


def sign_out(token: str) -> str:
    """Return the request that signs out."""
    return post_with("/api/auth/signout", f"Authorization: Bearer {token}")


def refresh(token: str) -> str:
    """Return the request that trades a refresh token."""
    return post("/api/auth/refresh", {"refreshToken": token})


def board(token: str) -> str:
    """Return the request for the user board: little more than a token check."""
    return get("/api/test/user", token)


def board_by_cookie(token: str, port: int) -> str:
    """Return the same request with the token in a cookie, as a browser sends it to this port."""
    return get_with("/api/test/user", f"Cookie: gatelodge-access-{port}={token}")


def verify(token: str) -> str:
    """Return the request with which a reverse proxy asks who the caller is."""
    return get("/api/auth/verify", token)


def let_in(server: Server, people: int) -> list[str]:
    """Sign up the first `people` people, sign them in, and return their access tokens."""
    run(Load(server.port, [sign_up(number) for number in range(people)], 2, people))
    return [open_session(server, number)["accessToken"] for number in range(people)]


def open_session(server: Server, number: int) -> dict[str, Any]:
    """Sign in a person who has signed up, and return the answer."""
    return server.post("/api/auth/signin", _credentials(number))


def _credentials(number: int) -> dict[str, str]:
    return {"username": name_of(number), "password": PASSWORD}
