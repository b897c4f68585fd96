"""The SMTP server of `mail_server.py` in a thread, for tests that are no coroutines."""

import asyncio
import threading
import time
from email.message import EmailMessage
from types import TracebackType
from typing import Self

from tests.support.mail_server import MailServer, mail_server

_PATIENCE_SECONDS = 40.0


class MailThread:
    """Takes letters while the context lasts."""

    def __init__(self) -> None:
        """Start nothing yet."""
        self._ready = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._over = asyncio.Event()
        self._thread = threading.Thread(target=self._run)
        self.server = MailServer()

    @property
    def url(self) -> str:
        """The address for `GATELODGE_SMTP_URL`."""
        return f"smtp://127.0.0.1:{self.server.port}"

    def wait_for(self, to: str, subject: str) -> EmailMessage:
        """Return the newest letter to an address whose subject begins so, once there is one.

        Letters come in any order: several processes and connections send them.
        """
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while time.monotonic() < deadline:
            for letter in reversed(self.server.letters):
                if str(letter["To"]) == to and str(letter["Subject"]).startswith(subject):
                    return letter
            time.sleep(0.05)
        raise AssertionError(f"no letter {subject!r} came to {to}")

    def __enter__(self) -> Self:
        """Begin to listen."""
        self._thread.start()
        self._ready.wait()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End the thread."""
        self._loop.call_soon_threadsafe(self._over.set)
        self._thread.join()

    def _run(self) -> None:
        self._loop.run_until_complete(self._listen())
        self._loop.close()

    async def _listen(self) -> None:
        async with mail_server() as self.server:
            self._ready.set()
            await self._over.wait()
