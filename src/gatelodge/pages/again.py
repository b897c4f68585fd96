"""Forms that wait on the server while their sender proves again who they are."""

import json
from dataclasses import dataclass
from datetime import timedelta

from starlette.requests import Request

from gatelodge.clock import Clock
from gatelodge.credentials.one_time_tokens import OneTimeTokenStore, digest_of, new_token
from gatelodge.ids import UserId
from gatelodge.pages.forms import Form
from gatelodge.pages.html import Site
from gatelodge.web.cookie_jar import Cookie, cookie_jar

LIFE = timedelta(minutes=10)
"""How long a form waits."""


@dataclass(frozen=True, slots=True)
class WaitingForms:
    """Keeps the last such form of each user, for the browser that sent it.

    Whoever has stolen a session of the user can send a form, too. The user must not find it on
    their own page after the proof: so a secret in a cookie says which browser it came from.

    Attributes:
        tokens: where they wait.
        clock: what time it is.
        site: names the cookie.
    """

    tokens: OneTimeTokenStore
    clock: Clock
    site: Site

    async def keep(self, request: Request, user_id: UserId, form: Form) -> None:
        """Keep a form that was posted, without its secrets; it replaces the one before."""
        secret, token = new_token(
            "again",
            user_id,
            self.clock.now(),
            LIFE,
            {"path": request.scope["path"], "form": json.dumps(form.without_secrets())},
        )
        await self.tokens.put(token)
        self._set(request, secret, LIFE)

    async def take(self, request: Request, user_id: UserId, path: str) -> Form | None:
        """Return the form of this browser for the page with this path, which happens once."""
        secret = request.cookies.get(self.site.cookie("waiting"))
        token = await self.tokens.find("again", user_id) if secret else None
        if secret is None or token is None or token.facts["path"] != path:
            return None
        if not await self.tokens.consume("again", user_id, digest_of(secret), self.clock.now()):
            return None
        self._set(request, "", timedelta(0))
        return Form(**json.loads(token.facts["form"]))

    def _set(self, request: Request, secret: str, life: timedelta) -> None:
        name, secure = self.site.cookie("waiting"), self.site.secure
        cookie_jar(request.scope).add(Cookie(name, secret, life, secure=secure))
