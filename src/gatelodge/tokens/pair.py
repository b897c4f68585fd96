"""What a client holds of a session: its two secrets, and how they travel."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

Delivery = Literal["bearer", "cookie"]
"""Whether tokens travel in bodies, or in HttpOnly cookies."""


@dataclass(frozen=True, slots=True)
class TokenPair:
    """The access token and the refresh token of one session.

    Attributes:
        access_token: a signed JWT, as it goes into a header or cookie.
        refresh_token: an opaque text, to be traded for the next pair.
        delivery: how the session's tokens travel.
        expires_at: when the session ends at the latest, whatever is refreshed.
    """

    access_token: str = field(repr=False)
    refresh_token: str = field(repr=False)
    delivery: Delivery
    expires_at: datetime
