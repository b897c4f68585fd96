"""The way into the console."""

from starlette.responses import Response

from gatelodge.admin.navigation import sections
from gatelodge.admin.rules import ADMINISTER
from gatelodge.gate.refusals import Forbidden
from gatelodge.pages.door import PageDoor, Visit

door = PageDoor()


@door.get("/admin", rule=ADMINISTER, answers=303)
async def enter(visit: Visit) -> Response:
    """Lead to the first section that the reader may open."""
    for section in sections(visit.may_open):
        return visit.go(section.path, done=visit.notice)
    raise Forbidden(caller=visit.caller.subject)
