"""JOSE keys and tokens as others write them, made with the cryptography package alone.

These tests, and those with published vectors, present a token in two ways. `accepts` does as the
server: `read_jwk` reads the verifier's key, then `verify_jws` reads the token. `client_accepts`
does as an application beside it: its `Verifier` fetches a set of keys first. Only the policy is
wider than for access tokens: no `typ`, and kids with characters that ours never have.
"""

import base64
import hashlib
import hmac
import json
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import httpx2
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from gatelodge.client import IssuerUnavailable, Verifier
from gatelodge.tokens.jwk import InvalidKey, VerificationKey, read_jwk
from gatelodge.tokens.jws import JwsPolicy, verify_jws
from gatelodge.tokens.refusals import InvalidToken
from tests.support.issuer import publishing

POLICY = JwsPolicy(kid=re.compile(r"[!-~]{1,64}"), typ=None)
KID = "key_1"
ISSUER = "https://id.example.com"
SHA = {"256": hashes.SHA256(), "384": hashes.SHA384(), "512": hashes.SHA512()}
ELLIPTIC_CURVES = {"256": ec.SECP256R1(), "384": ec.SECP384R1(), "512": ec.SECP521R1()}
OTHER_ALGORITHMS = [
    *(family + size for family in ("RS", "PS", "ES", "HS") for size in SHA),
    "Ed448",
]

Jwk = dict[str, Any]
Accepts = Callable[..., Awaitable[bool]]


async def accepts(text: str, *jwks: object) -> bool:
    """Return whether a verifier accepts the token; it holds those of the keys that are readable."""
    keys: dict[str, VerificationKey] = {}
    for jwk in jwks:
        try:
            key = read_jwk(jwk)
        except InvalidKey:
            continue
        keys[key.kid] = key

    async def find(kid: str) -> VerificationKey | None:
        return keys.get(kid)

    try:
        await verify_jws(text, find, policy=POLICY)
    except InvalidToken:
        return False
    return True


async def client_accepts(text: str, *jwks: object) -> bool:
    """Return whether an application accepts the token; its issuer publishes these keys."""
    transport = httpx2.ASGITransport(publishing({"keys": jwks}))
    async with Verifier(ISSUER, freshness=None, transport=transport) as verifier:
        try:
            await verifier.check(text)
        except (InvalidToken, IssuerUnavailable):
            pass
        else:
            raise AssertionError(f"no access token, and yet it was taken for one: {text}")
        try:
            await verify_jws(text, verifier._keys.find, policy=POLICY)
        except (InvalidToken, IssuerUnavailable):
            return False
        return True


def kid_named_by(text: object) -> str:
    """Return the kid in the header of a text that may be no token; `KID` if there is none."""
    try:
        head = str(text).partition(".")[0]
        kid = json.loads(base64.urlsafe_b64decode(head + "=" * (-len(head) % 4)))["kid"]
    except (ValueError, TypeError, KeyError):
        return KID
    return str(kid)


def b64(raw: bytes) -> str:
    """Return bytes as base64url without padding."""
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def number(value: int, length: int | None = None) -> str:
    """Return a number as JWKs spell it, in as few bytes as it needs or in `length` bytes."""
    return b64(value.to_bytes(length or (value.bit_length() + 7) // 8))


def part(value: object) -> str:
    """Return a value as JSON in base64url."""
    return b64(json.dumps(value, separators=(",", ":")).encode())


@dataclass(frozen=True)
class Signer:
    """A private key: the JWK that its verifiers hold, and what it signs.

    Attributes:
        jwk: names the key and its one algorithm.
        sign: returns the signature over bytes, as JWS spells it.
    """

    jwk: Jwk
    sign: Callable[[bytes], bytes]

    def header(self, **changes: object) -> str:
        """Return the header part of a token."""
        return part({"alg": self.jwk["alg"], "kid": self.jwk["kid"], **changes})

    def seal(self, head: str, body: str) -> str:
        """Return a token of these two parts, signed exactly as they stand."""
        message = f"{head}.{body}"
        return f"{message}.{b64(self.sign(message.encode()))}"

    def token(self, payload: bytes = b"Test", **header: object) -> str:
        """Return a token in which nothing is wrong but what the header's changes make so."""
        return self.seal(self.header(**header), b64(payload))


@cache
def ed25519_signer() -> Signer:
    """Return the signer whose tokens are accepted."""
    key = ed25519.Ed25519PrivateKey.generate()
    public = b64(key.public_key().public_bytes_raw())
    return Signer(_jwk("OKP", "EdDSA", crv="Ed25519", x=public), key.sign)


@cache
def signer(algorithm: str) -> Signer:
    """Return a signer of another algorithm, named as in a JWS header."""
    if algorithm == "Ed448":
        key = ed448.Ed448PrivateKey.generate()
        public = b64(key.public_key().public_bytes_raw())
        return Signer(_jwk("OKP", "EdDSA", crv="Ed448", x=public), key.sign)
    family, size = algorithm[:2], algorithm[2:]
    makers = {"RS": _rsa_signer, "PS": _rsa_signer, "ES": _ec_signer, "HS": _hmac_signer}
    return makers[family](family, size)


@cache
def rsa_private_key(bits: int = 2048) -> rsa.RSAPrivateKey:
    """Return an RSA key, made once a run."""
    return rsa.generate_private_key(public_exponent=65537, key_size=bits)


def rsa_jwk(n: int, e: int = 65537, algorithm: str = "RS256") -> Jwk:
    """Return the JWK of an RSA public key."""
    return _jwk("RSA", algorithm, n=number(n), e=number(e))


def _rsa_signer(family: str, size: str) -> Signer:
    private, sha = rsa_private_key(), SHA[size]
    pad = (
        padding.PKCS1v15()
        if family == "RS"
        else padding.PSS(padding.MGF1(sha), salt_length=sha.digest_size)
    )
    jwk = rsa_jwk(private.public_key().public_numbers().n, algorithm=family + size)
    return Signer(jwk, lambda message: private.sign(message, pad, sha))


def _ec_signer(family: str, size: str) -> Signer:
    private = ec.generate_private_key(ELLIPTIC_CURVES[size])
    length = (private.key_size + 7) // 8
    point = private.public_key().public_numbers()
    crv = {"256": "P-256", "384": "P-384", "512": "P-521"}[size]
    x, y = number(point.x, length), number(point.y, length)

    def sign(message: bytes) -> bytes:
        pair = decode_dss_signature(private.sign(message, ec.ECDSA(SHA[size])))
        return b"".join(one.to_bytes(length) for one in pair)

    return Signer(_jwk("EC", family + size, crv=crv, x=x, y=y), sign)


def _hmac_signer(family: str, size: str) -> Signer:
    secret = hashlib.sha512(b"a shared secret").digest()
    jwk = _jwk("oct", family + size, k=b64(secret))
    return Signer(jwk, lambda message: hmac.digest(secret, message, f"sha{size}"))


def _jwk(kty: str, algorithm: str, **members: str) -> Jwk:
    return {"kty": kty, "alg": algorithm, "kid": KID, "use": "sig", **members}
