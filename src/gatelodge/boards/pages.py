"""The start page, and the boards as pages."""

from dataclasses import dataclass

from starlette.responses import JSONResponse, Response

from gatelodge.boards.refusals import ModeratorRequired
from gatelodge.gate.rules import ADMIN, ANYBODY, SIGNED_IN, Rule
from gatelodge.marks import N_
from gatelodge.pages.door import PageDoor, Visit
from gatelodge.web.accept import prefers_page

door = PageDoor()

MODERATOR = Rule("moderator", any_of=("moderator",), lacking=ModeratorRequired)


@dataclass(frozen=True, slots=True)
class Board:
    """A board, in the code's language.

    Attributes:
        path: where it is.
        rule: who may see it.
        title: what it is called.
        content: what it says.
        about: whom it is for.
    """

    path: str
    rule: Rule
    title: str
    content: str
    about: str


USER_BOARD = Board(
    "/boards/user",
    SIGNED_IN,
    N_("User board"),
    N_("User Content."),
    N_("For everybody who is signed in."),
)
MODERATOR_BOARD = Board(
    "/boards/mod",
    MODERATOR,
    N_("Moderator board"),
    N_("Moderator Content."),
    N_("For moderators."),
)
ADMIN_BOARD = Board(
    "/boards/admin",
    ADMIN,
    N_("Admin board"),
    N_("Admin Content."),
    N_("For administrators."),
)
BOARDS = (USER_BOARD, MODERATOR_BOARD, ADMIN_BOARD)


@door.get("/", rule=ANYBODY)
async def home(visit: Visit) -> Response:
    """Show the start page to a browser; greet a program as the tutorial's server does."""
    if not prefers_page(visit.request.scope["headers"]):
        return JSONResponse({"message": "Welcome to Gatelodge."}, headers={"Vary": "Accept"})
    roles = visit.principal.roles if visit.principal else ()
    return visit.page("home.html", boards=[each for each in BOARDS if each.rule.permits(roles)])


@door.get(USER_BOARD.path, rule=USER_BOARD.rule)
async def user_board(visit: Visit) -> Response:
    """Show what anybody who is signed in may see."""
    return visit.page("board.html", board=USER_BOARD)


@door.get(MODERATOR_BOARD.path, rule=MODERATOR_BOARD.rule)
async def moderator_board(visit: Visit) -> Response:
    """Show what moderators may see; an admin alone is none."""
    return visit.page("board.html", board=MODERATOR_BOARD)


@door.get(ADMIN_BOARD.path, rule=ADMIN_BOARD.rule)
async def admin_board(visit: Visit) -> Response:
    """Show what admins may see."""
    return visit.page("board.html", board=ADMIN_BOARD)
