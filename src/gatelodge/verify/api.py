"""The doors for programs that check tokens: proxies that ask each time, and public keys."""

from typing import Annotated
from urllib.parse import quote

from fastapi import Query
from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from gatelodge.gate.gate import Gate
from gatelodge.gate.identity import identity_headers
from gatelodge.gate.refusals import Forbidden
from gatelodge.gate.rules import ANYBODY, SIGNED_IN
from gatelodge.tokens.keys import JWKS_MAX_AGE, SigningKeys
from gatelodge.web.accept import prefers_page
from gatelodge.web.caller import Caller
from gatelodge.web.door import Door
from gatelodge.web.return_address import MAX_CHARACTERS, checked
from gatelodge.web.same_origin import SameOrigin
from gatelodge.web.services import Provided, service_of
from gatelodge.web.shell import MAX_TARGET_BYTES, SET_COOKIES

door = Door("/api/auth", tag="gate")
keys_door = Door(tag="tokens")

SIGN_IN_PAGE = "/sign-in"


def leads_back(request: Request) -> bool:
    """Say whether the browser can be made to come again, so that cookies may be renewed.

    Proxies drop the cookies that a good answer to their question sets, and a refresh token whose
    successor never arrived ends the session when it comes again. Other answers they hand on.
    """
    return _redirects(request) and return_address(request, MAX_TARGET_BYTES) != ""


def to_sign_in(request: Request) -> Response | None:
    """Return the way to the sign-in page for a browser, where the proxy asked for it."""
    if not _redirects(request) or not prefers_page(request.scope["headers"]):
        return None
    public = service_of(request, SameOrigin).public
    location = f"{public}{SIGN_IN_PAGE}"
    if address := return_address(request):
        shown = address.removeprefix(public) if address.startswith(f"{public}/") else address
        location += f"?next={quote(shown, safe='')}"
    return RedirectResponse(location, 302)


def return_address(request: Request, most: int = MAX_CHARACTERS) -> str:
    """Return the address that the proxy was asked for, if a browser may be led back to it.

    It is made of `X-Forwarded-Proto`, `-Host` and `-Uri`, and must be on the public origin or on
    one that is configured: exact values, nothing that looks like them. Else nothing. Nor is
    one returned that is longer than `most`: the sign-in page carries short ones only.
    """
    header = request.headers.get
    origin = _forwarded_origin(header("x-forwarded-proto", ""), header("x-forwarded-host", ""))
    path = checked(header("x-forwarded-uri", ""), most=most)
    known = service_of(request, SameOrigin).origins
    return f"{origin}{path}" if path and origin in known else ""


def _forwarded_origin(scheme: str, host: str) -> str:
    """Return the origin as browsers write it: in lower case, without a default port."""
    scheme, host = scheme.lower(), host.lower()
    default_port = {"http": ":80", "https": ":443"}.get(scheme, "")
    return f"{scheme}://{host.removesuffix(default_port)}"


def _redirects(request: Request) -> bool:
    return request.query_params.get("redirect") == "1"


class Question(BaseModel):
    """What a proxy may ask; a name that is misspelt must not ask for less."""

    model_config = ConfigDict(extra="forbid")

    role: list[str] | None = Field(None, description="Roles of which the caller must hold one.")
    redirect: str | None = Field(
        None, description="`1`: lead a browser to the sign-in page, or back with new cookies."
    )


@door.get(
    "/verify",
    rule=SIGNED_IN,
    refuses=(Forbidden,),
    repeatable=("role",),
    when_signed_out=to_sign_in,
    renews=leads_back,
    response_class=Response,
)
async def verify(
    request: Request,
    caller: Caller,
    asked: Annotated[Question, Query()],
) -> Response:
    """Say who makes a request that a proxy has received; 401 or 403 where nobody may pass.

    The answer names the caller in `X-Auth-User`, `X-Auth-Subject` and `X-Auth-Roles`. Headers of
    these names in the request are never read.
    """
    if SET_COOKIES in request.scope:
        # As it was asked: escapes would make it up to three times as long, and an answer whose
        # headers are too long for the proxy loses the new cookies.
        return Response(
            status_code=307, headers={"Location": return_address(request, MAX_TARGET_BYTES)}
        )
    if asked.role and not any(name in caller.roles for name in asked.role):
        raise Forbidden(caller=caller.subject)
    response = Response()
    # Bytes, as the fast door sends them: a name that folds to ASCII need not be ASCII itself.
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


@keys_door.get("/.well-known/jwks.json", rule=ANYBODY, response_model=PublicKeys)
async def jwks(
    keys: Annotated[SigningKeys, Provided(SigningKeys)],
    gate: Annotated[Gate, Provided(Gate)],
    response: Response,
) -> dict[str, list[dict[str, str]]]:
    """Return the public keys, those that will sign soon and those that signed lately included."""
    published = await keys.ring.published(trusted=gate.feed.catch_up())
    response.headers["Cache-Control"] = f"public, max-age={int(JWKS_MAX_AGE.total_seconds())}"
    response.headers["Cross-Origin-Resource-Policy"] = "cross-origin"
    return {"keys": published}
