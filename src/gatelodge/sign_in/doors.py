"""What the JSON routes and the pages of this room share: who signs in, and remembered browsers."""

from gatelodge import strict_json
from gatelodge.audit import Origin
from gatelodge.credentials.ceremonies import Credential
from gatelodge.credentials.refusals import InvalidPasskey
from gatelodge.sessions.service import SignedIn
from gatelodge.sign_in.challenges import Waiting
from gatelodge.sign_in.opening import REMEMBERED_FOR, From, Opening
from gatelodge.tokens.pair import Delivery
from gatelodge.web.cookies import TokenDelivery
from gatelodge.web.shell import Scope


def coming_from(scope: Scope, delivery: TokenDelivery, origin: Origin, waiting: Waiting) -> From:
    """Return who answers a challenge, as the cookies of the request say."""
    headers = scope["headers"]
    is_program = waiting.in_place_of is not None and waiting.delivery == "bearer"
    return From(
        origin,
        former=delivery.former_token(headers, waiting.delivery),
        device=None if is_program else delivery.device(headers),
        remembered=delivery.remembered(headers),
    )


def alone_from(scope: Scope, delivery: TokenDelivery, origin: Origin, way: Delivery) -> From:
    """Return who signs in by one proof that needs no second factor.

    Args:
        scope: the request.
        delivery: reads its cookies.
        origin: where it came from.
        way: how the tokens will be delivered.
    """
    headers = scope["headers"]
    return From(origin, former=delivery.former_token(headers, way), device=delivery.device(headers))


async def remember_browser(
    scope: Scope, delivery: TokenDelivery, opening: Opening, signed_in: SignedIn, origin: Origin
) -> None:
    """Have this browser remembered by the user who has just signed in, and set its cookie."""
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
