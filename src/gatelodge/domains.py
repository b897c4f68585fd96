"""Which part of a host name somebody has registered, by the Public Suffix List (publicsuffix.org).

The list is in the library's package, so nothing is asked of the network.
"""

from functools import cache
from urllib.parse import urlsplit

from gatelodge.hosts import is_address, is_loopback


@cache
def _registered_part(host: str) -> str | None:
    from publicsuffixlist import PublicSuffixList  # noqa: PLC0415 - slow: it reads the whole list

    part: str | None = PublicSuffixList().privatesuffix(host)
    return part


def is_public_suffix(domain: str) -> bool:
    """Say whether everybody may have a host below this domain, as below `co.uk`."""
    return _registered_part(domain.lower()) is None


def site_of(origin: str) -> tuple[str, str]:
    """Return the site of an origin: its scheme, and the part of its host that is registered.

    Browsers send `SameSite` cookies with requests from the same site only (HTML, "schemelessly
    same site", with the scheme).
    """
    parts = urlsplit(origin)
    host = parts.hostname or ""
    if is_address(host) or "." not in host:
        return parts.scheme, host
    if is_loopback(host):
        return parts.scheme, ".".join(host.split(".")[-2:])
    return parts.scheme, _registered_part(host) or host


def label_of(host: str) -> str:
    """Return the name of a site without what is behind it: `example` for `www.example.co.uk`."""
    return (_registered_part(host) or host).partition(".")[0]
