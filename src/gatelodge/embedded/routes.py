"""How the routes of the house stand among those of an application."""

from collections.abc import Iterable
from typing import Any

from starlette._utils import get_route_path
from starlette.routing import BaseRoute, Match, compile_path

from gatelodge.web.shell import INSTALLED, Receive, Scope, Send

_KEPT = (
    "type",
    "asgi",
    "http_version",
    "method",
    "scheme",
    "raw_path",
    "query_string",
    "headers",
    "client",
    "server",
    "extensions",
)
"""What the house sees of a request: what the server said of it, and nothing of the application."""


class HouseRoutes(BaseRoute):
    """All routes of the house, as one route of the application.

    It comes first, so that no page of the application hides the sign-in page, and it matches exact
    paths only. Everything else belongs to the application.

    Attributes:
        source: its `app` answers the requests.
        prefix: the path below which the routes are; usually empty.
    """

    def __init__(
        self, source: Any, paths: Iterable[str], prefix: str, outside: Iterable[str] = ()
    ) -> None:
        """Stand for these routes.

        Args:
            source: its `app` answers the requests.
            paths: the paths of the routes, without the prefix.
            prefix: the path below which they are.
            outside: the paths of routes that are not below the prefix.
        """
        self.prefix = prefix
        self.paths = frozenset([*(prefix + path for path in paths), *outside])
        self.source = source
        self._exact = frozenset(path for path in self.paths if "{" not in path)
        self._patterns = [compile_path(path)[0] for path in self.paths - self._exact]

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Say whether a request is for one of the routes."""
        if scope["type"] != "http":
            return Match.NONE, {}
        path = get_route_path(scope)
        if path.removeprefix(self.prefix) in self.source.absent:
            return Match.NONE, {}
        return (Match.FULL, {}) if self._has(path) else (Match.NONE, {})

    def _has(self, path: str) -> bool:
        return path in self._exact or any(each.fullmatch(path) for each in self._patterns)

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request: with a scope of its own, which nobody else writes to."""
        path = get_route_path(scope).removeprefix(self.prefix)
        inner = {name: scope[name] for name in _KEPT if name in scope}
        inner[INSTALLED] = lambda path: self._has(self.prefix + path)
        await self.source.app({**inner, "path": path, "root_path": ""}, receive, send)
