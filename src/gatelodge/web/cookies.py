"""Token delivery: in the body of the answer, or in HttpOnly cookies (security.md, section 6)."""

import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated

from gatelodge.clock import Clock
from gatelodge.tokens.pair import Delivery, TokenPair
from gatelodge.web.cookie_jar import Cookie, SameSite, cookie_jar
from gatelodge.web.refusals import ConflictingTokens
from gatelodge.web.services import Provided
from gatelodge.web.shell import Headers, Scope

# RFC 6265, section 5.2. `strip` without an argument would also remove U+00A0. For browsers that
# character is part of the name, so another host of the domain could set `\xa0__Host-…`.
_WHITESPACE = b" \t"

DEVICE_LIFE = timedelta(days=400)
"""The longest life that browsers give a cookie (RFC 6265bis, section 5.5)."""

_MAX_REMEMBERED = 4
_SECRET_LENGTH = 43
_SECRET = re.compile(rf"[\w-]{{{_SECRET_LENGTH}}}", re.ASCII)
"""32 bytes in base64url."""


@dataclass(frozen=True, slots=True)
class CookieTokens:
    """The tokens that a request's cookies carry."""

    access: str | None = None
    refresh: str | None = None


@dataclass(frozen=True, slots=True)
class TokenDelivery:
    """Delivers tokens, and reads them from cookies.

    Attributes:
        clock: tells the current time.
        default: the delivery for a sign-in that does not choose one.
        tutorial: whether the tutorial profile is on; then `bearer` sign-ins set cookies too.
        secure: whether users reach the server over TLS; otherwise cookies have no `Secure`
            attribute and no name prefix.
        domain: the domain whose hosts share the cookies; empty: only this host.
        same_site: the `SameSite` attribute of the cookies.
        access_life: how long an access token is valid, and so how long its cookie is kept.
        name: the start of the cookies' names, after the prefix.
        port: the end of the cookies' names, or None. Browsers store cookies by host and not by
            port, so servers at several ports of one host need different names.
    """

    clock: Clock
    default: Delivery
    tutorial: bool
    secure: bool
    domain: str
    same_site: SameSite
    access_life: timedelta
    name: str = "gatelodge"
    port: int | None = None

    @property
    def access_cookie(self) -> str:
        """The name of the cookie that carries the access token."""
        return self._named("access")

    @property
    def refresh_cookie(self) -> str:
        """The name of the cookie that carries the refresh token."""
        return self._named("refresh")

    @property
    def names(self) -> tuple[bytes, bytes]:
        """The names of both cookies as bytes: the access token's, then the refresh token's."""
        return self.access_cookie.encode(), self.refresh_cookie.encode()

    def after_sign_in(self, scope: Scope, pair: TokenPair) -> bool:
        """Set the cookies if the delivery uses them; return whether the body carries the tokens."""
        if self.uses_cookies(pair.delivery):
            self.set_cookies(scope, pair)
        return pair.delivery == "bearer"

    def former_token(self, headers: Headers, delivery: Delivery) -> str | None:
        """Return the refresh token in the cookie that a sign-in will replace, or None.

        Args:
            headers: the headers of the sign-in request.
            delivery: the delivery of the new tokens.
        """
        if not self.uses_cookies(delivery):
            return None
        try:
            return self.read(headers).refresh
        except ConflictingTokens:
            return None

    def set_cookies(self, scope: Scope, pair: TokenPair) -> None:
        """Make the answer to this request set the token cookies, even if it is a refusal."""
        left = pair.expires_at - self.clock.now()
        jar = cookie_jar(scope)
        self._clear_twins(scope)
        jar.add(self._cookie(self.access_cookie, pair.access_token, self.access_life))
        jar.add(self._cookie(self.refresh_cookie, pair.refresh_token, left))

    def clear_cookies(self, scope: Scope) -> None:
        """Make the answer to this request delete the token cookies."""
        jar = cookie_jar(scope)
        self._clear_twins(scope)
        for name in (self.access_cookie, self.refresh_cookie):
            jar.add(self._cookie(name, "", timedelta(0)))
        self.clear_parked(scope)

    def park(self, scope: Scope, refresh_token: str, life: timedelta) -> None:
        """Make the answer keep the refresh token of whoever sees the application as another user.

        It waits in a cookie of its own, which no other host gets, until they are themselves again.
        """
        cookie_jar(scope).add(self._parked(refresh_token, life))

    def parked(self, headers: Headers) -> str | None:
        """Return the refresh token that waits in that cookie, or None."""
        return self._value(self._parked_name, headers) or None

    def clear_parked(self, scope: Scope) -> None:
        """Make the answer delete that cookie, if the request has it."""
        if self.parked(scope.get("headers", [])):
            cookie_jar(scope).add(self._parked("", timedelta(0)))

    def device(self, headers: Headers) -> str:
        """Return the cookie that tells which users have used this browser, or an empty text."""
        return self._value_of("device", headers)

    def keep_device(self, scope: Scope, value: str) -> None:
        """Make the answer set that cookie."""
        cookie_jar(scope).add(self._cookie(self._named("device"), value, DEVICE_LIFE))

    def remembered(self, headers: Headers) -> str:
        """Return the cookie of a remembered browser, or an empty text.

        Anybody can send a cookie of thousands of secrets. It is read before the password is
        verified, so more secrets than we set must cost no time: the time would tell whether the
        user has a second factor.
        """
        longest = _MAX_REMEMBERED * (_SECRET_LENGTH + 1) - 1
        given = self._value_of("browser", headers)[:longest].split(".")
        return ".".join(each for each in given if _SECRET.fullmatch(each))

    def remember(self, scope: Scope, secret: str, life: timedelta) -> None:
        """Make the answer set that cookie.

        It has a secret for each user who has had the browser remembered, the newest first.

        Args:
            scope: the request.
            secret: the new secret.
            life: how long it counts.
        """
        others = self.remembered(scope["headers"]).split(".")[: _MAX_REMEMBERED - 1]
        secrets = ".".join([secret, *filter(None, others)])
        cookie_jar(scope).add(self._cookie(self._named("browser"), secrets, life))

    def clear_site_data(self, headers: Headers) -> str:
        """Return what a browser deletes after a sign-out (`Clear-Site-Data`; ASVS 14.3.1).

        A browser that its user has had remembered keeps that cookie, which is no use without the
        password. The cookies with tokens are deleted by their names (`clear_cookies`).
        """
        return '"storage"' if self.remembered(headers) else '"cookies", "storage"'

    def read(self, headers: Headers) -> CookieTokens:
        """Return the tokens in a request's cookies.

        Raises:
            ConflictingTokens: a cookie is present twice with different values; another host of
                the domain may have set one of them.
        """
        lines = (value for name, value in headers if name == b"cookie")
        found = read_cookies(lines, self.names)
        access, refresh = (found.get(name) for name in self.names)
        return CookieTokens(
            access=None if access is None else access.decode("latin-1"),
            refresh=None if refresh is None else refresh.decode("latin-1"),
        )

    def read_all(self, headers: Headers) -> tuple[set[str], set[str]]:
        """Return every access token and every refresh token in a request's cookies.

        There may be several of a kind: a browser can hold a cookie of one name for several domains
        or paths. It sends all of them, and the server cannot tell which one is right.
        """
        lines = (value for name, value in headers if name == b"cookie")
        found = [pair for pair in _pairs_in(lines) if pair[0] in self.names]
        access, refresh = (
            {value.decode("latin-1") for name, value in found if name == wanted}
            for wanted in self.names
        )
        return access, refresh

    def _clear_twins(self, scope: Scope) -> None:
        """Delete cookies of our names for other domains, if the request has several of one name.

        Otherwise the browser would go on sending both. A `__Host-` cookie has no domain, so it
        cannot be there twice.
        """
        if any(len(tokens) > 1 for tokens in self.read_all(scope.get("headers", []))):
            jar, host = cookie_jar(scope), _host_in(scope["headers"])
            for name in (self.access_cookie, self.refresh_cookie):
                for domain in _domains_of(host) - {self.domain}:
                    cookie = Cookie(name, "", timedelta(0), domain=domain, secure=self.secure)
                    jar.add(cookie)

    def _value_of(self, kind: str, headers: Headers) -> str:
        return self._value(self._named(kind), headers)

    def _value(self, name: str, headers: Headers) -> str:
        wanted = name.encode()
        lines = (value for key, value in headers if key == b"cookie")
        found = next((value for key, value in _pairs_in(lines) if key == wanted), b"")
        return found.decode("latin-1")

    def _named(self, kind: str) -> str:
        return f"{self._prefix}{self._plainly_named(kind)}"

    def _plainly_named(self, kind: str) -> str:
        return f"{self.name}-{kind}" + (f"-{self.port}" if self.port else "")

    @property
    def _parked_name(self) -> str:
        return f"{'__Host-' if self.secure else ''}{self._plainly_named('parked')}"

    def _parked(self, value: str, life: timedelta) -> Cookie:
        return Cookie(self._parked_name, value, life, same_site="strict", secure=self.secure)

    def uses_cookies(self, delivery: Delivery) -> bool:
        """Say whether tokens that are delivered so are in cookies, too."""
        return delivery == "cookie" or self.tutorial

    @property
    def _prefix(self) -> str:
        """The prefix of the names; only this host can set a `__Host-` cookie, and only over TLS."""
        if not self.secure:
            return ""
        return "__Secure-" if self.domain else "__Host-"

    def _cookie(self, name: str, value: str, life: timedelta) -> Cookie:
        return Cookie(
            name,
            value,
            life,
            domain=self.domain,
            same_site=self.same_site,
            secure=self.secure,
        )


Delivering = Annotated[TokenDelivery, Provided(TokenDelivery)]
"""Dependency: the token delivery."""


def read_cookies(lines: Iterable[bytes], wanted: Collection[bytes]) -> dict[bytes, bytes]:
    """Return the values of the wanted cookies, by name.

    Args:
        lines: the values of the request's Cookie headers.
        wanted: the names of the cookies.

    Raises:
        ConflictingTokens: a wanted cookie is present twice with different values.
    """
    found: dict[bytes, bytes] = {}
    for name, value in _pairs_in(lines):
        if name in wanted and found.setdefault(name, value) != value:
            raise ConflictingTokens
    return found


def _pairs_in(lines: Iterable[bytes]) -> Iterator[tuple[bytes, bytes]]:
    for line in lines:
        for item in line.split(b";"):
            name, _, value = item.partition(b"=")
            name, value = name.strip(_WHITESPACE), value.strip(_WHITESPACE)
            if value:
                yield name, value


def _host_in(headers: Headers) -> str:
    value = next((value for name, value in headers if name == b"host"), b"").decode("latin-1")
    return value.rpartition(":")[0] if value.rpartition(":")[2].isdigit() else value


def _domains_of(host: str) -> set[str]:
    """Return the domains whose cookies a browser sends to a host; empty: only this host."""
    labels = host.lower().split(".")
    if labels[-1].isdigit() or host.startswith("["):  # an IP address has no domains
        return {""}
    return {""} | {".".join(labels[start:]) for start in range(len(labels) - 1)}
