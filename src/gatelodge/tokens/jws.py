"""Strict checks around a signed token: one canonical text, one key, one algorithm.

The cryptography package verifies the signatures. This module decides which tokens reach it.
`docs/decisions/0004-strict-token-shell.md` lists what is refused here although general libraries
accept it.
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

# Other members are refused: `crit`, `b64` and `zip` change the meaning of a token; `jku`, `x5u`,
# `jwk`, `x5c` and `x5t` let a token choose its own key (RFC 8725, sections 3.1 and 3.10).
_HEADER_MEMBERS = frozenset({"alg", "kid", "typ"})


@dataclass(frozen=True, slots=True)
class JwsPolicy:
    """What the header of one kind of token must contain.

    Attributes:
        kid: the pattern that the key's id must match.
        typ: the exact `typ` (RFC 8725, section 3.11), or None: `typ` is not checked.
    """

    kid: re.Pattern[str]
    typ: str | None


@dataclass(frozen=True, slots=True)
class VerifiedJws:
    """The content of a token whose signature was verified.

    Attributes:
        kid: the id of the key that signed the token.
        payload: the signed bytes.
    """

    kid: str
    payload: bytes


async def verify_jws(text: str, find_key: KeyFinder, *, policy: JwsPolicy) -> VerifiedJws:
    """Return the content of a token after its form, header and signature were checked.

    The key determines the algorithm; the header must name the same (RFC 8725, section 3.1).

    Args:
        text: the token in compact serialization (RFC 7515, section 7.1), at most 4096 characters.
        find_key: returns the key with a kid, or None.
        policy: what the header must contain.

    Raises:
        InvalidToken: one of the checks failed.
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
    """Return the JSON object in these bytes (see `strict_json.py` for what is accepted).

    Raises:
        InvalidToken: the bytes are not such an object.
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
    """Return the `alg` and the `kid` of a header."""
    header = read_json_object(raw)
    algorithm, kid = header.get("alg"), header.get("kid")
    if not header.keys() <= _HEADER_MEMBERS or policy.typ not in (None, header.get("typ")):
        raise InvalidToken
    if not isinstance(algorithm, str) or not isinstance(kid, str):
        raise InvalidToken
    if not policy.kid.fullmatch(kid):
        raise InvalidToken
    return algorithm, kid
