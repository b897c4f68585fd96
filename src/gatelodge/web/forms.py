"""Form bodies: of pages, and of clients of the tutorial, whose server reads them like JSON."""

import json
from collections.abc import Collection
from typing import Any
from urllib.parse import parse_qsl

from starlette.requests import Request

from gatelodge.errors import InvalidRequest
from gatelodge.verdicts import MAX_NAME
from gatelodge.web.refusals import UnsupportedMediaType
from gatelodge.web.shell import Message

FORM = "application/x-www-form-urlencoded"
MAX_FIELDS = 64

MAX_BOXES = 512
"""How many values a form of a page may have that has boxes to tick."""

_LISTS = frozenset({"roles"})


async def as_json(request: Request) -> Request:
    """Return the request with its form body rewritten as JSON; other bodies stay unchanged.

    Raises:
        InvalidRequest: the body is not a valid form, or a field with one value is given twice.
    """
    if _kind(request) != FORM:
        return request
    body = json.dumps(_fields(await request.body(), lists=_LISTS)).encode()
    others = [pair for pair in request.scope["headers"] if pair[0] != b"content-type"]
    request.scope["headers"] = [*others, (b"content-type", b"application/json")]

    async def receive() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    return Request(request.scope, receive)


async def read(request: Request, *, many: Collection[str] = ()) -> dict[str, str]:
    """Return the fields of a page's form, by name.

    Args:
        request: the request.
        many: the fields that may be given several times; their values are joined by blanks.

    Raises:
        UnsupportedMediaType: the body is not declared as a form.
        InvalidRequest: the form is malformed, has another field twice, or contains U+0000.
    """
    body = await request.body()
    if not body and not _kind(request):
        return {}
    if _kind(request) != FORM:
        raise UnsupportedMediaType
    fields = _fields(body, lists=frozenset(many), most=MAX_BOXES if many else MAX_FIELDS)
    fields |= {name: " ".join(fields[name]) for name in many if name in fields}
    if any("\0" in text for pair in fields.items() for text in pair):
        raise InvalidRequest("A field contains a character that is not allowed.")
    return fields


def _kind(request: Request) -> str:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def _fields(body: bytes, *, lists: frozenset[str], most: int = MAX_FIELDS) -> dict[str, Any]:
    try:
        pairs = parse_qsl(
            body.decode("ascii"),
            keep_blank_values=True,
            errors="strict",
            max_num_fields=most,
        )
    except ValueError as error:
        raise InvalidRequest("The body is not a form.") from error
    fields: dict[str, Any] = {}
    for name, value in pairs:
        plain = name.removesuffix("[]")
        if plain in lists:
            fields.setdefault(plain, []).append(value)
        elif name in fields:
            field = name[:MAX_NAME]
            raise InvalidRequest(f'The field "{field}" is given twice.', field=field)
        else:
            fields[name] = value
    return fields
