"""Logs: one JSON object per line, in UTF-8 and UTC, on standard error.

Our code logs an event name to a standard logger below `gatelodge`. Further data goes into
`extra={"details": {...}}`. A log line of a library is written as the event `library.warned`.
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
"""The event name of log lines that come from libraries."""

_OWN = "gatelodge"


def set_up_logs(level: str) -> None:
    """Write every log line of this process as JSON (security.md, section 11).

    Args:
        level: the lowest level that is written: `debug`, `info`, `warning` or `error`. Log lines
            of libraries are written only if they are warnings or worse.
    """
    handler = BatchingHandler(sys.stderr)
    handler.setFormatter(_JsonFormatter())
    atexit.register(handler.flush)
    own, root = logging.getLogger(_OWN), logging.getLogger()
    own.setLevel(level.upper())
    root.setLevel(max(own.level, logging.WARNING))
    root.handlers = [handler]


class _JsonFormatter(logging.Formatter):
    """Formats a log record as one JSON object."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line in ASCII; control and bidirectional characters are escaped."""
        at = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="microseconds")
        is_own, message = record.name.startswith(_OWN), record.getMessage()
        entry: dict[str, Any] = {
            "timestamp": at.replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "event": message if is_own else LIBRARY_WARNED,
        }
        entry |= (
            getattr(record, "details", {})
            if is_own
            else {"logger": record.name, "message": message}
        )
        if record.exc_info:
            entry["exception"] = self.formatException(record.exc_info)
        return _write_json(entry)


_write_json = json.JSONEncoder(default=repr).encode


class BatchingHandler(logging.Handler):
    """Collects log lines, and writes them with one call at the end of an event loop iteration.

    Each write releases the interpreter lock, and a thread of a store may then take it. One write
    for all requests of an iteration costs much less than one write for each request. Lines that
    cannot be written are lost: a full disk must not fail a request whose change is already made.
    """

    def __init__(self, file: TextIO) -> None:
        """Write to this text file."""
        super().__init__()
        self._out = file
        self._lines: list[str] = []
        self._loop: asyncio.AbstractEventLoop | None = None

    def emit(self, record: logging.LogRecord) -> None:
        """Write one line: at the end of the loop iteration, or at once if no event loop runs."""
        line = f"{self.format(record)}\n"
        scheduled = bool(self._lines)
        self._lines.append(line)
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            self.flush()
            return
        if not scheduled or loop is not self._loop:
            self._loop = loop
            loop.call_soon(self.flush)

    def flush(self) -> None:
        """Write all collected lines."""
        self.acquire()  # another thread may be adding a line
        try:
            lines, self._lines = self._lines, []
            with contextlib.suppress(OSError):
                self._out.write("".join(lines))
                self._out.flush()
        finally:
            self.release()
