"""Public keys as JWK: written for other programs, and read strictly before this server uses them.

Only Ed25519 keys (algorithm EdDSA) are accepted, as they sign our tokens. Sources: RFC 7517 (JWK),
RFC 8037 (Ed25519).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from gatelodge.base64url import decode_base64url, encode_base64url

EDDSA = "EdDSA"

_FORM = {"kty": "OKP", "crv": "Ed25519", "alg": EDDSA}
_OPERATIONS = (["verify"], ["sign", "verify"])
PRIVATE_MEMBERS = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})


class InvalidKey(ValueError):
    """The JWK is not an Ed25519 public key for verifying signatures."""


@dataclass(frozen=True, slots=True)
class VerificationKey:
    """A key, and the only algorithm that it is used with (RFC 8725, section 3.1).

    Attributes:
        kid: the id of the key.
        algorithm: the JWS algorithm; the `alg` of a token must equal it exactly.
        key: the public key.
    """

    kid: str
    algorithm: str
    key: Ed25519PublicKey = field(repr=False)

    def verifies(self, message: bytes, signature: bytes) -> bool:
        """Say whether this key made the signature over the message."""
        try:
            self.key.verify(signature, message)
        except InvalidSignature:
            return False
        return True


def public_jwk(kid: str, public_key: bytes) -> dict[str, str]:
    """Return the JWK of an Ed25519 public key of this server (RFC 8037, section 2)."""
    return {
        "kty": "OKP",
        "crv": "Ed25519",
        "x": encode_base64url(public_key),
        "kid": kid,
        "use": "sig",
        "alg": EDDSA,
    }


def read_jwk(jwk: object) -> VerificationKey:
    """Return the verification key that a JWK describes.

    A key with private members is refused: whoever published it gave away the private key. Unknown
    members are ignored (RFC 7517, section 4).

    Raises:
        InvalidKey: the JWK is malformed, not an Ed25519 key, or for another use.
    """
    if not isinstance(jwk, dict):
        raise InvalidKey("a key is a JSON object")
    if any(jwk.get(member) != value for member, value in _FORM.items()):
        raise InvalidKey("kty, crv and alg do not name Ed25519")
    _check_purpose(jwk)
    if PRIVATE_MEMBERS.intersection(jwk):
        raise InvalidKey("the key comes with its private part")
    return VerificationKey(_text(jwk, "kid"), EDDSA, _public_key(_text(jwk, "x")))


def _check_purpose(jwk: Mapping[str, object]) -> None:
    if jwk.get("use", "sig") != "sig":
        raise InvalidKey("the key is not for signatures")
    operations = jwk.get("key_ops", ["verify"])
    if not isinstance(operations, list) or sorted(map(str, operations)) not in _OPERATIONS:
        raise InvalidKey("the key is not for checking signatures")


def _public_key(x: str) -> Ed25519PublicKey:
    try:
        return Ed25519PublicKey.from_public_bytes(decode_base64url(x))
    except ValueError as error:
        raise InvalidKey("x is not 32 bytes in canonical base64url") from error


def _text(jwk: Mapping[str, object], member: str) -> str:
    value = jwk.get(member)
    if not isinstance(value, str) or not value:
        raise InvalidKey(f"{member} is missing or not text")
    return value
