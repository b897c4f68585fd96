"""Forms that wait on the server while their sender proves again who they are."""

import json
from dataclasses import dataclass
from datetime import timedelta

from gatelodge.clock import Clock
from gatelodge.credentials.one_time_tokens import OneTimeTokenStore, new_token
from gatelodge.ids import UserId
from gatelodge.pages.forms import Form

LIFE = timedelta(minutes=10)
"""How long a form waits."""


@dataclass(frozen=True, slots=True)
class WaitingForms:
    """Keeps the last such form of each user.

    Attributes:
        tokens: where they wait.
        clock: what time it is.
    """

    tokens: OneTimeTokenStore
    clock: Clock

    async def keep(self, user_id: UserId, path: str, form: Form) -> None:
        """Keep a form without its secrets; it replaces the one before."""
        _, token = new_token(
            "again",
            user_id,
            self.clock.now(),
            LIFE,
            {"path": path, "form": json.dumps(form.without_secrets())},
        )
        await self.tokens.put(token)

    async def take(self, user_id: UserId, path: str) -> Form | None:
        """Return the form that waits for the page with this path, which happens once; else None."""
        now = self.clock.now()
        token = await self.tokens.find("again", user_id)
        if token is None or token.expires_at <= now or token.facts["path"] != path:
            return None
        if not await self.tokens.consume("again", user_id, token.digest, now):
            return None
        return Form(**json.loads(token.facts["form"]))
