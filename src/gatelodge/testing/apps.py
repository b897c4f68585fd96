"""Finds the application under test, and the Gatelodge in it."""

import pkgutil
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from fastapi import FastAPI
from starlette.routing import BaseRoute

from gatelodge.embedded.inside import Embedded
from gatelodge.embedded.routes import HouseRoutes


class UnusableApp(Exception):
    """The application under test cannot be used; the text says what to do."""


def load_app(name: str, root: Path) -> FastAPI:
    """Return the application of this name, such as `myapp.main:app`.

    A function, such as `myapp.main:create_app`, is called, and returns the application.

    Args:
        name: the module, a colon, and the name in it.
        root: the folder of the project; its modules can be imported then.

    Raises:
        UnusableApp: there is no application of this name.
    """
    module, _, attribute = name.partition(":")
    if not module or not attribute:
        raise UnusableApp(f"gatelodge_app = {name!r}: write it as module:name, like myapp:app.")
    if str(root) not in sys.path:
        sys.path.insert(0, str(root))
    try:
        found = pkgutil.resolve_name(name)
    except (ModuleNotFoundError, AttributeError) as error:
        if isinstance(error, ModuleNotFoundError) and not _is_part_of(error.name, module):
            raise  # the application imports what is not installed
        raise UnusableApp(f"gatelodge_app = {name!r}: {error}.") from error
    if not isinstance(found, FastAPI) and callable(found):
        found = found()
    if not isinstance(found, FastAPI):
        raise UnusableApp(f"gatelodge_app = {name!r} is a {type(found).__name__}, not a FastAPI.")
    return found


def source_of(app: FastAPI) -> Embedded:
    """Return what tells the application who makes a request.

    Raises:
        UnusableApp: no Gatelodge is installed in the application, or it is a server beside it.
    """
    for route in _all_routes(app.routes):
        if isinstance(route, HouseRoutes):
            if isinstance(route.source, Embedded):
                return route.source
            raise UnusableApp(
                "The application asks a Gatelodge server beside it. Its tests need Gatelodge "
                "inside: make it with Gatelodge(None) there, and with the address in use."
            )
    raise UnusableApp(
        "No Gatelodge is installed in the application. Call auth.install(app) before the tests use "
        "the fixtures of Gatelodge."
    )


def _is_part_of(missing: str | None, module: str) -> bool:
    """Return whether a module that is missing is the one that was named, or a package around it."""
    return f"{module}.".startswith(f"{missing}.")


def _all_routes(routes: Iterable[BaseRoute]) -> Iterator[BaseRoute]:
    """Yield the routes, and those of mounted applications."""
    for route in routes:
        yield route
        yield from _all_routes(getattr(route, "routes", None) or ())
