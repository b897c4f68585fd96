"""The letters of a test: they are caught, and go nowhere."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import NoReturn

from typing_extensions import override

from gatelodge.letters.mail import Mail
from gatelodge.letters.writing import Writing
from gatelodge.settings import Settings


@dataclass(frozen=True, slots=True)
class Letter:
    """A letter that the application would have sent.

    Attributes:
        kind: the name of its template, such as `reset-password`.
        to: the reader's address.
        subject: its subject.
        text: the letter as plain text.
        html: the letter as HTML; empty: there is only the text.
        language: the tag of its language, such as `de-AT`.
        values: what its template was given, by name.
    """

    kind: str
    to: str
    subject: str
    text: str = field(repr=False)
    html: str = field(repr=False)
    language: str
    values: Mapping[str, object] = field(repr=False)

    @property
    def code(self) -> str:
        """The code in it, in the form XXXX-XXXX.

        Raises:
            LookupError: there is none.
        """
        return str(self.values["code"]) if "code" in self.values else self._lacks("code")

    @property
    def link(self) -> str:
        """The link in it: the one to do what the letter is for, or to stop it or take it back.

        Raises:
            LookupError: there is none.
        """
        names = [name for name in self.values if name.endswith("_link")]
        name = "link" if "link" in self.values else next(iter(names), "")
        return str(self.values[name]) if name else self._lacks("link")

    def _lacks(self, what: str) -> NoReturn:
        raise LookupError(f"The letter {self.kind} to {self.to} has no {what}.")


class Catcher(Writing):
    """Writes letters, and takes them in place of a mail server; one at a time.

    Attributes:
        caught: the letters, the oldest first.
        trouble: why a letter could not be written, or None.
    """

    def __init__(self, settings: Settings) -> None:
        """Write letters with these settings."""
        super().__init__(settings)
        self.caught: list[Letter] = []
        self.trouble: Exception | None = None
        self._written: tuple[str, Mapping[str, object]] = "", {}

    @override
    def write(
        self, kind: str, language: str | None, values: Mapping[str, object]
    ) -> tuple[str, str, str]:
        self._written = kind, values
        try:
            return super().write(kind, language, values)
        except Exception as error:
            self.trouble = error
            raise

    async def deliver(self, mail: Mail) -> None:
        """Take a letter; see `Post`."""
        kind, values = self._written
        self.caught.append(
            Letter(kind, mail.to, mail.subject, mail.text, mail.html, mail.language, values)
        )

    async def close(self) -> None:
        """Do nothing; see `Post`."""


class Letters:
    """The fixture `letters`: what the application has sent by e-mail in this test."""

    def __init__(self, send: Callable[[], list[Letter]]) -> None:
        """Use a function that sends what is due, and returns all letters, the oldest first."""
        self._send = send

    def all(self, to: str | None = None, kind: str | None = None) -> list[Letter]:
        """Return the letters, the oldest first, after what is due has been sent.

        Args:
            to: only those to this address, in upper or lower case.
            kind: only those of this kind, such as `reset-password`.

        Raises:
            ConfigurationError: a template has an error, or lacks a value.
        """
        wanted = None if to is None else to.lower()
        return [
            each
            for each in self._send()
            if wanted in (None, each.to.lower()) and kind in (None, each.kind)
        ]

    def last(self, to: str | None = None, kind: str | None = None) -> Letter:
        """Return the newest letter; the arguments are those of `all`.

        Raises:
            LookupError: there is none.
        """
        found = self.all(to, kind)
        if not found:
            sent = ", ".join(f"{each.kind} to {each.to}" for each in self.all()) or "none at all"
            raise LookupError(f"There is no such letter. Sent: {sent}.")
        return found[-1]
