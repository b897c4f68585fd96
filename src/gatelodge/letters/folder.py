"""The outbox of a server in development: letters become files, which people can read.

The files are in a folder that only the server's user may enter. Links are never followed: neither
the folder nor a letter may be one.
"""

import asyncio
import contextlib
import os
import re
import secrets
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from email.message import EmailMessage
from email.parser import BytesParser
from email.policy import default
from itertools import islice
from pathlib import Path

from gatelodge.letters.mail import Mail, message_of
from gatelodge.letters.post import Deferred, Undeliverable

KEPT = 500
"""How many letters stay; older ones are deleted."""

_MAX_BYTES = 1024 * 1024
_ID = re.compile(r"[A-Za-z0-9_+=-]{1,128}")
_SUFFIX = ".eml"
_OPEN_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW


@dataclass(frozen=True, slots=True)
class Kept:
    """A letter in the outbox.

    Attributes:
        id: the left part of its Message-ID.
        to: the reader's address.
        subject: its subject.
        at: when it was written.
        text: the letter as plain text.
        html: the letter as HTML; empty: there is only the text.
        headers: all headers, by name.
    """

    id: str
    to: str
    subject: str
    at: datetime | None
    text: str = field(repr=False)
    html: str = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)


class FolderPost:
    """A `Post` that writes each letter into a file, and reads them back."""

    def __init__(self, folder: Path) -> None:
        """Open nothing yet.

        Args:
            folder: the folder; it is made when missing.
        """
        self._folder = folder

    async def deliver(self, mail: Mail) -> None:
        """See `Post`."""
        letter_id = mail.message_id.partition("@")[0]
        if not _ID.fullmatch(letter_id):
            raise Undeliverable("The letter's id cannot be the name of a file.")
        try:
            message = message_of(mail).as_bytes()
        except ValueError as error:
            raise Undeliverable(f"The letter cannot be written: {error}.") from None
        try:
            await asyncio.to_thread(self._write, f"{letter_id}{_SUFFIX}", message)
        except OSError as error:
            reason = f"The outbox cannot be written: {error.strerror or error}."
            raise Deferred(reason, is_general=True) from None

    async def close(self) -> None:
        """See `Post`."""

    async def list_letters(self, *, limit: int = KEPT) -> list[Kept]:
        """Return up to `limit` letters, the newest first."""
        return await asyncio.to_thread(lambda: [*islice(self._read_all(), limit)])

    async def find(self, letter_id: str) -> Kept | None:
        """Return a letter, or None if there is none with this id."""
        return await asyncio.to_thread(self._find, letter_id)

    def _write(self, name: str, message: bytes) -> None:
        """Write a file, completely or not at all, and delete the oldest ones.

        Raises:
            OSError: the disk failed, or the folder is a link.
        """
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        draft = f".{secrets.token_hex(8)}"
        with self._opened() as folder:
            try:
                with os.fdopen(os.open(draft, _NEW_FILE, 0o600, dir_fd=folder), "wb") as file:
                    file.write(message)
                os.replace(draft, name, src_dir_fd=folder, dst_dir_fd=folder)
            except BaseException:
                with contextlib.suppress(OSError):
                    os.unlink(draft, dir_fd=folder)
                raise
            for old in _newest_first(folder)[KEPT:]:
                with contextlib.suppress(FileNotFoundError):  # another process was quicker
                    os.unlink(old, dir_fd=folder)

    def _find(self, letter_id: str) -> Kept | None:
        if not _ID.fullmatch(letter_id):
            return None
        try:
            with self._opened() as folder:
                return _read(folder, f"{letter_id}{_SUFFIX}")
        except OSError:
            return None

    def _read_all(self) -> Iterator[Kept]:
        try:
            with self._opened() as folder:
                for name in _newest_first(folder):
                    with contextlib.suppress(OSError):  # no letter, or deleted meanwhile
                        yield _read(folder, name)
        except OSError:  # there is none yet, or it is a link
            return

    @contextlib.contextmanager
    def _opened(self) -> Iterator[int]:
        folder = os.open(self._folder, _OPEN_FOLDER)
        try:
            yield folder
        finally:
            os.close(folder)


def _newest_first(folder: int) -> list[str]:
    """Return the names of the letters."""
    found = []
    with os.scandir(folder) as entries:
        for entry in entries:
            name = entry.name
            if name.endswith(_SUFFIX) and _ID.fullmatch(name.removesuffix(_SUFFIX)):
                with contextlib.suppress(FileNotFoundError):
                    found.append((entry.stat(follow_symlinks=False).st_mtime_ns, name))
    return [name for _, name in sorted(found, reverse=True)]


def _read(folder: int, name: str) -> Kept:
    """Return a letter.

    Raises:
        OSError: it cannot be read, or is no plain file, or no letter.
    """
    descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=folder)
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError("not a plain file")
        content = file.read(_MAX_BYTES)
    try:
        return _kept(name.removesuffix(_SUFFIX), BytesParser(policy=default).parsebytes(content))
    except Exception as error:  # the standard library's parser raises many kinds
        raise OSError("not a letter") from error


def _kept(letter_id: str, message: EmailMessage) -> Kept:
    return Kept(
        letter_id,
        str(message["To"] or ""),
        str(message["Subject"] or ""),
        message["Date"].datetime if message["Date"] else None,
        _body(message, "plain"),
        _body(message, "html"),
        {header: str(value) for header, value in message.items()},
    )


def _body(message: EmailMessage, kind: str) -> str:
    part = message.get_body((kind,))
    return "" if part is None else str(part.get_content()).replace("\r\n", "\n")
