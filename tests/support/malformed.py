"""Every way in which a token or its key can be wrong that Wycheproof's JOSE vectors know.

Each entry makes tokens of its own, and names the comments of those vectors that it stands for, so
that a run without the published files covers the same classes. Where the class belongs to another
algorithm (the padding of RSA, the salt of PSS), the token is one of that algorithm, which is not
read here at all; and where Ed25519 has the same weakness to offer, that is tried too.
"""

import hmac
import json
import os
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.keywrap import aes_key_wrap

from gatelodge.base64url import decode_base64url
from tests.support.jose import (
    KID,
    OTHER_ALGORITHMS,
    Jwk,
    Signer,
    b64,
    ed25519_signer,
    number,
    part,
    rsa_jwk,
    rsa_private_key,
    signer,
)
from tests.support.rsa_padding import ELEMENTS, PADDINGS, Encode, pkcs1_token, rsa_power

# RFC 8032, section 5.1: the field's prime and the order of the base point.
PRIME = 2**255 - 19
ORDER = 2**252 + 27742317777372353535851937790883648493

Attempt = tuple[str, object]
"""A token, and the JWK that its verifier holds."""


@dataclass(frozen=True)
class Case:
    """A class of tokens.

    Attributes:
        name: what is right or wrong about them.
        covers: matches the comments of Wycheproof's vectors of this class.
        make: returns tokens of the class.
    """

    name: str
    covers: re.Pattern[str]
    make: Callable[[], Iterable[Attempt]]


GOOD: dict[str, Case] = {}
MALFORMED: dict[str, Case] = {}


def _case(
    cases: dict[str, Case], covers: str
) -> Callable[[Callable[[], Iterable[Attempt]]], Callable[[], Iterable[Attempt]]]:
    def add(make: Callable[[], Iterable[Attempt]]) -> Callable[[], Iterable[Attempt]]:
        _add(cases, make.__name__.lstrip("_").replace("_", " "), covers, make)
        return make

    return add


def _add(
    cases: dict[str, Case], name: str, covers: str, make: Callable[[], Iterable[Attempt]]
) -> None:
    assert name not in cases
    cases[name] = Case(name, re.compile(covers), make)


# What is accepted


@_case(GOOD, r"acceptsValid|valid|ValidMac|normalPayload|Figure\d+")
def _a_token() -> Iterator[Attempt]:
    good = ed25519_signer()
    yield good.token(), good.jwk
    yield good.token(bytes(range(0xE0, 0x100))), good.jwk
    yield good.token(typ="JWT"), good.jwk | {"use": "sig", "key_ops": ["verify"]}


@_case(GOOD, r"emptyPayload|oneBytePayload|allZeroPayload")
def _a_payload_of_few_bytes_or_of_zeros() -> Iterator[Attempt]:
    good = ed25519_signer()
    for payload in (b"", b"a", bytes(20)):
        yield good.token(payload), good.jwk


@_case(GOOD, r"ValidSpacesInJsonHeader|ValidWhiteSpaceInJsonHeader")
def _white_space_in_the_json_of_the_header() -> Iterator[Attempt]:
    good = ed25519_signer()
    for text in ('{ "kid" : "%s", "alg" : "EdDSA" }', '{"kid":"%s",\n\t"alg":"EdDSA"}'):
        yield good.seal(b64((text % KID).encode()), b64(b"Test")), good.jwk


@_case(GOOD, r"ValidEdgeCaseMac")
def _a_signature_that_begins_with_zero_bits_or_one_bits() -> Iterator[Attempt]:
    good = ed25519_signer()
    for start in ("A", "_"):
        tokens = (good.token(b"T%d" % n) for n in range(100_000))
        yield next(one for one in tokens if one.split(".")[2].startswith(start)), good.jwk


# Parts that are missing, in excess, or changed


def _reshaped(shape: Callable[[str, str, str], str]) -> Callable[[], Iterator[Attempt]]:
    def make() -> Iterator[Attempt]:
        good = ed25519_signer()
        yield shape(*good.token().split(".")), good.jwk

    return make


_SHAPES: dict[str, tuple[str, Callable[[str, str, str], str]]] = {
    "no signature": ("rejectsMissingSignature", lambda h, p, s: f"{h}.{p}."),
    "no signature and no dot": (
        "rejectsMissingSignatureAndSeparator",
        lambda h, p, s: f"{h}.{p}",
    ),
    "no payload": ("rejectsMissingPayload", lambda h, p, s: f"{h}..{s}"),
    "no payload and no dot": (
        "rejectsMissingPayloadAndSeparator",
        lambda h, p, s: f"{h}.{s}",
    ),
    "no header": ("rejectsMissingHeader", lambda h, p, s: f".{p}.{s}"),
    "no header and no dot": ("rejectsMissingHeaderAndSeparator", lambda h, p, s: f"{p}.{s}"),
    "no header and no signature": (
        "rejectsMissingHeaderAndSignature",
        lambda h, p, s: f".{p}.",
    ),
    "only a payload": (
        "rejectsMissingHeaderSignatureAndSeparators?",
        lambda h, p, s: p,
    ),
    "nothing": ("rejectsEmptyString", lambda h, p, s: ""),
    "an empty part more": ("rejectsExtraEmptyComponent", lambda h, p, s: f"{h}.{p}.{s}."),
    "a part more": ("rejectsExtraComponent", lambda h, p, s: f"{h}.{p}.{s}.{p}"),
    "a changed payload": (
        "rejectsModifiedPayload",
        lambda h, p, s: f"{h}.{b64(b'Xest')}.{s}",
    ),
    "spaces in the signature": ("rejectsSpacesInMac", lambda h, p, s: f"{h}.{p}.    {s}"),
    "an invalid character before the signature": (
        "rejectsInvalidCharacterInsertedInMac",
        lambda h, p, s: f"{h}.{p}.?{s}",
    ),
    "an invalid character inside the signature": (
        "rejectsInvalidCharacterInsertedInMac",
        lambda h, p, s: f"{h}.{p}.{s[:40]}?{s[40:]}",
    ),
    "an invalid character in place of one of the signature": (
        "rejects0ReplacedbyInvalidCharacter",
        lambda h, p, s: f"{h}.{p}.?{s[1:]}",
    ),
    "invalid characters in place of some of the signature": (
        "rejectsInvalidCharacters",
        lambda h, p, s: f"{h}.{p}.????{s[4:]}",
    ),
    "an invalid character that the signature does not know, in the header": (
        "InvalidCharacterInsertedInHeader",
        lambda h, p, s: f"{h[:-1]}?{h[-1]}.{p}.{s}",
    ),
    "an invalid character that the signature does not know, in the payload": (
        "InvalidCharacterInsertedInPayload",
        lambda h, p, s: f"{h}.{p}?.{s}",
    ),
}
for _name, (_covers, _shape) in _SHAPES.items():
    _add(MALFORMED, _name, _covers, _reshaped(_shape))


@_case(MALFORMED, r"rejectsModifiedHeader")
def _a_changed_header() -> Iterator[Attempt]:
    good = ed25519_signer()
    _, body, signature = good.token().split(".")
    for header in ({"alg": "EdDSA", "kid": "Xey_1"}, {"Alg": "EdDSA", "kid": KID}):
        yield f"{part(header)}.{body}.{signature}", good.jwk
        yield good.seal(part(header), body), good.jwk


@_case(MALFORMED, r"rejectsValidJsonSerialization")
def _json_serialization() -> Iterator[Attempt]:
    good = ed25519_signer()
    head, body, signature = good.token().split(".")
    one = {"protected": head, "signature": signature}
    yield json.dumps({"payload": body, "signatures": [one]}), good.jwk
    yield json.dumps({"payload": body, **one}), good.jwk


# Another spelling of the same bytes, signed as it is spelled


def _respelled(spell: Callable[[str, str], tuple[str, str]]) -> Callable[[], Iterator[Attempt]]:
    def make() -> Iterator[Attempt]:
        good = ed25519_signer()
        yield good.seal(*spell(good.header(), b64(b"Test"))), good.jwk

    return make


_SPELLINGS: dict[str, tuple[str, Callable[[str, str], tuple[str, str]]]] = {
    "spaces in the header": ("spacesInHeader", lambda h, p: (f"{h}    ", p)),
    "invalid characters in the header": (
        "invalidCharactersInHeader",
        lambda h, p: (f"{h}####", p),
    ),
    "padding in the header": (
        "invalidBase64Padding",
        lambda h, p: (h + ("=" * (-len(h) % 4) or "="), p),
    ),
    "spaces in the payload": ("spacesInPayload", lambda h, p: (h, f"    {p}")),
    "invalid characters in the payload": (
        "invalidCharactersInPayload",
        lambda h, p: (h, f"####{p}"),
    ),
    "an invalid character in the payload": (
        "InvalidCharacterInPayload",
        lambda h, p: (h, f"?{p}"),
    ),
    "padding in the payload": ("invalidBase64PaddingInPayload", lambda h, p: (h, f"{p}==")),
    "stray bits at the end of the payload": (
        "ModifiedUnusedBitsInPayload",
        lambda h, p: (h, "AB"),
    ),
}
for _name, (_covers, _spell) in _SPELLINGS.items():
    _add(MALFORMED, _name, _covers, _respelled(_spell))


@_case(MALFORMED, r"MacOfIncorrectlyEncodedMessage")
def _a_signature_over_another_spelling() -> Iterator[Attempt]:
    good = ed25519_signer()
    head, _, signature = good.seal(good.header(), "AA").split(".")
    yield f"{head}.AB.{signature}", good.jwk


# Signatures


def _with_signature(signature: bytes) -> Attempt:
    good = ed25519_signer()
    return f"{good.token().rpartition('.')[0]}.{b64(signature)}", good.jwk


def _good_signature() -> bytes:
    good = ed25519_signer()
    return good.sign(good.token().rpartition(".")[0].encode())


@_case(MALFORMED, r"(rejectsM|m)odifiedSignature")
def _a_changed_signature() -> Iterator[Attempt]:
    good = _good_signature()
    for position in range(len(good)):
        changed = bytearray(good)
        changed[position] ^= 1
        yield _with_signature(bytes(changed))


@_case(MALFORMED, r"(prepending|appending)ZerosToSignature|SignatureTooLong|TrailingZeros|Buffer.*")
def _a_signature_that_is_too_long() -> Iterator[Attempt]:
    good = _good_signature()
    for more in (1, 2, 64, 400):
        yield _with_signature(good + bytes(more))
        yield _with_signature(bytes(more) + good)
    yield _with_signature(good + good)


@_case(MALFORMED, r"truncatedSignature")
def _a_signature_that_is_too_short() -> Iterator[Attempt]:
    good = _good_signature()
    for length in (1, 32, 62, 63):
        yield _with_signature(good[:length])
        yield _with_signature(good[-length:])


@_case(
    MALFORMED,
    r"r(IsZero|IsOne|IsN|IsNminus1)_s(IsZero|IsOne|IsN|IsNminus1)|SignatureIs(0|1|Nsub1|n)",
)
def _a_signature_of_numbers_at_their_limits() -> Iterator[Attempt]:
    for point in (0, 1, PRIME - 1, PRIME):
        for scalar in (0, 1, ORDER - 1, ORDER):
            yield _with_signature(_ed25519_pair(point, scalar))


@_case(MALFORMED, r"RisTooBig")
def _a_signature_whose_point_is_too_big() -> Iterator[Attempt]:
    scalar = int.from_bytes(_good_signature()[32:], "little")
    for point in (PRIME + 1, 2**255 - 1, 2**256 - 1):
        yield _with_signature(_ed25519_pair(point, scalar))


@_case(MALFORMED, r"SisTooBig|IntegerOverflow|SignatureIsnotReduced")
def _a_signature_whose_number_is_not_reduced() -> Iterator[Attempt]:
    """S + L is the same number to whoever does not check it (RFC 8032, section 8.4)."""
    good = _good_signature()
    point = int.from_bytes(good[:32], "little")
    scalar = int.from_bytes(good[32:], "little")
    for times in range(1, 15):
        yield _with_signature(_ed25519_pair(point, scalar + times * ORDER))


def _ed25519_pair(point: int, scalar: int) -> bytes:
    return point.to_bytes(32, "little") + scalar.to_bytes(32, "little")


# Algorithms


@_case(MALFORMED, r"algIsNone|rejectsNoneAlgorithmAndMissingSignature")
def _algorithm_none() -> Iterator[Attempt]:
    good = ed25519_signer()
    _, body, signature = good.token().split(".")
    for alg in ("none", "NONE", "nOnE", ""):
        for header in ({"alg": alg}, {"alg": alg, "kid": "none"}, {"alg": alg, "kid": KID}):
            yield f"{part(header)}.{body}.", good.jwk
            yield f"{part(header)}.{body}.{signature}", good.jwk
        yield good.token(alg=alg), good.jwk


@_case(MALFORMED, r"rejectsSymmetryConfusionAttacks_.*")
def _the_public_key_as_a_shared_secret() -> Iterator[Attempt]:
    good = ed25519_signer()
    for secret in (good.jwk["x"].encode(), json.dumps(good.jwk).encode()):
        confused = Signer(
            good.jwk | {"alg": "HS256"}, lambda text, key=secret: hmac.digest(key, text, "sha256")
        )
        yield confused.token(), good.jwk
        yield confused.token(alg="EdDSA"), good.jwk


@_case(MALFORMED, r"rejectsAttackerProvidedEmbeddedJwk")
def _a_key_that_came_with_the_token() -> Iterator[Attempt]:
    good, stranger = ed25519_signer(), ed25519_signer.__wrapped__()
    yield stranger.token(), good.jwk
    yield stranger.token(jwk=stranger.jwk), good.jwk
    yield stranger.token(jwk=stranger.jwk, kid="stranger"), good.jwk
    yield good.token(jwk=good.jwk), good.jwk


@_case(MALFORMED, r"Using(RS|PS)\d+")
def _a_signature_of_another_algorithm() -> Iterator[Attempt]:
    good = ed25519_signer()
    for algorithm in OTHER_ALGORITHMS:
        other = signer(algorithm)
        yield good.token(alg=algorithm), good.jwk
        yield other.token(alg="EdDSA"), good.jwk
        yield other.token(), good.jwk
        yield other.token(), other.jwk | {"alg": "EdDSA"}
        yield other.token(alg="EdDSA"), other.jwk | {"alg": "EdDSA", "crv": "Ed25519"}


@_case(MALFORMED, r"saltIsAll[01]|long_key")
def _a_good_token_of_an_algorithm_that_is_not_read() -> Iterator[Attempt]:
    for algorithm in OTHER_ALGORITHMS:
        yield signer(algorithm).token(), signer(algorithm).jwk


# RSA: what is signed with it is not read, and its padding least of all


@_case(
    MALFORMED,
    r"((f|F)irst|(l|L)ast)ByteOfMhashModified|MhashModified|ModifiedHash|SaltLenChanged"
    r"|SaltModified|ZeroPaddingModified|PSModified|MaskedDbChanged|EmModified",
)
def _a_changed_pss_signature() -> Iterator[Attempt]:
    private, other = rsa_private_key(), signer("PS256")
    message = other.token().rpartition(".")[0]
    for sha in (hashes.SHA1(), hashes.SHA256(), hashes.SHA512()):
        for salt_length in (0, 20, 32, padding.PSS.MAX_LENGTH):
            pss = padding.PSS(padding.MGF1(sha), salt_length)
            yield f"{message}.{b64(private.sign(message.encode(), pss, sha))}", other.jwk
    for block in (bytes(255), b"\x7f" * 255, os.urandom(255)):
        yield f"{message}.{b64(rsa_power(block))}", other.jwk


def _padded(encodings: list[Encode]) -> Callable[[], Iterator[Attempt]]:
    def make() -> Iterator[Attempt]:
        for element in ELEMENTS:
            for encode in encodings:
                yield pkcs1_token(element, encode), signer("RS256").jwk

    return make


for _name, (_covers, _encodings) in PADDINGS.items():
    _add(MALFORMED, f"rsa padding with {_name}", _covers, _padded(_encodings))


# Keys


def _held(*jwks: object) -> Iterator[Attempt]:
    """Yield a good token for each of the keys that its verifier should not have taken."""
    for jwk in jwks:
        yield ed25519_signer().token(), jwk


def _changed(**changes: object) -> Jwk:
    return {k: v for k, v in (ed25519_signer().jwk | changes).items() if v is not ...}


@_case(MALFORMED, r"rejectsValid|rejectsDuplicateKid")
def _a_key_set_in_place_of_a_key() -> Iterator[Attempt]:
    """Sets that contradict themselves are refused because no set is read at all."""
    good = ed25519_signer()
    yield from _held(
        {"keys": [good.jwk]},
        {"keys": [good.jwk, good.jwk]},
        {"keys": [good.jwk, signer("HS256").jwk]},
        [good.jwk],
    )


@_case(MALFORMED, r"rejectsWrongUse|rejectWrongUse")
def _a_key_for_another_use() -> Iterator[Attempt]:
    yield from _held(*(_changed(use=use) for use in ("enc", "SIG", "", None, ["sig"])))


@_case(MALFORMED, r"rejectWrongKeyOps")
def _a_key_for_other_operations() -> Iterator[Attempt]:
    operations = (
        ["encrypt"], ["sign"], ["verify", "encrypt"], ["verify", "verify"], [], "verify", None
    )  # fmt: skip
    yield from _held(*(_changed(use=..., key_ops=one) for one in operations))


@_case(MALFORMED, r"rejectsModifiedKey|mismatchedAlgAndCurve")
def _a_key_whose_type_curve_and_algorithm_do_not_fit() -> Iterator[Attempt]:
    good, other = ed25519_signer().jwk, signer("Ed448").jwk
    yield from _held(
        *(_changed(kty=kty) for kty in ("EC", "RSA", "oct", "okp", None, ...)),
        *(_changed(crv=crv) for crv in ("Ed448", "X25519", "P-256", "ed25519", None, ...)),
        *(_changed(alg=alg) for alg in ("ES521", "ES224", "Ed25519", "eddsa", None, ...)),
        good | {"x": other["x"]},
        good | {"x": good["x"] + "="},
        good | {"x": ed25519_signer.__wrapped__().jwk["x"]},
    )


@_case(MALFORMED, r"key_too_short")
def _a_key_that_is_too_short_or_too_long() -> Iterator[Attempt]:
    good = decode_base64url(ed25519_signer().jwk["x"])
    for x in (good[:1], good[:31], good[1:], good + b"\0", b"\0" + good, good + good):
        yield from _held(_changed(x=b64(x)))
    for size, length in (("256", 31), ("384", 47), ("512", 63)):
        other = signer(f"HS{size}")
        yield other.token(), other.jwk | {"k": b64(bytes(length))}


@_case(MALFORMED, r"empty_key")
def _an_empty_key() -> Iterator[Attempt]:
    yield from _held(_changed(x=""), _changed(x=...), {})
    for size in ("256", "384", "512"):
        yield signer(f"HS{size}").token(), signer(f"HS{size}").jwk | {"k": ""}


@_case(MALFORMED, r"rejectsAesKey")
def _a_key_for_encryption() -> Iterator[Attempt]:
    shared = signer("HS256")
    for alg in ("A256GCM", "A256KW", "dir"):
        yield shared.token(), shared.jwk | {"alg": alg}
        yield from _held(_changed(alg=alg))


@_case(MALFORMED, r"rejects1024bitRsaKey|rejectsPublicExponent1")
def _a_weak_rsa_key() -> Iterator[Attempt]:
    weak = rsa_private_key(1024)
    message = signer("RS256").token().rpartition(".")[0]
    signature = weak.sign(message.encode(), padding.PKCS1v15(), hashes.SHA256())
    yield f"{message}.{b64(signature)}", rsa_jwk(weak.public_key().public_numbers().n)
    n = rsa_private_key().public_key().public_numbers().n
    yield f"{message}.{b64(bytes(256))}", rsa_jwk(n, e=1)


@_case(MALFORMED, r"rejectsKeyWithRocaVulnerability")
def _an_rsa_key_of_a_generator_whose_keys_can_be_factored() -> Iterator[Attempt]:
    """A power of 65537 modulo every small prime is that generator's mark (CVE-2017-15361)."""
    product = 1
    for prime in (n for n in range(3, 168) if all(n % divisor for divisor in range(2, n))):
        product *= prime
    n = (2**2047 // product + 1) * product + pow(65537, 7, product)
    yield f"{signer('RS256').token().rpartition('.')[0]}.{b64(bytes(256))}", rsa_jwk(n)


# Encrypted tokens are not read


def _encrypted(damage: Callable[[list[str]], str]) -> Callable[[], Iterator[Attempt]]:
    def make() -> Iterator[Attempt]:
        wrapping, content_key, iv = os.urandom(32), os.urandom(32), os.urandom(12)
        head = part({"alg": "A256KW", "kid": KID, "enc": "A256GCM"})
        sealed = AESGCM(content_key).encrypt(iv, b"Test", head.encode())
        wrapped = aes_key_wrap(wrapping, content_key)
        jwk = {"kty": "oct", "alg": "A256KW", "use": "enc", "kid": KID, "k": b64(wrapping)}
        yield damage([head, *map(b64, (wrapped, iv, sealed[:-16], sealed[-16:]))]), jwk

    return make


_JWE = ("Header", "EncryptedKey", "Iv", "Ciphertext", "AuthenticationTag")
_add(MALFORMED, "a good encrypted token", r"acceptsValid", _encrypted(".".join))
for _index, _part in enumerate(_JWE):
    if _index:
        _add(
            MALFORMED,
            f"an encrypted token with a changed {_part}",
            f"rejectsModified{_part}",
            _encrypted(lambda p, i=_index: ".".join([*p[:i], f"AA{p[i][2:]}", *p[i + 1 :]])),
        )
    _add(
        MALFORMED,
        f"an encrypted token without {_part}",
        f"rejectsMissing{_part}",
        _encrypted(lambda p, i=_index: ".".join([*p[:i], "", *p[i + 1 :]])),
    )
    _add(
        MALFORMED,
        f"an encrypted token without {_part} and a dot",
        f"rejectsMissing{_part}AndSeparator",
        _encrypted(lambda p, i=_index: ".".join([*p[:i], *p[i + 1 :]])),
    )


@_case(MALFORMED, r"rejectsInvalidCurvePoint")
def _an_encrypted_token_with_a_point_off_its_curve() -> Iterator[Attempt]:
    point = ec.generate_private_key(ec.SECP256R1()).public_key().public_numbers()
    ours = {"kty": "EC", "crv": "P-256", "x": number(point.x, 32), "y": number(point.y, 32)}
    header = {
        "alg": "ECDH-ES+A128KW",
        "enc": "A128GCM",
        "kid": KID,
        "epk": ours | {"y": number(point.y ^ 1, 32)},
    }
    yield f"{part(header)}.{b64(bytes(24))}.{b64(bytes(12))}.AA.{b64(bytes(16))}", ours
