"""The fast door and the route in FastAPI give the same answer to every request."""

from dataclasses import replace
from itertools import product

import httpx2
import pytest

from gatelodge.app import House, build, create_app
from gatelodge.audit import COMMAND
from gatelodge.data_folder import DATABASE
from gatelodge.gate.feed import FeedState, Forget
from gatelodge.settings import Settings
from gatelodge.web.fast_door import FastDoor
from gatelodge.web.shell import Receive, Scope, Send, Shell
from tests.gate.houses import Counted as ReadsCounted
from tests.gate.houses import reading_through
from tests.support.clock import FakeClock
from tests.support.databases import migrated
from tests.support.people import Person, signed_in

PATHS = (
    *("/api/test/all", "/api/test/user", "/api/test/mod", "/api/test/admin"),
    "/api/auth/verify",
)
QUERIES = (
    *("", "?role=user", "?role=admin", "?role=x&role=moderator", "?role=", "?a=1&a=2", "?x=y"),
    *("?permission=boards:moderate", "?permission=a:b&permission=boards%3Aadminister"),
    *("?permission=", "?permission=*", "?permission=account:manage&role=admin", "?permissions=a:b"),
)
KEPT_APART = {"x-request-id"}  # it is also in the body of a refusal


class Twins:
    """One application, once with its fast door and once without."""

    def __init__(self, house: House) -> None:
        """Build both over one open house."""
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
    ) -> tuple[httpx2.Response, bool]:
        """Ask both, and check that they agree.

        Returns:
            The answer, and whether the fast door gave it without the route behind it.
        """
        self.handed_on = 0
        first = await self._ask(self.fast, method, target, headers)
        by_itself = self.handed_on == 0
        second = await self._ask(self.slow, method, target, headers)
        assert first.status_code == second.status_code
        assert shown(first) == shown(second)
        return first, by_itself

    async def _ask(
        self, app: object, method: str, target: str, headers: list[tuple[str, str]]
    ) -> httpx2.Response:
        transport = httpx2.ASGITransport(app=app, raise_app_exceptions=False)  # type: ignore[arg-type]
        async with httpx2.AsyncClient(
            transport=transport, base_url="http://localhost:8080", headers={"accept": "*/*"}
        ) as client:
            client.headers.pop("user-agent")
            return await client.request(method, target, headers=headers)


class Counted:
    """Looks like the shell, but its requests go to another application, which counts them."""

    def __init__(self, app: object, shell: Shell) -> None:
        """Take the place of the shell."""
        self._app = app
        self.answers_for = shell.answers_for
        self.new_request_id = shell.new_request_id

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on."""
        await self._app(scope, receive, send)  # type: ignore[operator]


def shown(response: httpx2.Response) -> tuple[object, ...]:
    """Return the parts of an answer that must be equal, in order: all but the request's id."""
    own = response.headers["x-request-id"]
    assert own.startswith("req_")
    headers = [(name, value) for name, value in response.headers.raw if name != b"x-request-id"]
    return response.status_code, headers, response.content.replace(own.encode(), b"")


@pytest.fixture
def twins(house: House) -> Twins:
    """Return the two applications."""
    return Twins(house)


@pytest.fixture
async def people(client: httpx2.AsyncClient, house: House) -> list[Person]:
    """Return a user, a moderator, an admin, a disabled user, and a user who has signed out."""
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
    """Return the headers of every way to carry a token, right or wrong."""
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
    """Each is asked twice at every path: the second time, memory may know the caller."""
    by_itself = 0
    for person, path in product(people, PATHS):
        for headers in carriers(person.token, people[0].token):
            for _ in range(2):
                _, fast = await twins.ask("GET", path, headers)
            by_itself += fast
    assert by_itself > 50, "the fast door answered too few requests by itself"


async def test_every_query(twins: Twins, people: list[Person]) -> None:
    """Queries that ask for roles, and queries that no route knows."""
    for person, path, query in product(people, PATHS, QUERIES):
        await twins.ask("GET", path + query, list(person.headers.items()))
        await twins.ask("GET", path + query, list(person.headers.items()))


async def test_every_method(twins: Twins, people: list[Person]) -> None:
    """The fast door answers only GET."""
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
    """The token belongs to an admin, who may see every board except the moderators'."""
    for headers, path in product(UNUSUAL, PATHS):
        for _ in range(2):
            await twins.ask("GET", path, headers + list(people[2].headers.items()))


async def test_any_host_is_accepted_if_the_settings_say_so_but_not_a_missing_host(
    settings: Settings, clock: FakeClock
) -> None:
    """An empty `Host` counts as missing: Granian passes it on when a request has none."""
    house = build(settings.model_copy(update={"allowed_hosts": ("*",)}), clock)
    migrated(settings.data_dir / DATABASE)
    async with house.serve():
        twins = Twins(house)
        for host, status in (("anybody.example", 200), ("", 400)):
            answer, _ = await twins.ask("GET", "/api/test/all", [("host", host)])
            assert answer.status_code == status


async def test_the_usual_request_is_answered_fast(twins: Twins, people: list[Person]) -> None:
    """It is fast once memory knows the caller.

    The identity headers of the answer do not depend on those of the request.
    """
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


async def test_a_token_that_memory_does_not_know_needs_no_route(
    twins: Twins, people: list[Person]
) -> None:
    """Its signature is checked in front of the framework, and its session is read there."""
    new = iter([await signed_in(people[0].client, twins.house, f"new{n}") for n in range(3)])
    for name, value in (
        ("authorization", "Bearer {}"),
        ("x-access-token", "{}"),
        ("cookie", "gatelodge-access={}"),
    ):
        token = next(new).token
        response, fast = await twins.ask("GET", "/api/test/user", [(name, value.format(token))])
        assert (response.status_code, fast) == (200, True)


class NeverTrusted:
    """A change feed that hears nothing, as on a standalone `mongod`: each check reads."""

    async def follow(self, forget: Forget) -> None:
        """Do nothing."""

    async def leave(self) -> None:
        """Do nothing."""

    def catch_up(self) -> bool:
        """Say that memory may not be trusted."""
        return False

    def state(self) -> FeedState:
        """Return the state of the feed."""
        return FeedState("none", trusted=False)


@pytest.mark.parametrize("carrier", ["authorization", "cookie"])
@pytest.mark.parametrize(
    ("who", "path", "status"), [(0, "user", 200), (0, "admin", 403), (4, "user", 401)]
)
async def test_the_fast_door_and_the_route_ask_once_between_them(
    house: House, people: list[Person], who: int, path: str, status: int, carrier: str
) -> None:
    """Where memory may not be trusted, that is one read, whether the answer is yes or no."""
    sessions = ReadsCounted(house.stores.sessions)
    counted = reading_through(house, sessions)
    gate = replace(counted.gate, feed=NeverTrusted())
    app = create_app(counted.replaced(gate=gate, admission=replace(counted.admission, gate=gate)))
    token = people[who].token
    value = f"Bearer {token}" if carrier == "authorization" else f"gatelodge-access={token}"
    transport = httpx2.ASGITransport(app=app, raise_app_exceptions=False)
    async with httpx2.AsyncClient(transport=transport, base_url="http://localhost:8080") as client:
        response = await client.get(f"/api/test/{path}", headers={carrier: value})
    assert (response.status_code, sessions.reads) == (status, 1)
