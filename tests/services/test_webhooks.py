"""Webhooks: sent to whoever wants to hear, signed, and sent again until they are taken."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import pytest

from gatelodge.app import House
from gatelodge.audit import COMMAND
from gatelodge.client import read_webhook
from gatelodge.notification import Notification
from gatelodge.subscriptions.refusals import (
    InvalidOverlap,
    InvalidWebhookAddress,
    InvalidWebhookName,
    NoSuchWebhook,
    UnknownEvent,
    WebhookExists,
    WebhookFailed,
)
from gatelodge.webhook_signature import is_signed, new_secret
from tests.contracts.builders import a_user, an_event
from tests.gate.houses import houses
from tests.support.clock import FakeClock
from tests.support.events import newest

pytestmark = [
    pytest.mark.usefixtures("lost_sockets"),
    pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning"),
]

PATIENCE_SECONDS = 20
LITTLE = timedelta(milliseconds=20)


@dataclass
class Receiver:
    """A server that takes webhooks, as raw as a socket lets it.

    Attributes:
        port: where it listens.
        answers: the status lines with which it answers, one after the other; then always 204.
        heard: the headers and the body of each request.
    """

    port: int = 0
    answers: list[bytes] = field(default_factory=list)
    heard: asyncio.Queue[tuple[dict[str, str], bytes]] = field(default_factory=asyncio.Queue)

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.port}/hook?from=gatelodge"

    async def next(self, secret: str) -> Notification:
        """Return what the next webhook tells."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            headers, body = await self.heard.get()
        assert headers["content-type"] == "application/json"
        return read_webhook(secret, headers, body)

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Take one request, and hang up."""
        with contextlib.closing(writer):
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            lines = head.split("\r\n")
            assert lines[0] == "POST /hook?from=gatelodge HTTP/1.1"
            headers = dict(line.lower().split(": ", 1) for line in lines[1:] if line)
            original = dict(line.split(": ", 1) for line in lines[1:] if line)
            signed = {name.lower(): value for name, value in original.items()}
            body = await reader.readexactly(int(headers["content-length"]))
            await self.heard.put((signed, body))
            status = self.answers.pop(0) if self.answers else b"204 No Content"
            if status:
                writer.write(b"HTTP/1.1 " + status + b"\r\nContent-Length: 0\r\n\r\n")
                await writer.drain()


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    """Yield a receiver on a free port of this machine."""
    receiver = Receiver()
    server = await asyncio.start_server(receiver.answer, "127.0.0.1", 0)
    receiver.port = server.sockets[0].getsockname()[1]
    async with server:
        yield receiver


@pytest.fixture
async def house(address: str, tmp_path: Path) -> AsyncIterator[House]:
    """Yield a house that tells the time truly: webhooks are signed with it."""
    database = address if address.startswith("mongodb") else ""
    async with houses(tmp_path, database, number=1) as (house,):
        yield house


async def test_whoever_was_added_is_told_and_what_it_does_not_take_comes_again(
    house: House, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A redirect is no success, and nobody follows it."""
    monkeypatch.setattr("gatelodge.subscriptions.service.WAITS", (LITTLE,) * 10)
    monkeypatch.setattr("gatelodge.subscriptions.service.LOOKS_EVERY", LITTLE)
    receiver.answers = [
        b"500 Oh",
        b"307 There\r\nLocation: http://127.0.0.1:1/",
        b"",
        b"200 Thanks",
    ]
    secret = await house.webhooks.add("shop", receiver.url, ["user.deleted"], COMMAND)
    user = a_user()
    await house.stores.users.add(user, an_event(name="user.signed_up"))
    await house.accounts.delete(user, COMMAND)
    async with house.webhooks.sending():
        told = [await receiver.next(secret) for _ in range(4)]
        await house.stores.events.add(an_event(name="user.deleted", target="usr_next"))
        assert (await receiver.next(secret)).subject == "usr_next"  # so that one is done with

    assert {(each.name, each.subject, each.actor) for each in told} == {
        ("user.deleted", user.id, "command"),
    }
    assert len({each.id for each in told}) == 1
    assert await house.stores.subscriptions.count_waiting("shop") <= 1


async def test_a_webhook_of_the_same_name_goes_to_its_own_address(
    house: House, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A receiver is replaced while messages wait: the former one is told nothing more."""
    monkeypatch.setattr("gatelodge.subscriptions.service.LOOKS_EVERY", LITTLE)
    former = Receiver()
    async with await asyncio.start_server(former.answer, "127.0.0.1", 0) as server:
        former.port = server.sockets[0].getsockname()[1]
        secret = await house.webhooks.add("shop", former.url, ["user.deleted"], COMMAND)
        async with house.webhooks.sending():
            await house.stores.events.add(an_event(name="user.deleted"))
            await former.next(secret)
            await house.webhooks.remove("shop", COMMAND)
            secret = await house.webhooks.add("shop", receiver.url, ["user.deleted"], COMMAND)
            for _ in range(5):
                await house.stores.events.add(an_event(name="user.deleted"))
            for _ in range(5):
                await receiver.next(secret)
        assert former.heard.empty()


async def test_of_two_who_add_one_webhook_one_is_refused(house: House) -> None:
    add = partial(house.webhooks.add, "shop", "https://shop.example", ["user.deleted"], COMMAND)
    outcomes = await asyncio.gather(*(add() for _ in range(10)), return_exceptions=True)
    assert [type(each) for each in outcomes].count(WebhookExists) == 9


async def test_a_slow_receiver_keeps_no_other_one_waiting(house: House) -> None:
    heard: asyncio.Queue[bytes] = asyncio.Queue()

    async def never_answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.closing(writer):
            await reader.read()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.closing(writer):
            await heard.put(await reader.readuntil(b"\r\n\r\n"))
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
            await writer.drain()

    async with (
        await asyncio.start_server(never_answer, "127.0.0.1", 0) as slow,
        await asyncio.start_server(answer, "127.0.0.1", 0) as quick,
    ):
        for name, server in (("slow", slow), ("quick", quick)):
            url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
            await house.webhooks.add(name, url, ["user.deleted"], COMMAND)
        for _ in range(3):
            await house.stores.events.add(an_event(name="user.deleted"))
        async with house.webhooks.sending(), asyncio.timeout(PATIENCE_SECONDS / 2):
            for _ in range(3):
                await heard.get()


async def test_a_ping_is_sent_at_once_and_says_what_went_wrong(
    house: House, receiver: Receiver
) -> None:
    secret = await house.webhooks.add("shop", receiver.url, ["user.deleted"], COMMAND)
    await house.webhooks.ping("shop")
    assert (await receiver.next(secret)).name == "webhook.ping"
    receiver.answers = [b"401 No"]
    with pytest.raises(WebhookFailed, match="The webhook shop was answered with 401"):
        await house.webhooks.ping("shop")
    await house.webhooks.add("closed", "http://127.0.0.1:1/", ["user.deleted"], COMMAND)
    with pytest.raises(WebhookFailed, match="The webhook closed was not answered"):
        await house.webhooks.ping("closed")
    with pytest.raises(NoSuchWebhook):
        await house.webhooks.ping("other")


async def test_webhooks_are_added_listed_and_removed(house: House) -> None:
    url, events = "https://shop.example/hook", ["user.disabled", "user.deleted"]
    await house.webhooks.add("shop", url, events, COMMAND)
    await house.stores.events.add(an_event(name="user.deleted"))
    with pytest.raises(WebhookExists):
        await house.webhooks.add("shop", url, events, COMMAND)
    (found,) = await house.webhooks.list_webhooks()
    assert (found.name, found.url, found.waiting) == ("shop", url, 1)
    assert found.events == ("user.deleted", "user.disabled")

    await house.webhooks.remove("shop", COMMAND)
    with pytest.raises(NoSuchWebhook):
        await house.webhooks.remove("shop", COMMAND)
    assert await house.webhooks.list_webhooks() == []
    assert await house.stores.subscriptions.count_waiting("shop") == 0
    listed = await newest(house.stores.events, 9)
    assert {"webhook.added", "webhook.removed"} <= {each.name for each in listed}


async def test_the_secret_is_in_neither_the_database_nor_the_log(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    url = "https://shop.example/hook"
    secret = await house.webhooks.add("shop", url, ["user.deleted"], COMMAND)
    listed = await house.stores.subscriptions.list_subscriptions()
    (stored,) = [each for each in listed if each.url is not None]
    assert stored.sealed_secret is not None
    assert secret.encode() not in stored.sealed_secret
    assert secret not in caplog.text


async def test_a_new_secret_signs_beside_the_former_one_for_a_time(
    address: str, tmp_path: Path, receiver: Receiver
) -> None:
    clock = FakeClock(datetime.now(UTC))
    database = address if address.startswith("mongodb") else ""
    async with houses(tmp_path, database, number=1, clock=clock) as (house,):
        first = await house.webhooks.add("shop", receiver.url, ["user.deleted"], COMMAND)

        async def takes(*secrets: str) -> list[bool]:
            """Return which of these secrets the receiver may have for the next webhook."""
            await house.webhooks.ping("shop")
            headers, body = await receiver.heard.get()
            return [is_signed(secret, headers, body, clock.now()) for secret in secrets]

        second = await house.webhooks.rotate("shop", timedelta(days=1), COMMAND)
        assert second.former == ((first, clock.now() + timedelta(days=1)),)
        assert await takes(first, second.current, new_secret()) == [True, True, False]
        clock.advance(timedelta(hours=23))
        third = await house.webhooks.rotate("shop", timedelta(days=1), COMMAND)
        assert await takes(first, second.current, third.current) == [True, True, True]
        clock.advance(timedelta(hours=1))
        assert await takes(first, second.current, third.current) == [False, True, True]
        fourth = await house.webhooks.rotate("shop", timedelta(0), COMMAND)
        assert fourth.former == ()
        every = (first, second.current, third.current, fourth.current)
        assert await takes(*every) == [False, False, False, True]


async def test_of_many_new_secrets_at_once_each_signs(house: House, receiver: Receiver) -> None:
    """Nobody is shown a secret that was lost."""
    await house.webhooks.add("shop", receiver.url, ["user.deleted"], COMMAND)
    rotated = await asyncio.gather(
        *(house.webhooks.rotate("shop", timedelta(hours=1), COMMAND) for _ in range(4))
    )
    await house.webhooks.ping("shop")
    headers, body = await receiver.heard.get()
    now = house.clock.now()
    assert all(is_signed(each.current, headers, body, now) for each in rotated)
    assert len({each.current for each in rotated}) == 4
    listed = await newest(house.stores.events, 9)
    assert [each.name for each in listed].count("webhook.rotated") == 4


async def test_only_the_newest_former_secrets_sign(house: House, receiver: Receiver) -> None:
    await house.webhooks.add("shop", receiver.url, ["user.deleted"], COMMAND)
    secrets = [
        (await house.webhooks.rotate("shop", timedelta(hours=1), COMMAND)).current for _ in range(6)
    ]
    await house.webhooks.ping("shop")
    headers, body = await receiver.heard.get()
    signs = [is_signed(each, headers, body, house.clock.now()) for each in secrets]
    assert signs == [False, True, True, True, True, True]


async def test_a_secret_that_cannot_be_rotated_is_refused(house: House) -> None:
    await house.webhooks.add("shop", "https://shop.example/", ["user.deleted"], COMMAND)
    with pytest.raises(NoSuchWebhook):
        await house.webhooks.rotate("other", timedelta(0), COMMAND)
    for wrong in (timedelta(days=30, seconds=1), timedelta(seconds=-1)):
        with pytest.raises(InvalidOverlap):
            await house.webhooks.rotate("shop", wrong, COMMAND)


UNFIT_ADDRESSES = (
    "http://shop.example/hook",
    "http://192.0.2.7/",
    "http://127.0.0.2/",
    "http://x.localhost/",
    "https://[v1.x]/",
    "https://shop.example/" + "x" * 2048,
    "ftp://shop.example/",
    "https://",
    "https://ann:secret@shop.example/",
    "https://shop.example/#part",
    "https://shop.example/a b",
    "https://shop.example:port/",
    "https://shöp.example/",
    "shop.example",
    "",
)
UNFIT_NAMES = ("", "Shop", "1shop", "a.b", "shop\n", "s" * 65, "shop ")
UNFIT_EVENTS: tuple[list[str], ...] = ([], ["user.delete"], ["user.deleted", "webhook.added"])


async def test_a_webhook_goes_only_where_nobody_reads_it_on_the_way(house: House) -> None:
    for url in UNFIT_ADDRESSES:
        with pytest.raises(InvalidWebhookAddress):
            await house.webhooks.add("shop", url, ["user.deleted"], COMMAND)
    assert await house.webhooks.list_webhooks() == []


async def test_the_name_of_a_webhook_is_short_and_plain(house: House) -> None:
    for name in UNFIT_NAMES:
        with pytest.raises(InvalidWebhookName):
            await house.webhooks.add(name, "https://shop.example", ["user.deleted"], COMMAND)


async def test_only_events_that_are_told_can_be_named(house: House) -> None:
    for events in UNFIT_EVENTS:
        with pytest.raises(UnknownEvent):
            await house.webhooks.add("shop", "https://shop.example", events, COMMAND)
