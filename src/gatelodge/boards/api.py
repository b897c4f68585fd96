"""The JSON door of the boards: bare text, as the tutorial's clients read it."""

from starlette.responses import PlainTextResponse

from gatelodge.boards.refusals import ModeratorRequired, NoTokenForBoard
from gatelodge.gate.refusals import AdminRequired
from gatelodge.gate.rules import ANYBODY, Rule
from gatelodge.web.door import Door

door = Door("/api/test", tag="boards")

# The tutorial's boards answer 403 when there is no token: its clients depend on it.
USER_BOARD = Rule("signed in", missing=NoTokenForBoard)
MODERATOR_BOARD = Rule(
    "moderator", any_of=("moderator",), missing=NoTokenForBoard, lacking=ModeratorRequired
)
ADMIN_BOARD = Rule("admin", any_of=("admin",), missing=NoTokenForBoard, lacking=AdminRequired)

CONTENT = {
    "/api/test/all": "Public Content.",
    "/api/test/user": "User Content.",
    "/api/test/mod": "Moderator Content.",
    "/api/test/admin": "Admin Content.",
}
"""What each board shows, by its path."""


@door.get("/all", rule=ANYBODY, response_class=PlainTextResponse)
async def public_board() -> PlainTextResponse:
    """Show what everybody may see, whatever token comes along."""
    return PlainTextResponse(CONTENT["/api/test/all"])


@door.get("/user", rule=USER_BOARD, response_class=PlainTextResponse)
async def user_board() -> PlainTextResponse:
    """Show what anybody who is signed in may see."""
    return PlainTextResponse(CONTENT["/api/test/user"])


@door.get("/mod", rule=MODERATOR_BOARD, response_class=PlainTextResponse)
async def moderator_board() -> PlainTextResponse:
    """Show what moderators may see; an admin alone is none."""
    return PlainTextResponse(CONTENT["/api/test/mod"])


@door.get("/admin", rule=ADMIN_BOARD, response_class=PlainTextResponse)
async def admin_board() -> PlainTextResponse:
    """Show what admins may see."""
    return PlainTextResponse(CONTENT["/api/test/admin"])
