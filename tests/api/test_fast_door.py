"""The fast door and FastAPI, side by side: whatever is asked, they answer the same."""

import asyncio
from itertools import product

import httpx
import pytest

from gatelodge.app import House, build, create_app
from gatelodge.audit import COMMAND
from gatelodge.settings import Settings
from gatelodge.web.fast_door import FastDoor
from gatelodge.web.shell import Receive, Scope, Send, Shell
from tests.support.clock import FakeClock
from tests.support.people import Person, signed_in

PATHS = (
    *("/api/test/all", "/api/test/user", "/api/test/mod", "/api/test/admin"),
    "/api/auth/verify",
)
QUERIES = ("", "?role=user", "?role=admin", "?role=x&role=moderator", "?role=", "?a=1&a=2", "?x=y")
KEPT_APART = {"x-request-id"}  # and in the body of a refusal


class Twins:
    """One application with its fast door and without."""

    def __init__(self, house: House) -> None:
        """Build both over one house, which is open."""
        app = create_app(house)
        assert isinstance(app, FastDoor)
        self.house = house
        self.handed_on = 0

        async def shell(scope: Scope, receive: Receive, send: Send) -> None:
            self.handed_on += 1
            await app._shell(scope, receive, send)

        self.fast = FastDoor(app._shell, app._gate, app._cookies, app._routes)
        self.fast._shell = Counted(shell, app._shell)  # type: ignore[assignment]
        self.slow = app._shell

    async def ask(
        self, method: str, target: str, headers: list[tuple[str, str]]
    ) -> tuple[httpx.Response, bool]:
        """Ask both, see that they agree, and say whether the fast door answered by itself."""
        self.handed_on = 0
        first = await self._ask(self.fast, method, target, headers)
        by_itself = self.handed_on == 0
        second = await self._ask(self.slow, method, target, headers)
        assert first.status_code == second.status_code
        assert shown(first) == shown(second)
        return first, by_itself

    async def _ask(
        self, app: object, method: str, target: str, headers: list[tuple[str, str]]
    ) -> httpx.Response:
        transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)  # type: ignore[arg-type]
        async with httpx.AsyncClient(
            transport=transport, base_url="http://localhost:8080", headers={"accept": "*/*"}
        ) as client:
            client.headers.pop("user-agent")
            return await client.request(method, target, headers=headers)


class Counted:
    """The shell, counted."""

    def __init__(self, app: object, shell: Shell) -> None:
        """Stand in front of it."""
        self._app = app
        self.answers_for = shell.answers_for
        self.new_request_id = shell.new_request_id

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand on."""
        await self._app(scope, receive, send)  # type: ignore[operator]


def shown(response: httpx.Response) -> tuple[object, ...]:
    """Return all of an answer that must be equal, in its order; ids of requests differ."""
    own = response.headers["x-request-id"]
    assert own.startswith("req_")
    headers = [(name, value) for name, value in response.headers.raw if name != b"x-request-id"]
    return response.status_code, headers, response.content.replace(own.encode(), b"")


@pytest.fixture
def twins(house: House) -> Twins:
    """Return both."""
    return Twins(house)


@pytest.fixture
async def people(client: httpx.AsyncClient, house: House) -> list[Person]:
    """Return a user, a moderator, an admin, one who is disabled and one who has signed out."""
    await signed_in(client, house, "boss", "admin")
    people = [
        await signed_in(client, house, "uma"),
        await signed_in(client, house, "moe", "moderator"),
        await signed_in(client, house, "ada", "admin"),
        await signed_in(client, house, "dis", "admin"),
        await signed_in(client, house, "out", "moderator"),
    ]
    await house.accounts.disable(await house.accounts.get_by_username("dis"), COMMAND)
    await client.post("/api/auth/signout", headers=people[4].headers)
    return people


def carriers(token: str, other: str) -> list[list[tuple[str, str]]]:
    """Return every way, right and wrong, in which requests carry tokens."""
    return [
        [("authorization", f"Bearer {token}")],
        [("authorization", f"bearer {token}")],
        [("authorization", f"BEARER  {token} ")],
        [("x-access-token", token)],
        [("x-access-token", token), ("authorization", f"Bearer {token}")],
        [("x-access-token", token), ("authorization", f"Bearer {other}")],
        [("x-access-token", token), ("x-access-token", token)],
        [("authorization", f"Bearer {token}"), ("authorization", f"Bearer {token}")],
        [("authorization", f"Basic {token}")],
        [("authorization", "Bearer"), ("x-access-token", token)],
        [("authorization", f"Bearer {token} {token}")],
        [("cookie", f"gatelodge-access={token}")],
        [("cookie", f"a=b; gatelodge-access={token}; gatelodge-access={other}")],
        [("cookie", f" gatelodge-access = {token} ;gatelodge-access=; gatelodge-access={token}")],
        [("cookie", f"gatelodge-access={token}; gatelodge-refresh=a; gatelodge-refresh=b")],
        [("cookie", f"gatelodge-access={token}; gatelodge-refresh=a; gatelodge-refresh=a")],
        [("cookie", f'gatelodge-access="{token}"; =; ;;; gatelodge-access')],
        [("cookie", f"gatelodge-access={other}"), ("x-access-token", token)],
        [("x-access-token", ""), ("authorization", "")],
        [],
    ]


async def test_every_kind_of_token_in_every_way(twins: Twins, people: list[Person]) -> None:
    """Path by path, cold and warm."""
    by_itself = 0
    for person, path in product(people, PATHS):
        for headers in carriers(person.token, people[0].token):
            for _ in range(2):
                _, fast = await twins.ask("GET", path, headers)
            by_itself += fast
    assert by_itself > 50, "the fast door did something"


async def test_every_query(twins: Twins, people: list[Person]) -> None:
    """Roles that are asked for, and questions nobody expects."""
    for person, path, query in product(people, PATHS, QUERIES):
        await twins.ask("GET", path + query, list(person.headers.items()))
        await twins.ask("GET", path + query, list(person.headers.items()))


async def test_every_method(twins: Twins, people: list[Person]) -> None:
    """GET alone is usual."""
    methods = ("HEAD", "POST", "PUT", "DELETE", "OPTIONS", "TRACE", "PROPFIND")
    for method, path in product(methods, PATHS):
        _, fast = await twins.ask(method, path, list(people[2].headers.items()))
        assert not fast


UNUSUAL: list[list[tuple[str, str]]] = [
    [("host", "evil.example")],
    [("host", "localhost:8080"), ("host", "localhost")],
    [("origin", "http://localhost:8081")],
    [("content-length", "0")],
    [("transfer-encoding", "chunked")],
    [("x-filler", "a" * 9000)],
    [(f"x-filler-{n}", "a") for n in range(70)],
    [("x-auth-user", "root"), ("x-auth-roles", "admin")],
    [("accept", "text/html"), ("sec-fetch-site", "cross-site")],
    [("if-none-match", "*"), ("range", "bytes=0-1"), ("connection", "close")],
]


async def test_every_unusual_header(twins: Twins, people: list[Person]) -> None:
    """With a token that opens every board but one."""
    for headers, path in product(UNUSUAL, PATHS):
        for _ in range(2):
            await twins.ask("GET", path, headers + list(people[2].headers.items()))


async def test_any_host_will_do_where_the_settings_say_so_but_no_host_does_not(
    settings: Settings, clock: FakeClock
) -> None:
    """An empty one is none: Granian hands that over where a request has none."""
    house = build(settings.model_copy(update={"allowed_hosts": ("*",)}), clock)
    await asyncio.to_thread(house.stores.database.migrate)
    async with house.serve():
        twins = Twins(house)
        for host, status in (("anybody.example", 200), ("", 400)):
            answer, _ = await twins.ask("GET", "/api/test/all", [("host", host)])
            assert answer.status_code == status


async def test_the_usual_request_is_answered_fast(twins: Twins, people: list[Person]) -> None:
    """Once memory knows the caller; the identity goes out, and what came in is not read."""
    ada = people[2]
    spoofed = [*ada.headers.items(), ("x-auth-user", "root"), ("x-auth-roles", "moderator")]
    await twins.ask("GET", "/api/auth/verify", spoofed)
    response, fast = await twins.ask("GET", "/api/auth/verify", spoofed)
    assert fast
    assert response.headers["x-auth-user"] == "ada"
    assert response.headers["x-auth-subject"] == ada.answer["id"]
    assert response.headers["x-auth-roles"] == "user,admin"
    response, fast = await twins.ask("GET", "/api/auth/verify?role=admin", spoofed)
    assert fast
    assert response.status_code == 200
    for path in ("/api/test/all", "/api/test/user", "/api/test/admin"):
        _, fast = await twins.ask("GET", path, list(ada.headers.items()))
        assert fast
