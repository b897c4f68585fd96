"""The dependencies that guard the routes of an application.

Each is an object that FastAPI calls. It also puts the ways to authenticate into the application's
OpenAPI document. `routes check` reads from it who may call a route.
"""

from datetime import timedelta
from typing import Annotated, Any

from fastapi import Depends
from fastapi.openapi.models import HTTPBearer
from fastapi.security.base import SecurityBase
from starlette.requests import HTTPConnection

from gatelodge.embedded.source import Asked
from gatelodge.embedded.user import User
from gatelodge.errors import Refusal
from gatelodge.fastapi.refusals import NotAdmitted, WebSocketNotAdmitted
from gatelodge.gate.conditions import Condition, Names, asking, condition_for
from gatelodge.gate.refusals import NoToken
from gatelodge.gate.rules import ANYBODY, SIGNED_IN
from gatelodge.methods import Level
from gatelodge.web.refusals import NOBODY_FOR_APPLICATIONS

SCHEME = "gatelodge"
"""The name of the security scheme in the OpenAPI document, for routes that require somebody."""

OPTIONAL_SCHEME = "gatelodge-optional"
"""The name of the security scheme for routes that anybody may call; it is put right later."""


class _Guard(SecurityBase):
    """A dependency that knows who may call the routes that have it.

    Attributes:
        condition: who may call.
    """

    condition: Condition

    def __init__(self, scheme: str = SCHEME) -> None:
        """Name the security scheme."""
        self.model = HTTPBearer(bearerFormat="JWT", description="The `accessToken` of a sign-in.")
        self.scheme_name = scheme


class SignedIn(_Guard):
    """The dependency behind `CurrentUser`: the user who makes the request."""

    condition = Condition(SIGNED_IN)

    async def __call__(self, connection: HTTPConnection) -> User:
        """Return the user.

        Raises:
            NotAdmitted: nobody is signed in, or nobody can say now who it is.
        """
        source = Asked.of(connection).source
        user = source.recall(connection)
        if user is not None:
            return user
        try:
            user = await source.find(connection)
            if user is None:
                raise NoToken
        except Refusal as refusal:
            raise _refused(connection, refusal) from refusal
        return user


class Anybody(_Guard):
    """The dependency behind `MaybeUser`: the user who makes the request, or None."""

    condition = Condition(ANYBODY)

    def __init__(self) -> None:
        """Name the security scheme."""
        super().__init__(OPTIONAL_SCHEME)

    async def __call__(self, connection: HTTPConnection) -> User | None:
        """Return the user, or None if nobody is signed in.

        Raises:
            NotAdmitted: nobody can say now who it is, or a page of another site sent the request.
        """
        source = Asked.of(connection).source
        try:
            return source.recall(connection) or await source.find(connection)
        except NOBODY_FOR_APPLICATIONS:
            return None
        except Refusal as refusal:
            raise _refused(connection, refusal) from refusal


class Public:
    """The dependency behind `public`: it declares that anybody may call, and asks nothing."""

    condition = Condition(ANYBODY)

    async def __call__(self) -> None:
        """Do nothing."""


current_user = SignedIn()
"""The dependency behind `CurrentUser`; tests may replace it in `app.dependency_overrides`."""

maybe_user = Anybody()
"""The dependency behind `MaybeUser`; tests may replace it in `app.dependency_overrides`."""

CurrentUser = Annotated[User, Depends(current_user)]
"""The user who makes the request. A request of nobody is refused with 401."""

MaybeUser = Annotated[User | None, Depends(maybe_user)]
"""The user who makes the request, or None. It declares that anybody may call the route."""

public = Depends(Public())
"""Declares that anybody may call a route: `dependencies=[public]`."""


class Requirement(_Guard):
    """The dependency behind `require` and `Gatelodge.user`: a user who meets conditions."""

    def __init__(self, condition: Condition) -> None:
        """Require this condition."""
        super().__init__()
        self.condition = condition

    async def __call__(self, connection: HTTPConnection, user: CurrentUser) -> User:
        """Return the user.

        Raises:
            NotAdmitted: the user lacks a role or permission, or has to prove again who they are.
        """
        asked = Asked.of(connection)
        try:
            self.condition.check(user, asked.source.clock)
        except Refusal as refusal:
            raise _refused(connection, refusal) from refusal
        asked.rules.append(self.condition.rule)
        return user


def require(
    *,
    role: Names = (),
    permission: Names = (),
    fresh: timedelta | None = None,
    methods: Names = (),
    aal: Level = 1,
) -> Any:
    """Return a dependency that admits only users who meet all of these conditions.

    It guards a route (`dependencies=[require(role="editor")]`), and it gives the user to a route
    (`Editor = Annotated[User, require(role="editor")]`).

    Args:
        role: the role that the user must hold; of several, one is enough.
        permission: the permission that the user must have; of several, one is enough.
        fresh: how long ago the user may have proved who they are, at most.
        methods: how the user must have proved it (`amr`; RFC 8176), such as `otp`; of several, one
            is enough.
        aal: how sure the proof must be: 2 needs a second factor, or a passkey.

    Raises:
        ValueError: there is no condition, a name is empty, or there is no such level.
    """
    condition = condition_for(role, permission, fresh, methods, aal)
    return Depends(Requirement(asking(condition, otherwise="CurrentUser")))


def _refused(connection: HTTPConnection, refusal: Refusal) -> Exception:
    """Return the exception that answers a refusal, as the request was made."""
    if connection.scope["type"] == "websocket":
        return WebSocketNotAdmitted(refusal)
    source = Asked.of(connection).source
    return NotAdmitted(refusal, sign_in_at=source.sign_in_for(connection, refusal))
