"""The fast door: the answers to usual checks, straight from memory, in front of FastAPI.

It lets in and never refuses. A request that is unusual in any way (a method, a query, a header it
does not expect, a token that memory does not know, a role that is missing) goes on to FastAPI,
which has the same routes and answers byte for byte the same; a test holds the two together.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from gatelodge.errors import Refusal
from gatelodge.gate.gate import Gate
from gatelodge.gate.identity import identity_headers, roles_asked_for
from gatelodge.gate.principal import Principal, as_bytes
from gatelodge.gate.recent import Recent
from gatelodge.gate.rules import Rule
from gatelodge.web.cookies import TokenDelivery
from gatelodge.web.shell import Headers, Message, Receive, Scope, Send, Shell

_MOST_REMEMBERED = 256
_USUAL_BYTES = 8 * 1024
_USUAL_HEADERS = 64
_USUAL_QUERY_BYTES = 1024

_READ = frozenset({b"host", b"authorization", b"x-access-token", b"cookie"})

# Each of these makes a request unusual: another origin, a body, another protocol.
_UNUSUAL = frozenset({b"origin", b"content-length", b"transfer-encoding", b"expect", b"upgrade"})


@dataclass(frozen=True, slots=True)
class FastRoute:
    """A path that the fast door answers.

    Attributes:
        rule: who may call.
        headers: of the answer, complete but for the request's id.
        end: the message that carries its body.
        identity: whether the answer names the caller, and the query may ask for roles.
    """

    rule: Rule
    headers: Headers
    end: Message
    identity: bool = False


class FastDoor:
    """An ASGI application in front of the shell."""

    def __init__(
        self, shell: Shell, gate: Gate, delivery: TokenDelivery, routes: Mapping[str, FastRoute]
    ) -> None:
        """Answer for these paths; hand on everything else."""
        self._shell = shell
        self._gate = gate
        self._delivery = delivery
        self._routes = routes
        self._hosts: Recent[bytes, bool] = Recent(_MOST_REMEMBERED)
        self._queries: Recent[bytes, tuple[str, ...]] = Recent(_MOST_REMEMBERED)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or hand it on."""
        route = self._routes.get(scope.get("path", ""))
        headers = None if route is None else self._headers_for(scope, route)
        if route is None or headers is None:
            await self._shell(scope, receive, send)
            return
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send(route.end)

    def _headers_for(self, scope: Scope, route: FastRoute) -> Headers | None:
        """Return the headers of the answer; None: this is not for the fast door."""
        if scope["type"] != "http" or scope["method"] != "GET":
            return None
        query = scope["query_string"]
        asked = self._roles_in(query, route) if query else ()
        token = self._token_in(scope["headers"])
        if asked is None or token is None:
            return None
        number = (b"x-request-id", self._shell.new_request_id())
        if route.rule.public:
            return [*route.headers, number]
        principal = self._let_in(token, route.rule, asked)
        if principal is None:
            return None
        named = identity_headers(principal) if route.identity else ()
        return [*named, *route.headers, number]

    def _let_in(self, token: bytes, rule: Rule, asked: tuple[str, ...]) -> Principal | None:
        """Return who calls, where memory knows them and they may; None: somebody else decides."""
        try:
            principal = self._gate.recall(token) if token else None
        except Refusal:
            return None
        if principal is None or not rule.permits(principal.roles):
            return None
        if asked and not any(role in principal.roles for role in asked):
            return None
        return principal

    def _token_in(self, headers: Headers) -> bytes | None:
        """Return the one token of a usual request, empty where it has none; None: unusual."""
        read: dict[bytes, bytes] = {}
        size = 0
        for name, value in headers:
            size += len(name) + len(value)
            if name in _READ:
                if name in read:
                    return None
                read[name] = value
            elif name in _UNUSUAL:
                return None
        if size > _USUAL_BYTES or len(headers) > _USUAL_HEADERS:
            return None
        if not self._knows_host(read.get(b"host", b"")):
            return None
        return self._only_token(read, headers)

    def _only_token(self, read: Mapping[bytes, bytes], headers: Headers) -> bytes | None:
        bearer = read.get(b"authorization")
        plain = read.get(b"x-access-token")
        if bearer is None:
            if plain is not None:
                return plain
            return self._token_in_cookies(headers) if b"cookie" in read else b""
        if plain is not None or bearer[:7].lower() != b"bearer ":
            return None
        return bearer[7:]

    def _token_in_cookies(self, headers: Headers) -> bytes | None:
        try:
            return as_bytes(self._delivery.read(headers).access or "")
        except Refusal:
            return None

    def _knows_host(self, host: bytes) -> bool:
        known = self._hosts.find(host)
        if known is None and self._shell.answers_for(host):
            known = True
            self._hosts.put(host, known)
        return known is True

    def _roles_in(self, query: bytes, route: FastRoute) -> tuple[str, ...] | None:
        """Return the roles that the query asks for; None: it asks for something else."""
        if not route.identity or len(query) > _USUAL_QUERY_BYTES:
            return None
        roles = self._queries.find(query)
        if roles is None and (roles := roles_asked_for(query)) is not None:
            self._queries.put(query, roles)
        return roles
