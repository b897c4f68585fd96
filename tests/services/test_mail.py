"""The message that mail servers get: readable again, in ASCII, and with no header but ours."""

from email import message_from_bytes
from email.header import decode_header, make_header
from email.message import EmailMessage
from email.policy import default
from email.utils import getaddresses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatelodge.letters.mail import Envelope, Mail, envelope_of, message_of
from gatelodge.letters.post import Deferred, without_values
from tests.support.clock import NOON
from tests.support.mails import a_mail

OURS = {
    *("Message-ID", "Date", "From", "To", "Subject", "Content-Language", "Auto-Submitted"),
    *("MIME-Version", "Content-Type"),
}
INJECTIONS = [
    f"x{end}{rest}"
    for end in (
        "\n",
        "\r",
        "\r\n",
        "\n ",
        "\x00",
        "\x0b",
        "\x0c",
        "\x1c",
        "\x85",
        "\u2028",
        "\u2029",
    )
    for rest in ("Bcc: eve@example.com", "\r\nBcc: eve@example.com")
]
LONG = f"{'a' * 64}@{'b' * 60}.{'c' * 60}.{'d' * 60}.example"[:254]


def read(mail: Mail) -> EmailMessage:
    """Return the message as a mail program reads it."""
    sent = message_of(mail).as_bytes()
    assert all(len(line) <= 998 for line in sent.split(b"\r\n"))
    assert b"\n" not in sent.replace(b"\r\n", b"")
    assert b"\r" not in sent.replace(b"\r\n", b"")
    return message_from_bytes(sent, policy=default)  # type: ignore[return-value]


def body(message: EmailMessage, kind: str) -> str:
    """Return the text or the HTML of a message."""
    part = message.get_body((kind,))
    assert part is not None
    return str(part.get_content()).replace("\r\n", "\n")


def test_a_letter_is_read_back_as_it_was_written() -> None:
    mail = a_mail(
        subject="Ihr Code für Größe & Söhne – jetzt",
        text="Guten Tag, Jürgen!\n.\n.dot\nFrom me\n" + "ü" * 2000 + "\n",
        html=f"<p>{'Grüße ' * 500}</p>\n",
        sender='Müller, "Söhne" <no-reply@id.example.com>',
    )
    message = read(mail)

    assert set(message.keys()) == OURS
    assert message["Message-ID"] == "<ltr_0mail@id.example.com>"
    assert message["Date"].datetime == NOON
    assert message["Auto-Submitted"] == "auto-generated"
    assert message["Content-Language"] == "en-GB"
    assert message["Subject"] == mail.subject
    assert message["From"].addresses[0].display_name == 'Müller, "Söhne"'
    assert message["From"].addresses[0].addr_spec == "no-reply@id.example.com"
    assert message["To"].addresses[0].addr_spec == "ann@example.com"
    assert body(message, "plain") == mail.text
    assert body(message, "html") == mail.html
    assert message_of(mail).as_bytes().isascii()


def test_a_letter_without_html_is_a_text() -> None:
    assert read(a_mail(html="")).get_content_type() == "text/plain"


@pytest.mark.parametrize("text", INJECTIONS, ids=ascii)
def test_a_subject_and_a_body_add_no_header(text: str) -> None:
    message = read(a_mail(subject=text, text=text, html=text))

    assert set(message.keys()) == OURS
    assert "\x00" not in message.as_string()
    assert message["Subject"] == "x Bcc: eve@example.com"


@pytest.mark.parametrize("text", INJECTIONS, ids=ascii)
@pytest.mark.parametrize(
    "values",
    [
        {"to": "{}"},
        {"to": "ann@example.com{}"},
        {"to": "{}@example.com"},
        {"sender": "no-reply@example.com{}"},
        {"sender": "{} <no-reply@example.com>"},
        {"sender": "Site <no-reply@example.com{}>"},
        {"message_id": "{}@example.com"},
        {"message_id": "ltr_1@example.com{}"},
        {"language": "{}"},
    ],
    ids=str,
)
def test_a_value_that_would_add_a_header_is_refused(values: dict[str, str], text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        message_of(a_mail(**{name: value.format(text) for name, value in values.items()}))


@pytest.mark.parametrize("text", INJECTIONS, ids=ascii)
def test_further_headers_add_no_other(text: str) -> None:
    for headers in ({"List-Id": text}, {text: "x"}):
        with pytest.raises(ValueError, match="header"):
            message_of(a_mail(headers=headers))


@pytest.mark.parametrize(
    "name", ["Bcc", "to", "SUBJECT", "From", "Content-Type", "Reply-To", "a b"]
)
def test_further_headers_replace_none(name: str) -> None:
    with pytest.raises(ValueError, match="header"):
        message_of(a_mail(headers={name: "eve@example.com"}))


def test_a_long_link_in_a_header_stays_whole() -> None:
    """The standard library would write `=?utf-8?q?=3Chttps…`, which no mail program reads."""
    link = f"<https://id.example.com/unsubscribe?token={'x' * 300}>"
    headers = {"List-Unsubscribe": link, "List-Unsubscribe-Post": "List-Unsubscribe=One-Click"}
    sent = message_of(a_mail(headers=headers)).as_bytes()

    assert f"\r\nList-Unsubscribe: {link}\r\n".encode() in sent


@pytest.mark.parametrize("to", [LONG, f"{'a.' * 31}aa@example.com", "a+b=c~d'e`f|g@example.com"])
def test_a_long_address_stays_whole(to: str) -> None:
    assert len(LONG) == 254
    assert f"\r\nTo: {to}\r\n".encode() in message_of(a_mail(to=to)).as_bytes()
    assert envelope_of(a_mail(to=to)).to == to


def test_an_address_that_is_longer_is_refused() -> None:
    with pytest.raises(ValueError, match="address"):
        message_of(a_mail(to=f"a{LONG}"))


def test_a_domain_of_other_letters_is_written_in_ascii() -> None:
    mail = a_mail(to="ann@bücher.example", sender="Bücher <post@BÜCHER.example>")

    assert envelope_of(mail) == Envelope(
        "post@xn--bcher-kva.example", "ann@xn--bcher-kva.example", is_ascii=True
    )
    assert b"\r\nTo: ann@xn--bcher-kva.example\r\n" in message_of(mail).as_bytes()


def test_other_letters_before_the_at_are_written_as_they_are() -> None:
    """Only servers with SMTPUTF8 take such a message (RFC 6532)."""
    mail = a_mail(to="jürgen@example.com")

    assert not envelope_of(mail).is_ascii
    assert "\r\nTo: jürgen@example.com\r\n".encode() in message_of(mail).as_bytes()


@given(st.text(max_size=300), st.text(max_size=300))
def test_no_subject_and_no_text_adds_a_header(subject: str, text: str) -> None:
    message = read(a_mail(subject=subject, text=text, html=f"<p>{text}"))

    assert set(message.keys()) == OURS
    assert message.get_content_type() == "multipart/alternative"


@given(st.text(st.characters(exclude_categories=("Cc", "Cs", "Zl", "Zp", "Zs")), max_size=120))
def test_every_subject_is_read_back(subject: str) -> None:
    assert read(a_mail(subject=subject))["Subject"] == subject


@given(st.text(st.characters(exclude_categories=("Cc", "Cs", "Zl", "Zp", "Zs", "Cf")), max_size=64))
def test_every_name_of_a_sender_is_read_back(name: str) -> None:
    """By the older parser: that of `email.policy.default` adds blanks."""
    mail = a_mail(sender=f'"{name}" <no-reply@id.example.com>')
    written = message_from_bytes(message_of(mail).as_bytes())["From"]

    ((shown, address),) = getaddresses([written])
    assert address == "no-reply@id.example.com"
    assert str(make_header(decode_header(shown))) == name


def test_a_reason_holds_no_value_of_the_letter() -> None:
    """Mail servers repeat addresses, and filters repeat links."""
    mail = a_mail()
    told = (
        "550 <Ann@example.com>: user ann: spam: ABCD-EF23 abcdef23 "
        "https://id.example.com/verify#token=s3cr3t-of-ann-1 s3cr3t-of-ann-1"
    )
    assert "token" in without_values("a token", mail)
    kept = without_values(told, mail)

    for value in ("ann", "ABCD", "abcd", "s3cr3t", "verify"):
        assert value not in kept
    assert kept.startswith("550 <…>: user …: spam: … …")


def test_a_reason_is_one_short_line() -> None:
    reason = Deferred("451 later\r\nplease\x1b[31m \u202e" + "x" * 500).reason

    assert reason.startswith("451 later please?[31m ?xxx")
    assert len(reason) == 200
    assert reason.isprintable()


def test_what_a_letter_says_is_not_shown_by_repr() -> None:
    assert "ABCD" not in repr(a_mail())
    assert "s3cr3t" not in repr(a_mail())
