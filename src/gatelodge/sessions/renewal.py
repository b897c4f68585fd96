"""The port `Renewal` of `web/`: new tokens for a request with only a refresh cookie."""

from dataclasses import dataclass

from gatelodge.audit import Origin
from gatelodge.sessions.refusals import (
    ExpiredRefreshToken,
    InvalidRefreshToken,
    RefreshTokenReused,
)
from gatelodge.sessions.service import SessionService
from gatelodge.tokens.pair import TokenPair
from gatelodge.tokens.refusals import InvalidToken


@dataclass(frozen=True, slots=True)
class SessionRenewal:
    """Implements `Renewal` of `web/admission.py` with the session service."""

    sessions: SessionService

    async def renew(self, token: str, origin: Origin) -> TokenPair:
        """Trade a refresh token, and return the new tokens.

        Raises:
            InvalidToken: the token is not valid or was traded before, or the session has ended.
        """
        try:
            return (await self.sessions.refresh(token, origin)).tokens
        except (InvalidRefreshToken, ExpiredRefreshToken, RefreshTokenReused) as refusal:
            raise InvalidToken from refusal
