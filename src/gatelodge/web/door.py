"""Doors: groups of routes of which each says who may call it and how it refuses."""

import re
from collections.abc import Callable, Coroutine, Iterable
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import parse_qsl

from fastapi import APIRouter
from fastapi.routing import APIRoute
from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import compile_path

from gatelodge.errors import (
    ConfigurationError,
    InvalidRequest,
    OutcomeUnknown,
    Refusal,
    StoreUnavailable,
)
from gatelodge.gate.refusals import NoToken
from gatelodge.gate.rules import Rule
from gatelodge.tokens.refusals import ExpiredToken, InvalidToken
from gatelodge.web import forms
from gatelodge.web.admission import Admission
from gatelodge.web.bodies import read_json
from gatelodge.web.cookies import TokenDelivery
from gatelodge.web.refusals import (
    BodyTooLarge,
    BodyTooSlow,
    ConflictingTokens,
    CrossSiteRequest,
    InternalError,
    UnsupportedMediaType,
)
from gatelodge.web.responses import status_of
from gatelodge.web.same_origin import SAFE_METHODS
from gatelodge.web.services import service_of

Endpoint = TypeVar("Endpoint", bound=Callable[..., Any])

_DECLARED = "__gatelodge__"

_ALWAYS = (InvalidRequest, StoreUnavailable, InternalError)
_CHANGING = (CrossSiteRequest, ConflictingTokens, OutcomeUnknown)
_WITH_BODY = (BodyTooLarge, BodyTooSlow, UnsupportedMediaType)


class Problem(BaseModel):
    """How every refusal looks."""

    model_config = ConfigDict(title="Problem")

    code: str = Field(description="For programs; never changes.")
    message: str = Field(description="For people.")
    field: str | None = Field(default=None, description="What was refused, where it is one field.")
    request_id: str = Field(description="Names this request in the server's log.")


def _nothing(_request: Request) -> None:
    """Make no answer of one's own: the refusal is answered as any other."""


def _always(_request: Request) -> bool:
    """Let any answer carry renewed cookies."""
    return True


@dataclass(frozen=True, slots=True)
class Declared:
    """What a route says of itself.

    Attributes:
        method: the HTTP method.
        path: as in the OpenAPI document.
        pattern: what the paths of its requests match.
        rule: who may call.
        repeatable: query parameters that may come more than once.
        when_signed_out: makes the answer to a caller who is not signed in, unless it returns None.
        renews: says whether the answer to a request may carry renewed cookies.
        answers: the status of a page's answer to whoever may call, and brings nothing along.
    """

    method: str
    path: str
    pattern: re.Pattern[str]
    rule: Rule
    repeatable: frozenset[str]
    when_signed_out: Callable[[Request], Response | None] = _nothing
    renews: Callable[[Request], bool] = _always
    answers: int = 200


class GuardedRoute(APIRoute):
    """A route that asks the gate before it reads anything else of the request."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return the handler with its guard in front."""
        answer = super().get_route_handler()
        declared = declaration_of(self.endpoint)
        body = self.body_field

        async def guarded(request: Request) -> Response:
            admission = service_of(request, Admission)
            try:
                request.state.principal = await admission.admit(
                    request, declared.rule, renew=declared.renews(request)
                )
            except (NoToken, InvalidToken, ExpiredToken):
                if (instead := declared.when_signed_out(request)) is not None:
                    return instead
                raise
            check_query(request, declared.repeatable)
            if body is not None:
                if service_of(request, TokenDelivery).tutorial:
                    request = await forms.as_json(request)
                await _check_body(request, required=body.field_info.is_required())
            return await answer(request)

        return guarded


class Door:
    """A group of routes under one prefix."""

    def __init__(self, prefix: str = "", *, tag: str) -> None:
        """Start without routes; the tag groups them in the OpenAPI document."""
        self.prefix = prefix
        self.router = APIRouter(prefix=prefix, tags=[tag], route_class=GuardedRoute)
        self.routes: list[Declared] = []

    def get(self, path: str, *, rule: Rule, **options: Any) -> Callable[[Endpoint], Endpoint]:
        """Add a GET route; see `route`."""
        return self.route("GET", path, rule=rule, **options)

    def post(self, path: str, *, rule: Rule, **options: Any) -> Callable[[Endpoint], Endpoint]:
        """Add a POST route; see `route`."""
        return self.route("POST", path, rule=rule, **options)

    def delete(self, path: str, *, rule: Rule, **options: Any) -> Callable[[Endpoint], Endpoint]:
        """Add a DELETE route; see `route`."""
        return self.route("DELETE", path, rule=rule, **options)

    def route(
        self,
        method: str,
        path: str,
        *,
        rule: Rule,
        refuses: Iterable[type[Refusal]] = (),
        repeatable: Iterable[str] = (),
        when_signed_out: Callable[[Request], Response | None] = _nothing,
        renews: Callable[[Request], bool] = _always,
        body: dict[str, Any] | None = None,
        **options: Any,
    ) -> Callable[[Endpoint], Endpoint]:
        """Add a route.

        Args:
            method: the HTTP method.
            path: below the door's prefix.
            rule: who may call.
            refuses: the refusals of this route beyond those that its rule and its body bring.
            repeatable: query parameters that may come more than once.
            when_signed_out: makes the answer to a caller without a good token, unless it returns
                None.
            renews: says whether the answer to a request may carry renewed cookies.
            body: the JSON schema of a body that the endpoint reads by itself, leniently.
            options: anything else that FastAPI's `add_api_route` takes.
        """

        def add(endpoint: Endpoint) -> Endpoint:
            pattern, _, _ = compile_path(self.prefix + path)
            declared = Declared(
                method,
                self.prefix + path,
                pattern,
                rule,
                frozenset(repeatable),
                when_signed_out,
                renews,
            )
            setattr(endpoint, _DECLARED, declared)
            self.routes.append(declared)
            refusals: tuple[type[Refusal], ...] = (*_ALWAYS, *_refusals_of(rule), *refuses)
            if method not in SAFE_METHODS:
                refusals += (*_CHANGING, *_WITH_BODY)
            self.router.add_api_route(
                path,
                endpoint,
                methods=[method],
                responses=_documented(refusals),
                openapi_extra=_security(rule) | _lenient_body(body),
                **options,
            )
            return endpoint

        return add


def declaration_of(endpoint: Callable[..., Any]) -> Declared:
    """Return what a route says of itself.

    Raises:
        ConfigurationError: it says nothing; the server does not start with such a route.
    """
    declared = getattr(endpoint, _DECLARED, None)
    if not isinstance(declared, Declared):
        raise ConfigurationError(f"the route of {endpoint!r} does not say who may call it")
    return declared


def check_query(request: Request, repeatable: frozenset[str]) -> None:
    """Refuse a parameter that two readers could read differently.

    Raises:
        InvalidRequest: it is given twice.
    """
    query = request.scope["query_string"]
    if not query:
        return
    seen: set[str] = set()
    for name, _ in parse_qsl(query.decode("latin-1"), keep_blank_values=True):
        if name in seen and name not in repeatable:
            raise InvalidRequest("A query parameter is given twice.", field=name[:64])
        seen.add(name)


async def _check_body(request: Request, *, required: bool) -> None:
    if not required and not await request.body():
        return
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise UnsupportedMediaType
    read_json(await request.body())


def _refusals_of(rule: Rule) -> tuple[type[Refusal], ...]:
    if rule.public:
        return ()
    lacking = (rule.lacking,) if rule.any_of else ()
    return (
        ConflictingTokens,
        rule.missing,
        InvalidToken,
        ExpiredToken,
        *lacking,
    )


def _documented(refusals: Iterable[type[Refusal]]) -> dict[int | str, dict[str, Any]]:
    """Return FastAPI's `responses` for these refusals, grouped by status."""
    grouped: dict[int | str, list[str]] = {}
    for refusal in dict.fromkeys(refusals):
        grouped.setdefault(status_of(refusal), []).append(f"`{refusal.code}`: {refusal.default}")
    return {
        status: {"model": Problem, "description": "  \n".join(lines)}
        for status, lines in grouped.items()
    }


def _lenient_body(schema: dict[str, Any] | None) -> dict[str, Any]:
    if schema is None:
        return {}
    return {"requestBody": {"content": {"application/json": {"schema": schema}}}}


def _security(rule: Rule) -> dict[str, Any]:
    if rule.public:
        return {"security": []}
    return {
        "security": [{"bearer": []}, {"xAccessToken": []}, {"cookie": []}],
        "x-gatelodge-rule": rule.name,
    }
