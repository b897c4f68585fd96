"""What the routes of several rooms share: the caller's records, opening and ending sessions."""

from typing import Annotated
from urllib.parse import quote

from fastapi import Depends
from starlette.requests import Request
from starlette.responses import Response

from gatelodge.accounts.service import AccountService
from gatelodge.accounts.store import User
from gatelodge.credentials.own_proof import OwnProofCheck
from gatelodge.errors import after_a_change
from gatelodge.methods import Methods
from gatelodge.pages.carried import Carried, Carrier
from gatelodge.pages.door import Visit
from gatelodge.sessions.known_devices import KnownDevices
from gatelodge.sessions.lookup import Records, SessionLookup
from gatelodge.sessions.service import SessionService, SignedIn
from gatelodge.web.cookies import TokenDelivery
from gatelodge.web.public_address import ENROL_PAGE
from gatelodge.web.services import Provided, service_of
from gatelodge.web.shell import Scope


async def _records(request: Request) -> Records:
    return await service_of(request, SessionLookup).records_of(request.state.principal)


AFTER_SIGN_OUT = "/sign-out"
"""The page that a browser is sent to after its session has ended."""

Accounts = Annotated[AccountService, Provided(AccountService)]
Sessions = Annotated[SessionService, Provided(SessionService)]

CallerRecords = Annotated[Records, Depends(_records)]
"""Dependency: the current records of the caller; the rule must require somebody."""


async def records_of(visit: Visit) -> Records:
    """Return the current records of the caller.

    Raises:
        InvalidToken: the session or its user ended meanwhile.
    """
    return await visit.ask(SessionLookup).records_of(visit.caller)


async def require_fresh(visit: Visit) -> Records:
    """Return the records of a caller who has proved lately who they are, by all that they have.

    Raises:
        ReauthenticationRequired: the last proof is too old, or lacks a second factor.
        InvalidToken: as for `records_of`.
    """
    caller = await records_of(visit)
    visit.ask(OwnProofCheck).require_fresh(caller.proof())
    return caller


def lead_to_enrolment(visit: Visit, signed_in: SignedIn, *, done: str = "") -> Response | None:
    """Return a redirect to the page where a factor is added, if nothing else is open to the user.

    Whoever has a factor was asked for it already. None: the user goes on.

    Args:
        visit: the request.
        signed_in: who has just signed in.
        done: what that page says was done; empty: nothing.
    """
    policy = visit.ask(SessionService).policy
    if not policy.holds_back(signed_in.user.roles, signed_in.session.methods):
        return None
    next_page = f"?next={quote(visit.next, safe='/')}" if visit.next else ""
    return visit.go(f"{ENROL_PAGE}{next_page}", done=done)


async def open_session(visit: Visit, user: User, methods: Methods) -> SignedIn:
    """Sign a user in with cookies, after the user was stored and proved who they are.

    Args:
        visit: the request.
        user: the user as stored.
        methods: how the user proved it.

    Returns:
        The session.

    Raises:
        InvalidToken: the user was disabled, deleted or signed out everywhere meanwhile.
        OutcomeUnknown: the database did not answer; the user is stored.
    """
    sessions = visit.ask(SessionService)
    with after_a_change():
        signed_in = await sessions.open(
            user, methods, "cookie", visit.origin, former=visit.former_token
        )
    keep_tokens(visit, signed_in)
    return signed_in


def keep_tokens(visit: Visit, signed_in: SignedIn) -> None:
    """Make the answer set the cookies of somebody who is signed in."""
    visit.keep(signed_in.tokens)
    scope = visit.request.scope
    keep_device(scope, visit.ask(TokenDelivery), visit.ask(KnownDevices), signed_in.user)


def signed_out(visit: Visit, *, done: str) -> Response:
    """Return the answer after a session has ended: a redirect that leads to the start page.

    It deletes the cookies and the stored data of the site (`Clear-Site-Data`; ASVS 14.3.1). So no
    cookie of this answer can carry the notice: its sealed form is in the address of `/sign-out`,
    which puts it into a cookie, and redirects to the start page. The same goes for the language.

    Args:
        visit: the request.
        done: what the start page says was done, such as `signed-out`.
    """
    delivery, scope = visit.ask(TokenDelivery), visit.request.scope
    delivery.clear_cookies(scope)
    sealed = visit.ask(Carrier).seal(AFTER_SIGN_OUT, Carried(notice=done))
    language = f"&language={visit.chosen}" if visit.chosen else ""
    response = visit.go(f"{AFTER_SIGN_OUT}?done={sealed}{language}")
    response.headers["Clear-Site-Data"] = delivery.clear_site_data(scope["headers"])
    return response


def keep_device(scope: Scope, delivery: TokenDelivery, devices: KnownDevices, user: User) -> None:
    """Let this browser be known as one that the user has signed in with."""
    former = delivery.device(scope["headers"])
    delivery.keep_device(scope, devices.with_user(former, user))
