"""Lines of SHA-1 and count, as lists of breached passwords are published."""

import hashlib
from collections.abc import Iterable
from pathlib import Path
from tempfile import TemporaryDirectory

from gatelodge.breached.service import Imported, import_passwords
from gatelodge.breached.source import Source


def digest(password: str) -> str:
    """Return the SHA-1 of a password, as the lists have it."""
    return hashlib.sha1(password.encode(), usedforsecurity=False).hexdigest().upper()


def line(password: str, count: int = 1) -> str:
    """Return the line of a password."""
    return f"{digest(password)}:{count}\n"


def many(numbers: Iterable[int]) -> str:
    """Return a line for each number; its password is `password` and the number."""
    return "".join(line(f"password{number}", number % 100 + 1) for number in numbers)


def import_text(
    text: str | bytes, path: Path, *, at_least: int = 1, name: str = "list.txt", run: int = 1000
) -> Imported:
    """Import these lines from a file of this name."""
    with TemporaryDirectory() as folder:
        file = Path(folder) / name
        file.write_bytes(text if isinstance(text, bytes) else text.encode())
        with Source.open(str(file)) as source:
            return import_passwords(source, at_least, path, run_entries=run)
