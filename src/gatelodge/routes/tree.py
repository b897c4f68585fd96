"""The real tree of an application's routes, and which of them answers a request."""

import dataclasses
import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from fastapi.routing import iter_route_contexts
from starlette.applications import Starlette
from starlette.endpoints import HTTPEndpoint
from starlette.routing import Host, Match, Mount, Route, Router, WebSocketRoute
from starlette.staticfiles import StaticFiles

from gatelodge.app import DOORS
from gatelodge.asgi.middleware import GatelodgeMiddleware
from gatelodge.asgi.rules import Declared, Rules
from gatelodge.embedded.routes import HouseRoutes
from gatelodge.gate.conditions import Condition
from gatelodge.routes.access import Access
from gatelodge.routes.guards import UNGUARDED, Guards, Overrides
from gatelodge.routes.layers import application_in, chain, layers_of, middleware_around
from gatelodge.web.shell import Scope

Kind: TypeAlias = Literal["route", "documentation", "gatelodge", "files", "unknown"]
"""`unknown`: an application or a route that nobody can look into."""

WEBSOCKET = "WS"
"""What stands in the place of the method of a WebSocket."""

ANY = "ANY"
"""What stands in the place of the method of a route that answers all methods."""

_REST = "/{path:path}"
_HTTP_METHODS = ("get", "head", "post", "put", "patch", "delete", "options", "trace")


@dataclass(frozen=True, slots=True, eq=False)
class Leaf:
    """One method of a route, or a WebSocket.

    Attributes:
        method: the HTTP method, `WS` or `ANY`.
        path: the path from the root of the application, with its parameters as declared.
        host: the host as declared; empty: the route answers for every host.
        where: the module and the name of the function that answers.
        kind: what it is.
        guards: the guards of the route.
        annotations: the types of the path parameters.
    """

    method: str
    path: str
    host: str
    where: str
    kind: Kind = "route"
    guards: Guards = UNGUARDED
    annotations: Mapping[str, Any] = field(default_factory=dict)

    @property
    def access(self) -> Access | None:
        """Who may call; None: nobody says so."""
        if self.kind == "documentation" and self.guards.declared is None:
            return Access(public=True)
        return self.guards.declared


@dataclass(frozen=True, slots=True, eq=False)
class Declarations:
    """The declared routes of one `GatelodgeMiddleware`.

    Attributes:
        rules: the declared routes.
        path: the path below which the middleware is.
        host: the host for which it is asked; empty: for every one.
    """

    rules: Rules
    path: str = ""
    host: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class Entry:
    """One entry of a router: a route, or what is mounted there.

    Attributes:
        matches: says whether it answers a request.
        leaves: the methods of a route.
        inside: what is mounted there.
        declarations: what each middleware of ours says that lies around it, from the outside in.
    """

    matches: Callable[[Scope], tuple[Match, Scope]]
    leaves: tuple[Leaf, ...] = ()
    inside: "Level | None" = None
    declarations: tuple[Declarations, ...] = ()


Way: TypeAlias = tuple[Entry, ...]
"""The entries that lead to a route: the mounts that it is in, then its own."""


def leads(way: Way, scope: Scope) -> bool:
    """Say whether a request would come this way if nothing else caught it."""
    for entry in way:
        match, child = entry.matches(scope)
        if match != Match.FULL:
            return False
        scope = {**scope, **child}
    return True


def deciding(way: Way, scope: Scope) -> list[Declared]:
    """Return what decides about a request that comes this way, in each middleware of ours."""
    found: list[Declared] = []
    for entry in way:
        scope = {**scope, **entry.matches(scope)[1]}
        for each in entry.declarations:
            found += each.rules.deciding(scope)
    return found


@dataclass(frozen=True, slots=True, eq=False)
class Level:
    """The entries of one router, in the order in which it asks them.

    Attributes:
        entries: the routes.
        late: what is asked when no route fits the path: frontends, then the router's default.
    """

    entries: tuple[Entry, ...]
    late: tuple[Entry, ...] = ()

    def every(self, above: Way = ()) -> Iterator[tuple[Way, Leaf]]:
        """Yield every leaf with the entries that lead to it, in order."""
        for entry in (*self.entries, *self.late):
            way = (*above, entry)
            yield from ((way, leaf) for leaf in entry.leaves)
            if entry.inside is not None:
                yield from entry.inside.every(way)

    def answering(self, scope: Scope) -> Entry | None:
        """Return the entry that answers a request, as Starlette finds it; None: none does."""
        fits_but_for_the_method = False
        for entry in self.entries:
            match, child = entry.matches(scope)
            if match == Match.FULL:
                return entry.inside.answering({**scope, **child}) if entry.inside else entry
            fits_but_for_the_method |= match == Match.PARTIAL
        if fits_but_for_the_method:
            return None
        return next((each for each in self.late if each.matches(scope)[0] == Match.FULL), None)


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a router stands in the whole.

    Attributes:
        path: the path below which it is.
        host: the host it answers for; empty: every one.
        overrides: what replaces the dependencies of its routes.
        above: the routers that it is in, so that one that is in itself ends somewhere.
    """

    path: str = ""
    host: str = ""
    overrides: Overrides = field(default_factory=dict)
    above: tuple[int, ...] = ()


def walk(app: Any) -> Level | None:
    """Return the routes of an application; None: it is of no kind that is known."""
    found = application_in(app)
    around = middleware_around(app)
    if found is not None:
        level = _level(found, _Place())
    elif around:
        level = Level((_unknown(app, _Place()),))
    else:
        return None
    return _behind(around, level, _Place())


def _unknown(app: Any, place: "_Place") -> Entry:
    """Return the entry of an application that nobody can look into."""
    *_, innermost = layers_of(app)
    where = _name(innermost if inspect.isroutine(innermost) else type(innermost))
    leaf = Leaf(ANY, place.path + _REST, place.host, where, "unknown")
    return Entry(_everything, (leaf,))


def _behind(around: Iterable[GatelodgeMiddleware], level: Level, place: "_Place") -> Level:
    """Return what a request meets: the routes of each middleware of ours, then what is inside."""
    for middleware in reversed(list(around)):
        declared = Declarations(middleware.rules, place.path, place.host)
        house = Entry(middleware.house.matches, tuple(_of_house(middleware.house, place)))
        level = Level((house, Entry(_everything, inside=level, declarations=(declared,))))
    return level


def _everything(_scope: Scope) -> tuple[Match, Scope]:
    return Match.FULL, {}


def _level(app: Starlette | Router, place: _Place) -> Level:
    router: Any = app.router if isinstance(app, Starlette) else app
    place = dataclasses.replace(
        place, overrides=_overrides(router), above=(*place.above, id(router))
    )
    entries = [_entry(context, place) for context in iter_route_contexts(router.routes)]
    late = [*_frontends(router, place), *_default(router, place)]
    return Level(tuple(entries), tuple(late))


def _overrides(route_or_router: Any) -> Overrides:
    """Return what replaces the dependencies of a route, or of the routes of a router."""
    provider = getattr(route_or_router, "dependency_overrides_provider", None)
    return getattr(provider, "dependency_overrides", None) or {}


def _entry(context: Any, place: _Place) -> Entry:
    """Return the entry of one route, with what routers above it have added."""
    original = context.original_route
    if isinstance(original, Mount):
        base = getattr(context, "_base_app", context.app)
        return _mounted(context, base, dataclasses.replace(place, path=place.path + context.path))
    if isinstance(original, Host):
        return _mounted(context, context.app, dataclasses.replace(place, host=context.host))
    if isinstance(original, HouseRoutes):
        return Entry(original.matches, tuple(_of_house(original, place)))
    if isinstance(original, Route | WebSocketRoute):
        around = chain(getattr(original, "app", None))
        declared = tuple(Declarations(each.rules, place.path, place.host) for each in around)
        return Entry(context.matches, tuple(_of_route(context, place)), declarations=declared)
    path = place.path + (getattr(context, "path", None) or _REST)
    leaf = Leaf(ANY, path, place.host, _name(type(original)), "unknown")
    return Entry(context.matches, (leaf,))


def _mounted(context: Any, app: Any, place: _Place) -> Entry:
    """Return the entry of a mounted application; its routes, if it is of a known kind."""
    around = middleware_around(context.app)
    found = application_in(app)
    router = found.router if isinstance(found, Starlette) else found
    if found is not None and id(router) not in place.above:
        level = _level(found, place)
    elif isinstance(app, StaticFiles):
        path, where = place.path + _REST, _name(type(app))
        leaves = [Leaf(each, path, place.host, where, "files") for each in _READ]
        level = Level((Entry(_everything, tuple(leaves)),))
    else:
        level = Level((_unknown(app, place),))
    return Entry(context.matches, inside=_behind(around, level, place))


def _of_route(context: Any, place: _Place) -> Iterator[Leaf]:
    """Yield a leaf for each method of a route."""
    dependant = getattr(context, "dependant", None)
    overrides = place.overrides
    if hasattr(context, "dependency_overrides_provider"):
        overrides = _overrides(context)
    guards = Guards.of(dependant, overrides)
    endpoint = context.endpoint
    documents = getattr(endpoint, "__qualname__", "").startswith("FastAPI.setup.")
    kind: Kind = "documentation" if documents and _module(endpoint) == _FASTAPI else "route"
    types = {
        each.name: each.field_info.annotation
        for each in (dependant.path_params if dependant is not None else ())
    }
    for method in _methods(context):
        path, where = place.path + context.path, _name(endpoint) if kind == "route" else "fastapi"
        yield Leaf(method, path, place.host, where, kind, guards, types)


def _methods(context: Any) -> list[str]:
    if isinstance(context.original_route, WebSocketRoute):
        return [WEBSOCKET]
    if context.methods:
        return sorted(context.methods)
    endpoint = context.endpoint
    if inspect.isclass(endpoint) and issubclass(endpoint, HTTPEndpoint):
        own = {name.upper() for name in _HTTP_METHODS if hasattr(endpoint, name)}
        return sorted(own | ({"HEAD"} if "GET" in own else set()))
    return [ANY]


def _of_house(house: HouseRoutes, place: _Place) -> Iterator[Leaf]:
    """Yield a leaf for each route of Gatelodge that the application has."""
    for route in (route for door in DOORS for route in door.routes):
        for path in sorted({house.prefix + route.path, route.path} & house.paths):
            guards = Guards(Access.of([Condition(route.rule)]))
            whole = place.path + path
            yield Leaf(route.method, whole, place.host, "gatelodge", "gatelodge", guards)


def _frontends(router: Any, place: _Place) -> Iterator[Entry]:
    """Yield an entry for each `app.frontend()`, that of the longest path first."""
    found: list[tuple[int, Entry]] = []
    for group in getattr(router, "_iter_low_priority_routes", tuple)():
        original = getattr(group, "original_route", group)
        prefix = getattr(group, "frontend_prefix", "")
        guards = Guards.of(getattr(group, "dependant", None), _overrides(group))
        for route in getattr(original, "routes", ()):
            path = prefix + (route.path if route.path != "/" else "") or "/"
            whole = f"{place.path}{path.rstrip('/')}{_REST}"
            leaves = [Leaf(each, whole, place.host, "frontend", "files", guards) for each in _READ]
            longest_first = 0 if path == "/" else -len(path)
            found.append((longest_first, Entry(_with_path(route, path), tuple(leaves))))
        if not hasattr(original, "routes"):
            leaf = Leaf(ANY, place.path + _REST, place.host, _name(type(original)), "unknown")
            found.append((0, Entry(group.matches, (leaf,))))
    found.sort(key=lambda each: each[0])
    yield from (entry for _, entry in found)


def _with_path(route: Any, path: str) -> Callable[[Scope], tuple[Match, Scope]]:
    def matches(scope: Scope) -> tuple[Match, Scope]:
        found: tuple[Match, Scope] = route.matches_with_path(scope, path)
        return found

    return matches


def _default(router: Any, place: _Place) -> Iterator[Entry]:
    """Yield an entry for an application that answers what no route does."""
    usual = getattr(router.default, "__func__", None) is Router.not_found
    if not usual:
        leaf = Leaf(ANY, place.path + _REST, place.host, _name(router.default), "unknown")
        yield Entry(_everything, (leaf,))


_FASTAPI = "fastapi.applications"
_READ = ("GET", "HEAD")


def _module(thing: Any) -> str:
    return getattr(thing, "__module__", None) or ""


def _name(thing: Any) -> str:
    """Return the module and the name of a function or class, or of the class of an object."""
    while hasattr(thing, "func"):  # functools.partial
        thing = thing.func
    if not hasattr(thing, "__qualname__"):
        thing = type(thing)
    return f"{_module(thing)}.{thing.__qualname__}".removeprefix(".")
