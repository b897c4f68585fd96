"""The door of the files that pages load: the stylesheet and the logo."""

from starlette.responses import Response

from gatelodge.gate.rules import ANYBODY
from gatelodge.pages.door import PageDoor, Visit

door = PageDoor()

# An SVG has its own styles; that is all it may have, even when somebody opens it by itself.
_DRAWING = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; sandbox"
_FOR_EVER = "public, max-age=31536000, immutable"


@door.get("/static/style.css", rule=ANYBODY, same_for_all=True)
async def style(visit: Visit) -> Response:
    """Return the stylesheet, in the operator's colours."""
    return _file(visit, "/static/style.css")


@door.get("/static/logo", rule=ANYBODY, same_for_all=True)
async def logo(visit: Visit) -> Response:
    """Return the logo: the operator's, or ours."""
    response = _file(visit, "/static/logo")
    response.headers["Content-Security-Policy"] = _DRAWING
    return response


def _file(visit: Visit, path: str) -> Response:
    """Return a file; for ever where the address names this content."""
    asset = visit.pages.site.assets[path]
    named = visit.request.query_params.get("v") == asset.version
    caching = _FOR_EVER if named else "no-cache"
    return Response(asset.content, media_type=asset.media_type, headers={"Cache-Control": caching})
