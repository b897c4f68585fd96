"""Secrets that a browser keeps for one page: those of links, and its half of a code."""

import re
from dataclasses import dataclass
from datetime import timedelta

from starlette.responses import Response

from gatelodge.pages.door import Visit
from gatelodge.web.cookie_jar import Cookie, cookie_jar

_MAX_SECRET = 256


@dataclass(frozen=True, slots=True)
class Kept:
    """A secret in a cookie that the browser sends to one page only.

    Attributes:
        kind: the end of the cookie's name.
        page: the path of the page.
        life: how long the browser keeps it.
    """

    kind: str
    page: str
    life: timedelta

    def take(self, visit: Visit) -> Response | None:
        """Move the secret of a link from the address to the cookie, with a redirect.

        So the secret stays in no browser history, and no `Referer` header contains it.

        Returns:
            The redirect, or None if the address has no secret.
        """
        secret = visit.request.query_params.get("token")
        if secret is None:
            return None
        self.keep(visit, secret)
        response = visit.go(self.page)
        response.headers["Referrer-Policy"] = "no-referrer"
        return response

    def keep(self, visit: Visit, secret: str) -> None:
        """Make the answer set the cookie."""
        plain = re.sub(r"[^\w.-]", "", secret[:_MAX_SECRET], flags=re.ASCII)
        self._set(visit, plain, self.life)

    def read(self, visit: Visit) -> str:
        """Return the secret, or an empty text."""
        return visit.request.cookies.get(self._name, "")

    def forget(self, visit: Visit) -> None:
        """Make the answer delete the cookie."""
        self._set(visit, "", timedelta(0))

    @property
    def _name(self) -> str:
        return f"gatelodge-{self.kind}"

    def _set(self, visit: Visit, value: str, life: timedelta) -> None:
        site = visit.pages.site
        path = f"{site.path}{self.page}"
        jar = cookie_jar(visit.request.scope)
        jar.add(Cookie(self._name, value, life, path=path, secure=site.secure))
