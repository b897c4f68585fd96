"""Calls every route of an application as every kind of caller, and compares with its rules."""

import contextlib
import secrets
import tempfile
from collections.abc import AsyncIterator, Collection, Iterable, Iterator
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from starlette.applications import Starlette

from gatelodge.app import House, build
from gatelodge.data_folder import DATABASE
from gatelodge.embedded.doorman import Doorman
from gatelodge.embedded.inside import Embedded
from gatelodge.errors import ConfigurationError
from gatelodge.routes.access import Access
from gatelodge.routes.callers import Caller, Cast
from gatelodge.routes.calls import Answer, Running, started
from gatelodge.routes.layers import application_in, middleware_around
from gatelodge.routes.report import Line, examine
from gatelodge.routes.samples import samples_of
from gatelodge.settings import Settings


@dataclass(frozen=True, slots=True)
class Finding:
    """A route that does not keep its rule, or has none.

    Attributes:
        line: the route.
        problem: what is wrong.
    """

    line: Line
    problem: str

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return {
            "method": self.line.method,
            "path": self.line.path,
            "host": self.line.host or None,
            "rule": None if self.line.access is None else self.line.access.words,
            "problem": self.problem,
            "where": self.line.where,
        }


@dataclass(slots=True)
class Proof:
    """What came of calling every route.

    Attributes:
        routes: how many routes were called, each method on its own.
        calls: how many calls were made.
        skipped: how many routes were left out.
        findings: what is wrong, in the order of the routes.
    """

    routes: int = 0
    calls: int = 0
    skipped: int = 0
    findings: list[Finding] = field(default_factory=list)


async def prove(app: Any, *, public: Collection[str] = (), skip: Collection[str] = ()) -> Proof:
    """Start an application beside a temporary database, call its routes, and say what is wrong.

    The routes do what they do: only the database of Gatelodge is not the one in use.

    Args:
        app: the application, with Gatelodge inside; it must not run.
        public: as for `examine`.
        skip: paths of routes that are not called; with `*` for any text.

    Raises:
        ConfigurationError: the application does not start, or no Gatelodge is installed in it.
    """
    lines = examine(app, public=public)
    source = _source_of(app)
    proof = Proof(findings=[Finding(line, line.problem) for line in lines if line.problem])
    called = [line for line in lines if _can_be_called(line)]
    chosen = [line for line in called if not any(fnmatchcase(line.path, each) for each in skip)]
    proof.routes, proof.skipped = len(chosen), len(called) - len(chosen)
    with tempfile.TemporaryDirectory(prefix="gatelodge-prove-") as folder:
        settings = _settings_in(Path(folder))
        accesses = [line.access for line in chosen if line.access is not None]
        with source.elsewhere(settings):
            async with _built(source.settings()) as house:
                cast = await Cast.of(house, accesses)
            async with started(app) as state:
                house = _house_of(source)
                stage = _Stage(Running(app, state, house.settings.public_origin), house, cast)
                for line in chosen:
                    proof.findings += [Finding(line, each) for each in await stage.problems(line)]
                proof.calls = stage.calls
    order = {id(line): number for number, line in enumerate(lines)}
    proof.findings.sort(key=lambda each: order[id(each.line)])
    return proof


def _source_of(app: Any) -> Embedded:
    """Return what tells the application who makes a request.

    Raises:
        ConfigurationError: nothing does, or a server somewhere else does.
    """
    found = application_in(app)
    around: list[Any] = found.user_middleware if isinstance(found, Starlette) else []
    sources = [each.kwargs.get("source") for each in around if each.cls is Doorman]
    if isinstance(found, Starlette) and found.middleware_stack is None:  # as at its start
        found.middleware_stack = found.build_middleware_stack()
    sources += [each.source for each in middleware_around(app)]
    if not sources:
        raise ConfigurationError(
            "No Gatelodge is installed in the application. Call auth.install(app) after "
            "app = FastAPI(...), or put GatelodgeMiddleware around it."
        )
    source = sources[0]
    if not isinstance(source, Embedded):
        raise ConfigurationError(
            "The application asks a Gatelodge server beside it. Prove it with Gatelodge "
            "inside: without the address of the server."
        )
    return source


def _house_of(source: Embedded) -> House:
    """Return the house that the application has started.

    Raises:
        ConfigurationError: it has started none.
    """
    try:
        return source.house
    except RuntimeError as error:
        raise ConfigurationError(f"The application does not start Gatelodge. {error}") from None


def _can_be_called(line: Line) -> bool:
    """Say whether requests reach a route that has a rule of the application's."""
    return line.access is not None and not line.unreached and line.kind != "gatelodge"


def _settings_in(folder: Path) -> dict[str, Any]:
    """Return settings that keep everything in a folder."""
    return {
        "data_dir": folder,
        "database": str(folder / DATABASE),
        "secret_key": secrets.token_urlsafe(32),
    }


@contextlib.asynccontextmanager
async def _built(settings: Settings) -> AsyncIterator[House]:
    """Open a house over a new database, before the application does."""
    house = build(settings)
    house.stores.database.migrate()
    async with house.open():
        yield house


@dataclass(slots=True)
class _Stage:
    """The running application, and the callers.

    Attributes:
        calls: how many calls were made.
    """

    running: Running
    house: House
    cast: Cast
    calls: int = 0
    _tokens: dict[str, str | None] = field(default_factory=dict)

    async def problems(self, line: Line) -> list[str]:
        """Call a route as everybody, and return what is wrong, a sentence each."""
        access = line.access
        assert access is not None, "only routes with a rule are called"  # noqa: S101
        if line.sample is None:
            return ["it was not called: no path was found that it answers"]
        wrong: dict[str, list[str]] = {}
        for caller in self.cast.callers:
            answer = await self._answer(line, caller, access)
            if said := _wrong(answer, admitted=caller.is_admitted_by(access)):
                wrong.setdefault(said, []).append(caller.name)
        named = [said.format(", ".join(names)) for said, names in wrong.items()]
        return [*self._impossible(access), *named]

    async def _answer(self, line: Line, caller: Caller, access: Access) -> Answer:
        """Return how a route answers a caller.

        A call before may have ended the caller's session, or it has expired. So a refusal counts
        only with a new one.
        """
        answer = await self._call(line, caller)
        if answer.refuses and caller.user is not None and caller.is_admitted_by(access):
            self._tokens.pop(caller.name, None)
            answer = await self._call(line, caller)
        return answer

    async def _call(self, line: Line, caller: Caller) -> Answer:
        if caller.name not in self._tokens:
            self._tokens[caller.name] = await caller.token(self.house)
        self.calls += 1
        method, path = line.sample or ("GET", "/")
        host = next(samples_of(line.host)) if line.host else ""
        return await self.running.call(method, path, token=self._tokens[caller.name], host=host)

    def _impossible(self, access: Access) -> Iterator[str]:
        """Yield why nobody can meet a rule: a name that no role or permission can have."""
        names: Iterable[str] = sorted(set().union(*access.roles, *access.permissions))
        for name in names:
            if name in self.cast.impossible:
                yield f"{name} cannot exist: {self.cast.impossible[name].removesuffix('.')}"


def _wrong(answer: Answer, *, admitted: bool) -> str:
    """Return what is wrong with an answer, with a place for the callers; empty: nothing."""
    if admitted:
        return f"refuses {{}} ({answer}), whom its rule admits" if answer.refuses else ""
    if answer.refuses:
        return ""
    if answer.lets_in:
        return f"admits {{}} ({answer}), whom its rule refuses"
    why = f" ({answer.why})" if answer.why else ""
    text = f"{answer}{why}".replace("{", "{{").replace("}", "}}")
    return f"answers {{}} with {text}, not with 401 or 403"
