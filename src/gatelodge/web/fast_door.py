"""The fast door: answers usual checks before FastAPI, from memory if memory knows the token.

The fast door only admits requests; it never refuses one. It passes every other request on to
FastAPI: one with another method, query or header than usual, with a token that is not good, or
without a role or permission that it needs. FastAPI has the same routes and gives byte for
byte the same answers; a test compares them.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from gatelodge.errors import Refusal
from gatelodge.gate.gate import Gate
from gatelodge.gate.identity import identity_headers, rule_asked_for
from gatelodge.gate.principal import Principal
from gatelodge.gate.rules import SIGNED_IN, Rule
from gatelodge.recent import Recent
from gatelodge.web.admission import ask
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
    """An ASGI application in front of the shell. It answers usual checks."""

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
            gate: the gate, which knows the callers.
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
        usual = None if route is None else self._read(scope, route)
        if route is None or usual is None:
            await self._shell(scope, receive, send)
            return
        token, asked = usual
        caller = None
        if token and not route.rule.public:
            caller = self._gate.recall(token) or await self._ask(scope, token)
        headers = self._headers_for(route, caller, asked)
        if headers is None:
            await self._shell(scope, receive, send)
            return
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send(route.end)

    def _read(self, scope: Scope, route: FastRoute) -> tuple[bytes, Rule] | None:
        """Return the token of a usual request and the rule it asks for; None: it is unusual.

        The token is empty if the request has none.
        """
        if scope.get("method") != "GET":
            return None
        query = scope["query_string"]
        asked = self._rule_in(query, route) if query else SIGNED_IN
        token = self._token_in(scope["headers"])
        return None if asked is None or token is None else (token, asked)

    async def _ask(self, scope: Scope, token: bytes) -> Principal | None:
        """Return the caller, whom memory does not know; None: the route must refuse them."""
        try:
            caller = await ask(self._gate, scope, token.decode("latin-1"))
        except Exception:  # noqa: BLE001 - raised again for the route
            return None
        return None if caller.held_back else caller

    def _headers_for(
        self, route: FastRoute, caller: Principal | None, asked: Rule
    ) -> Headers | None:
        """Return the headers of the answer, or None if the caller may not have it."""
        identity: Headers = []
        if not route.rule.public:
            if caller is None or not route.rule.permits(caller.roles, caller.permissions):
                return None
            if caller.impersonation and not route.rule.admits_impersonator(changes=False):
                return None
            if not asked.permits(caller.roles, caller.permissions):
                return None
            if route.identity:
                identity = identity_headers(caller)
        return [*identity, *route.headers, (b"x-request-id", self._shell.new_request_id())]

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
