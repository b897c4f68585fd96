"""The start page, and the pages of the boards."""

from dataclasses import dataclass

from starlette.responses import JSONResponse, Response

from gatelodge.accounts.refusals import NoSuchUser
from gatelodge.accounts.service import AccountService
from gatelodge.boards.refusals import ModeratorRequired
from gatelodge.errors import StoreUnavailable
from gatelodge.gate.refusals import AdminRequired
from gatelodge.gate.rules import ANYBODY, SIGNED_IN, Rule
from gatelodge.marks import N_
from gatelodge.pages.door import PageDoor, Visit
from gatelodge.web.accept import prefers_page

door = PageDoor()

MODERATE = Rule("boards:moderate", permissions=("boards:moderate",), lacking=ModeratorRequired)
ADMINISTER = Rule("boards:administer", permissions=("boards:administer",), lacking=AdminRequired)


@dataclass(frozen=True, slots=True)
class Board:
    """A board; its texts are in English and translated when they are shown.

    Attributes:
        path: the path of the page.
        rule: who may see the page.
        title: the heading.
        content: the text of the board.
        about: the sentence that says whom the board is for.
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
    MODERATE,
    N_("Moderator board"),
    N_("Moderator Content."),
    N_("For moderators."),
)
ADMIN_BOARD = Board(
    "/boards/admin",
    ADMINISTER,
    N_("Admin board"),
    N_("Admin Content."),
    N_("For administrators."),
)
BOARDS = (USER_BOARD, MODERATOR_BOARD, ADMIN_BOARD)


@door.get("/", rule=ANYBODY)
async def home(visit: Visit) -> Response:
    """Show the start page to a browser; answer a program with JSON, as in the tutorial."""
    if not prefers_page(visit.request.scope["headers"]):
        return JSONResponse({"message": "Welcome to Gatelodge."}, headers={"Vary": "Accept"})
    caller = visit.principal
    roles, permissions = (caller.roles, caller.permissions) if caller else ((), ())
    boards = [each for each in BOARDS if each.rule.permits(roles, permissions)]
    return visit.page(
        "home.html",
        boards=boards,
        name=await _name_of_caller(visit),
        no_administrator=await _lacks_administrator(visit),
    )


async def _name_of_caller(visit: Visit) -> str:
    """Return what to call whoever is signed in; empty if nobody is."""
    caller = visit.principal
    if caller is None:
        return ""
    try:
        user = await visit.ask(AccountService).get_by_username(caller.username)
    except (NoSuchUser, StoreUnavailable):  # the start page needs no database
        return caller.username
    return user.name or caller.username


async def _lacks_administrator(visit: Visit) -> bool:
    """Say whether a stranger at a new server needs to know that there is no administrator yet."""
    if visit.principal is not None:
        return False
    try:
        return not await visit.ask(AccountService).has_admin()
    except StoreUnavailable:  # the start page needs no database
        return False


@door.get(USER_BOARD.path, rule=USER_BOARD.rule)
async def user_board(visit: Visit) -> Response:
    """Show the board for users who are signed in."""
    return visit.page("board.html", board=USER_BOARD)


@door.get(MODERATOR_BOARD.path, rule=MODERATOR_BOARD.rule)
async def moderator_board(visit: Visit) -> Response:
    """Show the board for those who have `boards:moderate`: by default moderators."""
    return visit.page("board.html", board=MODERATOR_BOARD)


@door.get(ADMIN_BOARD.path, rule=ADMIN_BOARD.rule)
async def admin_board(visit: Visit) -> Response:
    """Show the board for those who have `boards:administer`: by default administrators."""
    return visit.page("board.html", board=ADMIN_BOARD)
