"""The token pair: what a client holds of a session, and how it is delivered."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from gatelodge.ids import SessionId, UserId

Delivery = Literal["bearer", "cookie"]
"""How tokens are delivered: `bearer` (in the body) or `cookie` (in HttpOnly cookies)."""


@dataclass(frozen=True, slots=True)
class TokenPair:
    """The access token and the refresh token of one session.

    Attributes:
        access_token: a signed JWT, for a header or a cookie.
        refresh_token: an opaque text that the client trades for the next pair.
        delivery: how the session's tokens are delivered.
        expires_at: when the session ends at the latest; no refresh extends it.
    """

    access_token: str = field(repr=False)
    refresh_token: str = field(repr=False)
    delivery: Delivery
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Renewed:
    """The tokens of a session that was renewed, and whose it is."""

    tokens: TokenPair
    user_id: UserId
    session_id: SessionId
