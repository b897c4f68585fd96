"""Logs on standard error: one JSON object per line for programs, text in a terminal.

Our code logs an event name to a standard logger below `gatelodge`. Further data goes into
`extra={"details": {...}}`. A log line of a library is written as the event `library.warned`.
"""

import asyncio
import atexit
import contextlib
import json
import logging
import os
import queue
import sys
import threading
import time
from datetime import UTC, datetime
from typing import Any, Literal, TextIO

LIBRARY_WARNED = "library.warned"
"""The event name of log lines that come from libraries."""

_OWN = "gatelodge"


MAX_WAITING_LINES = 10_000
"""How many lines may wait while nobody reads them; further ones are dropped and counted."""

_DRAIN_SECONDS = 1.0

LogFormat = Literal["auto", "json", "text"]
"""The format of log lines: `auto` is `text` in a terminal, and `json` elsewhere."""


def tell(line: str) -> None:
    """Write a line for whoever waits for this process, such as how far a step has come."""
    with contextlib.suppress(OSError):  # nobody has to read it
        print(line, file=sys.stderr, flush=True)  # noqa: T201 - no log line


def set_up_logs(level: str, form: LogFormat = "auto") -> None:
    """Write every log line of this process to standard error (security.md, section 11).

    Args:
        level: the lowest level that is written: `debug`, `info`, `warning` or `error`. Log lines
            of libraries are written only if they are warnings or worse.
        form: JSON objects for programs, or text for people.
    """
    handler = BatchingHandler(sys.stderr)
    as_text = form == "text" or (form == "auto" and sys.stderr.isatty())
    handler.setFormatter(_TextFormatter() if as_text else _JsonFormatter())
    atexit.register(handler.drain)
    own, root = logging.getLogger(_OWN), logging.getLogger()
    own.setLevel(level.upper())
    root.setLevel(max(own.level, logging.WARNING))
    root.handlers = [handler]


class _JsonFormatter(logging.Formatter):
    """Formats a log record as one JSON object."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line in ASCII; control and bidirectional characters are escaped."""
        return _write_json(_entry_of(record))


class _TextFormatter(logging.Formatter):
    """Formats a log record as one line for people: time, level, event, and the details."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line; control and bidirectional characters of details are escaped."""
        entry = _entry_of(record)
        at = datetime.fromtimestamp(record.created).astimezone().strftime("%H:%M:%S")
        shown = " ".join(
            f"{name}={_write_json(value)}"
            for name, value in entry.items()
            if name not in {"timestamp", "level", "event", "exception"} and value not in {None, ""}
        )
        line = f"{at}  {entry['level']:<7}  {entry['event']}  {shown}".rstrip()
        return f"{line}\n{entry['exception']}" if "exception" in entry else line


def _entry_of(record: logging.LogRecord) -> dict[str, Any]:
    """Return the members of a log line, by name."""
    at = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="microseconds")
    is_own, message = record.name.startswith(_OWN), record.getMessage()
    entry: dict[str, Any] = {
        "timestamp": at.replace("+00:00", "Z"),
        "level": record.levelname.lower(),
        "event": message if is_own else LIBRARY_WARNED,
    }
    entry |= (
        getattr(record, "details", {}) if is_own else {"logger": record.name, "message": message}
    )
    if record.exc_info:
        entry["exception"] = logging.Formatter().formatException(record.exc_info)
    return entry


_write_json = json.JSONEncoder(default=repr).encode


class LineWriter:
    """Writes lines on its own thread, so that a reader that has stopped blocks no request.

    At most `MAX_WAITING_LINES` lines wait in memory. Further lines are dropped. When the reader
    goes on, a line `log.dropped` tells how many. The thread starts with the first line of a
    process, so a forked process starts its own. Lines that cannot be written are lost, because a
    full disk must not fail a request whose change is already made.
    """

    def __init__(self, file: TextIO) -> None:
        """Write to this text file."""
        self._file = file
        self._begin()
        os.register_at_fork(after_in_child=self._begin)

    def _begin(self) -> None:
        self._batches: queue.SimpleQueue[list[str]] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()
        self._waiting = 0
        self._dropped = 0

    def put(self, lines: list[str]) -> None:
        """Queue these lines for the thread, and return at once."""
        with self._lock:
            if self._waiting + len(lines) > MAX_WAITING_LINES:
                self._dropped += len(lines)
                return
            self._waiting += len(lines)
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="log", daemon=True)
                self._thread.start()
        self._batches.put(lines)

    def drain(self, seconds: float = _DRAIN_SECONDS) -> None:
        """Wait until every line is written, or until the time is over."""
        deadline = time.monotonic() + seconds
        while self._waiting and time.monotonic() < deadline:
            time.sleep(0.001)

    def _work(self) -> None:
        while True:
            lines = self._batches.get()
            self._write("".join(lines))
            with self._lock:
                self._waiting -= len(lines)
                dropped, self._dropped = self._dropped, 0
            if dropped:
                _tell_dropped(dropped)

    def _write(self, text: str) -> None:
        with contextlib.suppress(OSError, ValueError):  # ValueError: the file was closed
            self._file.write(text)
            self._file.flush()


def _tell_dropped(lines: int) -> None:
    logging.getLogger(_OWN).warning("log.dropped", extra={"details": {"lines": lines}})


class BatchingHandler(logging.Handler):
    """Collects log lines, and hands them to a `LineWriter` once for each event loop iteration.

    Waking the thread costs time, because it takes the GIL for a moment. One batch for all requests
    of an iteration costs much less than one for each request.
    """

    def __init__(self, file: TextIO) -> None:
        """Write to this text file."""
        super().__init__()
        self._writer = LineWriter(file)
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
        """Hand over all collected lines."""
        self.acquire()  # another thread may be adding a line
        try:
            lines, self._lines = self._lines, []
        finally:
            self.release()
        if lines:
            self._writer.put(lines)

    def drain(self) -> None:
        """Wait until every line is written, but no longer than a second."""
        self.flush()
        self._writer.drain()
