"""The fast door: answers usual checks from memory, before FastAPI.

The fast door only admits requests; it never refuses one. It passes every other request on to
FastAPI: one with another method, query or header than usual, with a token that memory does not
know, or without a role or permission that it needs. FastAPI has the same routes and gives byte for
byte the same answers; a test compares them.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from gatelodge.errors import Refusal
from gatelodge.gate.gate import Gate
from gatelodge.gate.identity import identity_headers, rule_asked_for
from gatelodge.gate.principal import Principal
from gatelodge.gate.recent import Recent
from gatelodge.gate.rules import SIGNED_IN, Rule
from gatelodge.web.cookies import read_cookies
from gatelodge.web.shell import Headers, Message, Receive, Scope, Send, Shell

_MAX_REMEMBERED = 256
_USUAL_BYTES = 8 * 1024
_USUAL_HEADERS = 64
_USUAL_QUERY_BYTES = 1024

_READ = frozenset({b"host", b"authorization", b"x-access-token", b"cookie"})

# Headers of requests that the shell must see: another origin, a body, another protocol.
_UNUSUAL = frozenset({b"origin", b"content-length", b"transfer-encoding", b"expect", b"upgrade"})


@dataclass(frozen=True, slots=True)
class FastRoute:
    """A path that the fast door answers.

    Attributes:
        rule: who may call the route.
        headers: the headers of the answer, all except the request's id.
        end: the ASGI message with the body of the answer.
        identity: whether this is forward-auth: the answer names the caller, and the query may ask
            for roles and permissions.
    """

    rule: Rule
    headers: Headers
    end: Message
    identity: bool = False


class FastDoor:
    """An ASGI application in front of the shell. It answers usual checks from memory."""

    def __init__(
        self,
        shell: Shell,
        gate: Gate,
        cookies: tuple[bytes, bytes],
        routes: Mapping[str, FastRoute],
    ) -> None:
        """Answer requests for these routes; pass all others to the shell.

        Args:
            shell: the application that answers all other requests.
            gate: the gate whose memory knows the callers.
            cookies: the names of the access token's and the refresh token's cookie.
            routes: the routes that are answered here, by path.
        """
        self._shell = shell
        self._gate = gate
        self._cookies = cookies
        self._routes = routes
        self._hosts: set[bytes] = set()
        self._queries: Recent[bytes, Rule] = Recent(_MAX_REMEMBERED)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or pass it to the shell."""
        route = self._routes.get(scope.get("path", ""))
        headers = None if route is None else self._headers_for(scope, route)
        if route is None or headers is None:
            await self._shell(scope, receive, send)
            return
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send(route.end)

    def _headers_for(self, scope: Scope, route: FastRoute) -> Headers | None:
        """Return the headers of the answer, or None if the shell must answer the request."""
        if scope.get("method") != "GET":
            return None
        query = scope["query_string"]
        asked = self._rule_in(query, route) if query else SIGNED_IN
        token = self._token_in(scope["headers"])
        if asked is None or token is None:
            return None
        request_id = (b"x-request-id", self._shell.new_request_id())
        if route.rule.public:
            return [*route.headers, request_id]
        principal = self._recall(token, route.rule, asked)
        if principal is None:
            return None
        if route.identity:
            return [*identity_headers(principal), *route.headers, request_id]
        return [*route.headers, request_id]

    def _recall(self, token: bytes, rule: Rule, asked: Rule) -> Principal | None:
        """Return the caller if memory knows that they may; None: the shell must decide."""
        try:
            principal = self._gate.recall(token) if token else None
        except Refusal:
            return None
        if principal is None or not rule.permits(principal.roles, principal.permissions):
            return None
        return principal if asked.permits(principal.roles, principal.permissions) else None

    def _token_in(self, headers: Headers) -> bytes | None:
        """Return the token of a usual request, empty without a token; None: it is unusual."""
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
        host = read.get(b"host", b"")
        if not host or (host not in self._hosts and not self._answers_for(host)):
            return None
        bearer, plain = read.get(b"authorization"), read.get(b"x-access-token")
        if bearer is None:
            return self._token_in_cookie(read.get(b"cookie", b"")) if plain is None else plain
        usual = plain is None and (bearer[:7] == b"Bearer " or bearer[:7].lower() == b"bearer ")
        return bearer[7:] if usual else None

    def _token_in_cookie(self, cookie: bytes) -> bytes | None:
        try:
            return read_cookies([cookie], self._cookies).get(self._cookies[0], b"")
        except Refusal:
            return None

    def _answers_for(self, host: bytes) -> bool:
        """Say whether the shell answers for a Host header; remember the hosts that it accepts."""
        answers = self._shell.answers_for(host)
        if answers:
            if len(self._hosts) == _MAX_REMEMBERED:
                self._hosts.clear()
            self._hosts.add(host)
        return answers

    def _rule_in(self, query: bytes, route: FastRoute) -> Rule | None:
        """Return the rule that the query asks for; None: the query is unusual."""
        if not route.identity or len(query) > _USUAL_QUERY_BYTES:
            return None
        rule = self._queries.find(query)
        if rule is None and (rule := rule_asked_for(query)) is not None:
            self._queries.put(query, rule)
        return rule
