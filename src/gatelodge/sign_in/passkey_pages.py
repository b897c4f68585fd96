"""The parts of the sign-in pages that ask for a passkey, and the page that signs up by one.

Their script gets what the browser is asked, and posts the answer with a form. So the server decides
where the reader goes next and what is said, as it does for a password: the script has no token and
no address. What a second factor is for stays in the cookie that only we can read.
"""

from starlette.responses import JSONResponse, Response

from gatelodge.accounts.refusals import SignUpClosed
from gatelodge.accounts.service import NewUser
from gatelodge.credentials.ceremonies import Question
from gatelodge.gate.rules import ANYBODY, SIGNED_IN_SO_FAR
from gatelodge.marks import N_
from gatelodge.pages.door import PageDoor, Visit
from gatelodge.pages.fields import (
    ASKED,
    CREDENTIAL,
    EMAIL,
    NEXT,
    USERNAME,
    faults_of_new_names,
)
from gatelodge.pages.forms import Field
from gatelodge.proofs.pages import keep_request
from gatelodge.proofs.refusals import EmailNotVerified, PasswordMustChange
from gatelodge.sessions.devices import device_name
from gatelodge.sessions.doors import keep_tokens, records_of
from gatelodge.sign_in.by_passkey import PasskeySignIn
from gatelodge.sign_in.doors import (
    again_from,
    alone_from,
    coming_from,
    credential_in,
)
from gatelodge.sign_in.pages import (
    CHALLENGE,
    SECOND,
    after_second,
    ask_second,
    do_first,
    go_back,
    go_on,
    go_on_signed_in,
    show_again,
    show_sign_in,
    waiting_in,
)
from gatelodge.sign_in.passkey_sign_up import PasskeySignUp
from gatelodge.web.cookies import TokenDelivery
from gatelodge.web.public_address import SIGN_IN_AGAIN, SIGN_IN_PAGE

door = PageDoor()

SIGN_UP = "/sign-up/passkey"

door.get(f"{SIGN_IN_PAGE}/passkey", rule=ANYBODY)(show_sign_in)
door.get(f"{SIGN_IN_AGAIN}/passkey", rule=SIGNED_IN_SO_FAR)(show_again)


@door.post(f"{SIGN_IN_PAGE}/options", rule=ANYBODY, answers=200)
async def ask_anybody(visit: Visit) -> Response:
    """Return what the browser is asked for a passkey of anybody."""
    return asked(visit.ask(PasskeySignIn).ask())


@door.post(
    f"{SIGN_IN_PAGE}/passkey",
    rule=ANYBODY,
    fields=(ASKED, CREDENTIAL, NEXT),
    again=show_sign_in,
    answers=400,
)
async def sign_in(visit: Visit) -> Response:
    """Open a session for the owner of a passkey, and redirect to the page that was asked for."""
    delivery, scope = visit.ask(TokenDelivery), visit.request.scope
    at = alone_from(scope, delivery, visit.origin, "cookie")
    credential = credential_in(visit.form["credential"])
    try:
        signed_in = await visit.ask(PasskeySignIn).sign_in(
            visit.form["challenge"], credential, "cookie", at
        )
    except (EmailNotVerified, PasswordMustChange) as refusal:
        return do_first(visit, refusal)
    return go_on(visit, signed_in)


@door.get(f"{SECOND}/passkey", rule=ANYBODY, answers=303)
async def show_second(visit: Visit) -> Response:
    """Ask for a passkey as the second factor."""
    return await ask_second(visit, "passkey")


@door.post(f"{SECOND}/options", rule=ANYBODY, answers=303)
async def ask_for_second(visit: Visit) -> Response:
    """Return what the browser is asked for a passkey of the user whose sign-in waits."""
    waiting = await waiting_in(visit)
    if waiting is None:
        return visit.go(SIGN_IN_PAGE, done="took-too-long")
    question = visit.ask(PasskeySignIn).ask_second(waiting, CHALLENGE.read(visit))
    return JSONResponse({"publicKey": question.options})  # the text is that of the challenge


@door.post(
    f"{SECOND}/passkey",
    rule=ANYBODY,
    fields=(CREDENTIAL, Field("remember"), NEXT),
    again=show_second,
    answers=303,
)
async def prove_second(visit: Visit) -> Response:
    """Open the session that waits for a passkey, and redirect to the page that was asked for."""
    waiting = await waiting_in(visit)
    if waiting is None:
        return visit.go(SIGN_IN_PAGE, done="took-too-long")
    delivery, scope = visit.ask(TokenDelivery), visit.request.scope
    at = coming_from(scope, delivery, visit.origin, waiting)
    credential = credential_in(visit.form["credential"])
    finish = visit.ask(PasskeySignIn).finish(waiting, CHALLENGE.read(visit), credential, at)
    return await after_second(visit, waiting, finish)


@door.post(f"{SIGN_IN_AGAIN}/options", rule=SIGNED_IN_SO_FAR, answers=200)
async def ask_caller(visit: Visit) -> Response:
    """Return what the browser is asked for a passkey of the caller."""
    user = (await records_of(visit)).user
    return asked(visit.ask(PasskeySignIn).ask_again(user))


@door.post(
    f"{SIGN_IN_AGAIN}/passkey",
    rule=SIGNED_IN_SO_FAR,
    fields=(ASKED, CREDENTIAL, NEXT),
    again=show_again,
    answers=400,
)
async def sign_in_again(visit: Visit) -> Response:
    """Open a new session in place of this one, and lead back with the form that waits."""
    caller = await records_of(visit)
    at = again_from(visit.request.scope, visit.ask(TokenDelivery), visit.origin)
    credential = credential_in(visit.form["credential"])
    signed_in = await visit.ask(PasskeySignIn).sign_in_again(
        caller, visit.form["challenge"], credential, at
    )
    return await go_back(visit, signed_in)


@door.get(SIGN_UP, rule=ANYBODY, answers=403)
async def show_sign_up(visit: Visit) -> Response:
    """Show the form for an account with a passkey and no password; otherwise as `/sign-up`.

    Whoever loads the page of the recovery codes again sends the form again. Its name is taken then:
    by this very user, who is led on.
    """
    visit.ask(PasskeySignUp).require_allowed()
    caller, form = visit.principal, visit.form
    if caller is not None and (not form.refused or form.shown("username") == caller.username):
        return await go_on_signed_in(visit, caller, otherwise="/account")
    if not visit.pages.site.sign_up_open:
        raise SignUpClosed
    return visit.page("sign-up-passkey.html")


@door.post(
    f"{SIGN_UP}/options",
    rule=ANYBODY,
    fields=(
        Field(USERNAME.name, trimmed=True),
        Field(EMAIL.name, trimmed=True),
        ASKED,
        CREDENTIAL,
        NEXT,
    ),
    answers=403,
)
async def ask_for_first(visit: Visit) -> Response:
    """Return what the browser is asked to make a passkey for somebody who signs up.

    It gets the whole form: names that nobody can have are refused before a passkey is made.
    """
    return asked(await visit.ask(PasskeySignUp).ask(_wanted(visit), visit.origin))


@door.post(
    SIGN_UP,
    rule=ANYBODY,
    fields=(USERNAME, EMAIL, ASKED, CREDENTIAL, NEXT),
    again=show_sign_up,
    faults=faults_of_new_names,
    answers=403,
)
async def sign_up(visit: Visit) -> Response:
    """Create a user who has a passkey, sign them in, and show the recovery codes.

    The codes are in this answer only: in no cookie, no address and no history. Without a passkey,
    it is the form whose names were refused: the same refusal says why.
    """
    service, form, wanted = visit.ask(PasskeySignUp), visit.form, _wanted(visit)
    if not form["credential"]:
        await service.ask(wanted, visit.origin)
    at = alone_from(visit.request.scope, visit.ask(TokenDelivery), visit.origin, "cookie")
    credential, name = credential_in(form["credential"]), proposed_name(visit)
    made = await service.sign_up(form["challenge"], credential, wanted, name, "cookie", at)
    request, session = made.signed_up.request, made.signed_up.session
    if request is not None:
        keep_request(visit, request)
    if session is not None:
        keep_tokens(visit, session)
    site = visit.pages.site
    visit.notice = "signed-up" if session else "signed-up-unverified"
    return visit.page(
        "recovery-codes.html",
        codes=made.codes,
        username=wanted.username,
        go_on_to=(visit.next or site.home) if session else f"{site.path}/verify-email",
    )


def _wanted(visit: Visit) -> NewUser:
    """Return the user whom the form asks for."""
    form = visit.form
    return NewUser(form["username"], form["email"], "", language=visit.language.tag)


def proposed_name(visit: Visit) -> str:
    """Return the name of the browser and its system, as its `User-Agent` says."""
    program, system = device_name(visit.origin.user_agent)
    both = N_("%(program)s on %(system)s")
    plain = visit.language.plain
    return plain(both, program=program, system=system) if system else plain(program)


def asked(question: Question) -> Response:
    """Return the answer with a question, for the script of a page."""
    return JSONResponse({"challenge": question.text, "publicKey": question.options})
