"""Gatelodge inside a FastAPI application.

`Gatelodge` (`application.py`) is made once, and installed. Its `lifespan` builds the house and
opens it (`embedded.py`). `install` brings the routes of the house into the application
(`routes.py`), and puts a `Doorman` around all routes (`middleware.py`). A route asks for the user
by a dependency (`dependencies.py`). The dependency asks the `Source` (`source.py`), which answers
from the memory of the gate. If only the refresh cookie is left, it is traded, and the doorman sets
the new cookies. `local_user` (`local_users.py`) gives the user's row in the application's own
database. `Gatelodge.on` (`handlers.py`) tells functions of the application what has happened.
`User.watch` (`watch.py`) ends what stays open when its user may not be there any more.
"""

from gatelodge.fastapi.application import Gatelodge
from gatelodge.fastapi.dependencies import (
    CurrentUser,
    MaybeUser,
    current_user,
    maybe_user,
    public,
    require,
)
from gatelodge.fastapi.first_message import admit_by_message
from gatelodge.fastapi.local_users import local_user
from gatelodge.fastapi.refusals import NotAdmitted, Refused, WebSocketNotAdmitted
from gatelodge.fastapi.user import User
from gatelodge.fastapi.users import Account, Users
from gatelodge.fastapi.watch import Watch
from gatelodge.notification import Notification

__all__ = [
    "Account",
    "CurrentUser",
    "Gatelodge",
    "MaybeUser",
    "NotAdmitted",
    "Notification",
    "Refused",
    "User",
    "Users",
    "Watch",
    "WebSocketNotAdmitted",
    "admit_by_message",
    "current_user",
    "local_user",
    "maybe_user",
    "public",
    "require",
]
