"""The one secret that every other secret here is derived from or kept under.

It lives in the setting `GATELODGE_SECRET_KEY`, or in a file beside the data; never in the
database. Whoever copies the database alone can neither sign tokens nor compute refresh tokens.
"""

import errno
import os
import secrets
import stat
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from gatelodge.errors import ConfigurationError

MIN_CHARACTERS = 32
_FEWEST_DIFFERENT = 8
_EXAMPLES = ("changeme", "change-me", "change_me", "secret", "example", "password", "gatelodge")
_HOW_TO_MAKE_ONE = 'Make one with: python -c "import secrets; print(secrets.token_urlsafe(32))"'

_LOOKS = 100
_BETWEEN_LOOKS_SECONDS = 0.02
_KEY_BYTES = 32
_VERSION = b"\x01"
_NONCE_BYTES = 12


@dataclass(frozen=True, slots=True)
class MasterKey:
    """Derives a key for each purpose, and seals what is kept in the database.

    Attributes:
        secret: the key material; shown nowhere.
    """

    secret: bytes = field(repr=False)
    _derived: dict[str, bytes] = field(default_factory=dict, init=False, repr=False, compare=False)

    @classmethod
    def from_text(cls, text: str) -> Self:
        """Return the key that a setting holds.

        Raises:
            ConfigurationError: it is short, an example, or repeats itself (security.md,
                section 12: refuse a default, short or example secret).
        """
        if len(text) < MIN_CHARACTERS:
            raise ConfigurationError(
                f"The secret key is shorter than {MIN_CHARACTERS} characters. {_HOW_TO_MAKE_ONE}"
            )
        if _looks_like_an_example(text):
            raise ConfigurationError(f"The secret key looks like an example. {_HOW_TO_MAKE_ONE}")
        return cls(text.encode())

    @classmethod
    def from_file(cls, path: Path) -> Self:
        """Return the key that a file holds, which is made on first use.

        Of several processes that start at once, all end with one key. The file's line may be
        moved to `GATELODGE_SECRET_KEY` later: it is the same key there.

        Raises:
            ConfigurationError: others may read the file, or it cannot be read or made.
        """
        try:
            if not path.exists():
                _make_file(path)
            return cls.from_text(_read_private_file(path))
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigurationError(f"The secret key file {path} is unusable: {error}") from error

    def derive(self, purpose: str) -> bytes:
        """Return the 32-byte key for a purpose: always the same, and of no use for another."""
        key = self._derived.get(purpose)
        if key is None:
            key = self._derived[purpose] = self._expand(purpose)
        return key

    def seal(self, purpose: str, plaintext: bytes, context: bytes) -> bytes:
        """Encrypt and authenticate (AES-256-GCM).

        Args:
            purpose: what the plaintext is for; each purpose has its own key.
            plaintext: what to hide.
            context: what it belongs to, such as a record's id: it opens nowhere else.
        """
        # A random 96-bit nonce is safe for 2^32 seals under one key (NIST SP 800-38D, 8.3).
        nonce = secrets.token_bytes(_NONCE_BYTES)
        sealed = AESGCM(self.derive(purpose)).encrypt(nonce, plaintext, _VERSION + context)
        return _VERSION + nonce + sealed

    def unseal(self, purpose: str, sealed: bytes, context: bytes) -> bytes:
        """Return what was sealed for this purpose in this context.

        Raises:
            ConfigurationError: it was sealed under another key, or was changed since.
        """
        start = len(_VERSION) + _NONCE_BYTES
        try:
            return AESGCM(self.derive(purpose)).decrypt(
                sealed[len(_VERSION) : start], sealed[start:], sealed[: len(_VERSION)] + context
            )
        except (InvalidTag, ValueError) as error:
            raise ConfigurationError(
                "The secret key does not match the database: it was written under another one. "
                "Bring back the GATELODGE_SECRET_KEY or the secret key file it was made with."
            ) from error

    def _expand(self, purpose: str) -> bytes:
        info = f"gatelodge/{purpose}/v1".encode()
        return HKDF(SHA256(), _KEY_BYTES, salt=None, info=info).derive(self.secret)


def _looks_like_an_example(text: str) -> bool:
    folded = text.lower()
    return (
        any(word in folded for word in _EXAMPLES)
        or len(set(text)) < _FEWEST_DIFFERENT
        or text in (text + text)[1:-1]  # one piece, repeated
    )


def _make_file(path: Path) -> None:
    """Make the file with a new key, whole from the first moment, unless somebody else did."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
    try:
        _write_private_file(draft, secrets.token_urlsafe(_KEY_BYTES) + "\n")
        # Unlike a rename, a link never replaces what another process put there first.
        with suppress(FileExistsError):
            os.link(draft, path)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        _make_without_links(path)
    finally:
        draft.unlink(missing_ok=True)
    _make_durable(path.parent)


_NO_LINKS = frozenset({errno.EPERM, errno.ENOTSUP, errno.ENOSYS, errno.EOPNOTSUPP, errno.EMLINK})
"""What file systems without hard links answer."""


def _make_without_links(path: Path) -> None:
    """Make the file in its place. Of several processes one makes it, and the others wait for it."""
    try:
        _write_private_file(path, secrets.token_urlsafe(_KEY_BYTES) + "\n")
    except FileExistsError:
        for _ in range(_LOOKS):
            if path.stat().st_size > 0:
                return
            time.sleep(_BETWEEN_LOOKS_SECONDS)


def _write_private_file(path: Path, text: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(text)
        file.flush()
        os.fsync(descriptor)


def _make_durable(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _read_private_file(path: Path) -> str:
    with path.open(encoding="utf-8") as file:
        mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
        if mode & (stat.S_IRWXO | stat.S_IWGRP | stat.S_IXGRP):  # orchestrators mount 0440
            raise ConfigurationError(
                f"Others may read the secret key file {path}. Run: chmod 600 {path}"
            )
        return file.read().strip()
