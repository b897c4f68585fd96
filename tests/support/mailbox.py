"""A mailbox in place of a mail server: it keeps what it is given, or fails as a test tells it."""

import asyncio
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from urllib.parse import parse_qs, urlsplit

from gatelodge.app import House
from gatelodge.letters.mail import Mail
from gatelodge.letters.post import DeliveryFailed
from gatelodge.letters.writing import Writing


@dataclass
class Mailbox:
    """Takes letters.

    Attributes:
        mails: what it took, the oldest first.
        tried: the message ids of all tries.
        failures: what the next tries raise; those that follow succeed.
        takes: seconds that a delivery takes.
        most_at_once: how many deliveries were under way at the same time.
    """

    mails: list[Mail] = field(default_factory=list)
    tried: list[str] = field(default_factory=list)
    failures: list[DeliveryFailed] = field(default_factory=list)
    takes: float = 0.0
    most_at_once: int = 0
    _now: int = 0
    _moved: asyncio.Event = field(default_factory=asyncio.Event)

    async def until(self, reached: Callable[[], bool]) -> None:
        """Wait until something is so; twenty seconds at most."""
        async with asyncio.timeout(20):
            while not reached():
                await self._moved.wait()
                self._moved.clear()

    async def deliver(self, mail: Mail) -> None:
        """Take a letter, or fail."""
        self.tried.append(mail.message_id)
        self._moved.set()
        self._now += 1
        self.most_at_once = max(self.most_at_once, self._now)
        try:
            await asyncio.sleep(self.takes)
            if self.failures:
                raise self.failures.pop(0)
            self.mails.append(mail)
            self._moved.set()
        finally:
            self._now -= 1

    async def close(self) -> None:
        """Do nothing."""

    def values(self, number: int = -1) -> dict[str, str]:
        """Return what is written in a letter that `Plainly` has set."""
        values: dict[str, str] = json.loads(self.mails[number].text)
        return values

    def kinds(self) -> list[tuple[str, str]]:
        """Return of each letter to whom it went, and its kind, if `Plainly` has set it."""
        return [(mail.to, mail.subject) for mail in self.mails]


class Plainly(Writing):
    """Writes letters so that a test can read their values."""

    def write(
        self, kind: str, language: str | None, values: Mapping[str, object]
    ) -> tuple[str, str, str]:
        """Return the kind as the subject, and the values as the text."""
        super().write(kind, language, values)  # the templates find all that they need
        return kind, json.dumps({**values, "language": language}), ""


def set_mail(house: House, mailbox: Mailbox) -> None:
    """Let a house send its letters into a mailbox; what was made with the old one is made anew."""
    made = vars(house)
    letters = replace(house.letters, post=mailbox, writing=Plainly(house.settings))
    for name in ("letter_proofs", "password_reset", "verification", "notices", "accounts"):
        made.pop(name, None)
    for name in ("sign_in", "code_sign_in", "setup", "invitations", "opening", "passkey_sign_in"):
        made.pop(name, None)
    for name in ("passkey_sign_up", "factor_service", "user_administration"):
        made.pop(name, None)
    made["letters"] = letters
    letters.authors.update(house.authors())


async def delivered(house: House) -> None:
    """Send all letters that are due, and let notices be asked for before."""
    handlers = {f"gatelodge.notices.{name}": house.notices.tell for name in house.notices.events}
    await house.subscriptions.tell_now(handlers)
    while await house.letters.send_next():
        pass


async def subscribed(house: House) -> None:
    """Let events cause notices from now on."""
    await house.subscriptions.subscribe(
        {f"gatelodge.notices.{name}": (name,) for name in house.notices.events}
    )


def token_in(mailbox: Mailbox, name: str = "link") -> str:
    """Return the secret of the newest link of this name."""
    values = [mailbox.values(number) for number in range(len(mailbox.mails))]
    return token_of([each for each in values if name in each][-1], name)


def token_of(values: Mapping[str, str], name: str = "link") -> str:
    """Return the secret of a link in a letter with these values."""
    return parse_qs(urlsplit(values[name]).query)["token"][0]
