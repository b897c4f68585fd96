"""Webhooks: an application beside the server is told what has happened, by a signed request."""

import asyncio
import contextlib
import difflib
import json
import re
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from gatelodge.audit import Actor, AuditLog
from gatelodge.clock import Clock
from gatelodge.errors import StoreUnavailable
from gatelodge.hosts import is_loopback
from gatelodge.ids import new_id
from gatelodge.master_key import MasterKey
from gatelodge.notification import Notification
from gatelodge.subscriptions.refusals import (
    InvalidWebhookAddress,
    InvalidWebhookName,
    NoSuchWebhook,
    UnknownEvent,
    WebhookExists,
    WebhookFailed,
)
from gatelodge.subscriptions.service import TOLD, Handler, SubscriptionService
from gatelodge.subscriptions.store import Subscription
from gatelodge.tasks import end, repeat
from gatelodge.webhook_signature import new_secret, signed_headers

if TYPE_CHECKING:
    import httpx2  # slow to import, and only servers with webhooks need it

PING = "webhook.ping"
"""The name of what a test tells."""

LISTS_EVERY = timedelta(seconds=5)
"""How soon a server hears of a new webhook."""

ANSWER_SECONDS = 10

_PURPOSE = "webhook-secrets"
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
        wanted = _checked_events(events)
        if await self._find(name) is not None:
            raise WebhookExists(field="name")
        secret = new_secret()
        sealed = self.master_key.seal(_PURPOSE, secret.encode(), name.encode())
        added = Subscription(name, wanted, self.clock.now(), url, sealed)
        event = self.audit.event(
            "webhook.added", by, target=name, detail={"events": ",".join(wanted)}
        )
        await self.subscriptions.store.put(added, event)
        self.audit.log(event)
        return secret

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
            await self._send(client, found, Notification(new_id("evt", at), PING, at, None, None))

    @contextlib.asynccontextmanager
    async def sending(self) -> AsyncIterator[None]:
        """Send what is due, until the context ends. Failures are logged."""
        handlers: dict[str, Handler] = {}
        async with contextlib.AsyncExitStack() as stack:
            clients: list[httpx2.AsyncClient] = []

            async def look_for_webhooks() -> None:
                try:
                    found = await self._all()
                except StoreUnavailable:
                    return  # it is said elsewhere; those that are known go on
                if found and not clients:
                    clients.append(await stack.enter_async_context(_new_client()))
                handlers.clear()
                handlers.update({each.name: self._sender(clients[0], each) for each in found})

            looking = asyncio.create_task(repeat(look_for_webhooks, LISTS_EVERY, at_once=True))
            try:
                async with self.subscriptions.draining(lambda: handlers):
                    yield
            finally:
                await end(looking)

    def _sender(self, client: "httpx2.AsyncClient", webhook: Subscription) -> Handler:
        async def send(what: Notification) -> None:
            await self._send(client, webhook, what)

        return send

    async def _send(
        self, client: "httpx2.AsyncClient", webhook: Subscription, what: Notification
    ) -> None:
        """Send a webhook once.

        Raises:
            WebhookFailed: the receiver does not answer, or not with 2xx.
        """
        import httpx2  # noqa: PLC0415 - slow, and only servers with webhooks need it

        name = webhook.name
        secret = self.master_key.unseal(_PURPOSE, webhook.sealed_secret or b"", name.encode())
        body = _body_of(what)
        headers = signed_headers(secret.decode(), what.id, self.clock.now(), body)
        headers["Content-Type"] = "application/json"
        try:
            async with (
                asyncio.timeout(ANSWER_SECONDS),
                client.stream("POST", webhook.url or "", content=body, headers=headers) as answer,
            ):
                status = answer.status_code  # its body is not read: it could be of any length
        except (TimeoutError, httpx2.HTTPError) as error:
            reason = str(error) or type(error).__name__
            raise WebhookFailed(f"The webhook {name} was not answered: {reason}") from None
        if not 200 <= status < 300:
            raise WebhookFailed(f"The webhook {name} was answered with {status}.")

    async def _all(self) -> list[Subscription]:
        found = await self.subscriptions.store.list_subscriptions()
        return [each for each in found if each.url is not None]

    async def _find(self, name: str) -> Subscription | None:
        return next((each for each in await self._all() if each.name == name), None)


def _new_client() -> "httpx2.AsyncClient":
    """Return a client that follows no redirect and keeps no cookie."""
    import httpx2  # noqa: PLC0415 - slow, and only servers with webhooks need it

    return httpx2.AsyncClient(
        follow_redirects=False,
        timeout=None,  # the answer as a whole has a limit
        mounts={f"all://{host}": None for host in ("localhost", "127.0.0.1", "[::1]")},  # no proxy
        headers={"User-Agent": "Gatelodge", "Accept-Encoding": "identity"},
    )


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


def _checked_events(events: Iterable[str]) -> tuple[str, ...]:
    wanted = tuple(sorted(set(events)))
    for each in wanted:
        if each not in TOLD:
            near = difflib.get_close_matches(each, TOLD, n=1)
            hint = f" Is {near[0]} meant?" if near else ""
            raise UnknownEvent(f"There is no event {each[:64]!r} to hear of.{hint}", field="event")
    if not wanted:
        raise UnknownEvent("Name at least one event.", field="event")
    return wanted


def _check_url(url: str) -> None:
    """Refuse an address to which no webhook should go.

    Raises:
        InvalidWebhookAddress: over http, anybody on the way could read it.
    """
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
    except ValueError as error:
        raise InvalidWebhookAddress(field="url") from error
    sound = url.isascii() and url.isprintable() and not set(url) & set(" \\#")
    safe = parts.scheme == "https" or (parts.scheme == "http" and is_loopback(host))
    if not sound or not safe or not host or parts.username is not None:
        raise InvalidWebhookAddress(field="url")
