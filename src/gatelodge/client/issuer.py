"""The way to the issuer: short and quick answers from its own address, and nothing else."""

import asyncio
import logging
import re
import ssl
from dataclasses import dataclass
from datetime import timedelta
from urllib.parse import urlsplit

import httpx2

from gatelodge.client.refusals import IssuerUnavailable
from gatelodge.client.requests import new_client
from gatelodge.clock import Clock
from gatelodge.hosts import is_loopback

MAX_ANSWER = 64 * 1024
MAX_SECONDS = 5.0
"""The time for one answer as a whole, however slowly its bytes arrive."""

PAUSE_MS = 1000
"""While nobody answers, only one caller a second tries; the others are told at once."""

_LOST = (httpx2.RemoteProtocolError, httpx2.ReadError, httpx2.WriteError)
"""A kept connection that the server closed at this moment; a new one may work."""

_MAX_AGE = re.compile(r"(?:^|[\s,])max-age=(\d{1,9})(?=$|[\s,])", re.IGNORECASE)


_log = logging.getLogger("gatelodge.client")


@dataclass(frozen=True, slots=True)
class Reply:
    """What the issuer answered.

    Attributes:
        status: the HTTP status.
        body: at most 64 KiB.
        max_age: how long the answer may be kept, by its `Cache-Control`; None: it does not say.
    """

    status: int
    body: bytes
    max_age: timedelta | None

    def content(self) -> bytes:
        """Return the body of a good answer.

        Raises:
            ValueError: the status is not 200.
        """
        if self.status != 200:
            raise ValueError(f"the answer has the status {self.status}")
        return self.body


class Issuer:
    """Sends requests to one Gatelodge server.

    It follows no redirect, stores no cookie, and reads no more than 64 KiB, for no longer than 5
    seconds. It may be used in one event loop after the other.
    """

    def __init__(
        self,
        address: str,
        clock: Clock,
        *,
        ssl_context: ssl.SSLContext | None = None,
        transport: httpx2.AsyncBaseTransport | None = None,
    ) -> None:
        """Prepare requests; nothing is sent yet.

        Raises:
            ValueError: the address cannot be that of an issuer; the message says why.
        """
        self.address = checked_address(address)
        self._clock = clock
        self._ssl_context = ssl_context
        self._transport = transport
        self._client: httpx2.AsyncClient | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._silent_until = 0

    async def get(self, path: str, *, token: str | None = None) -> Reply:
        """Return the answer to a GET request, whatever its status is.

        Args:
            path: appended to the issuer's address.
            token: an access token to send along.

        Raises:
            IssuerUnavailable: there was no answer, or it was too long or too slow.
        """
        if self._clock.milliseconds() < self._silent_until:
            raise IssuerUnavailable(retry_after=1)
        try:
            async with asyncio.timeout(MAX_SECONDS):
                return await self._get_again_if_lost(path, token)
        except (TimeoutError, httpx2.HTTPError) as error:
            if isinstance(error, TimeoutError | httpx2.ConnectError):
                self._silent_until = self._clock.milliseconds() + PAUSE_MS
            reason = str(error) or type(error).__name__
            _log.warning("No answer from %s%s: %s", self.address, path, reason)
            raise IssuerUnavailable(retry_after=1) from error

    async def aclose(self) -> None:
        """Close all connections of this event loop."""
        if self._client is not None and self._loop is asyncio.get_running_loop():
            client, self._client = self._client, None
            await client.aclose()

    async def _get_again_if_lost(self, path: str, token: str | None) -> Reply:
        try:
            return await self._get(path, token)
        except _LOST:
            return await self._get(path, token)

    async def _get(self, path: str, token: str | None) -> Reply:
        headers = {"Accept": "application/json"}
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        request = self._http().stream("GET", self.address + path, headers=headers)
        async with request as response:
            body = bytearray()
            async for chunk in response.aiter_raw():  # unpacked, it could be of any length
                body += chunk
                if len(body) > MAX_ANSWER:
                    _log.warning("An answer of %s%s is too long.", self.address, path)
                    raise IssuerUnavailable(retry_after=1)
        max_age = _MAX_AGE.search(response.headers.get("Cache-Control", ""))
        kept = timedelta(seconds=int(max_age[1])) if max_age else None
        return Reply(response.status_code, bytes(body), kept)

    def _http(self) -> httpx2.AsyncClient:
        """Return the client of the running event loop; connections belong to the loop."""
        loop = asyncio.get_running_loop()
        if self._client is None or self._loop is not loop:
            self._client, self._loop = self._new_client(), loop
        return self._client

    def _new_client(self) -> httpx2.AsyncClient:
        """Return a client. A proxy that the environment names is for other machines only."""
        local = self.address.startswith("http:")
        trusting_nobody = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT) if local else None
        return new_client(
            verify=self._ssl_context or trusting_nobody or True,
            trust_env=not local and self._transport is None,
            transport=self._transport,
        )


def checked_address(address: str) -> str:
    """Return the address of an issuer unchanged.

    Raises:
        ValueError: it is not a plain https address, or http to this machine itself. Over http,
            anybody on the way could put other keys in place of the issuer's.
    """
    try:
        parts, _ = urlsplit(address), httpx2.URL(address)
        host, _ = parts.hostname or "", parts.port
    except (ValueError, httpx2.InvalidURL) as error:
        raise ValueError("the issuer's address is not a URL") from error
    if parts.scheme not in ("https", "http") or not host:
        raise ValueError("the issuer's address is like https://id.example.com")
    if parts.scheme == "http" and not is_loopback(host):
        raise ValueError("the issuer's address begins with https://, unless it is this machine")
    if parts.username is not None or parts.query or parts.fragment or set(address) & set("?#@\\ "):
        raise ValueError("the issuer's address has no user, no query and no fragment")
    if address.endswith("/"):
        raise ValueError("the issuer's address has no / at its end: it is compared with tokens")
    return address
