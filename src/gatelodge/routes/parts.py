"""What a route is made of: one rule, or several where the declared routes divide it.

Dependencies guard a whole route. The declared routes of `gatelodge.asgi` are paths of their own:
`GET /notes/{number:int}` guards a part of `/notes/{name}`, and the default holds for the rest.
"""

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass

from gatelodge.asgi import rules
from gatelodge.asgi.rules import Declared
from gatelodge.routes.access import Access
from gatelodge.routes.guards import Guards
from gatelodge.routes.requests import requests_for
from gatelodge.routes.tree import (
    ANY,
    WEBSOCKET,
    Declarations,
    Entry,
    Leaf,
    Level,
    Way,
    deciding,
    leads,
)
from gatelodge.web.shell import Scope


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """A route, or the part of it about which the same declared routes decide.

    Attributes:
        leaf: the route, with the rule of this part.
        sample: a request that reaches it: the method and the path; None: none was found.
        instead: what answers in its place, if requests for it are answered by others.
        is_reached: whether requests reach it, as far as one can tell.
    """

    leaf: Leaf
    sample: tuple[str, str] | None
    instead: Entry | None = None
    is_reached: bool = True


@dataclass(frozen=True, slots=True, eq=False)
class Unheeded:
    """A declared route that decides about no request.

    Attributes:
        leaf: what it declares.
        instead: the declared route that decides in its place; empty: no route answers there.
    """

    leaf: Leaf
    instead: str


def parts_of(level: Level, way: Way, leaf: Leaf) -> Iterator[Part]:
    """Yield the parts of a route; most have one."""
    every = _declarations(way)
    requests = [*requests_for(leaf), *_requests_for_declared(every, leaf)]
    leading = [each for each in requests if leads(way, each[2])]
    answered = [(each, level.answering(each[2])) for each in leading]
    reaching = [each for each, answering in answered if answering is way[-1]]
    if leading and not reaching:
        yield Part(leaf, None, answered[0][1], is_reached=False)
    elif not every:
        yield Part(leaf, reaching[0][:2] if reaching else None)
    else:
        yield from _divided(way, leaf, reaching or requests, are_real=bool(reaching))


def _declarations(way: Way) -> list[Declarations]:
    return [each for entry in way for each in entry.declarations]


def _requests_for_declared(
    every: list[Declarations], leaf: Leaf
) -> Iterator[tuple[str, str, Scope]]:
    """Yield requests that fit declared routes, and may be for this route."""
    for declarations in every:
        for declared in declarations.rules.routes:
            wanted = _leaf_of(declared, declarations)
            if leaf.method == ANY:
                yield from requests_for(wanted)
            elif declared.takes(rules.WEBSOCKET if leaf.method == WEBSOCKET else leaf.method):
                yield from requests_for(dataclasses.replace(wanted, method=leaf.method))


def _leaf_of(declared: Declared, declarations: Declarations) -> Leaf:
    """Return a declared route as if it were a route of the application."""
    method = {rules.WEBSOCKET: WEBSOCKET, rules.ANY_METHOD: ANY}.get(
        declared.method, declared.method
    )
    guards = Guards(Access.of([declared.condition]))
    path = declarations.path + declared.path
    return Leaf(method, path, declarations.host, "GatelodgeMiddleware", guards=guards)


def _divided(
    way: Way, leaf: Leaf, requests: list[tuple[str, str, Scope]], *, are_real: bool
) -> Iterator[Part]:
    """Yield a part for each set of declared routes that decides about some of the requests."""
    parts: dict[tuple[Declared, ...], tuple[str, str]] = {}
    for method, path, scope in requests:
        parts.setdefault(tuple(dict.fromkeys(deciding(way, scope))), (method, path))
    shown: set[tuple[str, str]] = set()
    for those, sample in parts.items():
        part = leaf if len(parts) == 1 else _part(way, leaf, those, sample, shown)
        shown.add((part.method, part.path))
        yield Part(_guarded(part, those), sample if are_real else None)


def _part(
    way: Way,
    leaf: Leaf,
    those: tuple[Declared, ...],
    sample: tuple[str, str],
    shown: set[tuple[str, str]],
) -> Leaf:
    """Return a route with the method and path of one part.

    They are those of the declared route if it is the narrower one; else those of the route; and
    those of a request if another part is called so.
    """
    for declarations in reversed(_declarations(way)):
        for declared in declarations.rules.routes:
            if declared not in those:
                continue
            named = _leaf_of(declared, declarations)
            if leaf.method != ANY:
                named = dataclasses.replace(named, method=leaf.method)
            if all(leads(way, scope) for _, _, scope in requests_for(named)):
                leaf = dataclasses.replace(leaf, method=named.method, path=named.path)
    if (leaf.method, leaf.path) in shown:
        return dataclasses.replace(leaf, method=sample[0], path=sample[1])
    return leaf


def _guarded(leaf: Leaf, those: tuple[Declared, ...]) -> Leaf:
    """Return a route with what declared routes require besides its own guards."""
    conditions = [each.condition for each in those if not each.says_nothing]
    own = leaf.guards.declared
    whole = Access.of(conditions) if own is None else own.and_of(conditions)
    return dataclasses.replace(leaf, guards=dataclasses.replace(leaf.guards, declared=whole))


def unheeded(level: Level) -> Iterator[Unheeded]:
    """Yield the declared routes that decide about no request, and so guard nothing."""
    ways = list(level.every())
    every = dict.fromkeys(each for way, _ in ways for each in _declarations(way))
    for declarations in every:
        inside = [way for way, _ in ways if declarations in _declarations(way)]
        for declared in declarations.rules.routes:
            found = _unheeded(level, inside, declarations, declared)
            if found is not None:
                yield found


def _unheeded(
    level: Level, inside: list[Way], declarations: Declarations, declared: Declared
) -> Unheeded | None:
    """Return the declared route if it has no effect, and another rule is the weaker one."""
    leaf = _leaf_of(declared, declarations)
    own = leaf.access
    decides: Declared | None = None
    other = leaf.path.rstrip("/") if leaf.path.endswith("/") else f"{leaf.path}/"  # read as one
    for _, _, scope in (*requests_for(leaf), *requests_for(dataclasses.replace(leaf, path=other))):
        answering = level.answering(scope)
        way = next((way for way in inside if way[-1] is answering), None)
        if way is None:
            continue
        those = deciding(way, scope)
        if declared in those:
            return None
        decides = next((each for each in those if each in declarations.rules.routes), decides)
    if decides is None:
        return Unheeded(leaf, "")
    given = Access.of([decides.condition])
    if own is None or (given is not None and given.implies(own)):
        return None
    return Unheeded(leaf, f'"{decides.method} {decides.path}"')
