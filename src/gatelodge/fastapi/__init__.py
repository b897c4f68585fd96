"""Gatelodge inside a FastAPI application.

`Gatelodge` (`application.py`) is made once, and installed. Its `lifespan` builds the house and
opens it. `install` brings the routes of the house into the application, and puts a `Doorman` around
all routes. A route asks for the user by a dependency (`dependencies.py`), and the dependency asks
the `Source`; a WebSocket may send the token as its first message (`first_message.py`). `local_user`
(`local_users.py`) gives the user's row in the application's own database, and `Gatelodge.users`
(`users.py`) the users to its code. `Gatelodge.letters` (`letters.py`) sends letters of its own.

Below: `embedded/`, which has the source, the routes of the house, and the doorman.
"""

from gatelodge.embedded.user import User
from gatelodge.embedded.watch import Watch
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
from gatelodge.fastapi.letters import Letters
from gatelodge.fastapi.local_users import local_user
from gatelodge.fastapi.refusals import NotAdmitted, Refused, WebSocketNotAdmitted
from gatelodge.fastapi.users import Account, Users
from gatelodge.notification import Notification

__all__ = [
    "Account",
    "CurrentUser",
    "Gatelodge",
    "Letters",
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
