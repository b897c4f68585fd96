"""The pages of the outbox."""

import re
from collections.abc import Iterator

from starlette.responses import HTMLResponse, Response

from gatelodge.errors import NoSuchRoute
from gatelodge.gate.rules import ANYBODY
from gatelodge.letters.folder import FolderPost, Kept
from gatelodge.letters.service import LetterService
from gatelodge.pages.door import PageDoor, Visit
from gatelodge.web.proxies import came_directly

door = PageDoor()

MAX_SHOWN = 100
_LINK = re.compile(r"https?://[^\s<>\"]+")
_HEAD = re.compile(r"<head[^>]*>", re.IGNORECASE)
_NEW_TAB = '<base target="_blank">'

_OF_A_LETTER = (
    "sandbox allow-popups allow-popups-to-escape-sandbox; default-src 'none'; "
    "style-src 'unsafe-inline'; img-src data:; form-action 'none'; frame-ancestors 'self'"
)
"""What a letter may do: show itself, and open its links in tabs of their own. No script runs."""


@door.get("/dev/outbox", rule=ANYBODY)
async def show_outbox(visit: Visit) -> Response:
    """List the newest letters; with `letter` in the query, show that one."""
    outbox = _outbox_of(visit)
    letter_id = visit.request.query_params.get("letter")
    if letter_id is None:
        return visit.page("outbox.html", letters=await outbox.list_letters(limit=MAX_SHOWN))
    letter = await _find(outbox, letter_id)
    response = visit.page("outbox-letter.html", letter=letter, pieces=list(_pieces(letter.text)))
    response.headers["Content-Security-Policy"] += "; frame-src 'self'"
    return response


@door.get("/dev/outbox/html", rule=ANYBODY, answers=404)
async def show_html(visit: Visit) -> Response:
    """Show the HTML of a letter as a mail program does: it loads and runs nothing."""
    letter = await _find(_outbox_of(visit), visit.request.query_params.get("letter", ""))
    html = _HEAD.sub(lambda head: head[0] + _NEW_TAB, letter.html, count=1)
    headers = {"Content-Security-Policy": _OF_A_LETTER, "Referrer-Policy": "no-referrer"}
    return HTMLResponse(html, headers=headers)


def _outbox_of(visit: Visit) -> FolderPost:
    """Return the outbox.

    Raises:
        NoSuchRoute: there is none, or the request did not come from this machine itself.
    """
    post = visit.ask(LetterService).post
    if not isinstance(post, FolderPost) or not came_directly(visit.request.scope):
        raise NoSuchRoute
    return post


async def _find(outbox: FolderPost, letter_id: str) -> Kept:
    letter = await outbox.find(letter_id)
    if letter is None:
        raise NoSuchRoute
    return letter


def _pieces(text: str) -> Iterator[tuple[str, str]]:
    """Yield the pieces of a text, each with the address that it is, or an empty text."""
    at = 0
    for link in _LINK.finditer(text):
        yield text[at : link.start()], ""
        yield link[0], link[0]
        at = link.end()
    yield text[at:], ""
