"""The pages for sign-up, sign-in, and changing the password."""

from collections.abc import Awaitable, Callable, Iterator
from datetime import timedelta
from urllib.parse import quote

from starlette.responses import RedirectResponse, Response

from gatelodge.accounts.names import check_name, check_username
from gatelodge.accounts.refusals import SignUpClosed
from gatelodge.accounts.service import NewUser
from gatelodge.credentials.factors import of_kind
from gatelodge.credentials.second_factors import CodeFactor
from gatelodge.credentials.service import Passwords
from gatelodge.errors import Refusal
from gatelodge.gate.gate import Gate
from gatelodge.gate.principal import Principal
from gatelodge.gate.rules import ANYBODY, IN_PERSON, SIGNED_IN, SIGNED_IN_SO_FAR
from gatelodge.marks import N_
from gatelodge.pages.door import PageDoor, Visit, restore_form
from gatelodge.pages.fields import (
    EMAIL,
    FOR_PASSWORD_MANAGERS,
    NEW_PASSWORD,
    NEXT,
    PASSWORD,
    USERNAME,
    faults_of,
    faults_of_new_user,
)
from gatelodge.pages.forms import Field
from gatelodge.pages.kept import Kept
from gatelodge.proofs.invitations import Invitations
from gatelodge.proofs.pages import go_on_to_reset, keep_request, over
from gatelodge.proofs.refusals import (
    EmailNotVerified,
    InvalidCode,
    PasswordMustChange,
    PasswordRequired,
)
from gatelodge.sessions.doors import keep_tokens, lead_to_enrolment, records_of
from gatelodge.sessions.service import SignedIn
from gatelodge.sign_in.by_code import CodeSignIn
from gatelodge.sign_in.challenges import LIFE, Challenge, Challenges, Waiting, methods_of
from gatelodge.sign_in.doors import coming_from, remember_browser
from gatelodge.sign_in.opening import Opening
from gatelodge.sign_in.refusals import ChallengeOver
from gatelodge.sign_in.service import SignInService
from gatelodge.web.cookies import TokenDelivery
from gatelodge.web.public_address import SIGN_IN_AGAIN

door = PageDoor()

INVITATION = Kept("invitation", "/invitation", timedelta(hours=1))
CODE_REQUEST = Kept("sign-in-request", "/sign-in/code", timedelta(minutes=30))
SECOND = "/sign-in/second"
CHALLENGE = Kept("challenge", SECOND, LIFE)
AGAIN_REQUEST = Kept("again-request", "/sign-in/again/code", timedelta(minutes=30))

_USERNAME = Field("username", missing=N_("Enter your username or e-mail address."), trimmed=True)
_CURRENT = Field("currentPassword", missing=N_("Enter your current password."), secret=True)
_CODE = Field("code", missing=N_("Enter the code from the letter."), trimmed=True)
_METHOD = Field("method")
_FACTOR_CODE = Field("code", missing=N_("Enter the code."), secret=True, trimmed=True)
_NEW = Field("newPassword", missing=N_("Enter a new password."), secret=True)


@door.get("/sign-up", rule=ANYBODY)
async def show_sign_up(visit: Visit) -> Response:
    """Show the sign-up form. Somebody who is signed in is redirected, unless it was refused."""
    if visit.principal is not None and not visit.form.refused:
        return await go_on_signed_in(visit, visit.principal, otherwise="/account")
    if not visit.pages.site.sign_up_open:
        raise SignUpClosed
    return visit.page("sign-up.html")


@door.post(
    "/sign-up",
    rule=ANYBODY,
    fields=(USERNAME, EMAIL, NEW_PASSWORD, NEXT),
    again=show_sign_up,
    faults=faults_of_new_user,
)
async def sign_up(visit: Visit) -> Response:
    """Create a user, and sign them in."""
    wanted = NewUser(
        visit.form["username"],
        visit.form["email"],
        visit.form["password"],
        language=visit.language.tag,
    )
    made = await visit.ask(SignInService).sign_up(
        wanted, "cookie", visit.origin, former=visit.former_token, once=True
    )
    if made.request is not None:
        keep_request(visit, made.request)
    if made.session is None:
        return visit.go("/verify-email", done="signed-up-unverified")
    keep_tokens(visit, made.session)
    enrol = lead_to_enrolment(visit, made.session, done="signed-up")
    return enrol or visit.go_on(done="signed-up")


@door.get("/invitation", rule=ANYBODY, answers=410)
async def show_invitation(visit: Visit) -> Response:
    """Show the form of an invitation: username, name and password."""
    if moved := INVITATION.take(visit):
        return moved
    try:
        token = await visit.ask(Invitations).check_link(INVITATION.read(visit))
    except InvalidCode:
        return over(visit, INVITATION, "/sign-in")
    return visit.page("invitation.html", email=token.facts["email"])


def _faults_of_invited(visit: Visit) -> Iterator[Refusal]:
    """Yield what is wrong with the values of an invitation's form that lacks one."""
    name, password = visit.form["username"], visit.form["password"]
    checks: tuple[Callable[[], object], ...] = (
        lambda: check_username(name),
        lambda: visit.ask(Passwords).check_new(password, context=(name,)),
        lambda: check_name(visit.form["name"]),
    )
    yield from faults_of(checks)


@door.post(
    "/invitation",
    rule=ANYBODY,
    fields=(USERNAME, Field("name"), NEW_PASSWORD),
    again=show_invitation,
    faults=_faults_of_invited,
    answers=410,
)
async def accept_invitation(visit: Visit) -> Response:
    """Create the user who was invited, and sign them in."""
    wanted = NewUser(
        visit.form["username"],
        "",
        visit.form["password"],
        name=visit.form["name"],
        language=visit.language.tag,
    )
    user = await visit.ask(Invitations).accept(INVITATION.read(visit), wanted, visit.origin)
    signed_in = await visit.ask(SignInService).open_first(
        user, "cookie", visit.origin, former=visit.former_token
    )
    INVITATION.forget(visit)
    keep_tokens(visit, signed_in)
    enrol = lead_to_enrolment(visit, signed_in, done="signed-up")
    return enrol or visit.go("/account", done="signed-up")


@door.get("/sign-in", rule=ANYBODY)
async def show_sign_in(visit: Visit) -> Response:
    """Show the sign-in form. Somebody who is signed in is redirected, unless it was refused."""
    if visit.principal is not None and not visit.form.refused:
        return await go_on_signed_in(visit, visit.principal)
    return visit.page("sign-in.html")


@door.post("/sign-in", rule=ANYBODY, fields=(_USERNAME, PASSWORD, NEXT), again=show_sign_in)
async def sign_in(visit: Visit) -> Response:
    """Open a session, and redirect to the page that was asked for."""
    try:
        outcome = await visit.ask(SignInService).sign_in(
            visit.form["username"],
            visit.form["password"],
            "cookie",
            visit.origin,
            former=visit.former_token,
            device=_device(visit),
            remembered=_remembered(visit),
        )
    except (EmailNotVerified, PasswordMustChange) as refusal:
        return do_first(visit, refusal)
    return go_on(visit, outcome)


@door.get("/sign-in/email", rule=ANYBODY, answers=403)
async def show_sign_in_email(visit: Visit) -> Response:
    """Ask for the e-mail address of somebody who wants to sign in by a code."""
    visit.ask(CodeSignIn).require_allowed()
    if visit.principal is not None and not visit.form.refused:
        return await go_on_signed_in(visit, visit.principal)
    return visit.page("sign-in-email.html")


@door.post(
    "/sign-in/email", rule=ANYBODY, fields=(EMAIL, NEXT), again=show_sign_in_email, answers=403
)
async def send_code(visit: Visit) -> Response:
    """Have a letter with a code sent; this browser keeps its half of the code."""
    request = await visit.ask(CodeSignIn).ask(visit.form["email"], visit.language.tag, visit.origin)
    CODE_REQUEST.keep(visit, request)
    return visit.go(f"/sign-in/code?next={quote(visit.next, safe='/')}")


@door.get("/sign-in/code", rule=ANYBODY, answers=403)
async def show_sign_in_code(visit: Visit) -> Response:
    """Ask for the code from the letter."""
    visit.ask(CodeSignIn).require_allowed()
    if not CODE_REQUEST.read(visit):
        return visit.go("/sign-in/email")
    return visit.page("sign-in-code.html")


@door.post(
    "/sign-in/code", rule=ANYBODY, fields=(_CODE, NEXT), again=show_sign_in_code, answers=403
)
async def sign_in_by_code(visit: Visit) -> Response:
    """Open a session, and redirect to the page that was asked for."""
    try:
        outcome = await visit.ask(CodeSignIn).sign_in(
            CODE_REQUEST.read(visit),
            visit.form["code"],
            "cookie",
            visit.origin,
            former=visit.former_token,
            device=_device(visit),
            remembered=_remembered(visit),
        )
    except PasswordMustChange as refusal:
        CODE_REQUEST.forget(visit)
        return do_first(visit, refusal)
    CODE_REQUEST.forget(visit)
    return go_on(visit, outcome)


@door.get(SIGN_IN_AGAIN, rule=SIGNED_IN_SO_FAR)
async def show_again(visit: Visit) -> Response:
    """Ask somebody who is signed in to prove again who they are, by what they have."""
    user = (await records_of(visit)).user
    return visit.page(
        "sign-in-again.html",
        has_password=user.password_hash is not None,
        has_passkey=bool(visit.pages.site.passkeys and of_kind(user.factors, "passkey")),
    )


@door.post(
    SIGN_IN_AGAIN,
    rule=SIGNED_IN_SO_FAR,
    fields=(FOR_PASSWORD_MANAGERS, PASSWORD, NEXT),
    again=show_again,
)
async def sign_in_again(visit: Visit) -> Response:
    """Open a new session in place of this one, and lead back with the form that waits."""
    try:
        outcome = await visit.ask(SignInService).sign_in_again(
            await records_of(visit), visit.form["password"], visit.origin, device=_device(visit)
        )
    except (EmailNotVerified, PasswordMustChange) as refusal:
        return do_first(visit, refusal)
    return await go_back(visit, outcome)


@door.post("/sign-in/again/letter", rule=SIGNED_IN_SO_FAR, fields=(NEXT,), answers=403)
async def send_code_again(visit: Visit) -> Response:
    """Have a letter with a code sent to the user; this browser keeps its half of the code."""
    request = await visit.ask(CodeSignIn).ask_again(
        await records_of(visit), visit.language.tag, visit.origin
    )
    AGAIN_REQUEST.keep(visit, request)
    return visit.go(f"{AGAIN_REQUEST.page}?next={quote(visit.next, safe='/')}")


@door.get("/sign-in/again/code", rule=SIGNED_IN_SO_FAR, answers=303)
async def show_again_code(visit: Visit) -> Response:
    """Ask for the code from the letter."""
    if not AGAIN_REQUEST.read(visit):
        return visit.go(f"{SIGN_IN_AGAIN}?next={quote(visit.next, safe='/')}")
    return visit.page("sign-in-again-code.html")


@door.post(
    "/sign-in/again/code",
    rule=SIGNED_IN_SO_FAR,
    fields=(_CODE, NEXT),
    again=show_again_code,
    answers=303,
)
async def sign_in_again_by_code(visit: Visit) -> Response:
    """Open a new session in place of this one, by a code, and lead back likewise."""
    outcome = await visit.ask(CodeSignIn).sign_in_again(
        await records_of(visit),
        AGAIN_REQUEST.read(visit),
        visit.form["code"],
        visit.origin,
        device=_device(visit),
    )
    AGAIN_REQUEST.forget(visit)
    return await go_back(visit, outcome)


@door.get(SECOND, rule=ANYBODY, answers=303)
async def show_second_factor(visit: Visit) -> Response:
    """Ask for the second factor: one way at a time, with links to the others."""
    asked = visit.form.values.get("method") or visit.request.query_params.get("method", "")
    return await ask_second(visit, asked)


@door.post(
    SECOND,
    rule=ANYBODY,
    fields=(_METHOD, _FACTOR_CODE, Field("remember"), NEXT),
    again=show_second_factor,
    answers=303,
)
async def prove_second_factor(visit: Visit) -> Response:
    """Open the session that waits for a code, and redirect to the page that was asked for."""
    waiting = await waiting_in(visit)
    if waiting is None:
        return visit.go("/sign-in", done="took-too-long")
    opening, delivery, scope = visit.ask(Opening), visit.ask(TokenDelivery), visit.request.scope
    kind: CodeFactor = "recovery_code" if visit.form["method"] == "recovery_code" else "totp"
    at = coming_from(scope, delivery, visit.origin, waiting)
    finish = opening.finish_by_code(waiting, kind, visit.form["code"], at)
    return await after_second(visit, waiting, finish)


async def after_second(visit: Visit, waiting: Waiting, finish: Awaitable[SignedIn]) -> Response:
    """Open a session that waited for a second factor, and lead the user on.

    Args:
        visit: the request, whose form says whether the browser is to be remembered.
        waiting: what waited.
        finish: checks the second factor, and opens the session.
    """
    try:
        signed_in = await finish
    except PasswordMustChange as refusal:
        CHALLENGE.forget(visit)
        return do_first(visit, refusal)
    CHALLENGE.forget(visit)
    if waiting.in_place_of is not None:
        return await go_back(visit, signed_in)
    if visit.form["remember"]:
        opening, delivery = visit.ask(Opening), visit.ask(TokenDelivery)
        scope = visit.request.scope
        await remember_browser(scope, delivery, opening, waiting, signed_in, visit.origin)
    return go_on(visit, signed_in)


async def ask_second(visit: Visit, asked: str) -> Response:
    """Return the page that asks for the second factor in this way, if the user has it."""
    waiting = await waiting_in(visit)
    if waiting is None:
        return visit.go("/sign-in")
    methods = methods_of(waiting.user.factors)
    return visit.page(
        "sign-in-second.html",
        method=asked if asked in methods else methods[0],
        methods=methods,
        may_remember=visit.ask(Opening).may_remember(waiting),
    )


async def waiting_in(visit: Visit) -> Waiting | None:
    """Return the sign-in that waits in this browser, or None."""
    try:
        return await visit.ask(Challenges).find(CHALLENGE.read(visit))
    except ChallengeOver:
        return None


def go_on(visit: Visit, outcome: SignedIn | Challenge) -> Response:
    """Lead to where the reader was going, or to the second factor, or its setup, first."""
    if isinstance(outcome, Challenge):
        return _lead_to_second(visit, outcome)
    keep_tokens(visit, outcome)
    done = "password-breached" if outcome.password_is_breached else ""
    done = "password-void" if outcome.password_is_void else done
    return lead_to_enrolment(visit, outcome, done=done) or visit.go_on(done=done)


async def go_back(visit: Visit, outcome: SignedIn | Challenge) -> Response:
    """Lead back to the page that asked for a proof, or to the second factor first."""
    if isinstance(outcome, Challenge):
        return _lead_to_second(visit, outcome)
    keep_tokens(visit, outcome)
    await restore_form(visit, outcome.user.id)
    return visit.go_on(otherwise="/account")


def _lead_to_second(visit: Visit, challenge: Challenge) -> Response:
    CHALLENGE.keep(visit, challenge.id)
    return visit.go(f"{SECOND}?next={quote(visit.next, safe='/')}" if visit.next else SECOND)


async def go_on_signed_in(visit: Visit, principal: Principal, *, otherwise: str = "") -> Response:
    """Lead somebody who is signed in already to where they were going.

    Raises:
        SecondFactorEnrolmentRequired, ReauthenticationRequired: the session is held back. It leads
            to the second factor: a proxy would send the reader here again and again.
    """
    await visit.ask(Gate).authorize(principal, SIGNED_IN)
    return visit.go_on(otherwise=otherwise)


def _remembered(visit: Visit) -> str:
    """Return the cookie of a remembered browser."""
    return visit.ask(TokenDelivery).remembered(visit.request.scope["headers"])


def _device(visit: Visit) -> str:
    """Return the cookie that tells which users have used this browser."""
    return visit.ask(TokenDelivery).device(visit.request.scope["headers"])


def do_first(visit: Visit, refusal: EmailNotVerified | PasswordMustChange) -> Response:
    """Lead somebody who has proved who they are to what they have to do before they go on."""
    if isinstance(refusal, EmailNotVerified):
        keep_request(visit, refusal.request)
        return visit.go("/verify-email", done="verify-first")
    required = isinstance(refusal, PasswordRequired)
    done = "password-required" if required else "password-must-change"
    return go_on_to_reset(visit, request=refusal.request, link=refusal.token, done=done)


@door.get("/.well-known/change-password", rule=ANYBODY, same_for_all=True, answers=302)
async def lead_to_change_password(visit: Visit) -> Response:
    """Lead password managers to the page (W3C, "A Well-Known URL for Changing Passwords")."""
    return RedirectResponse(f"{visit.pages.site.path}/account/password", 302)


@door.get("/account/password", rule=IN_PERSON)
async def show_change_password(visit: Visit) -> Response:
    """Show the form for a new password. Whoever has none sets one from the account page."""
    user = (await records_of(visit)).user
    if user.password_hash is None and visit.pages.site.mail:
        return visit.go("/account")
    return visit.page("password.html")


def _faults_of_new_password(visit: Visit) -> Iterator[Refusal]:
    """Yield what is wrong with the new password, for a form that lacks the current one."""
    context = (visit.caller.username,)
    try:
        visit.ask(Passwords).check_new(visit.form[_NEW.name], context=context, field=_NEW.name)
    except Refusal as refusal:
        yield refusal


@door.post(
    "/account/password",
    rule=SIGNED_IN,
    fields=(FOR_PASSWORD_MANAGERS, _CURRENT, _NEW),
    again=show_change_password,
    faults=_faults_of_new_password,
)
async def change_password(visit: Visit) -> Response:
    """Change the password. This browser gets a new session; all other sessions end."""
    signed_in = await visit.ask(SignInService).change_password(
        await records_of(visit),
        visit.form["currentPassword"],
        visit.form["newPassword"],
        visit.origin,
    )
    visit.keep(signed_in.tokens)
    return visit.go("/account", done="password-changed")
