"""The routes of the files that pages load: stylesheets, the logo, scripts."""

from starlette.responses import Response

from gatelodge.gate.rules import ANYBODY
from gatelodge.pages.door import PageDoor, Visit

door = PageDoor()

# An SVG may contain styles, but no scripts, even when a browser opens it directly.
_LOGO_POLICY = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; sandbox"
_CACHE_FOR_EVER = "public, max-age=31536000, immutable"


@door.get("/static/style.css", rule=ANYBODY, same_for_all=True)
async def style(visit: Visit) -> Response:
    """Return the stylesheet with the operator's colours."""
    return _file(visit, "/static/style.css")


@door.get("/static/logo", rule=ANYBODY, same_for_all=True)
async def logo(visit: Visit) -> Response:
    """Return the operator's logo, or the built-in one."""
    response = _file(visit, "/static/logo")
    response.headers["Content-Security-Policy"] = _LOGO_POLICY
    return response


@door.get("/static/passkeys.js", rule=ANYBODY, same_for_all=True)
async def passkey_script(visit: Visit) -> Response:
    """Return the script that asks browsers for passkeys."""
    return _file(visit, "/static/passkeys.js")


@door.get("/static/admin.css", rule=ANYBODY, same_for_all=True)
async def console_style(visit: Visit) -> Response:
    """Return the stylesheet of the administration."""
    return _file(visit, "/static/admin.css")


@door.get("/static/admin.js", rule=ANYBODY, same_for_all=True)
async def console_script(visit: Visit) -> Response:
    """Return the script with the keys of the administration."""
    return _file(visit, "/static/admin.js")


@door.get("/static/reference.css", rule=ANYBODY, same_for_all=True)
async def reference_style(visit: Visit) -> Response:
    """Return the stylesheet of the API reference."""
    return _file(visit, "/static/reference.css")


@door.get("/static/reference.js", rule=ANYBODY, same_for_all=True)
async def reference_script(visit: Visit) -> Response:
    """Return the script of the API reference."""
    return _file(visit, "/static/reference.js")


def _file(visit: Visit, path: str) -> Response:
    """Return a file; browsers may cache it for ever if the URL names its version."""
    asset = visit.pages.site.assets[path]
    named = visit.request.query_params.get("v") == asset.version
    caching = _CACHE_FOR_EVER if named else "no-cache"
    return Response(asset.content, media_type=asset.media_type, headers={"Cache-Control": caching})
