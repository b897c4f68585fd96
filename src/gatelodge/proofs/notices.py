"""Letters that tell a user what has happened to the account, and how to stop it.

They are caused by events: the message of an event is stored with the change, so no notice is lost,
and each event makes one letter of a kind.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from gatelodge.accounts.store import User, UserStore
from gatelodge.audit import Actor, AuditLog, Origin
from gatelodge.clock import Clock
from gatelodge.credentials.attempts import place_of
from gatelodge.credentials.factors import second_factors
from gatelodge.credentials.one_time_tokens import OneTimeToken
from gatelodge.errors import after_a_change
from gatelodge.ids import SessionId, UserId
from gatelodge.letters.service import LetterService, Written
from gatelodge.letters.store import Letter
from gatelodge.notification import Notification
from gatelodge.proofs.codes import LetterProofs
from gatelodge.proofs.refusals import InvalidCode
from gatelodge.proofs.users import DONE_WITHIN, ask_for_user
from gatelodge.sessions.devices import UNKNOWN, device_name
from gatelodge.sessions.known_devices import DeviceNews
from gatelodge.sessions.service import SessionService
from gatelodge.sessions.store import Session

PASSWORD_CHANGED = "password-changed"  # noqa: S105 - the name of a letter
REUSED = "refresh-token-reused"
NEW_DEVICE = "new-device"
ROLE_GRANTED = "role-granted"
DELETED = "account-deleted"
ACCEPTED = "invitation-accepted"
FACTOR_ADDED = "factor-added"
FACTOR_REMOVED = "factor-removed"
CODES_MADE = "recovery-codes-made"
CODE_USED = "recovery-code-used"
FACTORS_RESET = "factors-reset"
USERNAME_CHANGED = "username-changed"
DISABLED = "account-disabled"
ENABLED = "account-enabled"

OF_EVENTS: Mapping[str, str] = {
    "password.changed": PASSWORD_CHANGED,
    "password.reset": PASSWORD_CHANGED,
    "refresh_token.reused": REUSED,
    "role.granted": ROLE_GRANTED,
    "invitation.accepted": ACCEPTED,
    "factor.added": FACTOR_ADDED,
    "factor.removed": FACTOR_REMOVED,
    "recovery_codes.made": CODES_MADE,
    "recovery_code.used": CODE_USED,
    "factors.reset": FACTORS_RESET,
    "user.renamed": USERNAME_CHANGED,
    "user.disabled": DISABLED,
    "user.enabled": ENABLED,
}
"""Which letter an event causes.

A browser that is remembered (`browser.remembered`) causes none: its user has just proved two
factors, and if the device is new, the letter about that goes out.
"""

WITHOUT_LINK = frozenset({USERNAME_CHANGED, DISABLED, ENABLED})
"""Letters about what only whoever runs the site does: a sign-out would not stop it."""

STOP_LIFE = timedelta(days=7)
_MAX_DEVICES = 50


@dataclass(frozen=True, slots=True)
class Notices:
    """Tells users what has happened to their accounts.

    Attributes:
        users: the users.
        sessions: the sessions.
        letters: sends the letters.
        proofs: makes and checks the links that stop it.
        audit: records what is stopped.
        clock: what time it is.
        public_base: the public address of the pages.
        muted: the kinds of letters that the operator does not want.
    """

    users: UserStore
    sessions: SessionService
    letters: LetterService
    proofs: LetterProofs
    audit: AuditLog
    clock: Clock
    public_base: str
    muted: frozenset[str] = field(default_factory=frozenset)

    @property
    def events(self) -> list[str]:
        """The names of the events that cause letters."""
        if self.letters.post is None:
            return []
        return [name for name, kind in OF_EVENTS.items() if kind not in self.muted]

    async def tell(self, what: Notification) -> None:
        """Ask for the letter that an event causes, if it causes one."""
        if not _is_news(what):
            return
        session = await self._session_of(what)
        owner = what.subject if session is None else session.impersonator or session.user_id
        user = await self.users.find(UserId(owner or ""))
        if user is None:
            return
        detail = {"at": what.at.isoformat()}
        if session is not None and (device := _device(session.user_agent)):
            detail["device"] = device
        await ask_for_user(
            self.letters, OF_EVENTS[what.name], user, detail | _facts_of(what, user), about=what.id
        )

    async def write(self, letter: Letter, values: Mapping[str, str]) -> Written | None:
        """Write a notice, with the link that ends all sessions where that is of use.

        None if nobody is to get it.

        An address that is not verified may be a stranger's. It gets few letters a day, so that
        nobody can have a stranger flooded by changing a password again and again.
        """
        user = await self.users.find(UserId(letter.subject or ""))
        if user is None:
            return None
        kinds = {NEW_DEVICE, *OF_EVENTS.values()}
        if user.email_verified_at is None and await self.letters.too_many(letter, *kinds):
            return None
        if letter.kind in WITHOUT_LINK:
            return Written({**values, "username": user.username}, subject=user.id)
        proof = await self.proofs.make("stop", letter.id, letter.id, STOP_LIFE, {"user": user.id})
        stop = f"{self.public_base}/stop?token={proof.token}"
        return Written(
            {**values, "username": user.username, "stop_link": stop, "days": str(STOP_LIFE.days)},
            subject=user.id,
            proof=("stop", letter.id),
        )

    async def ask_deleted(self, user: User) -> None:
        """Ask for the letter about a deletion that is about to be made.

        It is asked for before, so that no crash loses it, and dropped if the user is still there.
        """
        if self.letters.post is None or DELETED in self.muted:
            return
        detail = {"username": user.username, "at": self.clock.now().isoformat()}
        await ask_for_user(self.letters, DELETED, user, detail, after=DONE_WITHIN)

    async def write_deleted(self, letter: Letter, values: Mapping[str, str]) -> Written | None:
        """Write the letter about a deletion; None if the user is still there."""
        there = await self.users.find(UserId(letter.subject or ""))
        if there is not None or await self.letters.too_many(letter, DELETED):
            return None
        return Written(values, subject=letter.subject)

    async def ask_new_device(self, user: User, origin: Origin, news: DeviceNews) -> None:
        """Ask for the letter about a sign-in that is about to be made, if the device is new.

        It is asked for before, so that no crash loses it, and dropped if no session was opened.
        The browser's own cookie says whether it is new. Without it, for example after a sign-out,
        which deletes the cookies, a device is known by its name and the network that it comes from,
        as long as another session from there is stored.
        """
        if news != "new" or self.letters.post is None or NEW_DEVICE in self.muted:
            return
        program, here = device_name(origin.user_agent), place_of(origin.address)
        for each in await self._own_sessions(user.id):
            if (device_name(each.user_agent), place_of(each.address)) == (program, here):
                return
        detail = {"at": self.clock.now().isoformat()}
        if device := _device(origin.user_agent):
            detail["device"] = device
        await ask_for_user(self.letters, NEW_DEVICE, user, detail, after=DONE_WITHIN)

    async def write_new_device(self, letter: Letter, values: Mapping[str, str]) -> Written | None:
        """Write the letter about a new device; None if no session was opened on it."""
        stored = await self._own_sessions(UserId(letter.subject or ""))
        opened = any(
            each.created_at >= letter.created_at
            and _device(each.user_agent) == values.get("device", "")
            for each in stored
        )
        return await self.write(letter, values) if opened else None

    async def check_link(self, text: str) -> OneTimeToken:
        """Return the record of a link that stops, without using it up.

        Raises:
            InvalidCode: it does not work, or not any more.
        """
        return await self.proofs.by_link(text, "stop")

    async def stop(self, text: str, origin: Origin) -> User:
        """End every session of the user of a notice, and return the user.

        Raises:
            InvalidCode: the link does not work, or not any more.
        """
        token = await self.proofs.by_link(text, "stop")
        user = await self.users.find(UserId(token.facts["user"]))
        if user is None:
            raise InvalidCode(field="token")
        await self.sessions.sign_out_everywhere(user.id, Actor(user.id, origin))
        with after_a_change():
            await self.proofs.use_up(token)
        return user

    async def _own_sessions(self, user_id: UserId) -> list[Session]:
        """Return the last sessions that the user opened: none of somebody who impersonated them."""
        stored = await self.sessions.sessions.list_stored(user_id, limit=_MAX_DEVICES)
        return [each for each in stored if each.impersonator is None]

    async def _session_of(self, what: Notification) -> Session | None:
        """Return the session from which something was done, if the event names one."""
        of_session = what.name == "refresh_token.reused"
        named = what.subject if of_session else what.detail.get("session")
        return await self.sessions.sessions.find(SessionId(named)) if named else None


def _is_news(what: Notification) -> bool:
    """Return whether an event is news to its user; a rename is, if others changed the username."""
    if what.name != "user.renamed":
        return True
    return what.actor != what.subject and "username" in what.detail["changed"].split()


def _facts_of(what: Notification, user: User) -> dict[str, str]:
    """Return what the letter says of an event, besides when it was and on which device."""
    names = {"role": "role", "kind": "factor", "left": "left"}
    facts = {names[each]: text for each, text in what.detail.items() if each in names}
    if what.name == "factor.removed" and not second_factors(user.factors):
        facts["last"] = "yes"
    return facts


def _device(user_agent: str) -> str:
    """Return the kind of a device in words of no language, or an empty text."""
    program, system = device_name(user_agent)
    if program == UNKNOWN:
        return ""
    return f"{program} ({system})" if system else program
