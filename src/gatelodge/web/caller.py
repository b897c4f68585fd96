"""What a request tells about its caller, and the dependencies that give it to a route."""

from typing import Annotated

from fastapi import Depends
from starlette.requests import Request

from gatelodge.audit import MAX_TEXT, Origin
from gatelodge.gate.principal import Principal
from gatelodge.i18n import language_for
from gatelodge.web.shell import REQUEST_ID, Scope


def origin_of(request: Request) -> Origin:
    """Return where a request came from, as the audit log records it."""
    return origin_of_scope(request.scope)


def origin_of_scope(scope: Scope) -> Origin:
    """Return where the request with this ASGI scope came from."""
    client = scope.get("client")
    agent = next((value for name, value in scope["headers"] if name == b"user-agent"), b"")
    return Origin(
        address=client[0] if client else "",
        user_agent=agent.decode("latin-1")[:MAX_TEXT],
        request_id=scope[REQUEST_ID],
    )


def language_of(request: Request) -> str:
    """Return the tag of the language that the program's user prefers, of those that we have."""
    return language_for(request.headers.get("accept-language", "")).tag


async def _origin(request: Request) -> Origin:
    return origin_of(request)


async def _caller(request: Request) -> Principal:
    principal: Principal = request.state.principal
    return principal


From = Annotated[Origin, Depends(_origin)]
"""Dependency: where the request came from."""

Caller = Annotated[Principal, Depends(_caller)]
"""Dependency: who makes the request; only on routes whose rule is not public."""
