"""Protection against cross-site requests (OWASP CSRF Prevention Cheat Sheet; Fetch Metadata)."""

from dataclasses import dataclass
from urllib.parse import urlsplit

from gatelodge.web.refusals import CrossSiteRequest
from gatelodge.web.shell import Headers

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


@dataclass(frozen=True, slots=True)
class SameOrigin:
    """Refuses requests that pages of unknown origins make a browser send.

    Attributes:
        public: the public origin, such as `https://id.example`.
        origins: the public origin and the configured ones, such as `https://app.example`.
        for_programs: the paths at which a request with our cookies may lack all headers that name
            its origin. Browsers send one for a page of another site, so it comes from a program.
    """

    public: str
    origins: frozenset[str]
    for_programs: frozenset[str] = frozenset()

    def check(self, method: str, headers: Headers, path: str, *, with_cookie: bool) -> None:
        """Refuse a request that changes something and comes from a page of an unknown origin.

        A request with one of our cookies must prove its origin. A request without them is refused
        only if the browser says that another site sent it: such a request could sign the victim in
        to the attacker's account (login CSRF, ASVS 7.6.2).

        Args:
            method: the HTTP method; safe methods always pass.
            headers: the headers of the request.
            path: the path of the request.
            with_cookie: whether the request carries one of our cookies.

        Raises:
            CrossSiteRequest: the page has an unknown origin, or the request does not prove one.
        """
        if method not in SAFE_METHODS and not self._is_ours(
            headers, by_default=not with_cookie or path in self.for_programs
        ):
            raise CrossSiteRequest

    def _is_ours(self, headers: Headers, *, by_default: bool) -> bool:
        origin = _value(headers, b"origin")
        site = _value(headers, b"sec-fetch-site")
        if site == "none" and origin in {None, "null"}:
            return True  # the user typed the address, or used a bookmark
        if origin is not None:
            same = site == "same-origin" and self._is_asked_host(origin, headers)
            return same or origin in self.origins or origin == self._asked_origin(headers)
        if site is not None:
            return site in {"same-origin", "none"}
        referer = _value(headers, b"referer")
        if referer is not None:
            return _origin_of(referer) in self.origins | {self._asked_origin(headers)}
        return by_default

    def _is_asked_host(self, origin: str, headers: Headers) -> bool:
        """Return whether an origin has the host of this request, with any scheme.

        `Sec-Fetch-Site: same-origin` with the `Origin` of another host is a contradiction.
        """
        return origin.partition("://")[2] == (_value(headers, b"host") or "").lower()

    def _asked_origin(self, headers: Headers) -> str:
        """Return the origin of this request's host; the shell has checked that we serve it."""
        scheme = self.public.partition("://")[0]
        return origin_of_host(scheme, _value(headers, b"host") or "")


def origin_of_host(scheme: str, host: str) -> str:
    """Return the origin as browsers write it: in lower case, without a default port.

    Source: RFC 6454, section 6.2.
    """
    scheme, host = scheme.lower(), host.lower()
    return f"{scheme}://{host.removesuffix(_DEFAULT_PORTS.get(scheme, ''))}"


_DEFAULT_PORTS = {"http": ":80", "https": ":443"}


def _origin_of(url: str) -> str:
    try:
        parts = urlsplit(url)
    except ValueError:  # such as http://[
        return ""
    return f"{parts.scheme}://{parts.netloc}"


def _value(headers: Headers, wanted: bytes) -> str | None:
    values = [value.decode("latin-1") for name, value in headers if name == wanted]
    return values[0] if len(values) == 1 else ("" if values else None)
