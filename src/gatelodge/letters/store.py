"""The record of a letter, and the port of the queue that it waits in."""

from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, Protocol, TypeAlias

from gatelodge.audit import Event
from gatelodge.ids import USER_PREFIX

LETTER_PREFIX = "ltr"

LetterState: TypeAlias = Literal["waiting", "sent", "given_up", "dropped"]
"""`dropped`: nobody is to get it, for example because the address is nobody's."""


@dataclass(frozen=True, slots=True)
class Letter:
    """A letter that is to be sent, or was.

    Attributes:
        id: an id that sorts by time.
        kind: what the letter is about; also the name of its template.
        to: the address, as typed.
        to_key: the key by which addresses are compared.
        message_id: the `Message-ID` of every try to send it (RFC 5322, section 3.6.4).
        created_at: when it was asked for.
        due_at: from when on it may be claimed. For whoever has claimed it, this is the end of the
            claim, and tells it from later claims.
        state: whether it still waits, and if not, how it ended.
        language: the reader's language (BCP 47), or None.
        subject: the id of the user whom it is about, once that is known.
        sealed_values: what is written into it, encrypted under the master key. None once it was
            sent or dropped.
        written: whether `sealed_values` has all that it needs, links and codes too.
        request_digest: the SHA-256 of the secret that the browser that asked for it holds, or None.
        guesses: how many codes were tried with that secret.
        claims: how often it was claimed.
        failures: how often whoever had claimed it could not send it.
        ended_at: when it was sent, given up or dropped.
        error: why it could not be sent the last time; empty if it never failed.
    """

    id: str
    kind: str
    to: str = field(repr=False)
    to_key: str = field(repr=False)
    message_id: str
    created_at: datetime
    due_at: datetime
    state: LetterState = "waiting"
    language: str | None = None
    subject: str | None = None
    sealed_values: bytes | None = field(default=None, repr=False)
    written: bool = False
    request_digest: bytes | None = field(default=None, repr=False)
    guesses: int = 0
    claims: int = 0
    failures: int = 0
    ended_at: datetime | None = None
    error: str = ""

    @property
    def user_id(self) -> str | None:
        """`subject`, unless it is something else than a user, such as a sign-up that waits."""
        return self.subject if (self.subject or "").startswith(f"{USER_PREFIX}_") else None


class LetterStore(Protocol):
    """The stored letters. Changes are durable when a method returns.

    Every method is atomic, but `claim` and `sweep` for each letter.
    """

    async def add(self, letter: Letter) -> bool:
        """Store a letter. False, and nothing changes, if there is one of this id."""

    async def find(self, letter_id: str) -> Letter | None:
        """Return the letter, or None if there is none."""

    async def list_letters(
        self, *, before: str | None, limit: int, states: Collection[LetterState] = ()
    ) -> list[Letter]:
        """Return up to `limit` letters, the newest first.

        For one state, the time that it takes does not grow with the number of letters.

        Args:
            before: only ids below this one; None: from the newest.
            limit: how many at most.
            states: only letters in one of these states; empty: in any.
        """

    async def claim(self, now: datetime, until: datetime, *, limit: int) -> list[Letter]:
        """Claim waiting letters that are due; nobody else gets them until the claim ends.

        Args:
            now: the current time.
            until: when the claim ends, in whole milliseconds; the letters are due again then.
            limit: how many at most. Those that are due longest come first.

        Returns:
            The letters as they are claimed. There may be fewer than are due if others claim them
            at the same moment, but not none.
        """

    async def write(self, letter: Letter, *, subject: str | None, sealed_values: bytes) -> bool:
        """Store what is written into a letter, and whom it is about; None: as it was asked for.

        False if the claim has ended and another one has begun. The same holds for the methods
        below that take a letter as it was claimed.
        """

    async def finish(
        self,
        letter: Letter,
        state: LetterState,
        at: datetime,
        *,
        error: str = "",
        event: Event | None = None,
    ) -> bool:
        """End a letter. Unless it is given up, what is written in it is erased.

        Of one that is dropped, the address is erased too: it may be a stranger's.

        Args:
            letter: the letter as it was claimed.
            state: how it ends.
            at: when.
            error: why it could not be sent.
            event: the event of the change, if it has one.
        """

    async def postpone(
        self, letter: Letter, until: datetime, *, failed: bool = False, error: str = ""
    ) -> bool:
        """End a claim, and let the letter be due at this instant.

        Args:
            letter: the letter as it was claimed.
            until: when it is due.
            failed: whether to count a failure.
            error: why it failed.
        """

    async def retry(
        self, letter_id: str, at: datetime, event: Event, *, claims_end_by: datetime
    ) -> bool:
        """Let a letter that was given up, or waits, be due at this instant. True if there is one.

        The failures of one that was given up count from 0 again. A letter that may be claimed is
        left alone: somebody is sending it. That is one that was claimed more often than it failed
        and is due after `at`, but not after `claims_end_by`. If nobody sends it after all, because
        a process died, it is due by then anyway.

        Args:
            letter_id: the letter.
            at: the current time.
            event: the event of the change.
            claims_end_by: when the claim of a letter that is claimed now ends at the latest.
        """

    async def count_guess(self, letter_id: str, limit: int) -> bool:
        """Count that somebody tried a code. True if there were fewer than `limit` before."""

    async def count_before(self, letter: Letter, kinds: Collection[str], since: datetime) -> int:
        """Return how many letters of these kinds come before this one at its address.

        Those come before it that were asked for earlier, as their ids say, and are not dropped,
        whether they were sent or still wait. So however many letters are looked at together, each
        counts those before it, and they agree which ones are the first. One that is written already
        counts too, though it was asked for later.

        Args:
            letter: the letter.
            kinds: the kinds that count.
            since: only letters that were asked for since this instant.
        """

    async def count_waiting(self, *, due_by: datetime | None = None) -> int:
        """Return how many letters wait.

        Args:
            due_by: only those that have been due since this instant; None: all.
        """

    async def count(self, state: LetterState, *, limit: int) -> int:
        """Return how many letters are in this state, `limit` at most.

        The time that it takes does not grow with the number of letters.
        """

    async def sweep(self, ended_before: datetime, *, limit: int) -> int:
        """Delete up to `limit` letters that ended before an instant; return how many."""
