"""The load generator: a separate process that sends prepared bytes and reads little.

The CPU time that it takes is missing at the server that it measures. So it runs on uvloop, and
reads only the status and the length of an answer.
"""

import asyncio
import itertools
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any, Self, cast
from urllib.parse import urlencode

import uvloop

from bench import ROOT

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_REFRESH_TOKEN = re.compile(rb'(?<="refreshToken":)\s*"rt_[^"]+"')
_PATIENCE_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Load:
    """What to send.

    Attributes:
        port: the server's port on the loopback address.
        requests: the bytes of each request, in Latin-1. They are sent in turn; after the last one
            the first one comes again.
        at_a_time: how many connections there are. Each sends one request at a time.
        count: how many requests are sent at most.
        seconds: how long requests are sent. The last ones still get their answers.
        pause: how many seconds a connection waits between an answer and its next request.
        chained: whether each connection keeps one request for itself, and puts the refresh token
            of each answer into its next request.
    """

    port: int
    requests: list[str]
    at_a_time: int = 1
    count: int | None = None
    seconds: float = _PATIENCE_SECONDS
    pause: float = 0.0
    chained: bool = False


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came back.

    Attributes:
        statuses: the number of answers with each status.
        waits: seconds from each request to its answer, in the order of the answers.
        refused_waits: the waits for answers that were not 200.
        answered_at: seconds from the start of the load to each answer.
        next_requests: what each connection would send next, where requests are chained.
    """

    statuses: dict[str, int] = field(default_factory=dict)
    waits: list[float] = field(default_factory=list)
    refused_waits: list[float] = field(default_factory=list)
    answered_at: list[float] = field(default_factory=list)
    next_requests: list[str] = field(default_factory=list)

    @property
    def refused(self) -> int:
        """How many answers were not 200."""
        return sum(count for status, count in self.statuses.items() if status != "200")

    def rate_after(self, first: int) -> float:
        """Return the answers per second, without the first ones: the load was still starting."""
        at = self.answered_at[first:]
        return (len(at) - 1) / (at[-1] - at[0])


def post(path: str, body: dict[str, str]) -> str:
    """Return a POST request with a JSON body."""
    return _post(path, "application/json", json.dumps(body))


def form(path: str, fields: dict[str, str]) -> str:
    """Return a POST request with a form in its body."""
    return _post(path, "application/x-www-form-urlencoded", urlencode(fields))


def _post(path: str, kind: str, content: str) -> str:
    return (
        f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {kind}\r\n"
        f"Content-Length: {len(content)}\r\n\r\n{content}"
    )


def get(path: str, token: str) -> str:
    """Return a GET request that carries a token."""
    return get_with(path, f"Authorization: Bearer {token}")


def get_with(path: str, header: str) -> str:
    """Return a GET request with `Host` and this header."""
    return _without_body("GET", path, header)


def post_with(path: str, header: str) -> str:
    """Return a POST request without a body, with `Host` and this header."""
    return _without_body("POST", path, header)


def _without_body(method: str, path: str, header: str) -> str:
    return f"{method} {path} HTTP/1.1\r\nHost: localhost\r\n{header}\r\n\r\n"


def run(load: Load, *, cores: Collection[int] = ()) -> Outcome:
    """Send one load from a separate process on these cores. Return when all of it is answered.

    Raises:
        RuntimeError: an answer was not 200.
    """
    with Generator(cores) as generator:
        return generator.run(load)


@contextmanager
def meanwhile(load: Load, *, cores: Collection[int] = ()) -> Iterator[Outcome]:
    """Send a load from these cores while the context is open; then its outcome is filled in."""
    outcome = Outcome()
    with Generator(cores) as generator:
        generator.start(load)
        try:
            yield outcome
        finally:
            seen = generator.stop()
    outcome.statuses.update(seen.statuses)
    outcome.waits.extend(seen.waits)
    outcome.refused_waits.extend(seen.refused_waits)
    outcome.answered_at.extend(seen.answered_at)


class Generator:
    """A process that sends one load after another. It ends when the context ends."""

    def __init__(self, cores: Collection[int] = ()) -> None:
        """Start the process on these cores."""
        self._process = subprocess.Popen(
            [sys.executable, "-m", "bench.load", ",".join(map(str, cores))],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> Self:
        """Return the generator."""
        return self

    def __exit__(self, *_error: object) -> None:
        """End the process."""
        self._process.kill()
        self._process.communicate()

    def run(self, load: Load) -> Outcome:
        """Send a load. Return when all of it is answered.

        Raises:
            RuntimeError: an answer was not 200.
        """
        self.start(load)
        outcome = self._outcome()
        if outcome.refused:
            raise RuntimeError(f"not every answer was 200: {outcome.statuses}")
        return outcome

    def start(self, load: Load) -> None:
        """Begin to send. Return when every connection has sent its first request."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(asdict(load)) + "\n")
        self._process.stdin.flush()
        self._line()

    def stop(self) -> Outcome:
        """Send nothing more. Return when every request that was sent is answered."""
        self._process.send_signal(signal.SIGTERM)
        return self._outcome()

    def _outcome(self) -> Outcome:
        return Outcome(**json.loads(self._line()))

    def _line(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError("the load generator has failed")
        return line


class _Sending:
    """Sends one load and notes the answers."""

    def __init__(self, load: Load) -> None:
        self.load = load
        self.chains: dict[_Connection, bytes] = {}
        self.statuses: Counter[str] = Counter()
        self.waits: list[float] = []
        self.refused_waits: list[float] = []
        self.answered_at: list[float] = []
        self.began = time.perf_counter()
        self._requests = itertools.cycle([text.encode("latin-1") for text in load.requests])
        self._left = load.count if load.count is not None else sys.maxsize
        self._open = load.at_a_time
        self._done = asyncio.Event()

    async def run(self) -> Outcome:
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, self.stop)
        connect = (
            loop.create_connection(lambda: _Connection(self), "127.0.0.1", self.load.port)
            for _ in range(self.load.at_a_time)
        )
        connections = [connection for _, connection in await asyncio.gather(*connect)]
        if self.load.chained:
            self.chains = dict(zip(connections, self._requests, strict=False))
        self.began = time.perf_counter()
        for connection in connections:
            connection.send_next()
        _say("sending")
        loop.call_later(self.load.seconds, self.stop)
        await asyncio.wait_for(self._done.wait(), self.load.seconds + _PATIENCE_SECONDS)
        chains = [request.decode("latin-1") for request in self.chains.values()]
        return Outcome(
            dict(self.statuses), self.waits, self.refused_waits, self.answered_at, chains
        )

    def stop(self) -> None:
        """Send nothing more. The requests that were sent still get their answers."""
        self._left = 0

    def next_request(self, connection: "_Connection") -> bytes | None:
        """Return the next request of a connection, or None when there is nothing more to send."""
        if not self._left:
            self._open -= 1
            if not self._open:
                self._done.set()
            return None
        self._left -= 1
        return self.chains.get(connection) or next(self._requests)


class _Connection(asyncio.Protocol):
    """A connection that stays open and has one request under way at a time."""

    def __init__(self, sending: _Sending) -> None:
        self._sending = sending
        self._received = b""
        self._sent_at = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's has the same methods

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, separator, body = self._received.partition(b"\r\n\r\n")
        if not separator or len(body) < _length_in(head):
            return
        self._note(head[9:12].decode())
        self._received = b""
        self._take_successor(body)
        if self._sending.load.pause:
            loop = asyncio.get_running_loop()
            loop.call_later(self._sending.load.pause, self.send_next)
        else:
            self.send_next()

    def connection_lost(self, exc: Exception | None) -> None:
        """End the process if an answer is still missing: the figures would mean nothing."""
        if self._sent_at:
            print(f"the server closed a connection: {exc}", file=sys.stderr)
            os._exit(1)

    def send_next(self) -> None:
        request = self._sending.next_request(self)
        if request is None:
            self._sent_at = 0.0
            self._transport.close()
            return
        self._sent_at = time.perf_counter()
        self._transport.write(request)

    def _take_successor(self, body: bytes) -> None:
        chained = self._sending.chains.get(self)
        successor = chained and _REFRESH_TOKEN.search(body)
        if chained and successor:
            self._sending.chains[self] = _replaced(chained, successor[0])

    def _note(self, status: str) -> None:
        now = time.perf_counter()
        self._sending.statuses[status] += 1
        self._sending.waits.append(now - self._sent_at)
        if status != "200":
            self._sending.refused_waits.append(now - self._sent_at)
        self._sending.answered_at.append(now - self._sending.began)


def _replaced(request: bytes, token: bytes) -> bytes:
    """Return the request with another refresh token. All refresh tokens have the same length."""
    before, _, rest = request.partition(b'"rt_')
    return before + token.strip() + rest.partition(b'"')[2]


def _length_in(head: bytes) -> int:
    match = _LENGTH.search(head)
    return int(match[1]) if match else 0


def _main(cores: str) -> None:
    if cores:
        os.sched_setaffinity(0, {int(core) for core in cores.split(",")})
    for line in sys.stdin:
        _say(json.dumps(asdict(uvloop.run(_send(json.loads(line))))))


def _say(line: str) -> None:
    """Write the whole line: Python's buffered writer was seen to lose the end of a long one."""
    left = f"{line}\n".encode()
    while left:
        left = left[os.write(sys.stdout.fileno(), left) :]


async def _send(plan: dict[str, Any]) -> Outcome:
    return await _Sending(Load(**plan)).run()


if __name__ == "__main__":
    _main(sys.argv[1])
