"""The master key: every other secret is derived from it or encrypted under it.

The key is in the setting `GATELODGE_SECRET_KEY` or in a file beside the data, never in the
database. Whoever copies only the database can neither sign tokens nor compute refresh tokens.
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

from gatelodge.data_folder import NOT_FOR_KEYS, flush
from gatelodge.errors import ConfigurationError

MIN_CHARACTERS = 32
_MIN_DISTINCT_CHARACTERS = 8
_EXAMPLES = ("changeme", "change-me", "change_me", "secret", "example", "password", "gatelodge")
_HOW_TO_MAKE_ONE = 'Make one with: python -c "import secrets; print(secrets.token_urlsafe(32))"'

_LOOKS = 100
_BETWEEN_LOOKS_SECONDS = 0.02
_KEY_BYTES = 32
_VERSION = b"\x01"
_NONCE_BYTES = 12


@dataclass(frozen=True, slots=True)
class MasterKey:
    """Derives a key for each purpose, and encrypts secrets that the database stores.

    Attributes:
        secret: the key material; `repr` does not show it.
    """

    secret: bytes = field(repr=False)
    _derived: dict[str, bytes] = field(default_factory=dict, init=False, repr=False, compare=False)

    @classmethod
    def from_text(cls, text: str) -> Self:
        """Return the key from the text of a setting.

        Raises:
            ConfigurationError: the text is too short, looks like an example, or is one piece
                repeated (security.md, section 12).
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
        """Return the key from a file. A file that does not exist is created with a new key.

        Several processes that start together all get the same key. The line in the file can be
        used as `GATELODGE_SECRET_KEY` later: it gives the same key.

        Raises:
            ConfigurationError: other users may read the file, it cannot be read or created, or its
                text is refused as by `from_text`.
        """
        try:
            if not path.exists():
                _make_file(path)
            _wait_until_written(path)
            return cls.from_text(read_private_file(path, "secret key"))
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigurationError(f"The secret key file {path} is unusable: {error}") from error

    def save(self, path: Path) -> None:
        """Write the key to a new file, which only this user can read.

        Raises:
            FileExistsError: there is such a file.
            OSError: the file cannot be written.
        """
        _write_private_file(path, f"{self.secret.decode()}\n")
        flush(path.parent)

    def derive(self, purpose: str) -> bytes:
        """Return the 32-byte key for a purpose (HKDF-SHA256); each purpose has its own key."""
        key = self._derived.get(purpose)
        if key is None:
            key = self._derived[purpose] = self._expand(purpose)
        return key

    def seal(self, purpose: str, plaintext: bytes, context: bytes) -> bytes:
        """Return the plaintext, encrypted and authenticated with AES-256-GCM.

        Args:
            purpose: what the plaintext is used for; each purpose has its own key.
            plaintext: the secret bytes.
            context: the record that the secret belongs to, such as its id. `unseal` needs the same
                context.
        """
        # A random 96-bit nonce is safe for 2^32 seals under one key (NIST SP 800-38D, 8.3).
        nonce = secrets.token_bytes(_NONCE_BYTES)
        sealed = AESGCM(self.derive(purpose)).encrypt(nonce, plaintext, _VERSION + context)
        return _VERSION + nonce + sealed

    def unseal(self, purpose: str, sealed: bytes, context: bytes) -> bytes:
        """Return the plaintext that was sealed for this purpose and context.

        Raises:
            ConfigurationError: the bytes were sealed with another key, purpose or context, or
                were changed later.
        """
        start = len(_VERSION) + _NONCE_BYTES
        try:
            return AESGCM(self.derive(purpose)).decrypt(
                sealed[len(_VERSION) : start], sealed[start:], sealed[: len(_VERSION)] + context
            )
        except (InvalidTag, ValueError) as error:
            raise ConfigurationError(
                "The secret key does not match the database, which was written with another key. "
                "Restore the GATELODGE_SECRET_KEY or the secret key file of that time."
            ) from error

    def _expand(self, purpose: str) -> bytes:
        info = f"gatelodge/{purpose}/v1".encode()
        return HKDF(SHA256(), _KEY_BYTES, salt=None, info=info).derive(self.secret)


def _looks_like_an_example(text: str) -> bool:
    folded = text.lower()
    return (
        any(word in folded for word in _EXAMPLES)
        or len(set(text)) < _MIN_DISTINCT_CHARACTERS
        or text in (text + text)[1:-1]  # one piece repeated
    )


def _make_file(path: Path) -> None:
    """Create the file with a new key, atomically, unless another process creates it first."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
    try:
        _write_private_file(draft, secrets.token_urlsafe(_KEY_BYTES) + "\n")
        # Unlike a rename, a link never replaces the file of another process.
        with suppress(FileExistsError):
            os.link(draft, path)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        _make_without_links(path)
    finally:
        draft.unlink(missing_ok=True)
    flush(path.parent)


_NO_LINKS = frozenset({errno.EPERM, errno.ENOTSUP, errno.ENOSYS, errno.EOPNOTSUPP, errno.EMLINK})
"""What file systems without hard links answer."""


def _make_without_links(path: Path) -> None:
    """Make the file in its place, unless another process does."""
    with suppress(FileExistsError):
        _write_private_file(path, secrets.token_urlsafe(_KEY_BYTES) + "\n")


def _wait_until_written(path: Path) -> None:
    """Return when the file is not empty: on a file system without links, somebody may write it."""
    for _ in range(_LOOKS):
        if path.stat().st_size > 0:
            return
        time.sleep(_BETWEEN_LOOKS_SECONDS)


def _write_private_file(path: Path, text: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(descriptor)


def read_private_file(path: Path, content: str) -> str:
    """Return the text of a file that holds a secret, without surrounding blanks.

    Args:
        path: the file.
        content: what it holds, for the message.

    Raises:
        ConfigurationError: other users may read the file.
        OSError, UnicodeDecodeError: it cannot be read.
    """
    with path.open(encoding="utf-8") as file:
        mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
        if mode & NOT_FOR_KEYS:
            raise ConfigurationError(
                f"Others may read the {content} file {path}. Run: chmod 600 {path}"
            )
        return file.read().strip()
