"""The password rules and the password hashes.

All functions only compute. Hashing and verifying take tens of milliseconds, so `service.py` runs
them in the hashing pool.
"""

import re
import secrets
import unicodedata
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import bcrypt
from argon2.exceptions import HashingError, VerificationError
from argon2.low_level import Type, error_to_str, hash_secret, verify_secret

from gatelodge.credentials.blocklist import is_common
from gatelodge.credentials.refusals import HashingUnavailable, RejectedPassword
from gatelodge.errors import ConfigurationError, InvalidRequest

MIN_CHARACTERS = 8
MAX_CHARACTERS = 256
_MAX_BYTES = 1024
_NFC_SHRINKS_AT_MOST = 4  # up to four code points become one (U+1F82)

_PRODUCT_NAME = "gatelodge"


def normalise(password: str) -> bytes:
    """Return the bytes to hash: the password in NFC and UTF-8.

    NFC makes the different ways to type the same text equal. NFKC is not used, because it makes
    different passwords equal (NIST SP 800-63B-4, section 3.1.1.2).
    """
    return unicodedata.normalize("NFC", password).encode()


def check_presented_password(password: str, *, field: str = "password") -> None:
    """Refuse a presented password that no stored password can equal.

    The rules for new passwords do not apply.

    Args:
        password: the password as typed.
        field: the name of the field in the request.

    Raises:
        InvalidRequest: the password is too long, or contains U+0000 or a lone surrogate.
    """
    problem = _find_malformation(password)
    if problem is not None:
        raise InvalidRequest(problem, field=field)


def check_new_password(
    password: str, *, minimum: int, context: Collection[str], field: str = "password"
) -> None:
    """Refuse a new password that breaks the rules.

    Args:
        password: the password as typed; it is never trimmed or cut.
        minimum: the minimum number of code points; a number below `MIN_CHARACTERS` counts as that.
        context: words that are easy to guess here, such as the user's names and the host name.
        field: the name of the field in the request.

    Raises:
        RejectedPassword: the password breaks a rule; the message says which (NIST SP 800-63B-4,
            section 3.1.1.2).
    """
    problem = _find_malformation(password) or _find_weakness(password, minimum, context)
    if problem is not None:
        raise RejectedPassword(problem, field=field)


def check_other_password(new: str, current: str, *, field: str = "password") -> None:
    """Refuse a new password that is the current one.

    Args:
        new: the new password as typed; `check_new_password` comes first.
        current: the current password as typed, which was verified.
        field: the name of the field in the request.

    Raises:
        RejectedPassword: both are the same password.
    """
    if normalise(new) == normalise(current):
        raise RejectedPassword("That is your current password. Please choose another.", field=field)


def _find_malformation(password: str) -> str | None:
    # This check comes first, because normalising a hostile text takes quadratic time.
    if len(password) > MAX_CHARACTERS * _NFC_SHRINKS_AT_MOST:
        return TOO_LONG
    if "\0" in password or any("\ud800" <= character <= "\udfff" for character in password):
        return "A password cannot contain the character U+0000 or broken Unicode."
    composed = unicodedata.normalize("NFC", password)
    if len(composed) > MAX_CHARACTERS or len(composed.encode()) > _MAX_BYTES:
        return TOO_LONG
    return None


def at_least(minimum: int) -> int:
    """Return how many characters a new password has at least, with this setting."""
    return max(minimum, MIN_CHARACTERS)


def too_short(minimum: int) -> str:
    """Return the sentence about a password that has fewer characters than that."""
    least = at_least(minimum)
    return f"Use at least {least} characters."


TOO_LONG = f"Use at most {MAX_CHARACTERS} characters ({_MAX_BYTES} bytes)."
_A_NAME = (
    "That password is easy to guess: it is your own name, or a name of this site. "
    "Please choose another."
)


BREACHED = (
    "That password is in a list of passwords that were stolen from other sites. "
    "Please choose another."
)


def _find_weakness(password: str, minimum: int, context: Collection[str]) -> str | None:
    composed = unicodedata.normalize("NFC", password)
    if len(composed) < at_least(minimum):
        return too_short(minimum)
    if _folded(composed) in _context_words(context):
        return _A_NAME
    if is_common(composed):
        return "That password is one of the most common ones. Please choose another."
    if _is_pattern(_folded(composed)):
        return "That password is a repetition or a plain sequence. Please choose another."
    return None


def _is_pattern(password: str) -> bool:
    """Say whether a folded password repeats a short piece, or runs along a well-known sequence.

    Source: security.md, section 1. A piece is at most eight characters: one letter sixteen times,
    `passwordpassword`, `abcabcabc`; a sequence goes on from its end: `890123456789`, `zyxwvuts`.
    """
    pieces = range(1, min(_MAX_PIECE, len(password) // 2) + 1)
    if any(password[size:] == password[:-size] for size in pieces):
        return True
    return any(
        password in (sequence * (len(password) // len(sequence) + 2))
        for forward in _SEQUENCES
        for sequence in (forward, forward[::-1])
    )


_MAX_PIECE = 8
_SEQUENCES = (
    "0123456789",
    "abcdefghijklmnopqrstuvwxyz",
    "qwertyuiop",
    "qwertzuiop",
    "asdfghjkl",
    "zxcvbnm",
    "yxcvbnm",
    "1q2w3e4r5t6z7u8i9o0p",
    "1q2w3e4r5t6y7u8i9o0p",
)
"""Digits, letters, and rows and columns of keyboards."""


def _context_words(context: Collection[str]) -> set[str]:
    """Return the folded words; of an e-mail address also the part before the @."""
    words = {_folded(word) for word in (_PRODUCT_NAME, *context)}
    return words | {word.partition("@")[0] for word in words}


def _folded(text: str) -> str:
    return unicodedata.normalize("NFC", text).casefold()


_DEFAULT_MEMORY_KIB = 19456
_DEFAULT_PASSES = 2

# Limits on the cost that a stored hash may ask for: an imported hash must not stop the server.
_RETRY_AFTER = 1  # second
_MAX_MEMORY_KIB = 256 * 1024
_MAX_PASSES = 10
_MAX_LANES = 8
_BCRYPT_COSTS = range(10, 15)  # below 10 is too weak to be worth checking (OWASP)
_BCRYPT_MAX_BYTES = 72

_ARGON2ID = re.compile(
    r"\$argon2id\$v=19"
    r"\$m=(?P<memory>[1-9][0-9]{0,6}),t=(?P<passes>[1-9][0-9]?),p=(?P<lanes>[1-9])"
    r"\$(?P<salt>[A-Za-z0-9+/]{11,86})\$(?P<tag>[A-Za-z0-9+/]{22,86})"
)
_BCRYPT = re.compile(r"\$2[aby]\$(?P<cost>[0-9]{2})\$[./A-Za-z0-9]{21}[.Oeu][./A-Za-z0-9]{31}")
"""The last digit of the salt has four unused bits, which are zero."""

_SALT_BYTES = 16
_TAG_BYTES = 32
_SALT_CHARACTERS = 22  # of base64, without padding
_TAG_CHARACTERS = 43


@dataclass(frozen=True, slots=True)
class PasswordHasher:
    """Makes argon2id hashes, and verifies argon2id and imported bcrypt hashes.

    The default parameters are those of OWASP (Password Storage Cheat Sheet).

    Attributes:
        memory_kib: the memory of one hash, in KiB.
        passes: the number of passes over the memory.
        lanes: the number of threads of one hash.
    """

    memory_kib: int = _DEFAULT_MEMORY_KIB
    passes: int = _DEFAULT_PASSES
    lanes: int = 1

    def __post_init__(self) -> None:
        """Refuse parameters that `verify` would refuse in a stored hash."""
        if not _is_affordable(self.memory_kib, self.passes, self.lanes):
            raise ConfigurationError(
                f"A password hash takes at most {_MAX_MEMORY_KIB} KiB, {_MAX_PASSES} passes "
                f"and {_MAX_LANES} lanes."
            )

    def hash(self, password: str) -> str:
        """Return a new hash of the password as a PHC string."""
        return _hash_secret(
            normalise(password),
            salt=secrets.token_bytes(_SALT_BYTES),
            time_cost=self.passes,
            memory_cost=self.memory_kib,
            parallelism=self.lanes,
            hash_len=_TAG_BYTES,
            type=Type.ID,
        ).decode()

    def verify(self, stored: str | None, password: str) -> bool:
        """Say whether the password is the one that was hashed.

        If `stored` is None, malformed or too expensive, the answer is False after a hash of usual
        cost. So the time does not tell who has an account (OWASP Authentication Cheat Sheet). A
        wrong password for a weaker hash, from before the parameters were raised, takes as long. The
        exceptions are bcrypt hashes and stronger ones: they take a different time until they are
        replaced (see `needs_rehash`).

        Args:
            stored: the PHC string or bcrypt hash, or None for a user that does not exist.
            password: the password as typed.
        """
        secret = normalise(password)
        if stored is not None and _is_affordable_argon2id(stored):
            matches = _argon2id_matches(stored, secret)
            if not matches:
                self._spend_what_is_missing(stored, secret)
            return matches
        if stored is not None and _is_affordable_bcrypt(stored) and b"\0" not in secret:
            return _bcrypt_matches(stored, secret)
        _argon2id_matches(self._dummy_hash(), secret)
        return False

    def accepts(self, stored: str) -> bool:
        """Say whether `verify` can check a password against a hash that was made elsewhere."""
        match = _ARGON2ID.fullmatch(stored)
        whole = match is not None and all(len(match[of]) % 4 != 1 for of in ("salt", "tag"))
        return (whole and _is_affordable_argon2id(stored)) or _is_affordable_bcrypt(stored)

    def needs_rehash(self, stored: str) -> bool:
        """Say whether a stored hash is weaker than new ones, so that sign-in must replace it.

        One with another number of lanes was made elsewhere, and is replaced too.
        """
        match = _ARGON2ID.fullmatch(stored)
        return match is None or (
            int(match["memory"]) < self.memory_kib
            or int(match["passes"]) < self.passes
            or int(match["lanes"]) != self.lanes
            or len(match["salt"]) < _SALT_CHARACTERS
            or len(match["tag"]) < _TAG_CHARACTERS
        )

    @property
    def relative_cost(self) -> float:
        """The cost of a hash, compared with a hash of the default parameters."""
        return self.memory_kib * self.passes / (_DEFAULT_MEMORY_KIB * _DEFAULT_PASSES)

    def _spend_what_is_missing(self, stored: str, secret: bytes) -> None:
        """Make up for a hash that cost less than a new one; the cost is memory times passes."""
        match = _ARGON2ID.fullmatch(stored)
        spent = int(match["memory"]) * int(match["passes"]) if match else 0
        memory_kib = self.memory_kib - spent // self.passes
        if memory_kib >= 8 * self.lanes:
            _argon2id_matches(self._dummy_hash(memory_kib), secret)

    def _dummy_hash(self, memory_kib: int | None = None) -> str:
        """Return a well-formed hash that no known password matches; by default of current cost."""
        cost = f"m={memory_kib or self.memory_kib},t={self.passes},p={self.lanes}"
        return f"$argon2id$v=19${cost}${'A' * _SALT_CHARACTERS}${'A' * _TAG_CHARACTERS}"


def _is_affordable_argon2id(stored: str) -> bool:
    match = _ARGON2ID.fullmatch(stored)
    return match is not None and _is_affordable(
        int(match["memory"]), int(match["passes"]), int(match["lanes"])
    )


def _is_affordable(memory_kib: int, passes: int, lanes: int) -> bool:
    return (
        8 * lanes <= memory_kib <= _MAX_MEMORY_KIB  # the lower bound: RFC 9106, section 3.1
        and 1 <= passes <= _MAX_PASSES
        and 1 <= lanes <= _MAX_LANES
    )


def _is_affordable_bcrypt(stored: str) -> bool:
    match = _BCRYPT.fullmatch(stored)
    return match is not None and int(match["cost"]) in _BCRYPT_COSTS


_NOT_CHECKED = {error_to_str(code) for code in (-22, -33)}  # no memory; no thread (argon2.h)
"""What says that argon2 could not look: a password that was not checked is not wrong."""


def _hash_secret(secret: bytes, **parameters: Any) -> bytes:
    try:
        return hash_secret(secret, **parameters)
    except HashingError as error:
        raise HashingUnavailable(retry_after=_RETRY_AFTER) from error


def _argon2id_matches(stored: str, secret: bytes) -> bool:
    try:
        return verify_secret(stored.encode(), secret, Type.ID)
    except VerificationError as error:
        if str(error) in _NOT_CHECKED:
            raise HashingUnavailable(retry_after=_RETRY_AFTER) from error
        return False


def _bcrypt_matches(stored: str, secret: bytes) -> bool:
    # bcrypt uses only the first 72 bytes; the package raises an error for more.
    try:
        return bcrypt.checkpw(secret[:_BCRYPT_MAX_BYTES], stored.encode())
    except ValueError:  # the salt is not canonical
        return False
