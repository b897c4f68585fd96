"""Signatures of RSA whose PKCS #1 padding is not the one that the algorithm makes.

Wycheproof's vectors for RS256 change every element of the padding in every way that a careless
parser of DER has been known to overlook (RFC 8017, section 9.2, says what must stand there).
"""

from collections.abc import Callable

from cryptography.hazmat.primitives import hashes

from tests.support.jose import b64, rsa_private_key, signer


def rsa_power(block: bytes) -> bytes:
    """Return what RSA makes of a block without any padding."""
    key, value = rsa_private_key().private_numbers(), int.from_bytes(block)
    # The Chinese remainder theorem: four times as fast as one power modulo p * q.
    of_p, of_q = pow(value, key.dmp1, key.p), pow(value, key.dmq1, key.q)
    return (of_q + (of_p - of_q) * key.iqmp % key.p * key.q).to_bytes(256)


Encode = Callable[[int, bytes], bytes]
"""Write a tag and its content as DER, or nearly so."""

ELEMENTS = ("digest info", "algorithm", "oid", "null", "digest")


def der(tag: int, content: bytes) -> bytes:
    """Return a tag and its content as DER; contents here are shorter than 128 bytes."""
    return bytes([tag, len(content)]) + content


def pkcs1_token(element: str = "", encode: Encode = der) -> str:
    """Return a token of RS256 in which one element of the padding is encoded in another way."""
    other = signer("RS256")
    message = other.token().rpartition(".")[0]
    digest = hashes.Hash(hashes.SHA256())
    digest.update(message.encode())

    def write(name: str, tag: int, content: bytes) -> bytes:
        return (encode if name == element else der)(tag, content)

    oid = write("oid", 6, bytes.fromhex("608648016503040201"))
    algorithm = write("algorithm", 0x30, oid + write("null", 5, b""))
    info = write("digest info", 0x30, algorithm + write("digest", 4, digest.finalize()))
    block = b"\0\1" + b"\xff" * (253 - len(info)) + b"\0" + info
    return f"{message}.{b64(rsa_power(block))}"


def _with_length(length: Callable[[int], bytes]) -> Encode:
    return lambda tag, content: bytes([tag]) + length(len(content)) + content


_E = r"(Sequence|Oid|Null|OctetString)"
PADDINGS: dict[str, tuple[str, list[Encode]]] = {
    "a length in its long form": (
        rf"lengthOf{_E}UsesLongFormEncoding",
        [_with_length(lambda n: bytes([0x81, n]))],
    ),
    "a length with a leading zero": (
        rf"lengthOf{_E}ContainsALeading0",
        [_with_length(lambda n: bytes([0x82, 0, n]))],
    ),
    "a length that is wrong by one": (
        rf"lengthOf{_E}Uses\d+InsteadOf\d+|incorrectLengthOf{_E}",
        [
            _with_length(lambda n: bytes([n + 1])),
            _with_length(lambda n: bytes([max(n - 1, 0x80)])),
        ],
    ),
    "a length that overflows": (
        rf"uint(32|64)OverflowInLengthOf{_E}|lengthOf{_E}[iI]s2to\d+(sub1)?",
        [
            _with_length(lambda n: b"\x85\1" + n.to_bytes(4)),
            _with_length(lambda n: b"\x89\1" + n.to_bytes(8)),
            _with_length(lambda n: b"\x84\x7f\xff\xff\xff"),
            _with_length(lambda n: b"\x88" + b"\xff" * 8),
        ],
    ),
    "a length that is not said": (
        (
            rf"replaced{_E}ByAnIndefiniteLengthTagWithoutTermination|indefiniteLength.*"
            rf"|usingCompositionWithIndefiniteLengthFor{_E}"
        ),
        [
            _with_length(lambda n: b"\x80"),
            lambda tag, content: bytes([tag, 0x80]) + content + b"\0\0",
            lambda tag, content: bytes([tag | 0x20, 0x80]) + der(tag, content) + b"\0\0",
            lambda tag, content: bytes([tag, 0x80]) + content + b"\0",
            lambda tag, content: bytes([tag, 0x80]) + content + b"\6\x0b\0\0",
        ],
    ),
    "an element that is cut or missing": (
        (
            rf"removing{_E}|droppingValueOf{_E}|Replacing{_E}WithNULL|truncated{_E}(:.*)?"
            rf"|lonely{_E}Tag|truncatedLengthOf{_E}"
        ),
        [
            lambda tag, content: b"",
            lambda tag, content: bytes([tag, 0]),
            lambda tag, content: b"\5\0",
            lambda tag, content: bytes([tag]),
            lambda tag, content: bytes([tag, 0x81]),
            lambda tag, content: der(tag, content[:-1]),
            lambda tag, content: der(tag, content[1:]),
        ],
    ),
    "something after an element": (
        rf"append(ing|Empty|Zero|Garbage|Null).*|repeatingElementIn{_E}",
        [
            lambda tag, content: der(tag, content + b"\0\0"),
            lambda tag, content: der(tag, content) + b"\0\0",
            lambda tag, content: der(tag, content + b"\5\0"),
            lambda tag, content: der(tag, content) + b"\x30\0",
            lambda tag, content: der(tag, content) * 2,
            lambda tag, content: der(tag, content) + b"\xbf\x7f\0",
        ],
    ),
    "something before an element": (
        rf"prepending(0's|Garbage)To{_E}|prependEmptySequence",
        [
            lambda tag, content: der(tag, b"\0\0" + content),
            lambda tag, content: b"\x30\0" + der(tag, content),
            lambda tag, content: der(tag, b"\x25\0\x30\0" + content),
        ],
    ),
    "another tag": (
        (
            rf"changingTagValueOf{_E}|includingUndefinedTags(To{_E})?"
            rf"|usingComposition(WithWrongTag)?For{_E}|composedNull|sequenceOfSequence"
        ),
        [
            lambda tag, content: der(tag ^ 1, content),
            lambda tag, content: der(tag | 0x80, content),
            lambda tag, content: der(tag | 0x20, der(tag, content)),
            lambda tag, content: der(0x30, der(tag, content)),
            lambda tag, content: der(tag, b"\xaa\2\xbb\0" + content),
        ],
    ),
    "another content": (
        (
            rf"modifying(First|Last)ByteOf{_E}|wrongOid|longerOid|oidWith(Modified|Invalid)Node"
            r"|largeIntegerInOid|incorrectNull"
        ),
        [
            lambda tag, content: der(tag, bytes([(content or b"\0")[0] ^ 1]) + content[1:]),
            lambda tag, content: der(tag, content[:-1] + bytes([(content or b"\0")[-1] ^ 1])),
            lambda tag, content: der(tag, content + b"\1"),
            lambda tag, content: der(tag, content[:2] + b"\x80" + content[2:]),
        ],
    ),
}
