"""The view: a bounded memory of who is signed in by which session."""

from dataclasses import dataclass, field

from gatelodge.clock import to_milliseconds
from gatelodge.gate.principal import Principal
from gatelodge.gate.recent import Recent
from gatelodge.ids import SESSION_PREFIX, USER_PREFIX, SessionId, UserId, role_id

MAX_SESSIONS = 50_000
MAX_USERS = 50_000
MAX_DEAD = 10_000

_USER = f"{USER_PREFIX}_"
_SESSION = f"{SESSION_PREFIX}_"
_ROLE = role_id("")


@dataclass(frozen=True, slots=True)
class _Entry:
    """A principal, and the mark of the user when the principal was read from the store."""

    principal: Principal
    mark: object


@dataclass(slots=True)
class View:
    """The principals of the sessions that were used recently.

    Only live sessions have an entry. Each user has a mark, which is a plain object. An entry is
    valid while its user has the same mark as when the entry was made. So the view forgets all
    sessions of a user by removing one mark.

    Attributes:
        changes: a count that rises whenever something is forgotten. If it rises during a read of
            the store, the result may be older than the change, and is not kept.
    """

    changes: int = 0
    _sessions: Recent[SessionId, _Entry] = field(default_factory=lambda: Recent(MAX_SESSIONS))
    _users: Recent[UserId, object] = field(default_factory=lambda: Recent(MAX_USERS))
    _dead: Recent[SessionId, object] = field(default_factory=lambda: Recent(MAX_DEAD))

    def find(self, session_id: SessionId, now: int) -> Principal | None:
        """Return who is signed in by this session, or None if the view does not know.

        Args:
            session_id: the session.
            now: milliseconds since 1970.
        """
        entry = self._sessions.find(session_id)
        if entry is None or now >= to_milliseconds(entry.principal.expires_at):
            return None
        if self._users.find(entry.principal.subject) is not entry.mark:
            return None
        return entry.principal

    def is_dead(self, session_id: SessionId, user_id: UserId) -> bool:
        """Return whether the session is known not to be live; False if its user changed since."""
        mark = self._dead.find(session_id)
        return mark is not None and self._users.find(user_id) is mark

    def keep(self, principal: Principal, *, seen: int) -> None:
        """Remember a principal that was read from the store.

        Args:
            principal: who is signed in, by which session.
            seen: `changes` before the read; if it has risen since, nothing is kept.
        """
        if seen != self.changes:
            return
        entry = _Entry(principal, self._mark_of(principal.subject))
        self._sessions.put(principal.session_id, entry)

    def keep_dead(self, session_id: SessionId, user_id: UserId, *, seen: int) -> None:
        """Remember that the store has no live session of this id for this user.

        The reason may be that the user is disabled, and the user may be enabled again. So this
        holds only while the user has the same mark.

        Args:
            session_id: the session.
            user_id: the user that the token names.
            seen: `changes` before the read; if it has risen since, nothing is kept.
        """
        if seen == self.changes:
            self._dead.put(session_id, self._mark_of(user_id))

    def forget(self, changed: str | None) -> None:
        """Forget what is known about the user, session or role with this id; None: everything.

        When a role changes, all sessions are forgotten: the view does not know who holds the
        role, and roles change rarely.
        """
        self.changes += 1
        if changed is None:
            for known in (self._sessions, self._users, self._dead):
                known.clear()
        elif changed.startswith(_USER):
            self._users.forget(UserId(changed))
        elif changed.startswith(_SESSION):
            self._sessions.forget(SessionId(changed))
            self._dead.forget(SessionId(changed))
        elif changed.startswith(_ROLE):
            self._sessions.clear()

    def _mark_of(self, user_id: UserId) -> object:
        mark = self._users.find(user_id)
        if mark is None:
            mark = object()
            self._users.put(user_id, mark)
        return mark

    def __len__(self) -> int:
        return len(self._sessions)
