"""Keys that check signatures: read strictly from a JWK, and our own printed as one.

RFC 7517 (JWK), RFC 7518 section 6 (members), RFC 8037 (Ed25519). Cryptography is PyJWT's; what
is read here is only what PyJWT does not ask: `use`, `key_ops`, lengths, and one spelling.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import cast

from cryptography.exceptions import UnsupportedAlgorithm
from jwt.algorithms import get_default_algorithms
from jwt.exceptions import PyJWTError

from gatelodge.base64url import decode_base64url, encode_base64url

EDDSA = "EdDSA"

_MIN_RSA = 2048
_MAX_RSA = 8192
_SMALLEST_EXPONENT = 65537


class InvalidKey(ValueError):
    """The JWK is not one key for one algorithm that checks signatures safely."""


@dataclass(frozen=True, slots=True)
class VerificationKey:
    """A key, and the one algorithm it is used with (RFC 8725, section 3.1).

    Attributes:
        kid: names the key.
        algorithm: the JWS algorithm, spelled exactly as tokens must spell it.
        key: what PyJWT's algorithm of that name takes.
    """

    kid: str
    algorithm: str
    key: object = field(repr=False)

    def verifies(self, message: bytes, signature: bytes) -> bool:
        """Say whether this key made the signature over the message."""
        return _ALGORITHMS[self.algorithm].verify(message, self.key, signature)


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

    Private members of an asymmetric key are refused: a key that came with them is no longer
    private. Members nobody here knows are ignored (RFC 7517, section 4).

    Raises:
        InvalidKey: anything about it is wrong, weak, or meant for another use.
    """
    if not isinstance(jwk, dict):
        raise InvalidKey("a key is a JSON object")
    form = _form(jwk)
    _check_purpose(jwk)
    _check_members(jwk, form)
    _check_strength(jwk, form)
    return VerificationKey(_text(jwk, "kid"), jwk["alg"], _make_key(jwk))


def read_jwk_set(jwks: object) -> dict[str, VerificationKey]:
    """Return the keys of a JWK set, by kid.

    Raises:
        InvalidKey: of any key in it; or two share a kid; or it mixes shared secrets with public
            keys, so that a public key could pass for a secret (RFC 8725, section 2.1).
    """
    if not isinstance(jwks, dict) or not isinstance(jwks.get("keys"), list):
        raise InvalidKey("a key set is a JSON object with a list of keys")
    keys = [read_jwk(jwk) for jwk in jwks["keys"]]
    by_kid = {key.kid: key for key in keys}
    if len(by_kid) != len(keys):
        raise InvalidKey("two keys share a kid")
    if len({_FORMS[key.algorithm].kty == "oct" for key in keys}) > 1:
        raise InvalidKey("shared secrets and public keys are mixed")
    return by_kid


@dataclass(frozen=True, slots=True)
class _Form:
    """What a key for one algorithm must look like."""

    kty: str
    members: tuple[str, ...]
    crv: str | None = None
    least_bytes: int = 0


_FORMS: Mapping[str, _Form] = {
    EDDSA: _Form("OKP", ("x",), crv="Ed25519"),
    "ES256": _Form("EC", ("x", "y"), crv="P-256"),
    "ES384": _Form("EC", ("x", "y"), crv="P-384"),
    "ES512": _Form("EC", ("x", "y"), crv="P-521"),
    **dict.fromkeys(
        ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"), _Form("RSA", ("n", "e"))
    ),
    # A key at least as long as the hash (RFC 7518, section 3.2).
    "HS256": _Form("oct", ("k",), least_bytes=32),
    "HS384": _Form("oct", ("k",), least_bytes=48),
    "HS512": _Form("oct", ("k",), least_bytes=64),
}
_ALGORITHMS = {
    name: algorithm for name, algorithm in get_default_algorithms().items() if name in _FORMS
}
_PRIVATE_MEMBERS = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})


def _form(jwk: Mapping[str, object]) -> _Form:
    form = _FORMS.get(_text(jwk, "alg"))
    if form is None or jwk.get("kty") != form.kty or jwk.get("crv") != form.crv:
        raise InvalidKey("kty, crv and alg do not name one algorithm that is read here")
    return form


def _check_purpose(jwk: Mapping[str, object]) -> None:
    if jwk.get("use", "sig") != "sig":
        raise InvalidKey("the key is not for signatures")
    operations = jwk.get("key_ops", ["verify"])
    if not isinstance(operations, list) or sorted(map(str, operations)) not in _OPERATIONS:
        raise InvalidKey("the key is not for checking signatures")


_OPERATIONS = (["verify"], ["sign", "verify"])


def _check_members(jwk: Mapping[str, object], form: _Form) -> None:
    if _PRIVATE_MEMBERS.difference(form.members).intersection(jwk):
        raise InvalidKey("the key comes with its private part")
    for member in form.members:
        if len(_bytes(jwk, member)) < form.least_bytes:
            raise InvalidKey("the key is shorter than its hash")


def _check_strength(jwk: Mapping[str, object], form: _Form) -> None:
    if form.kty != "RSA":
        return
    modulus = int.from_bytes(_bytes(jwk, "n"))
    if not _MIN_RSA <= modulus.bit_length() <= _MAX_RSA:
        raise InvalidKey("the RSA key is too short or too long")
    if int.from_bytes(_bytes(jwk, "e")) < _SMALLEST_EXPONENT:
        raise InvalidKey("the RSA exponent is too small")
    if _has_roca_fingerprint(modulus):
        raise InvalidKey("the RSA key was made by a generator whose keys can be factored")


def _has_roca_fingerprint(modulus: int) -> bool:
    """Say whether a modulus is a power of 65537 modulo every small prime (CVE-2017-15361)."""
    return all(modulus % prime in powers for prime, powers in _ROCA_POWERS.items())


def _primes(below: int) -> Iterable[int]:
    return (n for n in range(3, below) if all(n % divisor for divisor in range(2, n)))


_ROCA_POWERS = {
    prime: frozenset(pow(65537, exponent, prime) for exponent in range(prime))
    for prime in _primes(below=168)
}


def _make_key(jwk: dict[str, object]) -> object:
    algorithm = _ALGORITHMS[cast("str", jwk["alg"])]
    try:
        return algorithm.from_jwk(jwk)
    except (PyJWTError, UnsupportedAlgorithm, ValueError) as error:
        raise InvalidKey("the key's numbers are not a key") from error


def _bytes(jwk: Mapping[str, object], member: str) -> bytes:
    try:
        return decode_base64url(_text(jwk, member))
    except ValueError as error:
        raise InvalidKey(f"{member} is not base64url") from error


def _text(jwk: Mapping[str, object], member: str) -> str:
    value = jwk.get(member)
    if not isinstance(value, str) or not value:
        raise InvalidKey(f"{member} is missing or not text")
    return value
