"""The page of the user's own passkeys: what there is, and a new one."""

from starlette.responses import Response

from gatelodge.accounts.store import User
from gatelodge.base64url import encode_base64url
from gatelodge.credentials.factors import of_kind, second_factors
from gatelodge.factors.service import MAX_OF_KIND, FactorService
from gatelodge.gate.rules import SIGNED_IN_SO_FAR
from gatelodge.ids import USER_PREFIX, id_to_bytes
from gatelodge.pages.door import PageDoor, Visit
from gatelodge.pages.fields import ASKED, CREDENTIAL, NEXT
from gatelodge.pages.forms import Field, Form
from gatelodge.sessions.doors import keep_tokens, records_of, require_fresh
from gatelodge.sign_in.doors import again_from, credential_in
from gatelodge.sign_in.passkey_pages import asked, proposed_name
from gatelodge.web.cookies import TokenDelivery

door = PageDoor()

PAGE = "/account/passkeys"

_NAME = Field("name", trimmed=True)


@door.get(PAGE, rule=SIGNED_IN_SO_FAR)
async def show_passkeys(visit: Visit) -> Response:
    """List the user's passkeys, and offer to add one. It asks for a proof first.

    The page says to the browser which passkeys there are, so that it offers no others.
    """
    user = (await require_fresh(visit)).user
    passkeys = of_kind(user.factors, "passkey")
    if not visit.form.values:
        visit.form = Form({"name": proposed_name(visit)})
    service = visit.ask(FactorService)
    return visit.page(
        "passkeys.html",
        passkeys=passkeys,
        is_full=len(passkeys) >= MAX_OF_KIND,
        is_due=service.opening.policy.requires(user.roles) and not second_factors(user.factors),
        now=service.clock.now(),
        told=_told(visit, user),
    )


@door.post(f"{PAGE}/options", rule=SIGNED_IN_SO_FAR, answers=200)
async def ask_for_passkey(visit: Visit) -> Response:
    """Return what the browser is asked to make a passkey."""
    return asked(visit.ask(FactorService).begin_passkey(await records_of(visit)))


@door.post(
    PAGE,
    rule=SIGNED_IN_SO_FAR,
    fields=(ASKED, CREDENTIAL, _NAME, NEXT),
    again=show_passkeys,
    answers=400,
)
async def add_passkey(visit: Visit) -> Response:
    """Add the passkey that the browser has made; with the first factor, show the recovery codes.

    They are in this answer only: in no cookie, no address and no history.
    """
    caller, form = await records_of(visit), visit.form
    at = again_from(visit.request.scope, visit.ask(TokenDelivery), visit.origin)
    enrolled = await visit.ask(FactorService).add_passkey(
        caller, form["challenge"], credential_in(form["credential"]), form["name"], at
    )
    keep_tokens(visit, enrolled.signed_in)
    if not enrolled.codes:
        return visit.go_on(otherwise=PAGE, done="passkey-added")
    visit.notice = "passkey-added"
    return visit.page(
        "recovery-codes.html",
        codes=enrolled.codes,
        username=caller.user.username,
        go_on_to=visit.next or f"{visit.pages.site.path}{PAGE}",
    )


def _told(visit: Visit, user: User) -> dict[str, object]:
    """Return what browsers are told of the user's passkeys (WebAuthn Level 3, section 5.1.10)."""
    return {
        "rpId": visit.pages.site.passkeys_for,
        "userId": encode_base64url(id_to_bytes(USER_PREFIX, user.id)),
        "ids": [each.credential_id for each in of_kind(user.factors, "passkey")],
        "name": user.username,
        "displayName": user.name or user.username,
    }
