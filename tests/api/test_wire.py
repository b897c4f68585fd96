"""Malformed requests to the real server, sent through a socket (security.md, section 9).

Granian parses HTTP/1 with hyper. What hyper refuses never reaches our code: the answer is only a
status, and the connection is closed. hyper accepts some requests that RFC 9112 would refuse. For
these, the tests check that the request has one meaning, and gets one answer.
"""

import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.support.server import Server

HOST = b"Host: localhost\r\n"
GET = b"GET /api/test/all HTTP/1.1\r\n" + HOST
POST = b"POST /api/auth/signin HTTP/1.1\r\n" + HOST + b"Content-Type: application/json\r\n"
BODY = b'{"username": "ann", "password": 1}'  # valid JSON, refused before a password is hashed
LENGTH = b"Content-Length: %d\r\n" % len(BODY)
CHUNKED = b"Transfer-Encoding: chunked\r\n"
IN_CHUNKS = b"%x\r\n%b\r\n0\r\n\r\n" % (len(BODY), BODY)
SMUGGLED = b"GET /smuggled HTTP/1.1\r\n" + HOST + b"\r\n"

QUIET_SECONDS = 0.4


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Return one server for the whole module, since no test changes its data."""
    with Server(tmp_path_factory.mktemp("wire")) as running:
        yield running


@dataclass(frozen=True)
class Heard:
    """What came back on a connection.

    Attributes:
        text: all bytes.
        closed: whether the server closed the connection.
        seconds: the time until it closed, or until it had sent nothing for long enough.
    """

    text: bytes
    closed: bool
    seconds: float

    @property
    def statuses(self) -> list[int]:
        """The status of each answer."""
        return [int(part[:3]) for part in self.text.split(b"HTTP/1.1 ")[1:]]


def say(server: Server, *parts: bytes, pause: float = 0.0, quiet: float = QUIET_SECONDS) -> Heard:
    """Send bytes on a new connection, part by part, and return what comes back.

    The next part is sent when nothing has come for `pause` seconds. After the last part, the
    connection is left when nothing has come for `quiet` seconds.
    """
    started, text, waiting = time.monotonic(), b"", list(parts)
    with socket.create_connection(("127.0.0.1", server.port)) as connection:
        try:
            while True:
                if waiting:
                    connection.sendall(waiting.pop(0))
                connection.settimeout(pause if waiting else quiet)
                try:
                    received = connection.recv(65536)
                except TimeoutError:
                    if waiting:
                        continue
                    return Heard(text, closed=False, seconds=time.monotonic() - started)
                text += received
                if not received:
                    break
        except (ConnectionResetError, BrokenPipeError):
            pass
    return Heard(text, closed=True, seconds=time.monotonic() - started)


# Framing


def test_what_two_readers_could_frame_differently_is_refused_and_the_connection_closed(
    server: Server,
) -> None:
    """The bytes that follow are not read as a request (RFC 9112, sections 5.1, 5.2, 6.1, 6.3)."""
    for name, request in {
        "two lengths": POST + LENGTH + b"Content-Length: 5\r\n\r\n" + BODY,
        "a list of lengths": POST + b"Content-Length: 34, 5\r\n\r\n" + BODY,
        "a signed length": POST + b"Content-Length: +34\r\n\r\n" + BODY,
        "a negative length": POST + b"Content-Length: -1\r\n\r\n" + BODY,
        "a hexadecimal length": POST + b"Content-Length: 0x22\r\n\r\n" + BODY,
        "an empty length": POST + b"Content-Length: \r\n\r\n" + BODY,
        "an endless length": POST + b"Content-Length: 99999999999999999999999\r\n\r\n" + BODY,
        "an unknown coding": POST + b"Transfer-Encoding: xchunked\r\n\r\n" + IN_CHUNKS,
        "no coding": POST + b"Transfer-Encoding: identity\r\n\r\n" + IN_CHUNKS,
        "chunked, but not last": POST + b"Transfer-Encoding: chunked, gzip\r\n\r\n" + IN_CHUNKS,
        "two codings": POST + CHUNKED + b"Transfer-Encoding: identity\r\n\r\n" + IN_CHUNKS,
        "chunked after a vertical tab": POST
        + b"Transfer-Encoding: \x0bchunked\r\n\r\n"
        + IN_CHUNKS,
        "a folded line": GET + b"X-Folded: a\r\n b\r\n\r\n",
        "a folded coding": POST + b"Transfer-Encoding:\r\n chunked\r\n\r\n" + IN_CHUNKS,
        "a space before a colon": GET + b"X-Spaced : a\r\n\r\n",
        "a space before a length's colon": POST + b"Content-Length : 34\r\n\r\n" + BODY,
        "a space before the first header": b"GET / HTTP/1.1\r\n X: a\r\n" + HOST + b"\r\n",
        "a line without a colon": GET + b"X-Bare\r\n\r\n",
        "a header without a name": GET + b": a\r\n\r\n",
        "a bare CR": GET + b"X-A: a\rX-B: b\r\n\r\n",
        "NUL in a header": GET + b"X-A: a\0b\r\n\r\n",
        "a control in a name": GET + b"X\x01A: a\r\n\r\n",
        "a control in the target": b"GET /\0 HTTP/1.1\r\n" + HOST + b"\r\n",
        "a space in the target": b"GET /a b HTTP/1.1\r\n" + HOST + b"\r\n",
        "no version": b"GET /\r\n" + HOST + b"\r\n",
        "a version to come": b"GET / HTTP/2.0\r\n" + HOST + b"\r\n",
        "no HTTP": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    }.items():
        heard = say(server, request + SMUGGLED)
        assert (heard.statuses, heard.closed) == ([400], True), (name, heard)


def test_a_length_beside_chunks_smuggles_nothing(server: Server) -> None:
    """RFC 9112, section 6.3: the chunks count, and the connection is closed after the answer.

    hyper removes the length before we can see it. So a valid body gets its usual answer.
    """
    for framing in (CHUNKED + b"Content-Length: 5\r\n", b"Content-Length: 5\r\n" + CHUNKED):
        heard = say(server, POST + framing + b"\r\n" + IN_CHUNKS + SMUGGLED)
        assert (heard.statuses, heard.closed) == ([400], True), heard


def test_a_coding_beside_chunked_is_refused(server: Server) -> None:
    """RFC 9112, section 6.1: `chunked` is allowed once, and we support no other coding."""
    for coding in (b"chunked, chunked", b"gzip, chunked", b"identity, chunked"):
        heard = say(server, POST + b"Transfer-Encoding: " + coding + b"\r\n\r\n" + IN_CHUNKS)
        assert heard.statuses == [400], (coding, heard)
        assert b"invalid_request" in heard.text
        assert b"password" not in heard.text  # the body was not read


def test_chunks_that_are_malformed_end_the_request(server: Server) -> None:
    """The answer is 400, the connection is closed, and the log has no traceback."""
    for name, body in {
        "no size": b"zz\r\n" + BODY + b"\r\n0\r\n\r\n",
        "a size too large": b"fffffffffffffffff\r\n" + BODY + b"\r\n0\r\n\r\n",
        "a prefixed size": b"0x22\r\n" + BODY + b"\r\n0\r\n\r\n",
        "a size too small": b"21\r\n" + BODY + b"\r\n0\r\n\r\n",
        "bare LF": b"22\n" + BODY + b"\n0\n\n",
        "bare LF in an extension": b"22;a\nb\r\n" + BODY + b"\r\n0\r\n\r\n",
        "three thousand trailers": IN_CHUNKS[:-2] + b"a: b\r\n" * 3000 + b"\r\n",
    }.items():
        heard = say(server, POST + CHUNKED + b"\r\n" + body + SMUGGLED)
        assert (heard.statuses, heard.closed) == ([400], True), (name, heard)
        assert b"invalid_request" in heard.text
    assert "Traceback" not in server.log.read_text()


def test_good_chunks_are_read(server: Server) -> None:
    """An extension or a trailer may come with them; both are ignored."""
    trailer = IN_CHUNKS[:-2] + b"x-access-token: a\r\nContent-Length: 5\r\n\r\n"
    extension = IN_CHUNKS.replace(b"\r\n", b";a=b\r\n", 1)
    for body in (IN_CHUNKS, extension, trailer):
        heard = say(server, POST + CHUNKED + b"\r\n" + body + SMUGGLED)
        assert heard.statuses == [400, 404], heard
        assert b'"field":"password"' in heard.text


def test_what_hyper_forgives_has_one_reading(server: Server) -> None:
    """A bare LF ends a line, as RFC 9112, section 2.2, allows. One length twice counts as one."""
    for name, request in {
        "bare LF": GET.replace(b"\r\n", b"\n") + b"\n",
        "a bare LF among others": GET + b"X-A: a\nX-B: b\r\n\r\n",
    }.items():
        assert say(server, request).statuses == [200], name
        assert say(server, request + SMUGGLED).statuses == [200, 404], name
    heard = say(server, POST + LENGTH + LENGTH + b"\r\n" + BODY + SMUGGLED)
    assert heard.statuses == [400, 404], heard


def test_a_body_that_nobody_reads_is_not_read_as_a_request(server: Server) -> None:
    """The answers before it are 404, 405, 413, 415, and 200 to a GET with a body."""
    for start, status in (
        (b"POST /nowhere HTTP/1.1\r\n", 404),
        (b"DELETE /api/test/all HTTP/1.1\r\n", 405),
        (b"POST /api/auth/signin HTTP/1.1\r\n", 415),
        (b"GET /api/test/all HTTP/1.1\r\n", 200),
    ):
        length = b"Content-Length: %d\r\n\r\n" % len(SMUGGLED)
        heard = say(server, start + HOST + length + SMUGGLED)
        assert heard.statuses == [status], heard
        heard = say(server, start + HOST + b"Content-Length: 99999\r\n\r\n" + SMUGGLED)
        assert heard.statuses == [413], heard


def test_answers_to_requests_in_a_row_come_in_that_row(server: Server) -> None:
    """This is pipelining (RFC 9112, section 9.3.2)."""
    heard = say(server, GET + b"\r\n" + SMUGGLED + POST + LENGTH + b"\r\n" + BODY + GET + b"\r\n")
    assert heard.statuses == [200, 404, 400, 200]


def test_head_is_answered_like_get_without_a_body(server: Server) -> None:
    heard = say(server, GET.replace(b"GET", b"HEAD") + b"\r\n" + GET + b"\r\n")
    first, second = heard.text.split(b"\r\n\r\n", 1)
    assert heard.statuses == [200, 200]
    assert b"content-length: 15" in first
    assert second.startswith(b"HTTP/1.1 200 OK\r\n")


# Host and target


@pytest.mark.parametrize("host", [b"", b"Host: \r\n", b"Host: 10.0.0.7\r\n"])
def test_a_health_check_by_http_1_0_needs_no_host(server: Server, host: bytes) -> None:
    """As load balancers send it. Pages need one: they are of one host."""
    for path in (b"/healthz", b"/readyz"):
        heard = say(server, b"GET " + path + b" HTTP/1.0\r\n" + host + b"\r\n")
        assert heard.text.startswith(b"HTTP/1.0 200 OK\r\n"), heard
    assert b" 400 " in say(server, b"GET /healthz HTTP/1.1\r\n\r\n").text
    page = say(server, b"GET / HTTP/1.0\r\n" + host + b"\r\n").text.partition(b"\r\n")[0]
    assert page.split()[1] == (b"421" if b"7" in host else b"400")


def test_no_host_and_two_are_refused(server: Server) -> None:
    """RFC 9112, section 3.2. Granian passes an empty `Host` on when a request has none."""
    line = b"GET /api/test/all HTTP/1.1\r\n"
    for hosts in (b"", b"Host:\r\n", HOST + HOST, HOST + b"Host: evil.example\r\n"):
        heard = say(server, line + hosts + b"\r\n")
        assert heard.statuses == [400], heard


def test_the_host_of_somebody_else_is_misdirected(server: Server) -> None:
    for host in (b"evil.example", b"evil.example@localhost", b"localhost:evil", b"localhost.evil"):
        heard = say(server, b"GET /api/test/all HTTP/1.1\r\nHost: " + host + b"\r\n\r\n")
        assert heard.statuses == [421], heard


def test_no_form_of_the_target_leads_out_of_the_house(server: Server) -> None:
    """The targets are forms that only proxies use, and paths that a file server would follow."""
    for target, statuses in {
        b"*": {404},
        b"localhost:80": {404},
        b"/api/test/../../etc/passwd": {404},
        b"//evil.example/api/test/all": {404},
        b"/api/test/user#x": {403},  # hyper cuts the fragment off; the caller is still refused
    }.items():
        heard = say(server, b"GET " + target + b" HTTP/1.1\r\n" + HOST + b"\r\n")
        assert set(heard.statuses) <= statuses | {400}, (target, heard)
    heard = say(server, b"CONNECT evil.example:443 HTTP/1.1\r\n" + HOST + b"\r\n")
    assert heard.statuses == [404]


def test_an_upgrade_is_passed_over(server: Server) -> None:
    """We do not support WebSocket, and we do not upgrade to HTTP/2."""
    for upgrade in (
        b"Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: YQ==\r\n",
        b"Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n",
    ):
        heard = say(server, GET + b"Connection: Upgrade, HTTP2-Settings\r\n" + upgrade + b"\r\n")
        assert heard.statuses == [200], heard


# Size


def test_what_is_too_large_is_refused(server: Server) -> None:
    """We refuse it with a message. Beyond hyper's buffer, hyper refuses it with only a status."""
    for name, request, status in (
        ("a target of 5 KiB", b"GET /" + b"a" * 5000 + b" HTTP/1.1\r\n" + HOST + b"\r\n", 414),
        ("a query of 5 KiB", b"GET /?" + b"a" * 5000 + b" HTTP/1.1\r\n" + HOST + b"\r\n", 414),
        ("a header of 9 KiB", GET + b"X: " + b"a" * 9000 + b"\r\n\r\n", 431),
        ("headers of 20 KiB", GET + (b"X: " + b"a" * 4000 + b"\r\n") * 5 + b"\r\n", 431),
        ("70 headers", GET + b"".join(b"X%d: a\r\n" % each for each in range(70)) + b"\r\n", 431),
        ("150 headers", GET + b"X: a\r\n" * 150 + b"\r\n", 431),
        ("headers of 400 KiB", GET + b"X: " + b"a" * 400_000 + b"\r\n\r\n", 431),
        ("a target of 400 KiB", b"GET /" + b"a" * 400_000 + b" HTTP/1.1\r\n" + HOST, 431),
    ):
        heard = say(server, request)
        assert heard.statuses in ([status], []), (name, heard)  # [] if cut while we still sent
        assert heard.statuses or heard.closed, name


def test_a_large_body_is_refused_and_the_rest_is_not_awaited(server: Server) -> None:
    """The body says its length, or it does not."""
    for request in (
        POST + b"Content-Length: 10485760\r\n\r\n",
        POST + b"Content-Length: 10485760\r\n\r\n" + b"a" * 200_000,
        POST + CHUNKED + b"\r\n" + (b"4000\r\n" + b"a" * 0x4000 + b"\r\n") * 3,
    ):
        heard = say(server, request)
        assert heard.closed
        assert heard.statuses in ([413], []), heard


def test_an_answer_before_the_whole_body_says_that_the_connection_ends(server: Server) -> None:
    """RFC 9112, section 9.6: without this header, a client would lose its next request."""
    for name, request, status in (
        ("too large", POST + b"Content-Length: 17000\r\n\r\n" + b"a" * 17_000, 413),
        ("too large, in chunks", POST + CHUNKED + b"\r\n" + b"5000\r\n" + b"a" * 0x5000, 413),
        ("for nobody", POST.replace(b"signin", b"nowhere") + LENGTH + b"\r\n" + BODY, 404),
        ("unasked", GET + LENGTH + b"\r\n" + BODY, 200),
    ):
        heard = say(server, request)
        assert (heard.statuses, heard.closed) == ([status], True), (name, heard)
        assert heard.text.lower().count(b"\r\nconnection: close\r\n") == 1, (name, heard)


def test_a_body_that_was_read_or_is_none_leaves_the_connection_open(server: Server) -> None:
    """A client does not have to connect for each request."""
    read = POST + LENGTH + b"\r\n" + BODY
    for request in (read, GET + b"\r\n", GET + b"Content-Length: 0\r\n\r\n"):
        heard = say(server, request + request)
        assert (len(heard.statuses), heard.closed) == (2, False), heard
        assert b"connection: close" not in heard.text.lower()


# Slow clients


@dataclass(frozen=True)
class Slow:
    """A slow client.

    Attributes:
        first: what it sends first.
        then: what it sends every second after that.
        statuses: the answers that it gets.
        within: the seconds after which the connection must be closed.
    """

    first: bytes
    then: bytes
    statuses: list[int]
    within: float

    def be_slow(self, server: Server, heard: dict[str, Heard], name: str) -> None:
        """Send slowly until the server closes the connection, and note what came back."""
        quiet = self.within + 1
        drops = [self.then] * int(quiet) if self.then else []
        heard[name] = say(server, self.first, *drops, pause=1.0, quiet=quiet)


SLOW = {
    "a connection and not a word": Slow(b"", b"", [], 12),
    "the first letter of HTTP/2": Slow(b"P", b"", [], 12),
    "a header that never ends": Slow(GET, b"X-Slow: a\r\n", [], 12),
    "a line that never ends": Slow(GET + b"X-Slow: ", b"a", [], 12),
    "a first byte and no more": Slow(b"G", b"", [], 12),
    "a body that does not come": Slow(POST + LENGTH + b"\r\n", b"", [408], 12),
    "a body that drips": Slow(POST + b"Content-Length: 99\r\n\r\n", b" ", [408], 12),
    "chunks that drip": Slow(POST + CHUNKED + b"\r\n", b"1\r\n \r\n", [408], 12),
    "an unread body that drips": Slow(
        POST.replace(b"signin", b"nowhere") + b"Content-Length: 99\r\n\r\n", b" ", [404], 12
    ),
    "an answer and no more requests": Slow(GET + b"\r\n", b"", [200], 17),
    "an answer and half a request": Slow(GET + b"\r\nGET /", b"a", [200], 17),
}


def test_whoever_is_slow_is_cut_off_and_others_are_served_meanwhile(server: Server) -> None:
    """The limits are 10 s for the header, 10 s for the body, and 15 s between requests.

    All slow clients run at the same time, so the test takes as long as the slowest.
    """
    heard: dict[str, Heard] = {}
    clients = [
        threading.Thread(target=slow.be_slow, args=(server, heard, name))
        for name, slow in SLOW.items()
    ]
    for client in clients:
        client.start()
    for _ in range(5):
        assert say(server, GET + b"Connection: close\r\n\r\n").seconds < 2
    for client in clients:
        client.join()

    for name, slow in SLOW.items():
        assert (heard[name].statuses, heard[name].closed) == (slow.statuses, True), name
        assert heard[name].seconds < slow.within, (name, heard[name])
