"""A letter that shows whether letters arrive, sent at once and not through the queue."""

from datetime import datetime

from gatelodge.data_folder import OUTBOX
from gatelodge.ids import new_id
from gatelodge.letters.mail import Mail
from gatelodge.letters.post import AnswerLost, DeliveryFailed, Undeliverable
from gatelodge.letters.posts import post_of, smtp_address_of
from gatelodge.letters.refusals import LetterNotTaken, NoMail
from gatelodge.letters.store import LETTER_PREFIX
from gatelodge.letters.writing import Writing
from gatelodge.settings import Settings

_KIND = "test"


async def send_test(settings: Settings, to: str, at: datetime) -> str:
    """Send a test letter as these settings say, and return who has it now.

    Args:
        settings: the settings.
        to: the address.
        at: the current time.

    Raises:
        NoMail: the server sends no letters.
        LetterNotTaken: it was not taken, or nobody said whether it was; the message says which.
        ConfigurationError: the address of the mail server, or a template, cannot be used.
    """
    post = post_of(settings)
    if post is None:
        raise NoMail
    mail = _mail(settings, to, at)
    try:
        await post.deliver(mail)
    except DeliveryFailed as failed:
        raise LetterNotTaken(f"{_meaning(failed)}: {failed.reason}") from failed
    finally:
        await post.close()
    if settings.post == "folder":
        return f"the folder {settings.data_dir / OUTBOX}"
    address = smtp_address_of(settings)
    return f"{address.host} port {address.port}"


def _mail(settings: Settings, to: str, at: datetime) -> Mail:
    writing = Writing(settings)
    subject, text, html = writing.write(_KIND, None, {})
    return Mail(
        message_id=f"{new_id(LETTER_PREFIX, at)}@{settings.mail_host}",
        to=to,
        subject=subject,
        text=text,
        html=html,
        sender=settings.sender,
        language=writing.language(None).tag,
        at=at,
    )


def _meaning(failed: DeliveryFailed) -> str:
    if isinstance(failed, AnswerLost):
        return "The letter was sent, but no answer came, so it may have been taken"
    if isinstance(failed, Undeliverable):
        return "The letter was refused for good"
    return "The letter was not taken; a later try may succeed"
