"""Clients of the application under test, and what runs it for them."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from typing import Any, Self

import httpx2
from fastapi import FastAPI
from starlette.testclient import TestClient
from typing_extensions import override

from gatelodge.embedded.inside import Embedded
from gatelodge.embedded.user import User
from gatelodge.testing.staff import ADDRESS
from gatelodge.web.shell import App, Receive, Scope, Send

_OF_A_PAGE = {"origin": ADDRESS, "sec-fetch-site": "same-origin"}
"""What a browser says of a request that a page of the application sends."""


class Running:
    """The application, which starts when the first client asks, and ends with the test."""

    def __init__(self, app: FastAPI, source: Embedded) -> None:
        """Start nothing yet."""
        self.app = app
        self._source = source
        self._client: TestClient | None = None
        self._life: _Life | None = None
        self._askers = 0

    def in_a_thread(self) -> TestClient:
        """Return the client whose thread runs the application; start it if that is not done.

        Raises:
            RuntimeError: the application runs elsewhere already.
        """
        if self._client is None:
            if self._life is not None or self._source.is_running:
                raise RuntimeError(
                    "The application runs already, in an event loop that this client cannot use. "
                    "Give your own client the header: headers=user.bearer. In an asynchronous "
                    "test: async with user.asynchronous() as client."
                )
            self._client = TestClient(self.app, base_url=ADDRESS).__enter__()
        return self._client

    @contextlib.asynccontextmanager
    async def in_this_loop(self) -> AsyncIterator[App]:
        """Return the application, running in this event loop at least until the context ends.

        Raises:
            RuntimeError: another client of the same test runs it in a thread.
        """
        if self._client is not None:
            raise RuntimeError(
                "A client without `await` runs the application in another event loop already. "
                "Use one kind of client in one test."
            )
        if self._life is None and not self._source.is_running:
            self._life = _Life(self.app)
        life = self._life
        self._askers += 1
        try:
            if life is not None:
                await life.begin()
            yield self.app if life is None else life
        finally:
            self._askers -= 1
            if life is not None and self._askers == 0:
                self._life = None
                await life.end()

    def stop(self) -> None:
        """End the application, if a thread runs it."""
        if self._client is not None:
            self._client.__exit__(None, None, None)
            self._client = None


class _Life:
    """One lifespan of an application: in a task of its own, from which it must also end."""

    def __init__(self, app: FastAPI) -> None:
        """Begin."""
        self._app = app
        self._state: dict[str, Any] = {}
        self._begun = asyncio.Event()
        self._over = asyncio.Event()
        self._task = asyncio.create_task(self._run())

    async def begin(self) -> None:
        """Return when the application is ready.

        Raises:
            Exception: whatever its lifespan raises.
        """
        ready = asyncio.create_task(self._begun.wait())
        await asyncio.wait([ready, self._task], return_when=asyncio.FIRST_COMPLETED)
        if not self._begun.is_set():
            ready.cancel()
            await self._task

    async def end(self) -> None:
        """End the lifespan."""
        self._over.set()
        if self._begun.is_set():
            await self._task

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, with the state that the lifespan yielded."""
        await self._app({**scope, "state": dict(self._state)}, receive, send)

    async def _run(self) -> None:
        async with self._app.router.lifespan_context(self._app) as state:
            self._state.update(state or {})
            self._begun.set()
            await self._over.wait()


class Client(TestClient):
    """A client of the application, as Starlette's `TestClient`.

    The application starts at the first request of the test, and ends with the test.
    """

    def __init__(self, running: Running, headers: Mapping[str, str] | None = None) -> None:
        """Send these headers with every request."""
        super().__init__(running.app, base_url=ADDRESS, headers=dict(headers or {}))
        self._running = running

    @contextlib.asynccontextmanager
    async def asynchronous(self) -> AsyncIterator[httpx2.AsyncClient]:
        """Return the same client for an asynchronous test; it runs the application in its loop."""
        async with self._running.in_this_loop() as app:
            transport = httpx2.ASGITransport(app=app)
            async with httpx2.AsyncClient(
                transport=transport,
                base_url=ADDRESS,
                headers=self.headers,
                cookies=self.cookies,
                follow_redirects=True,
            ) as client:
                yield client

    @override
    def send(self, request: Any, *args: Any, **kwargs: Any) -> httpx2.Response:
        """Send a request, and start the application first if it does not run."""
        self._join()
        return super().send(request, *args, **kwargs)

    @override
    def __enter__(self) -> Self:
        """Start the application; it ends with the test."""
        self._join()
        return self

    @override
    def __exit__(self, *_: object) -> None:
        """Do nothing."""

    def _join(self) -> None:
        """Use the event loop in which the application runs, and the state of its lifespan."""
        host = self._running.in_a_thread()
        self.portal = host.portal
        self.app_state.update(host.app_state)


class UserClient(Client):
    """A client that signs in its user with every request.

    Attributes:
        user: the user, as routes of the application see them; as they were at the sign-in.
        password: the password, for tests that sign in by themselves.
        access_token: the access token of the sign-in.
        refresh_token: the refresh token of the sign-in.
    """

    def __init__(
        self,
        running: Running,
        user: User,
        *,
        password: str = "",
        access_token: str,
        refresh_token: str,
        cookies: tuple[str, str] | None,
    ) -> None:
        """Sign in by the header, or by the two cookies of these names."""
        self.user = user
        self.password = password
        self.access_token = access_token
        self.refresh_token = refresh_token
        super().__init__(running, self.bearer if cookies is None else _OF_A_PAGE)
        if cookies is not None:
            for name, value in zip(cookies, (access_token, refresh_token), strict=True):
                self.cookies.set(name, value, domain=_DOMAIN)

    @property
    def bearer(self) -> dict[str, str]:
        """The header with the access token, for a client of your own."""
        return {"Authorization": f"Bearer {self.access_token}"}

    def __repr__(self) -> str:
        """Return the username."""
        return f"<{type(self).__name__} {self.user.username}>"


_DOMAIN = "testserver.local"
"""The domain under which the cookie jar of Python keeps the cookies of `testserver`."""
