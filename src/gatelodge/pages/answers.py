"""Exception handlers: they turn the exceptions of requests into answers.

Doors catch no exceptions themselves.
"""

from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from gatelodge.accounts.refusals import RoleNotGrantable
from gatelodge.audit import MAX_TEXT, Actor, AuditLog
from gatelodge.errors import InvalidRequest, NoSuchRoute, Refusal
from gatelodge.gate.refusals import Forbidden
from gatelodge.pages.aliases import meant_by
from gatelodge.pages.door import answer_before_routing, refusal_page, wants_page
from gatelodge.pages.html import Pages
from gatelodge.web.admission import found_in
from gatelodge.web.caller import origin_of
from gatelodge.web.invalid import invalid_request
from gatelodge.web.refusals import CrossSiteRequest, InternalError, MethodNotAllowed
from gatelodge.web.responses import refusal_response
from gatelodge.web.services import service_of
from gatelodge.web.shell import REQUEST_ID, Scope


async def answer_refusal(request: Request, refusal: Exception) -> Response:
    """Answer a refusal: with a page for a browser, with JSON for a program."""
    if not isinstance(refusal, Refusal):
        raise refusal
    _note(service_of(request, AuditLog), request, refusal)
    if wants_page(request):
        return await refusal_page(request, refusal)
    return refusal_response(refusal, request.scope[REQUEST_ID])


async def answer_validation_error(request: Request, error: Exception) -> Response:
    """Answer a body or a parameter that is not valid; name the first field that is wrong."""
    if not isinstance(error, RequestValidationError):
        raise error
    return await answer_refusal(request, invalid_request(error.errors()))


async def answer_http_error(request: Request, error: Exception) -> Response:
    """Answer a request that the router refused, such as one for an unknown path."""
    if not isinstance(error, HTTPException):
        raise error
    refusal = _REFUSALS.get(error.status_code, InternalError)()
    base = service_of(request, Pages).site.path
    meant = meant_by(request, base) if isinstance(refusal, NoSuchRoute) else None
    if meant is not None and wants_page(request):
        return RedirectResponse(meant, 302, headers={"Vary": "Accept"})
    response = await answer_refusal(request, refusal)
    if isinstance(refusal, MethodNotAllowed):
        response.headers["Allow"] = ", ".join(_methods_at(request))
    return response


def answer_early(audit: AuditLog, pages: Pages, scope: Scope, refusal: Refusal) -> Response:
    """Answer a request that was refused before the router."""
    _note(audit, Request(scope), refusal)
    return answer_before_routing(pages, scope, refusal)


async def answer_unforeseen(request: Request, _error: Exception) -> Response:
    """Answer an unexpected exception with 500; the shell logs it."""
    pages = service_of(request, Pages)
    return answer_before_routing(pages, request.scope, InternalError())


_NOTED = (Forbidden, RoleNotGrantable, CrossSiteRequest)


def _note(audit: AuditLog, request: Request, refusal: Refusal) -> None:
    """Write refusals that may be part of an attack to the audit log."""
    if not isinstance(refusal, _NOTED):
        return
    detail = {"code": refusal.code, "path": request.scope["path"][:MAX_TEXT]}
    if isinstance(refusal, CrossSiteRequest):
        detail["page"] = request.headers.get("origin", "")[:MAX_TEXT]
    caller, origin = found_in(request.scope), origin_of(request)
    by = Actor(refusal.caller if isinstance(refusal, Forbidden) else None, origin)
    audit.note(
        "request.refused",
        caller.actor(origin) if caller is not None and by.name == caller.subject else by,
        outcome="refused",
        detail=detail,
    )


_REFUSALS: dict[int, type[Refusal]] = {
    400: InvalidRequest,
    404: NoSuchRoute,
    405: MethodNotAllowed,
}


def _methods_at(request: Request) -> list[str]:
    methods = {
        route.method
        for route in request.app.state.routes
        if route.pattern.fullmatch(request.scope["path"])
    }
    return sorted(methods | {"HEAD"} if "GET" in methods else methods)
