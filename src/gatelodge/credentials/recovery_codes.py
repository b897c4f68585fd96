"""Recovery codes: the way back for somebody who has lost their second factor."""

import hashlib
from datetime import datetime
from typing import Final

from gatelodge.credentials.factors import FACTOR_PREFIX, Factor, FactorId
from gatelodge.credentials.typed_codes import in_groups, new_code, plain_code
from gatelodge.ids import new_id

HOW_MANY: Final = 10

_LENGTH = 24
"""118 bits: enough for a hash without a salt and many passes, which needs 112 (ASVS 6.5.2)."""


def new_recovery_codes() -> list[str]:
    """Return ten new codes as people read them: `ABCD-EFGH-…`, six groups of four."""
    return [in_groups(new_code(_LENGTH)) for _ in range(HOW_MANY)]


def new_codes_factor(at: datetime) -> tuple[list[str], Factor]:
    """Return ten new codes as people read them, and the factor that is stored of them."""
    codes = new_recovery_codes()
    digests = tuple(digest_of_code(each) for each in codes)
    factor_id = FactorId(new_id(FACTOR_PREFIX, at))
    return codes, Factor(factor_id, "recovery_codes", "", at, digests=digests)


def digest_of_code(typed: str) -> bytes:
    """Return the SHA-256 of a code as typed: with or without hyphens, in capitals or not."""
    return hashlib.sha256(plain_code(typed).encode("utf-8", "surrogatepass")).digest()
