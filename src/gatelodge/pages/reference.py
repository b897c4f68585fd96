"""The reference of the API for people: Swagger UI, from our own files, shows the document.

The policy of all pages holds for it too: nothing from other hosts, no inline style, no `eval`.
"""

from starlette.responses import Response

from gatelodge.gate.rules import ANYBODY
from gatelodge.pages.door import PageDoor, Visit

door = PageDoor()


@door.get("/api/docs", rule=ANYBODY, same_for_all=True)
async def reference(visit: Visit) -> Response:
    """Show every route of the API, and let the reader try it out."""
    return visit.page("reference.html")
