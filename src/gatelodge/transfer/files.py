"""New files that appear complete, and that only this user can read."""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gatelodge.errors import ConfigurationError
from gatelodge.transfer.refusals import FileTaken

PRIVATE = 0o600


@contextmanager
def draft_of(file: Path) -> Iterator[Path]:
    """Yield an empty draft beside a new file; it is gone when the context ends.

    Raises:
        FileTaken: there is such a file.
    """
    if os.path.lexists(file):
        raise taken(file)
    draft = file.with_name(f"{file.name}.{secrets.token_hex(8)}.part")
    try:
        os.close(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, PRIVATE))
        yield draft
    finally:
        for beside in ("", "-journal", "-wal", "-shm"):
            draft.with_name(draft.name + beside).unlink(missing_ok=True)


def publish(draft: Path, file: Path) -> None:
    """Give a complete draft its final name, which nobody else has taken.

    Raises:
        FileTaken: somebody has.
    """
    try:
        os.link(draft, file)
    except FileExistsError:
        raise taken(file) from None
    except OSError:  # no hard links on this disk
        if os.path.lexists(file):
            raise taken(file) from None
        draft.rename(file)


def taken(file: Path) -> FileTaken:
    """Return the refusal to overwrite a file."""
    return FileTaken(f"There is {file} already. Name a new file.")


@contextmanager
def errors_of(file: Path) -> Iterator[None]:
    """Turn errors of the disk into a sentence that names the file.

    Raises:
        ConfigurationError: the file cannot be written.
    """
    try:
        yield
    except OSError as error:
        raise ConfigurationError(f"{file} cannot be written: {error.strerror}") from error
