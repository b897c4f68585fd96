"""An SMTP server (aiosmtpd) in the test's own event loop, which can be told to misbehave."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from functools import cache
from typing import Any

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

USER, PASSWORD = "gatelodge", "pa:ss@wo/rd %"


@dataclass
class MailServer:
    """What it got, and what it shall answer.

    Attributes:
        port: where it listens.
        answers: answers in place of the usual ones, by command; each is used once, the last one for
            ever. `cut` closes the connection without an answer, and a number waits for so many
            seconds before the usual one.
        taken: the envelopes and messages that it said it took.
        commands: the commands of letters that it got, without their arguments.
        received: all bytes that it got; of TLS, the plain text.
        connections: how many connections there were.
        open: the connections that are open.
    """

    port: int = 0
    answers: dict[str, list[str | float]] = field(default_factory=dict)
    taken: list[Envelope] = field(default_factory=list)
    commands: list[str] = field(default_factory=list)
    received: bytearray = field(default_factory=bytearray)
    connections: int = 0
    open: set["_Connection"] = field(default_factory=set)
    _moved: asyncio.Event = field(default_factory=asyncio.Event)

    async def until(self, reached: Callable[["MailServer"], bool], seconds: float = 5) -> None:
        """Wait until something is so; so many seconds at most."""
        async with asyncio.timeout(seconds):
            while not reached(self):
                await self._moved.wait()
                self._moved.clear()

    @property
    def letters(self) -> list[EmailMessage]:
        """The messages that it took, as a mail program reads them."""
        contents = [each.content for each in self.taken]
        return [_read(content) for content in contents if isinstance(content, bytes)]

    def close_connections(self) -> None:
        """Close all connections, as a server does with idle ones."""
        for connection in self.open:
            assert connection.transport is not None
            connection.transport.close()

    def closed(self, connection: "_Connection") -> None:
        """Note that a connection has ended."""
        self.open.discard(connection)
        self._moved.set()

    async def told(self, command: str, connection: "_Connection") -> str | None:
        """Return the answer to a command, or None for the usual one."""
        self.commands.append(command)
        self._moved.set()
        waiting = self.answers.get(command, [""])
        answer = waiting.pop(0) if len(waiting) > 1 else waiting[0]
        if answer == "cut":
            assert connection.transport is not None
            connection.transport.abort()
            await asyncio.sleep(3600)  # the end of the connection cancels it
        if isinstance(answer, float):
            await asyncio.sleep(answer)
            return None
        return answer or None


@cache
def _read(content: bytes) -> EmailMessage:
    """Return a message; a test that waits for one asks for all of them again and again."""
    return message_from_bytes(content, policy=default)


class _Connection(SMTP):
    """A connection, which tells the server what happens."""

    def __init__(self, server: MailServer, **options: Any) -> None:
        super().__init__(self, hostname="mail.test", **options)
        self._server = server

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._server.connections += self not in self._server.open  # STARTTLS makes it again
        self._server.open.add(self)

    def data_received(self, data: bytes) -> None:
        self._server.received += data
        super().data_received(data)

    def connection_lost(self, error: Exception | None) -> None:
        self._server.closed(self)
        super().connection_lost(error)

    async def handle_MAIL(  # noqa: N802 - aiosmtpd's name
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if told := await self._server.told("MAIL", self):
            return told
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return "250 OK"

    async def handle_RCPT(  # noqa: N802 - aiosmtpd's name
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if told := await self._server.told("RCPT", self):
            return told
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(  # noqa: N802 - aiosmtpd's name
        self, server: SMTP, session: Session, envelope: Envelope
    ) -> str:
        told = await self._server.told("message", self)
        if told is None or told.startswith("2"):
            self._server.taken.append(envelope)
        return told or "250 OK: queued"

    async def handle_RSET(  # noqa: N802 - aiosmtpd's name
        self, server: SMTP, session: Session, envelope: Envelope
    ) -> str:
        return await self._server.told("RSET", self) or "250 OK"

    async def handle_QUIT(  # noqa: N802 - aiosmtpd's name
        self, server: SMTP, session: Session, envelope: Envelope
    ) -> str:
        return await self._server.told("QUIT", self) or "221 Bye"


@contextlib.asynccontextmanager
async def mail_server(
    tls: ssl.SSLContext | None = None, *, at_once: bool = False, **options: Any
) -> AsyncIterator[MailServer]:
    """Run a server on a free port of 127.0.0.1.

    Args:
        tls: its certificate; None: it has no TLS.
        at_once: whether TLS begins with the connection; otherwise by STARTTLS.
        options: for aiosmtpd.
    """
    loop, told = asyncio.get_running_loop(), MailServer()
    starttls = None if at_once else tls

    def connection() -> _Connection:
        return _Connection(told, tls_context=starttls, loop=loop, **options)

    listening = await loop.create_server(connection, "127.0.0.1", 0, ssl=tls if at_once else None)
    told.port = listening.sockets[0].getsockname()[1]
    try:
        yield told
    finally:
        listening.close()
        told.close_connections()
        await asyncio.sleep(0)


def check_password(
    server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: Any
) -> AuthResult:
    """Let in whoever has the user name and the password."""
    given = isinstance(data, LoginPassword) and (data.login, data.password)
    return AuthResult(success=given == (USER.encode(), PASSWORD.encode()), handled=False)
