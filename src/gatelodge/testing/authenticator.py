"""A browser with an authenticator, for tests of an application: passkeys without a device."""

import hashlib
import json
import secrets
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias
from urllib.parse import urlsplit

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from fido2 import cbor

from gatelodge.base64url import decode_base64url, encode_base64url

PrivateKey: TypeAlias = ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey

EDDSA, ES256, RS256 = -8, -7, -257
"""The algorithms that it can use, as COSE numbers them."""

AAGUID = bytes.fromhex("6a7e1f0c5b0d4c5e9d5b0f3a2c1d4e5f")
"""The model of this authenticator; no other has it."""

_PRESENT, _VERIFIED, _SYNCED, _ATTESTED = 0x01, 0x04, 0x08 | 0x10, 0x40


class Declined(Exception):
    """The authenticator does not do it; in a browser, the promise is rejected."""


@dataclass(slots=True)
class Passkey:
    """A passkey of the authenticator.

    Attributes:
        credential_id: its id.
        rp_id: the domain that it is bound to.
        user_handle: for which user the server said it is.
        username: the name of this user.
        algorithm: the algorithm of its key.
        private_key: the key itself.
        sign_count: how often it has signed; a test may set it back.
    """

    credential_id: bytes
    rp_id: str
    user_handle: bytes
    username: str
    algorithm: int
    private_key: PrivateKey = field(repr=False)
    sign_count: int = 0

    def sign(self, message: bytes) -> bytes:
        """Return the signature of these bytes."""
        if isinstance(self.private_key, ed25519.Ed25519PrivateKey):
            return self.private_key.sign(message)
        if isinstance(self.private_key, ec.EllipticCurvePrivateKey):
            return self.private_key.sign(message, ec.ECDSA(hashes.SHA256()))
        return self.private_key.sign(message, padding.PKCS1v15(), hashes.SHA256())

    def public_key(self) -> bytes:
        """Return the public key, as COSE in CBOR."""
        return cbor.encode(_cose(self.private_key))


class SoftwareAuthenticator:
    """A browser at one page, and its authenticator.

    It answers what a server asks, as `PublicKeyCredential.toJSON` does:

        authenticator = SoftwareAuthenticator("https://example.org")
        made = authenticator.create(options)    # the options to make a passkey
        signed = authenticator.get(options)     # the options to sign in

    The attributes are switches, which a test may change at any time:

        authenticator.verifies_user = False         # nobody gives a finger or a PIN
        authenticator.get(options)                  # Declined, if the options require it
        authenticator.passkeys[0].sign_count = 0    # it is a copy that was made early

    Attributes:
        origin: the origin of the page.
        algorithm: the algorithm of new passkeys, if the options allow it; otherwise they have the
            first one of the options that it can use.
        verifies_user: whether the user gives a finger or a PIN.
        counts: whether it counts signatures, as security keys do; otherwise its passkeys are on
            all devices of the user, and the count is always 0.
        passkeys: what it holds, the newest last.
    """

    def __init__(
        self,
        origin: str,
        *,
        algorithm: int = ES256,
        verifies_user: bool = True,
        counts: bool = True,
    ) -> None:
        """Begin without passkeys."""
        self.origin = origin
        self.algorithm = algorithm
        self.verifies_user = verifies_user
        self.counts = counts
        self.passkeys: list[Passkey] = []

    def create(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """Make a passkey, and return a `RegistrationResponseJSON`.

        A passkey of the same user at the same site is replaced, as by other authenticators.

        Args:
            options: a `PublicKeyCredentialCreationOptionsJSON`.

        Raises:
            Declined: there is one already that is to be excluded, the user cannot be verified, no
                algorithm suits, or the page may not ask for this domain.
        """
        rp_id = self._rp_id(options["rp"].get("id"))
        selection = options.get("authenticatorSelection", {})
        self._check_verification(selection.get("userVerification"))
        if self._named_in(options.get("excludeCredentials", ()), rp_id):
            raise Declined("One of the excluded passkeys is here.")
        passkey = _new_passkey(rp_id, options["user"], self._algorithm(options))
        self.passkeys = [each for each in self.passkeys if not _same_user(each, passkey)]
        self.passkeys.append(passkey)
        client_data = self._client_data("webauthn.create", options)
        attested = AAGUID + struct.pack(">H", len(passkey.credential_id)) + passkey.credential_id
        data = self._data(passkey, attested + passkey.public_key())
        attestation = cbor.encode({"fmt": "none", "attStmt": {}, "authData": data})
        return _answer(
            passkey,
            clientDataJSON=encode_base64url(client_data),
            attestationObject=encode_base64url(attestation),
            authenticatorData=encode_base64url(data),
            publicKey=encode_base64url(_spki(passkey.private_key)),
            publicKeyAlgorithm=passkey.algorithm,
            transports=["internal"],
        )

    def get(self, options: Mapping[str, Any], *, username: str | None = None) -> dict[str, Any]:
        """Sign in with a passkey, and return an `AuthenticationResponseJSON`.

        Args:
            options: a `PublicKeyCredentialRequestOptionsJSON`.
            username: whose passkey is used; None: the newest one.

        Raises:
            Declined: there is no such passkey, the user cannot be verified, or the page may not
                ask for this domain.
        """
        rp_id = self._rp_id(options.get("rpId"))
        self._check_verification(options.get("userVerification"))
        passkey = self._choose(options, rp_id, username)
        if self.counts:
            passkey.sign_count += 1
        client_data = self._client_data("webauthn.get", options)
        data = self._data(passkey)
        signature = passkey.sign(data + hashlib.sha256(client_data).digest())
        return _answer(
            passkey,
            clientDataJSON=encode_base64url(client_data),
            authenticatorData=encode_base64url(data),
            signature=encode_base64url(signature),
            userHandle=encode_base64url(passkey.user_handle),
        )

    def remove(self, credential_id: bytes) -> None:
        """Forget a passkey, as a user does in the settings of a phone.

        Raises:
            KeyError: it is not here.
        """
        left = [each for each in self.passkeys if each.credential_id != credential_id]
        if len(left) == len(self.passkeys):
            raise KeyError(credential_id)
        self.passkeys = left

    def _rp_id(self, asked: str | None) -> str:
        """Return the domain, if a page of this origin may ask for it."""
        host = urlsplit(self.origin).hostname or ""
        rp_id = asked or host
        if host != rp_id and not host.endswith("." + rp_id):
            raise Declined(f"A page of {self.origin} may not ask for passkeys of {rp_id}.")
        return rp_id

    def _check_verification(self, asked: str | None) -> None:
        if asked == "required" and not self.verifies_user:
            raise Declined("The user cannot be verified.")

    def _algorithm(self, options: Mapping[str, Any]) -> int:
        asked = [each["alg"] for each in options["pubKeyCredParams"]]
        for algorithm in (self.algorithm, *asked):
            if algorithm in asked and algorithm in _NEW_KEY:
                return int(algorithm)
        raise Declined("None of the algorithms is known here.")

    def _named_in(self, descriptors: Sequence[Mapping[str, Any]], rp_id: str) -> list[Passkey]:
        ids = {decode_base64url(each["id"]) for each in descriptors}
        here = [each for each in self.passkeys if each.rp_id == rp_id]
        return [each for each in here if each.credential_id in ids]

    def _choose(self, options: Mapping[str, Any], rp_id: str, username: str | None) -> Passkey:
        allowed = options.get("allowCredentials")
        usable = [each for each in self.passkeys if each.rp_id == rp_id]
        if allowed:
            usable = self._named_in(allowed, rp_id)
        if username is not None:
            usable = [each for each in usable if each.username == username]
        if not usable:
            raise Declined("There is no passkey for this.")
        return usable[-1]

    def _client_data(self, act: str, options: Mapping[str, Any]) -> bytes:
        """Return the client data in the form of WebAuthn, section 5.8.1.1."""
        client_data = {
            "type": act,
            "challenge": options["challenge"],
            "origin": self.origin,
            "crossOrigin": False,
        }
        return json.dumps(client_data, separators=(",", ":"), ensure_ascii=False).encode()

    def _data(self, passkey: Passkey, attested: bytes = b"") -> bytes:
        """Return authenticator data (WebAuthn, section 6.1)."""
        flags = _PRESENT
        flags |= _VERIFIED if self.verifies_user else 0
        flags |= 0 if self.counts else _SYNCED
        flags |= _ATTESTED if attested else 0
        domain = hashlib.sha256(passkey.rp_id.encode()).digest()
        return domain + struct.pack(">BI", flags, passkey.sign_count) + attested


def _new_passkey(rp_id: str, user: Mapping[str, Any], algorithm: int) -> Passkey:
    return Passkey(
        credential_id=secrets.token_bytes(32),
        rp_id=rp_id,
        user_handle=decode_base64url(user["id"]),
        username=user["name"],
        algorithm=algorithm,
        private_key=_NEW_KEY[algorithm](),
    )


def _same_user(one: Passkey, other: Passkey) -> bool:
    return (one.rp_id, one.user_handle) == (other.rp_id, other.user_handle)


def _answer(passkey: Passkey, **response: object) -> dict[str, Any]:
    name = encode_base64url(passkey.credential_id)
    return {
        "id": name,
        "rawId": name,
        "type": "public-key",
        "authenticatorAttachment": "platform",
        "clientExtensionResults": {},
        "response": response,
    }


def _new_ec_key() -> PrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def _new_rsa_key() -> PrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


_NEW_KEY = {
    EDDSA: ed25519.Ed25519PrivateKey.generate,
    ES256: _new_ec_key,
    RS256: _new_rsa_key,
}


def _cose(key: PrivateKey) -> dict[int, int | bytes]:
    """Return the public key with the names of RFC 9053 (section 7) and RFC 8230."""
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return {1: 1, 3: EDDSA, -1: 6, -2: key.public_key().public_bytes_raw()}
    if isinstance(key, ec.EllipticCurvePrivateKey):
        point = key.public_key().public_numbers()
        return {1: 2, 3: ES256, -1: 1, -2: _big(point.x, 32), -3: _big(point.y, 32)}
    numbers = key.public_key().public_numbers()
    modulus = _big(numbers.n, key.key_size // 8)
    return {1: 3, 3: RS256, -1: modulus, -2: _big(numbers.e, 3)}


def _big(number: int, length: int) -> bytes:
    return number.to_bytes(length, "big")


def _spki(key: PrivateKey) -> bytes:
    return key.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
