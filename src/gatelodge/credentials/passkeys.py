"""Passkeys: what a browser is asked for, and what it answers (WebAuthn level 3).

No store and no HTTP: the caller keeps challenges and passkeys. `registration_options` and
`assertion_options` are what `PublicKeyCredential.parseCreationOptionsFromJSON` and
`parseRequestOptionsFromJSON` take; `read_registration` and `read_assertion` read what `toJSON`
of the answer returns. Whatever they are given, they return or raise `InvalidPasskey`.

`fido2` verifies signatures. The rest of sections 7.1 and 7.2 is here: `fido2` does not look at
`crossOrigin`, at how the data is encoded, at backup flags and at sign counts, and takes every
origin below the RP ID.

What a registration says is protected by its attestation, if it has one (`attestation.py`). With
the format `none`, which browsers send us, nothing signs it; a sign-in is signed always.
"""

import hashlib
import re
import secrets
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol
from uuid import UUID

from gatelodge import strict_json
from gatelodge.base64url import decode_base64url, encode_base64url
from gatelodge.credentials import strict_cbor
from gatelodge.credentials.attestation import check_statement
from gatelodge.credentials.refusals import ClonedPasskey, InvalidPasskey
from gatelodge.credentials.strict_cbor import Cbor

if TYPE_CHECKING:
    from fido2.cose import CoseKey

EDDSA, ES256, RS256 = -8, -7, -257
ALGORITHMS = (EDDSA, ES256, RS256)
"""The algorithms that are accepted, as COSE numbers them; the first is preferred."""

CHALLENGE_BYTES = 32
TIMEOUT_MILLISECONDS = 300_000
MAX_MEMBER = 16 * 1024
"""How long a text of an answer may be, in characters."""

MIN_CREDENTIAL_ID, MAX_CREDENTIAL_ID = 16, 1023
MAX_USER_HANDLE = 64
MAX_TRANSPORTS = 16
RSA_BITS = range(2048, 4096 + 1)

_PRESENT, _VERIFIED, _ELIGIBLE, _BACKED_UP, _ATTESTED, _EXTENDED = 1, 4, 8, 16, 64, 128
_HEADER = struct.Struct(">32sBI")
_ATTESTED_HEADER = struct.Struct(">16sH")
_TRANSPORT = re.compile(r"[a-z0-9-]{1,32}")


@dataclass(frozen=True, slots=True)
class RelyingParty:
    """For whom passkeys are made.

    Attributes:
        id: the domain that passkeys are bound to.
        name: how browsers name it to users.
        origins: the origins whose pages may ask for passkeys, exactly as browsers write them.
        top_origins: the origins whose pages may show ours in a frame; empty: none may, and an
            answer from within a frame of another origin is refused. Not all browsers say in whose
            frame they were; otherwise the origin must be one of these.
    """

    id: str
    name: str
    origins: tuple[str, ...]
    top_origins: tuple[str, ...] = ()


class KnownPasskey(Protocol):
    """What options say about a passkey that we know already."""

    @property
    def credential_id(self) -> bytes:
        """Return the id that its authenticator gave it."""

    @property
    def transports(self) -> Sequence[str]:
        """Return how its authenticator can be reached, such as `internal` or `usb`."""


@dataclass(frozen=True, slots=True)
class NewPasskey:
    """A passkey that was just made.

    Attributes:
        credential_id: the id that its authenticator gave it; nobody else may have it yet.
        public_key: the public key, as COSE in CBOR.
        algorithm: the algorithm of the key, one of `ALGORITHMS`.
        sign_count: how often it has signed; 0: it may not count.
        transports: how its authenticator can be reached; the browser's word.
        aaguid: the model of its authenticator; all zeros: not said. Nothing proves it.
        backup_eligible: whether it can be on several devices; it stays so.
        backed_up: whether it is now.
        user_verified: whether the user was verified, by a PIN or a finger, say.
    """

    credential_id: bytes
    public_key: bytes
    algorithm: int
    sign_count: int
    transports: tuple[str, ...]
    aaguid: str
    backup_eligible: bool
    backed_up: bool
    user_verified: bool


@dataclass(frozen=True, slots=True)
class Assertion:
    """What a passkey has signed at a sign-in.

    Attributes:
        sign_count: how often it has signed now; it replaces the stored number.
        user_verified: whether the user was verified, by a PIN or a finger, say.
        user_handle: the user that the passkey was made for, or None: it does not say. The caller
            compares it with the user whose passkey this is.
        backed_up: whether it is on several devices now.
    """

    sign_count: int
    user_verified: bool
    user_handle: bytes | None
    backed_up: bool


def warm_up() -> None:
    """Import what verifies signatures, so that the first sign-in does not wait for it."""
    import fido2.cose  # noqa: F401, PLC0415 - see above


def new_challenge() -> bytes:
    """Return a new random challenge; it is for one answer only."""
    return secrets.token_bytes(CHALLENGE_BYTES)


# What browsers are asked for


def registration_options(
    rp: RelyingParty,
    *,
    challenge: bytes,
    user_handle: bytes,
    username: str,
    display_name: str,
    exclude: Sequence[KnownPasskey],
    user_verification: bool,
) -> dict[str, Any]:
    """Return what a browser needs to make a passkey, as JSON.

    Args:
        rp: for whom.
        challenge: a new challenge.
        user_handle: a random name of the user, of 64 bytes at most; authenticators keep it.
        username: the name that the user signs in with.
        display_name: the name that the user is called by.
        exclude: the user's passkeys; their authenticators make no further one.
        user_verification: whether the user must be verified; otherwise it is preferred.
    """
    return {
        "rp": {"id": rp.id, "name": rp.name},
        "user": {
            "id": encode_base64url(user_handle),
            "name": username,
            "displayName": display_name,
        },
        "challenge": encode_base64url(challenge),
        "pubKeyCredParams": [{"type": "public-key", "alg": number} for number in ALGORITHMS],
        "timeout": TIMEOUT_MILLISECONDS,
        "excludeCredentials": [_descriptor(passkey) for passkey in exclude],
        "authenticatorSelection": {
            "residentKey": "required",
            "requireResidentKey": True,
            "userVerification": _verification(user_verification),
        },
        "attestation": "none",
    }


def assertion_options(
    rp: RelyingParty, *, challenge: bytes, allow: Sequence[KnownPasskey], user_verification: bool
) -> dict[str, Any]:
    """Return what a browser needs to sign in with a passkey, as JSON.

    Args:
        rp: for whom.
        challenge: a new challenge.
        allow: the passkeys that may be used; empty: any that the user has for us.
        user_verification: whether the user must be verified; otherwise it is preferred.
    """
    return {
        "challenge": encode_base64url(challenge),
        "timeout": TIMEOUT_MILLISECONDS,
        "rpId": rp.id,
        "allowCredentials": [_descriptor(passkey) for passkey in allow],
        "userVerification": _verification(user_verification),
    }


def _descriptor(passkey: KnownPasskey) -> dict[str, Any]:
    described: dict[str, Any] = {
        "type": "public-key",
        "id": encode_base64url(passkey.credential_id),
    }
    if passkey.transports:
        described["transports"] = list(passkey.transports)
    return described


def _verification(required: bool) -> str:
    return "required" if required else "preferred"


# What they answer


def read_registration(
    rp: RelyingParty,
    credential: Mapping[str, Any],
    challenge: bytes,
    *,
    user_verification: bool,
) -> NewPasskey:
    """Return the passkey that was made, verified as WebAuthn says in section 7.1.

    Args:
        rp: for whom it was made.
        credential: the answer of the browser: a `RegistrationResponseJSON`.
        challenge: the challenge of the options.
        user_verification: whether the user must have been verified.

    Raises:
        InvalidPasskey: something is wrong with the answer.
    """
    credential_id = _credential_id(credential)
    response = _response(credential)
    client_data = _bytes(response, "clientDataJSON")
    _check_client_data(rp, client_data, "webauthn.create", challenge)
    attestation = _attestation(_bytes(response, "attestationObject"))
    raw = attestation["authData"]
    data = _authenticator_data(raw)
    _check_authenticator_data(rp, data, user_verification=user_verification)
    if data.attested is None:
        raise InvalidPasskey("there is no new credential in the answer")
    if data.attested.credential_id != credential_id:
        raise InvalidPasskey("the credential has another id")
    key = _public_key(data.attested.public_key)
    check_statement(
        attestation["fmt"],
        attestation["attStmt"],
        key=key,
        authenticator_data=raw,
        client_data_hash=hashlib.sha256(client_data).digest(),
    )
    return NewPasskey(
        credential_id=credential_id,
        public_key=data.attested.public_key,
        algorithm=key.ALGORITHM,
        sign_count=data.sign_count,
        transports=_transports(response),
        aaguid=str(UUID(bytes=data.attested.aaguid)),
        backup_eligible=data.has(_ELIGIBLE),
        backed_up=data.has(_BACKED_UP),
        user_verified=data.has(_VERIFIED),
    )


def read_assertion(
    rp: RelyingParty,
    credential: Mapping[str, Any],
    challenge: bytes,
    *,
    public_key: bytes,
    credential_id: bytes,
    sign_count: int,
    backup_eligible: bool,
    user_verification: bool,
) -> Assertion:
    """Return what a passkey has signed, verified as WebAuthn says in section 7.2.

    Args:
        rp: for whom it signed.
        credential: the answer of the browser: an `AuthenticationResponseJSON`.
        challenge: the challenge of the options.
        public_key: the public key of the passkey, as `NewPasskey` has it.
        credential_id: the id of the passkey.
        sign_count: the stored sign count of the passkey.
        backup_eligible: whether the passkey could be on several devices when it was made.
        user_verification: whether the user must have been verified.

    Raises:
        ClonedPasskey: everything is right, but the sign count is not higher than the stored one.
        InvalidPasskey: something is wrong with the answer.
    """
    if _credential_id(credential) != credential_id:
        raise InvalidPasskey("the credential has another id")
    response = _response(credential)
    client_data = _bytes(response, "clientDataJSON")
    _check_client_data(rp, client_data, "webauthn.get", challenge)
    raw = _bytes(response, "authenticatorData")
    data = _authenticator_data(raw)
    _check_authenticator_data(rp, data, user_verification=user_verification)
    if data.attested is not None:
        raise InvalidPasskey("there is a new credential in a sign-in")
    if data.has(_ELIGIBLE) != backup_eligible:
        raise InvalidPasskey("a passkey does not change whether it can be backed up")
    user_handle = _user_handle(response)
    signed = raw + hashlib.sha256(client_data).digest()
    _check_signature(_public_key(public_key), signed, _bytes(response, "signature"))
    if (data.sign_count or sign_count) and data.sign_count <= sign_count:
        raise ClonedPasskey("the sign count did not grow")
    return Assertion(
        sign_count=data.sign_count,
        user_verified=data.has(_VERIFIED),
        user_handle=user_handle,
        backed_up=data.has(_BACKED_UP),
    )


# What an answer claims, before anything is verified


def challenge_in(credential: Mapping[str, Any]) -> bytes | None:
    """Return the challenge that an answer is for, or None if it cannot be read.

    Nothing is verified: this is to look up what is known about the challenge.
    """
    try:
        client_data = _json(_bytes(_response(credential), "clientDataJSON"))
        return _decoded(client_data.get("challenge"))
    except InvalidPasskey:
        return None


def credential_id_of(credential: Mapping[str, Any]) -> bytes | None:
    """Return the id of the passkey that answered, or None if it cannot be read.

    Nothing is verified: this is to look up the passkey.
    """
    try:
        return _credential_id(credential)
    except InvalidPasskey:
        return None


def user_handle_of(credential: Mapping[str, Any]) -> bytes | None:
    """Return for which user the passkey says it was made, or None if it does not say.

    Nothing is verified: this is to look up the user.
    """
    try:
        return _user_handle(_response(credential))
    except InvalidPasskey:
        return None


# The members of an answer


def _response(credential: object) -> Mapping[str, Any]:
    response = credential.get("response") if isinstance(credential, Mapping) else None
    if not isinstance(response, Mapping):
        raise InvalidPasskey("the answer is not that of a passkey")
    return response


def _bytes(response: Mapping[str, Any], name: str) -> bytes:
    return _decoded(response.get(name))


def _decoded(text: object) -> bytes:
    if not isinstance(text, str) or len(text) > MAX_MEMBER:
        raise InvalidPasskey("a member is missing, is no text or is too long")
    try:
        return decode_base64url(text)
    except ValueError as error:
        raise InvalidPasskey("a member is not base64url") from error


def _credential_id(credential: object) -> bytes:
    if not isinstance(credential, Mapping) or credential.get("type") != "public-key":
        raise InvalidPasskey("the answer is not that of a passkey")
    if credential.get("id") != credential.get("rawId"):
        raise InvalidPasskey("the answer has two ids")
    credential_id = _decoded(credential.get("id"))
    _check_credential_id(credential_id)
    return credential_id


def _check_credential_id(credential_id: bytes) -> None:
    if not MIN_CREDENTIAL_ID <= len(credential_id) <= MAX_CREDENTIAL_ID:
        raise InvalidPasskey("the id of the credential is too short or too long")


def _user_handle(response: Mapping[str, Any]) -> bytes | None:
    """Return the user handle; browsers leave it out, or send an empty one, if there is none."""
    text = response.get("userHandle")
    if text is None or text == "":
        return None
    user_handle = _decoded(text)
    if len(user_handle) > MAX_USER_HANDLE:
        raise InvalidPasskey("the user handle is too long")
    return user_handle


def _transports(response: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the transports, also unknown ones: WebAuthn wants them back as they were."""
    given = response.get("transports")
    if given is None:
        return ()
    if not isinstance(given, Sequence) or isinstance(given, str) or len(given) > MAX_TRANSPORTS:
        raise InvalidPasskey("the transports are no list, or too many")
    if not all(isinstance(each, str) and _TRANSPORT.fullmatch(each) for each in given):
        raise InvalidPasskey("a transport is malformed")
    return tuple(dict.fromkeys(given))


# Client data


def _json(client_data: bytes) -> dict[str, Any]:
    try:
        found = strict_json.parse(client_data)
    except ValueError as error:
        raise InvalidPasskey("the client data is not strict JSON") from error
    if not isinstance(found, dict):
        raise InvalidPasskey("the client data is no object")
    return found


def _check_client_data(rp: RelyingParty, raw: bytes, act: str, challenge: bytes) -> None:
    """Refuse client data of another act, another challenge or another page."""
    client_data = _json(raw)
    if client_data.get("type") != act:
        raise InvalidPasskey("the answer is for another act")
    if client_data.get("challenge") != encode_base64url(challenge):
        raise InvalidPasskey("the answer is for another challenge")
    if client_data.get("origin") not in rp.origins:
        raise InvalidPasskey("the origin is not one of ours")
    framed = client_data.get("crossOrigin", False)
    if framed is not False and not (framed is True and rp.top_origins):
        raise InvalidPasskey("the page was in a frame of another origin")
    if "topOrigin" in client_data and client_data["topOrigin"] not in rp.top_origins:
        raise InvalidPasskey("the page was in a frame of another origin")


# Authenticator data


@dataclass(frozen=True, slots=True)
class _Attested:
    aaguid: bytes
    credential_id: bytes
    public_key: bytes


@dataclass(frozen=True, slots=True)
class _AuthenticatorData:
    rp_id_hash: bytes
    flags: int
    sign_count: int
    attested: _Attested | None

    def has(self, flag: int) -> bool:
        return bool(self.flags & flag)


def _attestation(raw: bytes) -> dict[str, Any]:
    found, end = _cbor(raw, 0)
    if end != len(raw) or not isinstance(found, dict):
        raise InvalidPasskey("the attestation object is no map")
    if set(found) != {"fmt", "attStmt", "authData"} or not isinstance(found["authData"], bytes):
        raise InvalidPasskey("the attestation object has other members")
    return {str(name): value for name, value in found.items()}


def _authenticator_data(raw: bytes) -> _AuthenticatorData:
    """Return the parts of authenticator data (WebAuthn, section 6.1)."""
    if len(raw) < _HEADER.size:
        raise InvalidPasskey("the authenticator data is too short")
    rp_id_hash, flags, sign_count = _HEADER.unpack_from(raw)
    attested, end = None, _HEADER.size
    if flags & _ATTESTED:
        attested, end = _attested(raw, end)
    if flags & _EXTENDED:
        extensions, end = _cbor(raw, end)
        if not isinstance(extensions, dict):
            raise InvalidPasskey("the extensions are no map")
    if end != len(raw):
        raise InvalidPasskey("something follows the authenticator data")
    return _AuthenticatorData(rp_id_hash, flags, sign_count, attested)


def _attested(raw: bytes, start: int) -> tuple[_Attested, int]:
    """Return the new credential that begins at `start`, and where it ends."""
    if len(raw) < start + _ATTESTED_HEADER.size:
        raise InvalidPasskey("the authenticator data is too short")
    aaguid, length = _ATTESTED_HEADER.unpack_from(raw, start)
    id_at = start + _ATTESTED_HEADER.size
    key_at = id_at + length
    credential_id = raw[id_at:key_at]
    _check_credential_id(credential_id)
    _, end = _cbor(raw, key_at)
    return _Attested(aaguid, credential_id, raw[key_at:end]), end


def _cbor(raw: bytes, start: int) -> tuple[Cbor, int]:
    try:
        return strict_cbor.parse_from(raw, start)
    except strict_cbor.NotStrict as error:
        raise InvalidPasskey("a part is not strict CBOR") from error


def _check_authenticator_data(
    rp: RelyingParty, data: _AuthenticatorData, *, user_verification: bool
) -> None:
    """Refuse what was made for another site, without the user, or with flags that disagree."""
    if data.rp_id_hash != hashlib.sha256(rp.id.encode()).digest():
        raise InvalidPasskey("the passkey is for another site")
    if not data.has(_PRESENT):
        raise InvalidPasskey("the user was not present")
    if user_verification and not data.has(_VERIFIED):
        raise InvalidPasskey("the user was not verified")
    if data.has(_BACKED_UP) and not data.has(_ELIGIBLE):
        raise InvalidPasskey("the passkey is backed up and cannot be")


# Keys and signatures


def _public_key(raw: bytes) -> "CoseKey":
    """Return the key, if it is one of `ALGORITHMS` and has exactly the parameters of its kind."""
    from fido2.cose import CoseKey  # noqa: PLC0415 - only where there are passkeys

    found, end = _cbor(raw, 0)
    if end != len(raw) or not isinstance(found, dict):
        raise InvalidPasskey("the public key is no map")
    algorithm = found.get(3)
    if algorithm not in ALGORITHMS:
        raise InvalidPasskey("the algorithm is not accepted")
    parameters = {name: value for name, value in found.items() if isinstance(name, int)}
    if len(parameters) != len(found) or not _fits(algorithm, parameters):
        raise InvalidPasskey("the public key does not have the form of its algorithm")
    key = CoseKey.parse(parameters)
    _check_loads(key)
    return key


def _fits(algorithm: Cbor, key: Mapping[int, Cbor]) -> bool:
    """Say whether a key has the parameters of RFC 9053 (section 7) or RFC 8230, and no other."""
    if any(isinstance(value, bool) for value in key.values()):  # True is 1 for Python
        return False
    x, y = key.get(-2), key.get(-3)
    if algorithm == EDDSA:
        return key == {1: 1, 3: EDDSA, -1: 6, -2: x} and _is_bytes(x, 32)
    if algorithm == ES256:
        fixed = {1: 2, 3: ES256, -1: 1, -2: x, -3: y}
        return key == fixed and _is_bytes(x, 32) and _is_bytes(y, 32)
    modulus, exponent = key.get(-1), key.get(-2)
    return key == {1: 3, 3: RS256, -1: modulus, -2: exponent} and _is_rsa(modulus, exponent)


def _is_bytes(value: Cbor, length: int) -> bool:
    return isinstance(value, bytes) and len(value) == length


def _is_rsa(modulus: Cbor, exponent: Cbor) -> bool:
    if not isinstance(modulus, bytes) or not isinstance(exponent, bytes):
        return False
    if not (modulus and modulus[0] and exponent and exponent[0] and len(exponent) <= 4):
        return False
    return int.from_bytes(modulus, "big").bit_length() in RSA_BITS


def _check_loads(key: "CoseKey") -> None:
    """Refuse a key that cannot be used, as a point that is not on the curve.

    `fido2` loads a key only to verify with it.
    """
    from cryptography.exceptions import InvalidSignature  # noqa: PLC0415 - as above

    try:
        key.verify(b"", b"")
    except InvalidSignature:
        return
    except ValueError as error:
        raise InvalidPasskey("the public key cannot be used") from error


def _check_signature(key: "CoseKey", message: bytes, signature: bytes) -> None:
    from cryptography.exceptions import InvalidSignature  # noqa: PLC0415 - as above

    try:
        key.verify(message, signature)
    except InvalidSignature as error:
        raise InvalidPasskey("the signature is wrong") from error
