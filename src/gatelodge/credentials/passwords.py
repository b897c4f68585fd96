"""The rules for passwords, and the hashes by which they are checked.

Everything here computes; what hashes takes tens of milliseconds, and runs in the hashing pool.
"""

import re
import secrets
import unicodedata
from collections.abc import Collection
from dataclasses import dataclass

import bcrypt
from argon2.exceptions import VerificationError
from argon2.low_level import Type, hash_secret, verify_secret

from gatelodge.credentials.blocklist import is_common
from gatelodge.credentials.refusals import RejectedPassword
from gatelodge.errors import ConfigurationError, InvalidRequest

MIN_CHARACTERS = 8
MAX_CHARACTERS = 256
_MAX_BYTES = 1024
_NFC_SHRINKS_AT_MOST = 4  # one composed letter is at most four code points (U+1F82)

_PRODUCT = "gatelodge"


def normalise(password: str) -> bytes:
    """Return the bytes that are hashed: NFC, so that one password is one, however it is typed.

    Not NFKC, which would make one of several different passwords (NIST SP 800-63B, 3.1.1.2).
    """
    return unicodedata.normalize("NFC", password).encode()


def check_presented_password(password: str, *, field: str = "password") -> None:
    """Return if a password that came to be verified can be one; it need not be a good one.

    Raises:
        InvalidRequest: it is longer than any password here, or not text.
    """
    problem = _not_a_password(password)
    if problem is not None:
        raise InvalidRequest(problem, field=field)


def check_new_password(
    password: str, *, minimum: int, context: Collection[str], field: str = "password"
) -> None:
    """Return if somebody may choose this password.

    Args:
        password: as typed; it is never trimmed or cut.
        minimum: the least number of code points, at least `MIN_CHARACTERS`.
        context: what a guesser tries next: the user's names, the host.
        field: what the request calls it.

    Raises:
        RejectedPassword: it breaks the rules; the message says which (NIST, 3.1.1.2).
    """
    problem = _not_a_password(password) or _easy_to_guess(password, minimum, context)
    if problem is not None:
        raise RejectedPassword(problem, field=field)


def _not_a_password(password: str) -> str | None:
    # Long before anything else: to normalise takes quadratic time on hostile text.
    if len(password) > MAX_CHARACTERS * _NFC_SHRINKS_AT_MOST:
        return _TOO_LONG
    if "\0" in password or any("\ud800" <= character <= "\udfff" for character in password):
        return "A password cannot contain the character U+0000 or broken Unicode."
    composed = unicodedata.normalize("NFC", password)
    if len(composed) > MAX_CHARACTERS or len(composed.encode()) > _MAX_BYTES:
        return _TOO_LONG
    return None


_TOO_LONG = f"Use at most {MAX_CHARACTERS} characters ({_MAX_BYTES} bytes)."


def _easy_to_guess(password: str, minimum: int, context: Collection[str]) -> str | None:
    composed = unicodedata.normalize("NFC", password)
    minimum = max(minimum, MIN_CHARACTERS)
    if len(composed) < minimum:
        return f"Use at least {minimum} characters."
    if _folded(composed) in _context_words(context):
        return "That password is a name that a guesser tries first. Please choose another."
    if is_common(composed):
        return "That password is one of the most common ones. Please choose another."
    return None


def _context_words(context: Collection[str]) -> set[str]:
    """Return the words, and of e-mail addresses also the part before the @, for comparing."""
    words = {_folded(word) for word in (_PRODUCT, *context)}
    return words | {word.partition("@")[0] for word in words}


def _folded(text: str) -> str:
    return unicodedata.normalize("NFC", text).casefold()


# Caps on what a stored hash may ask for: an imported record must not take the server down.
_MAX_MEMORY_KIB = 256 * 1024
_MAX_PASSES = 10
_MAX_LANES = 8
_BCRYPT_COSTS = range(10, 15)  # below 10 is too weak to be worth checking (OWASP)
_BCRYPT_READS = 72

_ARGON2ID = re.compile(
    r"\$argon2id\$v=19"
    r"\$m=(?P<memory>[1-9][0-9]{0,6}),t=(?P<passes>[1-9][0-9]?),p=(?P<lanes>[1-9])"
    r"\$(?P<salt>[A-Za-z0-9+/]{11,86})\$(?P<tag>[A-Za-z0-9+/]{22,86})"
)
_BCRYPT = re.compile(r"\$2[aby]\$(?P<cost>[0-9]{2})\$[./A-Za-z0-9]{53}")

_SALT_BYTES = 16
_TAG_BYTES = 32
_SALT_CHARACTERS = 22  # of base64, without padding
_TAG_CHARACTERS = 43


@dataclass(frozen=True, slots=True)
class PasswordHasher:
    """Make and check password hashes: argon2id, and bcrypt where one was imported.

    The parameters are OWASP's (Password Storage Cheat Sheet) unless stronger ones are given.

    Attributes:
        memory_kib: the memory one hash fills.
        passes: how often it fills it.
        lanes: how many threads one hash takes.
    """

    memory_kib: int = 19456
    passes: int = 2
    lanes: int = 1

    def __post_init__(self) -> None:
        """Refuse parameters that `verify` would not spend on a stored hash."""
        if not _is_affordable(self.memory_kib, self.passes, self.lanes):
            raise ConfigurationError(
                f"A password hash takes at most {_MAX_MEMORY_KIB} KiB, {_MAX_PASSES} passes "
                f"and {_MAX_LANES} lanes."
            )

    def hash(self, password: str) -> str:
        """Return a new hash of the password as a PHC string."""
        return hash_secret(
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

        Without a hash, or with one that is malformed or asks for too much, the answer is False
        and takes as long as any other: nobody learns from the clock who has an account (OWASP
        Authentication Cheat Sheet). An imported bcrypt hash takes its own time until it is
        replaced, see `needs_rehash`.
        """
        secret = normalise(password)
        if stored is not None and _affordable_argon2id(stored):
            return _argon2id_matches(stored, secret)
        if stored is not None and _affordable_bcrypt(stored) and b"\0" not in secret:
            return _bcrypt_matches(stored, secret)
        _argon2id_matches(self._nobodys_hash(), secret)
        return False

    def needs_rehash(self, stored: str) -> bool:
        """Say whether a hash is weaker than those made today, so that sign-in replaces it."""
        match = _ARGON2ID.fullmatch(stored)
        return match is None or (
            int(match["memory"]) < self.memory_kib
            or int(match["passes"]) < self.passes
            or len(match["salt"]) < _SALT_CHARACTERS
            or len(match["tag"]) < _TAG_CHARACTERS
        )

    def _nobodys_hash(self) -> str:
        """Return a well-formed hash of today's cost that belongs to no known password."""
        cost = f"m={self.memory_kib},t={self.passes},p={self.lanes}"
        return f"$argon2id$v=19${cost}${'A' * _SALT_CHARACTERS}${'A' * _TAG_CHARACTERS}"


def _affordable_argon2id(stored: str) -> bool:
    match = _ARGON2ID.fullmatch(stored)
    return match is not None and _is_affordable(
        int(match["memory"]), int(match["passes"]), int(match["lanes"])
    )


def _is_affordable(memory_kib: int, passes: int, lanes: int) -> bool:
    return (
        8 * lanes <= memory_kib <= _MAX_MEMORY_KIB  # the least is RFC 9106, section 3.1
        and 1 <= passes <= _MAX_PASSES
        and 1 <= lanes <= _MAX_LANES
    )


def _affordable_bcrypt(stored: str) -> bool:
    match = _BCRYPT.fullmatch(stored)
    return match is not None and int(match["cost"]) in _BCRYPT_COSTS


def _argon2id_matches(stored: str, secret: bytes) -> bool:
    try:
        return verify_secret(stored.encode(), secret, Type.ID)
    except VerificationError:
        return False


def _bcrypt_matches(stored: str, secret: bytes) -> bool:
    # bcrypt never read further; the package raises above 72 bytes rather than cut them.
    try:
        return bcrypt.checkpw(secret[:_BCRYPT_READS], stored.encode())
    except ValueError:  # a salt with stray bits
        return False
