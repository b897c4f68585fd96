"""What the routes of the administration share: who acts, and that they have proved it lately."""

from typing import Annotated, Any, Protocol

from fastapi import Depends
from starlette.requests import Request
from starlette.responses import Response

from gatelodge.admin.authority import Administrator
from gatelodge.admin.navigation import sections
from gatelodge.audit import Actor
from gatelodge.credentials.own_proof import OwnProofCheck
from gatelodge.pages.door import Visit
from gatelodge.sessions.doors import require_fresh
from gatelodge.sessions.lookup import SessionLookup
from gatelodge.web.caller import origin_of
from gatelodge.web.cookies import TokenDelivery
from gatelodge.web.services import service_of


async def _administrator(request: Request) -> Administrator:
    principal = request.state.principal
    return Administrator.of(principal, Actor(principal.subject, origin_of(request)))


async def _lately_proved(request: Request) -> Administrator:
    records = await service_of(request, SessionLookup).records_of(request.state.principal)
    service_of(request, OwnProofCheck).require_fresh(records.proof())
    return await _administrator(request)


By = Annotated[Administrator, Depends(_administrator)]
"""Dependency: who acts, with what they may do now."""

ByProved = Annotated[Administrator, Depends(_lately_proved)]
"""Dependency: the same, for acts that need a proof of at most 5 minutes (security.md, section 7).

Raises:
    ReauthenticationRequired: the last proof is too old, or lacks the user's second factor.
"""


class Prove(Protocol):
    """Says who acts; see `Proving`."""

    async def __call__(self, *, needed: bool) -> Administrator:
        """Return who acts, if they have proved lately who they are or need not.

        Raises:
            ReauthenticationRequired: as for `ByProved`.
        """


async def _proving(request: Request) -> Prove:
    async def prove(*, needed: bool) -> Administrator:
        return await (_lately_proved(request) if needed else _administrator(request))

    return prove


Proving = Annotated[Prove, Depends(_proving)]
"""Dependency: the same, for routes whose body says whether they need a proof."""


def administrator(visit: Visit) -> Administrator:
    """Return who asks for a page, with what they may do now."""
    return Administrator.of(visit.caller, visit.actor)


async def proved(visit: Visit) -> Administrator:
    """Return who asks for a page, if they have proved lately who they are.

    Raises:
        ReauthenticationRequired: the last proof is too old, or lacks the user's second factor.
    """
    await require_fresh(visit)
    return administrator(visit)


def page(visit: Visit, template: str, **context: Any) -> Response:
    """Return a page of the console as the answer.

    Args:
        visit: the request.
        template: the name of the template in the folder `admin/`; its first lines say how it is
            made.
        context: the values for the template, besides those of every page, `sections` and `now`.
    """
    now = visit.ask(TokenDelivery).clock.now()
    return visit.page(f"admin/{template}", sections=sections(visit.may_open), now=now, **context)
