"""Passkeys: what browsers are asked for, and every check of what they answer, one by one."""

import hashlib
import json
import struct
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from fido2 import cbor
from hypothesis import given
from hypothesis import strategies as st

from gatelodge.base64url import decode_base64url, encode_base64url
from gatelodge.credentials import strict_cbor
from gatelodge.credentials.passkeys import (
    ALGORITHMS,
    EDDSA,
    ES256,
    RS256,
    Assertion,
    NewPasskey,
    RelyingParty,
    assertion_options,
    challenge_in,
    credential_id_of,
    new_challenge,
    read_assertion,
    read_registration,
    registration_options,
    user_handle_of,
)
from gatelodge.credentials.refusals import ClonedPasskey, InvalidPasskey
from gatelodge.testing.authenticator import Declined, Passkey, SoftwareAuthenticator

ORIGIN = "https://login.example.org"
RP = RelyingParty("example.org", "Example", ("https://example.org", ORIGIN))
USER_HANDLE = b"a random name of ada"
CHALLENGE = bytes(range(32))
OTHER_CHALLENGE = bytes(32)

PRESENT, RESERVED, VERIFIED, ELIGIBLE, BACKED_UP, ATTESTED, EXTENDED = 1, 2, 4, 8, 16, 64, 128
ES384 = -35

Json = dict[str, Any]


# Asking and answering


def creation(**changed: Any) -> Json:
    asked = {
        "challenge": CHALLENGE,
        "user_handle": USER_HANDLE,
        "username": "ada",
        "display_name": "Ada Lovelace",
        "exclude": (),
        "user_verification": True,
    }
    return registration_options(RP, **(asked | changed))


def request(**changed: Any) -> Json:
    asked = {"challenge": CHALLENGE, "allow": (), "user_verification": True}
    return assertion_options(RP, **(asked | changed))


def read_new(answer: Any, rp: RelyingParty = RP, *, user_verification: bool = True) -> NewPasskey:
    return read_registration(rp, answer, CHALLENGE, user_verification=user_verification)


def read_signed(answer: Any, passkey: NewPasskey, **changed: Any) -> Assertion:
    known = {
        "public_key": passkey.public_key,
        "credential_id": passkey.credential_id,
        "sign_count": passkey.sign_count,
        "backup_eligible": passkey.backup_eligible,
        "user_verification": True,
    }
    return read_assertion(RP, answer, CHALLENGE, **(known | changed))


@dataclass
class Answer:
    """An answer of a browser in parts, each of which a test may change before it is put together.

    Attributes:
        outer: the members around the response.
        response: further members of the response.
        client: the client data; bytes: as they are.
        data: the authenticator data.
        passkey: who signs; None: nobody, as in a registration.
        attestation: the attestation object of a registration.
        instead: members of the response that replace what was put together.
    """

    outer: Json
    response: Json
    client: Any
    data: bytes
    passkey: Passkey | None = None
    attestation: Json = field(default_factory=lambda: {"fmt": "none", "attStmt": {}})
    instead: Json = field(default_factory=dict)

    @classmethod
    def of(cls, answer: Json, passkey: Passkey | None = None) -> "Answer":
        response = dict(answer["response"])
        client = json.loads(decode_base64url(response.pop("clientDataJSON")))
        data = decode_base64url(response.pop("authenticatorData"))
        return cls(dict(answer), response, client, data, passkey)

    @property
    def client_data(self) -> bytes:
        return self.client if isinstance(self.client, bytes) else json.dumps(self.client).encode()

    @property
    def signed(self) -> bytes:
        return self.data + hashlib.sha256(self.client_data).digest()

    @property
    def key_at(self) -> int:
        """Where the new public key begins; it is the end of the data."""
        return 55 + int.from_bytes(self.data[53:55], "big")

    def flags(self, *, on: int = 0, off: int = 0) -> None:
        flags = (self.data[32] | on) & ~off
        self.data = self.data[:32] + bytes([flags]) + self.data[33:]

    def key(self, changes: dict[Any, Any]) -> None:
        """Change parameters of the new public key; None removes one."""
        old = cbor.decode(self.data[self.key_at :])
        assert isinstance(old, dict)
        new = {name: value for name, value in (old | changes).items() if value is not None}
        self.data = self.data[: self.key_at] + cbor.encode(new)

    def rename(self, credential_id: bytes) -> None:
        """Give the new passkey another id, everywhere."""
        key = self.data[self.key_at :]
        size = struct.pack(">H", len(credential_id))
        self.data = self.data[:53] + size + credential_id + key
        self.outer["id"] = self.outer["rawId"] = encode_base64url(credential_id)

    def together(self) -> Json:
        made = {"clientDataJSON": encode_base64url(self.client_data)}
        if self.passkey is None:
            whole = cbor.encode({"authData": self.data} | self.attestation)
            made["attestationObject"] = encode_base64url(whole)
        else:
            made["authenticatorData"] = encode_base64url(self.data)
            made["signature"] = encode_base64url(self.passkey.sign(self.signed))
        return self.outer | {"response": self.response | made | self.instead}


def a_registration(algorithm: int = ES256) -> Answer:
    return Answer.of(SoftwareAuthenticator(ORIGIN, algorithm=algorithm).create(creation()))


def a_sign_in(algorithm: int = ES256) -> tuple[NewPasskey, Answer]:
    authenticator = SoftwareAuthenticator(ORIGIN, algorithm=algorithm)
    made = read_new(authenticator.create(creation()))
    return made, Answer.of(authenticator.get(request()), authenticator.passkeys[0])


# What browsers are asked for


def test_a_challenge_is_32_random_bytes() -> None:
    assert len(new_challenge()) == 32
    assert new_challenge() != new_challenge()


def test_options_to_make_a_passkey_are_as_browsers_take_them() -> None:
    known = read_new(a_registration().together())

    assert json.loads(json.dumps(creation(exclude=[known]))) == {
        "rp": {"id": "example.org", "name": "Example"},
        "user": {
            "id": encode_base64url(USER_HANDLE),
            "name": "ada",
            "displayName": "Ada Lovelace",
        },
        "challenge": encode_base64url(CHALLENGE),
        "pubKeyCredParams": [
            {"type": "public-key", "alg": -8},
            {"type": "public-key", "alg": -7},
            {"type": "public-key", "alg": -257},
        ],
        "timeout": 300_000,
        "excludeCredentials": [
            {
                "type": "public-key",
                "id": encode_base64url(known.credential_id),
                "transports": ["internal"],
            }
        ],
        "authenticatorSelection": {
            "residentKey": "required",
            "requireResidentKey": True,
            "userVerification": "required",
        },
        "attestation": "none",
    }


def test_options_to_sign_in_are_as_browsers_take_them() -> None:
    known = replace(read_new(a_registration().together()), transports=())

    assert json.loads(json.dumps(request(allow=[known], user_verification=False))) == {
        "challenge": encode_base64url(CHALLENGE),
        "timeout": 300_000,
        "rpId": "example.org",
        "allowCredentials": [{"type": "public-key", "id": encode_base64url(known.credential_id)}],
        "userVerification": "preferred",
    }


# What is accepted


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_passkey_is_made_and_signs_in(algorithm: int) -> None:
    authenticator = SoftwareAuthenticator(ORIGIN, algorithm=algorithm)
    made = read_new(authenticator.create(creation()))

    [held] = authenticator.passkeys
    assert made == NewPasskey(
        credential_id=held.credential_id,
        public_key=held.public_key(),
        algorithm=algorithm,
        sign_count=0,
        transports=("internal",),
        aaguid="6a7e1f0c-5b0d-4c5e-9d5b-0f3a2c1d4e5f",
        backup_eligible=False,
        backed_up=False,
        user_verified=True,
    )
    assert read_signed(authenticator.get(request()), made) == Assertion(
        sign_count=1, user_verified=True, user_handle=USER_HANDLE, backed_up=False
    )


def test_a_passkey_that_does_not_count_signs_in_again_and_again() -> None:
    authenticator = SoftwareAuthenticator(ORIGIN, counts=False)
    made = read_new(authenticator.create(creation()))

    assert made.backup_eligible
    assert made.backed_up
    for _ in range(3):
        signed = read_signed(authenticator.get(request()), made)
        assert (signed.sign_count, signed.backed_up) == (0, True)


def test_where_it_is_not_required_an_unverified_user_is_let_in_and_told_so() -> None:
    authenticator = SoftwareAuthenticator(ORIGIN, verifies_user=False)
    made = read_new(
        authenticator.create(creation(user_verification=False)), user_verification=False
    )
    answer = authenticator.get(request(user_verification=False))

    assert not made.user_verified
    assert not read_signed(answer, made, user_verification=False).user_verified


def test_a_sign_in_need_not_say_for_which_user() -> None:
    for handle in (None, ""):
        made, answer = a_sign_in()
        answer.response["userHandle"] = handle
        assert read_signed(answer.together(), made).user_handle is None


def test_what_browsers_may_add_changes_nothing() -> None:
    answer = a_registration()
    answer.client |= {"crossOrigin": False, "extraData": "later versions", "androidPackageName": ""}
    answer.outer["authenticatorAttachment"] = None
    answer.response["transports"] = ["hybrid", "internal", "something-new", "internal"]
    answer.flags(on=RESERVED | EXTENDED)
    answer.data += cbor.encode({"credProtect": 2})

    assert read_new(answer.together()).transports == ("hybrid", "internal", "something-new")


def test_old_browsers_leave_out_what_is_new() -> None:
    answer = a_registration()
    del answer.client["crossOrigin"]
    del answer.response["transports"]

    assert read_new(answer.together()).transports == ()


def test_the_members_of_an_attestation_object_may_be_in_any_order() -> None:
    answer = a_registration()
    parts = {"authData": answer.data, "attStmt": {}, "fmt": "none"}
    whole = b"\xa3" + b"".join(cbor.encode(k) + cbor.encode(v) for k, v in parts.items())
    answer.instead["attestationObject"] = encode_base64url(whole)

    assert read_new(answer.together()).algorithm == ES256


@pytest.mark.parametrize("length", [16, 1023])
def test_the_shortest_and_the_longest_id_are_accepted(length: int) -> None:
    answer = a_registration()
    answer.rename(bytes(length))

    assert read_new(answer.together()).credential_id == bytes(length)


# What is refused


def changed_client(**changes: Any) -> Callable[[Answer], None]:
    def change(answer: Answer) -> None:
        answer.client |= changes

    return change


def changed_outer(**changes: Any) -> Callable[[Answer], None]:
    def change(answer: Answer) -> None:
        answer.outer |= changes

    return change


def instead(**changes: Any) -> Callable[[Answer], None]:
    def change(answer: Answer) -> None:
        answer.instead |= changes

    return change


def changed_flags(*, on: int = 0, off: int = 0) -> Callable[[Answer], None]:
    return lambda answer: answer.flags(on=on, off=off)


def without(name: str) -> Callable[[Answer], None]:
    return lambda answer: answer.client.pop(name)


def client_twice(answer: Answer) -> None:
    answer.client = answer.client_data.replace(b"{", b'{"origin": "https://evil.example", ', 1)


def raw_client(raw: bytes) -> Callable[[Answer], None]:
    def change(answer: Answer) -> None:
        answer.client = raw

    return change


def of_another_site(answer: Answer) -> None:
    answer.data = hashlib.sha256(ORIGIN.encode()).digest() + answer.data[32:]


def longer(answer: Answer) -> None:
    answer.data += b"\0"


def shorter(answer: Answer) -> None:
    answer.data = answer.data[:36]


def padded(answer: Answer) -> None:
    answer.instead["clientDataJSON"] = encode_base64url(answer.client_data) + "="


def too_large(answer: Answer) -> None:
    answer.client |= {"padding": "x" * 16 * 1024}


def other_alphabet(answer: Answer) -> None:
    answer.instead["clientDataJSON"] = encode_base64url(answer.client_data)[:-1] + "+"


FRAME = "the page was in a frame of another origin"
NO_MEMBER = "a member is missing, is no text or is too long"
NOT_BASE64URL = "a member is not base64url"
TWO_IDS = "the answer has two ids"
NOT_OURS = "the answer is not that of a passkey"

ALWAYS: dict[str, tuple[Callable[[Answer], None], str]] = {
    "another act": (changed_client(type="payment.get"), "the answer is for another act"),
    "no act": (without("type"), "the answer is for another act"),
    "another challenge": (
        changed_client(challenge=encode_base64url(OTHER_CHALLENGE)),
        "the answer is for another challenge",
    ),
    "a padded challenge": (
        changed_client(challenge=encode_base64url(CHALLENGE) + "="),
        "the answer is for another challenge",
    ),
    "no challenge": (without("challenge"), "the answer is for another challenge"),
    "a subdomain": (
        changed_client(origin="https://evil.example.org"),
        "the origin is not one of ours",
    ),
    "another port": (changed_client(origin=ORIGIN + ":444"), "the origin is not one of ours"),
    "http": (
        changed_client(origin="http://login.example.org"),
        "the origin is not one of ours",
    ),
    "a slash": (changed_client(origin=ORIGIN + "/"), "the origin is not one of ours"),
    "upper case": (changed_client(origin=ORIGIN.upper()), "the origin is not one of ours"),
    "a list of origins": (changed_client(origin=[ORIGIN]), "the origin is not one of ours"),
    "no origin": (without("origin"), "the origin is not one of ours"),
    "in a frame": (changed_client(crossOrigin=True), FRAME),
    "in a frame, by a number": (changed_client(crossOrigin=1), FRAME),
    "in a frame, by 0": (changed_client(crossOrigin=0), FRAME),
    "in a frame, by null": (changed_client(crossOrigin=None), FRAME),
    "with an outer origin": (changed_client(topOrigin="https://example.com"), FRAME),
    "with our own as outer origin": (changed_client(topOrigin=ORIGIN), FRAME),
    "with null as outer origin": (changed_client(topOrigin=None), FRAME),
    "a key twice": (client_twice, "the client data is not strict JSON"),
    "no JSON": (raw_client(b"{"), "the client data is not strict JSON"),
    "no UTF-8": (raw_client(b'{"type": "\xff"}'), "the client data is not strict JSON"),
    "a mark at the start": (raw_client(b"\xef\xbb\xbf{}"), "the client data is not strict JSON"),
    "a list as client data": (raw_client(b"[]"), "the client data is no object"),
    "for another site": (of_another_site, "the passkey is for another site"),
    "nobody there": (changed_flags(off=PRESENT), "the user was not present"),
    "not verified": (changed_flags(off=VERIFIED), "the user was not verified"),
    "backed up only": (
        changed_flags(on=BACKED_UP, off=ELIGIBLE),
        "the passkey is backed up and cannot be",
    ),
    "extensions that are not there": (changed_flags(on=EXTENDED), "a part is not strict CBOR"),
    "something behind": (longer, "something follows the authenticator data"),
    "too short": (shorter, "the authenticator data is too short"),
    "no id": (changed_outer(id=None), TWO_IDS),
    "no raw id": (changed_outer(rawId=None), TWO_IDS),
    "two ids": (changed_outer(rawId=encode_base64url(bytes(32))), TWO_IDS),
    "neither id": (changed_outer(id=None, rawId=None), NO_MEMBER),
    "another id": (
        changed_outer(id=encode_base64url(bytes(32)), rawId=encode_base64url(bytes(32))),
        "the credential has another id",
    ),
    "a long id": (
        changed_outer(id=encode_base64url(bytes(1024)), rawId=encode_base64url(bytes(1024))),
        "the id of the credential is too short or too long",
    ),
    "a short id": (
        changed_outer(id=encode_base64url(bytes(15)), rawId=encode_base64url(bytes(15))),
        "the id of the credential is too short or too long",
    ),
    "another type": (changed_outer(type="password"), NOT_OURS),
    "no response": (lambda answer: answer.outer.pop("type"), NOT_OURS),
    "client data as bytes": (instead(clientDataJSON=b"{}"), NO_MEMBER),
    "no client data": (instead(clientDataJSON=None), NO_MEMBER),
    "too large": (too_large, NO_MEMBER),
    "padding": (padded, NOT_BASE64URL),
    "the other alphabet": (other_alphabet, NOT_BASE64URL),
    "no ASCII": (instead(clientDataJSON="é"), NOT_BASE64URL),
    "half a character": (instead(clientDataJSON="\ud800"), NOT_BASE64URL),
}
"""What is wrong with an answer of either kind, and why it is refused."""

always = pytest.mark.parametrize("case", ALWAYS)


@always
def test_a_registration_is_refused_for_each_thing_that_is_wrong(case: str) -> None:
    change, reason = ALWAYS[case]
    answer = a_registration()
    change(answer)

    with pytest.raises(InvalidPasskey) as refused:
        read_new(answer.together())
    assert refused.value.reason == reason


@always
def test_a_sign_in_is_refused_for_each_thing_that_is_wrong(case: str) -> None:
    change, reason = ALWAYS[case]
    made, answer = a_sign_in()
    change(answer)

    with pytest.raises(InvalidPasskey) as refused:
        read_signed(answer.together(), made)
    assert refused.value.reason == reason


def changed_key(changes: dict[Any, Any]) -> Callable[[Answer], None]:
    return lambda answer: answer.key(changes)


def attested(name: Any, statement: Any) -> Callable[[Answer], None]:
    def change(answer: Answer) -> None:
        answer.attestation |= {"fmt": name, "attStmt": statement}

    return change


def with_member(name: str, value: Any) -> Callable[[Answer], None]:
    def change(answer: Answer) -> None:
        answer.attestation[name] = value

    return change


def raw_attestation(raw: bytes) -> Callable[[Answer], None]:
    return instead(attestationObject=encode_base64url(raw))


def no_new_credential(answer: Answer) -> None:
    answer.flags(off=ATTESTED)
    answer.data = answer.data[:37]


def id_beyond_the_end(answer: Answer) -> None:
    answer.data = answer.data[:53] + b"\x03\xff" + answer.data[55:]


def key_twice(answer: Answer) -> None:
    """Name the algorithm twice in the public key."""
    key = bytearray(answer.data[answer.key_at :])
    key[0] += 1
    answer.data = answer.data[: answer.key_at] + bytes(key) + cbor.encode(3) + cbor.encode(-7)


def extensions_as_a_list(answer: Answer) -> None:
    answer.flags(on=EXTENDED)
    answer.data += cbor.encode([])


KEY_FORM = "the public key does not have the form of its algorithm"
STATEMENT_FORM = "the attestation does not have the form of its format"
MEMBERS = "the attestation object has other members"
CBOR = "a part is not strict CBOR"
TRANSPORT = "a transport is malformed"

OF_A_REGISTRATION: dict[str, tuple[Callable[[Answer], None], str]] = {
    "a sign-in": (changed_client(type="webauthn.get"), "the answer is for another act"),
    "no new credential": (no_new_credential, "there is no new credential in the answer"),
    "only a flag for one": (
        lambda answer: setattr(answer, "data", answer.data[:50]),
        "the authenticator data is too short",
    ),
    "an id beyond the end": (id_beyond_the_end, CBOR),
    "ES384": (changed_key({3: ES384}), "the algorithm is not accepted"),
    "the algorithm by its new number": (changed_key({3: -9}), "the algorithm is not accepted"),
    "no algorithm": (changed_key({3: None}), "the algorithm is not accepted"),
    "the algorithm as text": (changed_key({3: "-7"}), "the algorithm is not accepted"),
    "a list as algorithm": (changed_key({3: [-7]}), "the algorithm is not accepted"),
    "another algorithm than the key's": (changed_key({3: EDDSA}), KEY_FORM),
    "another kind of key": (changed_key({1: 1}), KEY_FORM),
    "true as the curve": (changed_key({-1: True}), KEY_FORM),
    "another curve": (changed_key({-1: 2}), KEY_FORM),
    "a parameter more": (changed_key({2: b"id"}), KEY_FORM),
    "a parameter with a name": (changed_key({"kid": 1}), KEY_FORM),
    "half a point": (changed_key({-3: None}), KEY_FORM),
    "a compressed point": (changed_key({-3: True}), KEY_FORM),
    "a long coordinate": (changed_key({-2: bytes(33)}), KEY_FORM),
    "a point off the curve": (changed_key({-2: bytes(32)}), "the public key cannot be used"),
    "the algorithm twice": (key_twice, CBOR),
    "extensions as a list": (extensions_as_a_list, "the extensions are no map"),
    "an unknown attestation": (
        attested("unknown", {}),
        "the format of the attestation is not known",
    ),
    "SafetyNet": (
        attested("android-safetynet", {"ver": "1", "response": b""}),
        "the format of the attestation is not known",
    ),
    "a number as format": (attested(1, {}), "the format of the attestation is not known"),
    "none with a statement": (attested("none", {"sig": b""}), STATEMENT_FORM),
    "a list as statement": (attested("none", []), STATEMENT_FORM),
    "a statement without signature": (attested("packed", {"alg": ES256}), STATEMENT_FORM),
    "no certificates": (attested("packed", {"alg": -7, "sig": b"", "x5c": []}), STATEMENT_FORM),
    "a text as certificate": (attested("apple", {"x5c": ["x"]}), STATEMENT_FORM),
    "no certificate at all": (attested("apple", {"x5c": [b"x"]}), "the attestation is wrong"),
    "a wrong signature of its own": (
        attested("packed", {"alg": ES256, "sig": b"x"}),
        "the attestation is wrong",
    ),
    "an own signature of another kind": (
        attested("packed", {"alg": EDDSA, "sig": b"x"}),
        "the attestation is wrong",
    ),
    "an old TPM": (
        attested(
            "tpm",
            {"ver": "1.2", "alg": -7, "sig": b"", "x5c": [b""], "pubArea": b"", "certInfo": b""},
        ),
        STATEMENT_FORM,
    ),
    "an empty TPM": (
        attested(
            "tpm",
            {"ver": "2.0", "alg": -7, "sig": b"", "x5c": [b""], "pubArea": b"", "certInfo": b""},
        ),
        "the attestation is wrong",
    ),
    "a TPM with an unknown algorithm": (
        attested(
            "tpm",
            {"ver": "2.0", "alg": 0, "sig": b"", "x5c": [b""], "pubArea": b"", "certInfo": b""},
        ),
        "the algorithm of the attestation is not known",
    ),
    "a member more": (with_member("more", 1), MEMBERS),
    "a number as data": (with_member("authData", 1), MEMBERS),
    "a list as attestation": (raw_attestation(cbor.encode([])), "the attestation object is no map"),
    "two attestations": (
        raw_attestation(cbor.encode({}) + cbor.encode({})),
        "the attestation object is no map",
    ),
    "an empty attestation": (raw_attestation(b""), CBOR),
    "a deep attestation": (raw_attestation(b"\x81" * 10_000), CBOR),
    "a text as transports": (instead(transports="usb"), "the transports are no list, or too many"),
    "many transports": (
        instead(transports=[f"t{number}" for number in range(17)]),
        "the transports are no list, or too many",
    ),
    "a number as transport": (instead(transports=[1]), TRANSPORT),
    "a long transport": (instead(transports=["x" * 33]), TRANSPORT),
    "a transport in upper case": (instead(transports=["USB"]), TRANSPORT),
}


@pytest.mark.parametrize("case", OF_A_REGISTRATION)
def test_a_registration_is_refused_for_what_only_it_has(case: str) -> None:
    change, reason = OF_A_REGISTRATION[case]
    answer = a_registration()
    change(answer)

    with pytest.raises(InvalidPasskey) as refused:
        read_new(answer.together())
    assert refused.value.reason == reason


@pytest.mark.parametrize(
    ("algorithm", "changes"),
    [
        (EDDSA, {-1: 7}),
        (EDDSA, {-2: bytes(31)}),
        (EDDSA, {1: 2}),
        (RS256, {-1: bytes(256)}),
        (RS256, {-1: b"\xff" * 128}),
        (RS256, {-1: b"\xff" * 1024}),
        (RS256, {-2: b""}),
        (RS256, {-2: b"\0\1\0\1"}),
        (RS256, {-2: b"\xff" * 5}),
        (RS256, {-2: 65537}),
        (RS256, {1: 2}),
    ],
)
def test_a_key_of_each_algorithm_has_its_form(algorithm: int, changes: dict[int, Any]) -> None:
    answer = a_registration(algorithm)
    answer.key(changes)

    with pytest.raises(InvalidPasskey) as refused:
        read_new(answer.together())
    assert refused.value.reason == KEY_FORM


def test_an_even_exponent_cannot_be_used() -> None:
    answer = a_registration(RS256)
    answer.key({-2: b"\2"})

    with pytest.raises(InvalidPasskey, match="verified") as refused:
        read_new(answer.together())
    assert refused.value.reason == "the public key cannot be used"


def test_a_passkey_may_attest_itself() -> None:
    authenticator = SoftwareAuthenticator(ORIGIN)
    answer = Answer.of(authenticator.create(creation()))
    signature = authenticator.passkeys[0].sign(answer.signed)
    answer.attestation = {"fmt": "packed", "attStmt": {"alg": ES256, "sig": signature}}

    assert read_new(answer.together()).algorithm == ES256

    answer.client["added"] = "behind the signature"
    with pytest.raises(InvalidPasskey) as refused:
        read_new(answer.together())
    assert refused.value.reason == "the attestation is wrong"


def test_only_the_frames_that_are_expected_may_show_our_pages() -> None:
    framed = replace(RP, top_origins=("https://portal.example",))
    answer = a_registration()
    answer.client |= {"crossOrigin": True, "topOrigin": "https://portal.example"}
    assert read_new(answer.together(), framed).algorithm == ES256

    del answer.client["topOrigin"]  # not every browser says it
    assert read_new(answer.together(), framed).algorithm == ES256

    answer.client["topOrigin"] = "https://evil.example"
    with pytest.raises(InvalidPasskey) as refused:
        read_new(answer.together(), framed)
    assert refused.value.reason == FRAME


def signed_with_nothing(answer: Answer) -> None:
    answer.instead["signature"] = ""


def signed_by_another(answer: Answer) -> None:
    other = SoftwareAuthenticator(ORIGIN)
    other.create(creation())
    answer.passkey = other.passkeys[0]


def with_a_new_credential(answer: Answer) -> None:
    answer.flags(on=ATTESTED)
    answer.data += a_registration().data[37:]


OF_A_SIGN_IN: dict[str, tuple[Callable[[Answer], None], str]] = {
    "a registration": (changed_client(type="webauthn.create"), "the answer is for another act"),
    "no signature": (instead(signature=None), NO_MEMBER),
    "an empty signature": (signed_with_nothing, "the signature is wrong"),
    "the signature of another": (signed_by_another, "the signature is wrong"),
    "a new credential": (with_a_new_credential, "there is a new credential in a sign-in"),
    "another kind of passkey": (
        changed_flags(on=ELIGIBLE),
        "a passkey does not change whether it can be backed up",
    ),
    "a long user handle": (
        instead(userHandle=encode_base64url(bytes(65))),
        "the user handle is too long",
    ),
    "a number as user handle": (instead(userHandle=1), NO_MEMBER),
}


@pytest.mark.parametrize("case", OF_A_SIGN_IN)
def test_a_sign_in_is_refused_for_what_only_it_has(case: str) -> None:
    change, reason = OF_A_SIGN_IN[case]
    made, answer = a_sign_in()
    change(answer)

    with pytest.raises(InvalidPasskey) as refused:
        read_signed(answer.together(), made)
    assert refused.value.reason == reason


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_what_was_signed_cannot_change(algorithm: int) -> None:
    made, answer = a_sign_in(algorithm)
    genuine = answer.together()["response"]["signature"]
    answer.client["added"] = "behind the signature"
    answer.instead["signature"] = genuine

    with pytest.raises(InvalidPasskey) as refused:
        read_signed(answer.together(), made)
    assert refused.value.reason == "the signature is wrong"


@pytest.mark.parametrize(
    ("stored", "signed"), [(5, 5), (5, 4), (5, 0), (1, 0), (2**32 - 1, 2**32 - 1)]
)
def test_a_count_that_does_not_grow_is_that_of_a_copy(stored: int, signed: int) -> None:
    made, answer = a_sign_in()
    answer.data = answer.data[:33] + struct.pack(">I", signed)

    with pytest.raises(ClonedPasskey) as refused:
        read_signed(answer.together(), made, sign_count=stored)
    assert refused.value.code == InvalidPasskey.code
    assert refused.value.message == InvalidPasskey.default


@pytest.mark.parametrize(("stored", "signed"), [(0, 0), (0, 1), (5, 6), (5, 2**32 - 1)])
def test_a_count_that_grows_or_is_not_kept_is_right(stored: int, signed: int) -> None:
    made, answer = a_sign_in()
    answer.data = answer.data[:33] + struct.pack(">I", signed)

    assert read_signed(answer.together(), made, sign_count=stored).sign_count == signed


def test_a_copy_is_noted_only_if_its_signature_is_right() -> None:
    """Otherwise anybody could make a passkey look copied."""
    made, answer = a_sign_in()
    signed_by_another(answer)

    with pytest.raises(InvalidPasskey) as refused:
        read_signed(answer.together(), made, sign_count=9)
    assert not isinstance(refused.value, ClonedPasskey)


def test_a_stored_key_that_is_broken_is_a_refusal() -> None:
    made, answer = a_sign_in()

    with pytest.raises(InvalidPasskey):
        read_signed(answer.together(), made, public_key=made.public_key[:-1])


# What an answer claims


def test_an_answer_can_be_looked_up_before_it_is_verified() -> None:
    made, answer = a_sign_in()
    signed_by_another(answer)
    claimed = answer.together()

    assert challenge_in(claimed) == CHALLENGE
    assert credential_id_of(claimed) == made.credential_id
    assert user_handle_of(claimed) == USER_HANDLE


@pytest.mark.parametrize(
    "answer", [{}, {"response": 1}, {"response": {}}, {"type": "public-key", "id": 1, "rawId": 1}]
)
def test_what_cannot_be_read_claims_nothing(answer: Json) -> None:
    assert challenge_in(answer) is None
    assert credential_id_of(answer) is None
    assert user_handle_of(answer) is None


# Whatever comes

TEXTS = st.text() | st.binary().map(encode_base64url) | st.sampled_from(["public-key", ORIGIN])
ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXTS | st.binary(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=12,
)
OUTER = ("id", "rawId", "type", "response", "clientExtensionResults")
INNER = ("clientDataJSON", "attestationObject", "authenticatorData", "signature")
MORE = ("userHandle", "transports")
CBOR_VALUES = st.recursive(
    st.booleans() | st.integers(-(2**64), 2**64 - 1) | st.text() | st.binary(),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(max_size=8) | st.integers(-300, 300), inner, max_size=4)
    ),
    max_leaves=10,
)


def assert_is_read_or_refused(answer: Any) -> None:
    """Nothing but a refusal is raised by anything that reads answers."""
    known = {
        "public_key": KNOWN.public_key,
        "credential_id": KNOWN.credential_id,
        "sign_count": 0,
        "backup_eligible": False,
        "user_verification": False,
    }
    for read in (
        lambda: read_registration(RP, answer, CHALLENGE, user_verification=False),
        lambda: read_assertion(RP, answer, CHALLENGE, **known),
        lambda: (challenge_in(answer), credential_id_of(answer), user_handle_of(answer)),
    ):
        with suppress(InvalidPasskey):
            read()


KNOWN = read_new(a_registration().together())


@given(ANY)
def test_anything_at_all_is_read_or_refused(answer: Any) -> None:
    assert_is_read_or_refused(answer)


@given(st.sampled_from(OUTER), st.sampled_from(INNER + MORE), ANY, ANY)
def test_any_member_may_be_anything(outer: str, inner: str, one: Any, other: Any) -> None:
    for answer in (a_registration(), a_sign_in()[1]):
        answer.outer[outer] = one
        if outer != "response":
            answer.instead[inner] = other
            assert_is_read_or_refused(answer.together())
        assert_is_read_or_refused(answer.together() | {outer: one})


@given(CBOR_VALUES, CBOR_VALUES, st.binary(max_size=64))
def test_any_key_and_any_statement_are_read_or_refused(key: Any, other: Any, tail: bytes) -> None:
    for name in ("none", "packed", "fido-u2f", "tpm", "apple", "android-key"):
        answer = a_registration()
        answer.attestation = {"fmt": name, "attStmt": other}
        assert_is_read_or_refused(answer.together())
        answer.data = answer.data[: answer.key_at] + cbor.encode(key) + tail
        assert_is_read_or_refused(answer.together())


@given(st.dictionaries(st.integers(-4, 4), CBOR_VALUES), st.sampled_from(ALGORITHMS))
def test_any_parameters_of_a_key_are_read_or_refused(key: dict[int, Any], algorithm: int) -> None:
    answer = a_registration()
    answer.data = answer.data[: answer.key_at] + cbor.encode(key | {3: algorithm})
    assert_is_read_or_refused(answer.together())


MEMBER_VALUES = {
    "alg": st.sampled_from([-7, -8, -257, -35, -65535, 0]),
    "ver": st.just("2.0"),
    "x5c": st.lists(st.binary(), min_size=1, max_size=2),
}


@given(st.data())
def test_any_statement_of_the_right_form_is_read_or_refused(data: st.DataObject) -> None:
    forms = {
        "packed": ("alg", "sig", "x5c"),
        "fido-u2f": ("sig", "x5c"),
        "tpm": ("alg", "sig", "ver", "x5c", "pubArea", "certInfo"),
        "apple": ("x5c",),
        "android-key": ("alg", "sig", "x5c"),
    }
    name = data.draw(st.sampled_from(sorted(forms)))
    answer = a_registration()
    answer.attestation = {
        "fmt": name,
        "attStmt": {
            member: data.draw(MEMBER_VALUES.get(member, st.binary() | CBOR_VALUES))
            for member in forms[name]
        },
    }
    assert_is_read_or_refused(answer.together())


# CBOR


@given(CBOR_VALUES)
def test_cbor_is_read_as_it_was_written(value: Any) -> None:
    assert strict_cbor.parse(cbor.encode(value)) == value


@given(st.binary(max_size=64))
def test_any_bytes_are_cbor_or_not(raw: bytes) -> None:
    with suppress(strict_cbor.NotStrict):
        strict_cbor.parse(raw)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "18 17",  # 23 in two bytes
        "19 00ff",
        "1a 0000ffff",
        "1b 00000000ffffffff",
        "1c",
        "1f",
        "58 20 00",  # 32 bytes, of which one is there
        "41",
        "61 ff",
        "5f 41 00 ff",  # a length that is not stated
        "9f ff",
        "bf ff",
        "81",
        "9b ffffffffffffffff",
        "bb ffffffffffffffff",
        "a2 01 00 01 00",  # a key twice
        "a1 f5 00",
        "a1 41 00 00",
        "a1 80 00",
        "c0 00",  # a tag
        "f7",
        "f8 15",
        "f9 3c00",
        "00 00",
        "81 81 81 81 81 81 81 81 00",
    ],
)
def test_cbor_in_another_form_is_refused(text: str) -> None:
    with pytest.raises(strict_cbor.NotStrict):
        strict_cbor.parse(bytes.fromhex(text))


@pytest.mark.parametrize("head", [b"\x81", b"\xa1\x00", b"\x9f", b"\xbf", b"\x98\xff", b"\x60"])
def test_the_largest_answer_costs_little(head: bytes) -> None:
    raw = b"\x99\x2e\x00" + head * 6000
    started = time.process_time()
    for _ in range(10):
        with pytest.raises(strict_cbor.NotStrict):
            strict_cbor.parse(raw)

    assert time.process_time() - started < 1


# The authenticator itself


def test_the_authenticator_chooses_an_algorithm_that_it_is_offered() -> None:
    options = creation()
    options["pubKeyCredParams"] = [{"type": "public-key", "alg": alg} for alg in (ES384, EDDSA)]
    authenticator = SoftwareAuthenticator(ORIGIN)
    authenticator.create(options)
    assert authenticator.passkeys[0].algorithm == EDDSA

    options["pubKeyCredParams"] = [{"type": "public-key", "alg": ES384}]
    with pytest.raises(Declined, match="algorithms"):
        authenticator.create(options)


def test_the_authenticator_makes_no_second_passkey_beside_an_excluded_one() -> None:
    authenticator = SoftwareAuthenticator(ORIGIN)
    known = read_new(authenticator.create(creation()))

    with pytest.raises(Declined, match="excluded"):
        authenticator.create(creation(exclude=[known]))


def test_the_authenticator_replaces_the_passkey_of_the_same_user() -> None:
    authenticator = SoftwareAuthenticator(ORIGIN)
    authenticator.create(creation())
    newer = read_new(authenticator.create(creation()))

    assert [each.credential_id for each in authenticator.passkeys] == [newer.credential_id]


def test_the_authenticator_holds_several_accounts() -> None:
    authenticator = SoftwareAuthenticator(ORIGIN)
    ada = read_new(authenticator.create(creation()))
    grace = read_new(authenticator.create(creation(user_handle=b"grace", username="grace")))

    assert credential_id_of(authenticator.get(request())) == grace.credential_id
    by_name = authenticator.get(request(), username="ada")
    assert credential_id_of(by_name) == ada.credential_id
    by_list = authenticator.get(request(allow=[ada]))
    assert credential_id_of(by_list) == ada.credential_id

    authenticator.remove(ada.credential_id)
    with pytest.raises(Declined, match="no passkey"):
        authenticator.get(request(allow=[ada]))
    with pytest.raises(KeyError):
        authenticator.remove(ada.credential_id)


def test_the_authenticator_declines_what_it_cannot_do() -> None:
    authenticator = SoftwareAuthenticator(ORIGIN)
    authenticator.create(creation())
    authenticator.verifies_user = False

    with pytest.raises(Declined, match="verified"):
        authenticator.create(creation())
    with pytest.raises(Declined, match="verified"):
        authenticator.get(request())
    with pytest.raises(Declined, match="may not ask"):
        SoftwareAuthenticator("https://example.com").create(creation())
    with pytest.raises(Declined, match="may not ask"):
        SoftwareAuthenticator("https://notexample.org").get(request())


def test_a_copy_of_the_authenticator_is_found_out() -> None:
    authenticator = SoftwareAuthenticator(ORIGIN)
    made = read_new(authenticator.create(creation()))
    stored = read_signed(authenticator.get(request()), made).sign_count
    authenticator.passkeys[0].sign_count = 0

    with pytest.raises(ClonedPasskey):
        read_signed(authenticator.get(request()), made, sign_count=stored)
