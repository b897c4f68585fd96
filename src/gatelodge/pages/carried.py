"""What one answer leaves for the next page: a notice, or a form that was refused.

A POST is answered with a redirect, so the page that follows must learn what happened. A cookie
carries it: encrypted, so that nobody can forge it or read it, and emptied when the page is shown,
so that a reload does not show it again. Passwords are never in it.
"""

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from starlette.requests import Request

from gatelodge.clock import Clock
from gatelodge.errors import ConfigurationError
from gatelodge.master_key import MasterKey
from gatelodge.pages.forms import Form
from gatelodge.pages.html import Site
from gatelodge.web.cookie_jar import Cookie, cookie_jar

LIFE = timedelta(minutes=2)
"""How long something is carried. The redirect follows at once."""

EMPTY = "-"
"""The value of a cookie that carries nothing. It shows that the browser keeps cookies."""

_EMPTY_LIFE = timedelta(days=1)
_PURPOSE = "pages"
_MAX_CHARACTERS = 3600  # browsers keep at least 4096 bytes, name and attributes included


@dataclass(frozen=True, slots=True)
class Carried:
    """What is carried to a page.

    Attributes:
        notice: the key of a notice in `NOTICES`; empty: none.
        form: the refused form without its secrets, or None.
        status: the status of the refusal.
        headers: the headers of the refusal.
    """

    notice: str = ""
    form: Form | None = None
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Carrier:
    """Carries what one answer leaves for the next page of the same browser."""

    key: MasterKey
    site: Site
    clock: Clock

    def carry(self, request: Request, path: str, carried: Carried) -> bool:
        """Leave something for the page with this path. False if it does not fit into a cookie."""
        sealed = self.seal(path, carried)
        if len(sealed) > _MAX_CHARACTERS:
            return False
        self._set(request, sealed, LIFE)
        return True

    def take(self, request: Request) -> Carried:
        """Return what was left for the page that is requested, and empty the cookie."""
        value = request.cookies.get(self.site.cookie("page"), EMPTY)
        carried = self.unseal(request.scope["path"], value)
        if carried is None:
            return Carried()
        self._set(request, EMPTY, _EMPTY_LIFE)
        return carried

    def keeps_cookies(self, request: Request) -> bool:
        """Say whether this browser has sent a cookie: then it keeps what is carried."""
        return bool(request.cookies)

    def try_cookies(self, request: Request) -> None:
        """Set an empty cookie, so that the next request shows whether the browser keeps it."""
        if not self.keeps_cookies(request):
            self._set(request, EMPTY, _EMPTY_LIFE)

    def seal(self, path: str, carried: Carried) -> str:
        """Return a text that only `unseal` can read, for the same path."""
        form = carried.form
        content = {
            "until": (self.clock.now() + LIFE).isoformat(),
            "notice": carried.notice,
            "form": form and form.without_secrets(),
            "status": carried.status,
            "headers": carried.headers,
        }
        plain = json.dumps(content, ensure_ascii=False).encode("utf-8", "replace")
        return urlsafe_b64encode(self.key.seal(_PURPOSE, plain, path.encode())).decode()

    def unseal(self, path: str, text: str) -> Carried | None:
        """Return what `seal` sealed for this path, or None if the text is anything else."""
        try:
            sealed = urlsafe_b64decode(text.encode("latin-1"))
            content = json.loads(self.key.unseal(_PURPOSE, sealed, path.encode()))
        except (ConfigurationError, ValueError):
            return None
        if self.clock.now() >= datetime.fromisoformat(content["until"]):
            return None
        form = content["form"] and Form(**content["form"])
        return Carried(content["notice"], form, content["status"], content["headers"])

    def _set(self, request: Request, value: str, life: timedelta) -> None:
        name, secure = self.site.cookie("page"), self.site.secure
        cookie_jar(request.scope).add(Cookie(name, value, life, secure=secure))
