"""What the house logs, as a test reads it."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class _Kept(logging.Handler):
    """Keeps what is logged."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[tuple[str, dict[str, Any]]] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append((record.getMessage(), getattr(record, "details", {})))


@contextmanager
def lines_logged() -> Iterator[list[tuple[str, dict[str, Any]]]]:
    """Yield what is logged meanwhile: each event's name, and what there is to say of it."""
    kept, ours = _Kept(), logging.getLogger("gatelodge")
    before = ours.level
    ours.addHandler(kept)
    ours.setLevel(logging.INFO)
    try:
        yield kept.lines
    finally:
        ours.removeHandler(kept)
        ours.setLevel(before)
