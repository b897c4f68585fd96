"""Doors whose routes answer with pages; each says who may call it, as JSON routes do."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias, TypeVar
from urllib.parse import quote

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import compile_path

from gatelodge.audit import Actor, Origin
from gatelodge.errors import InvalidRequest, Refusal
from gatelodge.gate.principal import Principal
from gatelodge.gate.refusals import Forbidden, NoToken
from gatelodge.gate.rules import Rule
from gatelodge.i18n import Language, language_for
from gatelodge.pages.forms import Field, Form
from gatelodge.pages.html import Pages
from gatelodge.pages.wording import NOTICES, sentence_of, title_of
from gatelodge.tokens.pair import TokenPair
from gatelodge.tokens.refusals import ExpiredToken, InvalidToken
from gatelodge.web import forms
from gatelodge.web.accept import prefers_page
from gatelodge.web.admission import Admission
from gatelodge.web.caller import origin_of
from gatelodge.web.cookies import TokenDelivery
from gatelodge.web.door import Declared, check_query
from gatelodge.web.refusals import CrossSiteRequest
from gatelodge.web.responses import refusal_headers, refusal_response, status_of
from gatelodge.web.return_address import checked, origin_in
from gatelodge.web.same_origin import SAFE_METHODS
from gatelodge.web.services import service_of
from gatelodge.web.shell import REQUEST_ID, Scope

T = TypeVar("T")

_FOR_PROGRAMS = ("/api/", "/.well-known/")
_SIGN_IN_FIRST = (NoToken, InvalidToken, ExpiredToken)
_NOT_OF_THE_FORM = (*_SIGN_IN_FIRST, Forbidden, CrossSiteRequest, InvalidRequest)


@dataclass(slots=True)
class Visit:
    """One request for a page.

    Attributes:
        request: as it came.
        pages: what renders the answer.
        language: the reader's.
        principal: who is signed in, or None.
        form: what was typed; empty unless a form was posted.
        status: of the page that answers.
    """

    request: Request
    pages: Pages
    language: Language
    principal: Principal | None = None
    form: Form = field(default_factory=Form)
    status: int = 200

    @classmethod
    def of(cls, request: Request, pages: Pages) -> "Visit":
        """Return the visit that a request makes, of nobody known yet."""
        accepted = request.headers.get("accept-language", "")
        return cls(request, pages, language_for(accepted, pages.site.language))

    def ask(self, kind: type[T]) -> T:
        """Return the service of this type."""
        return service_of(self.request, kind)

    @property
    def caller(self) -> Principal:
        """Who is signed in, where the route's rule asks for somebody."""
        assert self.principal is not None, "the rule of this route lets anybody in"  # noqa: S101
        return self.principal

    @property
    def origin(self) -> Origin:
        """Where the request came from."""
        return origin_of(self.request)

    @property
    def actor(self) -> Actor:
        """Who makes the request, where the route's rule asks for somebody, and from where."""
        return Actor(self.caller.subject, self.origin)

    @property
    def former_token(self) -> str | None:
        """The refresh token whose cookie a sign-in here is about to replace."""
        return self.ask(TokenDelivery).former_token(self.request.scope["headers"], "cookie")

    def keep(self, pair: TokenPair) -> None:
        """Let the answer, whatever it will be, carry the tokens as cookies."""
        self.ask(TokenDelivery).set_cookies(self.request.scope, pair)

    @property
    def next(self) -> str:
        """Where the reader wanted to go; nothing unless it is here or on a configured origin."""
        asked = self.form.values.get("next") or self.request.query_params.get("next", "")
        return checked(asked, self.pages.site.origins)

    def go(self, address: str, *, done: str = "") -> Response:
        """Return the answer that makes the browser ask for another page (303, never 307)."""
        return RedirectResponse(f"{address}?done={done}" if done else address, 303)

    def page(self, template: str, **context: Any) -> Response:
        """Return a page as the answer."""
        return self.pages.page(
            template,
            self.language,
            self.status,
            posts_lead_to=origin_in(self.next),
            visit=self,
            form=self.form,
            principal=self.principal,
            path=self.request.scope["path"],
            notice=NOTICES.get(self.request.query_params.get("done", ""), ""),
            **context,
        )


View: TypeAlias = Callable[[Visit], Awaitable[Response]]


class PageDoor:
    """A group of routes that answer with pages."""

    def __init__(self) -> None:
        """Start without routes."""
        self.router = APIRouter()
        self.routes: list[Declared] = []

    def get(
        self, path: str, *, rule: Rule, same_for_all: bool = False, answers: int = 200
    ) -> Callable[[View], View]:
        """Add a page.

        Where anybody may see it, the visit still knows who is signed in.

        Args:
            path: where it is.
            rule: who may see it.
            same_for_all: it does not even depend on who is signed in.
            answers: the status of its answer to a request that brings nothing along.
        """

        def add(view: View) -> View:
            declared = self._declare("GET", path, rule, answers)

            async def answer(request: Request) -> Response:
                visit = await _admitted(request, declared)
                if rule.public and not same_for_all:
                    visit.principal = await visit.ask(Admission).recognise(request)
                return await view(visit)

            self.router.add_route(path, answer, ["GET"], include_in_schema=False)
            return view

        return add

    def post(
        self,
        path: str,
        *,
        rule: Rule,
        fields: Sequence[Field] = (),
        again: View | None = None,
        answers: int | None = None,
    ) -> Callable[[View], View]:
        """Add what a form does; it answers with a redirect.

        Args:
            path: where the form is posted.
            rule: who may.
            fields: what the form offers; anything else is refused.
            again: the page with the form, shown again where something is missing or refused.
            answers: the status of its answer to an empty form, where it is not 400 for what is
                missing, and the redirect when nothing is.
        """
        incomplete = any(field.missing for field in fields)
        status = answers or (400 if incomplete else 303)

        def add(view: View) -> View:
            declared = self._declare("POST", path, rule, status)

            async def answer(request: Request) -> Response:
                visit = await _admitted(request, declared)
                visit.form = Form.read(await forms.read(request), fields)
                return await _done_or_again(visit, view, again)

            self.router.add_route(path, answer, ["POST"], include_in_schema=False)
            return view

        return add

    def _declare(self, method: str, path: str, rule: Rule, answers: int) -> Declared:
        pattern = compile_path(path)[0]
        declared = Declared(method, path, pattern, rule, frozenset(), answers=answers)
        self.routes.append(declared)
        return declared


def is_for_people(request: Request) -> bool:
    """Say whether a refusal of this request is read by somebody in a browser."""
    return not request.scope["path"].startswith(_FOR_PROGRAMS) and prefers_page(
        request.scope["headers"]
    )


async def refusal_page(request: Request, refusal: Refusal) -> Response:
    """Return the page of a refusal; to whoever must sign in first, the way there and back."""
    if isinstance(refusal, _SIGN_IN_FIRST):
        return RedirectResponse(f"/sign-in?next={quote(_way_back(request), safe='/')}", 303)
    visit = Visit.of(request, service_of(request, Pages))
    try:
        visit.principal = await service_of(request, Admission).recognise(request)
    except Refusal:  # the page is for nobody known, then
        visit.principal = None
    return show_refusal(visit, refusal)


def answer_before_routing(pages: Pages, scope: Scope, refusal: Refusal) -> Response:
    """Return the answer to a request that was refused before anybody knew whose it is."""
    request = Request(scope)
    if is_for_people(request):
        try:
            return show_refusal(Visit.of(request, pages), refusal)
        except Exception:  # noqa: BLE001 - the page may be what is wrong; the log has why
            return refusal_response(refusal, scope[REQUEST_ID])
    return refusal_response(refusal, scope[REQUEST_ID])


def show_refusal(visit: Visit, refusal: Refusal) -> Response:
    """Return the page of a refusal."""
    visit.status = status_of(type(refusal))
    response = visit.page(
        "refusal.html",
        title=title_of(refusal),
        sentence=sentence_of(refusal, visit.language),
        request_id=visit.request.scope[REQUEST_ID],
    )
    response.headers.update(refusal_headers(refusal))
    return response


async def _admitted(request: Request, declared: Declared) -> Visit:
    visit = Visit.of(request, service_of(request, Pages))
    visit.principal = await visit.ask(Admission).admit(request, declared.rule)
    check_query(request, declared.repeatable)
    return visit


async def _done_or_again(visit: Visit, view: View, again: View | None) -> Response:
    if again is None:
        if visit.form.problems:
            raise InvalidRequest
        return await view(visit)
    if visit.form.problems:
        return await _shown_again(visit, again, 400, {})
    try:
        return await view(visit)
    except Refusal as refusal:
        if isinstance(refusal, _NOT_OF_THE_FORM) and refusal.field not in visit.form.values:
            raise
        visit.form.refuse(refusal, _sentence(visit, refusal), refusal.form_field)
        return await _shown_again(visit, again, status_of(type(refusal)), refusal_headers(refusal))


def _sentence(visit: Visit, refusal: Refusal) -> str:
    """Return what to say in a form; what is not valid there is a field, and says why."""
    if isinstance(refusal, InvalidRequest):
        return visit.language.sentence(refusal.message)
    return sentence_of(refusal, visit.language)


async def _shown_again(visit: Visit, again: View, status: int, headers: dict[str, str]) -> Response:
    visit.status = status
    response = await again(visit)
    response.headers.update(headers)
    return response


def _way_back(request: Request) -> str:
    """Return the page to come back to: this one, or the one that has the form which was posted."""
    path, query = request.url.path, request.url.query
    if request.method in SAFE_METHODS:
        return f"{path}?{query}" if query else path
    pages = {route.path for route in request.app.state.routes if route.method == "GET"}
    return path if path in pages else "/account"
