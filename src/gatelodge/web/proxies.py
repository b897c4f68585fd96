"""The address of the client behind reverse proxies.

Every client can write `X-Forwarded-For`. The header is used only if the connection comes from a
proxy that the settings name, and then only the part that such proxies added (ASVS 4.1.3).
"""

import logging
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

from gatelodge.hosts import is_loopback
from gatelodge.web.shell import Headers, Scope

_MAX_HOPS = 32
_OF_PROXIES = frozenset({b"forwarded", b"via", b"x-real-ip"})
_BEGIN_OF_PROXIES = b"x-forwarded-"


class TrustedProxies:
    """The reverse proxies whose `X-Forwarded-For` is believed."""

    def __init__(self, networks: Iterable[str]) -> None:
        """Trust connections from these addresses and networks."""
        self._networks = [ip_network(each) for each in networks]
        self._warned = False

    def client_of(self, peer: str, headers: Headers) -> str:
        """Return the address of the client: the last address that is not a trusted proxy.

        Args:
            peer: the address at the other end of the connection.
            headers: the headers of the request.
        """
        client, hops = _read(peer), _hops(headers)
        if client is None or not hops:
            return peer
        if not self._trusts(client):
            self._warn_once(client)
            return peer
        for hop in reversed(hops):
            earlier = _read(hop)
            if earlier is None:  # a trusted proxy wrote it: use that proxy's address
                break
            client = earlier
            if not self._trusts(client):
                break
        return str(client)

    def _warn_once(self, peer: IPv4Address | IPv6Address) -> None:
        """Log, once, that requests seem to come through a proxy that the settings do not name."""
        if peer.is_private and not self._warned:
            self._warned = True
            details = {"peer": str(peer), "setting": "GATELODGE_TRUSTED_PROXIES"}
            logging.getLogger("gatelodge").warning("proxy.not_trusted", extra={"details": details})

    def _trusts(self, address: IPv4Address | IPv6Address) -> bool:
        return any(address in network for network in self._networks)


def came_directly(scope: Scope) -> bool:
    """Say whether a request came from this machine itself, through no proxy.

    A proxy on the same machine is refused, as far as it can be told: by the headers that proxies
    add. They also count if the proxy is trusted. Without them, nobody has changed the peer's
    address in the scope. The host must be this machine too, so that no name of somebody else that
    points here will do (DNS rebinding), and no page of another origin may ask by a script.
    """
    headers: Headers = scope["headers"]
    names = {name for name, _ in headers}
    if names & _OF_PROXIES or any(name.startswith(_BEGIN_OF_PROXIES) for name in names):
        return False
    hosts = [value for name, value in headers if name == b"host"]
    ours = {b"http://" + host for host in hosts}
    if any(name == b"origin" and value not in ours for name, value in headers):
        return False
    if not all(_is_here(host) for host in hosts):
        return False
    peer = _read((scope.get("client") or [""])[0])
    return peer is not None and peer.is_loopback


def _is_here(host: bytes) -> bool:
    """Say whether the value of a Host header names this machine."""
    name, colon, port = host.decode("latin-1").lower().rpartition(":")
    return is_loopback(name if colon and port.isdigit() else f"{name}{colon}{port}")


def _hops(headers: Headers) -> list[str]:
    """Return the last 32 addresses in `X-Forwarded-For`, in the order of the header."""
    lines = [value.decode("latin-1") for name, value in headers if name == b"x-forwarded-for"]
    return [hop.strip() for line in lines for hop in line.split(",")][-_MAX_HOPS:]


def _read(text: str) -> IPv4Address | IPv6Address | None:
    """Return the address in a text, with or without a port, or None if there is none."""
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ip_address(text.partition("%")[0])  # the zone means something only on the proxy
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address
