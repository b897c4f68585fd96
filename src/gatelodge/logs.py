"""Logs: one JSON object a line, UTF-8, UTC, on standard error.

Whoever logs here names an event to a standard logger under `gatelodge`, and what there is to say
of it as `extra={"details": {...}}`. What a library has to say is an event too.
"""

import asyncio
import atexit
import contextlib
import json
import logging
import sys
from datetime import UTC, datetime
from typing import Any, TextIO

LIBRARY_WARNED = "library.warned"
"""The event of a line that a library has written."""

_OURS = "gatelodge"


def set_up_logs(level: str) -> None:
    """Write every log line of this process as JSON (security.md, section 11).

    Args:
        level: the least urgent that is written; of libraries, nothing below a warning is.
    """
    lines = LinesOfATurn(sys.stderr)
    lines.setFormatter(_AsJson())
    atexit.register(lines.flush)
    ours, everybody = logging.getLogger(_OURS), logging.getLogger()
    ours.setLevel(level.upper())
    everybody.setLevel(max(ours.level, logging.WARNING))
    everybody.handlers = [lines]


class _AsJson(logging.Formatter):
    """Writes a record as one JSON object."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, in ASCII: control characters and bidi marks arrive escaped."""
        at = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="microseconds")
        ours, said = record.name.startswith(_OURS), record.getMessage()
        entry: dict[str, Any] = {
            "timestamp": at.replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "event": said if ours else LIBRARY_WARNED,
        }
        entry |= (
            getattr(record, "details", {}) if ours else {"logger": record.name, "message": said}
        )
        if record.exc_info:
            entry["exception"] = self.formatException(record.exc_info)
        return _write_json(entry)


_write_json = json.JSONEncoder(default=repr).encode


class LinesOfATurn(logging.Handler):
    """Writes the lines of one turn of the event loop together, and loses those without room.

    Every write lets go of the interpreter lock, which the threads of the stores then take: one
    write for the requests of a turn costs a fraction of one for each. A full disk under the log
    must not fail a request whose change is made already.
    """

    def __init__(self, file: TextIO) -> None:
        """Write to this file."""
        super().__init__()
        self._out = file
        self._lines: list[str] = []
        self._loop: asyncio.AbstractEventLoop | None = None

    def emit(self, record: logging.LogRecord) -> None:
        """Write one line, at the end of this turn where an event loop runs."""
        line = f"{self.format(record)}\n"
        waiting = bool(self._lines)
        self._lines.append(line)
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            self.flush()
            return
        if not waiting or loop is not self._loop:
            self._loop = loop
            loop.call_soon(self.flush)

    def flush(self) -> None:
        """Write what waits."""
        self.acquire()  # a thread may be adding a line
        try:
            lines, self._lines = self._lines, []
            with contextlib.suppress(OSError):
                self._out.write("".join(lines))
                self._out.flush()
        finally:
            self.release()
