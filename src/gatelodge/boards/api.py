"""The JSON door of the boards. It answers plain text, as the tutorial's clients expect."""

from starlette.responses import PlainTextResponse

from gatelodge.boards.refusals import ModeratorRequired, NoTokenForBoard
from gatelodge.gate.refusals import AdminRequired
from gatelodge.gate.rules import ANYBODY, Rule
from gatelodge.web.described import Description
from gatelodge.web.door import Door

door = Door("/api/test", tag="boards")

# Without a token, the boards answer 403: the clients of the tutorial depend on it.
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
"""The text of each board, by path."""


@door.get(
    "/all",
    rule=ANYBODY,
    told=Description("The public board", gives=CONTENT["/api/test/all"]),
    response_class=PlainTextResponse,
)
async def public_board() -> PlainTextResponse:
    """Show the public text; tokens are not checked."""
    return PlainTextResponse(CONTENT["/api/test/all"])


@door.get(
    "/user",
    rule=USER_BOARD,
    told=Description("The board of users", gives=CONTENT["/api/test/user"]),
    response_class=PlainTextResponse,
)
async def user_board() -> PlainTextResponse:
    """Show the text for users who are signed in."""
    return PlainTextResponse(CONTENT["/api/test/user"])


@door.get(
    "/mod",
    rule=MODERATOR_BOARD,
    told=Description("The board of moderators", gives=CONTENT["/api/test/mod"]),
    response_class=PlainTextResponse,
)
async def moderator_board() -> PlainTextResponse:
    """Show the text for moderators; the role `admin` alone is not enough."""
    return PlainTextResponse(CONTENT["/api/test/mod"])


@door.get(
    "/admin",
    rule=ADMIN_BOARD,
    told=Description("The board of administrators", gives=CONTENT["/api/test/admin"]),
    response_class=PlainTextResponse,
)
async def admin_board() -> PlainTextResponse:
    """Show the text for administrators."""
    return PlainTextResponse(CONTENT["/api/test/admin"])
