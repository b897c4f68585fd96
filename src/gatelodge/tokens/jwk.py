"""Our public keys as JWKs: printed for others, and read back strictly before we use one.

RFC 7517 (JWK), RFC 8037 (Ed25519). One algorithm is read, EdDSA with Ed25519: the one that signs
our tokens. Every other key is refused.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from gatelodge.base64url import decode_base64url, encode_base64url

EDDSA = "EdDSA"

_FORM = {"kty": "OKP", "crv": "Ed25519", "alg": EDDSA}
_OPERATIONS = (["verify"], ["sign", "verify"])
_PRIVATE_MEMBERS = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})


class InvalidKey(ValueError):
    """The JWK is not one Ed25519 public key that checks signatures."""


@dataclass(frozen=True, slots=True)
class VerificationKey:
    """A key, and the one algorithm it is used with (RFC 8725, section 3.1).

    Attributes:
        kid: names the key.
        algorithm: the JWS algorithm, spelled exactly as tokens must spell it.
        key: the public key itself.
    """

    kid: str
    algorithm: str
    key: Ed25519PublicKey = field(repr=False)

    def verifies(self, message: bytes, signature: bytes) -> bool:
        """Return whether this key made the signature over the message."""
        try:
            self.key.verify(signature, message)
        except InvalidSignature:
            return False
        return True


def public_jwk(kid: str, public_key: bytes) -> dict[str, str]:
    """Return the JWKS entry of one of our Ed25519 keys (RFC 8037, section 2)."""
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

    Private members are refused: a key that came with them is no longer private. Members that
    we do not know are ignored (RFC 7517, section 4).

    Raises:
        InvalidKey: it is not an Ed25519 key, it is malformed, or it is meant for another use.
    """
    if not isinstance(jwk, dict):
        raise InvalidKey("a key is a JSON object")
    if any(jwk.get(member) != value for member, value in _FORM.items()):
        raise InvalidKey("kty, crv and alg do not name Ed25519")
    _check_purpose(jwk)
    if _PRIVATE_MEMBERS.intersection(jwk):
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
