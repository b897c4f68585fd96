"""Connections that waste a server's time: `python -m bench.idlers PORT COUNT`.

A separate process opens as many connections as it is told, and prints `open` when all are. Then it
goes on with them until it is ended. Who opened them cannot always see when the server cuts one, so
the server's own files are counted.
"""

import asyncio
import contextlib
import itertools
import resource
import socket
import sys
from collections.abc import Awaitable, Callable

PAUSE_SECONDS = 2.0
"""Between two bytes of somebody slow."""

_START = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n"
_BODY = (
    b"POST /api/auth/signin HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    b"Content-Length: 1000\r\n\r\n{"
)
_LARGE = b"GET /api/openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n"

Wire = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def silent(wire: Wire) -> None:
    """Send nothing."""
    await _until_cut(wire)


async def idle(wire: Wire) -> None:
    """Send one request, and keep the connection."""
    wire[1].write(_START + b"\r\n")
    await _until_cut(wire)


async def slow_headers(wire: Wire) -> None:
    """Send a header byte by byte."""
    wire[1].write(_START + b"X-Slow: ")
    await asyncio.gather(_until_cut(wire), _drip(wire))


async def slow_body(wire: Wire) -> None:
    """Send a body byte by byte."""
    wire[1].write(_BODY)
    await asyncio.gather(_until_cut(wire), _drip(wire))


async def slow_reader(wire: Wire) -> None:
    """Ask for much, and read nothing."""
    wire[1].transport.pause_reading()  # type: ignore[attr-defined]
    wire[1].write(_LARGE)
    await asyncio.Event().wait()


KINDS: tuple[Callable[[Wire], Awaitable[None]], ...] = (
    silent,
    idle,
    slow_headers,
    slow_body,
    slow_reader,
)


async def _until_cut(wire: Wire) -> None:
    with contextlib.suppress(OSError):
        while await wire[0].read(65536):
            pass
    wire[1].close()


async def _drip(wire: Wire) -> None:
    with contextlib.suppress(OSError):
        while not wire[1].is_closing():
            wire[1].write(b"x")
            await wire[1].drain()
            await asyncio.sleep(PAUSE_SECONDS)


async def waste(port: int, count: int) -> None:
    """Open the connections, say so, and go on with them for ever."""
    some = asyncio.Semaphore(200)
    wires = await asyncio.gather(*(_open(port, some) for _ in range(count)))
    print("open", flush=True)
    kinds = itertools.cycle(KINDS)
    await asyncio.gather(*(next(kinds)(wire) for wire in wires))
    await asyncio.Event().wait()


async def _open(port: int, some: asyncio.Semaphore) -> Wire:
    async with some:
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.setblocking(False)
        await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", port))
        return await asyncio.open_connection(sock=sock)


if __name__ == "__main__":
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    asyncio.run(waste(int(sys.argv[1]), int(sys.argv[2])))
