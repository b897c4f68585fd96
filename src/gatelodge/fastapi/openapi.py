"""What the OpenAPI document of an application says about authentication."""

from collections.abc import Callable
from typing import Any

from fastapi import FastAPI

from gatelodge.fastapi.dependencies import OPTIONAL_SCHEME, SCHEME

COOKIE = "gatelodge-cookie"
"""The name of the security scheme of the cookie."""


def complete_document(app: FastAPI, cookie: Callable[[], str]) -> None:
    """Let the document name the cookie beside the token, and mark routes that anybody may call.

    FastAPI knows one security scheme for each dependency, and no optional ones.

    Args:
        app: the application.
        cookie: returns the name of the cookie that carries the access token.
    """
    make = app.openapi

    def openapi() -> dict[str, Any]:
        document = make()
        schemes = document.get("components", {}).get("securitySchemes", {})
        if COOKIE not in schemes and not schemes.keys().isdisjoint({SCHEME, OPTIONAL_SCHEME}):
            bearer = schemes.pop(OPTIONAL_SCHEME, None)
            schemes.setdefault(SCHEME, bearer)
            schemes[COOKIE] = {
                "type": "apiKey",
                "in": "cookie",
                "name": cookie(),
                "description": "Set by a sign-in on the pages. A browser sends it by itself.",
            }
            for path in document["paths"].values():
                for operation in path.values():
                    _complete(operation)
        return document

    app.openapi = openapi  # type: ignore[method-assign]


def _complete(operation: dict[str, Any]) -> None:
    """Put right what FastAPI writes of one operation."""
    asked: list[dict[str, list[str]]] = operation.get("security", [])
    either: list[dict[str, list[str]]] = [{SCHEME: []}, {COOKIE: []}]
    if {SCHEME: []} in asked:
        others = [each for each in asked if not {SCHEME, OPTIONAL_SCHEME} & each.keys()]
        operation["security"] = [*either, *others]
    elif {OPTIONAL_SCHEME: []} in asked:
        operation["security"] = [*either, {}]
