"""The strict shell around a signed token: one spelling, one key, one algorithm.

Signatures are checked by the cryptography package; this module decides which texts get that far.
`docs/decisions/0004-strict-token-shell.md` says what is refused here that general libraries let
through.
"""

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from gatelodge import strict_json
from gatelodge.base64url import decode_base64url
from gatelodge.tokens.jwk import VerificationKey
from gatelodge.tokens.refusals import InvalidToken

MAX_TOKEN = 4096

KeyFinder = Callable[[str], Awaitable[VerificationKey | None]]

# Nothing else may be there: `crit`, `b64`, `zip` change what a token means, and `jku`, `x5u`,
# `jwk`, `x5c`, `x5t` let it choose its own key (RFC 8725, sections 3.1 and 3.10).
_HEADER_MEMBERS = frozenset({"alg", "kid", "typ"})


@dataclass(frozen=True, slots=True)
class JwsPolicy:
    """What a kind of token must say about itself.

    Attributes:
        kid: what a key's name looks like.
        typ: the exact `typ` (RFC 8725, section 3.11), or None: none is asked for.
    """

    kid: re.Pattern[str]
    typ: str | None


@dataclass(frozen=True, slots=True)
class VerifiedJws:
    """What a checked token carries.

    Attributes:
        kid: the key that signed it.
        payload: the bytes that were signed.
    """

    kid: str
    payload: bytes


async def verify_jws(text: str, find_key: KeyFinder, *, policy: JwsPolicy) -> VerifiedJws:
    """Return what a token carries, once its shape, its header and its signature are right.

    The algorithm is the key's; the header only gets to agree (RFC 8725, section 3.1).

    Raises:
        InvalidToken: anything about it is not exactly as it must be.
    """
    header, payload, signature = _split(text)
    algorithm, kid = _read_header(header, policy)
    key = await find_key(kid)
    if key is None or key.algorithm != algorithm:
        raise InvalidToken
    message = text[: text.rindex(".")].encode()
    if not key.verifies(message, signature):
        raise InvalidToken
    return VerifiedJws(kid, payload)


def read_json_object(raw: bytes) -> dict[str, Any]:
    """Return the JSON object that the bytes are, in UTF-8, each name once (see `strict_json.py`).

    Raises:
        InvalidToken: they are anything else.
    """
    try:
        value = strict_json.parse(raw)
    except ValueError:
        raise InvalidToken from None
    if not isinstance(value, dict):
        raise InvalidToken
    return value


def _split(text: str) -> tuple[bytes, bytes, bytes]:
    if len(text) > MAX_TOKEN or not text.isascii() or text.count(".") != 2:
        raise InvalidToken
    try:
        header, payload, signature = map(decode_base64url, text.split("."))
    except ValueError:
        raise InvalidToken from None
    return header, payload, signature


def _read_header(raw: bytes, policy: JwsPolicy) -> tuple[str, str]:
    """Return the algorithm that the header names, and the key."""
    header = read_json_object(raw)
    algorithm, kid = header.get("alg"), header.get("kid")
    if not header.keys() <= _HEADER_MEMBERS or policy.typ not in (None, header.get("typ")):
        raise InvalidToken
    if not isinstance(algorithm, str) or not isinstance(kid, str):
        raise InvalidToken
    if not policy.kid.fullmatch(kid):
        raise InvalidToken
    return algorithm, kid
