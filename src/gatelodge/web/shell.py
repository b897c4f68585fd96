"""The shell: the outermost layer, with the limits and headers of all requests and answers."""

import asyncio
import logging
import secrets
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from ipaddress import IPv6Address
from typing import Any, TypeAlias

from starlette.responses import Response

from gatelodge.errors import InvalidRequest, NoSuchRoute, Refusal
from gatelodge.hang_up import told_by
from gatelodge.settings import Hsts
from gatelodge.web.cookie_jar import cookie_jar
from gatelodge.web.refusals import (
    BodyTooLarge,
    BodyTooSlow,
    HeadersTooLarge,
    InternalError,
    MisdirectedRequest,
    UriTooLong,
)
from gatelodge.web.responses import refusal_response

Scope: TypeAlias = MutableMapping[str, Any]
Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
App: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]
Headers: TypeAlias = list[tuple[bytes, bytes]]
CorsHeadersFor: TypeAlias = Callable[[Iterable[tuple[bytes, bytes]]], Headers]
"""Returns the CORS headers of an answer, given the headers of the request."""
ClientOf: TypeAlias = Callable[[str, Headers], str]
"""Returns the client's address, given the peer's address and the headers of the request."""

MAX_BODY_BYTES = 16 * 1024
MAX_TARGET_BYTES = 4 * 1024
MAX_HEADER_BYTES = 8 * 1024
MAX_HEADERS_BYTES = 16 * 1024
MAX_HEADERS = 64
BODY_SECONDS = 10.0

REQUEST_ID = "gatelodge.request_id"
"""The key of the request's id in the ASGI scope."""

BARE = "gatelodge.bare"
"""The key in the ASGI scope that says whether the answer has no body, because of HEAD."""

INSTALLED = "gatelodge.installed"
"""The key in the ASGI scope of what says whether an application has a path of the house; a server
of its own has all of them, and no such key."""

LOOPBACK = frozenset({b"localhost", b"127.0.0.1", b"[::1]"})
_IDS_PER_BATCH = 256
_PROBES = frozenset({"/healthz", "/readyz", "/metrics"})
"""Asked by address, by whatever runs the server; the last one answers nobody without its token."""

_HTTP_1_0 = ("1.0", "1")
"""HTTP/1.0, as the ASGI specification says and as Granian says."""

API_HEADERS: dict[bytes, bytes] = {
    b"cache-control": b"no-store",
    b"x-content-type-options": b"nosniff",
    b"content-security-policy": (
        b"default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
    ),
    b"referrer-policy": b"no-referrer",
    b"cross-origin-resource-policy": b"same-origin",
}
_TWO_YEARS = b"max-age=63072000"
_TLS_ONLY: dict[Hsts, dict[bytes, bytes]] = {
    "off": {},
    "host": {b"strict-transport-security": _TWO_YEARS},
    "subdomains": {b"strict-transport-security": _TWO_YEARS + b"; includeSubDomains"},
}


def _compressed(address: bytes) -> bytes:
    """Return an IPv6 address in brackets in its shortest form; anything else as it is."""
    try:
        return f"[{IPv6Address(address.strip(b'[]').decode('ascii')).compressed}]".encode()
    except ValueError:
        return address


def _json_answer(scope: Scope, refusal: Refusal) -> Response:
    return refusal_response(refusal, scope[REQUEST_ID])


class Shell:
    """ASGI middleware around the whole application.

    The shell gives each request an id, refuses requests that are too large, too slow or for another
    host, and adds the headers of security.md, section 10, to every answer. An unexpected exception
    is logged and answered with a bare 500.
    """

    def __init__(
        self,
        app: App,
        *,
        hosts: Iterable[str],
        hsts: Hsts,
        refuse: Callable[[Scope, Refusal], Response] = _json_answer,
        cors_headers: CorsHeadersFor | None = None,
        client_of: ClientOf = lambda peer, _headers: peer,
    ) -> None:
        """Wrap `app`.

        Args:
            app: the wrapped ASGI application.
            hosts: the host names to answer for, besides loopback; `*`: any.
            hsts: what browsers shall reach over TLS only; `off` where users do not use TLS.
            refuse: returns the answer to a refusal of the shell.
            cors_headers: returns the CORS headers of each answer; None: there are none.
            client_of: returns the address of the client, which may be behind a proxy.
        """
        self._app = app
        self._cors_headers = cors_headers or (lambda _asked: [])
        self._client_of = client_of
        self._refuse = refuse
        self._request_ids: list[bytes] = []
        names = {host.lower().encode() for host in hosts}
        self._hosts = None if b"*" in names else LOOPBACK | names
        self._headers = API_HEADERS | _TLS_ONLY[hsts]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        scope[REQUEST_ID] = self.new_request_id().decode()
        if peer := scope.get("client"):
            scope["client"] = (self._client_of(peer[0], scope["headers"]), peer[1])
        scope[BARE] = scope["method"] == "HEAD"
        body = _Body(scope, receive)
        answer = _Answer(send, self, scope, body)
        if scope[BARE]:
            scope["method"] = "GET"  # GET routes answer HEAD too; `_Answer` leaves the body out
        try:
            self._check(scope)
            with told_by(body.until_gone):
                await self._app(scope, body, answer)
        except Refusal as refusal:
            await self._refuse(scope, refusal)(scope, receive, answer)
        except asyncio.CancelledError:
            if not body.ended_work():
                raise
        except Exception:
            details = {"request_id": scope[REQUEST_ID], "path": scope["path"][:256]}
            logging.getLogger("gatelodge").exception("request.failed", extra={"details": details})
            if not answer.started:
                await self._refuse(scope, InternalError())(scope, receive, answer)
            elif not answer.complete:
                raise  # the server then closes the connection

    def _check(self, scope: Scope) -> None:
        target = scope.get("raw_path") or scope["path"].encode()
        if len(target) + len(scope["query_string"]) > MAX_TARGET_BYTES:
            raise UriTooLong
        if "\n" in scope["path"]:  # the router's `$` also matches before a line end
            raise NoSuchRoute
        headers: Headers = scope["headers"]
        sizes = [len(name) + len(value) for name, value in headers]
        if len(sizes) > MAX_HEADERS or sum(sizes) > MAX_HEADERS_BYTES:
            raise HeadersTooLarge
        if sizes and max(sizes) > MAX_HEADER_BYTES:
            raise HeadersTooLarge
        _check_lengths(headers)
        named = [value for name, value in headers if name == b"host"]
        is_probe = scope["path"] in _PROBES
        if is_probe and scope.get("http_version") in _HTTP_1_0 and named in ([], [b""]):
            return  # HTTP/1.0 has no Host header
        if len(named) != 1 or not named[0]:  # Granian hands over an empty one where there is none
            raise InvalidRequest("The request names no host, or more than one.")
        if not is_probe and not self.answers_for(named[0]):
            raise MisdirectedRequest

    def new_request_id(self) -> bytes:
        """Return a new request id with 128 random bits."""
        if not self._request_ids:
            self._request_ids = _new_request_ids()
        return self._request_ids.pop()

    def answers_for(self, host: bytes) -> bool:
        """Say whether the value of a Host header, with or without a port, names this server."""
        if self._hosts is None:
            return True
        name, colon, port = host.lower().rpartition(b":")
        name = name if colon and port.isdigit() else host.lower()
        if name.startswith(b"["):
            name = _compressed(name)
        return name.removesuffix(b".") in self._hosts

    def complete(
        self, given: Iterable[tuple[bytes, bytes]], asked: Iterable[tuple[bytes, bytes]] = ()
    ) -> Headers:
        """Return the headers of an answer, with the common headers added.

        Args:
            given: the headers of the answer.
            asked: the headers of the request.
        """
        headers = list(given)
        present = {name for name, _ in headers}
        headers += [pair for pair in self._headers.items() if pair[0] not in present]
        return headers + self._cors_headers(asked)


def _new_request_ids() -> list[bytes]:
    """Return a batch of request ids; one call for random bytes costs less than many."""
    digits = secrets.token_hex(16 * _IDS_PER_BATCH).encode()
    return [b"req_" + digits[at : at + 32] for at in range(0, len(digits), 32)]


def _check_lengths(headers: Headers) -> None:
    """Refuse an ambiguous length (RFC 9112, section 6.3), and a body that is too large."""
    lengths = [value for name, value in headers if name == b"content-length"]
    codings = [value for name, value in headers if name == b"transfer-encoding"]
    if codings and [coding.strip().lower() for coding in codings] != [b"chunked"]:
        raise InvalidRequest("The request has a transfer coding other than chunked.")
    if len(lengths) > 1 or (lengths and codings):
        raise InvalidRequest("The request states its length twice.")
    if lengths and not lengths[0].isdigit():
        raise InvalidRequest("The request states no length that can be read.")
    if lengths and (len(lengths[0]) > 18 or int(lengths[0]) > MAX_BODY_BYTES):
        raise BodyTooLarge


class _Body:
    """The body of a request; it is refused when it gets too large or too slow."""

    def __init__(self, scope: Scope, receive: Receive) -> None:
        self._scope = scope
        self._receive = receive
        self._left = MAX_BODY_BYTES
        self._deadline = 0.0
        self._complete = False
        self._gone = False

    async def __call__(self) -> Message:
        """Return the next message of the request."""
        if self._complete:
            return await self._receive()
        message = await self._in_time()
        if message["type"] == "http.disconnect":
            raise InvalidRequest("The body ended before all of it had come.")
        if message["type"] == "http.request":
            self._left -= len(message.get("body", b""))
            if self._left < 0:
                raise BodyTooLarge
            self._complete = not message.get("more_body", False)
        return message

    async def until_gone(self) -> None:
        """Return when the client has hung up. This does not show before the whole body has come."""
        if not self._complete:
            await asyncio.Event().wait()  # for ever: the next messages belong to the route
        while not self._gone:
            message = await self._receive()
            self._gone = message["type"] == "http.disconnect"

    def ended_work(self) -> bool:
        """Say whether this task was cancelled because the client has hung up (`hang_up.py`)."""
        task = asyncio.current_task()
        return self._gone and task is not None and task.uncancel() == 0

    @property
    def unread(self) -> bool:
        """Whether a part of the body was not read."""
        return not self._complete and any(
            name == b"transfer-encoding" or (name == b"content-length" and value != b"0")
            for name, value in self._scope["headers"]
        )

    async def _in_time(self) -> Message:
        loop = asyncio.get_running_loop()
        self._deadline = self._deadline or loop.time() + BODY_SECONDS
        try:
            async with asyncio.timeout_at(self._deadline):
                return await self._receive()
        except TimeoutError:
            raise BodyTooSlow from None


class _Answer:
    """Sends the answer, and adds the headers that all answers carry."""

    def __init__(self, send: Send, shell: Shell, scope: Scope, body: _Body) -> None:
        self._send = send
        self._shell = shell
        self._scope = scope
        self._body = body
        self.started = False
        self.complete = False

    async def __call__(self, message: Message) -> None:
        """Send one message of the answer."""
        if message["type"] == "http.response.start":
            self.started = True
            message["headers"] = self._complete(message.get("headers", ()))
        elif self._scope[BARE] and message["type"] == "http.response.body":
            message["body"] = b""
        await self._send(message)
        self.complete = message["type"] == "http.response.body" and not message.get("more_body")

    def _complete(self, given: Iterable[tuple[bytes, bytes]]) -> Headers:
        headers = self._shell.complete(given, self._scope["headers"])
        headers.append((b"x-request-id", self._scope[REQUEST_ID].encode()))
        headers += cookie_jar(self._scope).headers
        if self._body.unread:
            # The server closes the connection after such a request. Without this header, the client
            # could send its next request there, and lose it (RFC 9112, section 9.6).
            headers.append((b"connection", b"close"))
        return headers
