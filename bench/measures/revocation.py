"""How soon other processes refuse what one process has revoked."""

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from statistics import median, quantiles

from pydantic import SecretStr

from bench.load import Load, get, meanwhile
from bench.mongod import Mongod
from bench.people import board, sign_out
from bench.process import open_sockets
from bench.report import Row
from bench.server import Gatelodge
from bench.sizes import Sizes
from gatelodge.accounts.store import User
from gatelodge.app import House, build
from gatelodge.audit import COMMAND, Origin
from gatelodge.ids import USER_PREFIX, UserId, new_id
from gatelodge.logs import set_up_logs
from gatelodge.methods import BY_PASSWORD
from gatelodge.sessions.service import SignedIn
from gatelodge.settings import Settings

WORKERS = 2
_ISSUER = "http://localhost:8080"
_ROLE = "moderator"
_PATIENCE_SECONDS = 10.0
_MAX_CONNECTIONS = 100
_OTHERS = 6
_OTHERS_PAUSE_SECONDS = 0.002
_LONG_ENOUGH = 300.0

_End = Callable[[House, SignedIn], Awaitable[object]]


@dataclass(frozen=True, slots=True)
class _Kind:
    """One way in which a user loses something.

    Attributes:
        path: what the user could ask for before.
        refusal: the status of the answer after the change.
        end: makes the change as the service does. It returns something true once the change is
            acknowledged.
    """

    path: str
    refusal: int
    end: _End


def measure(sizes: Sizes, folder: Path) -> list[Row]:
    """Return how often SQLite's workers refuse at once, and how long a MongoDB node takes."""
    set_up_logs("warning")
    return [_on_sqlite(sizes, folder / "sqlite"), *_on_mongodb(sizes, folder / "mongodb")]


def _take_role(house: House, device: SignedIn) -> Awaitable[object]:
    return house.accounts.withdraw(device.user, _ROLE, COMMAND)


async def _end_session(house: House, device: SignedIn) -> object:
    await house.sessions.sign_out(device.session.id, COMMAND)
    return True


def _disable(house: House, device: SignedIn) -> Awaitable[object]:
    return house.accounts.disable(device.user, COMMAND)


def _delete(house: House, device: SignedIn) -> Awaitable[object]:
    return house.accounts.delete(device.user, COMMAND)


def _change_password(house: House, device: SignedIn) -> Awaitable[object]:
    event = house.audit.event("password.changed", COMMAND, target=device.user.id)
    return house.stores.users.change_password(device.user, "$argon2id$new", event, continued=None)


_KINDS = {
    "role taken": _Kind("/api/test/mod", 403, _take_role),
    "session ended": _Kind("/api/test/user", 401, _end_session),
    "user disabled": _Kind("/api/test/user", 401, _disable),
    "user deleted": _Kind("/api/test/user", 401, _delete),
    "password changed": _Kind("/api/test/user", 401, _change_password),
}


async def _signed_in(house: House) -> SignedIn:
    """Return a new session of a new user, who holds a role that can be taken away."""
    now = house.clock.now()
    name = secrets.token_hex(8)
    user = User(
        id=UserId(new_id(USER_PREFIX, now)),
        username=name,
        username_key=name,
        email=f"{name}@example.com",
        email_key=f"{name}@example.com",
        password_hash=None,
        roles=("user", _ROLE),
        created_at=now,
    )
    await house.accounts.add(user, "user.created", COMMAND)
    return await house.sessions.open(user, BY_PASSWORD, "bearer", Origin("127.0.0.1"))


class _Asked:
    """A connection to the server that is asked."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def connect(cls, port: int) -> "_Asked":
        """Return a new connection."""
        return cls(*await asyncio.open_connection("127.0.0.1", port))

    def close(self) -> None:
        """Close the connection."""
        self._writer.close()

    async def remember(self, request: str) -> None:
        """Send the request until the server answers it from memory."""
        await self.until(request, 200)
        await self.until(request, 200)

    async def until(self, request: str, status: int) -> None:
        """Send the request again and again until the answer has this status."""
        async with asyncio.timeout(_PATIENCE_SECONDS):
            while await self.ask(request) != status:
                pass

    async def ask(self, request: str) -> int:
        """Send the request once, and return the status."""
        self._writer.write(request.encode())
        head = (await self._reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
        length = int(head.partition("content-length:")[2].split()[0])
        await self._reader.readexactly(length)
        return int(head.split()[1])


# SQLite


def _on_sqlite(sizes: Sizes, folder: Path) -> Row:
    settings = Settings(data_dir=folder / "data", database="", public_url=_ISSUER)
    with Gatelodge(folder, workers=str(WORKERS), public_url=_ISSUER) as server:
        refused = asyncio.run(_refused_at_once(settings, server, sizes.revocations))
    count = sizes.revocations * len(_KINDS)
    note = f"by each worker, asked after the change; {sizes.revocations} each: {', '.join(_KINDS)}"
    return Row("refused at once, SQLite, two workers", refused, f"of {count:,}", note)


async def _refused_at_once(settings: Settings, server: Gatelodge, count: int) -> int:
    """Return how often the first answer of every worker after the change was a refusal."""
    async with build(settings).open() as house:
        workers = await _one_to_each_worker(server)
        somebody = board((await _signed_in(house)).tokens.access_token)
        others = Load(
            server.port, [somebody], _OTHERS, seconds=_LONG_ENOUGH, pause=_OTHERS_PAUSE_SECONDS
        )
        with ExitStack() as stack:
            for worker in workers:
                stack.callback(worker.close)
            seen = stack.enter_context(meanwhile(others))
            refused = 0
            for number in range(count):
                for kind in _KINDS.values():
                    by_turns = workers[number % WORKERS]
                    refused += await _is_refused_at_once(house, workers, kind, by_turns)
    if seen.refused or not seen.statuses:
        raise RuntimeError(f"other users should always get 200: {seen.statuses}")
    return refused


async def _one_to_each_worker(server: Gatelodge) -> list[_Asked]:
    """Open connections until every worker holds one. Return one connection to each worker."""
    held: dict[int, _Asked] = {}
    for _ in range(_MAX_CONNECTIONS):
        before = {pid: open_sockets(pid) for pid in server.pids}
        asked = await _Asked.connect(server.port)
        await asked.until("GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n", 200)
        (holder,) = (pid for pid in server.pids if open_sockets(pid) - before[pid])
        if holder in held:
            asked.close()
        else:
            held[holder] = asked
        if len(held) == WORKERS:
            return list(held.values())
    raise RuntimeError(f"{_MAX_CONNECTIONS} connections reached only {list(held)}")


async def _is_refused_at_once(
    house: House, workers: list[_Asked], kind: _Kind, one: _Asked
) -> bool:
    """Say whether every worker refuses the first request after the change.

    A sign-out is sent to the worker behind `one`.
    """
    device = await _signed_in(house)
    request = get(kind.path, device.tokens.access_token)
    await asyncio.gather(*(worker.remember(request) for worker in workers))
    if kind.end is _end_session:
        ended: object = await one.ask(sign_out(device.tokens.access_token)) == 200
    else:
        ended = await kind.end(house, device)
    if not ended:
        raise RuntimeError("the change was not made")
    after = await asyncio.gather(*(worker.ask(request) for worker in workers))
    return after == [kind.refusal] * len(workers)


# MongoDB


def _on_mongodb(sizes: Sizes, folder: Path) -> list[Row]:
    key = secrets.token_urlsafe(32)
    with (
        Mongod(folder / "mongod") as mongod,
        Gatelodge(
            folder / "asked", database=mongod.url, secret_key=key, public_url=_ISSUER
        ) as server,
    ):
        settings = Settings(
            data_dir=folder / "ends",
            database=mongod.url,
            secret_key=SecretStr(key),
            public_url=_ISSUER,
        )
        waits = asyncio.run(_waits(settings, server.port, sizes.revocations))
    return [row for what, seconds in waits.items() for row in _rows(what, seconds)]


async def _waits(settings: Settings, port: int, count: int) -> dict[str, list[float]]:
    """Return the seconds until the refusal, by kind of change.

    This process is the node that makes the changes. The server is the node that is asked.
    """
    async with build(settings).open() as house:
        asked = await _Asked.connect(port)
        try:
            return {
                what: [await _wait(house, asked, kind) for _ in range(count)]
                for what, kind in _KINDS.items()
            }
        finally:
            asked.close()


async def _wait(house: House, asked: _Asked, kind: _Kind) -> float:
    """Return the seconds from the acknowledged write to the first refusal."""
    device = await _signed_in(house)
    request = get(kind.path, device.tokens.access_token)
    await asked.remember(request)
    if not await kind.end(house, device):
        raise RuntimeError("the change was not made")
    acknowledged = time.perf_counter()
    await asked.until(request, kind.refusal)
    return time.perf_counter() - acknowledged


def _rows(what: str, seconds: list[float]) -> list[Row]:
    millis = sorted(1000 * each for each in seconds)
    note = f"from the acknowledged write until another node refuses; {len(millis)} times"
    return [
        Row(f"{what}, p50", median(millis), "ms", note),
        Row(f"{what}, p99", quantiles(millis, n=100, method="inclusive")[98], "ms", note),
        Row(f"{what}, maximum", millis[-1], "ms", note),
    ]
