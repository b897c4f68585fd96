"""Flask: who makes a request, and who may use a route.

auth = Gatelodge("https://id.example.com", app)

@app.get("/notes")
@require(role="editor")
def notes():
    return [f"The notes of {current_user.username}"]
"""

from collections.abc import Callable
from datetime import timedelta
from functools import wraps
from typing import ParamSpec, TypeVar, cast
from weakref import WeakSet

from flask import Flask, Response, current_app, jsonify, request
from werkzeug.local import LocalProxy

from gatelodge.client import IssuerUnavailable, NotSignedIn, Refusal, SyncVerifier, User
from gatelodge.client.verifier import DEFAULT_FRESHNESS
from gatelodge.gate.conditions import Condition, Names, condition_for
from gatelodge.gate.refusals import Forbidden, NoToken
from gatelodge.methods import Level
from gatelodge.web.bearer import token_in
from gatelodge.web.refusals import NOBODY_FOR_APPLICATIONS
from gatelodge.web.responses import plain_answer

__all__ = [
    "Forbidden",
    "Gatelodge",
    "IssuerUnavailable",
    "NotSignedIn",
    "Refusal",
    "SyncVerifier",
    "User",
    "current_user",
    "maybe_user",
    "require",
]

P = ParamSpec("P")
R = TypeVar("R")

_EXTENSION = "gatelodge"
_USER = "gatelodge.user"
"""The key in the WSGI environment of a request. No header of a client comes under such a name."""

_TOKEN_HEADERS = ("Authorization", "X-Access-Token")


class Gatelodge:
    """The extension that tells a Flask application who makes a request.

    The access token is read from `Authorization: Bearer …` or `X-Access-Token`. Cookies are not
    read. Every `Refusal` becomes a JSON answer; an `errorhandler` of the application for a
    narrower class, such as `NotSignedIn`, takes its place.
    """

    def __init__(
        self,
        issuer: str | SyncVerifier | None = None,
        app: Flask | None = None,
        *,
        freshness: timedelta | None = DEFAULT_FRESHNESS,
    ) -> None:
        """Prepare the extension, and install it if the application is given.

        Args:
            issuer: the public address of the server, or a verifier that was made before. None: the
                application's configuration has it under `GATELODGE_ISSUER`.
            app: the application.
            freshness: how old the answer to who is signed in may be; see `SyncVerifier`.

        Raises:
            ValueError: `issuer` is not an address as it must be.
        """
        self._issuer = issuer
        self._freshness = freshness
        if app is not None:
            self.init_app(app)

    def init_app(self, app: Flask) -> None:
        """Install the extension in an application.

        Raises:
            RuntimeError: the application has it already, or no issuer is named.
            ValueError: the issuer is not an address as it must be.
        """
        if _EXTENSION in app.extensions:
            raise RuntimeError("Gatelodge is installed in this application already.")
        issuer = self._issuer or app.config.get("GATELODGE_ISSUER")
        if not issuer:
            raise RuntimeError("Name the issuer: Gatelodge(…), or GATELODGE_ISSUER in app.config.")
        if not isinstance(issuer, SyncVerifier):
            issuer = SyncVerifier(issuer, freshness=self._freshness)
        app.extensions[_EXTENSION] = issuer
        app.before_request(_check_order)
        app.register_error_handler(Refusal, _answer)


def require(
    *,
    role: Names = (),
    permission: Names = (),
    fresh: timedelta | None = None,
    methods: Names = (),
    aal: Level = 1,
) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Return a decorator that admits only users who meet all conditions; without any, all users.

    It stands below `@app.get(…)`. In a class-based view it is one of `decorators`.

    Args:
        role: the role that the user must hold, as text or as a member of an enum; of several, one
            is enough.
        permission: the permission that the user must have, likewise.
        fresh: how long ago the user may have proved who they are, at most.
        methods: how the user must have proved it (`amr`; RFC 8176), such as `otp`; of several, one
            is enough.
        aal: how sure the proof must be: 2 needs a second factor, or a passkey.

    Raises:
        ValueError: a name is empty, or there is no such level.
    """
    condition = condition_for(role, permission, fresh, methods, aal)

    def decorate(view: Callable[P, R]) -> Callable[P, R]:
        _guarded.add(view)

        @wraps(view)
        def guarded(*args: P.args, **kwargs: P.kwargs) -> R:
            _admit(condition)
            return cast("R", current_app.ensure_sync(view)(*args, **kwargs))

        return guarded

    return decorate


def maybe_user() -> User | None:
    """Return the user who makes the request, or None if nobody is signed in.

    Raises:
        IssuerUnavailable: nobody can say at this moment who is signed in.
    """
    try:
        return _find_user()
    except NOBODY_FOR_APPLICATIONS:
        return None


def _current_user() -> User:
    user = _find_user()
    if user is None:
        raise NoToken
    return user


current_user = cast("User", LocalProxy(_current_user))
"""The user who makes the request. Using it refuses the request if nobody is signed in."""


def _find_user() -> User | None:
    """Return the user of the request, or None without a token. It is found once for a request."""
    user: User | None = request.environ.get(_USER)
    if user is None and (token := _token()) is not None:
        user = request.environ[_USER] = _verifier().check(token)
    return user


def _token() -> str | None:
    return token_in(
        (name.lower().encode(), value.encode("latin-1"))
        for name in _TOKEN_HEADERS
        for value in request.headers.getlist(name)
    )


def _verifier() -> SyncVerifier:
    verifier: SyncVerifier | None = current_app.extensions.get(_EXTENSION)
    if verifier is None:
        raise RuntimeError("Install Gatelodge in this application: Gatelodge(…).init_app(app).")
    return verifier


def _admit(condition: Condition) -> None:
    condition.check(_current_user(), _verifier().clock)


_guarded: WeakSet[Callable[..., object]] = WeakSet()
"""The functions that stand below a `@require`."""


def _check_order() -> None:
    """Refuse to serve a route whose `@require` stands above `@app.get`: it would guard nothing.

    Raises:
        RuntimeError: it does.
    """
    view = current_app.view_functions.get(request.endpoint or "")
    if view in _guarded:
        raise RuntimeError(
            f"Put @require below @app.route: the route {request.endpoint!r} is not guarded."
        )


def _answer(refusal: Refusal) -> Response:
    status, body, headers = plain_answer(refusal)
    answer = jsonify(body)
    answer.status_code = status
    answer.headers.update(headers)
    return answer
