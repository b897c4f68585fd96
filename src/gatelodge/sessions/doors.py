"""What doors of several rooms need of sessions: the caller's records, and cookies to carry on."""

from typing import Annotated

from fastapi import Depends
from starlette.requests import Request
from starlette.responses import Response

from gatelodge.accounts.service import AccountService
from gatelodge.accounts.store import User
from gatelodge.credentials.methods import Methods
from gatelodge.pages.door import Visit
from gatelodge.sessions.lookup import Records, SessionLookup
from gatelodge.sessions.service import SessionService
from gatelodge.web.cookies import TokenDelivery
from gatelodge.web.services import Provided, service_of


async def _records(request: Request) -> Records:
    return await service_of(request, SessionLookup).records_of(request.state.principal)


Accounts = Annotated[AccountService, Provided(AccountService)]
Sessions = Annotated[SessionService, Provided(SessionService)]

CallerRecords = Annotated[Records, Depends(_records)]
"""The records of whoever makes the request, read for it; where the rule asks for somebody."""


async def records_of(visit: Visit) -> Records:
    """Return the records of who is signed in, as they stand now.

    Raises:
        InvalidToken: they ended meanwhile.
    """
    return await visit.ask(SessionLookup).records_of(visit.caller)


async def open_session(visit: Visit, user: User, methods: Methods) -> None:
    """Sign in, by this browser's cookies, a user who was proven just now by these methods."""
    sessions = visit.ask(SessionService)
    signed_in = await sessions.open(
        user, methods, "cookie", visit.origin, former=visit.former_token
    )
    visit.keep(signed_in.tokens)


def signed_out(visit: Visit, *, done: str) -> Response:
    """Return the answer after a session has ended: the start page, and nothing left behind.

    Source: ASVS 14.3.1, for `Clear-Site-Data`.
    """
    visit.ask(TokenDelivery).clear_cookies(visit.request.scope)
    response = visit.go("/", done=done)
    response.headers["Clear-Site-Data"] = '"cookies", "storage"'
    return response
