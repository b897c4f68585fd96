"""Logs: one JSON object a line, UTF-8, UTC, on standard error."""

import asyncio
import atexit
import contextlib
import logging
import sys
from typing import TextIO

import structlog


def set_up_logs(level: str) -> None:
    """Write every log line of this process as JSON (security.md, section 11)."""
    lines = _LinesOfATurn(sys.stderr)
    atexit.register(lines.flush)
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            # ASCII only: control characters, line separators and bidi marks arrive escaped.
            structlog.processors.JSONRenderer(ensure_ascii=True),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(
            logging.getLevelNamesMapping()[level.upper()]
        ),
        logger_factory=lambda *_names: lines,
        cache_logger_on_first_use=True,
    )


class _LinesOfATurn(structlog.WriteLogger):
    """Writes the lines of one turn of the event loop together, and loses those without room.

    Every write lets go of the interpreter lock, which the threads of the stores then take: one
    write for the requests of a turn costs a fraction of one for each. A full disk under the log
    must not fail a request whose change is made already.
    """

    def __init__(self, file: TextIO) -> None:
        """Write to this file."""
        super().__init__(file)
        self._out = file
        self._lines: list[str] = []
        self._loop: asyncio.AbstractEventLoop | None = None

    def msg(self, message: str) -> None:
        """Write one line, at the end of this turn where an event loop runs."""
        waiting = bool(self._lines)
        self._lines.append(f"{message}\n")
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
        lines, self._lines = self._lines, []
        with contextlib.suppress(OSError):
            self._out.write("".join(lines))
            self._out.flush()

    log = debug = info = warn = warning = msg
    fatal = failure = err = error = critical = exception = msg
