"""The routes for programs that check tokens: forward-auth for proxies, and the public keys."""

from typing import Annotated
from urllib.parse import quote

from fastapi import Query
from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from gatelodge.errors import Refusal
from gatelodge.gate.gate import Gate
from gatelodge.gate.identity import identity_headers, rule_of
from gatelodge.gate.refusals import Forbidden
from gatelodge.gate.rules import ANYBODY, SIGNED_IN
from gatelodge.tokens.keys import JWKS_MAX_AGE, SigningKeys
from gatelodge.web.accept import prefers_page
from gatelodge.web.caller import Caller
from gatelodge.web.cookie_jar import cookie_jar
from gatelodge.web.described import Description
from gatelodge.web.door import Door
from gatelodge.web.public_address import PublicAddress, page_after
from gatelodge.web.return_address import MAX_CHARACTERS, checked
from gatelodge.web.same_origin import SameOrigin, origin_of_host
from gatelodge.web.services import Provided, service_of
from gatelodge.web.shell import MAX_TARGET_BYTES

door = Door("/api/auth", tag="gate")
keys_door = Door(tag="tokens")


def may_renew_cookies(request: Request) -> bool:
    """Say whether this request may renew the caller's cookies.

    A proxy drops the cookies of a 200 answer. The browser would then present its old refresh token
    again, and that ends the session. So the cookies are renewed only if the browser can be
    redirected to the address that it asked for: the proxy passes that answer on, with the cookies.
    """
    return _wants_redirect(request) and return_address(request, MAX_TARGET_BYTES) != ""


def redirect_to_sign_in(request: Request, refusal: Refusal) -> Response | None:
    """Return a redirect to the sign-in page, or None unless the proxy wants one for a browser.

    Whoever is signed in, and held back, is led to the page for the second factor.
    """
    if not _wants_redirect(request) or not prefers_page(request.scope["headers"]):
        return None
    address = service_of(request, PublicAddress)
    public, location = address.origin, f"{address.base}{page_after(refusal)}"
    if asked := return_address(request):
        shown = asked.removeprefix(public) if asked.startswith(f"{public}/") else asked
        location += f"?next={quote(shown, safe='')}"
    return RedirectResponse(location, 302)


def return_address(request: Request, most: int = MAX_CHARACTERS) -> str:
    """Return the address that the browser asked the proxy for, if a redirect may lead to it.

    The address is built from `X-Forwarded-Proto`, `-Host` and `-Uri`. Its origin must equal the
    public origin or a configured one exactly. Otherwise, or if the path is too long, the result is
    empty.

    Args:
        request: the proxy's request.
        most: the maximum length of the path; the sign-in page accepts short ones only.
    """
    header = request.headers.get
    origin = origin_of_host(header("x-forwarded-proto", ""), header("x-forwarded-host", ""))
    path = checked(header("x-forwarded-uri", ""), most=most)
    known = service_of(request, SameOrigin).origins
    return f"{origin}{path}" if path and origin in known else ""


def _wants_redirect(request: Request) -> bool:
    return request.query_params.get("redirect") == "1"


class VerifyQuery(BaseModel):
    """The query of forward-auth; unknown names are refused, so that no typo drops a check."""

    model_config = ConfigDict(extra="forbid")

    role: list[str] | None = Field(None, description="Roles of which the caller must hold one.")
    permission: list[str] | None = Field(
        None, description="Permissions of which the caller must have one."
    )
    redirect: str | None = Field(
        None, description="`1`: lead a browser to the sign-in page, or back with new cookies."
    )


@door.get(
    "/verify",
    rule=SIGNED_IN,
    told=Description(
        "May this request pass?",
        headers={
            "X-Auth-User": "ann",
            "X-Auth-Subject": "usr_06f4h2k9c0q1v8d3n5b7t2m4s6r8p0a1e3gi",
            "X-Auth-Actor": "usr_06f4h2k9c0q1v8d3n5b7t2m4s6r8p0a1e3gi",
            "X-Auth-Roles": "user,moderator",
            "X-Auth-Time": "1772366400",
            "X-Auth-Methods": "pwd",
        },
    ),
    refuses=(Forbidden,),
    repeatable=("role", "permission"),
    when_not_admitted=redirect_to_sign_in,
    renews=may_renew_cookies,
    response_class=Response,
)
async def verify(
    request: Request,
    caller: Caller,
    asked: Annotated[VerifyQuery, Query()],
) -> Response:
    """Say who makes the request that a proxy received; 401 or 403 if it must not pass.

    The answer names the caller in `X-Auth-User`, `X-Auth-Subject` and `X-Auth-Roles`.
    `X-Auth-Actor` is the id of whoever acts: the caller, or an administrator in their place.
    `X-Auth-Time` says when the caller last proved who they are, in seconds since 1970, and
    `X-Auth-Methods` how (RFC 8176). Headers of these names in the request are never read.
    """
    if cookie_jar(request.scope):
        # As it was asked: escapes would make it up to three times as long, and an answer whose
        # headers are too long for the proxy loses the new cookies.
        return Response(
            status_code=307, headers={"Location": return_address(request, MAX_TARGET_BYTES)}
        )
    rule = rule_of(asked.role or (), asked.permission or ())
    rule.check(caller)
    response = Response()
    # Bytes, as in the fast door: the shown username may contain characters other than ASCII.
    response.raw_headers = [*identity_headers(caller), *response.raw_headers]
    return response


class PublicKey(BaseModel):
    """One public key (RFC 7517, RFC 8037)."""

    model_config = ConfigDict(extra="forbid")

    kty: str
    crv: str
    x: str
    kid: str
    use: str
    alg: str


class PublicKeys(BaseModel):
    """The keys that verify our access tokens (RFC 7517, section 5)."""

    keys: list[PublicKey]


@keys_door.get(
    "/.well-known/jwks.json",
    rule=ANYBODY,
    told=Description(
        "The public keys",
        gives={
            "keys": [
                {
                    "kty": "OKP",
                    "crv": "Ed25519",
                    "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
                    "kid": "key_06f4h2k9c0q1v8d3n5b7t2m4s6r8p0a1e3gi",
                    "use": "sig",
                    "alg": "EdDSA",
                }
            ]
        },
    ),
    response_model=PublicKeys,
)
async def jwks(
    keys: Annotated[SigningKeys, Provided(SigningKeys)],
    gate: Annotated[Gate, Provided(Gate)],
    response: Response,
) -> dict[str, list[dict[str, str]]]:
    """Return the public keys, including those that will sign soon or have recently retired.

    Another service verifies access tokens with them (RFC 7517). Keep the answer as long as its
    `Cache-Control` says.
    """
    published = await keys.ring.published(trusted=gate.feed.catch_up())
    response.headers["Cache-Control"] = f"public, max-age={int(JWKS_MAX_AGE.total_seconds())}"
    response.headers["Cross-Origin-Resource-Policy"] = "cross-origin"
    return {"keys": published}
