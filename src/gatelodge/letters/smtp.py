"""Delivers letters by an SMTP server.

A few connections are kept and used again. One that the server has closed meanwhile is noticed
before the message is sent on it; then the letter goes over a new one. Once the message was sent,
nothing is repeated here: without an answer, nobody knows whether it was taken.
"""

import asyncio
import re
import ssl
from collections.abc import Callable
from dataclasses import dataclass

import aiosmtplib

from gatelodge.letters.mail import Envelope, Mail, envelope_of, message_of
from gatelodge.letters.post import (
    DELIVERS_WITHIN,
    AnswerLost,
    Deferred,
    DeliveryFailed,
    Undeliverable,
    without_values,
)
from gatelodge.smtp_address import SmtpAddress

_CLOSING = 421
_TOO_LARGE = 552
_QUIT_SECONDS = 1.0
_ABOUT_US = re.compile(r"(?:530|534|535|538)\b|5\d\d[ -]5\.(?:1\.[78]|7\.(?:8|9|11))\b")
"""What a server says of our password, our sender or missing TLS, at whatever step (RFC 4954,
RFC 3463)."""

_ADDRESS = re.compile(r"\S*@\S*")
_RELAY = re.compile(
    r"\brelay(?:ing)? (?:access )?(?:denied|not|prohibited)|\b(?:unable to|not|cannot) relay\b",
    re.IGNORECASE,
)
"""What a server says that takes letters to its own addresses only, unless one signs in. There is no
code for it alone: Postfix answers 554 5.7.1, Exim 550, Exchange 550 5.7.54."""

_FIRST_DOTS = re.compile(rb"(?m)^\.")


@dataclass(frozen=True, slots=True)
class Limits:
    """How long the server may take, in seconds, and how many connections there are.

    Attributes:
        connect: to accept a connection, and to greet.
        command: to answer a command.
        answer: to say whether it takes a message; RFC 5321, 4.5.3.2.6, grants more, but a queue
            waits for it.
        idle: how long an unused connection is kept.
        connections: how many there are at most.
        letters: after how many letters a connection is replaced: servers have limits of their own,
            and some refuse what comes after without closing the connection.
    """

    connect: float = 10
    command: float = 30
    answer: float = 90
    idle: float = 15
    connections: int = 4
    letters: int = 100


_LIMITS = Limits()


class SmtpPost:
    """A `Post` by SMTP."""

    def __init__(
        self,
        address: SmtpAddress,
        own_name: str,
        *,
        limits: Limits = _LIMITS,
        make_tls: Callable[[], ssl.SSLContext] = ssl.create_default_context,
    ) -> None:
        """Open nothing yet.

        Args:
            address: the server.
            own_name: the name of this host, for the greeting.
            limits: how long the server may take.
            make_tls: makes the settings of TLS; the usual ones trust what this machine trusts.
        """
        self._address = address
        self._own_name = own_name
        self._limits = limits
        self._make_tls = make_tls
        self._tls: ssl.SSLContext | None = None
        self._places = asyncio.Semaphore(limits.connections)
        self._idle: list[_Line] = []
        self._farewells: set[asyncio.Task[None]] = set()

    async def deliver(self, mail: Mail) -> None:
        """See `Post`."""
        try:
            letter = _Letter(mail, envelope_of(mail), message_of(mail).as_bytes())
        except ValueError as error:
            raise Undeliverable(f"The letter cannot be written: {error}.") from None
        try:
            async with asyncio.timeout(DELIVERS_WITHIN.total_seconds()), self._places:
                await self._hand_over(letter)
        except TimeoutError:
            seconds = f"{DELIVERS_WITHIN.total_seconds():.0f} seconds"
            raise letter.lost(f"The mail server was too slow: {seconds} are over.") from None

    async def close(self) -> None:
        """See `Post`."""
        while self._idle:
            self._say_farewell(self._idle.pop())
        await asyncio.gather(*self._farewells)

    async def _hand_over(self, letter: "_Letter") -> None:
        """Send the letter on a connection that is open, or else on a new one."""
        if line := self._open_line():
            try:
                return await self._send(line, letter)
            except _ConnectionLost:
                if letter.is_sent:
                    raise letter.lost("The mail server closed the connection.") from None
        try:
            return await self._send(await self._new_line(), letter)
        except _ConnectionLost as error:
            raise letter.lost(error.reason) from None

    async def _send(self, line: "_Line", letter: "_Letter") -> None:
        """Send the letter, and keep the connection if it can be used again."""
        try:
            await line.send(letter, self._limits)
        except (Deferred, Undeliverable) as refusal:
            if isinstance(refusal, Deferred) and refusal.is_general:
                line.drop()  # another connection may fare better
            elif not letter.is_sent:
                await line.reset()
            raise
        except BaseException:
            line.drop()
            raise
        finally:
            if line.is_open:
                self._keep(line)

    def _open_line(self) -> "_Line | None":
        """Return a connection that is open, as far as we know."""
        while self._idle:
            line = self._idle.pop()
            line.stop_timer()
            if line.is_open:
                return line
        return None

    def _keep(self, line: "_Line") -> None:
        if line.letters >= self._limits.letters:
            self._say_farewell(line)
            return
        self._idle.append(line)
        line.start_timer(self._limits.idle, self._let_go)

    def _let_go(self, line: "_Line") -> None:
        if line in self._idle:
            self._idle.remove(line)
            self._say_farewell(line)

    def _say_farewell(self, line: "_Line") -> None:
        line.stop_timer()
        task = asyncio.create_task(line.quit())
        self._farewells.add(task)
        task.add_done_callback(self._farewells.discard)

    async def _new_line(self) -> "_Line":
        """Open a connection, and sign in.

        Raises:
            Deferred: it failed; that is no fault of a letter.
        """
        if self._address.tls != "none" and self._tls is None:
            self._tls = await asyncio.to_thread(self._make_tls)  # it reads many certificates
        client = aiosmtplib.SMTP(
            hostname=self._address.host,
            port=self._address.port,
            local_hostname=self._own_name,
            timeout=self._limits.command,
            use_tls=self._address.tls == "at once",
            start_tls=False,
            tls_context=self._tls,
        )
        try:
            await self._greet(client)
        except (aiosmtplib.SMTPException, OSError, ValueError) as error:
            client.close()
            raise Deferred(self._without_password(_told(error)), is_general=True) from None
        except BaseException:
            client.close()
            raise
        return _Line(client)

    async def _greet(self, client: aiosmtplib.SMTP) -> None:
        """Connect; nothing but greetings is sent before TLS, if there is to be TLS.

        Raises:
            SMTPException, OSError, ValueError: it failed.
        """
        await client.connect(timeout=self._limits.connect)
        await client.ehlo()
        if self._address.tls == "starttls":
            if not client.supports_extension("starttls"):
                raise ValueError("the mail server does not offer STARTTLS")
            await client.starttls()
            await client.ehlo()
        if self._address.user:
            user, password = self._address.user.encode(), self._address.password.encode()
            await client.login(user, password)

    def _without_password(self, told: str) -> str:
        for secret in (self._address.password, self._address.user):
            if secret:
                told = told.replace(secret, "…")
        return told


class _ConnectionLost(Exception):
    """The connection broke, or the server asked to leave, while a letter was on its way."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(reason)


@dataclass(slots=True)
class _Letter:
    """A letter on its way.

    Attributes:
        mail: the letter.
        envelope: its addresses.
        message: its message.
        is_sent: whether the message was sent, so that it may have been taken.
    """

    mail: Mail
    envelope: Envelope
    message: bytes
    is_sent: bool = False

    def lost(self, reason: str) -> DeliveryFailed:
        """Return what it means that the connection is lost."""
        if self.is_sent:
            return AnswerLost(f"{reason.rstrip('.')}. It may have taken the letter.")
        return Deferred(reason, is_general=True)

    def refused(self, step: str, code: int, told: str) -> DeliveryFailed:
        """Return what it means that the server refused a step."""
        reason = without_values(f"{code} {told}", self.mail)
        if not 400 <= code <= 599:
            return self.lost(f"The mail server answered {step} with {reason}.")
        about_sender = step == "MAIL" and code != _TOO_LARGE
        if code < 500:
            return Deferred(reason, is_general=about_sender)
        if about_sender or _ABOUT_US.match(f"{code} {told}"):
            return Deferred(reason, is_general=True)
        if _RELAY.search(_ADDRESS.sub("", told)):  # its own addresses still get theirs
            return Deferred(reason)
        return Undeliverable(reason)


class _Line:
    """An open connection, on which one is signed in.

    Attributes:
        letters: how many letters went over it, refused ones included.
    """

    def __init__(self, client: aiosmtplib.SMTP) -> None:
        self.letters = 0
        self._client = client
        self._timer: asyncio.TimerHandle | None = None

    @property
    def is_open(self) -> bool:
        """Whether it is open, as far as we know."""
        return self._client.is_connected

    async def send(self, letter: _Letter, limits: Limits) -> None:
        """Send a letter.

        Raises:
            DeliveryFailed: the server does not take it.
            _ConnectionLost: the connection is lost, at whatever step.
        """
        self.letters += 1
        options = [] if letter.envelope.is_ascii else [b"SMTPUTF8", b"BODY=8BITMIME"]
        if options and not self._client.supports_extension("smtputf8"):
            raise Undeliverable(
                "The mail server cannot send to addresses with letters beyond ASCII before the @ "
                "(it does not offer SMTPUTF8)."
            )
        sender, to = letter.envelope.sender.encode(), letter.envelope.to.encode()
        await self._ask(letter, 2, b"MAIL", b"FROM:<%b>" % sender, *options)
        await self._ask(letter, 2, b"RCPT", b"TO:<%b>" % to)
        await self._ask(letter, 3, b"DATA")
        try:
            code, told = await self._send_message(letter, limits.answer)
        except (aiosmtplib.SMTPException, OSError) as error:
            raise _ConnectionLost(_told(error)) from None
        if code // 100 != 2:
            raise letter.refused("the message", code, told)

    async def _ask(self, letter: _Letter, wanted: int, *words: bytes) -> None:
        """Send a command, and wait for an answer whose code begins with a digit."""
        try:
            code, told = await self._client.execute_command(*words)
        except (aiosmtplib.SMTPException, OSError) as error:
            raise _ConnectionLost(_told(error)) from None
        if code == _CLOSING:
            self.drop()
            raise _ConnectionLost(without_values(f"{code} {told}", letter.mail))
        if code // 100 != wanted:
            raise letter.refused(words[0].decode(), code, told)

    async def _send_message(self, letter: _Letter, seconds: float) -> aiosmtplib.SMTPResponse:
        """Send the message, and return the answer.

        Not by `SMTP.data`: that does not say whether it failed before or after the message.
        """
        protocol = self._client.protocol
        if protocol is None:
            raise aiosmtplib.SMTPServerDisconnected("The connection was closed")
        protocol.write(_FIRST_DOTS.sub(b"..", letter.message) + b".\r\n")
        letter.is_sent = True
        return await protocol.read_response(timeout=seconds)

    async def reset(self) -> None:
        """Make the server forget a letter that it refused; else drop the connection."""
        if not self.is_open:
            return
        try:
            await self._client.rset()
        except (aiosmtplib.SMTPException, OSError):
            self.drop()

    async def quit(self) -> None:
        """Take leave, as RFC 5321, section 4.1.1.10, asks, and close the connection."""
        try:
            await self._client.quit(timeout=_QUIT_SECONDS)
        except (aiosmtplib.SMTPException, OSError):
            pass
        finally:
            self.drop()

    def drop(self) -> None:
        """Close the connection at once."""
        self._client.close()

    def start_timer(self, seconds: float, then: "Callable[[_Line], None]") -> None:
        """Call a function when the connection was unused for so long."""
        self._timer = asyncio.get_running_loop().call_later(seconds, then, self)

    def stop_timer(self) -> None:
        """Forget the timer."""
        if self._timer is not None:
            self._timer.cancel()


def _told(error: Exception) -> str:
    """Return what went wrong, for operators."""
    if isinstance(error, aiosmtplib.SMTPResponseException):
        return f"{error.code} {error.message}"
    told = str(error).rstrip(": ") or type(error).__name__
    return f"The mail server cannot be used: {told}"
