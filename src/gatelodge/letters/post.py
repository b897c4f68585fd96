"""The port through which letters leave, and how a delivery can end."""

import re
from datetime import timedelta
from typing import Protocol

from gatelodge.letters.mail import Mail

DELIVERS_WITHIN = timedelta(minutes=3)
"""How long one delivery may take; a `Post` ends it by then."""

_MAX_REASON = 200


class Post(Protocol):
    """Hands letters to whoever delivers them. Its methods may be called by many tasks at once."""

    async def deliver(self, mail: Mail) -> None:
        """Return when somebody else has taken the letter for good.

        It tries once, for `DELIVERS_WITHIN` at most. A letter that is cancelled may have been
        taken.

        Raises:
            Deferred: it was not taken; a later try may succeed.
            Undeliverable: it was not taken, and never will be.
            AnswerLost: it was sent, and nobody said whether it was taken.
        """

    async def close(self) -> None:
        """Close the connections that are kept; the next delivery opens new ones."""


class DeliveryFailed(Exception):
    """A letter was not delivered, as far as we know.

    Attributes:
        reason: why, in one line for operators and logs; it holds no value of the letter.
    """

    def __init__(self, reason: str) -> None:
        """Say why; the text is cut to one line of 200 printable characters."""
        self.reason = _one_line(reason)
        super().__init__(self.reason)


class Deferred(DeliveryFailed):
    """The letter was not taken; a later try may succeed.

    Attributes:
        is_general: whether the cause lies in the server or the settings, and not in this letter:
            other letters would be deferred too.
    """

    def __init__(self, reason: str, *, is_general: bool = False) -> None:
        """Say why, and whether other letters would be deferred too."""
        super().__init__(reason)
        self.is_general = is_general


class Undeliverable(DeliveryFailed):
    """This letter was refused for good; trying again makes no sense."""


class AnswerLost(DeliveryFailed):
    """The letter was sent, but no answer came: it may have been taken."""


def without_values(told: str, mail: Mail) -> str:
    """Return what somebody said about a letter, without the address, links and codes in it.

    Mail servers like to repeat what they refuse.

    Args:
        told: what was said.
        mail: the letter.
    """
    whole = f"{mail.subject} {mail.text}"
    words = [*_LINKS.findall(whole), *_WORDS.findall(whole)]
    secrets = {mail.to, mail.to.partition("@")[0], *(each for each in words if _may_prove(each))}
    secrets |= {each.replace("-", "") for each in secrets}
    for secret in sorted(secrets, key=len, reverse=True):
        told = re.sub(rf"(?<!\w){re.escape(secret)}(?!\w)", "…", told, flags=re.IGNORECASE)
    return told


_LINKS = re.compile(r"https?://\S+")
_WORDS = re.compile(r"[\w-]{8,}")


def _may_prove(word: str) -> bool:
    """Say whether a word of a letter may be a link, a code or a token."""
    return word.isupper() or any(each.isdigit() for each in word) or "://" in word


def _one_line(text: str) -> str:
    line = " ".join(text.encode("utf-8", "replace").decode().split())
    shown = "".join(each if each.isprintable() else "?" for each in line)
    return shown if len(shown) <= _MAX_REASON else f"{shown[: _MAX_REASON - 1]}…"
