"""The example of docs/guides/mail.md does what a `Post` promises, with a real HTTP server."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from gatelodge.letters.post import AnswerLost, Deferred, DeliveryFailed, Post, Undeliverable
from tests.support.http_post import HttpPost
from tests.support.mails import a_mail


@dataclass
class Service:
    """A mail service: it keeps what it gets, and answers with a status; 0: it hangs up."""

    status: int = 202
    taken: list[Any] = field(default_factory=list)
    heads: list[str] = field(default_factory=list)

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        length = int(head.partition("content-length:")[2].split()[0])
        self.heads.append(head)
        self.taken.append(json.loads(await reader.readexactly(length)))
        if self.status:
            writer.write(f"HTTP/1.1 {self.status} X\r\nContent-Length: 0\r\n".encode())
            writer.write(b"Connection: close\r\n\r\n")
        writer.close()
        await writer.wait_closed()


@pytest.fixture
def service() -> Service:
    return Service()


@pytest.fixture
async def post(service: Service) -> AsyncIterator[Post]:
    listening = await asyncio.start_server(service.answer, "127.0.0.1", 0)
    port = listening.sockets[0].getsockname()[1]
    async with listening:
        post = HttpPost(f"http://127.0.0.1:{port}/send", "key-of-ours")
        yield post
        await post.close()


async def test_a_letter_is_handed_over(service: Service, post: Post) -> None:
    await post.deliver(a_mail(headers={"List-Id": "<a.example>"}))

    (letter,) = service.taken
    assert letter["to"] == "ann@example.com"
    assert letter["text"] == a_mail().text
    assert letter["headers"] == {
        "Message-ID": "<ltr_0mail@id.example.com>",
        "List-Id": "<a.example>",
    }
    assert "authorization: bearer key-of-ours" in service.heads[0]


@pytest.mark.parametrize(
    ("status", "failure"),
    [(422, Undeliverable), (401, Deferred), (429, Deferred), (503, Deferred), (0, AnswerLost)],
)
async def test_an_answer_says_whether_to_try_again(
    service: Service, post: Post, status: int, failure: type[DeliveryFailed]
) -> None:
    service.status = status
    with pytest.raises(failure):
        await post.deliver(a_mail())

    assert len(service.taken) == 1


async def test_a_service_that_is_down_defers() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    post = HttpPost(f"http://127.0.0.1:{port}/send", "key-of-ours")
    with pytest.raises(Deferred):
        await post.deliver(a_mail())
    await post.close()
