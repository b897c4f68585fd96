"""How far a command has come, on standard error."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import typer

INTERRUPTED = 130
"""The exit code after Ctrl+C, as shells have it."""


class Progress:
    """Says from time to time how far a command has come.

    On a terminal it is one line that changes; elsewhere a new line every ten seconds.
    """

    def __init__(self) -> None:
        """Begin now; nothing is printed yet."""
        self._on_terminal = sys.stderr.isatty()
        self._every = 0.2 if self._on_terminal else 10.0
        self._began = time.monotonic()
        self._shown_at = 0.0 if self._on_terminal else self._began
        self._is_open = False

    def show(self, say: Callable[[], str]) -> None:
        """Print what `say` returns and the seconds so far, if it is time to print again."""
        now = time.monotonic()
        if now - self._shown_at < self._every:
            return
        self._shown_at = now
        said = f"{say()}, {now - self._began:.0f} s"
        if self._on_terminal:
            print(f"\r{said}\033[K", end="", file=sys.stderr, flush=True)
        else:
            print(said, file=sys.stderr, flush=True)
        self._is_open = self._on_terminal

    def end(self) -> None:
        """End the line."""
        if self._is_open:
            print(file=sys.stderr)
        self._is_open = False


@contextmanager
def interruptible(again: str) -> Iterator[Progress]:
    """Yield the progress of a command; after Ctrl+C, say how it goes on.

    Args:
        again: the sentence that says so.

    Raises:
        Exit: the command was interrupted.
    """
    progress = Progress()
    try:
        yield progress
    except KeyboardInterrupt:
        progress.end()
        print(f"Interrupted. {again}", file=sys.stderr)
        raise typer.Exit(INTERRUPTED) from None
    finally:
        progress.end()


def show_line(said: str) -> None:
    """Print a line on a terminal, in place of the one before; elsewhere nothing."""
    if sys.stderr.isatty():
        print(f"\r{said}", end="", file=sys.stderr, flush=True)


def clear_line() -> None:
    """Remove the line that was shown."""
    show_line("\x1b[K")
