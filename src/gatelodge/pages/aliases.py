"""Where addresses lead that people guess: names of pages elsewhere, and a slash at the end."""

from collections.abc import Mapping

from starlette.requests import Request

ALIASES: Mapping[str, str] = {
    "/docs": "/api/docs",
    "/login": "/sign-in",
    "/log-in": "/sign-in",
    "/signin": "/sign-in",
    "/logout": "/sign-out",  # a page that asks; only its button signs out
    "/log-out": "/sign-out",
    "/signout": "/sign-out",
    "/signup": "/sign-up",
    "/register": "/sign-up",
}
"""The page that is meant, by the address that was asked for."""


def meant_by(request: Request, base: str) -> str | None:
    """Return the address of the page that this GET request probably means, or None.

    The address is one of our own, so nobody can make it lead to another site.

    Args:
        request: a request whose path no route has.
        base: the path of the public address.
    """
    if request.scope["method"] != "GET":
        return None
    path = request.scope["path"].rstrip("/") or "/"
    pages = {
        route.path
        for route in request.app.state.routes
        if route.method == "GET" and not route.path.startswith("/api/")
    }
    page = ALIASES.get(path, path)
    if page not in pages and page not in ALIASES.values():
        return None
    page, query = f"{base}{page}", request.url.query
    return f"{page}?{query}" if query else page
