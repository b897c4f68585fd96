"""The pages of forgotten passwords and e-mail addresses."""

from datetime import timedelta

from starlette.responses import Response

from gatelodge.accounts.store import User
from gatelodge.gate.rules import ANYBODY, IN_PERSON, SIGNED_IN
from gatelodge.letters.refusals import NoMail
from gatelodge.pages.door import PageDoor, Visit
from gatelodge.pages.fields import EMAIL, FOR_PASSWORD_MANAGERS, NEW_PASSWORD
from gatelodge.pages.forms import Field
from gatelodge.pages.kept import Kept
from gatelodge.proofs.notices import Notices
from gatelodge.proofs.refusals import InvalidCode
from gatelodge.proofs.reset import PasswordReset
from gatelodge.proofs.verification import AddressVerification
from gatelodge.sessions.doors import records_of, require_fresh
from gatelodge.web.admission import Admission

door = PageDoor()

_CODE = Field("code", trimmed=True)

RESET_LINK = Kept("reset", "/reset-password", timedelta(minutes=30))
RESET_REQUEST = Kept("reset-request", "/reset-password", timedelta(minutes=30))
VERIFY_LINK = Kept("verify", "/verify-email", timedelta(days=1))
VERIFY_REQUEST = Kept("verify-request", "/verify-email", timedelta(days=1))
UNDO_LINK = Kept("undo", "/undo-email", timedelta(hours=1))
STOP_LINK = Kept("stop", "/stop", timedelta(hours=1))


@door.get("/forgot", rule=ANYBODY)
async def show_forgot(visit: Visit) -> Response:
    """Ask for the e-mail address."""
    if not visit.pages.site.mail:
        raise NoMail
    return visit.page("forgot.html")


@door.post("/forgot", rule=ANYBODY, fields=(EMAIL,), again=show_forgot)
async def forgot(visit: Visit) -> Response:
    """Have a letter sent; this browser keeps its half of the code."""
    request = await visit.ask(PasswordReset).ask(
        visit.form["email"], visit.language.tag, visit.origin
    )
    return go_on_to_reset(visit, request=request)


def go_on_to_reset(visit: Visit, *, request: str = "", link: str = "", done: str = "") -> Response:
    """Lead to the page that sets a new password.

    Args:
        visit: the visit.
        request: the browser's half of the code in a letter that was asked for.
        link: the secret of a link, where no letter was.
        done: the key of the notice on the page; empty: none.
    """
    for kept, secret in ((RESET_LINK, link), (RESET_REQUEST, request)):
        if secret:
            kept.keep(visit, secret)
        else:
            kept.forget(visit)
    return visit.go("/reset-password", done=done)


@door.get("/reset-password", rule=ANYBODY, answers=303)
async def show_reset(visit: Visit) -> Response:
    """Ask for the new password; without a link, for the code too."""
    if moved := RESET_LINK.take(visit):
        return moved
    link, first, by_letter = RESET_LINK.read(visit), False, True
    if link:
        try:
            token = await visit.ask(PasswordReset).check_link(link)
        except InvalidCode:
            return over(visit, RESET_LINK, "/forgot" if visit.pages.site.mail else "/sign-in")
        first, by_letter = token.purpose == "set_password", token.purpose != "must"
    elif not RESET_REQUEST.read(visit):
        return visit.go("/forgot")
    return visit.page("reset-password.html", by_code=not link, first=first, by_letter=by_letter)


@door.post(
    "/reset-password",
    rule=ANYBODY,
    fields=(FOR_PASSWORD_MANAGERS, _CODE, NEW_PASSWORD),
    again=show_reset,
    answers=303,
)
async def reset(visit: Visit) -> Response:
    """Set the new password. Nobody is signed in by that (ASVS 6.4.3)."""
    service, password, link = (
        visit.ask(PasswordReset),
        visit.form["password"],
        RESET_LINK.read(visit),
    )
    if link:
        await service.by_link(link, password, visit.origin)
    else:
        request = RESET_REQUEST.read(visit)
        await service.by_code(request, visit.form["code"], password, visit.origin)
    for each in (RESET_LINK, RESET_REQUEST):
        each.forget(visit)
    return visit.go("/sign-in", done="password-reset")


@door.get("/verify-email", rule=ANYBODY, answers=303)
async def show_verify(visit: Visit) -> Response:
    """Show the button that verifies an address; without a link, the field for the code."""
    if moved := VERIFY_LINK.take(visit):
        return moved
    link, email = VERIFY_LINK.read(visit), ""
    if link:
        try:
            token = await visit.ask(AddressVerification).check_link(link)
        except InvalidCode:
            mail = visit.pages.site.mail and visit.principal is None
            return over(visit, VERIFY_LINK, "/verify-email/resend" if mail else "/account")
        email = token.facts["email"]
    elif not VERIFY_REQUEST.read(visit):
        return visit.go("/account")
    return visit.page("verify-email.html", by_code=not link, email=email)


@door.post("/verify-email", rule=ANYBODY, fields=(_CODE,), again=show_verify)
async def verify(visit: Visit) -> Response:
    """Verify the address of the letter."""
    service, link = visit.ask(AddressVerification), VERIFY_LINK.read(visit)
    if link:
        await service.by_link(link, visit.origin)
    else:
        await service.by_code(VERIFY_REQUEST.read(visit), visit.form["code"], visit.origin)
    for each in (VERIFY_LINK, VERIFY_REQUEST):
        each.forget(visit)
    is_signed_in = await visit.ask(Admission).recognise(visit.request) is not None
    return visit.go("/account" if is_signed_in else "/sign-in", done="email-verified")


@door.get("/verify-email/resend", rule=ANYBODY)
async def show_resend(visit: Visit) -> Response:
    """Ask somebody who cannot sign in yet for the address that the letter is to go to again."""
    if not visit.pages.site.mail:
        raise NoMail
    return visit.page("verify-email-resend.html")


@door.post("/verify-email/resend", rule=ANYBODY, fields=(EMAIL,), again=show_resend)
async def resend(visit: Visit) -> Response:
    """Have the letter sent again, if the address waits for it; nobody is told whether it does."""
    request = await visit.ask(AddressVerification).ask_again(
        visit.form["email"], visit.language.tag, visit.origin
    )
    keep_request(visit, request)
    return visit.go("/verify-email")


def keep_request(visit: Visit, request: str) -> None:
    """Let this browser keep its half of the code in a letter to an address."""
    VERIFY_LINK.forget(visit)
    VERIFY_REQUEST.keep(visit, request)


@door.post("/account/verify-email", rule=SIGNED_IN)
async def send_again(visit: Visit) -> Response:
    """Have the letter to the user's own address sent again."""
    user = (await records_of(visit)).user
    request = await visit.ask(AddressVerification).ask_again(
        user.email, visit.language.tag, visit.origin
    )
    keep_request(visit, request)
    return visit.go("/verify-email")


@door.get("/account/email", rule=IN_PERSON)
async def show_change(visit: Visit) -> Response:
    """Ask for another address. Whoever signed in a while ago is asked for a proof first."""
    if not visit.pages.site.mail:
        raise NoMail
    if not visit.form.refused:  # what is wrong is told first; the next form asks for the proof
        await require_fresh(visit)
    return visit.page("email.html")


@door.post("/account/email", rule=SIGNED_IN, fields=(EMAIL,), again=show_change)
async def change(visit: Visit) -> Response:
    """Have a letter sent to the other address."""
    request = await visit.ask(AddressVerification).ask_change(
        await records_of(visit),
        visit.form["email"],
        None,
        visit.language.tag,
        visit.origin,
    )
    keep_request(visit, request)
    return visit.go("/verify-email")


@door.get("/undo-email", rule=ANYBODY, answers=303)
async def show_undo(visit: Visit) -> Response:
    """Show the button that brings the former address back."""
    if moved := UNDO_LINK.take(visit):
        return moved
    link = UNDO_LINK.read(visit)
    if not link:
        return visit.go("/sign-in")
    try:
        token = await visit.ask(AddressVerification).check_undo(link)
    except InvalidCode:
        return over(visit, UNDO_LINK, "/forgot")
    return visit.page("undo-email.html", email=token.facts["email"])


@door.post("/undo-email", rule=ANYBODY, again=show_undo)
async def undo(visit: Visit) -> Response:
    """Bring the former address back, end every session, and have a new password set."""
    user = await visit.ask(AddressVerification).undo(UNDO_LINK.read(visit), visit.origin)
    UNDO_LINK.forget(visit)
    return await _have_reset(visit, user, done="email-restored")


@door.get("/stop", rule=ANYBODY, answers=303)
async def show_stop(visit: Visit) -> Response:
    """Show the button that ends every session of the reader of a notice."""
    if moved := STOP_LINK.take(visit):
        return moved
    link = STOP_LINK.read(visit)
    if not link:
        return visit.go("/sign-in")
    try:
        await visit.ask(Notices).check_link(link)
    except InvalidCode:
        return over(visit, STOP_LINK, "/forgot")
    return visit.page("stop.html")


@door.post("/stop", rule=ANYBODY, again=show_stop)
async def stop(visit: Visit) -> Response:
    """End every session, and have a new password set."""
    user = await visit.ask(Notices).stop(STOP_LINK.read(visit), visit.origin)
    STOP_LINK.forget(visit)
    return await _have_reset(visit, user, done="stopped")


async def _have_reset(visit: Visit, user: User, *, done: str) -> Response:
    """Send the letter for a new password to the user's address, and lead to its page."""
    request = await visit.ask(PasswordReset).ask_after_proof(user, visit.language.tag, visit.origin)
    return go_on_to_reset(visit, request=request, done=done)


def over(visit: Visit, kept: Kept, instead: str) -> Response:
    """Say that a link does not work any more, and lead to where one gets another letter."""
    kept.forget(visit)
    visit.status = 410
    return visit.page("link-over.html", instead=instead)
