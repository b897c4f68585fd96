"""The door that hands out public keys."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict
from starlette.responses import Response

from gatelodge.gate.rules import ANYBODY
from gatelodge.tokens.keys import JWKS_MAX_AGE, SigningKeys
from gatelodge.web.door import Door
from gatelodge.web.services import Provided

door = Door(tag="tokens")


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


@door.get("/.well-known/jwks.json", rule=ANYBODY, response_model=PublicKeys)
async def jwks(
    keys: Annotated[SigningKeys, Provided(SigningKeys)], response: Response
) -> dict[str, list[dict[str, str]]]:
    """Return the public keys, those that will sign soon and those that signed lately included."""
    response.headers["Cache-Control"] = f"public, max-age={int(JWKS_MAX_AGE.total_seconds())}"
    response.headers["Cross-Origin-Resource-Policy"] = "cross-origin"
    return keys.jwks()
