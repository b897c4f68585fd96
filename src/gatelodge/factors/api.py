"""The JSON routes of the caller's own factors."""

from datetime import datetime
from typing import Annotated, Any

from pydantic import Field
from starlette.requests import Request as HttpRequest

from gatelodge.accounts.refusals import InvalidName
from gatelodge.audit import Origin
from gatelodge.credentials.factors import Factor, Factors, counting
from gatelodge.credentials.refusals import (
    HashingBusy,
    InvalidPasskey,
    PasskeysOff,
    ReauthenticationRequired,
    TooManyAttempts,
    WrongFactorCode,
)
from gatelodge.factors.refusals import (
    EnrolmentOver,
    LastSecondFactor,
    NoSecondFactor,
    NoSuchFactor,
    PasskeyTaken,
    SecondFactorsOff,
    TooManyFactors,
)
from gatelodge.factors.service import Enrolled, FactorService
from gatelodge.gate.rules import SIGNED_IN, SIGNED_IN_SO_FAR
from gatelodge.sessions.doors import CallerRecords
from gatelodge.sessions.lookup import Records
from gatelodge.sign_in.doors import again_from
from gatelodge.sign_in.opening import SignInContext
from gatelodge.web.bodies import Answer, Identifier, Request
from gatelodge.web.caller import From
from gatelodge.web.cookies import Delivering, TokenDelivery
from gatelodge.web.described import Description
from gatelodge.web.door import Door
from gatelodge.web.services import Provided

door = Door("/api/auth/factors", tag="factors")

Service = Annotated[FactorService, Provided(FactorService)]

_ID = "fac_06f4h2k9c0q1v8d3n5b7t2m4s6r8p0a1e3gi"


class FactorShown(Answer):
    """One factor of the caller."""

    id: str
    kind: str = Field(description="`totp`, `passkey`, `recovery_codes` or `browser`.")
    name: str = Field(description="What the user calls it; of a browser, its `User-Agent`.")
    created_at: datetime
    last_used_at: datetime | None = None
    expires_at: datetime | None = Field(
        default=None, description="Of a browser: until when it is remembered."
    )
    left: int | None = Field(
        default=None, description="Of recovery codes: how many were not used yet."
    )
    synced: bool | None = Field(
        default=None, description="Of a passkey: whether it is copied to other devices."
    )


class FactorsAnswer(Answer):
    """All factors of the caller."""

    items: list[FactorShown]
    required: bool = Field(description="Whether the caller must have a second factor.")


class NewAppAnswer(Answer):
    """What an authenticator app needs."""

    enrolment: str = Field(description="Send it back with the first code.")
    secret: str = Field(description="The secret, to be typed into the app.")
    uri: str = Field(description="The `otpauth:` address, to be shown as a QR code.")


class ConfirmRequest(Request):
    """The first code of a new authenticator app."""

    enrolment: str = Field(max_length=256)
    code: str = Field(max_length=64, examples=["492039"])
    name: Identifier = Field(default="", max_length=256, examples=["Phone"])


class PasskeyOptionsAnswer(Answer):
    """What a browser is asked to make a passkey."""

    challenge: str = Field(description="Send it back with what the browser answers.")
    public_key: dict[str, Any] = Field(
        description="For `PublicKeyCredential.parseCreationOptionsFromJSON`."
    )


class PasskeyRequest(Request):
    """The passkey that a browser has made."""

    challenge: str = Field(max_length=256)
    credential: dict[str, Any] = Field(
        description="What `toJSON()` of the credential gives.",
        examples=[{"id": "…", "type": "public-key"}],
    )
    name: Identifier = Field(default="", max_length=256, examples=["MacBook"])


class NameRequest(Request):
    """Another name for a factor."""

    name: Identifier = Field(max_length=256, examples=["Phone"])


class CodesAnswer(Answer):
    """New recovery codes. They are shown once."""

    codes: list[str]


class EnrolledAnswer(Answer):
    """The factor that was added; also the tokens of the new session, unless cookies carry them."""

    factor: FactorShown
    recovery_codes: list[str] | None = Field(
        default=None, description="With the first factor: ten codes, shown once."
    )
    access_token: str | None = None
    refresh_token: str | None = None


_FACTOR = {
    "id": _ID,
    "kind": "totp",
    "name": "Phone",
    "createdAt": "2026-01-31T12:00:00Z",
    "lastUsedAt": "2026-01-31T12:00:00Z",
}


@door.get(
    "",
    rule=SIGNED_IN_SO_FAR,
    told=Description("My factors", gives={"items": [_FACTOR], "required": False}),
    response_model_exclude_none=True,
)
async def list_factors(caller: CallerRecords, service: Service) -> FactorsAnswer:
    """Return the caller's authenticator apps, passkeys, recovery codes and remembered browsers."""
    return _all(caller, caller.user.factors, service)


@door.post(
    "/totp",
    rule=SIGNED_IN_SO_FAR,
    told=Description(
        "Set up an authenticator app",
        gives={
            "enrolment": "9vX…",
            "secret": "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP",
            "uri": "otpauth://totp/Gatelodge:ann?secret=JBSWY3DP…&issuer=Gatelodge",
        },
    ),
    refuses=(SecondFactorsOff, ReauthenticationRequired),
)
async def begin_totp(caller: CallerRecords, service: Service) -> NewAppAnswer:
    """Return a new secret for an authenticator app. It counts when its first code was sent."""
    app = await service.begin_totp(caller)
    return NewAppAnswer(enrolment=app.text, secret=app.secret, uri=app.address)


@door.post(
    "/totp/confirm",
    rule=SIGNED_IN_SO_FAR,
    told=Description(
        "Confirm an authenticator app",
        takes={"enrolment": "9vX…", "code": "492039", "name": "Phone"},
        gives={
            "factor": _FACTOR,
            "recoveryCodes": ["K7PQ-X4MD-9TRW-2HJK-M3NP-Q8VC"],
            "accessToken": "eyJ…",
            "refreshToken": "rt_…",
        },
    ),
    refuses=(
        EnrolmentOver,
        WrongFactorCode,
        InvalidName,
        SecondFactorsOff,
        ReauthenticationRequired,
        TooManyFactors,
        TooManyAttempts,
        HashingBusy,
    ),
    response_model_exclude_none=True,
)
async def confirm_totp(
    http: HttpRequest,
    body: ConfirmRequest,
    caller: CallerRecords,
    service: Service,
    handing: Delivering,
    origin: From,
) -> EnrolledAnswer:
    """Add the authenticator app that shows this code, within 10 minutes.

    A new session with two factors takes the place of this one. With the first factor come ten
    recovery codes.
    """
    at = _comes(http, caller, handing, origin)
    enrolled = await service.confirm_totp(caller, body.enrolment, body.code, body.name, at)
    return _enrolled(http, handing, enrolled)


@door.post(
    "/passkey/options",
    rule=SIGNED_IN_SO_FAR,
    told=Description(
        "Ask a browser to make a passkey",
        gives={"challenge": "chl_06f4h2k9….9vX…", "publicKey": {"challenge": "…"}},
    ),
    refuses=(SecondFactorsOff, ReauthenticationRequired, PasskeysOff),
)
async def begin_passkey(caller: CallerRecords, service: Service) -> PasskeyOptionsAnswer:
    """Return what `navigator.credentials.create` is asked. It works once, for 5 minutes."""
    question = service.begin_passkey(caller)
    return PasskeyOptionsAnswer(challenge=question.text, public_key=dict(question.options))


@door.post(
    "/passkey",
    rule=SIGNED_IN_SO_FAR,
    told=Description(
        "Add a passkey",
        takes={
            "challenge": "chl_06f4h2k9….9vX…",
            "credential": {"id": "…", "type": "public-key"},
            "name": "MacBook",
        },
        gives={
            "factor": _FACTOR | {"kind": "passkey", "name": "MacBook", "synced": True},
            "accessToken": "eyJ…",
            "refreshToken": "rt_…",
        },
    ),
    refuses=(
        InvalidPasskey,
        PasskeysOff,
        InvalidName,
        SecondFactorsOff,
        ReauthenticationRequired,
        PasskeyTaken,
        TooManyFactors,
    ),
    response_model_exclude_none=True,
)
async def add_passkey(
    http: HttpRequest,
    body: PasskeyRequest,
    caller: CallerRecords,
    service: Service,
    handing: Delivering,
    origin: From,
) -> EnrolledAnswer:
    """Add the passkey that a browser has made.

    Otherwise as `POST /api/auth/factors/totp/confirm`.
    """
    at = _comes(http, caller, handing, origin)
    enrolled = await service.add_passkey(caller, body.challenge, body.credential, body.name, at)
    return _enrolled(http, handing, enrolled)


@door.post(
    "/recovery-codes",
    rule=SIGNED_IN,
    told=Description("Make new recovery codes", gives={"codes": ["K7PQ-X4MD-9TRW-2HJK-M3NP-Q8VC"]}),
    refuses=(ReauthenticationRequired, NoSecondFactor),
)
async def renew_codes(caller: CallerRecords, service: Service, origin: From) -> CodesAnswer:
    """Return ten new recovery codes. Those before are void."""
    return CodesAnswer(codes=await service.renew_codes(caller, origin))


@door.patch(
    "/{factor_id:fac}",
    rule=SIGNED_IN,
    told=Description(
        "Rename a factor",
        takes={"name": "Phone"},
        gives={"items": [_FACTOR], "required": False},
    ),
    refuses=(InvalidName, NoSuchFactor),
    response_model_exclude_none=True,
)
async def rename(
    factor_id: str, body: NameRequest, caller: CallerRecords, service: Service, origin: From
) -> FactorsAnswer:
    """Give a factor another name; return all factors."""
    return _all(caller, await service.rename(caller.user, factor_id, body.name, origin), service)


@door.delete(
    "/{factor_id:fac}",
    rule=SIGNED_IN,
    told=Description("Remove a factor", gives={"items": [], "required": False}),
    refuses=(NoSuchFactor, ReauthenticationRequired, LastSecondFactor),
    response_model_exclude_none=True,
)
async def remove(
    factor_id: str, caller: CallerRecords, service: Service, origin: From
) -> FactorsAnswer:
    """Remove a factor, or forget a remembered browser; return what is left.

    With the last second factor, the recovery codes and the remembered browsers go too.
    """
    return _all(caller, await service.remove(caller, factor_id, origin), service)


def _all(caller: Records, factors: Factors, service: FactorService) -> FactorsAnswer:
    user = caller.user
    shown = [_shown(each) for each in counting(factors, user.epoch, service.clock.now())]
    return FactorsAnswer(items=shown, required=service.policy.requires(user.roles))


def _shown(factor: Factor) -> FactorShown:
    return FactorShown(
        id=factor.id,
        kind=factor.kind,
        name=factor.name,
        created_at=factor.created_at,
        last_used_at=factor.last_used_at,
        expires_at=factor.expires_at,
        left=len(factor.digests) if factor.kind == "recovery_codes" else None,
        synced=factor.synced if factor.kind == "passkey" else None,
    )


def _comes(
    http: HttpRequest, caller: Records, handing: TokenDelivery, origin: Origin
) -> SignInContext:
    """Return who asks."""
    is_browser = caller.session.delivery == "cookie"
    return again_from(http.scope, handing, origin, is_browser=is_browser)


def _enrolled(http: HttpRequest, handing: TokenDelivery, enrolled: Enrolled) -> EnrolledAnswer:
    tokens = enrolled.signed_in.tokens
    in_body = handing.after_sign_in(http.scope, tokens)
    return EnrolledAnswer(
        factor=_shown(enrolled.factor),
        recovery_codes=enrolled.codes or None,
        access_token=tokens.access_token if in_body else None,
        refresh_token=tokens.refresh_token if in_body else None,
    )
