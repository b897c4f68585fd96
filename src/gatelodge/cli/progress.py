"""How far a command has come, on standard error."""

import sys
import time
from collections.abc import Callable


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
