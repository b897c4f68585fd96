"""The pages of the user's own factors: authenticator apps, recovery codes, remembered browsers."""

from collections.abc import Iterable, Mapping
from datetime import timedelta
from urllib.parse import quote

from markupsafe import Markup
from starlette.responses import Response

from gatelodge.accounts.store import User
from gatelodge.credentials.factors import (
    Factor,
    FactorKind,
    find_factor,
    is_remembered,
    of_kind,
    second_factors,
)
from gatelodge.credentials.recovery_codes import HOW_MANY
from gatelodge.credentials.typed_codes import in_groups
from gatelodge.factors.qr import qr_svg
from gatelodge.factors.refusals import (
    EnrolmentOver,
    NoSecondFactor,
    NoSuchFactor,
    TooManyFactors,
)
from gatelodge.factors.service import MAX_OF_KIND, FactorService, NewApp
from gatelodge.gate.rules import IN_PERSON, SIGNED_IN, SIGNED_IN_SO_FAR
from gatelodge.marks import N_
from gatelodge.pages.door import PageDoor, Visit
from gatelodge.pages.fields import NEXT
from gatelodge.pages.forms import Field, Form
from gatelodge.pages.kept import Kept
from gatelodge.sessions.doors import keep_tokens, records_of, require_fresh
from gatelodge.sessions.lookup import Records
from gatelodge.sign_in.doors import again_from
from gatelodge.web.cookies import TokenDelivery

door = PageDoor()

APPS = "/account/authenticator"
NEW_APP = f"{APPS}/new"
CODES = "/account/recovery-codes"
RENAME, REMOVE = "/account/factors/rename", "/account/factors/remove"
FORGET = "/account/browsers/forget"

ENROLMENT = Kept("enrolment", NEW_APP, timedelta(hours=1))
"""The text of the secret that waits. It outlives the secret, so that the page can say so."""

_CODE = Field("code", missing=N_("Enter the code."), secret=True, trimmed=True)
_NAME = Field("name", trimmed=True)
_FACTOR = Field("factor", missing=N_("Choose one from the list."))

_LISTS: Mapping[FactorKind, str] = {"totp": APPS, "passkey": "/account/passkeys"}
"""The page that lists the factors of a kind."""


@door.get(APPS, rule=SIGNED_IN_SO_FAR)
async def show_apps(visit: Visit) -> Response:
    """List the user's authenticator apps."""
    user, service = (await records_of(visit)).user, visit.ask(FactorService)
    apps = of_kind(user.factors, "totp")
    return visit.page(
        "authenticator.html",
        apps=apps,
        is_full=len(apps) >= MAX_OF_KIND,
        offered=service.policy.mode != "off",
        now=service.clock.now(),
    )


@door.get(NEW_APP, rule=SIGNED_IN_SO_FAR)
async def show_new_app(visit: Visit) -> Response:
    """Show the secret of a new app, and ask for its first code.

    A reload shows the same secret while it waits. Until its first code was typed, it changes
    nothing at a sign-in.
    """
    caller = await require_fresh(visit)
    if len(of_kind(caller.user.factors, "totp")) >= MAX_OF_KIND:
        raise TooManyFactors
    app = await _waiting_app(visit, caller)
    policy, user = visit.ask(FactorService).policy, caller.user
    title = visit.language.plain(N_("QR code for your authenticator app"))
    return visit.page(
        "authenticator-new.html",
        qr=Markup(qr_svg(app.address, title)),  # noqa: S704 - our own SVG, with an escaped title
        key=in_groups(app.secret).replace("-", " "),
        address=app.address,
        is_due=policy.requires(user.roles) and not second_factors(user.factors),
    )


@door.post(NEW_APP, rule=SIGNED_IN_SO_FAR, fields=(_CODE, _NAME, NEXT), again=show_new_app)
async def add_app(visit: Visit) -> Response:
    """Add the app whose first code was typed; with the first factor, show the recovery codes."""
    text = ENROLMENT.read(visit)
    if not text:  # it was added already, and the form is sent once more; or an hour has passed
        return visit.go(APPS)
    caller = await records_of(visit)
    at = again_from(visit.request.scope, visit.ask(TokenDelivery), visit.origin)
    try:
        enrolled = await visit.ask(FactorService).confirm_totp(
            caller, text, visit.form["code"], visit.form["name"], at
        )
    except EnrolmentOver:  # the page says so, and shows a new secret
        return visit.go(f"{NEW_APP}?next={quote(visit.next, safe='/')}" if visit.next else NEW_APP)
    ENROLMENT.forget(visit)
    keep_tokens(visit, enrolled.signed_in)
    if enrolled.codes:
        visit.notice = "app-added"
        return _show_codes(visit, caller.user, enrolled.codes)
    return visit.go_on(otherwise=APPS, done="app-added")


@door.get(CODES, rule=IN_PERSON, answers=409)
async def show_new_codes(visit: Visit) -> Response:
    """Say how many recovery codes are left, and ask whether to make new ones."""
    user = (await require_fresh(visit)).user
    if not second_factors(user.factors):
        raise NoSecondFactor
    return visit.page("recovery-codes-new.html", left=_codes_left(user), all=HOW_MANY)


@door.post(CODES, rule=SIGNED_IN, again=show_new_codes, answers=409)
async def make_new_codes(visit: Visit) -> Response:
    """Make new recovery codes, and show them."""
    caller = await records_of(visit)
    codes = await visit.ask(FactorService).renew_codes(caller, visit.origin)
    visit.notice = "codes-made"
    return _show_codes(visit, caller.user, codes)


@door.get(RENAME, rule=IN_PERSON, answers=404)
async def show_rename(visit: Visit) -> Response:
    """Ask what the user wants to call an app or a passkey."""
    factor = _asked(visit, second_factors((await records_of(visit)).user.factors))
    if not visit.form.values:
        visit.form = Form({"factor": factor.id, "name": factor.name})
    return visit.page("factor-rename.html", factor=factor, back=_LISTS[factor.kind])


@door.post(RENAME, rule=SIGNED_IN, fields=(_FACTOR, _NAME), again=show_rename, answers=404)
async def rename(visit: Visit) -> Response:
    """Give an app or a passkey another name."""
    user = (await records_of(visit)).user
    factor = _asked(visit, second_factors(user.factors))
    await visit.ask(FactorService).rename(user, factor.id, visit.form["name"], visit.origin)
    return visit.go(_LISTS[factor.kind], done="factor-renamed")


@door.get(REMOVE, rule=IN_PERSON, answers=404)
async def show_remove(visit: Visit) -> Response:
    """Ask whether to remove an app or a passkey, and say what goes with it."""
    user = (await require_fresh(visit)).user
    factor, service = _asked(visit, second_factors(user.factors)), visit.ask(FactorService)
    is_last = second_factors(user.factors) == [factor]
    return visit.page(
        "factor-remove.html",
        factor=factor,
        back=_LISTS[factor.kind],
        has_password=user.password_hash is not None,
        is_last=is_last,
        must_stay=is_last and service.policy.requires(user.roles),
        has_codes=_codes_left(user) > 0,
        has_browsers=any(
            is_remembered(each, user.epoch, service.clock.now())
            for each in of_kind(user.factors, "browser")
        ),
    )


@door.post(REMOVE, rule=SIGNED_IN, fields=(_FACTOR,), again=show_remove, answers=404)
async def remove(visit: Visit) -> Response:
    """Remove an app or a passkey. One that is gone already is no error."""
    caller = await records_of(visit)
    try:
        factor = _asked(visit, second_factors(caller.user.factors))
        await visit.ask(FactorService).remove(caller, factor.id, visit.origin)
    except NoSuchFactor:
        return visit.go("/account")
    done = "app-removed" if factor.kind == "totp" else "passkey-removed"
    return visit.go(_LISTS[factor.kind], done=done)


@door.post(FORGET, rule=SIGNED_IN, fields=(_FACTOR,))
async def forget_browser(visit: Visit) -> Response:
    """Ask for a second factor in a browser again. One that is gone already is no error."""
    caller = await records_of(visit)
    try:
        browser = _asked(visit, of_kind(caller.user.factors, "browser"))
        await visit.ask(FactorService).remove(caller, browser.id, visit.origin)
    except NoSuchFactor:
        return visit.go("/account")
    return visit.go("/account", done="browser-forgotten")


async def _waiting_app(visit: Visit, caller: Records) -> NewApp:
    """Return the secret that waits in this browser for its first code, or a new one."""
    service = visit.ask(FactorService)
    if text := ENROLMENT.read(visit):
        try:
            return await service.begun_totp(caller.user, text)
        except EnrolmentOver:
            visit.notice = "new-secret"
    app = await service.begin_totp(caller)
    ENROLMENT.keep(visit, app.text)
    return app


def _show_codes(visit: Visit, user: User, codes: list[str]) -> Response:
    """Return the page with new recovery codes: as the answer to the form, so only once."""
    return visit.page(
        "recovery-codes.html", codes=codes, username=user.username, go_on_to=visit.next
    )


def _asked(visit: Visit, factors: Iterable[Factor]) -> Factor:
    """Return that of these factors which the form or the address names.

    Raises:
        NoSuchFactor: it is none of these.
    """
    asked = visit.form.values.get("factor") or visit.request.query_params.get("factor", "")
    factor = find_factor(factors, asked)
    if factor is None:
        raise NoSuchFactor
    return factor


def _codes_left(user: User) -> int:
    return sum(len(each.digests) for each in of_kind(user.factors, "recovery_codes"))
