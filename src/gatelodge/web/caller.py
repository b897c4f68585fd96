"""What a request tells about its caller: its origin, and the token in its headers."""

from collections.abc import Sequence
from typing import Annotated

from fastapi import Depends
from starlette.requests import Request

from gatelodge.audit import MAX_TEXT, Origin
from gatelodge.gate.principal import Principal
from gatelodge.web.refusals import ConflictingTokens
from gatelodge.web.shell import REQUEST_ID, Headers, Scope


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


def token_in(headers: Headers) -> str | None:
    """Return the access token in the headers, or None.

    The token is in `Authorization: Bearer …` or in `x-access-token`. An empty header counts as no
    token: the tutorial's clients send it when nobody is signed in.

    Raises:
        ConflictingTokens: the headers carry two different tokens, or a header is malformed (RFC
            6750, section 3.1).
    """
    bearer = _only([value for name, value in headers if name == b"authorization"])
    plain = _only([value for name, value in headers if name == b"x-access-token"])
    tokens = {token for token in (_bearer_token(bearer), plain) if token}
    if len(tokens) > 1:
        raise ConflictingTokens
    return tokens.pop() if tokens else None


def _only(values: Sequence[bytes]) -> str:
    if len(values) > 1:
        raise ConflictingTokens
    return values[0].decode("latin-1").strip() if values else ""


def _bearer_token(header: str) -> str:
    scheme, _, token = header.partition(" ")
    if scheme.lower() != "bearer":
        return ""
    token = token.strip()
    if not token or " " in token:
        raise ConflictingTokens
    return token


async def _origin(request: Request) -> Origin:
    return origin_of(request)


async def _caller(request: Request) -> Principal:
    principal: Principal = request.state.principal
    return principal


From = Annotated[Origin, Depends(_origin)]
"""Dependency: where the request came from."""

Caller = Annotated[Principal, Depends(_caller)]
"""Dependency: who makes the request; only on routes whose rule is not public."""
