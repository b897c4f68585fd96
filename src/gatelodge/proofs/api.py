"""The JSON routes of forgotten passwords and e-mail addresses."""

from typing import Annotated

from pydantic import Field
from starlette.requests import Request as HttpRequest

from gatelodge.accounts.refusals import EmailTaken, InvalidEmail, SignUpClosed, UsernameTaken
from gatelodge.credentials.refusals import (
    HashingBusy,
    ReauthenticationRequired,
    RejectedPassword,
    TooManyAttempts,
    WrongPassword,
)
from gatelodge.errors import InvalidRequest
from gatelodge.gate.rules import ANYBODY, SIGNED_IN
from gatelodge.letters.refusals import NoMail
from gatelodge.proofs.refusals import InvalidCode
from gatelodge.proofs.reset import PasswordReset
from gatelodge.proofs.verification import AddressVerification
from gatelodge.sessions.doors import CallerRecords
from gatelodge.web.bodies import Answer, Identifier, Message, Request
from gatelodge.web.caller import From, language_of
from gatelodge.web.described import Description
from gatelodge.web.door import Door
from gatelodge.web.services import Provided

door = Door("/api/auth", tag="letters")

Reset = Annotated[PasswordReset, Provided(PasswordReset)]
Verification = Annotated[AddressVerification, Provided(AddressVerification)]

_SENT = "If this address belongs to an account, a letter is on its way."
_CODE = "K7PQ-X4MD"
_REQUEST = "ltr_06f4h2k9c0q1v8d3n5b7t2m4s6r8p0a1e3gi.9vX…"


class AddressRequest(Request):
    """An e-mail address."""

    email: Identifier = Field(max_length=320, examples=["ann@example.com"])


class NewAddressRequest(AddressRequest):
    """The address that the caller wants, and the password."""

    password: str | None = Field(
        default=None,
        max_length=1024,
        description="Needed if the caller proved who they are more than 5 minutes ago.",
    )


class LetterAnswer(Message):
    """What was done, and what this program needs for the code in the letter."""

    request: str = Field(description="Send it with the code that the reader types.")


class ProofRequest(Request):
    """The secret of a link; or a code, with the `request` that the asking program got."""

    token: str | None = Field(default=None, max_length=256)
    request: str | None = Field(default=None, max_length=256)
    code: str | None = Field(default=None, max_length=32, examples=[_CODE])


class ResetRequest(ProofRequest):
    """What proves who somebody is, and the new password."""

    password: str = Field(max_length=1024, examples=["eight wild geese at dawn"])


class VerifiedAnswer(Answer):
    """What was done, and the address."""

    message: str
    email: str


@door.post(
    "/password/forgot",
    rule=ANYBODY,
    told=Description(
        "Ask for a new password",
        takes={"email": "ann@example.com"},
        gives={"message": _SENT, "request": _REQUEST},
    ),
    refuses=(InvalidEmail, NoMail, TooManyAttempts),
)
async def forgot(
    http: HttpRequest, body: AddressRequest, service: Reset, origin: From
) -> LetterAnswer:
    """Have a letter sent to whoever has this address.

    The answer is the same for every address, after the same time. The letter has a link, and a code
    that works together with `request`, both for 10 minutes.
    """
    request = await service.ask(body.email, language_of(http), origin)
    return LetterAnswer(message=_SENT, request=request)


@door.post(
    "/password/reset",
    rule=ANYBODY,
    told=Description(
        "Set a new password",
        takes={"request": _REQUEST, "code": _CODE, "password": "eight wild geese at dawn"},
        gives={"message": "The password was changed. Every session has ended."},
    ),
    refuses=(InvalidCode, RejectedPassword, HashingBusy),
)
async def reset(body: ResetRequest, service: Reset, origin: From) -> Message:
    """Set a new password with the link or the code of a letter. Nobody is signed in by that.

    All sessions of the user end. The address counts as verified. The `token` of
    `password_must_change` sets a new password too, and verifies no address.
    """
    link, code = _proof_in(body)
    if link is not None:
        await service.by_link(link, body.password, origin)
    else:
        await service.by_code(*code, body.password, origin)
    return Message(message="The password was changed. Every session has ended.")


@door.post(
    "/email/resend",
    rule=ANYBODY,
    told=Description(
        "Send the letter again",
        takes={"email": "ann@example.com"},
        gives={"message": _SENT, "request": _REQUEST},
    ),
    refuses=(InvalidEmail, NoMail, TooManyAttempts),
)
async def resend(
    http: HttpRequest, body: AddressRequest, service: Verification, origin: From
) -> LetterAnswer:
    """Have a letter sent that verifies this address, if an account or a sign-up waits for it.

    The answer is the same for every address, after the same time. Earlier letters are void.
    """
    request = await service.ask_again(body.email, language_of(http), origin)
    return LetterAnswer(message=_SENT, request=request)


@door.post(
    "/email/verify",
    rule=ANYBODY,
    told=Description(
        "Verify an e-mail address",
        takes={"request": _REQUEST, "code": _CODE},
        gives={"message": "The address is verified.", "email": "ann@example.com"},
    ),
    refuses=(InvalidCode, EmailTaken, UsernameTaken, SignUpClosed),
)
async def verify(body: ProofRequest, service: Verification, origin: From) -> VerifiedAnswer:
    """Verify the address of a letter, with its link or its code, for 24 hours.

    If the letter was about another address for an account, the account has that address now. If it
    was about a sign-up, on a server that tells nobody which addresses have accounts, the user is
    made now.
    """
    link, code = _proof_in(body)
    if link is not None:
        user = await service.by_link(link, origin)
    else:
        user = await service.by_code(*code, origin)
    return VerifiedAnswer(message="The address is verified.", email=user.email)


@door.post(
    "/email",
    rule=SIGNED_IN,
    told=Description(
        "Ask for another e-mail address",
        takes={"email": "ann@example.org", "password": "correct horse battery"},
        gives={"message": "A letter to the new address is on its way.", "request": _REQUEST},
    ),
    refuses=(
        InvalidEmail,
        ReauthenticationRequired,
        WrongPassword,
        NoMail,
        TooManyAttempts,
        HashingBusy,
    ),
)
async def change(
    http: HttpRequest,
    body: NewAddressRequest,
    records: CallerRecords,
    service: Verification,
    origin: From,
) -> LetterAnswer:
    """Have a letter sent to the address that the caller wants. It becomes theirs by its answer.

    The former address gets a letter, too, whose link takes the change back for 7 days. If another
    user has the address, no letter is sent; the answer does not tell.
    """
    request = await service.ask_change(
        records, body.email, body.password, language_of(http), origin
    )
    return LetterAnswer(message="A letter to the new address is on its way.", request=request)


def _proof_in(body: ProofRequest) -> tuple[str | None, tuple[str, str]]:
    """Return the link's secret, or None, and then `request` and code.

    Raises:
        InvalidRequest: the body has neither, or both.
    """
    by_code = body.request is not None and body.code is not None
    if (body.token is None) != by_code or (body.token and (body.request or body.code)):
        raise InvalidRequest("Send either token, or request and code.", field="token")
    return body.token, (body.request or "", body.code or "")
