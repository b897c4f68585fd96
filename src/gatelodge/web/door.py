"""Doors: groups of JSON routes. Every route states who may call it and what it may refuse."""

import re
from collections.abc import Callable, Coroutine, Iterable
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import parse_qsl

from fastapi import APIRouter
from fastapi.routing import APIRoute
from starlette.convertors import StringConvertor, register_url_convertor
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import compile_path

from gatelodge.credentials.factors import FACTOR_PREFIX
from gatelodge.credentials.refusals import HELD_BACK
from gatelodge.errors import (
    ConfigurationError,
    InvalidRequest,
    OutcomeUnknown,
    Refusal,
    StoreUnavailable,
)
from gatelodge.gate.refusals import Impersonating, NoToken
from gatelodge.gate.rules import Rule
from gatelodge.ids import USER_PREFIX
from gatelodge.tokens.refusals import ExpiredToken, InvalidToken
from gatelodge.verdicts import MAX_NAME
from gatelodge.web import forms
from gatelodge.web.admission import Admission
from gatelodge.web.bodies import read_json
from gatelodge.web.cookies import TokenDelivery
from gatelodge.web.described import Description, described, refused
from gatelodge.web.refusals import (
    BodyTooLarge,
    BodyTooSlow,
    ConflictingTokens,
    CrossSiteRequest,
    InternalError,
    UnsupportedMediaType,
)
from gatelodge.web.same_origin import SAFE_METHODS
from gatelodge.web.services import service_of

Endpoint = TypeVar("Endpoint", bound=Callable[..., Any])

_DECLARED = "__gatelodge__"

_REFUSALS_OF_ALL = (InvalidRequest, StoreUnavailable, InternalError)
_REFUSALS_OF_CHANGES = (CrossSiteRequest, ConflictingTokens, OutcomeUnknown)
_REFUSALS_OF_BODIES = (BodyTooLarge, BodyTooSlow, UnsupportedMediaType)


def _no_special_answer(_request: Request, _refusal: Refusal) -> None:
    """Return None: the refusal gets the usual answer."""


def _may_always_renew(_request: Request) -> bool:
    """Return True: all answers may set renewed cookies."""
    return True


@dataclass(frozen=True, slots=True)
class Declared:
    """The declaration of a route.

    Attributes:
        method: the HTTP method.
        path: the path, as in the OpenAPI document.
        pattern: the regular expression that the paths of its requests match.
        rule: who may call the route.
        repeatable: the query parameters that may be given more than once.
        when_not_admitted: returns the answer to a caller who is not signed in, or held back, or
            None for the usual refusal.
        renews: says whether the answer to a request may set renewed cookies.
        answers: the status of a page for a caller who may see it and sends no fields; for tests.
    """

    method: str
    path: str
    pattern: re.Pattern[str]
    rule: Rule
    repeatable: frozenset[str]
    when_not_admitted: Callable[[Request, Refusal], Response | None] = _no_special_answer
    renews: Callable[[Request], bool] = _may_always_renew
    answers: int = 200


class GuardedRoute(APIRoute):
    """A route that asks for the caller before it reads anything else of the request."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return FastAPI's handler, with the guard before it."""
        answer = super().get_route_handler()
        declared = declaration_of(self.endpoint)
        body = self.body_field

        async def guarded(request: Request) -> Response:
            admission = service_of(request, Admission)
            try:
                request.state.principal = await admission.admit(
                    request, declared.rule, renew=declared.renews(request)
                )
            except (NoToken, InvalidToken, ExpiredToken, *HELD_BACK) as refusal:
                if (instead := declared.when_not_admitted(request, refusal)) is not None:
                    return instead
                raise
            check_query(request, declared.repeatable)
            if body is not None:
                if service_of(request, TokenDelivery).tutorial:
                    request = await forms.as_json(request)
                await _check_body(request, required=body.field_info.is_required())
            return await answer(request)

        return guarded


class _FactorId(StringConvertor):
    """A part of a path that looks like the id of a factor; any other text is another address."""

    regex = f"{FACTOR_PREFIX}_[^/]+"


class _UserId(StringConvertor):
    """The same for the id of a user."""

    regex = f"{USER_PREFIX}_[^/]+"


register_url_convertor(FACTOR_PREFIX, _FactorId())
register_url_convertor(USER_PREFIX, _UserId())


class Door:
    """A group of JSON routes with one path prefix."""

    def __init__(self, prefix: str = "", *, tag: str) -> None:
        """Create a door without routes; the OpenAPI document groups them under the tag."""
        self.prefix = prefix
        self.router = APIRouter(prefix=prefix, tags=[tag], route_class=GuardedRoute)
        self.routes: list[Declared] = []

    def get(self, path: str, *, rule: Rule, **options: Any) -> Callable[[Endpoint], Endpoint]:
        """Add a GET route; see `route`."""
        return self.route("GET", path, rule=rule, **options)

    def post(self, path: str, *, rule: Rule, **options: Any) -> Callable[[Endpoint], Endpoint]:
        """Add a POST route; see `route`."""
        return self.route("POST", path, rule=rule, **options)

    def patch(self, path: str, *, rule: Rule, **options: Any) -> Callable[[Endpoint], Endpoint]:
        """Add a PATCH route; see `route`."""
        return self.route("PATCH", path, rule=rule, **options)

    def delete(self, path: str, *, rule: Rule, **options: Any) -> Callable[[Endpoint], Endpoint]:
        """Add a DELETE route; see `route`."""
        return self.route("DELETE", path, rule=rule, **options)

    def route(
        self,
        method: str,
        path: str,
        *,
        rule: Rule,
        told: Description,
        refuses: Iterable[type[Refusal]] = (),
        repeatable: Iterable[str] = (),
        when_not_admitted: Callable[[Request, Refusal], Response | None] = _no_special_answer,
        renews: Callable[[Request], bool] = _may_always_renew,
        **options: Any,
    ) -> Callable[[Endpoint], Endpoint]:
        """Add a route.

        Args:
            method: the HTTP method.
            path: the path after the door's prefix. A parameter may name its kind of id:
                `{factor_id:fac}`.
            rule: who may call the route.
            told: what the OpenAPI document says of the route, besides the endpoint's docstring.
            refuses: further refusals, for the OpenAPI document; those of the rule and of the
                method are added.
            repeatable: the query parameters that may be given more than once.
            when_not_admitted: returns the answer to a caller without a valid token, or of a session
                that is held back, or None for the usual refusal.
            renews: says whether the answer to a request may set renewed cookies.
            options: further arguments of FastAPI's `add_api_route`.
        """

        def add(endpoint: Endpoint) -> Endpoint:
            pattern, shown, _ = compile_path(self.prefix + path)
            declared = Declared(
                method,
                shown,
                pattern,
                rule,
                frozenset(repeatable),
                when_not_admitted,
                renews,
            )
            setattr(endpoint, _DECLARED, declared)
            self.routes.append(declared)
            changes = method not in SAFE_METHODS
            of_rule = _refusals_of(rule, changes=changes)
            refusals: tuple[type[Refusal], ...] = (*_REFUSALS_OF_ALL, *of_rule, *refuses)
            if changes:
                refusals += (*_REFUSALS_OF_CHANGES, *_REFUSALS_OF_BODIES)
            shape = options.get("response_class", JSONResponse)
            self.router.add_api_route(
                path,
                endpoint,
                methods=[method],
                summary=told.summary,
                responses=refused(refusals),
                openapi_extra=described(told, rule, shape),
                **options,
            )
            return endpoint

        return add


def declaration_of(endpoint: Callable[..., Any]) -> Declared:
    """Return the declaration of an endpoint's route.

    Raises:
        ConfigurationError: the endpoint has none, so nobody knows who may call it. The server does
            not start then.
    """
    declared = getattr(endpoint, _DECLARED, None)
    if not isinstance(declared, Declared):
        raise ConfigurationError(f"the route of {endpoint!r} does not say who may call it")
    return declared


def check_query(request: Request, repeatable: frozenset[str]) -> None:
    """Refuse a query parameter that is given twice: two programs could read it differently.

    Raises:
        InvalidRequest: a parameter that is not in `repeatable` is given twice.
    """
    query = request.scope["query_string"]
    if not query:
        return
    seen: set[str] = set()
    for name, _ in parse_qsl(query.decode("latin-1"), keep_blank_values=True):
        if name in seen and name not in repeatable:
            field = name[:MAX_NAME]
            raise InvalidRequest(f'The query parameter "{field}" is given twice.', field=field)
        seen.add(name)


async def _check_body(request: Request, *, required: bool) -> None:
    if not required and not await request.body():
        return
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise UnsupportedMediaType
    read_json(await request.body())


def _refusals_of(rule: Rule, *, changes: bool) -> tuple[type[Refusal], ...]:
    if rule.public:
        return ()
    lacking: tuple[type[Refusal], ...] = (rule.lacking,) if rule.can_lack else ()
    if not rule.admits_impersonator(changes=changes):
        lacking += (Impersonating,)
    return (
        ConflictingTokens,
        rule.missing,
        InvalidToken,
        ExpiredToken,
        *(() if rule.while_held_back else HELD_BACK),
        *lacking,
    )
