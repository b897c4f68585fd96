"""What lies around an application: middleware of ours and of others."""

import inspect
from collections.abc import Iterator
from typing import Any

from starlette.applications import Starlette
from starlette.routing import Router

from gatelodge.asgi.middleware import GatelodgeMiddleware

_WRAPPERS = ("app", "_app", "application")


def application_in(app: Any) -> Starlette | Router | None:
    """Return the application inside its middleware, or None if there is none of a known kind."""
    innermost = list(layers_of(app))[-1:]
    return next((each for each in innermost if isinstance(each, Starlette | Router)), None)


def middleware_around(app: Any) -> list[GatelodgeMiddleware]:
    """Return the middleware of ours that lies around an application, from the outside in."""
    found: list[GatelodgeMiddleware] = []
    for layer in layers_of(app):
        if isinstance(layer, GatelodgeMiddleware):
            found.append(layer)
        elif isinstance(layer, Starlette):
            found += _added(layer)
    inner = application_in(app)
    router = inner.router if isinstance(inner, Starlette) else inner
    return found + ([] if router is None else chain(router.middleware_stack))


def layers_of(app: Any) -> Iterator[Any]:
    """Yield what lies around an application, from the outside in, and then the application."""
    seen: set[int] = set()
    while app is not None and id(app) not in seen:
        yield app
        if isinstance(app, Starlette | Router):
            return
        seen.add(id(app))
        inner = (getattr(app, name, None) for name in _WRAPPERS)
        app = next((each for each in inner if callable(each)), None)


def chain(app: Any) -> list[GatelodgeMiddleware]:
    """Return the middleware of ours in a chain of middleware, without what was added inside."""
    return [layer for layer in layers_of(app) if isinstance(layer, GatelodgeMiddleware)]


def _added(app: Starlette) -> list[GatelodgeMiddleware]:
    """Return the middleware that was added to an application; Starlette makes it at its start."""
    if app.middleware_stack is not None:
        return chain(app.middleware_stack)
    added: list[Any] = list(app.user_middleware)
    return [
        each.cls(app.router, *each.args, **each.kwargs)
        for each in added
        if inspect.isclass(each.cls) and issubclass(each.cls, GatelodgeMiddleware)
    ]
