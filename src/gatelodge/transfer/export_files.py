"""An export into a file: complete when it appears, and continued where it was cut short."""

import csv
import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from gatelodge.data_folder import flush
from gatelodge.transfer.exports import Export
from gatelodge.transfer.files import PRIVATE, errors_of, publish, taken
from gatelodge.transfer.refusals import ExportCutShort, NotThisExport

_TAIL_BYTES = 1 << 20
"""Longer than two lines of an export."""


@dataclass(frozen=True, slots=True)
class Written:
    """What an export has written.

    Attributes:
        count: how many records this call has written.
        resumed_after: the id of the last record that was there before; empty: none.
        last: the id of the last record in the file; empty if there is none.
    """

    count: int
    resumed_after: str
    last: str


def draft_of_export(file: Path) -> Path:
    """Return the file into which an export is written until it is complete."""
    return file.with_name(f"{file.name}.part")


async def export_to_file(
    export: Export[Any], file: Path, watch: Callable[[int], None], *, resume: bool
) -> Written:
    """Write an export into a new file, which only this user can read.

    It is written beside it, and gets its name when it is complete. If it is cut short, what was
    written stays there, and `resume` goes on after the last complete line.

    Args:
        export: what to write.
        file: the new file.
        watch: is told how many records were written so far.
        resume: whether to go on with an export that was cut short.

    Raises:
        FileTaken: there is such a file.
        ExportCutShort: an export to this file was cut short, and `resume` is False.
        NotThisExport: what is there is no export of this kind.
        ConfigurationError: the file cannot be written.
        StoreUnavailable: the database does not answer.
    """
    draft = draft_of_export(file)
    with errors_of(draft):
        resumed_after = _prepare(export, file, resume=resume)
        count, last = 0, resumed_after
        with _open(draft) as out:
            async for piece in export.pieces(resumed_after or None):
                out.write(piece.text)
                count, last = count + piece.count, piece.last or last
                watch(count)
            out.flush()
            os.fsync(out.fileno())
        publish(draft, file)
        draft.unlink(missing_ok=True)
        flush(file.parent)
    return Written(count, resumed_after, last)


def _prepare(export: Export[Any], file: Path, *, resume: bool) -> str:
    """Return the id after which the export goes on; empty: it begins.

    Raises:
        FileTaken, ExportCutShort, NotThisExport: as for `export_to_file`.
    """
    draft = draft_of_export(file)
    if os.path.lexists(file):
        raise taken(file)
    if not os.path.lexists(draft):
        return ""
    if not resume:
        raise ExportCutShort(
            f"There is {draft} from an export that was cut short. "
            "Go on with --resume, or delete it."
        )
    return _keep_complete_lines(export, draft)


def _open(draft: Path) -> TextIO:
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW
    return os.fdopen(os.open(draft, flags, PRIVATE), "w", encoding="utf-8", newline="")


def _keep_complete_lines(export: Export[Any], draft: Path) -> str:
    """Cut off a line that was not finished; return the id in the last line, empty if none is left.

    Raises:
        NotThisExport: the file is no export of this kind.
    """
    header = export.header.encode()
    with os.fdopen(os.open(draft, os.O_RDWR | os.O_NOFOLLOW), "rb+") as file:
        if os.fstat(file.fileno()).st_uid != os.geteuid():
            raise _other(draft)  # whoever owns it could read what is added
        size = file.seek(0, os.SEEK_END)
        file.seek(0)
        if file.read(len(header)) != header[:size]:
            raise _other(draft)
        start = max(0, size - _TAIL_BYTES)
        file.seek(start)
        tail = file.read()
        end = start + tail.rfind(b"\n") + 1
        if end <= len(header):
            file.truncate(0)
            return ""
        last = _id_in(export, tail[: tail.rfind(b"\n")].rpartition(b"\n")[2], draft)
        file.truncate(end)
    return last


def _id_in(export: Export[Any], line: bytes, draft: Path) -> str:
    try:
        text = line.decode()
        if export.format == "csv":
            values = dict(zip(export.names, next(csv.reader([text])), strict=True))
        else:
            values = json.loads(text)
        if tuple(values) != tuple(export.names):
            raise _other(draft)
        return str(values["id"])
    except (ValueError, TypeError, StopIteration):
        raise _other(draft) from None


def _other(draft: Path) -> NotThisExport:
    return NotThisExport(f"{draft} is no export of this kind. Nothing was changed in it.")
