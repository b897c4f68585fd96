"""The JSON routes of sign-up, sign-in, and changing the password."""

from typing import Annotated, Any

from pydantic import Field
from starlette.requests import Request as HttpRequest

from gatelodge.accounts.refusals import (
    EmailTaken,
    InvalidEmail,
    InvalidName,
    InvalidUsername,
    RoleNotGrantable,
    SignUpClosed,
    UnknownRole,
    UsernameTaken,
)
from gatelodge.accounts.service import NewUser
from gatelodge.audit import Origin
from gatelodge.credentials.refusals import (
    HashingBusy,
    InvalidPasskey,
    PasskeysOff,
    ReauthenticationRequired,
    RejectedPassword,
    TooManyAttempts,
    UnknownPasskey,
    WrongFactorCode,
    WrongPassword,
)
from gatelodge.credentials.second_factors import CodeFactor
from gatelodge.errors import InvalidRequest
from gatelodge.gate.rules import ANYBODY, SIGNED_IN, SIGNED_IN_SO_FAR
from gatelodge.letters.refusals import NoMail
from gatelodge.proofs.invitations import Invitations
from gatelodge.proofs.refusals import (
    EmailNotVerified,
    InvalidCode,
    InvitationInUse,
    PasswordMustChange,
)
from gatelodge.sessions.doors import CallerRecords, keep_device
from gatelodge.sessions.known_devices import KnownDevices
from gatelodge.sessions.service import SignedIn
from gatelodge.sign_in.by_code import CodeSignIn
from gatelodge.sign_in.by_passkey import PasskeySignIn
from gatelodge.sign_in.challenges import require_signed_in
from gatelodge.sign_in.doors import again_from, alone_from, coming_from, remember_browser
from gatelodge.sign_in.opening import Opening
from gatelodge.sign_in.passkey_sign_up import PasskeySignUp
from gatelodge.sign_in.refusals import (
    ChallengeOver,
    InvalidCredentials,
    SecondFactorRequired,
    SignInByCodeOff,
    SignUpByPasskeyOff,
)
from gatelodge.sign_in.service import SignInService
from gatelodge.tokens.pair import Delivery
from gatelodge.web.bodies import Answer, Identifier, Message, Request
from gatelodge.web.caller import From, language_of
from gatelodge.web.cookies import Delivering, TokenDelivery
from gatelodge.web.described import Description
from gatelodge.web.door import Door
from gatelodge.web.services import Provided, service_of

door = Door("/api/auth", tag="sign-in")
well_known_door = Door("/.well-known", tag="sign-in")

ByCode = Annotated[CodeSignIn, Provided(CodeSignIn)]
SignIn = Annotated[SignInService, Provided(SignInService)]
PasskeySigningUp = Annotated[PasskeySignUp, Provided(PasskeySignUp)]
Opens = Annotated[Opening, Provided(Opening)]
ByPasskey = Annotated[PasskeySignIn, Provided(PasskeySignIn)]

_LETTER_SENT = "A letter with a code is on its way."
_CODE_SENT = "If this address belongs to an account, a letter with a code is on its way."


_SIGNED_IN = {
    "id": "usr_06f4h2k9c0q1v8d3n5b7t2m4s6r8p0a1e3gi",
    "username": "ann",
    "email": "ann@example.com",
    "roles": ["ROLE_USER"],
    "accessToken": "eyJ…",
    "refreshToken": "rt_…",
}
_OF_SECOND_FACTOR = (
    ChallengeOver,
    WrongFactorCode,
    PasswordMustChange,
    TooManyAttempts,
    HashingBusy,
)


class SignUpRequest(Request):
    """The values for a new user."""

    username: Identifier = Field(max_length=256, examples=["ann"])
    email: Identifier = Field(max_length=320, examples=["ann@example.com"])
    password: str = Field(max_length=1024, examples=["correct horse battery"])
    roles: list[Annotated[str, Field(max_length=64)]] | None = Field(default=None, max_length=16)
    delivery: Delivery | None = Field(
        default=None,
        description="Open a session too. `bearer`: tokens in the answer. `cookie`: in HttpOnly "
        "cookies only.",
    )


class InvitationRequest(Request):
    """The secret of an invitation, and the values for the new user."""

    token: str = Field(max_length=256, examples=["MDZmNGgy….9vX…"])
    username: Identifier = Field(max_length=256, examples=["ann"])
    password: str = Field(max_length=1024, examples=["correct horse battery"])
    name: str = Field(default="", max_length=1024, examples=["Ann Lee"])
    delivery: Delivery | None = Field(
        default=None,
        description="Open a session too. `bearer`: tokens in the answer. `cookie`: in HttpOnly "
        "cookies only.",
    )


class SignUpAnswer(Message):
    """What was done; also what this program needs for the code in the letter, if one was sent."""

    request: str | None = None


class SignInRequest(Request):
    """A username or an e-mail address, and a password."""

    username: Identifier = Field(
        max_length=1024, examples=["ann"], description="The username, or the e-mail address."
    )
    password: str = Field(max_length=1024, examples=["correct horse battery"])
    delivery: Delivery | None = Field(
        default=None,
        description="`bearer`: tokens in the answer. `cookie`: in HttpOnly cookies only.",
    )


class CodeRequest(Request):
    """An e-mail address; or the code that was sent there, with the `request` of that answer."""

    email: Identifier | None = Field(default=None, max_length=320, examples=["ann@example.com"])
    request: str | None = Field(default=None, max_length=256)
    code: str | None = Field(default=None, max_length=32, examples=["K7PQ-X4MD"])
    delivery: Delivery | None = Field(
        default=None,
        description="`bearer`: tokens in the answer. `cookie`: in HttpOnly cookies only.",
    )


class CodeSentAnswer(Message):
    """What was done, and what this program needs for the code in the letter."""

    request: str = Field(description="Send it with the code that the reader types.")


class SignInAnswer(Answer):
    """The user who is signed in; also the tokens, unless cookies carry them."""

    id: str
    username: str
    email: str
    roles: list[str] = Field(examples=[["ROLE_USER"]])
    access_token: str | None = None
    refresh_token: str | None = None


class PasswordRequest(Request):
    """The current password, and the new one."""

    current_password: str = Field(max_length=1024)
    new_password: str = Field(max_length=1024)


class FactorCodeRequest(Request):
    """What a sign-in has answered, and a code of the second factor."""

    challenge: str = Field(max_length=256, examples=["chl_06f4h2k9….9vX…"])
    code: str = Field(max_length=64, examples=["492039"])
    remember: bool = Field(
        default=False,
        description="Ask for no second factor in this browser for 30 days: sets a cookie.",
    )


class PasskeyOptionsRequest(Request):
    """What a passkey is asked for."""

    challenge: str | None = Field(
        default=None,
        max_length=256,
        description="That of a sign-in which waits for its second factor; else any passkey.",
    )


class PasskeyOptionsAnswer(Answer):
    """What a browser is asked for a passkey."""

    challenge: str = Field(description="Send it back with what the browser answers.")
    public_key: dict[str, Any] = Field(
        description="For `PublicKeyCredential.parseRequestOptionsFromJSON`."
    )


class PasskeyRequest(Request):
    """What a browser has answered for a passkey."""

    challenge: str = Field(max_length=256)
    credential: dict[str, Any] = Field(
        description="What `toJSON()` of the credential gives.",
        examples=[{"id": "…", "type": "public-key"}],
    )
    remember: bool = Field(
        default=False,
        description="Ask for no second factor in this browser for 30 days: sets a cookie.",
    )
    delivery: Delivery | None = Field(
        default=None,
        description="`bearer`: tokens in the answer. `cookie`: in HttpOnly cookies only.",
    )


class RelatedOriginsAnswer(Answer):
    """The origins that browsers let use the passkeys of this site."""

    origins: list[str] = Field(examples=[["https://id.example.com"]])


class PasskeySignUpOptionsRequest(Request):
    """The names of a new user who has a passkey in place of a password."""

    username: Identifier = Field(max_length=256, examples=["ann"])
    email: Identifier = Field(max_length=320, examples=["ann@example.com"])


class PasskeySignUpRequest(PasskeySignUpOptionsRequest):
    """The same, with the passkey that a browser has made."""

    challenge: str = Field(max_length=256)
    credential: dict[str, Any] = Field(
        description="What `toJSON()` of the credential gives.",
        examples=[{"id": "…", "type": "public-key"}],
    )
    delivery: Delivery | None = Field(
        default=None,
        description="Open a session too. `bearer`: tokens in the answer. `cookie`: in HttpOnly "
        "cookies only.",
    )


class PasskeySignUpAnswer(SignUpAnswer):
    """What was done; the recovery codes, shown once; also the tokens, unless cookies carry them."""

    recovery_codes: list[str]
    access_token: str | None = None
    refresh_token: str | None = None


class AgainRequest(Request):
    """One proof: the password, the code from a letter with its `request`, or a passkey."""

    password: str | None = Field(default=None, max_length=1024)
    request: str | None = Field(default=None, max_length=256)
    code: str | None = Field(default=None, max_length=32, examples=["K7PQ-X4MD"])
    challenge: str | None = Field(default=None, max_length=256)
    credential: dict[str, Any] | None = None


class PasswordAnswer(Answer):
    """What was done; also new tokens, unless cookies carry them."""

    message: str
    access_token: str | None = None
    refresh_token: str | None = None


@door.post(
    "/signup",
    rule=ANYBODY,
    told=Description(
        "Sign up",
        takes={
            "username": "ann",
            "email": "ann@example.com",
            "password": "correct horse battery",
        },
        gives={"message": "User was registered successfully!"},
    ),
    refuses=(
        InvalidUsername,
        InvalidEmail,
        RejectedPassword,
        UsernameTaken,
        EmailTaken,
        UnknownRole,
        RoleNotGrantable,
        SignUpClosed,
        TooManyAttempts,
        HashingBusy,
        InvalidCredentials,
    ),
    response_model_exclude_none=True,
)
async def sign_up(
    request: HttpRequest,
    body: SignUpRequest,
    service: SignIn,
    handing: Delivering,
    origin: From,
) -> SignUpAnswer | SignInAnswer:
    """Create a user, with the role `user`. Other roles are refused.

    `username` has 3 to 32 characters: letters a to z, digits, `.`, `-` and `_`. Names that differ
    only in upper and lower case are the same name. `password` is at most 256 characters long.

    With `delivery`, the new user is signed in: the answer is that of `POST /api/auth/signin`. On a
    server where the address must be verified first, nobody is signed in yet: the answer has
    `request`, which works together with the code in the letter (`POST /api/auth/email/verify`).
    """
    wanted = NewUser(
        body.username,
        body.email,
        body.password,
        body.roles or (),
        language=language_of(request),
    )
    former = body.delivery and handing.former_token(request.scope["headers"], body.delivery)
    made = await service.sign_up(wanted, body.delivery, origin, former=former)
    if made.session is None:
        required = service.verification.mode == "required"  # else the tutorial's answer stays
        request_of_letter = made.request if required else None
        return SignUpAnswer(message="User was registered successfully!", request=request_of_letter)
    return _signed_in(request, handing, made.session)


@door.post(
    "/signup/passkey/options",
    rule=ANYBODY,
    told=Description(
        "Ask for a passkey to sign up with",
        takes={"username": "ann", "email": "ann@example.com"},
        gives={"challenge": "usr_06f4h2k9….9vX…", "publicKey": {"challenge": "…"}},
    ),
    refuses=(
        SignUpByPasskeyOff,
        PasskeysOff,
        InvalidUsername,
        InvalidEmail,
        UsernameTaken,
        EmailTaken,
        UnknownRole,
        SignUpClosed,
        TooManyAttempts,
    ),
)
async def ask_to_sign_up(
    body: PasskeySignUpOptionsRequest, service: PasskeySigningUp, origin: From
) -> PasskeyOptionsAnswer:
    """Return what `navigator.credentials.create` is asked for a new user without a password.

    It works once, for 5 minutes. Nothing is stored.
    """
    question = await service.ask(NewUser(body.username, body.email), origin)
    return PasskeyOptionsAnswer(challenge=question.text, public_key=dict(question.options))


@door.post(
    "/signup/passkey",
    rule=ANYBODY,
    told=Description(
        "Sign up with a passkey",
        takes={
            "username": "ann",
            "email": "ann@example.com",
            "challenge": "usr_06f4h2k9….9vX…",
            "credential": {"id": "…", "type": "public-key"},
        },
        gives={
            "message": "User was registered successfully!",
            "recoveryCodes": ["K7PQ-X4MD-9TRW-2HJK-M3NP-Q8VC"],
        },
    ),
    refuses=(
        SignUpByPasskeyOff,
        PasskeysOff,
        InvalidPasskey,
        InvalidUsername,
        InvalidEmail,
        UsernameTaken,
        EmailTaken,
        SignUpClosed,
        InvalidCredentials,
    ),
    response_model_exclude_none=True,
)
async def sign_up_by_passkey(
    http: HttpRequest,
    body: PasskeySignUpRequest,
    service: PasskeySigningUp,
    handing: Delivering,
    origin: From,
) -> PasskeySignUpAnswer:
    """Create a user with the passkey that a browser has made, and no password.

    The ten recovery codes are shown once. With `delivery`, the new user is signed in, unless the
    address must be verified first.
    """
    wanted = NewUser(body.username, body.email, language=language_of(http))
    at = alone_from(http.scope, handing, origin, body.delivery or "bearer")
    made = await service.sign_up(body.challenge, body.credential, wanted, "", body.delivery, at)
    session = made.signed_up.session
    return PasskeySignUpAnswer(
        message="User was registered successfully!",
        recovery_codes=made.codes,
        request=made.signed_up.request if service.verification.mode == "required" else None,
        **({} if session is None else _tokens_for_device(http, handing, session)),
    )


@door.post(
    "/invitation",
    rule=ANYBODY,
    told=Description(
        "Accept an invitation",
        takes={
            "token": "MDZmNGgy….9vX…",
            "username": "ann",
            "password": "correct horse battery",
            "name": "Ann Lee",
        },
        gives={"message": "User was registered successfully!"},
    ),
    refuses=(
        InvalidCode,
        InvalidUsername,
        RejectedPassword,
        InvalidName,
        UsernameTaken,
        TooManyAttempts,
        InvitationInUse,
        HashingBusy,
        InvalidCredentials,
    ),
    response_model_exclude_none=True,
)
async def accept_invitation(
    request: HttpRequest,
    body: InvitationRequest,
    invitations: Annotated[Invitations, Provided(Invitations)],
    service: SignIn,
    handing: Delivering,
    origin: From,
) -> SignUpAnswer | SignInAnswer:
    """Create the user who was invited by a letter, also where nobody else may sign up.

    `token` is from the link of the letter. The address and the roles are those of the invitation,
    and the address counts as verified. With `delivery`, the new user is signed in.
    """
    wanted = NewUser(
        body.username, "", body.password, name=body.name, language=language_of(request)
    )
    former = body.delivery and handing.former_token(request.scope["headers"], body.delivery)
    user = await invitations.accept(body.token, wanted, origin)
    if body.delivery is None:
        return SignUpAnswer(message="User was registered successfully!")
    signed_in = await service.open_first(user, body.delivery, origin, former=former)
    return _signed_in(request, handing, signed_in)


@door.post(
    "/signin",
    rule=ANYBODY,
    told=Description(
        "Sign in",
        takes={"username": "ann", "password": "correct horse battery"},
        gives=_SIGNED_IN,
    ),
    refuses=(
        InvalidCredentials,
        SecondFactorRequired,
        EmailNotVerified,
        PasswordMustChange,
        TooManyAttempts,
        HashingBusy,
    ),
    response_model_exclude_none=True,
)
async def sign_in(
    request: HttpRequest, body: SignInRequest, service: SignIn, handing: Delivering, origin: From
) -> SignInAnswer:
    """Open a session, and return its two tokens.

    `delivery` says how they come: `bearer` in the answer, `cookie` in cookies only. An unknown
    user, a wrong password and a disabled user get the same refusal, in the same time. Whoever has a
    second factor gets 401 `second_factor_required` with `challenge` and `methods`, and no token.
    """
    delivery = body.delivery or handing.default
    former = handing.former_token(request.scope["headers"], delivery)
    outcome = await service.sign_in(
        body.username,
        body.password,
        delivery,
        origin,
        former=former,
        device=handing.device(request.scope["headers"]),
        remembered=handing.remembered(request.scope["headers"]),
    )
    return _signed_in(request, handing, require_signed_in(outcome))


@door.post(
    "/signin/code",
    rule=ANYBODY,
    told=Description(
        "Sign in by e-mail",
        takes={"email": "ann@example.com"},
        gives={"message": _CODE_SENT, "request": "ltr_06f4h2k9c0q1v8d3n5b7t2m4s6r8p0a1e3gi.9vX…"},
    ),
    refuses=(
        InvalidEmail,
        InvalidCode,
        SecondFactorRequired,
        PasswordMustChange,
        SignInByCodeOff,
        NoMail,
        TooManyAttempts,
    ),
    response_model_exclude_none=True,
)
async def sign_in_by_code(
    http: HttpRequest, body: CodeRequest, service: ByCode, handing: Delivering, origin: From
) -> CodeSentAnswer | SignInAnswer:
    """Sign in with a code from a letter, in two requests, where the server allows it.

    With `email`, a letter is sent if the address belongs to an account. The answer is the same for
    every address, after the same time. With `request` from that answer and `code` from the letter,
    within 10 minutes, the answer is that of `POST /api/auth/signin`. Five codes may be tried. The
    address counts as verified.
    """
    if body.email is not None and body.request is None and body.code is None:
        request = await service.ask(body.email, language_of(http), origin)
        return CodeSentAnswer(message=_CODE_SENT, request=request)
    if body.email is not None or body.request is None or body.code is None:
        raise InvalidRequest("Send either email, or request and code.", field="email")
    delivery = body.delivery or handing.default
    outcome = await service.sign_in(
        body.request,
        body.code,
        delivery,
        origin,
        former=handing.former_token(http.scope["headers"], delivery),
        device=handing.device(http.scope["headers"]),
        remembered=handing.remembered(http.scope["headers"]),
    )
    return _signed_in(http, handing, require_signed_in(outcome))


@door.post(
    "/signin/totp",
    rule=ANYBODY,
    told=Description(
        "Finish a sign-in by an authenticator app",
        takes={"challenge": "chl_06f4h2k9….9vX…", "code": "492039"},
        gives=_SIGNED_IN,
    ),
    refuses=_OF_SECOND_FACTOR,
    response_model_exclude_none=True,
)
async def finish_by_totp(
    http: HttpRequest, body: FactorCodeRequest, opening: Opens, handing: Delivering, origin: From
) -> SignInAnswer:
    """Finish a sign-in that answered `second_factor_required`, by a code of an authenticator app.

    `challenge` is from that answer; it works for 10 minutes, and once. A wrong code leaves it: five
    wrong codes in five minutes block the second factor for a while. With `remember`, nothing but
    the password is asked for in this browser for 30 days.
    """
    return await _finish(http, body, "totp", opening, handing, origin)


@door.post(
    "/signin/recovery",
    rule=ANYBODY,
    told=Description(
        "Finish a sign-in by a recovery code",
        takes={
            "challenge": "chl_06f4h2k9….9vX…",
            "code": "K7PQ-X4MD-9TRW-2HJK-M3NP-Q8VC",
        },
        gives=_SIGNED_IN,
    ),
    refuses=_OF_SECOND_FACTOR,
    response_model_exclude_none=True,
)
async def finish_by_recovery_code(
    http: HttpRequest, body: FactorCodeRequest, opening: Opens, handing: Delivering, origin: From
) -> SignInAnswer:
    """Finish a sign-in that answered `second_factor_required`, by a recovery code.

    Each recovery code works once. Otherwise as `POST /api/auth/signin/totp`.
    """
    return await _finish(http, body, "recovery_code", opening, handing, origin)


async def _finish(
    http: HttpRequest,
    body: FactorCodeRequest,
    kind: CodeFactor,
    opening: Opening,
    handing: TokenDelivery,
    origin: Origin,
) -> SignInAnswer:
    waiting = await opening.challenges.find(body.challenge)
    at = coming_from(http.scope, handing, origin, waiting)
    signed_in = await opening.finish_by_code(waiting, kind, body.code, at)
    if body.remember:
        await remember_browser(http.scope, handing, opening, waiting, signed_in, origin)
    return _signed_in(http, handing, signed_in)


@door.post(
    "/signin/passkey/options",
    rule=ANYBODY,
    told=Description(
        "Ask a browser for a passkey",
        takes={"challenge": "chl_06f4h2k9….9vX…"},
        gives={"challenge": "chl_06f4h2k9….9vX…", "publicKey": {"challenge": "…"}},
    ),
    refuses=(ChallengeOver, PasskeysOff),
)
async def ask_for_passkey(
    body: PasskeyOptionsRequest, service: ByPasskey, opening: Opens
) -> PasskeyOptionsAnswer:
    """Return what `navigator.credentials.get` is asked. It works once, for 5 minutes.

    Without `challenge`, any passkey of this site signs its owner in: it must verify its user by a
    PIN or a finger. With the `challenge` of a sign-in that answered `second_factor_required`, one
    of that user's passkeys finishes it.
    """
    if body.challenge is None:
        question = service.ask()
    else:
        waiting = await opening.challenges.find(body.challenge)
        question = service.ask_second(waiting, body.challenge)
    return PasskeyOptionsAnswer(challenge=question.text, public_key=dict(question.options))


@door.post(
    "/signin/passkey",
    rule=ANYBODY,
    told=Description(
        "Sign in by a passkey",
        takes={
            "challenge": "chl_06f4h2k9….9vX…",
            "credential": {"id": "…", "type": "public-key"},
        },
        gives=_SIGNED_IN,
    ),
    refuses=(
        InvalidPasskey,
        UnknownPasskey,
        PasskeysOff,
        ChallengeOver,
        EmailNotVerified,
        PasswordMustChange,
        TooManyAttempts,
    ),
    response_model_exclude_none=True,
)
async def sign_in_by_passkey(
    http: HttpRequest,
    body: PasskeyRequest,
    service: ByPasskey,
    opening: Opens,
    handing: Delivering,
    origin: From,
) -> SignInAnswer:
    """Sign in by a passkey: alone, or as the second factor of a sign-in that waits.

    `challenge` is that of `POST /api/auth/signin/passkey/options`, and `credential` is what
    `toJSON()` of the browser's answer gives. `delivery` counts for a passkey alone.
    """
    try:
        waiting = await opening.challenges.find(body.challenge)
    except ChallengeOver:
        delivery = body.delivery or handing.default
        alone = alone_from(http.scope, handing, origin, delivery)
        signed_in = await service.sign_in(body.challenge, body.credential, delivery, alone)
        return _signed_in(http, handing, signed_in)
    at = coming_from(http.scope, handing, origin, waiting)
    signed_in = await service.finish(waiting, body.challenge, body.credential, at)
    if body.remember:
        await remember_browser(http.scope, handing, opening, waiting, signed_in, origin)
    return _signed_in(http, handing, signed_in)


@well_known_door.get(
    "/webauthn",
    rule=ANYBODY,
    told=Description(
        "Origins that may use the passkeys of this site",
        gives={"origins": ["https://id.example.com"]},
    ),
    refuses=(PasskeysOff,),
)
async def list_related_origins(service: ByPasskey) -> RelatedOriginsAnswer:
    """Return the origins of `GATELODGE_PASSKEY_ORIGINS` and the server's own.

    Browsers ask for it when a page at another domain wants to use passkeys of this one: WebAuthn
    Level 3, "Using Web Authentication across related origins".
    """
    return RelatedOriginsAnswer(origins=service.origins())


@door.post(
    "/again",
    rule=SIGNED_IN_SO_FAR,
    told=Description(
        "Prove again who I am",
        takes={"password": "correct horse battery"},
        gives={
            "message": "You have proved who you are.",
            "accessToken": "eyJ…",
            "refreshToken": "rt_…",
        },
    ),
    refuses=(
        WrongPassword,
        InvalidCode,
        InvalidPasskey,
        UnknownPasskey,
        PasskeysOff,
        SecondFactorRequired,
        EmailNotVerified,
        PasswordMustChange,
        SignInByCodeOff,
        TooManyAttempts,
        HashingBusy,
    ),
    response_model_exclude_none=True,
)
async def sign_in_again(
    request: HttpRequest,
    body: AgainRequest,
    caller: CallerRecords,
    service: SignIn,
    codes: ByCode,
    passkeys: ByPasskey,
    handing: Delivering,
    origin: From,
) -> PasswordAnswer:
    """Prove again who the caller is, before a change that asks for it.

    Send `password`; or `request` and `code`, after `POST /api/auth/again/code`; or `challenge` and
    `credential`, after `POST /api/auth/signin/passkey/options`. The answer is a new session, with
    new tokens in the body or in cookies, and this one ends. For 5 minutes, what refuses with
    `insufficient_user_authentication` asks nothing. Whoever has a second factor gets
    `second_factor_required`, unless a passkey was shown, and goes on as after
    `POST /api/auth/signin`.
    """
    is_browser = caller.session.delivery == "cookie"
    at = again_from(request.scope, handing, origin, is_browser=is_browser)
    match body:
        case AgainRequest(password=str(password), request=None, code=None, credential=None):
            outcome = await service.sign_in_again(caller, password, origin, device=at.device)
        case AgainRequest(password=None, request=str(half), code=str(code), credential=None):
            outcome = await codes.sign_in_again(caller, half, code, origin, device=at.device)
        case AgainRequest(password=None, code=None, challenge=str(text), credential=dict(answer)):
            outcome = await passkeys.sign_in_again(caller, text, answer, at)
        case _:
            raise InvalidRequest(
                "Send either password, or request and code, or challenge and credential.",
                field="password",
            )
    signed_in = require_signed_in(outcome)
    return PasswordAnswer(
        message="You have proved who you are.", **_tokens(request, handing, signed_in)
    )


@door.post(
    "/again/code",
    rule=SIGNED_IN_SO_FAR,
    told=Description(
        "Ask for a code to prove again who I am",
        gives={"message": _LETTER_SENT, "request": "ltr_06f4h2k9c0q1v8d3n5b7t2m4s6r8p0a1e3gi.9vX…"},
    ),
    refuses=(SignInByCodeOff, NoMail, TooManyAttempts),
)
async def send_code_again(
    http: HttpRequest, caller: CallerRecords, service: ByCode, origin: From
) -> CodeSentAnswer:
    """Have a letter with a code sent to the caller's address, where the server allows it."""
    request = await service.ask_again(caller, language_of(http), origin)
    return CodeSentAnswer(message=_LETTER_SENT, request=request)


@door.post(
    "/password",
    rule=SIGNED_IN,
    told=Description(
        "Change my password",
        takes={
            "currentPassword": "correct horse battery",
            "newPassword": "eight wild geese at dawn",
        },
        gives={
            "message": "The password was changed. Every other session has ended.",
            "accessToken": "eyJ…",
            "refreshToken": "rt_…",
        },
    ),
    refuses=(
        WrongPassword,
        ReauthenticationRequired,
        RejectedPassword,
        TooManyAttempts,
        HashingBusy,
    ),
    response_model_exclude_none=True,
)
async def change_password(
    request: HttpRequest,
    body: PasswordRequest,
    caller: CallerRecords,
    service: SignIn,
    handing: Delivering,
    origin: From,
) -> PasswordAnswer:
    """Change the caller's password. All other sessions of the user end.

    A bearer session goes on, with the tokens that it has or those of the answer. A cookie session
    is replaced by a new one, in new cookies.
    """
    signed_in = await service.change_password(
        caller, body.current_password, body.new_password, origin
    )
    return PasswordAnswer(
        message="The password was changed. Every other session has ended.",
        **_tokens(request, handing, signed_in),
    )


def _signed_in(request: HttpRequest, handing: TokenDelivery, signed_in: SignedIn) -> SignInAnswer:
    """Return the answer to somebody who is signed in, and set the cookies if they are used."""
    user = signed_in.user
    return SignInAnswer(
        id=user.id,
        username=user.username,
        email=user.email,
        roles=[f"ROLE_{role.upper()}" for role in user.roles],
        **_tokens_for_device(request, handing, signed_in),
    )


def _tokens_for_device(
    request: HttpRequest, handing: TokenDelivery, signed_in: SignedIn
) -> dict[str, str]:
    """Do what `_tokens` does. If cookies are used, this browser counts as a known device, too."""
    if handing.uses_cookies(signed_in.tokens.delivery):
        known = service_of(request, KnownDevices)
        keep_device(request.scope, handing, known, signed_in.user)
    return _tokens(request, handing, signed_in)


def _tokens(request: HttpRequest, handing: TokenDelivery, signed_in: SignedIn) -> dict[str, str]:
    """Set the cookies if the delivery uses them; return the tokens for the body, or nothing."""
    if not handing.after_sign_in(request.scope, signed_in.tokens):
        return {}
    return {
        "access_token": signed_in.tokens.access_token,
        "refresh_token": signed_in.tokens.refresh_token,
    }
