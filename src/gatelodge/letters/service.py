"""Asks for letters, and sends those that wait."""

import asyncio
import contextlib
import hashlib
import hmac
import json
import logging
import re
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import Any, TypeAlias

from gatelodge.audit import SERVER, Actor, AuditLog
from gatelodge.clock import Clock
from gatelodge.credentials.one_time_tokens import OneTimeTokenStore, Purpose
from gatelodge.errors import OutcomeUnknown, StoreUnavailable
from gatelodge.ids import id_from_bytes, id_to_bytes, new_id
from gatelodge.letters.mail import Mail
from gatelodge.letters.post import (
    DELIVERS_WITHIN,
    AnswerLost,
    Deferred,
    DeliveryFailed,
    Post,
    Undeliverable,
)
from gatelodge.letters.refusals import LetterBeingSent, NoMail, NoSuchLetter
from gatelodge.letters.store import LETTER_PREFIX, Letter, LetterState, LetterStore
from gatelodge.letters.writing import Writing
from gatelodge.master_key import MasterKey
from gatelodge.tasks import WAITS, end, repeat, start

SENDERS = 16
"""How many letters a process sends at the same time."""

CLAIM = DELIVERS_WITHIN + timedelta(minutes=1)
"""How long a claim holds. Whoever dies meanwhile lets go of the letter."""

MAX_CLAIMS = 50
"""A letter that was claimed more often is given up: it seems to kill whoever sends it."""

LOOKS_EVERY = timedelta(seconds=1)
BEGINS_WITHIN = timedelta(milliseconds=250)
"""A sender begins at a random moment within this time. Its work slows down the requests of that
moment. If it began at once, that would be the next request of whoever asked for the letter, whose
time would tell whether there was a letter to send."""

STOPS_WITHIN = timedelta(seconds=3)
"""How long letters that are being sent have when the server stops."""

KEPT = timedelta(days=7)
"""How long a letter that has ended can be seen."""

LIMITS = ((3, 6), (5, 24))
"""How many letters of a kind an address gets in how many hours, where nothing else is said."""

_SWEEP_LIMIT = 1000
_PURPOSE = "letters"
_SECRET_BYTES = 32
_TIME_BYTES = 6
_ID_BYTES = 22
_ID = re.compile(f"{LETTER_PREFIX}_[0-9a-v]{{36}}")


@dataclass(frozen=True, slots=True)
class Written:
    """What is written into a letter, and to whom.

    Attributes:
        values: what the template shows, by name.
        subject: the id of the user whom it is about, or None.
        to: the address, if it is not the one that was typed.
        language: the reader's language, if it is known better than when it was asked for.
        proof: purpose and subject of the one-time token in it, whose life begins when it was sent.
        template: the name of the template, if it is not the kind of the letter.
    """

    values: Mapping[str, str] = field(repr=False)
    subject: str | None = None
    to: str | None = None
    language: str | None = None
    proof: tuple[Purpose, str] | None = None
    template: str | None = None


class Superseded(Exception):
    """A letter is not written any more: one that was asked for later has taken its place."""


Author: TypeAlias = Callable[[Letter, Mapping[str, str]], Awaitable[Written | None]]
"""Writes a letter when it is first sent: gets it and the values that whoever asked for it gave.

It returns None if nobody is to get the letter. It may be called again if the server dies before
what it wrote is stored.
"""


@dataclass(frozen=True, slots=True)
class LetterService:
    """Asks for letters, and sends those that wait.

    Attributes:
        store: the letters.
        tokens: the one-time tokens in them.
        master_key: encrypts what is written in them.
        audit: records which letters are given up, and which are retried by an operator.
        clock: what time it is.
        post: delivers them; None: there is no mail, and nobody can ask for a letter.
        writing: turns values into text.
        sender: whom they come from, an address or `Name <address>`.
        host: the name of this server in message ids.
        authors: who writes the letters of a kind; for other kinds the values are all there is.
        awake: wakes the senders of this process.
        ids: makes the ids of letters.
    """

    store: LetterStore
    tokens: OneTimeTokenStore
    master_key: MasterKey
    audit: AuditLog
    clock: Clock
    post: Post | None
    writing: Writing
    sender: str
    host: str
    authors: dict[str, Author] = field(default_factory=dict)
    awake: asyncio.Event = field(default_factory=asyncio.Event)
    ids: "_Ids" = field(default_factory=lambda: _Ids())  # noqa: PLW0108 - the class comes below

    async def ask(
        self,
        kind: str,
        to: str,
        to_key: str,
        values: Mapping[str, str] | None = None,
        *,
        language: str | None = None,
        subject: str | None = None,
        after: timedelta = timedelta(0),
        about: str | None = None,
    ) -> str:
        """Ask for a letter, and return the browser's half of the code that may be in it.

        The letter is stored when this returns, and sent at least once.

        Args:
            kind: what it is about; also the name of the template.
            to: the address.
            to_key: the key of the address.
            values: what the author of the letter needs to know, or what the template shows.
            language: the reader's language, if known.
            subject: the id of the user whom it is about, if known.
            after: how long it waits at least.
            about: what causes the letter, such as the id of an event: each cause makes one letter
                of a kind.

        Raises:
            NoMail: there is no mail server.
        """
        if self.post is None:
            raise NoMail
        now, secret = self.clock.now(), secrets.token_urlsafe(_SECRET_BYTES)
        letter_id = self.ids.next(now) if about is None else id_about(kind, about)
        letter = Letter(
            id=letter_id,
            kind=kind,
            to=to,
            to_key=to_key,
            message_id=f"{letter_id}@{self.host}",
            created_at=now,
            due_at=now + after,
            language=language,
            subject=subject,
            sealed_values=self._seal(letter_id, {"values": dict(values or {})}),
            request_digest=_digest(secret),
        )
        await self.store.add(letter)
        self.awake.set()
        return f"{letter_id}.{secret}"

    async def count_guess(self, request: str, limit: int) -> Letter | None:
        """Count that somebody tries a code; return the letter that it is in.

        None if `request` is not what `ask` returned, or too many codes were tried with it.
        """
        letter_id, _, secret = request.partition(".")
        letter = await self.store.find(letter_id) if _ID.fullmatch(letter_id) else None
        if letter is None or letter.request_digest is None:
            return None
        if not hmac.compare_digest(letter.request_digest, _digest(secret)):
            return None
        return letter if await self.store.count_guess(letter.id, limit) else None

    async def too_many(
        self, letter: Letter, *kinds: str, limits: Sequence[tuple[int, int]] = LIMITS
    ) -> bool:
        """Say whether the address of a letter gets enough others of these kinds (security.md, 8).

        The others are those that were asked for before it, whether they were sent or still wait.
        So the limit holds for letters that are written at the same moment, and for those that
        waited until the mail server came back.

        Args:
            letter: the letter that is about to be written.
            kinds: the kinds that count.
            limits: how many letters may be written in how many hours.
        """
        for limit, hours in limits:
            since = letter.created_at - timedelta(hours=hours)
            if await self.store.count_before(letter, kinds, since) >= limit:
                return True
        return False

    async def list_letters(
        self, *, limit: int, states: Collection[LetterState] = (), before: str | None = None
    ) -> list[Letter]:
        """Return up to `limit` letters, the newest first; all, or those in one of these states.

        Args:
            limit: the maximum number of letters.
            states: in which states; empty: in any.
            before: only ids below this one; None: from the newest.
        """
        return await self.store.list_letters(before=before, limit=limit, states=states)

    async def get(self, letter_id: str) -> Letter:
        """Return a letter.

        Raises:
            NoSuchLetter: there is none of this id.
        """
        letter = await self.store.find(letter_id) if _ID.fullmatch(letter_id) else None
        if letter is None:
            raise NoSuchLetter("There is no letter of this id.", field="id")
        return letter

    async def retry(self, letter_id: str, by: Actor) -> None:
        """Send a letter that waits, or was given up, as soon as possible.

        Raises:
            NoSuchLetter: there is none, or it was sent or dropped.
            LetterBeingSent: somebody is sending it, and it would be sent twice.
        """
        if _ID.fullmatch(letter_id) is None:
            raise NoSuchLetter(field="id")
        now, event = self.clock.now(), self.audit.event("letter.retried", by, target=letter_id)
        retry = self.store.retry(letter_id, now, event, claims_end_by=now + CLAIM)
        if not await self.audit.logged(event, retry):
            letter = await self.store.find(letter_id)
            if letter is not None and letter.state == "waiting":
                raise LetterBeingSent(field="id")
            raise NoSuchLetter(field="id")
        self.awake.set()

    async def sweep(self) -> None:
        """Delete letters that ended a week ago, and one-time tokens that have expired."""
        now = self.clock.now()
        while await self.store.sweep(now - KEPT, limit=_SWEEP_LIMIT) == _SWEEP_LIMIT:
            pass
        while await self.tokens.sweep(now, limit=_SWEEP_LIMIT) == _SWEEP_LIMIT:
            pass

    @contextlib.asynccontextmanager
    async def sending(self) -> AsyncIterator[None]:
        """Send what is due until the context ends; those that are on their way have 3 seconds."""
        if self.post is None:
            yield
            return
        on_their_way: set[asyncio.Task[None]] = set()
        trouble = _Trouble()

        async def send_some() -> bool:
            """Start to send as many letters as there is room for. False if none is due."""
            await trouble.over()
            while (room := trouble.room - len(on_their_way)) < 1:
                await asyncio.wait(on_their_way, return_when=asyncio.FIRST_COMPLETED)
                await trouble.over()
            letters = await self._claim(room)
            for letter in letters:
                sending = start(partial(self._send_claimed, letter, trouble))
                on_their_way.add(sending)
                sending.add_done_callback(on_their_way.discard)
            return bool(letters)

        async def send_all() -> None:
            self.awake.clear()
            with contextlib.suppress(StoreUnavailable, OutcomeUnknown):
                while await send_some():
                    pass
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LOOKS_EVERY.total_seconds()):
                    await self.awake.wait()
                await asyncio.sleep(BEGINS_WITHIN.total_seconds() * secrets.randbelow(100) / 100)

        sending_all = asyncio.create_task(repeat(send_all, timedelta(0), at_once=True))
        try:
            yield
        finally:
            await end(sending_all)
            if on_their_way:
                await asyncio.wait(on_their_way, timeout=STOPS_WITHIN.total_seconds())
            await end(*on_their_way)
            await self.post.close()

    async def send_next(self) -> bool:
        """Send the letter that is due longest. False if none is due.

        Raises:
            StoreUnavailable, OutcomeUnknown: the database does not answer; the letter comes again
                when its claim has ended.
        """
        letters = await self._claim(1)
        for letter in letters:
            await self._send_claimed(letter, _Trouble())
        return bool(letters)

    async def _claim(self, limit: int) -> list[Letter]:
        now = self.clock.now()
        return await self.store.claim(now, now + CLAIM, limit=limit)

    async def _send_claimed(self, letter: Letter, trouble: "_Trouble") -> None:
        """Send a letter that was claimed, and store what became of it.

        Args:
            letter: the letter as it was claimed.
            trouble: is told whether the mail server is at fault.

        Raises:
            StoreUnavailable, OutcomeUnknown: as for `send_next`.
        """
        if letter.claims > MAX_CLAIMS:
            await self._give_up(letter, letter.error or "It was claimed too often.")
            return
        try:
            await self._send(letter)
            trouble.end()
        except (StoreUnavailable, OutcomeUnknown):
            raise
        except asyncio.CancelledError:  # the process ends: another one may have it at once
            await self.store.postpone(letter, self.clock.now())
            raise
        except Undeliverable as refused:
            await self._give_up(letter, refused.reason)
        except DeliveryFailed as failed:
            if isinstance(failed, Deferred) and failed.is_general:
                trouble.begin()
            await self._failed(letter, failed.reason)
        except Exception as error:  # noqa: BLE001 - logged in full, and tried again
            await self._failed(letter, f"internal error: {type(error).__name__}", error)

    async def _send(self, letter: Letter) -> None:
        """Send a letter that was claimed.

        Raises:
            DeliveryFailed: it was not delivered, as far as we know.
        """
        written = await self._write(letter)
        if written is None:
            await self.store.finish(letter, "dropped", self.clock.now())
            return
        mail = self._mail(letter, written)
        assert self.post is not None, "nobody asks for letters without mail"  # noqa: S101
        try:
            await self.post.deliver(mail)
        except AnswerLost:
            await self._begin_life(letter, written)
            raise
        await self._begin_life(letter, written)
        await self.store.finish(letter, "sent", self.clock.now())

    async def _write(self, letter: Letter) -> Written | None:
        """Return what is written in a letter; the first time, have it written and store it."""
        sealed = self._unseal(letter)
        if letter.written:
            proof = sealed["proof"]
            return Written(
                sealed["values"],
                letter.subject,
                sealed["to"],
                sealed["language"],
                tuple(proof) if proof else None,
                sealed.get("template"),
            )
        author = self.authors.get(letter.kind)
        try:
            written = (
                await author(letter, sealed["values"]) if author else Written(sealed["values"])
            )
        except Superseded:
            return None
        if written is None:
            return None
        whole = {
            "values": dict(written.values),
            "to": written.to,
            "language": written.language,
            "proof": written.proof,
            "template": written.template,
        }
        stored = await self.store.write(
            letter, subject=written.subject, sealed_values=self._seal(letter.id, whole)
        )
        if not stored:
            raise Deferred("Another process sends it.")
        return written

    def _mail(self, letter: Letter, written: Written) -> Mail:
        language = written.language or letter.language
        subject, text, html = self.writing.write(
            written.template or letter.kind, language, written.values
        )
        return Mail(
            message_id=letter.message_id,
            to=written.to or letter.to,
            subject=subject,
            text=text,
            html=html,
            sender=self.sender,
            language=self.writing.language(language).tag,
            at=letter.created_at,
        )

    async def _begin_life(self, letter: Letter, written: Written) -> None:
        """Let the life of the token in a letter begin, if it is not another letter's by now."""
        if written.proof is None:
            return
        token = await self.tokens.find(*written.proof)
        if token is not None and token.letter == letter.id:
            await self.tokens.begin(token, self.clock.now())

    async def _failed(
        self, letter: Letter, reason: str, error: BaseException | None = None
    ) -> None:
        details = {"id": letter.id, "kind": letter.kind, "failures": letter.failures + 1}
        logging.getLogger("gatelodge").warning(
            "letter.failed", extra={"details": details | {"error": reason}}, exc_info=error
        )
        if letter.failures >= len(WAITS):
            await self._give_up(letter, reason)
            return
        until = self.clock.now() + WAITS[letter.failures]
        await self.store.postpone(letter, until, failed=True, error=reason)

    async def _give_up(self, letter: Letter, reason: str) -> None:
        facts = {"kind": letter.kind, "error": reason}
        event = self.audit.event(
            "letter.given_up", SERVER, target=letter.id, outcome="failure", detail=facts
        )
        now = self.clock.now()
        end = self.store.finish(letter, "given_up", now, error=reason, event=event)
        await self.audit.logged(event, end)

    def _seal(self, letter_id: str, what: Mapping[str, Any]) -> bytes:
        text = json.dumps(what, separators=(",", ":"))
        return self.master_key.seal(_PURPOSE, text.encode(), letter_id.encode())

    def _unseal(self, letter: Letter) -> dict[str, Any]:
        sealed = self.master_key.unseal(_PURPOSE, letter.sealed_values or b"", letter.id.encode())
        unsealed: dict[str, Any] = json.loads(sealed)
        return unsealed


class _Trouble:
    """How long to wait because the mail server is away, or refuses us.

    Letters that wait are then not tried one after the other: each would fail, and a server that
    locks out whoever gives wrong passwords would be asked too often.
    """

    def __init__(self) -> None:
        """Begin without trouble."""
        self._pause = 0.0

    def begin(self) -> None:
        """Let the next letter wait; each time twice as long, a minute at most."""
        self._pause = min(max(1.0, 2 * self._pause), _LONGEST_PAUSE_SECONDS)

    def end(self) -> None:
        """Say that a letter was delivered, or could have been."""
        self._pause = 0.0

    @property
    def room(self) -> int:
        """How many letters may be on their way at the same time."""
        return 1 if self._pause else SENDERS

    async def over(self) -> None:
        """Return when the next letter may be tried."""
        await asyncio.sleep(self._pause)


_LONGEST_PAUSE_SECONDS = 60.0


class _Ids:
    """Makes ids: in one process, each sorts after the one before, also within a millisecond."""

    def __init__(self) -> None:
        self._last = bytes(_ID_BYTES)

    def next(self, at: datetime) -> str:
        """Return a new id."""
        raw, last = id_to_bytes(LETTER_PREFIX, new_id(LETTER_PREFIX, at)), self._last
        if raw <= last and raw[:_TIME_BYTES] == last[:_TIME_BYTES]:
            raw = (int.from_bytes(last) + 1).to_bytes(_ID_BYTES)
        self._last = raw
        return id_from_bytes(LETTER_PREFIX, raw)


def id_about(kind: str, cause: str) -> str:
    """Return the id of the one letter of a kind that a cause makes.

    It has the time that is in the id of the cause, so that newer letters sort after older ones.
    """
    digest = hashlib.sha256(f"{kind}:{cause}".encode()).digest()
    try:
        time = id_to_bytes(cause.partition("_")[0], cause)[:_TIME_BYTES]
    except ValueError:  # no id of ours
        time = bytes(_TIME_BYTES)
    return id_from_bytes(LETTER_PREFIX, time + digest[: _ID_BYTES - _TIME_BYTES])


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()
