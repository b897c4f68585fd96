"""The cookies that one answer sets: any part of the server may add some, and none can drop others.

A renewal on the way in and the route itself may both set cookies in one answer. Were one list
assigned over the other, a browser could keep a refresh token that was traded already, and would be
taken for a thief at its next request.
"""

from collections.abc import MutableMapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal

SameSite = Literal["lax", "strict", "none"]

_JAR = "gatelodge.cookie_jar"


@dataclass(frozen=True, slots=True)
class Cookie:
    """One HttpOnly cookie, as an answer sets it.

    Attributes:
        name: with its prefix, where it has one.
        value: as it stands in the header; nothing in it is escaped.
        life: how long the browser keeps it; zero takes it away.
        path: the paths whose requests carry it.
        domain: the domain whose hosts get it; empty: the host of this answer alone.
        same_site: whether requests that other sites cause carry it.
        secure: whether it travels by TLS only.
    """

    name: str
    value: str
    life: timedelta
    path: str = "/"
    domain: str = ""
    same_site: SameSite = "lax"
    secure: bool = False

    @property
    def header(self) -> bytes:
        """The value of its `Set-Cookie` header."""
        parts = [
            f"{self.name}={self.value}",
            f"Path={self.path}",
            f"Max-Age={max(0, int(self.life.total_seconds()))}",
            "HttpOnly",
            f"SameSite={self.same_site.capitalize()}",
        ]
        if self.secure:
            parts.append("Secure")
        if self.domain:
            parts.append(f"Domain={self.domain}")
        return "; ".join(parts).encode()


class CookieJar:
    """The cookies that an answer sets, whatever the answer will be."""

    def __init__(self) -> None:
        """Start empty."""
        self._cookies: dict[tuple[str, str, str], Cookie] = {}

    def add(self, cookie: Cookie) -> None:
        """Set one more; of several with one name, domain and path the last one counts.

        These three say which cookie it is to a browser (RFC 6265, section 5.3, step 11).
        """
        self._cookies[cookie.name, cookie.domain, cookie.path] = cookie

    def __bool__(self) -> bool:
        """Say whether the answer sets any."""
        return bool(self._cookies)

    @property
    def headers(self) -> list[tuple[bytes, bytes]]:
        """The headers that set them."""
        return [(b"set-cookie", cookie.header) for cookie in self._cookies.values()]


def cookie_jar(scope: MutableMapping[str, Any]) -> CookieJar:
    """Return the one jar of the answer to this request."""
    jar: CookieJar = scope.setdefault(_JAR, CookieJar())
    return jar
