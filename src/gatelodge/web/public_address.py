"""The public address: where users reach this server. A proxy may give it a path."""

from collections.abc import Iterable
from dataclasses import dataclass

from gatelodge.credentials.refusals import (
    ReauthenticationRequired,
    SecondFactorEnrolmentRequired,
)
from gatelodge.errors import ConfigurationError, Refusal
from gatelodge.web.refusals import NOBODY_SIGNED_IN
from gatelodge.web.shell import App, Receive, Scope, Send

SIGN_IN_PAGE = "/sign-in"
SIGN_IN_AGAIN = "/sign-in/again"
"""The page on which somebody who is signed in proves again who they are."""

ENROL_PAGE = "/account/authenticator/new"
"""The page on which somebody who must have a second factor adds one."""


def page_after(refusal: Refusal) -> str:
    """Return the path of the page on which the reader of a refusal can help it; empty: none."""
    if isinstance(refusal, SecondFactorEnrolmentRequired):
        return ENROL_PAGE
    if isinstance(refusal, ReauthenticationRequired) and refusal.by_any_proof:
        return SIGN_IN_AGAIN
    return SIGN_IN_PAGE if isinstance(refusal, NOBODY_SIGNED_IN) else ""


@dataclass(frozen=True, slots=True)
class PublicAddress:
    """Where users reach this server.

    Attributes:
        origin: scheme, host and port, such as `https://id.example.com`.
        path: what all addresses of the server begin with, such as `/auth`; usually empty.
    """

    origin: str
    path: str = ""

    @property
    def base(self) -> str:
        """The address without a slash at the end; it is also the `iss` of tokens."""
        return f"{self.origin}{self.path}"


class BelowPath:
    """An ASGI application below a path: the routes inside do not know of the path.

    Some proxies pass the path on, and some cut it off. Both reach the same routes.
    """

    def __init__(self, app: App, path: str, routes: Iterable[str]) -> None:
        """Wrap `app`.

        Args:
            app: the wrapped ASGI application.
            path: the path, such as `/auth`.
            routes: the paths of the routes inside.

        Raises:
            ConfigurationError: a route begins with the path, so the two could be mistaken.
        """
        if any(each == path or each.startswith(f"{path}/") for each in routes):
            raise ConfigurationError(
                f"GATELODGE_PUBLIC_URL: this server has pages of its own at {path}. Choose another "
                "path."
            )
        self._app = app
        self._path = path
        self._below = f"{path}/"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        path = scope.get("path", "")
        if path == self._path or path.startswith(self._below):
            scope["path"] = path.removeprefix(self._path) or "/"
        await self._app(scope, receive, send)
