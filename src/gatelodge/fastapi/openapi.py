"""What the OpenAPI document of an application says about authentication."""

from collections.abc import Callable, Sequence
from typing import Any

from fastapi import FastAPI

from gatelodge.fastapi.dependencies import OPTIONAL_SCHEME, SCHEME

COOKIE = "gatelodge-cookie"
"""The name of the security scheme of the cookie."""


def complete_document(app: FastAPI, cookie: Callable[[], str | None]) -> None:
    """Let the document name the cookie beside the token, and mark routes that anybody may call.

    FastAPI knows one security scheme for each dependency, and no optional ones.

    Args:
        app: the application.
        cookie: returns the name of the cookie that carries the access token; None: there is none.
    """
    make = app.openapi

    def openapi() -> dict[str, Any]:
        document = make()
        schemes = document.get("components", {}).get("securitySchemes", {})
        if schemes.keys().isdisjoint({SCHEME, OPTIONAL_SCHEME}):
            return document
        bearer, name = schemes.pop(OPTIONAL_SCHEME, None), cookie()
        schemes.setdefault(SCHEME, bearer)
        if name is not None:
            schemes[COOKIE] = _cookie_scheme(name)
        ways = [SCHEME] if name is None else [SCHEME, COOKIE]
        for path in document["paths"].values():
            for operation in path.values():
                _complete(operation, ways)
        return document

    app.openapi = openapi  # type: ignore[method-assign]


def _cookie_scheme(name: str) -> dict[str, str]:
    return {
        "type": "apiKey",
        "in": "cookie",
        "name": name,
        "description": "Set by a sign-in on the pages. A browser sends it by itself.",
    }


def _complete(operation: dict[str, Any], ways: Sequence[str]) -> None:
    """Put right what FastAPI writes of one operation; if it was done before, change nothing.

    Args:
        operation: the operation.
        ways: the names of the security schemes of which each is enough.
    """
    asked: list[dict[str, list[str]]] = operation.get("security", [])
    others = [each for each in asked if not {SCHEME, OPTIONAL_SCHEME, COOKIE} & each.keys()]
    either: list[dict[str, list[str]]] = [{way: []} for way in ways]
    if {SCHEME: []} in asked:
        operation["security"] = [*either, *others]
    elif {OPTIONAL_SCHEME: []} in asked:
        operation["security"] = [*either, {}]
