"""Many requests at once, cheaply enough that the server is what is tried."""

import asyncio
import random
from collections import deque

import httpx2

from tests.support.people import PASSWORD
from tests.support.server import Server

AT_ONCE = 100
TRIES = 300
PATIENCE_SECONDS = 60.0
LONGEST_WAIT_SECONDS = 2.0


class Connections(httpx2.AsyncBaseTransport):
    """Keep-alive connections to one server.

    The pool of httpx2 looks through all of its connections for every request and every answer,
    which takes a hundred connections more time than everything else.
    """

    def __init__(self, port: int, at_once: int) -> None:
        """Open none yet, and never more than so many."""
        self._port = port
        self._places = asyncio.Semaphore(at_once)
        self._idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send a request on a connection that nobody uses; return the answer, read to its end.

        Raises:
            httpx2.TransportError: the connection was lost.
        """
        async with self._places:
            try:
                async with asyncio.timeout(PATIENCE_SECONDS):
                    return await self._ask(request)
            except (OSError, asyncio.IncompleteReadError) as error:
                raise httpx2.ReadError(str(error), request=request) from error

    async def aclose(self) -> None:
        """Close every connection."""
        for _, writer in self._idle:
            writer.close()

    async def _ask(self, request: httpx2.Request) -> httpx2.Response:
        reader, writer = self._idle.pop() if self._idle else await self._connect()
        try:
            writer.write(_as_sent(request))
            head = await reader.readuntil(b"\r\n\r\n")
            status, headers = _parsed(head)
            body = await reader.readexactly(int(dict(headers)[b"content-length"]))
        except BaseException:
            writer.close()
            raise
        self._idle.append((reader, writer))
        return httpx2.Response(status, headers=headers, content=body, request=request)

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", self._port)


def _as_sent(request: httpx2.Request) -> bytes:
    target = request.url.raw_path
    lines = [b"%b %b HTTP/1.1" % (request.method.encode(), target)]
    lines += [b"%b: %b" % header for header in request.headers.raw]
    return b"\r\n".join([*lines, b"", request.content])


def _parsed(head: bytes) -> tuple[int, list[tuple[bytes, bytes]]]:
    first, *lines = head.removesuffix(b"\r\n\r\n").split(b"\r\n")
    pairs = (line.partition(b":") for line in lines)
    return int(first.split()[1]), [(name.lower(), value.strip()) for name, _, value in pairs]


class Crowd(httpx2.AsyncClient):
    """A client for many requests at once, which wait for each other's connections."""

    def __init__(self, server: Server) -> None:
        """Send everything to this server."""
        super().__init__(base_url=server.url, transport=Connections(server.port, AT_ONCE))
        self._waiting: deque[asyncio.Event] = deque()

    async def sign_up(self, username: str, email: str | None = None) -> httpx2.Response:
        """Sign up, again as long as the queue for hashing is full; return any other answer.

        Raises:
            httpx2.TransportError: the connection was lost; whether the user was made is unknown.
        """
        for _ in range(TRIES):
            try:
                response = await sign_up(self, username, email)
            except httpx2.TransportError:
                self._wake_one()
                raise
            if response.status_code != 503 or response.json()["code"] != "hashing_busy":
                self._wake_one()
                return response
            await self._wait_for_a_place()
        raise AssertionError(f"no place in the queue for {username} after {TRIES} tries")

    async def _wait_for_a_place(self) -> None:
        """Wait until somebody else was answered; it may have been at another worker's queue."""
        woken = asyncio.Event()
        self._waiting.append(woken)
        try:
            async with asyncio.timeout(random.uniform(0.5, 1) * LONGEST_WAIT_SECONDS):
                await woken.wait()
        except TimeoutError:
            if not woken.is_set():
                self._waiting.remove(woken)

    def _wake_one(self) -> None:
        if self._waiting:
            self._waiting.popleft().set()


async def sign_up(
    client: httpx2.AsyncClient, username: str, email: str | None = None
) -> httpx2.Response:
    """Ask once to sign up; return the answer."""
    wanted = {
        "username": username,
        "email": email or f"{username}@example.com",
        "password": PASSWORD,
    }
    return await client.post("/api/auth/signup", json=wanted)
