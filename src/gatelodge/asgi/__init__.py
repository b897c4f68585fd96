"""Gatelodge around any ASGI application: Starlette, Litestar, or one without a framework.

`GatelodgeMiddleware` (`middleware.py`) lies around the application. It finds out who makes a
request, by the same `Source` as in a FastAPI application. It puts the user into the scope, and
compares the request with the declared routes (`rules.py`). What it does not admit, the application
does not see.

Below: `embedded/`, which has the sources, the routes of the house, and the doorman.
"""

from gatelodge.asgi.middleware import GatelodgeMiddleware, user_of
from gatelodge.asgi.rules import public, require, signed_in
from gatelodge.embedded.user import User
from gatelodge.gate.conditions import Condition

__all__ = [
    "Condition",
    "GatelodgeMiddleware",
    "User",
    "public",
    "require",
    "signed_in",
    "user_of",
]
