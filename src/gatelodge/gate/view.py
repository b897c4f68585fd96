"""What is true now about sessions and their users, from memory, bounded."""

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
    """A principal, and the mark that its user had when it was read."""

    principal: Principal
    mark: object


@dataclass(slots=True)
class View:
    """The principals of the sessions that were asked about lately.

    An entry is kept only of a session that stands. It counts while its user still has the mark
    that was there when both were read: to forget a user is to take the mark away, however many
    sessions there are.

    Attributes:
        changes: rises whenever something is forgotten. What was read from the store while it rose
            may be older than the change, and is not kept.
    """

    changes: int = 0
    _sessions: Recent[SessionId, _Entry] = field(default_factory=lambda: Recent(MAX_SESSIONS))
    _users: Recent[UserId, object] = field(default_factory=lambda: Recent(MAX_USERS))
    _dead: Recent[SessionId, object] = field(default_factory=lambda: Recent(MAX_DEAD))

    def find(self, session_id: SessionId, now: int) -> Principal | None:
        """Return who is signed in by this session, or None: ask the store.

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
        """Say whether the session is known to have ended, and nothing of its user changed since."""
        mark = self._dead.find(session_id)
        return mark is not None and self._users.find(user_id) is mark

    def keep(self, principal: Principal, *, seen: int) -> None:
        """Remember a principal that was read when `changes` was `seen`."""
        if seen != self.changes:
            return
        entry = _Entry(principal, self._mark_of(principal.subject))
        self._sessions.put(principal.session_id, entry)

    def keep_dead(self, session_id: SessionId, user_id: UserId, *, seen: int) -> None:
        """Remember that a session did not stand when `changes` was `seen`.

        That may have been for its user's sake, who may be let in again: so it counts while the
        user has the same mark.
        """
        if seen == self.changes:
            self._dead.put(session_id, self._mark_of(user_id))

    def forget(self, changed: str | None) -> None:
        """Forget what is known of a user, session or role, by its id; None: everything.

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
