"""Declared routes: exact path templates and methods, each with the condition for callers."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal, TypeAlias

from starlette._utils import get_route_path
from starlette.convertors import CONVERTOR_TYPES
from starlette.routing import compile_path

from gatelodge.gate.conditions import Condition, Names, asking, condition_for
from gatelodge.gate.rules import ANYBODY, SIGNED_IN
from gatelodge.methods import Level
from gatelodge.web.shell import Scope

Default: TypeAlias = Literal["public", "signed in"]

WEBSOCKET = "WEBSOCKET"
"""Stands in the place of a method."""

ANY_METHOD = "*"

_METHOD = re.compile(r"[A-Z]+|\*")
_SLASHES = re.compile("/{2,}")
_EVERYTHING = re.compile("")


public = Condition(ANYBODY)
"""Anybody may call the route."""

signed_in = Condition(SIGNED_IN)
"""Everybody who is signed in may call the route."""


def require(
    *,
    role: Names = (),
    permission: Names = (),
    fresh: timedelta | None = None,
    methods: Names = (),
    aal: Level = 1,
) -> Condition:
    """Return the condition that admits only users who meet all of these.

    Args:
        role: the role that the user must hold, as text or as a member of an enum; of several, one
            is enough.
        permission: the permission that the user must have, likewise.
        fresh: how long ago the user may have proved who they are, at most.
        methods: how the user must have proved it (`amr`; RFC 8176), such as `otp`; of several, one
            is enough.
        aal: how sure the proof must be: 2 needs a second factor, or a passkey.

    Raises:
        ValueError: there is no condition, a name is empty, or there is no such level.
    """
    condition = condition_for(role, permission, fresh, methods, aal)
    return asking(condition, otherwise="signed_in")


@dataclass(frozen=True, slots=True, eq=False)
class Declared:
    """One declared route: who may make the requests that fit it.

    Attributes:
        method: the method, `*` or `WEBSOCKET`.
        path: the path template as declared; empty: the default, for what no declared route fits.
        exact: fits the paths.
        plain: fits the paths as frameworks read them that do not tell slashes apart.
        condition: who may make the requests.
    """

    method: str
    path: str
    exact: re.Pattern[str]
    plain: re.Pattern[str]
    condition: Condition

    @property
    def says_nothing(self) -> bool:
        """Whether it is the default that lets in everybody, so that nobody chose it for a route."""
        return not self.path and self.condition.rule.public

    def takes(self, method: str) -> bool:
        """Say whether the declaration holds for a method."""
        others = {"HEAD": {"GET", ANY_METHOD}, WEBSOCKET: set[str]()}.get(method, {ANY_METHOD})
        return self.method == method or self.method in others


class Rules:
    """The declared routes of an application, in the order in which they were declared.

    Attributes:
        routes: the declared routes.
    """

    def __init__(self, routes: Mapping[str, Condition], default: Default) -> None:
        """Read the routes: `{"DELETE /notes/{number:int}": require(role="moderator")}`.

        Raises:
            TypeError: what stands beside a route is no condition.
            ValueError: a route or the default cannot be read.
        """
        if default not in ("public", "signed in"):
            raise ValueError('default= is "public" or "signed in": what holds for other routes.')
        otherwise = public if default == "public" else signed_in
        self._default = Declared(ANY_METHOD, "", _EVERYTHING, _EVERYTHING, otherwise)
        self.routes = [_read(route, condition) for route, condition in routes.items()]
        self._of: dict[str, list[Declared]] = {
            method: [route for route in self.routes if route.takes(method)]
            for method in {"HEAD", *(route.method for route in self.routes)}
        }
        self._are_plain = all(route.exact == route.plain for route in self.routes)

    def conditions(self, scope: Scope) -> set[Condition]:
        """Return the conditions for a request, of which all must be met."""
        return {each.condition for each in self.deciding(scope)}

    def deciding(self, scope: Scope) -> list[Declared]:
        """Return what decides about a request: the conditions of all must be met.

        The first is what fits the path as it is.

        Frameworks differ in how they read a path: some cut off the slash at its end, or take
        several slashes for one. A request must be admitted by the route of each reading.
        """
        method = WEBSOCKET if scope["type"] == "websocket" else _method_of(scope)
        path = get_route_path(scope)
        cut = scope["path"].removeprefix(scope.get("root_path", ""))
        readings = {_plain(path), _plain(cut)}
        if self._are_plain:
            readings.discard(path)  # it is read the same in both ways
        found = [self._find(method, path, exact=True)]
        return found + [self._find(method, each, exact=False) for each in readings]

    def _find(self, method: str, path: str, *, exact: bool) -> Declared:
        of_any_method = () if method == WEBSOCKET else self._of.get(ANY_METHOD, ())
        for route in self._of.get(method, of_any_method):
            pattern = route.exact if exact else route.plain
            if pattern.match(path):
                return route
        return self._default


def _method_of(scope: Scope) -> str:
    """Return the method of an HTTP request; one that is called as a WebSocket is like any other."""
    method: str = scope["method"].upper()
    return ANY_METHOD if method == WEBSOCKET else method


def _read(route: str, condition: Condition) -> Declared:
    if not isinstance(condition, Condition):
        raise TypeError(f"{route!r} needs a condition: public, signed_in or require(...).")
    method, _, path = route.partition(" ")
    if not _METHOD.fullmatch(method) or not path.startswith("/"):
        raise ValueError(f'{route!r} is no route. Write "GET /notes/{{number}}", for example.')
    for kind in re.findall(r"{[^{}:]*:([^{}]*)}", path):
        if kind not in CONVERTOR_TYPES:
            known = ", ".join(CONVERTOR_TYPES)
            raise ValueError(f"{route!r} has a part of the kind {kind!r}; there are {known}.")
    return Declared(method, path, compile_path(path)[0], compile_path(_plain(path))[0], condition)


def _plain(path: str) -> str:
    """Return a path with one slash in place of several, and none at its end."""
    return "/" + _SLASHES.sub("/", path).strip("/")
