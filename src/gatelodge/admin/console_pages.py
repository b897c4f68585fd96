"""The way into the console."""

from starlette.responses import Response

from gatelodge.admin.doors import page
from gatelodge.admin.navigation import sections
from gatelodge.admin.rules import ADMINISTER
from gatelodge.pages.door import PageDoor, Visit

door = PageDoor()


@door.get("/admin", rule=ADMINISTER, answers=303)
async def enter(visit: Visit) -> Response:
    """Lead to the first section that the reader may open; say so if there is none.

    Whoever may only act on users comes here after each act.
    """
    for section in sections(visit.may_open):
        return visit.go(section.path, done=visit.notice)
    return page(visit, "no-section.html")
