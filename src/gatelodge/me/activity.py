"""What happened to an account, as its user may see it: without what is somebody else's."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, TypeAlias

from gatelodge.audit import Event, EventQuery, EventStore, Outcome
from gatelodge.ids import USER_PREFIX, UserId
from gatelodge.marks import N_

By: TypeAlias = Literal["you", "administrator", "server", "application", "unknown"]
"""Who did it. Who the administrator is stays with the administration."""

_OF_SESSIONS = ("session.opened", "session.ended", "refresh_token.reused")
"""Events that are not about the user, but about a session of theirs."""

_DETAILS = ("role", "kind", "changed")
"""The details that the user may see, of any event."""

_DETAILS_OF = {"impersonation.began": ("reason",)}
"""Further details, of some events. The reasons of others are not written for the user."""

SENTENCES: Mapping[str, str] = {
    "attempts.forgiven": N_("Failed tries were forgotten"),
    "browser.forgotten": N_("A browser is asked for a code again"),
    "browser.remembered": N_("A browser is not asked for a code for 30 days"),
    "factor.added": N_("A second factor was added"),
    "factor.removed": N_("A second factor was removed"),
    "factor.renamed": N_("A second factor has another name"),
    "factors.reset": N_("All second factors were removed"),
    "impersonation.began": N_("An administrator began to see your account as you do"),
    "impersonation.ended": N_("An administrator stopped seeing your account as you do"),
    "invitation.accepted": N_("You accepted an invitation"),
    "password.changed": N_("The password was changed"),
    "password.letter_sent": N_("A letter for a new password was sent"),
    "password.required": N_("A new password was required"),
    "password.reset": N_("The password was set anew by a letter"),
    "recovery_code.used": N_("A recovery code was used"),
    "recovery_codes.made": N_("New recovery codes were made"),
    "refresh_token.reused": N_("A session was ended: somebody may have copied it"),
    "role.granted": N_("A role was given"),
    "role.withdrawn": N_("A role was taken"),
    "session.ended": N_("Signed out"),
    "session.ended_everywhere": N_("Signed out everywhere"),
    "session.opened": N_("Signed in"),
    "user.created": N_("The account was made"),
    "user.disabled": N_("The account was disabled"),
    "user.email_changed": N_("The e-mail address was changed"),
    "user.email_restored": N_("The former e-mail address was restored"),
    "user.email_unverified": N_("The e-mail address does not count as verified any more"),
    "user.email_verified": N_("The e-mail address was verified"),
    "user.enabled": N_("The account was enabled"),
    "user.renamed": N_("The name was changed"),
    "user.signed_up": N_("You signed up"),
    "user.unlocked": N_("Failed sign-ins were forgotten"),
}
"""What a page says of an event, by its name; it shows the name of any other."""


@dataclass(frozen=True, slots=True)
class Happened:
    """An event, as the user whom it concerns may see it.

    Attributes:
        id: the id of the event.
        at: when it happened.
        name: what happened, such as `session.opened`.
        outcome: how it ended.
        by: who did it.
        address: the network address that the user's own request came from; of others it is empty.
        user_agent: the program that sent it, likewise.
        detail: what else it says, of what the user may see.
    """

    id: str
    at: datetime
    name: str
    outcome: Outcome
    by: By
    address: str
    user_agent: str
    detail: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class HappenedPage:
    """A page of what happened.

    Attributes:
        events: the events, the newest first. There may be fewer than asked for, or none, although
            there are more.
        before: below which id the next page goes on; None: there are no more.
    """

    events: list[Happened]
    before: str | None


@dataclass(frozen=True, slots=True)
class Activity:
    """Tells users what happened to their accounts.

    Attributes:
        events: the events.
    """

    events: EventStore

    async def list_own(self, user_id: UserId, *, before: str | None, limit: int) -> HappenedPage:
        """Return up to `limit` events that concern a user, the newest first.

        What the user did to others, as an administrator, is not among them.

        Args:
            user_id: the user.
            before: `HappenedPage.before` of the page before; None: from the newest.
            limit: the maximum number of events.
        """
        page = await self.events.search(EventQuery(about=user_id), before=before, limit=limit)
        shown = [_seen(each, user_id) for each in page.events if _concerns(each, user_id)]
        return HappenedPage(shown, page.before)


def _concerns(event: Event, user_id: UserId) -> bool:
    """Return whether an event of which the user is actor or target is about their account."""
    if event.target == user_id:
        return True
    return event.name in _OF_SESSIONS and event.detail.get("user", user_id) == user_id


def _seen(event: Event, user_id: UserId) -> Happened:
    own = event.actor == user_id
    names = (*_DETAILS, *_DETAILS_OF.get(event.name, ()))
    detail = {name: event.detail[name] for name in names if name in event.detail}
    return Happened(
        id=event.id,
        at=event.at,
        name=event.name,
        outcome=event.outcome,
        by=_by(event.actor, user_id),
        address=event.address if own else "",
        user_agent=event.user_agent if own else "",
        detail=detail,
    )


def _by(actor: str | None, user_id: UserId) -> By:
    if actor == user_id:
        return "you"
    if actor is None:
        return "unknown"
    if actor == "command" or actor.startswith(f"{USER_PREFIX}_"):
        return "administrator"
    return "application" if actor == "application" else "server"
