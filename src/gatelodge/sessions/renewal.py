"""The port `Renewal` of `web/`: new tokens for a request with only a refresh cookie."""

from dataclasses import dataclass

from gatelodge.audit import Origin
from gatelodge.gate.principal import Principal
from gatelodge.sessions.lookup import SessionLookup
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
    lookup: SessionLookup

    async def renew(self, token: str, origin: Origin) -> tuple[Principal, TokenPair]:
        """Trade a refresh token; return who is signed in, and the new tokens.

        Raises:
            InvalidToken: the token is not valid or was traded before, or the session has ended.
        """
        try:
            signed_in = await self.sessions.refresh(token, origin)
        except (InvalidRefreshToken, ExpiredRefreshToken, RefreshTokenReused) as refusal:
            raise InvalidToken from refusal
        principal = await self.lookup.find(signed_in.user.id, signed_in.session.id)
        if principal is None:  # the session ended meanwhile
            raise InvalidToken
        return principal, signed_in.tokens
