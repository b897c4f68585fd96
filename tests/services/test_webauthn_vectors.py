"""The test vectors of the W3C for passkeys (Web Authentication level 3), and every bit of them.

Each is a registration and a sign-in. A sign-in is signed, so no bit of it can change. What of a
registration can change depends on its attestation, and is named here bit by bit.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

import pytest
from fido2 import cbor

from gatelodge.base64url import encode_base64url
from gatelodge.credentials.passkeys import (
    Assertion,
    NewPasskey,
    RelyingParty,
    read_assertion,
    read_registration,
)
from gatelodge.credentials.refusals import InvalidPasskey
from tests.support import vectors

FILE = "webauthn/webauthn.json"
ORIGIN = "https://example.org"
RP = RelyingParty("example.org", "W3C", (ORIGIN,), top_origins=("https://example.com",))
"""Two of the vectors were made within a frame of another origin, and one says of which."""

TOTAL = 15
OTHER_ALGORITHMS = {
    "Packed Attestation with ES384 Credential",
    "Packed Attestation with ES512 Credential",
    "Packed Attestation with Ed448 Credential",
}
FRAMED = {
    'ES256 Credential with "crossOrigin": true in clientDataJSON',
    'ES256 Credential with "topOrigin" in clientDataJSON',
}

UNSIGNED = {"none"}
"""The formats with which nothing of a registration is signed."""
FLAGS_UNSIGNED = {"none", "fido-u2f"}
"""Those with which model, flags and sign count are not signed. A sign-in signs the last two."""

RESERVED, VERIFIED, BACKED_UP = 0b00100010, 0b00000100, 0b00010000
FLAGS, SIGN_COUNT, AAGUID = 32, range(33, 37), range(37, 53)
"""Where they are in authenticator data."""

Parts: TypeAlias = dict[str, bytes]
Count: TypeAlias = Any


@dataclass(frozen=True)
class Vector:
    name: str
    registration: Parts
    authentication: Parts

    @property
    def attestation(self) -> dict[str, Any]:
        decoded = cbor.decode(self.registration["attestationObject"])
        assert isinstance(decoded, dict)
        return decoded


def read() -> dict[str, Vector]:
    """Return the vectors by their names."""
    found = [
        Vector(
            each["name"].removesuffix(" ##"),
            {name: bytes.fromhex(value) for name, value in each["registration"].items()},
            {name: bytes.fromhex(value) for name, value in each["authentication"].items()},
        )
        for each in vectors.read(FILE)["vectors"]
    ]
    return {vector.name: vector for vector in found}


def answer(credential_id: bytes, parts: Parts, *members: str) -> dict[str, Any]:
    name = encode_base64url(credential_id)
    response = {member: encode_base64url(parts[member]) for member in members}
    return {"id": name, "rawId": name, "type": "public-key", "response": response}


def registered(vector: Vector, rp: RelyingParty = RP, **changed: bytes) -> NewPasskey:
    parts = vector.registration | changed
    made = answer(parts["credential_id"], parts, "clientDataJSON", "attestationObject")
    return read_registration(rp, made, parts["challenge"], user_verification=False)


def signed_in(
    vector: Vector, passkey: NewPasskey, rp: RelyingParty = RP, **changed: bytes
) -> Assertion:
    parts = vector.authentication | changed
    members = ("clientDataJSON", "authenticatorData", "signature")
    return read_assertion(
        rp,
        answer(vector.registration["credential_id"], parts, *members),
        parts["challenge"],
        public_key=passkey.public_key,
        credential_id=passkey.credential_id,
        sign_count=passkey.sign_count,
        backup_eligible=passkey.backup_eligible,
        user_verification=False,
    )


def flips(raw: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield the number of each bit, and the bytes in which it alone is another."""
    for bit in range(len(raw) * 8):
        changed = bytearray(raw)
        changed[bit // 8] ^= 1 << bit % 8
        yield bit, bytes(changed)


def bits_of(octets: Iterable[int]) -> set[int]:
    return {octet * 8 + bit for octet in octets for bit in range(8)}


def bits_that_nothing_protects(vector: Vector) -> dict[str, set[int]]:
    """Return which bits of a registration may change, by its member.

    A certificate may, because none is followed to a root: what it says is not used.
    """
    parts, attestation = vector.registration, vector.attestation
    client_data, whole = parts["clientDataJSON"], parts["attestationObject"]
    free: dict[str, set[int]] = {"clientDataJSON": set(), "attestationObject": set()}
    if attestation["fmt"] in UNSIGNED:
        origin = f'"origin":"{ORIGIN}"'.encode()
        after = client_data.index(origin) + len(origin)
        free["clientDataJSON"] = bits_of(range(after, len(client_data)))
    if attestation["fmt"] in FLAGS_UNSIGNED:
        start = whole.index(attestation["authData"])
        flags = RESERVED | VERIFIED | BACKED_UP
        free["attestationObject"] |= {
            (start + FLAGS) * 8 + bit for bit in range(8) if flags & 1 << bit
        }
        free["attestationObject"] |= bits_of(start + octet for octet in AAGUID)
    for certificate in attestation["attStmt"].get("x5c", []):
        start = whole.index(certificate)
        free["attestationObject"] |= bits_of(range(start, start + len(certificate)))
    return free


def vector_of(name: str) -> Vector:
    found = read()
    return found[name] if name in found else pytest.fail(f"there is no vector {name}")


ACCEPTED = [
    "ES256 Credential with No Attestation",
    "ES256 Credential with Self Attestation",
    'ES256 Credential with "crossOrigin": true in clientDataJSON',
    'ES256 Credential with "topOrigin" in clientDataJSON',
    "ES256 Credential with very long credential ID",
    "Packed Attestation with ES256 Credential",
    "Packed Attestation with RS256 Credential",
    "Packed Attestation with Ed25519 Credential",
    "TPM Attestation with ES256 Credential",
    "Android Key Attestation with ES256 Credential",
    "Apple Anonymous Attestation with ES256 Credential",
    "FIDO U2F Attestation with ES256 Credential",
]
every_accepted = pytest.mark.parametrize("name", ACCEPTED)


def test_every_vector_is_either_accepted_or_of_another_algorithm() -> None:
    assert len(read()) == TOTAL
    assert set(ACCEPTED) | OTHER_ALGORITHMS == set(read())


@every_accepted
def test_a_vector_verifies(name: str) -> None:
    vector = vector_of(name)
    passkey = registered(vector)

    assert passkey.credential_id == vector.registration["credential_id"]
    assert signed_in(vector, passkey).sign_count == 0


@pytest.mark.parametrize("name", sorted(OTHER_ALGORITHMS))
def test_a_vector_of_another_algorithm_is_refused_for_that(name: str) -> None:
    with pytest.raises(InvalidPasskey) as refused:
        registered(vector_of(name))

    assert refused.value.reason == "the algorithm is not accepted"


@pytest.mark.parametrize("name", sorted(FRAMED))
def test_a_vector_from_a_frame_is_refused_where_no_frame_is_expected(name: str) -> None:
    vector = vector_of(name)
    unframed = RelyingParty(RP.id, RP.name, RP.origins)

    with pytest.raises(InvalidPasskey) as refused:
        registered(vector, unframed)
    assert refused.value.reason == "the page was in a frame of another origin"

    with pytest.raises(InvalidPasskey) as refused:
        signed_in(vector, registered(vector), unframed)
    assert refused.value.reason == "the page was in a frame of another origin"


@every_accepted
def test_no_bit_of_a_sign_in_can_change(name: str, record_property: Count) -> None:
    vector = vector_of(name)
    passkey = registered(vector)
    tried = 0
    for member, raw in vector.authentication.items():
        for bit, changed in flips(raw):
            tried += 1
            try:
                signed_in(vector, passkey, **{member: changed})
            except InvalidPasskey:
                continue
            pytest.fail(f"bit {bit} of {member}")

    record_property(vectors.COUNTED, f"webauthn, {name}: {tried} bits of the sign-in, none free")


@every_accepted
def test_a_bit_of_a_registration_can_change_only_where_nothing_protects_it(
    name: str, record_property: Count
) -> None:
    vector = vector_of(name)
    original = registered(vector)
    free = bits_that_nothing_protects(vector)
    tried = taken = 0
    for member, raw in vector.registration.items():
        for bit, changed in flips(raw):
            tried += 1
            try:
                passkey = registered(vector, **{member: changed})
                signed_in(vector, passkey)
            except InvalidPasskey:
                continue
            taken += 1
            assert bit in free.get(member, ()), f"bit {bit} of {member}"
            assert passkey.public_key == original.public_key
            assert passkey.sign_count == original.sign_count
            assert passkey.backup_eligible == original.backup_eligible

    record_property(
        vectors.COUNTED,
        f"webauthn, {name}: {tried} bits of the registration; {taken} are free, of "
        f"{sum(map(len, free.values()))} that its attestation ({vector.attestation['fmt']}) leaves",
    )
