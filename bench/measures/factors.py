"""What a sign-in with a second factor costs, and one by a passkey alone.

The cost is the CPU time of all processes of the server for all requests of a sign-in, divided by
the number of sign-ins.
"""

import asyncio
import http.client
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bench.measures.cpu import rows_with_hash
from bench.people import PASSWORD, name_of
from bench.process import LOAD_CORE, SERVER_CORE, Cpu, this_thread_on
from bench.report import Row
from bench.seed import seed
from bench.server import Gatelodge, Server
from bench.sizes import Sizes
from gatelodge.accounts.store import User
from gatelodge.app import House, build
from gatelodge.clock import SystemClock
from gatelodge.credentials.factors import FACTOR_PREFIX, Factor, FactorId, adding
from gatelodge.credentials.totp import code_of, new_secret, step_at
from gatelodge.ids import new_id
from gatelodge.settings import Settings
from gatelodge.testing import SoftwareAuthenticator

_SIGN_IN = "/api/auth/signin"
_WAYS = ("plain sign-in", "sign-in by password and app", "sign-in by passkey")


def measure(sizes: Sizes, folder: Path) -> list[Row]:
    """Return the cost of a sign-in by a password, by that and a code of an app, and by a passkey.

    Nobody signs in twice. The first round is a warm-up.
    """
    each = sizes.sign_ups
    seed(Settings(data_dir=folder / "data", database=""), len(_WAYS) * each * (sizes.rounds + 1), 0)
    with Gatelodge(folder) as server, this_thread_on(LOAD_CORE):
        bench = _Bench(server, _Client(server.port), each)
        asyncio.run(bench.enrol(folder, sizes.rounds + 1))
        server.pin({SERVER_CORE})
        rounds = [bench.round(number) for number in range(sizes.rounds + 1)][1:]
    return [row for way in _WAYS for row in rows_with_hash(way, [costs[way] for costs in rounds])]


@dataclass(frozen=True, slots=True)
class _Person:
    """Somebody who signs in once: by the code of an app, if they have one."""

    name: str
    secret: bytes = b""


class _Client:
    """A client with one connection, which computes codes and signatures itself."""

    def __init__(self, port: int) -> None:
        """Be a browser at the address of the server."""
        self.authenticator = SoftwareAuthenticator(f"http://localhost:{port}")
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)

    def by_password(self, person: _Person) -> None:
        self._post(_SIGN_IN, self._credentials(person))

    def by_app(self, person: _Person) -> None:
        asked = self._post(_SIGN_IN, self._credentials(person), expect=401)
        code = code_of(person.secret, step_at(SystemClock().now()))
        self._post(f"{_SIGN_IN}/totp", {"challenge": asked["challenge"], "code": code})

    def by_passkey(self, person: _Person) -> None:
        asked = self._post(f"{_SIGN_IN}/passkey/options", {})
        signed = self.authenticator.get(asked["publicKey"], username=person.name)
        body = {"challenge": asked["challenge"], "credential": signed}
        self._post(f"{_SIGN_IN}/passkey", body)

    def _credentials(self, person: _Person) -> dict[str, str]:
        return {"username": person.name, "password": PASSWORD}

    def _post(self, path: str, body: dict[str, Any], *, expect: int = 200) -> dict[str, Any]:
        content = json.dumps(body)
        self._connection.request("POST", path, content, {"Content-Type": "application/json"})
        response = self._connection.getresponse()
        answer: dict[str, Any] = json.loads(response.read())
        if response.status != expect:
            raise RuntimeError(f"POST {path}: {response.status} {answer}")
        return answer


class _Bench:
    """The people, and the server at which they sign in."""

    def __init__(self, server: Server, client: _Client, each: int) -> None:
        """Let `each` people sign in in each way, in each round."""
        self._server = server
        self._client = client
        self._each = each
        self._people: dict[tuple[int, str], list[_Person]] = {}

    async def enrol(self, folder: Path, rounds: int) -> None:
        """Give the people of all rounds their factors, beside the server as a command does."""
        house = build(Settings(data_dir=folder / "data", database="", port=self._server.port))
        async with house.open():
            numbers = iter(range(len(_WAYS) * self._each * rounds))
            for number in range(rounds):
                for way in _WAYS:
                    self._people[number, way] = [
                        await self._person(house, way, name_of(next(numbers)))
                        for _ in range(self._each)
                    ]

    async def _person(self, house: House, way: str, name: str) -> _Person:
        user = await house.accounts.get_by_username(name)
        if way == _WAYS[1]:
            return await _with_app(house, user)
        if way == _WAYS[2]:
            await self._with_passkey(house, user)
        return _Person(name)

    async def _with_passkey(self, house: House, user: User) -> None:
        asked = await house.ceremonies.ask_enrol(user.id, user.username, "", user.factors)
        made = self._client.authenticator.create(asked.options)
        passkey = await house.ceremonies.read_new(asked.text, made, user.id, "")
        await house.stores.factors.change(user.id, adding(passkey, limit=1))

    def round(self, number: int) -> dict[str, Cpu]:
        """Let people sign in in each way, and return the CPU time of one sign-in."""
        client = self._client
        ways = dict(zip(_WAYS, (client.by_password, client.by_app, client.by_passkey), strict=True))
        turns = list(ways.items())[:: 1 if number % 2 else -1]
        return {way: self._cpu_each(sign_in, self._people[number, way]) for way, sign_in in turns}

    def _cpu_each(self, sign_in: Callable[[_Person], None], people: list[_Person]) -> Cpu:
        before = self._server.cpu()
        for person in people:
            sign_in(person)
        return (self._server.cpu() - before) / len(people)


async def _with_app(house: House, user: User) -> _Person:
    secret, now = new_secret(), house.clock.now()
    app = Factor(FactorId(new_id(FACTOR_PREFIX, now)), "totp", "Phone", now)
    app = replace(app, sealed_secret=house.second_factors.seal(app.id, secret))
    await house.stores.factors.change(user.id, adding(app, limit=1))
    return _Person(user.username, secret)
