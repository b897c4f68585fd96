"""The cookies that an answer sets. Any part of the server may add cookies; nothing is lost.

Both the renewal of a session and the route may set cookies in one answer. If one replaced the
cookies of the other, a browser could keep a refresh token that was traded already. Its next request
would then look like that of a thief, and end the session.
"""

from collections.abc import MutableMapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal

SameSite = Literal["lax", "strict", "none"]

JAR = "gatelodge.cookie_jar"


@dataclass(frozen=True, slots=True)
class Cookie:
    """One HttpOnly cookie, as an answer sets it.

    Attributes:
        name: the name, with its prefix if it has one.
        value: the value, as it is written into the header without escaping.
        life: how long the browser keeps it; zero deletes it.
        path: the path at and below which requests carry it.
        domain: the domain whose hosts receive it; empty: only the host of this answer.
        same_site: whether requests from pages of other sites carry it.
        secure: whether it is sent over TLS only.
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
        """The value of the `Set-Cookie` header."""
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
    """The cookies that an answer sets, even if the answer is a refusal."""

    def __init__(self) -> None:
        """Start empty."""
        self._cookies: dict[tuple[str, str, str], Cookie] = {}

    def add(self, cookie: Cookie) -> None:
        """Add a cookie; it replaces one with the same name, domain and path.

        Browsers identify a cookie by these three (RFC 6265, section 5.3, step 11).
        """
        self._cookies[cookie.name, cookie.domain, cookie.path] = cookie

    def __bool__(self) -> bool:
        """Return whether there are cookies."""
        return bool(self._cookies)

    @property
    def headers(self) -> list[tuple[bytes, bytes]]:
        """The `Set-Cookie` headers."""
        return [(b"set-cookie", cookie.header) for cookie in self._cookies.values()]


def cookie_jar(scope: MutableMapping[str, Any]) -> CookieJar:
    """Return the cookie jar of a request's answer; it is the same for each call."""
    jar: CookieJar = scope.setdefault(JAR, CookieJar())
    return jar
