"""Many people sign up with one name, or one address, in the same instant: one of them gets it."""

import asyncio
import itertools
import json
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

import httpx2
import pytest

from tests.support.crowd import Crowd, sign_up
from tests.support.people import PASSWORD
from tests.support.server import Server

CROWD = 50


@pytest.fixture(params=["sqlite", "mongodb"])
def database(request: pytest.FixtureRequest) -> dict[str, str]:
    """Return the settings that choose an empty database."""
    if request.param == "sqlite":
        return {}
    return {"database": request.getfixturevalue("mongodb_address")}


@pytest.fixture
def server(tmp_path: Path, database: dict[str, str]) -> Iterator[Server]:
    """Yield the real server with two workers, which share only the database."""
    with Server(tmp_path, workers=2, **database) as running:
        yield running


async def test_of_many_who_want_one_name_exactly_one_gets_it(server: Server) -> None:
    """Upper and lower case do not matter. Their addresses differ."""
    spellings = ways_to_write("annabel", CROWD)
    wanted = [(name, f"person{number}@example.com") for number, name in enumerate(spellings)]

    winner = await one_winner(server, wanted, refused_as="username_taken")

    assert winner in wanted
    assert await can_sign_in(server, "annabel")


async def test_of_many_who_want_one_address_exactly_one_gets_it(server: Server) -> None:
    """Upper and lower case do not matter. Their names differ."""
    spellings = ways_to_write("annabel", CROWD)
    wanted = [(f"person{n}", f"{name}@example.com") for n, name in enumerate(spellings)]

    winner = await one_winner(server, wanted, refused_as="email_taken")

    assert winner in wanted
    assert await can_sign_in(server, winner[0])


async def test_of_many_who_send_the_same_twice_exactly_one_is_told_yes(server: Server) -> None:
    """One form is sent many times. If both are taken, the refusal names the username."""
    wanted = [("annabel", "annabel@example.com")] * CROWD

    winner = await one_winner(server, wanted, refused_as="username_taken")

    assert winner == wanted[0]


async def one_winner(
    server: Server, wanted: list[tuple[str, str]], *, refused_as: str
) -> tuple[str, str]:
    """Sign everybody up at once; return the one who is registered, and check the others."""
    async with Crowd(server) as client:
        await warm_up(client)
        responses = await asyncio.gather(*(sign_up(client, *person) for person in wanted))
    outcomes = [(r.status_code, r.json().get("code")) for r in responses]
    assert Counter(outcomes) == {(200, None): 1, (400, refused_as): CROWD - 1}
    (kept,) = json.loads(server.command("user", "list", "--json").stdout)
    winner = wanted[outcomes.index((200, None))]
    assert (kept["username"], kept["email"].lower()) == (winner[0], winner[1].lower())
    return winner


async def warm_up(client: httpx2.AsyncClient) -> None:
    """Open all connections, so that all requests are sent in one instant."""
    await asyncio.gather(*(client.get("/healthz") for _ in range(CROWD)))


async def can_sign_in(server: Server, name: str) -> bool:
    """Say whether this user can sign in."""
    async with httpx2.AsyncClient(base_url=server.url) as client:
        response = await client.post(
            "/api/auth/signin", json={"username": name, "password": PASSWORD}
        )
    return response.status_code == 200


def ways_to_write(word: str, number: int) -> list[str]:
    """Return the word in `number` mixtures of lower and upper case."""
    mixtures: Iterable[tuple[str, ...]] = itertools.product(*((c, c.upper()) for c in word))
    return ["".join(letters) for letters in itertools.islice(mixtures, number)]
