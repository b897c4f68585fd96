"""How tokens travel: in the answer's body, or in HttpOnly cookies (security.md, section 6)."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Literal

from gatelodge.clock import Clock
from gatelodge.tokens.pair import Delivery, TokenPair
from gatelodge.web.refusals import ConflictingTokens
from gatelodge.web.services import Provided
from gatelodge.web.shell import SET_COOKIES, Headers, Scope

SameSite = Literal["lax", "strict", "none"]

# RFC 6265, 5.2. What else `strip` takes for blank, such as U+00A0, is part of a name to a browser,
# which would let other hosts of the domain set `\xa0__Host-…`.
_BLANKS = b" \t"


@dataclass(frozen=True, slots=True)
class CookieTokens:
    """The tokens that a request's cookies carry."""

    access: str | None = None
    refresh: str | None = None


@dataclass(frozen=True, slots=True)
class TokenDelivery:
    """Hand tokens over, and read them back from cookies.

    Attributes:
        clock: what time it is.
        default: how a sign-in that does not say is answered.
        tutorial: whether its profile is on; then a sign-in that is answered in the body sets the
            cookies too.
        secure: whether people come by TLS; else the cookies go without `Secure` and prefix.
        domain: the domain whose hosts share the cookies; empty: this host alone.
        same_site: the cookies' SameSite attribute.
        access_life: how long an access token, and so its cookie, lives.
    """

    clock: Clock
    default: Delivery
    tutorial: bool
    secure: bool
    domain: str
    same_site: SameSite
    access_life: timedelta

    @property
    def access_cookie(self) -> str:
        """The name of the cookie that carries the access token."""
        return f"{self._prefix}gatelodge-access"

    @property
    def refresh_cookie(self) -> str:
        """The name of the cookie that carries the refresh token."""
        return f"{self._prefix}gatelodge-refresh"

    @property
    def names(self) -> tuple[bytes, bytes]:
        """The names of both, as they stand in a request: the access token's first."""
        return self.access_cookie.encode(), self.refresh_cookie.encode()

    def after_sign_in(self, scope: Scope, pair: TokenPair) -> bool:
        """Set the cookies where they are wanted; say whether the body carries the tokens too."""
        if self._by_cookies(pair.delivery):
            self.set_cookies(scope, pair)
        return pair.delivery == "bearer"

    def former_token(self, headers: Headers, delivery: Delivery) -> str | None:
        """Return the refresh token whose cookie a sign-in so delivered is about to replace."""
        return self.read(headers).refresh if self._by_cookies(delivery) else None

    def set_cookies(self, scope: Scope, pair: TokenPair) -> None:
        """Let the answer to this request, whatever it will be, carry the tokens as cookies."""
        left = pair.expires_at - self.clock.now()
        scope[SET_COOKIES] = [
            self._cookie(self.access_cookie, pair.access_token, self.access_life),
            self._cookie(self.refresh_cookie, pair.refresh_token, left),
        ]

    def clear_cookies(self, scope: Scope) -> None:
        """Let the answer to this request take the cookies away."""
        scope[SET_COOKIES] = [
            self._cookie(name, "", timedelta(0))
            for name in (self.access_cookie, self.refresh_cookie)
        ]

    def read(self, headers: Headers) -> CookieTokens:
        """Return the tokens in a request's cookies.

        Raises:
            ConflictingTokens: one of them is there twice and differs; another host of the domain
                may have planted it.
        """
        lines = (value for name, value in headers if name == b"cookie")
        found = read_cookies(lines, self.names)
        access, refresh = (found.get(name) for name in self.names)
        return CookieTokens(
            access=None if access is None else access.decode("latin-1"),
            refresh=None if refresh is None else refresh.decode("latin-1"),
        )

    def _by_cookies(self, delivery: Delivery) -> bool:
        return delivery == "cookie" or self.tutorial

    @property
    def _prefix(self) -> str:
        """Browsers let only the host itself set a `__Host-` cookie, and only over TLS."""
        if not self.secure:
            return ""
        return "__Secure-" if self.domain else "__Host-"

    def _cookie(self, name: str, value: str, life: timedelta) -> bytes:
        parts = [
            f"{name}={value}",
            "Path=/",
            f"Max-Age={max(0, int(life.total_seconds()))}",
            "HttpOnly",
            f"SameSite={self.same_site.capitalize()}",
        ]
        if self.secure:
            parts.append("Secure")
        if self.domain:
            parts.append(f"Domain={self.domain}")
        return "; ".join(parts).encode()


Delivering = Annotated[TokenDelivery, Provided(TokenDelivery)]
"""How tokens are handed over here."""


def read_cookies(lines: Iterable[bytes], wanted: Collection[bytes]) -> dict[bytes, bytes]:
    """Return the values of the cookies so named in these Cookie headers.

    Raises:
        ConflictingTokens: one of them is there twice and differs.
    """
    found: dict[bytes, bytes] = {}
    for line in lines:
        for item in line.split(b";"):
            name, _, value = item.partition(b"=")
            name, value = name.strip(_BLANKS), value.strip(_BLANKS)
            if value and name in wanted and found.setdefault(name, value) != value:
                raise ConflictingTokens
    return found
