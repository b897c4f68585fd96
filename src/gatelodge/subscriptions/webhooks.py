"""Webhooks: an application beside the server is told what has happened, by a signed request."""

import asyncio
import contextlib
import json
import re
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from gatelodge.audit import EVENT_PREFIX, Actor, AuditLog
from gatelodge.clock import Clock
from gatelodge.errors import AlreadyExists, StoreUnavailable
from gatelodge.ids import new_id
from gatelodge.master_key import MasterKey
from gatelodge.notification import Notification
from gatelodge.subscriptions.refusals import (
    InvalidOverlap,
    InvalidWebhookAddress,
    InvalidWebhookName,
    NoSuchWebhook,
    WebhookExists,
    WebhookFailed,
)
from gatelodge.subscriptions.secrets import WebhookSecrets
from gatelodge.subscriptions.service import Handler, SubscriptionService, checked_events
from gatelodge.subscriptions.store import Subscription
from gatelodge.tasks import end, repeat
from gatelodge.webhook_signature import signed_headers

if TYPE_CHECKING:
    import httpx2  # slow to import, and only servers with webhooks need it

PING = "webhook.ping"
"""The name of what a test tells."""

LISTS_EVERY = timedelta(seconds=5)
"""How soon a server hears of a new webhook."""

ANSWER_SECONDS = 70
"""How long the receiver may take: a function of an application that is told has a minute."""

OVERLAP = timedelta(days=1)
"""How long a former secret signs beside the new one, unless the operator says it."""

MAX_OVERLAP = timedelta(days=30)

_BODY_SECONDS = 1
_MAX_BODY = 64 * 1024
_NAME = re.compile(r"[a-z][a-z0-9_-]{0,63}")


@dataclass(frozen=True, slots=True)
class Webhook:
    """A webhook, as operators see it.

    Attributes:
        name: its name.
        url: where it is sent.
        events: the names of the events that it tells.
        waiting: how many events it is still to tell.
    """

    name: str
    url: str
    events: tuple[str, ...]
    waiting: int


@dataclass(frozen=True, slots=True)
class WebhookService:
    """Adds and sends webhooks.

    Attributes:
        subscriptions: keeps what is to be told.
        master_key: encrypts the secrets in the database.
        audit: records changes.
        clock: what time it is.
    """

    subscriptions: SubscriptionService
    master_key: MasterKey
    audit: AuditLog
    clock: Clock

    async def add(self, name: str, url: str, events: Iterable[str], by: Actor) -> str:
        """Add a webhook, and return the secret that signs it; it is shown this once.

        Args:
            name: small letters, digits, `-` and `_`; it begins with a letter.
            url: where to send it.
            events: names of events that one can subscribe to.
            by: who adds it.

        Raises:
            InvalidWebhookName, InvalidWebhookAddress, UnknownEvent: these are wrong.
            WebhookExists: there is one of this name.
        """
        if not _NAME.fullmatch(name):
            raise InvalidWebhookName(field="name")
        _check_url(url)
        wanted = checked_events(events)
        secrets = WebhookSecrets.new()
        sealed = secrets.seal(self.master_key, name)
        added = Subscription(name, wanted, self.clock.now(), url, sealed)
        event = self.audit.event(
            "webhook.added", by, target=name, detail={"events": ",".join(wanted)}
        )
        try:
            await self.subscriptions.store.add(added, event)
        except AlreadyExists as there:
            raise WebhookExists(field="name") from there
        self.audit.log(event)
        return secrets.current

    async def rotate(self, name: str, overlap: timedelta, by: Actor) -> WebhookSecrets:
        """Give a webhook a new secret, and return it with the former ones that sign beside it.

        Of two rotations at once, each makes a secret; the one that was stored first is then a
        former one.

        Args:
            name: the name of the webhook.
            overlap: how long the former secret signs too, so that the receiver can change; 0: it is
                worth nothing at once.
            by: who changes it.

        Raises:
            InvalidOverlap: it is longer than `MAX_OVERLAP`.
            NoSuchWebhook: there is none.
        """
        if not timedelta(0) <= overlap <= MAX_OVERLAP:
            raise InvalidOverlap(field="overlap")
        while (found := await self._find(name)) is not None:
            at = self.clock.now()
            secrets = self._secrets_of(found).rotated(at, overlap)
            event = self.audit.event("webhook.rotated", by, target=name)
            sealed = secrets.seal(self.master_key, name)
            change = self.subscriptions.store.reseal(name, found.sealed_secret, sealed, event)
            if await self.audit.logged(event, change):
                return secrets
        raise NoSuchWebhook(field="name")

    async def remove(self, name: str, by: Actor) -> None:
        """Remove a webhook, and what it was still to tell.

        Raises:
            NoSuchWebhook: there is none.
        """
        if await self._find(name) is None:
            raise NoSuchWebhook(field="name")
        event = self.audit.event("webhook.removed", by, target=name)
        removal = self.subscriptions.store.remove(name, event)
        if not await self.audit.logged(event, removal):
            raise NoSuchWebhook(field="name")

    async def list_webhooks(self) -> list[Webhook]:
        """Return all webhooks, in the order of their names."""
        return [
            Webhook(
                each.name,
                each.url or "",
                each.events,
                await self.subscriptions.store.count_waiting(each.name),
            )
            for each in await self._all()
        ]

    async def ping(self, name: str) -> None:
        """Send a webhook that tells nothing, now and once.

        Raises:
            NoSuchWebhook: there is none.
            WebhookFailed: the receiver does not answer, or not with 2xx.
        """
        found = await self._find(name)
        if found is None:
            raise NoSuchWebhook(field="name")
        at = self.clock.now()
        async with _new_client() as client:
            await self._send(
                client, found, Notification(new_id(EVENT_PREFIX, at), PING, at, None, None)
            )

    @contextlib.asynccontextmanager
    async def sending(self) -> AsyncIterator[None]:
        """Send what is due, until the context ends. Failures are logged."""
        handlers: dict[str, Handler] = {}
        client: httpx2.AsyncClient | None = None
        async with contextlib.AsyncExitStack() as stack:

            async def send(client: "httpx2.AsyncClient", name: str, what: Notification) -> None:
                webhook = await self._find(name)  # it may be another one of this name by now
                if webhook is not None and what.name in webhook.events:
                    await self._send(client, webhook, what)

            async def look_for_webhooks() -> None:
                nonlocal client
                try:
                    found = await self._all()
                except StoreUnavailable:
                    return  # it is said elsewhere; those that are known go on
                handlers.clear()
                if not found:
                    return
                if client is None:  # it reads many certificates
                    client = await stack.enter_async_context(await asyncio.to_thread(_new_client))
                handlers.update({each.name: partial(send, client, each.name) for each in found})

            looking = asyncio.create_task(repeat(look_for_webhooks, LISTS_EVERY, at_once=True))
            try:
                async with self.subscriptions.draining(lambda: handlers):
                    yield
            finally:
                await end(looking)

    async def _send(
        self, client: "httpx2.AsyncClient", webhook: Subscription, what: Notification
    ) -> None:
        """Send a webhook once.

        Raises:
            WebhookFailed: the receiver does not answer, or not with 2xx.
        """
        import httpx2  # noqa: PLC0415 - slow, and only servers with webhooks need it

        name = webhook.name
        now, body = self.clock.now(), _body_of(what)
        headers = signed_headers(self._secrets_of(webhook).signing(now), what.id, now, body)
        headers |= {"Content-Type": "application/json", "User-Agent": "Gatelodge"}
        try:
            async with (
                asyncio.timeout(ANSWER_SECONDS),
                client.stream("POST", webhook.url or "", content=body, headers=headers) as answer,
            ):
                status = answer.status_code
                await _read_to_its_end(answer)
        except (TimeoutError, httpx2.HTTPError, httpx2.InvalidURL) as error:
            reason = str(error) or type(error).__name__
            raise WebhookFailed(f"The webhook {name} was not answered: {reason}") from None
        if not 200 <= status < 300:
            raise WebhookFailed(f"The webhook {name} was answered with {status}.")

    def _secrets_of(self, webhook: Subscription) -> WebhookSecrets:
        return WebhookSecrets.unseal(self.master_key, webhook.sealed_secret, webhook.name)

    async def _all(self) -> list[Subscription]:
        found = await self.subscriptions.store.list_subscriptions()
        return [each for each in found if each.url is not None]

    async def _find(self, name: str) -> Subscription | None:
        found = await self.subscriptions.store.find(name)
        return None if found is None or found.url is None else found


async def _read_to_its_end(answer: "httpx2.Response") -> None:
    """Read a short answer, so that its connection can be used again; leave any other one."""
    import httpx2  # noqa: PLC0415 - slow, and only servers with webhooks need it

    read = 0
    with contextlib.suppress(TimeoutError, httpx2.HTTPError):
        async with asyncio.timeout(_BODY_SECONDS):
            async for chunk in answer.aiter_raw():
                read += len(chunk)
                if read > _MAX_BODY:
                    return


def _new_client() -> "httpx2.AsyncClient":
    from gatelodge.client.requests import new_client  # noqa: PLC0415 - see above

    return new_client(direct=_HERE)


def _body_of(what: Notification) -> bytes:
    told = {
        "type": what.name,
        "timestamp": what.at.isoformat(),
        "data": {
            "subject": what.subject,
            "uuid": None if what.uuid is None else str(what.uuid),
            "actor": what.actor,
            "detail": dict(what.detail),
        },
    }
    return json.dumps(told, separators=(",", ":")).encode()


def _check_url(url: str) -> None:
    """Refuse an address to which no webhook should go.

    Raises:
        InvalidWebhookAddress: over http, anybody on the way could read it.
    """
    import httpx2  # noqa: PLC0415 - slow, and only servers with webhooks need it

    try:
        parts, _ = urlsplit(url), httpx2.URL(url)
        host, _ = parts.hostname or "", parts.port
    except (ValueError, httpx2.InvalidURL) as error:
        raise InvalidWebhookAddress(field="url") from error
    sound = len(url) <= _MAX_URL and url.isascii() and url.isprintable()
    safe = parts.scheme == "https" or (parts.scheme == "http" and parts.netloc in _here(parts.port))
    if not sound or set(url) & set(" \\#") or not safe or not host or parts.username is not None:
        raise InvalidWebhookAddress(field="url")


def _here(port: int | None) -> list[str]:
    return [host if port is None else f"{host}:{port}" for host in _HERE]


_HERE = ("localhost", "127.0.0.1", "[::1]")
"""This machine: a request to it goes through no proxy."""

_MAX_URL = 2048
