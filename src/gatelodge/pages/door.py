"""Doors for pages: groups of routes that answer with HTML. Every route states who may call it."""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeAlias, TypeVar
from urllib.parse import quote

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import compile_path

from gatelodge.audit import Actor, Origin
from gatelodge.clock import from_milliseconds
from gatelodge.credentials.refusals import ReauthenticationRequired
from gatelodge.errors import InvalidRequest, Refusal
from gatelodge.gate.principal import Principal
from gatelodge.gate.refusals import Forbidden
from gatelodge.gate.rules import Rule
from gatelodge.i18n import Language, language_for
from gatelodge.ids import UserId
from gatelodge.pages.again import WaitingForms
from gatelodge.pages.carried import Carried, Carrier
from gatelodge.pages.forms import Field, Form
from gatelodge.pages.html import Pages
from gatelodge.pages.languages import LanguageLink, chosen_language, language_links
from gatelodge.pages.wording import NOTICES, sentence_of, title_of
from gatelodge.tokens.pair import TokenPair
from gatelodge.web import forms
from gatelodge.web.accept import prefers_page
from gatelodge.web.admission import Admission
from gatelodge.web.caller import origin_of
from gatelodge.web.cookies import TokenDelivery
from gatelodge.web.door import Declared, check_query
from gatelodge.web.public_address import SIGN_IN_AGAIN, page_after
from gatelodge.web.refusals import NOBODY_SIGNED_IN, CrossSiteRequest
from gatelodge.web.responses import refusal_headers, refusal_response, status_of
from gatelodge.web.return_address import IN_PATHS, checked, origin_in
from gatelodge.web.same_origin import SAFE_METHODS
from gatelodge.web.services import service_of
from gatelodge.web.shell import INSTALLED, REQUEST_ID, Scope

T = TypeVar("T")

_FOR_PROGRAMS = ("/api/", "/.well-known/")
_CORRECTABLE = (400, 401, 409, 429)
"""The statuses of refusals after which the reader may correct the form and post it again."""

_SHOWN_AS_PAGE = (*NOBODY_SIGNED_IN, Forbidden, CrossSiteRequest, InvalidRequest)


@dataclass(slots=True)
class Visit:
    """One request for a page.

    Attributes:
        request: the HTTP request.
        pages: renders the answer.
        language: the reader's language.
        principal: who is signed in, or None.
        form: the posted form, or the refused one that is shown again; else empty.
        status: the HTTP status of the answer.
        notice: the key of the notice that the page shows; empty: none.
        headers: headers that the page's answer has besides.
        chosen: the language that the reader chose at the foot of a page; empty: none.
    """

    request: Request
    pages: Pages
    language: Language
    principal: Principal | None = None
    form: Form = field(default_factory=Form)
    status: int = 200
    notice: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    chosen: str = ""

    @classmethod
    def of(cls, request: Request, pages: Pages) -> "Visit":
        """Return a visit for a request; its principal is not known yet."""
        accepted = request.headers.get("accept-language", "")
        chosen = chosen_language(request, pages.site)
        language = language_for(accepted, pages.site.language or chosen)
        return cls(request, pages, language, chosen=chosen)

    @property
    def languages(self) -> list[LanguageLink]:
        """The languages to choose from; empty if the operator chose one for everybody."""
        return (
            []
            if self.pages.site.language
            else language_links(self.request, self.language, self.pages.site.path)
        )

    def open_what_was_carried(self) -> None:
        """Take over the notice or the refused form that the last answer left for this page."""
        carried = self.ask(Carrier).take(self.request)
        self.notice, self.status, self.headers = carried.notice, carried.status, carried.headers
        self.form = carried.form or self.form

    def ask(self, kind: type[T]) -> T:
        """Return the application's service of this type."""
        return service_of(self.request, kind)

    @property
    def caller(self) -> Principal:
        """Who is signed in; only for routes whose rule is not public."""
        assert self.principal is not None, "the rule of this route lets anybody in"  # noqa: S101
        return self.principal

    @property
    def administers(self) -> bool:
        """Whether the reader may open a page of the administration, which has a menu entry then."""
        return self.principal is not None and self.may_open("/admin")

    def may_open(self, path: str) -> bool:
        """Return whether there is a page with this path, and its rule admits who is signed in."""
        page, caller = self._page_at(path), self.caller
        if page is None or not page.rule.permits(caller.roles, caller.permissions):
            return False
        return caller.impersonation is None or page.rule.admits_impersonator(changes=False)

    @property
    def impersonated_until(self) -> datetime:
        """Until when somebody sees this page as another user does, if somebody does."""
        impersonation = self.caller.impersonation
        return from_milliseconds(0 if impersonation is None else impersonation.until)

    @property
    def is_parked(self) -> bool:
        """Whether the browser keeps the tokens of somebody who saw pages as another user did."""
        return self.pages.site.cookie("parked") in self.request.cookies

    def has_page(self, path: str) -> bool:
        """Return whether there is a page with this path; an application may leave some out."""
        return self._page_at(path) is not None

    def _page_at(self, path: str) -> Declared | None:
        installed: Callable[[str], bool] | None = self.request.scope.get(INSTALLED)
        if installed is not None and not installed(path):
            return None
        pages = (each for each in self.request.app.state.routes if each.method == "GET")
        return next((each for each in pages if each.pattern.fullmatch(path)), None)

    @property
    def origin(self) -> Origin:
        """Where the request came from."""
        return origin_of(self.request)

    @property
    def actor(self) -> Actor:
        """Who makes the request, for the audit log; only for routes whose rule is not public."""
        return self.caller.actor(self.origin)

    @property
    def former_token(self) -> str | None:
        """The refresh token in the cookie that a sign-in will replace, or None."""
        return self.ask(TokenDelivery).former_token(self.request.scope["headers"], "cookie")

    def keep(self, pair: TokenPair) -> None:
        """Make the answer set the token cookies, even if it is a refusal."""
        self.ask(TokenDelivery).set_cookies(self.request.scope, pair)

    @property
    def next(self) -> str:
        """The address that `next` names, if a redirect may lead to it, else empty."""
        asked = self.form.values.get("next") or self.request.query_params.get("next", "")
        return checked(asked, self.pages.site.origins)

    def go(self, page: str, *, done: str = "") -> Response:
        """Return a redirect to another page of ours.

        The status is 303, so that the browser does not post again.

        Args:
            page: the path of the page as its route names it, and a query if there is one.
            done: the key of a notice in `NOTICES` that the page then shows once; empty: none.
        """
        if done:
            path = page.partition("?")[0]
            self.ask(Carrier).carry(self.request, path, Carried(notice=done))
        return RedirectResponse(f"{self.pages.site.path}{page}", 303)

    def go_on(self, *, otherwise: str = "", done: str = "") -> Response:
        """Return a redirect to where the reader was going (`next`).

        Args:
            otherwise: the path of our page where the reader was going nowhere else; empty: the
                start page.
            done: the key of a notice that this page then shows once. It is not shown elsewhere.
        """
        if self.next:
            return RedirectResponse(self.next, 303)
        return self.go(otherwise, done=done) if otherwise else self.go_home(done=done)

    def go_home(self, *, done: str = "") -> Response:
        """Return a redirect to the start page; it shows the notice if it is ours."""
        site = self.pages.site
        return RedirectResponse(site.home, 303) if site.embedded else self.go("/", done=done)

    def page(self, template: str, **context: Any) -> Response:
        """Return a page as the answer; `context` are the values for the template."""
        response = self.pages.page(
            template,
            self.language,
            self.status,
            posts_lead_to=origin_in(self.next),
            visit=self,
            form=self.form,
            principal=self.principal,
            path=self.request.scope["path"],
            notice=NOTICES.get(self.notice, ""),
            **context,
        )
        response.headers.update(self.headers)
        return response


View: TypeAlias = Callable[[Visit], Awaitable[Response]]
Faults: TypeAlias = Callable[[Visit], Iterable[Refusal]]


def _no_faults(_visit: Visit) -> Iterable[Refusal]:
    return ()


class PageDoor:
    """A group of routes that answer with HTML."""

    def __init__(self) -> None:
        """Create a door without routes."""
        self.router = APIRouter()
        self.routes: list[Declared] = []
        self._forms: set[str] = set()

    def get(
        self,
        path: str,
        *,
        rule: Rule,
        same_for_all: bool = False,
        repeatable: Iterable[str] = (),
        answers: int = 200,
    ) -> Callable[[View], View]:
        """Add a page. On a public page, the visit still knows who is signed in.

        Args:
            path: the path of the page.
            rule: who may see the page.
            same_for_all: whether the page is the same for every caller; then the caller is not
                looked up.
            repeatable: the query parameters that may be given more than once, such as ticked boxes.
            answers: the status of the answer to a request without parameters; for tests.
        """

        def add(view: View) -> View:
            declared = self._declare("GET", path, rule, answers, repeatable)

            async def answer(request: Request) -> Response:
                visit = await _admit(request, declared)
                if same_for_all:
                    return await view(visit)
                if rule.public:
                    visit.principal = await visit.ask(Admission).recognise(request)
                visit.open_what_was_carried()
                response = await view(visit)
                if path in self._forms and response.status_code == 200:
                    visit.ask(Carrier).try_cookies(request)
                return response

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
        faults: Faults = _no_faults,
        answers: int | None = None,
    ) -> Callable[[View], View]:
        """Add a route that a form is posted to; on success it answers with a redirect.

        Only what is shown once, such as recovery codes, is the answer itself.

        Args:
            path: the path of the route.
            rule: who may post the form.
            fields: the fields of the form; other fields are refused.
            again: shows the page with the form again if a field is missing or refused. None: the
                refusal gets its own page.
            faults: finds what else is wrong with a form that lacks a field.
            answers: the status of the answer to an empty form; for tests. None: 400 if the form has
                a required field, else 303.
        """
        incomplete = any(field.missing for field in fields)
        many = [field.name for field in fields if field.many]
        status = answers or (400 if incomplete else 303)

        if again is not None:
            self._forms.add(path)

        def add(view: View) -> View:
            declared = self._declare("POST", path, rule, status)

            async def answer(request: Request) -> Response:
                visit = await _admit(request, declared)
                visit.form = Form.read(await forms.read(request, many=many), fields)
                return await _run_or_show_form(visit, view, again, faults)

            self.router.add_route(path, answer, ["POST"], include_in_schema=False)
            return view

        return add

    def _declare(
        self, method: str, path: str, rule: Rule, answers: int, repeatable: Iterable[str] = ()
    ) -> Declared:
        pattern, shown, _ = compile_path(path)
        declared = Declared(method, shown, pattern, rule, frozenset(repeatable), answers=answers)
        self.routes.append(declared)
        return declared


def wants_page(request: Request) -> bool:
    """Say whether a refusal of this request is answered with a page instead of JSON."""
    return not request.scope["path"].startswith(_FOR_PROGRAMS) and prefers_page(
        request.scope["headers"]
    )


async def refusal_page(request: Request, refusal: Refusal) -> Response:
    """Return the page of a refusal, or a redirect to the page where the reader can help it."""
    visit = Visit.of(request, service_of(request, Pages))
    if page := page_after(refusal):
        # A form was open, so its page was seen by somebody who was signed in.
        ended = isinstance(refusal, NOBODY_SIGNED_IN) and request.method not in SAFE_METHODS
        return _lead_to(page, visit, done="was-signed-out" if ended else "")
    try:
        visit.principal = await service_of(request, Admission).recognise(request)
    except Refusal:  # show the page without a caller
        visit.principal = None
    return show_refusal(visit, refusal)


def answer_before_routing(pages: Pages, scope: Scope, refusal: Refusal) -> Response:
    """Return the answer to a request that was refused before its caller was known."""
    request = Request(scope)
    if wants_page(request):
        try:
            return show_refusal(Visit.of(request, pages), refusal)
        except Exception:  # noqa: BLE001 - the template may be broken; answer JSON
            return refusal_response(refusal, scope[REQUEST_ID])
    return refusal_response(refusal, scope[REQUEST_ID])


def show_refusal(visit: Visit, refusal: Refusal) -> Response:
    """Return the page of a refusal, with its status and headers."""
    visit.status = status_of(type(refusal))
    response = visit.page(
        "refusal.html",
        title=title_of(refusal),
        sentence=sentence_of(refusal, visit.language),
        request_id=visit.request.scope[REQUEST_ID],
    )
    response.headers.update(refusal_headers(refusal))
    return response


async def _admit(request: Request, declared: Declared) -> Visit:
    visit = Visit.of(request, service_of(request, Pages))
    visit.principal = await visit.ask(Admission).admit(request, declared.rule)
    check_query(request, declared.repeatable)
    return visit


async def _run_or_show_form(
    visit: Visit, view: View, again: View | None, faults: Faults
) -> Response:
    if again is None:
        if visit.form.problems:
            raise InvalidRequest
        return await view(visit)
    if visit.form.problems:
        _tell(visit, faults(visit))
        return await _show_form(visit, again, 400, {})
    try:
        return await view(visit)
    except ReauthenticationRequired:
        await visit.ask(WaitingForms).keep(visit.request, visit.caller.subject, visit.form)
        return _lead_to(SIGN_IN_AGAIN, visit)
    except Refusal as refusal:
        if isinstance(refusal, _SHOWN_AS_PAGE) and refusal.field not in visit.form.values:
            raise
        _tell(visit, (refusal, *refusal.others))
        return await _show_form(visit, again, status_of(type(refusal)), refusal_headers(refusal))


def _lead_to(page: str, visit: Visit, *, done: str = "") -> Response:
    """Return a redirect to a page of ours from which the reader comes back here."""
    return visit.go(f"{page}?next={quote(_return_path(visit), safe='/')}", done=done)


async def restore_form(visit: Visit, user_id: UserId) -> None:
    """Let the page that a user goes back to show the form that waited for the proof."""
    path = visit.next.partition("?")[0].removeprefix(visit.pages.site.path)
    form = await visit.ask(WaitingForms).take(visit.request, user_id, path)
    if form is not None:
        visit.ask(Carrier).carry(visit.request, path, Carried(notice="send-again", form=form))


def _tell(visit: Visit, refusals: Iterable[Refusal]) -> None:
    for each in refusals:
        visit.form.refuse(each, _sentence(visit, each), each.form_field)


def _sentence(visit: Visit, refusal: Refusal) -> str:
    """Return the translated sentence that a form shows for a refusal."""
    if isinstance(refusal, InvalidRequest):
        return visit.language.sentence(refusal.message)
    return sentence_of(refusal, visit.language)


async def _show_form(visit: Visit, again: View, status: int, headers: dict[str, str]) -> Response:
    """Show a refused form again: to a browser by a redirect, which leaves no POST behind Back.

    A program gets the page at once, and so does a browser that keeps no cookies.
    """
    carrier = visit.ask(Carrier)
    if (
        status in _CORRECTABLE
        and wants_page(visit.request)
        and carrier.keeps_cookies(visit.request)
    ):
        path = visit.request.scope["path"]
        carried = Carried(form=visit.form, status=status, headers=headers)
        if carrier.carry(visit.request, path, carried):
            return visit.go(f"{path}?next={quote(visit.next, safe='/')}" if visit.next else path)
    visit.status, visit.headers = status, headers
    return await again(visit)


def _return_path(visit: Visit) -> str:
    """Return the path to return to after sign-in: this page, or the page of the posted form."""
    request, base = visit.request, visit.pages.site.path
    own, query = request.scope["path"], request.url.query
    path = f"{base}{quote(own, safe=IN_PATHS)}"
    if request.method in SAFE_METHODS:
        return f"{path}?{query}" if query else path
    return path if visit.has_page(own) else f"{base}/account"
