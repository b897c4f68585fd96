"""What the JSON routes and the pages of this room share: who signs in, and remembered browsers."""

from gatelodge import strict_json
from gatelodge.audit import Origin
from gatelodge.credentials.ceremonies import Credential
from gatelodge.credentials.refusals import InvalidPasskey
from gatelodge.sessions.service import SignedIn
from gatelodge.sign_in.challenges import Waiting
from gatelodge.sign_in.opening import REMEMBERED_FOR, Opening, SignInContext
from gatelodge.tokens.pair import Delivery
from gatelodge.web.cookies import TokenDelivery
from gatelodge.web.shell import Scope


def coming_from(
    scope: Scope, delivery: TokenDelivery, origin: Origin, waiting: Waiting
) -> SignInContext:
    """Return who answers a challenge, as the cookies of the request say."""
    headers = scope["headers"]
    is_program = waiting.in_place_of is not None and waiting.delivery == "bearer"
    return SignInContext(
        origin,
        former=delivery.former_token(headers, waiting.delivery),
        device=None if is_program else delivery.device(headers),
        remembered=delivery.remembered(headers),
    )


def alone_from(
    scope: Scope, delivery: TokenDelivery, origin: Origin, way: Delivery
) -> SignInContext:
    """Return who signs in by one proof that needs no second factor.

    Args:
        scope: the request.
        delivery: reads its cookies.
        origin: where it came from.
        way: how the tokens will be delivered.
    """
    headers = scope["headers"]
    return SignInContext(
        origin, former=delivery.former_token(headers, way), device=delivery.device(headers)
    )


def again_from(
    scope: Scope, delivery: TokenDelivery, origin: Origin, *, is_browser: bool = True
) -> SignInContext:
    """Return who proves again who they are, or adds a factor, in a session that is live.

    Args:
        scope: the request.
        delivery: reads its cookies.
        origin: where it came from.
        is_browser: whether the session has its tokens in cookies; a program has no cookies.
    """
    device = delivery.device(scope["headers"]) if is_browser else None
    return SignInContext(origin, device=device)


async def remember_browser(
    scope: Scope,
    delivery: TokenDelivery,
    opening: Opening,
    waiting: Waiting,
    signed_in: SignedIn,
    origin: Origin,
) -> None:
    """Have this browser remembered by the user who has just signed in, and set its cookie.

    Nothing happens where no browser can be remembered, as after a new proof in a session.
    """
    if not opening.may_remember(waiting):
        return
    if secret := await opening.remember(signed_in, origin):
        delivery.remember(scope, secret, REMEMBERED_FOR)


def credential_in(text: str) -> Credential:
    """Return what a passkey has answered, from the field of a form.

    Raises:
        InvalidPasskey: it is no JSON object.
    """
    try:
        credential = strict_json.parse(text.encode())
    except ValueError as error:
        raise InvalidPasskey("the answer is no JSON") from error
    if not isinstance(credential, dict):
        raise InvalidPasskey("the answer is no object")
    return credential
