"""Recovery codes: the way back for somebody who has lost their second factor."""

import hashlib
from typing import Final

from gatelodge.credentials.typed_codes import in_groups, new_code, plain_code

HOW_MANY: Final = 10

_LENGTH = 24
"""118 bits: enough for a hash without a salt and many passes, which needs 112 (ASVS 6.5.2)."""


def new_recovery_codes() -> list[str]:
    """Return ten new codes as people read them: `ABCD-EFGH-…`, six groups of four."""
    return [in_groups(new_code(_LENGTH)) for _ in range(HOW_MANY)]


def digest_of_code(typed: str) -> bytes:
    """Return the SHA-256 of a code as typed: with or without hyphens, in capitals or not."""
    return hashlib.sha256(plain_code(typed).encode("utf-8", "surrogatepass")).digest()
