"""Letters for administrators: which wait, which were given up and why; and sending them again."""

import re
from collections.abc import Collection
from dataclasses import dataclass

from gatelodge.accounts.search import Count
from gatelodge.admin.authority import Administrator
from gatelodge.letters.service import LetterService
from gatelodge.letters.store import Letter, LetterState, LetterStore
from gatelodge.marks import N_

COUNTED = 1000
"""Up to how many letters of a state are counted."""

_ADVICE: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern), sentence)
    for pattern, sentence in (
        (
            r"It may have taken the letter|too slow",
            N_(
                "Nobody knows whether the mail server has taken the letter. If it is sent again, "
                "it may arrive twice."
            ),
        ),
        (
            r"^(530|534|535|538)\b",
            N_(
                "The mail server does not accept how we sign in there. Put the user and the "
                "password in GATELODGE_SMTP_URL right, then send the letter again."
            ),
        ),
        (
            r"^4\d\d\b",
            N_("The mail server asks for patience. The letter is tried again by itself."),
        ),
        (
            r"^5\d\d\b",
            N_(
                "The mail server refuses this letter or its address for good; its words say why. "
                "Ask the user for another address, or put the mail server right, then send the "
                "letter again."
            ),
        ),
        (
            r"The mail server cannot be used|closed",
            N_(
                "The mail server does not answer as it should. Look whether GATELODGE_SMTP_URL is "
                "right and the server can be reached from here. Letters that wait are tried again "
                "by themselves."
            ),
        ),
        (
            r"SMTPUTF8",
            N_(
                "This address needs a mail server that offers SMTPUTF8. Use another server, or ask "
                "the user for another address."
            ),
        ),
        (
            r"^internal error|claimed too often",
            N_("This server failed. Its log says more: look for letter.failed."),
        ),
    )
)
"""What to do about an error of a letter, by what it looks like. The first that matches counts."""


@dataclass(frozen=True, slots=True)
class LetterAdministration:
    """Shows letters to administrators, but never what is written in them, and sends them again.

    Attributes:
        letters: the letters, as for the commands.
    """

    letters: LetterService

    async def list_letters(
        self, states: Collection[LetterState] = (), *, before: str | None = None, limit: int
    ) -> list[Letter]:
        """Return up to `limit` letters, the newest first.

        Args:
            states: in which states; empty: in any.
            before: only ids below this one; None: from the newest.
            limit: the maximum number of letters.
        """
        return await self.letters.list_letters(limit=limit, states=states, before=before)

    async def get(self, letter_id: str) -> Letter:
        """Return a letter.

        Raises:
            NoSuchLetter: there is none of this id.
        """
        return await self.letters.get(letter_id)

    async def count(self, state: LetterState) -> Count:
        """Return how many letters are in this state; not exact from `COUNTED` on."""
        return await count_letters(self.letters.store, state)

    async def retry(self, letter_id: str, by: Administrator) -> Letter:
        """Send a letter that waits, or was given up, as soon as possible; return it.

        Raises:
            NoSuchLetter: there is none, or it was sent or dropped.
            LetterBeingSent: somebody is sending it, and it would be sent twice.
            OutcomeUnknown: the event was not stored; the letter is sent all the same.
        """
        await self.letters.retry(letter_id, by.actor)
        return await self.letters.get(letter_id)


async def count_letters(letters: LetterStore, state: LetterState) -> Count:
    """Return how many letters are in this state; not exact from `COUNTED` on."""
    number = await letters.count(state, limit=COUNTED)
    return Count(number, exact=number < COUNTED)


def advice_on(error: str) -> str:
    """Return what to do about an error of a letter, for translation; empty: we cannot tell."""
    return next((sentence for pattern, sentence in _ADVICE if pattern.search(error)), "")
