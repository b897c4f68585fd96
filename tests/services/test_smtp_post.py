"""Letters by SMTP, to a real server that takes them, refuses them, and misbehaves."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from gatelodge.letters.post import AnswerLost, Deferred, Undeliverable
from gatelodge.letters.smtp import Limits, SmtpPost
from gatelodge.smtp_address import SmtpAddress
from tests.support.certificates import certificate
from tests.support.mail_server import PASSWORD, USER, MailServer, check_password, mail_server
from tests.support.mails import a_mail

QUICK = Limits(connect=0.5, command=0.5, answer=0.5, idle=30)


@asynccontextmanager
async def post_to(
    server: MailServer,
    tls: Any = "none",
    user: str = "",
    password: str = "",
    limits: Limits = QUICK,
    trusted: Path | None = None,
) -> AsyncIterator[SmtpPost]:
    """Open a post to this server, and close it."""
    address = SmtpAddress("127.0.0.1", server.port, tls, user, password)
    post = SmtpPost(
        address,
        "id.example.com",
        limits=limits,
        make_tls=lambda: ssl.create_default_context(cafile=trusted),
    )
    try:
        yield post
    finally:
        await post.close()


@pytest.fixture
async def server() -> AsyncIterator[MailServer]:
    async with mail_server() as running:
        yield running


@pytest.fixture
async def post(server: MailServer) -> AsyncIterator[SmtpPost]:
    async with post_to(server) as opened:
        yield opened


@pytest.fixture
def tls(tmp_path: Path) -> ssl.SSLContext:
    """Return the settings of a server whose certificate is for 127.0.0.1."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate(tmp_path, "127.0.0.1"))
    return context


async def test_a_letter_arrives_as_it_was_written(server: MailServer, post: SmtpPost) -> None:
    mail = a_mail(subject="Ihr Code für Söhne", text="Grüße\n.\n..two\n", html="<p>ü</p>\n")
    await post.deliver(mail)

    (envelope,), (letter,) = server.taken, server.letters
    assert (envelope.mail_from, envelope.rcpt_tos) == ("no-reply@id.example.com", [mail.to])
    assert letter["Message-ID"] == "<ltr_0mail@id.example.com>"
    assert letter["Subject"] == mail.subject
    text, html = (letter.get_body((kind,)) for kind in ("plain", "html"))
    assert text is not None
    assert html is not None
    assert text.get_content().replace("\r\n", "\n") == mail.text
    assert html.get_content().replace("\r\n", "\n") == mail.html
    assert server.received.isascii()


async def test_a_connection_is_used_again(server: MailServer, post: SmtpPost) -> None:
    for _ in range(5):
        await post.deliver(a_mail())

    assert (len(server.taken), server.connections) == (5, 1)


async def test_there_are_never_more_connections_than_allowed(
    server: MailServer, post: SmtpPost
) -> None:
    await asyncio.gather(
        *(post.deliver(a_mail(message_id=f"ltr_{n}@a.example")) for n in range(60))
    )

    assert len({each["Message-ID"] for each in server.letters}) == 60
    assert server.connections <= Limits().connections


async def test_200_letters_at_once_share_a_few_connections(server: MailServer) -> None:
    async with post_to(server, limits=Limits()) as post:
        await asyncio.gather(*(post.deliver(a_mail()) for _ in range(200)))

    assert len(server.taken) == 200
    assert server.connections == Limits().connections


async def test_a_connection_is_replaced_after_some_letters(server: MailServer) -> None:
    """Servers have limits of their own, and refuse what comes after."""
    async with post_to(server, limits=Limits(letters=3)) as post:
        for _ in range(7):
            await post.deliver(a_mail())
        await server.until(lambda it: it.commands.count("QUIT") == 2)

        assert (len(server.taken), server.connections) == (7, 3)


async def test_a_connection_that_was_closed_meanwhile_is_replaced(
    server: MailServer, post: SmtpPost
) -> None:
    await post.deliver(a_mail())
    server.close_connections()
    await post.deliver(a_mail())

    assert (len(server.taken), server.connections) == (2, 2)


@pytest.mark.parametrize("answer", ["cut", "421 4.4.2 Timeout exceeded", 5.0])
async def test_a_connection_that_turns_out_to_be_stale_is_replaced_once(
    server: MailServer, post: SmtpPost, answer: str | float
) -> None:
    """It was alive when the letter was due, and breaks before the message."""
    await post.deliver(a_mail())
    server.answers["MAIL"] = [answer, ""]
    await post.deliver(a_mail())

    assert (len(server.taken), server.connections) == (2, 2)


async def test_a_server_that_breaks_every_connection_is_asked_twice_at_most(
    server: MailServer, post: SmtpPost
) -> None:
    await post.deliver(a_mail())
    server.answers["RCPT"] = ["cut"]
    with pytest.raises(Deferred) as refused:
        await post.deliver(a_mail())

    assert refused.value.is_general
    assert server.commands.count("RCPT") == 3
    assert len(server.taken) == 1


async def test_an_idle_connection_is_closed_politely(server: MailServer) -> None:
    async with post_to(server, limits=Limits(idle=0.05)) as post:
        await post.deliver(a_mail())
        await server.until(lambda it: not it.open)
        assert server.commands[-1] == "QUIT"

        await post.deliver(a_mail())
        assert server.connections == 2


async def test_the_end_closes_all_connections(server: MailServer) -> None:
    async with post_to(server) as post:
        await asyncio.gather(*(post.deliver(a_mail()) for _ in range(8)))
    assert server.commands.count("QUIT") == server.connections > 1


async def test_a_server_that_is_down_defers(server: MailServer) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        server.port = free.getsockname()[1]
    async with post_to(server) as post:
        with pytest.raises(Deferred, match="cannot be used") as refused:
            await post.deliver(a_mail())

    assert refused.value.is_general


async def test_a_server_that_does_not_greet_defers(server: MailServer) -> None:
    loop = asyncio.get_running_loop()
    silent = await loop.create_server(asyncio.Protocol, "127.0.0.1", 0)
    server.port = silent.sockets[0].getsockname()[1]
    async with silent, post_to(server) as post:
        with pytest.raises(Deferred, match="Timed out") as refused:
            await post.deliver(a_mail())

    assert refused.value.is_general


@pytest.mark.parametrize("command", ["MAIL", "RCPT"])
async def test_a_slow_server_defers(server: MailServer, post: SmtpPost, command: str) -> None:
    server.answers[command] = [5.0]
    with pytest.raises(Deferred, match="Timed out"):
        await post.deliver(a_mail())

    server.answers.clear()
    await post.deliver(a_mail())


@pytest.mark.parametrize(
    ("command", "answer", "is_general"),
    [
        ("RCPT", "451 4.7.1 Greylisted, try again later", False),
        ("RCPT", "452 4.2.2 Mailbox full", False),
        ("MAIL", "452 4.3.1 Insufficient system storage", True),
        ("message", "452 4.3.1 Insufficient system storage", False),
        ("message", "451 4.3.0 Queue file write error", False),
        ("RCPT", "421 4.3.2 Shutting down", True),
        ("MAIL", "530 5.7.0 Must issue a STARTTLS command first", True),
        ("MAIL", "553 5.7.1 Sender address rejected: not owned by user", True),
        ("RCPT", "535 5.7.8 Authentication required", True),
        ("RCPT", "550 5.1.8 Sender's domain not found", True),
        ("RCPT", "554 5.7.1 <b@example.com>: Relay access denied", False),
        ("RCPT", "550 relay not permitted", False),
        ("RCPT", "550 5.7.1 ... Relaying denied", False),
        ("RCPT", "550 5.7.54 SMTP; Unable to relay recipient in non-accepted domain", False),
    ],
)
async def test_what_may_succeed_later_is_deferred(
    server: MailServer, post: SmtpPost, command: str, answer: str, is_general: bool
) -> None:
    server.answers[command] = [answer, ""]
    with pytest.raises(Deferred) as refused:
        await post.deliver(a_mail())

    assert refused.value.reason == answer
    assert refused.value.is_general is is_general
    await post.deliver(a_mail(to="bob@example.com"))
    assert [each.rcpt_tos for each in server.taken] == [["bob@example.com"]]
    assert server.connections == (2 if is_general else 1)


@pytest.mark.parametrize(
    ("command", "answer"),
    [
        ("RCPT", "550 5.1.1 No such user"),
        ("RCPT", "550 5.1.1 <relay@example.com>: No such user"),
        ("RCPT", "550 5.1.1 Recipient address rejected: User unknown in relay recipient table"),
        ("RCPT", "554 5.7.1 Refused by policy"),
        ("MAIL", "552 5.3.4 Message too large"),
        ("message", "554 5.7.1 Looks like spam"),
    ],
)
async def test_what_is_refused_for_good_is_undeliverable(
    server: MailServer, post: SmtpPost, command: str, answer: str
) -> None:
    server.answers[command] = [answer, ""]
    with pytest.raises(Undeliverable) as refused:
        await post.deliver(a_mail())

    assert refused.value.reason == answer
    await post.deliver(a_mail(to="bob@example.com"))
    assert [each.rcpt_tos for each in server.taken] == [["bob@example.com"]]
    assert server.connections == 1


async def test_what_a_server_repeats_of_a_letter_is_not_told(
    server: MailServer, post: SmtpPost
) -> None:
    server.answers["message"] = [
        "550 <ann@example.com>: https://id.example.com/verify#token=s3cr3t-of-ann-1 ABCD-EF23"
    ]
    with pytest.raises(Undeliverable) as refused:
        await post.deliver(a_mail())

    assert refused.value.reason == "550 <…>: … …"


async def test_a_server_that_leaves_after_the_message_may_have_taken_it(
    server: MailServer, post: SmtpPost
) -> None:
    """Nothing is sent again here, although the connection was a used one."""
    await post.deliver(a_mail())
    server.answers["message"] = ["cut"]
    with pytest.raises(AnswerLost):
        await post.deliver(a_mail())

    assert server.commands.count("message") == 2
    assert server.connections == 1


@pytest.mark.parametrize("answer", [5.0, "354 Go on", "999 What?"])
async def test_a_server_that_does_not_say_whether_it_took_a_letter_may_have_taken_it(
    server: MailServer, post: SmtpPost, answer: str | float
) -> None:
    server.answers["message"] = [answer]
    with pytest.raises(AnswerLost, match="may have taken"):
        await post.deliver(a_mail())

    server.answers.clear()
    await post.deliver(a_mail())
    assert server.connections == 2


async def test_a_letter_that_is_cancelled_leaves_no_connection_in_its_middle(
    server: MailServer, post: SmtpPost
) -> None:
    server.answers["RCPT"] = [5.0, ""]
    running = asyncio.create_task(post.deliver(a_mail()))
    await server.until(lambda it: "RCPT" in it.commands)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running

    await post.deliver(a_mail(to="bob@example.com"))
    assert [each.rcpt_tos for each in server.taken] == [["bob@example.com"]]


# TLS and passwords


async def test_starttls_and_a_password(tls: ssl.SSLContext, tmp_path: Path) -> None:
    async with (
        mail_server(tls, auth_required=True, authenticator=check_password) as server,
        post_to(server, "starttls", USER, PASSWORD, trusted=tmp_path / "127.0.0.1.pem") as post,
    ):
        await post.deliver(a_mail())
        await post.deliver(a_mail())

        assert (len(server.taken), server.connections) == (2, 1)


async def test_tls_at_once(tls: ssl.SSLContext, tmp_path: Path) -> None:
    async with (
        mail_server(
            tls,
            at_once=True,
            auth_require_tls=False,
            authenticator=check_password,
        ) as server,
        post_to(server, "at once", USER, PASSWORD, trusted=tmp_path / "127.0.0.1.pem") as post,
    ):
        await post.deliver(a_mail())

        assert len(server.taken) == 1
        assert b"AUTH " in server.received


async def test_a_server_without_starttls_gets_neither_password_nor_letter() -> None:
    """Somebody on the way may have deleted the offer (RFC 3207, section 6)."""
    async with (
        mail_server(auth_require_tls=False, authenticator=check_password) as server,
        post_to(server, "starttls", USER, PASSWORD) as post,
    ):
        with pytest.raises(Deferred, match="does not offer STARTTLS") as refused:
            await post.deliver(a_mail())

        assert refused.value.is_general
        assert server.received.upper().startswith(b"EHLO ")
        assert server.received.count(b"\n") == 1


@pytest.mark.parametrize("tls_begins", ["starttls", "at once"])
async def test_a_certificate_that_nobody_vouches_for_gets_neither_password_nor_letter(
    tls: ssl.SSLContext, tls_begins: str
) -> None:
    async with (
        mail_server(tls, at_once=tls_begins == "at once") as server,
        post_to(server, tls_begins, USER, PASSWORD) as post,
    ):
        with pytest.raises(Deferred, match="certificate") as refused:
            await post.deliver(a_mail())

        assert refused.value.is_general
        assert b"AUTH" not in server.received
        assert b"MAIL" not in server.received


@pytest.mark.parametrize("offered", [True, False])
async def test_a_wrong_password_defers_and_is_not_told(
    tls: ssl.SSLContext, tmp_path: Path, offered: bool
) -> None:
    options = {"authenticator": check_password} if offered else {"auth_exclude_mechanism": ALL}
    async with (
        mail_server(tls, **options) as server,
        post_to(server, "starttls", USER, "wr0ng-pass", trusted=tmp_path / "127.0.0.1.pem") as post,
    ):
        with pytest.raises(Deferred) as refused:
            await post.deliver(a_mail())

        assert refused.value.is_general
        assert "wr0ng" not in refused.value.reason
        assert USER not in refused.value.reason
        assert ("535" in refused.value.reason) is offered
        assert server.taken == []


ALL = ["LOGIN", "PLAIN"]


def test_the_password_is_not_shown_by_repr() -> None:
    address = SmtpAddress("mail.example.com", 587, "starttls", USER, PASSWORD)
    post = SmtpPost(address, "id.example.com")

    assert PASSWORD not in f"{address!r}{post!r}"


# Addresses


async def test_a_domain_of_other_letters_goes_in_ascii(server: MailServer, post: SmtpPost) -> None:
    await post.deliver(a_mail(to="ann@bücher.example", sender="Bücher <a@bücher.example>"))

    (envelope,) = server.taken
    assert envelope.rcpt_tos == ["ann@xn--bcher-kva.example"]
    assert envelope.mail_from == "a@xn--bcher-kva.example"


async def test_other_letters_before_the_at_need_a_server_that_can_send_them(
    server: MailServer, post: SmtpPost
) -> None:
    with pytest.raises(Undeliverable, match="SMTPUTF8"):
        await post.deliver(a_mail(to="jürgen@example.com"))
    await post.deliver(a_mail())
    assert server.connections == 1

    async with mail_server(enable_SMTPUTF8=True) as able, post_to(able) as other:
        await other.deliver(a_mail(to="jürgen@example.com"))
        assert able.taken[0].rcpt_tos == ["jürgen@example.com"]
        assert able.letters[0]["To"] == "jürgen@example.com"


@pytest.mark.parametrize(
    "values",
    [
        {"to": "ann@example.com>\r\nRCPT TO:<eve@example.com"},
        {"to": "ann@example.com> ORCPT=rfc822;eve@example.com"},
        {"sender": "a@example.com>\r\nRCPT TO:<eve@example.com"},
        {"message_id": "ltr_1\r\nBcc: eve@example.com"},
        {"headers": {"List-Id": "x\r\nBcc: eve@example.com"}},
    ],
    ids=str,
)
async def test_what_would_add_a_line_is_undeliverable(
    server: MailServer, post: SmtpPost, values: dict[str, Any]
) -> None:
    with pytest.raises(Undeliverable) as refused:
        await post.deliver(a_mail(**values))

    assert "eve" not in refused.value.reason
    assert server.connections == 0


async def test_an_address_of_254_octets_arrives(server: MailServer, post: SmtpPost) -> None:
    long = f"{'a' * 64}@{'b' * 63}.{'c' * 63}.{'d' * 56}.ex"
    assert len(long) >= 250
    await post.deliver(a_mail(to=long))

    assert server.taken[0].rcpt_tos == [long]
    assert server.letters[0]["To"].addresses[0].addr_spec == long
