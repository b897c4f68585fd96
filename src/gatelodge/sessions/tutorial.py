"""The refresh route of the tutorial: its words, and in its profile its behaviour."""

from collections.abc import Awaitable
from dataclasses import dataclass

from gatelodge.audit import Origin
from gatelodge.sessions.refusals import (
    ExpiredRefreshToken,
    InvalidRefreshToken,
    RefreshTokenNotInDatabase,
    RefreshTokenRequired,
    RefreshTokenReused,
    RefreshTokenWasExpired,
)
from gatelodge.sessions.service import SessionService, SignedIn


@dataclass(frozen=True, slots=True)
class TutorialRefresh:
    """Refresh as the tutorial's clients expect it.

    Attributes:
        sessions: what does the work.
        keeps_token: whether the presented token stays usable: those clients never store a new one.
    """

    sessions: SessionService
    keeps_token: bool

    async def refresh(self, presented: str | None, origin: Origin) -> SignedIn:
        """Return new tokens.

        Raises:
            RefreshTokenRequired: there is none.
            RefreshTokenNotInDatabase: it is not good, or was traded before.
            RefreshTokenWasExpired: its session has expired.
        """
        if not presented:
            raise RefreshTokenRequired(field="refreshToken")
        trade = self.sessions.renew_access if self.keeps_token else self.sessions.refresh
        return await _in_its_words(trade(presented, origin))

    async def refresh_cookie(self, presented: str, origin: Origin) -> SignedIn:
        """Return new tokens for cookies: a browser stores the next one, so this always rotates.

        Raises:
            RefreshTokenNotInDatabase: it is not good, or was traded before.
            RefreshTokenWasExpired: its session has expired.
        """
        return await _in_its_words(self.sessions.refresh(presented, origin))


async def _in_its_words(trade: Awaitable[SignedIn]) -> SignedIn:
    """Refuse with 403 as the tutorial does: its clients renew on 401 and sign out on 403."""
    try:
        return await trade
    except ExpiredRefreshToken as refusal:
        raise RefreshTokenWasExpired(field="refreshToken") from refusal
    except (InvalidRefreshToken, RefreshTokenReused) as refusal:
        raise RefreshTokenNotInDatabase(field="refreshToken") from refusal
