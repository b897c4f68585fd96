"""What `routes check` says of each route: who may call it, and what is wrong with that."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from gatelodge.errors import ConfigurationError
from gatelodge.routes.access import Access
from gatelodge.routes.parts import Part, Unheeded, parts_of, unheeded
from gatelodge.routes.samples import without_names
from gatelodge.routes.tree import ANY, Entry, Kind, Leaf, walk

NOBODY_SAYS = "nobody says who may call it"


@dataclass(frozen=True, slots=True, eq=False)
class Line:
    """What is said of one method of a route, or of a WebSocket.

    Attributes:
        method: the HTTP method; `WS` for a WebSocket, `ANY` for all methods.
        path: the path.
        host: the host; empty: every one.
        where: the module and the name of the function that answers.
        kind: what it is.
        access: who may call; None: nobody says so.
        problem: what is wrong; empty: nothing.
        unreached: what answers in its place, if no request reaches it; else empty.
        sample: a request that reaches it: the method and the path; None: none was found.
    """

    method: str
    path: str
    host: str
    where: str
    kind: Kind
    access: Access | None
    problem: str = ""
    unreached: str = ""
    sample: tuple[str, str] | None = None

    @property
    def key(self) -> tuple[str, str, str]:
        """What tells the route from others, whatever its parameters are called."""
        return self.method, self.host, without_names(self.path)

    @property
    def shown_path(self) -> str:
        """The path, with the host if there is one."""
        return f"{self.host}{self.path}" or "/"

    @property
    def words(self) -> str:
        """Who may call, in words."""
        if self.problem:
            return self.problem
        rule = NOBODY_SAYS if self.access is None else self.access.words
        if self.kind == "documentation":
            rule = f"{rule} (FastAPI's documentation)"
        return f"{rule}; never reached: {self.unreached}" if self.unreached else rule

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return {
            "method": self.method,
            "path": self.path,
            "host": self.host or None,
            "rule": self.words,
            "access": None if self.access is None else self.access.as_json(),
            "kind": self.kind,
            "reached": not self.unreached,
            "problem": self.problem or None,
            "where": self.where,
        }


def examine(app: Any, *, public: Collection[str] = ()) -> list[Line]:
    """Return a line for each route, method and WebSocket of an application, in order.

    Args:
        app: the application.
        public: paths that anybody may call, for what can have no dependency, such as mounted static
            files: as `routes check` shows them, or with `*` for any text.

    Raises:
        ConfigurationError: the application is of no known kind, or such a path fits no route that
            nobody else says who may call.
    """
    level = walk(app)
    if level is None:
        kind = type(app).__name__
        raise ConfigurationError(f"A {kind} is no application of FastAPI or Starlette.")
    unused = set(public)
    lines = [
        _line(part, public, unused)
        for way, leaf in level.every()
        for part in parts_of(level, way, leaf)
    ]
    lines += [_without_effect(each) for each in unheeded(level)]
    if unused:
        named = ", ".join(sorted(unused))
        raise ConfigurationError(f"No route that has no rule fits the public path {named}.")
    return lines


def problems_of(lines: Iterable[Line]) -> list[Line]:
    """Return the lines with something wrong."""
    return [line for line in lines if line.problem]


def _line(part: Part, public: Collection[str], unused: set[str]) -> Line:
    leaf = part.leaf
    access = _access_of(leaf, public)
    if leaf.access is None and access is not None:
        unused -= {each for each in unused if _fits(leaf, each)}
    unreached = problem = ""
    if part.is_reached:
        problem = _problem(leaf, access)
    else:
        other = _leaf_of(part.instead, leaf.method)
        unreached = "nothing answers there" if other is None else f"{_named(other)} answers instead"
        problem = _problem_of_unreached(access, other, public)
    return Line(
        leaf.method,
        leaf.path or "/",
        leaf.host,
        leaf.where,
        leaf.kind,
        access,
        problem,
        unreached,
        part.sample,
    )


def _without_effect(found: Unheeded) -> Line:
    """Return the line of a declared route that decides about no request of the application."""
    leaf = found.leaf
    why = "no route answers there"
    if found.instead:
        why = f"{found.instead} comes before it, and decides"
    access = leaf.access
    words = "" if access is None else access.words
    problem = f"{words} is declared, but {why}"
    return Line(leaf.method, leaf.path, leaf.host, leaf.where, leaf.kind, access, problem, why)


def _access_of(leaf: Leaf, public: Collection[str]) -> Access | None:
    if leaf.access is None and any(_fits(leaf, each) for each in public):
        return Access(public=True)
    return leaf.access


def _fits(leaf: Leaf, public: str) -> bool:
    path = leaf.path or "/"
    return public == path or ("*" in public and fnmatchcase(path, public))


def _problem(leaf: Leaf, access: Access | None) -> str:
    """Return what is wrong with a route that requests reach."""
    if leaf.guards.overridden:
        return f"the guard is overridden: {', '.join(leaf.guards.overridden)}"
    return NOBODY_SAYS if access is None else ""


def _problem_of_unreached(
    access: Access | None, other: Leaf | None, public: Collection[str]
) -> str:
    """Return what is wrong when another route answers: whether that admits more callers."""
    if access is None or other is None:
        return ""
    given = _access_of(other, public)
    if given is not None and given.implies(access):
        return ""
    who = NOBODY_SAYS if given is None else f"it admits {given.words}"
    return f"{access.words}, but never reached: {_named(other)} answers instead, and {who}"


def _leaf_of(entry: Entry | None, method: str) -> Leaf | None:
    """Return the leaf of an entry that answers a method."""
    leaves = () if entry is None else entry.leaves
    fitting = [leaf for leaf in leaves if leaf.method in {method, ANY}]
    return next(iter(fitting or leaves), None)


def _named(leaf: Leaf) -> str:
    return f"{leaf.method} {leaf.path or '/'} ({leaf.where})"
