"""How soon one node refuses what another node has ended, over MongoDB."""

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from statistics import median, quantiles

from pydantic import SecretStr

from bench.load import get
from bench.mongod import Mongod
from bench.people import board
from bench.report import Row
from bench.server import Gatelodge
from bench.sizes import Sizes
from gatelodge.accounts.store import USER_PREFIX, User, UserId
from gatelodge.app import House, build
from gatelodge.audit import Origin
from gatelodge.clock import new_id
from gatelodge.logs import set_up_logs
from gatelodge.sessions.service import SignedIn
from gatelodge.settings import Settings

_ISSUER = "http://localhost:8080"
_ROLE = "moderator"
_PATIENCE_SECONDS = 10.0


def measure(sizes: Sizes, folder: Path) -> list[Row]:
    """Return the waits from an acknowledged write on one node to the refusal on the other."""
    key = secrets.token_urlsafe(32)
    set_up_logs("warning")
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
        roles, sessions = asyncio.run(_waits(settings, server.port, sizes.revocations))
    return [*_rows("role taken", roles), *_rows("session ended", sessions)]


async def _waits(settings: Settings, port: int, count: int) -> tuple[list[float], list[float]]:
    """Return both kinds; this process is the node that ends, the server is the one asked."""
    async with build(settings).open() as house:
        asked = await _Asked.connect(port)
        try:
            user = await _somebody(house)
            roles = [await _role_taken(house, asked, user) for _ in range(count)]
            return roles, [await _session_ended(house, asked, user) for _ in range(count)]
        finally:
            asked.close()


async def _somebody(house: House) -> User:
    now = house.clock.now()
    user = User(
        id=UserId(new_id(USER_PREFIX, now)),
        username="somebody",
        username_key="somebody",
        email="somebody@example.com",
        email_key="somebody@example.com",
        password_hash=None,
        roles=("user",),
        created_at=now,
    )
    await house.stores.users.add(user)
    return user


async def _role_taken(house: House, asked: "_Asked", user: User) -> float:
    token = (await _signed_in(house, user)).tokens.access_token
    request = get("/api/test/mod", token)
    await house.stores.users.grant(user.id, _ROLE)
    return await _wait(
        asked, request, lambda: house.stores.users.withdraw(user.id, _ROLE), refusal=403
    )


async def _session_ended(house: House, asked: "_Asked", user: User) -> float:
    signed_in = await _signed_in(house, user)
    end = house.stores.sessions.revoke
    return await _wait(
        asked,
        board(signed_in.tokens.access_token),
        lambda: end(signed_in.session.id, house.clock.now(), "signed_out"),
        refusal=401,
    )


async def _signed_in(house: House, user: User) -> SignedIn:
    return await house.sessions.open(user, "bearer", Origin("127.0.0.1"))


async def _wait(
    asked: "_Asked", request: str, end: Callable[[], Awaitable[bool]], *, refusal: int
) -> float:
    """Return the seconds from the acknowledged write to the answer that refuses."""
    await asked.until(request, 200)
    await asked.until(request, 200)  # and now from memory
    if not await end():
        raise RuntimeError("nothing was ended")
    acknowledged = time.perf_counter()
    await asked.until(request, refusal)
    return time.perf_counter() - acknowledged


class _Asked:
    """A connection to the node that is asked."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def connect(cls, port: int) -> "_Asked":
        """Connect."""
        return cls(*await asyncio.open_connection("127.0.0.1", port))

    def close(self) -> None:
        """Close the connection."""
        self._writer.close()

    async def until(self, request: str, status: int) -> None:
        """Ask, again and again, until the answer has this status."""
        async with asyncio.timeout(_PATIENCE_SECONDS):
            while await self._ask(request) != status:
                pass

    async def _ask(self, request: str) -> int:
        self._writer.write(request.encode())
        head = (await self._reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
        length = int(head.partition("content-length:")[2].split()[0])
        await self._reader.readexactly(length)
        return int(head.split()[1])


def _rows(what: str, seconds: list[float]) -> list[Row]:
    millis = sorted(1000 * each for each in seconds)
    note = f"seen by another node; {len(millis)} times, from the acknowledged write"
    return [
        Row(f"{what}, p50", median(millis), "ms", note),
        Row(f"{what}, p99", quantiles(millis, n=100, method="inclusive")[98], "ms", note),
        Row(f"{what}, maximum", millis[-1], "ms", note),
    ]
