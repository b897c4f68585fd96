"""The tutorial's refresh route: its texts, and with the tutorial profile its behaviour."""

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
        sessions: trades the tokens.
        keeps_token: whether the presented token stays valid, for clients that never store a new
            one.
    """

    sessions: SessionService
    keeps_token: bool

    async def refresh(self, presented: str | None, origin: Origin) -> SignedIn:
        """Return new tokens.

        Raises:
            RefreshTokenRequired: there is no token.
            RefreshTokenNotInDatabase: the token is not valid, or was traded before.
            RefreshTokenWasExpired: the session has expired.
        """
        if not presented:
            raise RefreshTokenRequired(field="refreshToken")
        trade = self.sessions.renew_access if self.keeps_token else self.sessions.refresh
        return await _in_its_words(trade(presented, origin))

    async def refresh_cookie(self, presented: str, origin: Origin) -> SignedIn:
        """Return new tokens for cookies. The token is always rotated, as browsers store it.

        Raises:
            RefreshTokenNotInDatabase: the token is not valid, or was traded before.
            RefreshTokenWasExpired: the session has expired.
        """
        return await _in_its_words(self.sessions.refresh(presented, origin))


async def _in_its_words(trade: Awaitable[SignedIn]) -> SignedIn:
    """Turn refusals into the tutorial's, which answer 403.

    The tutorial's clients refresh on 401, and sign out on 403.
    """
    try:
        return await trade
    except ExpiredRefreshToken as refusal:
        raise RefreshTokenWasExpired(field="refreshToken") from refusal
    except (InvalidRefreshToken, RefreshTokenReused) as refusal:
        raise RefreshTokenNotInDatabase(field="refreshToken") from refusal
