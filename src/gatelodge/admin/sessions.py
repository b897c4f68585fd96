"""The sessions of all users: listed, and ended one by one."""

from dataclasses import dataclass

from gatelodge.accounts.store import RoleStore, User, rights_among
from gatelodge.admin.authority import Administrator
from gatelodge.ids import SessionId
from gatelodge.sessions.refusals import NoSuchSession
from gatelodge.sessions.service import SessionService
from gatelodge.sessions.store import Session, SessionQuery, SessionStore
from gatelodge.turns import in_turns


@dataclass(frozen=True, slots=True)
class SeenSession:
    """A session as an administrator sees it.

    Attributes:
        session: the record.
        user: whom it signs in.
        reached: whether the administrator may act on this user.
    """

    session: Session
    user: User
    reached: bool


@dataclass(frozen=True, slots=True)
class SeenSessions:
    """A page of sessions.

    Attributes:
        sessions: the sessions, the newest first. There may be fewer than asked for, or none,
            although there are more.
        before: below which id the next page goes on; None: there are no more sessions.
    """

    sessions: list[SeenSession]
    before: SessionId | None


@dataclass(frozen=True, slots=True)
class SessionAdministration:
    """Shows administrators who is signed in where, and ends sessions for them."""

    sessions: SessionStore
    roles: RoleStore
    service: SessionService

    async def search(
        self, query: SessionQuery, by: Administrator, *, before: SessionId | None, limit: int
    ) -> SeenSessions:
        """Return up to `limit` sessions that sign somebody in, the newest first.

        Args:
            query: which sessions.
            by: who looks.
            before: `SeenSessions.before` of the page before; None: from the newest.
            limit: the maximum number of sessions.
        """
        page = await self.service.search(query, before=before, limit=limit)
        rights = rights_among(await self.roles.list_roles())

        def seen(found: tuple[Session, User]) -> SeenSession:
            session, user = found
            return SeenSession(session, user, by.reaches(rights(user.roles)))

        return SeenSessions(await in_turns(seen, page.sessions), page.before)

    async def end(self, session_id: SessionId, by: Administrator) -> None:
        """End a session.

        Raises:
            NoSuchSession: there is none of this id, or it signs nobody in.
            OutOfReach: its user may do more than the administrator.
        """
        found = await self.sessions.find_with_rights(session_id)
        if found is None or not found[0].is_live(found[1], self.service.clock.now()):
            raise NoSuchSession("There is no such session, or it has ended.")
        session, user, rights = found
        by.require_reach(rights)
        if session.impersonator is not None:
            await self.service.end(session, by.actor)
            return
        of = None if user.id == by.actor.name else user.id
        await self.service.sign_out(session.id, by.actor, of=of)
