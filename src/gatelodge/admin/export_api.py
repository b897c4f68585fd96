"""Downloads of all users and all events, a line for each."""

from collections.abc import AsyncIterator
from typing import Annotated, Any, Literal

from fastapi import Query
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from gatelodge.admin.rules import READ_EVENTS, READ_USERS
from gatelodge.audit import AuditLog
from gatelodge.gate.rules import Rule
from gatelodge.sessions.doors import Accounts
from gatelodge.transfer.exports import Export, Format, export_of_events, export_of_users
from gatelodge.web.admission import Admission
from gatelodge.web.described import Description
from gatelodge.web.door import Door
from gatelodge.web.services import Provided, service_of
from gatelodge.web.shell import BARE

door = Door("/api/admin/export", tag="admin")

Wanted = Annotated[
    Literal["jsonl", "csv"], Query(alias="format", description="JSON lines, or CSV with a header.")
]
After = Annotated[
    str | None,
    Query(max_length=64, description="Only what comes after this id: the last one that you have."),
]


class JsonLines(StreamingResponse):
    """An answer of JSON lines."""

    media_type = "application/jsonl"


_TYPES: dict[Format, str] = {"jsonl": "application/jsonl", "csv": "text/csv; charset=utf-8"}


@door.get(
    "/users",
    rule=READ_USERS,
    told=Description("Export users", gives='{"id":"usr_…","username":"ann"}'),
    response_class=JsonLines,
)
async def export_users(
    request: Request, accounts: Accounts, wanted: Wanted = "jsonl", after: After = None
) -> Response:
    """Return all users, the oldest first, a line for each; never a password hash or a secret.

    The answer is streamed, and breaks off when the caller's right to it ends. If it breaks off, ask
    for the rest with the id in the last whole line.
    """
    export = export_of_users(accounts.users, wanted)
    return await _streamed(request, READ_USERS, export, "users", after)


@door.get(
    "/events",
    rule=READ_EVENTS,
    told=Description("Export events", gives='{"id":"evt_…","name":"session.opened"}'),
    response_class=JsonLines,
)
async def export_events(
    request: Request,
    audit: Annotated[AuditLog, Provided(AuditLog)],
    wanted: Wanted = "jsonl",
    after: After = None,
) -> Response:
    """Return all events, the oldest first, a line for each.

    The answer is streamed, and breaks off when the caller's right to it ends. If it breaks off, ask
    for the rest with the id in the last whole line.
    """
    export = export_of_events(audit.events, wanted)
    return await _streamed(request, READ_EVENTS, export, "events", after)


async def _streamed(
    request: Request, rule: Rule, export: Export[Any], name: str, after: str | None
) -> Response:
    """Return the lines; nothing is read for an answer without a body.

    Whoever has got a whole answer has got everything, so an answer whose caller is no longer
    admitted ends with an error.

    Raises:
        StoreUnavailable: the database does not answer; that is found out before the answer begins.
    """
    headers = {"Content-Disposition": f'attachment; filename="{name}.{export.format}"'}
    admission = service_of(request, Admission)
    pieces = export.pieces(after)
    first = None if request.scope.get(BARE) else await anext(pieces, None)

    async def lines() -> AsyncIterator[str]:
        if first is not None:
            yield first.text
            async for piece in pieces:
                await admission.admit_session_again(request, rule)
                yield piece.text

    return StreamingResponse(lines(), media_type=_TYPES[export.format], headers=headers)
