"""The OpenAPI document of the JSON routes."""

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute
from starlette.requests import Request

from gatelodge.gate.rules import ANYBODY
from gatelodge.web.cookies import TokenDelivery
from gatelodge.web.described import Description, Problem
from gatelodge.web.door import Door
from gatelodge.web.public_address import PublicAddress
from gatelodge.web.services import Services

_DESCRIPTION = """
Gatelodge signs people up and in, keeps them signed in, and says of each request who makes it and
whether they may. Requests and answers are JSON in UTF-8; only the boards answer plain text.

## How to authenticate

`POST /api/auth/signin` returns an access token and a refresh token. Send the access token with each
request, as `Authorization: Bearer …` or in `x-access-token`. It is valid for a short time, ten
minutes unless the operator says otherwise. Then `POST /api/auth/refresh` trades the refresh token
for the next two tokens. Each refresh token works once.

A program in a browser can ask for `"delivery": "cookie"` when it signs in. The tokens are then in
cookies that scripts cannot read, and the session renews itself. Cookies are ignored if a token is
in a header. Tokens in the query string are never read.

## Cookies and other sites

A request that changes something by cookie must come from a page of this server, or of an origin
that the operator has named (`GATELODGE_CORS_ORIGINS`). Sign-up, sign-in, refresh and sign-out
refuse pages of other sites even without a cookie. The refusal is 403 `cross_site_request`. A token
in a header needs none of this.

## Errors

Every refusal has the same body. `code` is for programs, and never changes. `message` is for people.
`field` is there if one field was refused. `request_id` finds the request in the server's log.

A guarded route looks first at the token, then at the role, and only then at the rest of the
request. A body must be declared as `application/json`, and has at most 16 KiB. Unknown fields are
refused, and so are keys and parameters that are given twice.

500 is a mistake of the server. 503 passes: wait for `Retry-After`. After `store_unavailable` and
`hashing_busy` nothing was changed. After `outcome_unknown` look first whether the change happened.

## Limits on tries

After too many failed sign-ins for one name, or from one address, the answer is 429
`too_many_attempts`, with the seconds to wait in `Retry-After`. It is the same for names that do not
exist. Sign-ups, changes of usernames and letters asked for from one address are limited too.
"""

_TAGS = {
    "sign-in": "Making an account, signing in, and changing the password.",
    "sessions": "Staying signed in, and signing out: here, or on other devices.",
    "me": "The caller's own account.",
    "factors": "The caller's own second factors: authenticator apps, passkeys, recovery codes.",
    "letters": "Forgotten passwords and e-mail addresses: what a letter to the user proves.",
    "gate": "For a reverse proxy that asks about each request (forward-auth).",
    "tokens": "For services that verify access tokens by themselves.",
    "boards": "Four pages of plain text: for everybody, users, moderators, administrators.",
    "admin": "Administration: users, roles, sessions, events, letters, keys, by permissions.",
    "server": "For whoever runs and watches the server.",
}
"""The groups of routes, in the order in which they are shown."""

door = Door(tag="server")


@door.get(
    "/api/openapi.json",
    rule=ANYBODY,
    told=Description("This document", gives={"openapi": "3.1.0", "info": {"title": "Gatelodge"}}),
)
async def openapi(request: Request) -> dict[str, Any]:
    """Return this OpenAPI document."""
    return document_of(request.app)


def document_of(api: FastAPI) -> dict[str, Any]:
    """Return the OpenAPI document of an application; it is made once and then kept."""
    if api.openapi_schema is None:
        api.openapi_schema = _make_document(api)
    return api.openapi_schema


def _make_document(api: FastAPI) -> dict[str, Any]:
    services: Services = api.state.services
    document = get_openapi(
        title=api.title,
        version=api.version,
        summary="A login and authorization server.",
        description=_in_one_line_each(_DESCRIPTION),
        routes=api.routes,
        tags=[{"name": name, "description": text} for name, text in _TAGS.items()],
        servers=[{"url": services[PublicAddress].base}],
    )
    components = document["components"]
    components["securitySchemes"] = _security_schemes(services[TokenDelivery])
    components["schemas"]["Problem"] = Problem.model_json_schema()
    for unused in ("HTTPValidationError", "ValidationError"):
        components["schemas"].pop(unused, None)
    for route in api.routes:
        if isinstance(route, APIRoute):
            for method in route.methods or ():
                _complete(document["paths"][route.path_format][method.lower()], route)
    return document


def _complete(operation: dict[str, Any], route: APIRoute) -> None:
    """Put right what FastAPI writes of a route."""
    operation["description"] = _in_one_line_each(operation.get("description", ""))
    operation["responses"].pop("422", None)  # this server answers 400 with a code instead
    for status, answer in route.responses.items():  # FastAPI drops each `null` in an example
        operation["responses"][str(status)] = answer


def _security_schemes(delivery: TokenDelivery) -> dict[str, Any]:
    return {
        "bearer": {
            "type": "http",
            "scheme": "bearer",
            "bearerFormat": "JWT",
            "description": "The `accessToken` of a sign-in.",
        },
        "xAccessToken": {
            "type": "apiKey",
            "in": "header",
            "name": "x-access-token",
            "description": "The same token in the header that the tutorial's clients send.",
        },
        "cookie": {
            "type": "apiKey",
            "in": "cookie",
            "name": delivery.access_cookie,
            "description": 'Set by a sign-in with `"delivery": "cookie"`, and on the pages of this '
            "server. A browser sends it by itself.",
        },
    }


def _in_one_line_each(text: str) -> str:
    """Return Markdown with each paragraph in one line: some readers show every line break."""
    paragraphs = text.strip().split("\n\n")
    return "\n\n".join(" ".join(paragraph.split("\n")) for paragraph in paragraphs)
