"""`SyncVerifier`: who is signed in by an access token, for applications with threads."""

import asyncio
import logging
import os
import ssl
import threading
import weakref
from collections.abc import Callable
from concurrent.futures import CancelledError
from datetime import timedelta
from types import TracebackType
from typing import Any, Self

import httpx2

from gatelodge.client.issuer import MAX_SECONDS
from gatelodge.client.refusals import IssuerUnavailable
from gatelodge.client.verifier import DEFAULT_FRESHNESS, Verifier
from gatelodge.clock import Clock, SystemClock
from gatelodge.tasks import end
from gatelodge.tokens.claims import AUDIENCE, USUAL_MAX_LIFE
from gatelodge.user import User

MAX_WAIT_SECONDS = 4 * MAX_SECONDS
"""More than keys and one question can take. Some web servers let no thread run but their own."""

_DOES_NOT_RUN = "The thread of the verifier does not run: does the web server allow threads?"

_log = logging.getLogger("gatelodge.client")


class SyncVerifier:
    """Says who is signed in by an access token: `Verifier` for Flask, Django and other threads.

    What memory knows is answered in the caller's thread. The rest runs in one thread of its own,
    which starts when it is first needed, so that all threads share keys, answers and connections.
    After a fork, as web servers do it, the child starts anew. `close` ends the thread.

    Attributes:
        clock: tells the time.
    """

    _verifier: Verifier
    _lock: threading.Lock
    _checks: set[asyncio.Task[Any]]
    _loop: asyncio.AbstractEventLoop | None = None
    _thread: threading.Thread | None = None

    def __init__(
        self,
        issuer: str,
        *,
        freshness: timedelta | None = DEFAULT_FRESHNESS,
        audience: str = AUDIENCE,
        max_token_life: timedelta = USUAL_MAX_LIFE,
        ssl_context: ssl.SSLContext | None = None,
        transport: httpx2.AsyncBaseTransport | None = None,
        clock: Clock | None = None,
    ) -> None:
        """Prepare the verifier; the arguments are those of `Verifier`.

        Raises:
            ValueError: `issuer` is not an address as it must be, or a time is negative.
        """

        def make() -> Verifier:
            return Verifier(
                issuer,
                freshness=freshness,
                audience=audience,
                max_token_life=max_token_life,
                ssl_context=ssl_context,
                transport=transport,
                clock=self.clock,
            )

        self.clock = clock or SystemClock()
        self._make: Callable[[], Verifier] = make
        self._of_parents: list[object] = []
        self._begin()
        _verifiers.add(self)

    def check(self, token: str) -> User:
        """Return who is signed in by an access token.

        Do not call it in an event loop: it would stand still. `Verifier` is for that.

        Raises:
            NotSignedIn: as for `Verifier.check`.
            IssuerUnavailable: the server must be asked, and does not answer. Refuse the request
                with the status 503: nobody knows whether it is allowed.
        """
        user = self._verifier.recall(token)
        if user is not None:
            return user
        with self._lock:
            checking = self._check(token, self._checks)
            outcome = asyncio.run_coroutine_threadsafe(checking, self._running_loop())
        try:
            return outcome.result(MAX_WAIT_SECONDS)
        except CancelledError:
            raise IssuerUnavailable(retry_after=1) from None  # closed meanwhile
        except TimeoutError:
            outcome.cancel()
            _log.warning(_DOES_NOT_RUN)
            raise IssuerUnavailable(retry_after=1) from None

    def close(self) -> None:
        """Close all connections, and end the thread. A later check starts a new one.

        A check that another thread begins meanwhile waits for the end, and then starts a new one.
        """
        with self._lock:
            loop, thread, self._loop, self._thread = self._loop, self._thread, None, None
            checks, self._checks = self._checks, set()
            if loop is not None and thread is not None:
                ending = asyncio.run_coroutine_threadsafe(self._end(checks), loop)
                ending.add_done_callback(lambda _: loop.call_soon_threadsafe(loop.stop))
                thread.join(MAX_WAIT_SECONDS)
                if thread.is_alive():
                    _log.warning(_DOES_NOT_RUN)
                    return
                ending.result()

    def __enter__(self) -> Self:
        """Return the verifier."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close the verifier."""
        self.close()

    def _begin(self) -> None:
        """Start with nothing known and no thread."""
        self._verifier = self._make()
        self._lock = threading.Lock()
        self._loop = self._thread = None
        self._checks = set()

    async def _check(self, token: str, checks: set[asyncio.Task[Any]]) -> User:
        """Return who is signed in; until then the running task is one of `checks`."""
        if (task := asyncio.current_task()) is not None:
            checks.add(task)
            task.add_done_callback(checks.discard)
        return await self._verifier.check(token)

    async def _end(self, checks: set[asyncio.Task[Any]]) -> None:
        """End every check that still waits, and close the verifier.

        Only our own tasks are cancelled. Libraries end theirs; and a task of anyio that somebody
        else cancels before its first step leaves a coroutine that was never awaited.
        """
        await end(*checks)
        await self._verifier.aclose()

    def _running_loop(self) -> asyncio.AbstractEventLoop:
        if self._loop is None:
            self._loop = asyncio.new_event_loop()
            self._thread = threading.Thread(
                target=_run, args=(self._loop,), name="gatelodge-verifier", daemon=True
            )
            self._thread.start()
        return self._loop

    def _begin_in_child(self) -> None:
        """Begin anew after a fork.

        What the parent's thread works with is kept: if it went, its tasks would complain.
        """
        self._of_parents += (self._verifier, self._loop, self._checks)
        self._begin()


def _run(loop: asyncio.AbstractEventLoop) -> None:
    """Run an event loop until it is stopped, and close it."""
    try:
        loop.run_forever()
    finally:
        loop.close()


_verifiers: "weakref.WeakSet[SyncVerifier]" = weakref.WeakSet()


def _begin_anew_in_child() -> None:
    """A fork copies the memory, but not the thread; a lock may have been held at that moment."""
    for verifier in _verifiers:
        verifier._begin_in_child()  # noqa: SLF001 - this is the module of the class


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin_anew_in_child)
