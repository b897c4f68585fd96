"""Declared routes: exact path templates and methods, each with the condition for callers."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal, TypeAlias

from starlette._utils import get_route_path
from starlette.convertors import CONVERTOR_TYPES
from starlette.routing import compile_path

from gatelodge.gate.conditions import Names, rule_for
from gatelodge.gate.rules import ANYBODY, SIGNED_IN, Rule
from gatelodge.web.shell import Scope

Default: TypeAlias = Literal["public", "signed in"]

WEBSOCKET = "WEBSOCKET"
"""Stands in the place of a method."""

ANY_METHOD = "*"

_METHOD = re.compile(r"[A-Z]+|\*")
_SLASHES = re.compile("/{2,}")


@dataclass(frozen=True, slots=True)
class Condition:
    """Who may call a route.

    Attributes:
        rule: the role and permission that are required.
        fresh: how long ago the user may have proved who they are, at most; None: any time.
    """

    rule: Rule
    fresh: timedelta | None = None


public = Condition(ANYBODY)
"""Anybody may call the route."""

signed_in = Condition(SIGNED_IN)
"""Everybody who is signed in may call the route."""


def require(
    *, role: Names = (), permission: Names = (), fresh: timedelta | None = None
) -> Condition:
    """Return the condition that admits only users who meet all of these.

    Args:
        role: the role that the user must hold, as text or as a member of an enum; of several, one
            is enough.
        permission: the permission that the user must have, likewise.
        fresh: how long ago the user may have proved who they are, at most. Only Gatelodge in the
            same process knows it.

    Raises:
        ValueError: there is no condition, or a name is empty.
    """
    rule = rule_for(role, permission)
    if not rule.can_lack and fresh is None:
        raise ValueError("require() needs a condition; signed_in admits everybody signed in.")
    return Condition(rule, fresh)


@dataclass(frozen=True, slots=True)
class _Route:
    method: str
    exact: re.Pattern[str]
    plain: re.Pattern[str]
    condition: Condition


class Rules:
    """The declared routes of an application, in the order in which they were declared."""

    def __init__(self, routes: Mapping[str, Condition], default: Default) -> None:
        """Read the routes: `{"DELETE /notes/{number:int}": require(role="moderator")}`.

        Raises:
            TypeError: what stands beside a route is no condition.
            ValueError: a route or the default cannot be read.
        """
        if default not in ("public", "signed in"):
            raise ValueError('default= is "public" or "signed in": what holds for other routes.')
        self._default = public if default == "public" else signed_in
        self._routes = [_read(route, condition) for route, condition in routes.items()]

    @property
    def need_proof(self) -> bool:
        """Whether a route asks for a fresh proof of who it is."""
        return any(route.condition.fresh is not None for route in self._routes)

    def conditions(self, scope: Scope) -> set[Condition]:
        """Return the conditions for a request, of which all must be met.

        Frameworks differ in how they read a path: some cut off the slash at its end, or take
        several slashes for one. A request must be admitted by the route of each reading.
        """
        method = WEBSOCKET if scope["type"] == "websocket" else scope["method"]
        path = get_route_path(scope)
        cut = scope["path"].removeprefix(scope.get("root_path", ""))
        found = {self._find(method, path, exact=True)}
        return found | {self._find(method, _plain(each), exact=False) for each in {path, cut}}

    def _find(self, method: str, path: str, *, exact: bool) -> Condition:
        for named in _names_of(method):
            for route in self._routes:
                pattern = route.exact if exact else route.plain
                if route.method == named and pattern.match(path):
                    return route.condition
        return self._default


def _names_of(method: str) -> Iterator[str]:
    """Yield the methods whose declaration holds for a request, the nearest first."""
    yield method
    if method == "HEAD":
        yield "GET"
    if method != WEBSOCKET:
        yield ANY_METHOD


def _read(route: str, condition: Condition) -> _Route:
    if not isinstance(condition, Condition):
        raise TypeError(f"{route!r} needs a condition: public, signed_in or require(...).")
    method, _, path = route.partition(" ")
    if not _METHOD.fullmatch(method) or not path.startswith("/"):
        raise ValueError(f'{route!r} is no route. Write "GET /notes/{{number}}", for example.')
    for kind in re.findall(r"{[^{}:]*:([^{}]*)}", path):
        if kind not in CONVERTOR_TYPES:
            known = ", ".join(CONVERTOR_TYPES)
            raise ValueError(f"{route!r} has a part of the kind {kind!r}; there are {known}.")
    return _Route(method, compile_path(path)[0], compile_path(_plain(path))[0], condition)


def _plain(path: str) -> str:
    """Return a path with one slash in place of several, and none at its end."""
    return "/" + _SLASHES.sub("/", path).strip("/")
