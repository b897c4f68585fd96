"""The OpenAPI document of the JSON routes."""

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from starlette.requests import Request

from gatelodge.gate.rules import ANYBODY
from gatelodge.web.door import Door

PROBLEM = {"$ref": "#/components/schemas/Problem"}
SECURITY_SCHEMES = {
    "bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"},
    "xAccessToken": {"type": "apiKey", "in": "header", "name": "x-access-token"},
    "cookie": {"type": "apiKey", "in": "cookie", "name": "__Host-gatelodge-access"},
}


door = Door(tag="server")


@door.get("/api/openapi.json", rule=ANYBODY)
async def openapi(request: Request) -> dict[str, Any]:
    """Return this OpenAPI document."""
    return document_of(request.app)


def document_of(api: FastAPI) -> dict[str, Any]:
    """Return the OpenAPI document of an application; it is made once and then kept."""
    if api.openapi_schema is None:
        api.openapi_schema = _make_document(api)
    return api.openapi_schema


def _make_document(api: FastAPI) -> dict[str, Any]:
    document = get_openapi(
        title=api.title,
        version=api.version,
        summary="A login and authorization server.",
        routes=api.routes,
    )
    components = document["components"]
    components["securitySchemes"] = SECURITY_SCHEMES
    for unused in ("HTTPValidationError", "ValidationError"):
        components["schemas"].pop(unused, None)
    for path in document["paths"].values():
        for operation in path.values():
            operation["responses"].pop("422", None)  # this server answers 400 with a code instead
            for status, answer in operation["responses"].items():
                if status >= "400":  # FastAPI would use the media type of the 200 answer
                    answer["content"] = {"application/json": {"schema": PROBLEM}}
    return document
