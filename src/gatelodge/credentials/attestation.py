"""Attestation statements: what a maker of authenticators says about a new passkey.

We ask for none, and trust nobody's: no certificate is followed to a root, and nothing of a
statement is kept. But browsers may send one, and one that is wrong shows that the answer was
changed on its way. So a statement must have the form of its format, and its signature must fit:

- `packed`, `fido-u2f`, `apple`: verified by `fido2`, which does not look at their form.
- `tpm`: verified here. `fido2` refuses the one among the W3C's test vectors, for a byte that
  WebAuthn does not use.
- `android-key`: `fido2` does not know it. The signature is verified, and that the certificate is
  for the key of the passkey; the extension for Android in the certificate is not read.
- `none` says nothing, so only TLS protects the answer on its way.
- Every other format is refused: a browser that was asked for none sends none of them.

What is in a certificate besides its key, and the certificates after the first one, change nothing.
"""

import hashlib
from typing import TYPE_CHECKING, Any, TypeAlias

from gatelodge.credentials.refusals import InvalidPasskey
from gatelodge.credentials.strict_cbor import Cbor

if TYPE_CHECKING:
    from fido2.cose import CoseKey

_MEMBERS: dict[str, tuple[set[str], ...]] = {
    "none": (set(),),
    "packed": ({"alg", "sig"}, {"alg", "sig", "x5c"}),
    "fido-u2f": ({"sig", "x5c"},),
    "tpm": ({"alg", "sig", "ver", "x5c", "pubArea", "certInfo"},),
    "apple": ({"x5c"}, {"alg", "x5c"}),
    "android-key": ({"alg", "sig", "x5c"},),
}
"""The members of a statement, by format (WebAuthn, section 8)."""

_TPM_VERSION = "2.0"
_TPM_CERTIFIES = b"\xffTCG\x80\x17"
"""How what a TPM has signed begins: `TPM_GENERATED_VALUE`, `TPM_ST_ATTEST_CERTIFY`."""
_TPM_CLOCK_AND_FIRMWARE = 17 + 8
_TPM_DIGESTS = {-7: "sha256", -257: "sha256", -35: "sha384", -36: "sha512", -65535: "sha1"}
"""The digest of each algorithm. TPMs of older computers use SHA-1."""

_Statement: TypeAlias = dict[int | str, Cbor]


def check_statement(
    format_name: Cbor,
    statement: Cbor,
    *,
    key: "CoseKey",
    authenticator_data: bytes,
    client_data_hash: bytes,
) -> None:
    """Refuse an attestation statement that is malformed, or whose signature does not fit.

    Args:
        format_name: the format that the answer names.
        statement: the statement.
        key: the public key of the new passkey.
        authenticator_data: the authenticator data of the answer.
        client_data_hash: the SHA-256 of the client data.

    Raises:
        InvalidPasskey: the statement is wrong, or its format is not known.
    """
    if not isinstance(format_name, str) or format_name not in _MEMBERS:
        raise InvalidPasskey("the format of the attestation is not known")
    if not isinstance(statement, dict) or not _has_form(format_name, statement):
        raise InvalidPasskey("the attestation does not have the form of its format")
    if format_name == "none":
        return
    try:
        _verify(format_name, statement, key, authenticator_data, client_data_hash)
    except InvalidPasskey:
        raise
    except Exception as error:
        raise InvalidPasskey("the attestation is wrong") from error


def _has_form(format_name: str, statement: _Statement) -> bool:
    if set(statement) not in _MEMBERS[format_name]:
        return False
    if statement.get("ver", _TPM_VERSION) != _TPM_VERSION:
        return False
    chain = statement.get("x5c", [b""])
    return isinstance(chain, list) and bool(chain) and all(isinstance(c, bytes) for c in chain)


def _verify(
    format_name: str,
    statement: _Statement,
    key: "CoseKey",
    authenticator_data: bytes,
    client_data_hash: bytes,
) -> None:
    signed = authenticator_data + client_data_hash
    if format_name == "tpm":
        _verify_tpm(statement, key, signed)
    elif format_name == "android-key":
        _check_certificate_is_for(key, statement)
        _check_signed_by(key, statement, signed)
    else:
        if format_name == "apple":  # `fido2` does not look whose certificate it is
            _check_certificate_is_for(key, statement)
        _verify_by_library(format_name, statement, authenticator_data, client_data_hash)


def _verify_by_library(
    format_name: str, statement: _Statement, authenticator_data: bytes, client_data_hash: bytes
) -> None:
    # Few answers have a statement, and its verifiers take a while to import.
    from fido2.attestation.base import Attestation  # noqa: PLC0415
    from fido2.webauthn import AuthenticatorData  # noqa: PLC0415

    members = {str(name): value for name, value in statement.items()}
    verifier = Attestation.for_type(format_name)()
    verifier.verify(members, AuthenticatorData(authenticator_data), client_data_hash)


def _check_certificate_is_for(key: "CoseKey", statement: _Statement) -> None:
    if type(key).from_cryptography_key(_certified_key(statement)) != key:
        raise InvalidPasskey("the certificate of the attestation is for another key")


def _check_signed_by(key: "CoseKey", statement: _Statement, message: bytes) -> None:
    if statement["alg"] != key.ALGORITHM:
        raise InvalidPasskey("the attestation names another algorithm")
    key.verify(message, _bytes(statement["sig"]))


def _certified_key(statement: _Statement) -> Any:
    """Return the key that the first certificate is for."""
    from cryptography.x509 import load_der_x509_certificate  # noqa: PLC0415 - rarely used

    chain = statement["x5c"]
    return load_der_x509_certificate(
        _bytes(chain[0] if isinstance(chain, list) else None)
    ).public_key()


# TPM


def _verify_tpm(statement: _Statement, key: "CoseKey", signed: bytes) -> None:
    """Verify the statement of a TPM (WebAuthn, section 8.3).

    It signs the name of the passkey's key, and a digest of what is `signed` in other formats.
    """
    from fido2.attestation.tpm import TpmPublicFormat  # noqa: PLC0415 - rarely used
    from fido2.cose import CoseKey  # noqa: PLC0415

    algorithm = statement["alg"]
    if not isinstance(algorithm, int) or algorithm not in _TPM_DIGESTS:
        raise InvalidPasskey("the algorithm of the attestation is not known")
    area = TpmPublicFormat.parse(_bytes(statement["pubArea"]))
    if type(key).from_cryptography_key(area.public_key()) != key:
        raise InvalidPasskey("the attestation is for another key")
    certificate = _bytes(statement["certInfo"])
    digest = hashlib.new(_TPM_DIGESTS[algorithm], signed).digest()
    if _certified_by_tpm(certificate) != (digest, area.name()):
        raise InvalidPasskey("the attestation is for another answer")
    signer = CoseKey.for_alg(algorithm).from_cryptography_key(_certified_key(statement))
    signer.verify(certificate, _bytes(statement["sig"]))


def _certified_by_tpm(certificate: bytes) -> tuple[bytes, bytes]:
    """Return what a TPM was given to sign, and the name of the key that it certifies.

    The structure is `TPMS_ATTEST` (TPM 2.0 library, part 2, section 10.12).
    """
    if not certificate.startswith(_TPM_CERTIFIES):
        raise InvalidPasskey("the attestation is not made by a TPM")
    _, end = _sized(certificate, len(_TPM_CERTIFIES))
    given, end = _sized(certificate, end)
    name, end = _sized(certificate, end + _TPM_CLOCK_AND_FIRMWARE)
    _, end = _sized(certificate, end)
    if end != len(certificate):
        raise InvalidPasskey("something follows the attestation")
    return given, name


def _sized(raw: bytes, start: int) -> tuple[bytes, int]:
    """Return the bytes behind their length of two bytes, and where they end."""
    begin = start + 2
    end = begin + int.from_bytes(raw[start:begin], "big")
    return raw[begin:end], end


def _bytes(value: Cbor) -> bytes:
    if not isinstance(value, bytes):
        raise InvalidPasskey("a member of the attestation is no byte string")
    return value
