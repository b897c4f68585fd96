"""Says in the log why cookies do not work in an application beside the server."""

import logging
import os
import re

from starlette.requests import HTTPConnection

_SETTINGS = (
    "GATELODGE_DELIVERY",
    "GATELODGE_COOKIE_NAME",
    "GATELODGE_COOKIE_DOMAIN",
    "GATELODGE_COOKIE_SAME_SITE",
    "GATELODGE_CORS_ORIGINS",
)
_OURS = re.compile(rb"(?:^|[;\s])((?:__Host-|__Secure-)?gatelodge-(?:access|refresh)(?:-\d+)?)=")
_INSTEAD = (
    'A page sends the token in the Authorization header, or a proxy asks the server: see "A server '
    'of its own" in the guide on FastAPI.'
)


class ForeignCookies:
    """Tells once what is wrong, so that nobody has to guess why a browser gets 401."""

    def __init__(self, issuer: str) -> None:
        """Tell of the cookies of the server at this address."""
        self._issuer = issuer
        self._told = False

    def at_start(self) -> None:
        """Log which settings of cookies were made here, where they have no effect."""
        made = [name for name in _SETTINGS if os.environ.get(name)]
        if made:
            logging.getLogger("gatelodge").warning(
                "%s: no effect in this application. The server at %s has its own settings, and its "
                "cookies do not count here. %s",
                ", ".join(made),
                self._issuer,
                _INSTEAD,
            )

    def at_request(self, connection: HTTPConnection) -> None:
        """Log, once, that a request without a token brings a cookie of the server."""
        if self._told:
            return
        lines = [value for name, value in connection.scope["headers"] if name == b"cookie"]
        found = next((match for line in lines if (match := _OURS.search(line))), None)
        if found is not None:
            self._told = True
            logging.getLogger("gatelodge").warning(
                "A request brought the cookie %s and no token in a header: nobody is signed in. "
                "The cookies of the server at %s do not count here. %s",
                found[1].decode(),
                self._issuer,
                _INSTEAD,
            )
