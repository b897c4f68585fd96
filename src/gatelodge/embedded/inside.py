"""The house in the process of an application."""

import asyncio
import contextlib
import logging
import os
import secrets
import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AbstractAsyncContextManager
from datetime import timedelta
from typing import Any
from urllib.parse import quote

from starlette.requests import HTTPConnection, Request
from typing_extensions import override

from gatelodge.app import House, absent_paths, build, create_app
from gatelodge.clock import Clock, from_milliseconds
from gatelodge.data_folder import keep_private
from gatelodge.embedded.handlers import Handlers
from gatelodge.embedded.source import (
    NOT_RUNNING,
    Asked,
    Source,
    closing,
    offered_token,
    permitted,
)
from gatelodge.embedded.user import CONNECTION, User
from gatelodge.embedded.watch import Watch
from gatelodge.errors import Refusal
from gatelodge.gate.principal import Principal
from gatelodge.gate.rules import SIGNED_IN
from gatelodge.ids import SessionId, UserId
from gatelodge.letters.post import Post
from gatelodge.logs import tell
from gatelodge.methods import as_set
from gatelodge.settings import Settings, read_settings
from gatelodge.web.cookies import read_cookies
from gatelodge.web.public_address import SIGN_IN_PAGE
from gatelodge.web.return_address import IN_PATHS
from gatelodge.web.same_origin import SAFE_METHODS
from gatelodge.web.shell import REQUEST_ID, App, Headers, Scope

USUAL_PORT = 8000
"""The port of uvicorn, for the public address where no setting tells it."""

MAX_USERS = 4096
"""How many users are kept ready for routes; a user is made from a principal in 3 µs."""

TOGETHER = timedelta(seconds=10)
"""Processes that start within this time belong to one start of the application."""


_ANY_MAIL_SERVER = "smtp://localhost"
"""Tells the settings that there is mail, where a `Post` of the application delivers it."""


class Embedded(Source):
    """Answers from the house in this process: from memory, and never stale."""

    def __init__(
        self, given: dict[str, Any], home: str, clock: Clock | None, post: Post | None = None
    ) -> None:
        """Remember the settings; nothing is read or opened yet.

        Args:
            given: settings by field name, in place of those of the environment.
            home: the address of the application's start page.
            clock: what time it is; None: the machine's clock.
            post: what delivers letters, in place of a mail server.
        """
        if post is not None:
            given = {"smtp_url": _ANY_MAIL_SERVER} | given
        self._given = given
        self._post = post
        self._home = home
        self._clock = clock
        self._in_tests: Mapping[str, Any] | None = None
        self._house: House | None = None
        self._app: App | None = None
        self._absent: frozenset[str] = frozenset()
        self._cookies = b"", b""
        self._users: dict[int, tuple[Principal, User]] = {}
        self.handlers = Handlers()
        self._tells = True
        self.prefix = ""

    @property
    def house(self) -> House:
        """The house.

        Raises:
            RuntimeError: the lifespan has not begun.
        """
        if self._house is None:
            raise RuntimeError(NOT_RUNNING)
        return self._house

    @property
    @override
    def app(self) -> App:
        if self._app is None:
            raise RuntimeError(NOT_RUNNING)
        return self._app

    @property
    @override
    def absent(self) -> frozenset[str]:
        return self._absent

    @property
    def is_running(self) -> bool:
        """Whether the lifespan has begun, and has not ended."""
        return self._house is not None

    @property
    @override
    def cookie(self) -> str | None:
        """The name of the cookie that carries the access token; before the start, the usual one."""
        return "gatelodge-access" if self._house is None else self._house.delivery.access_cookie

    @property
    @override
    def clock(self) -> Clock:
        return self.house.clock

    @contextlib.asynccontextmanager
    async def run(self) -> AsyncIterator[House]:
        """Open the database, and answer until the context ends.

        Raises:
            ConfigurationError: a setting, the secret key or the database cannot be used.
        """
        house = await asyncio.to_thread(self._prepare)
        with house.stores.database.hold():
            async with house.serve(), self._telling(house):
                if self._in_tests is None:
                    await _invite(house)
                self._house, self._app = house, create_app(house)
                self._absent = absent_paths(house)
                self._cookies = house.delivery.names
                try:
                    yield house
                finally:
                    self._house = self._app = None
                    self._users.clear()

    def _telling(self, house: House) -> AbstractAsyncContextManager[None]:
        """Return a context in which functions of the application are told what has happened.

        In tests, `gatelodge.tell()` does it.
        """
        handlers = self.handlers
        handlers.closed = True
        if not (self._tells and handlers.functions):
            return contextlib.nullcontext()
        return house.subscriptions.telling(handlers.functions, handlers.events)

    @contextlib.contextmanager
    def elsewhere(self, settings: Mapping[str, Any]) -> Iterator[None]:
        """Replace settings until the context ends, for a start with another database.

        Functions of the application are told nothing, and letters are not sent: what happens there
        concerns nobody.

        Args:
            settings: settings by field name.
        """
        before = self._given, self._tells
        self._given, self._tells = {**self._given, **settings}, False
        try:
            yield
        finally:
            self._given, self._tells = before

    @contextlib.contextmanager
    def in_tests(self, settings: Mapping[str, Any], clock: Clock) -> Iterator[House]:
        """Use other settings and another clock, until the context ends.

        It is for `gatelodge.testing`. No setting is checked, so that a test can have a database in
        a temporary folder, and hashes that cost nothing.

        Args:
            settings: what replaces the settings of the application, by the names of the fields.
            clock: what time it is.

        Yields:
            A house with the same settings, which nobody has opened. Both can be open at the same
            time, like those of two processes.

        Raises:
            RuntimeError: no test runs, or the application runs already.
            ConfigurationError: a setting of the application cannot be used.
        """
        _refuse_outside_tests()
        if self.is_running:
            raise RuntimeError(
                "The application runs already, with its own database. A fixture that starts the "
                "application must ask for the fixture `gatelodge` first."
            )
        before = self._clock, self._in_tests, self._tells
        self._clock, self._in_tests, self._tells = clock, settings, False
        try:
            yield build(self.settings(), clock, home=self._home)
        finally:
            self._clock, self._in_tests, self._tells = before

    def _prepare(self) -> House:
        settings = self.settings()
        house = build(settings, self._clock, home=self._home, sends=self._tells, post=self._post)
        house.stores.database.migrate(tell)
        if warning := keep_private(settings.data_dir):
            logging.getLogger("gatelodge").warning("%s", warning)
        house.ceremonies.warm_up()
        return house

    def settings(self) -> Settings:
        """Return the settings of the house that the next start makes.

        Raises:
            ConfigurationError: a setting cannot be used.
        """
        settings = read_settings(**self._given)
        if self._in_tests is not None:
            settings = settings.model_copy(update=self._in_tests)
        if not settings.public_url and "port" not in settings.model_fields_set:
            settings = settings.model_copy(update={"port": USUAL_PORT})
        public_url = f"{settings.public_base}{self.prefix}"
        return settings.model_copy(update={"public_url": public_url})

    @override
    def recall(self, connection: HTTPConnection) -> User | None:
        token = _token_in(connection.scope, self._cookies) if self._house else None
        principal = self.house.gate.recall(token) if token else None
        return None if principal is None else self._user_of(principal, connection)

    @override
    async def find(self, connection: HTTPConnection) -> User | None:
        principal = await self._resolve(connection)
        return None if principal is None else await self._admitted(principal, connection)

    @override
    def sign_in_page(self, connection: HTTPConnection, path: str = SIGN_IN_PAGE) -> str:
        settings = self.house.settings
        outside = settings.public_path.removesuffix(self.prefix)
        here = connection.scope["path"]
        if outside and not here.startswith(f"{outside}/"):
            here = f"{outside}{here}"  # a proxy cut it off
        here = quote(here, safe=IN_PATHS)
        query = connection.scope["query_string"].decode("latin-1")
        back = quote(f"{here}?{query}" if query else here, safe="/")
        return f"{settings.public_path}{path}?next={back}"

    async def _resolve(self, connection: HTTPConnection) -> Principal | None:
        """Return who makes a request, with all that admission does for our own routes."""
        scope = connection.scope
        scope.setdefault(REQUEST_ID, f"req_{secrets.token_hex(16)}")
        if scope["type"] == "websocket":
            scope = _as_change(scope, connection)
        return await self.house.admission.resolve(Request(scope))

    @override
    async def find_by_token(self, token: str, connection: HTTPConnection) -> User:
        return await self._admitted(await self.house.gate.authenticate(token), connection)

    async def _admitted(self, principal: Principal, connection: HTTPConnection) -> User:
        """Return the user of a principal, unless the session is held back.

        Raises:
            Refusal: as for `Gate.authorize`.
        """
        await self.house.gate.authorize(principal, SIGNED_IN)
        return self._user_of(principal, connection)

    def _user_of(self, principal: Principal, connection: HTTPConnection) -> User:
        """Return the user of a principal; memory has one principal for each token."""
        CONNECTION.set(connection)
        if principal.impersonation is not None:
            Asked.of(connection).watched = principal.watched
        known = self._users.get(id(principal))
        if known is not None and known[0] is principal:
            return known[1]
        user = user_of(principal)
        if len(self._users) >= MAX_USERS:
            self._users.clear()
        self._users[id(principal)] = principal, user
        return user

    @override
    def watch(self, user: User, connection: HTTPConnection) -> Watch:
        house, asked = self.house, Asked.of(connection)
        ids: tuple[str, ...] = (user.subject, user.session_id)

        async def look_up() -> int | None:
            found = await house.lookup.find(UserId(user.subject), SessionId(user.session_id))
            may = found is not None and not found.held_back and permitted(asked.rules, found)
            return found.until if found and may else None

        return Watch(
            asked.watched if asked.watched[:2] == ids else ids,
            house.watchers,
            house.clock,
            look_up=look_up,
            close=closing(connection),
        )


def user_of(principal: Principal) -> User:
    """Return a principal as the routes of the application see it."""
    return User(
        subject=principal.subject,
        username=principal.username,
        name=principal.name,
        email=principal.email or None,
        email_verified=principal.email_verified,
        roles=frozenset(principal.roles),
        permissions=principal.permissions,
        expires_at=from_milliseconds(principal.until),
        session_id=principal.session_id,
        authenticated_at=(
            from_milliseconds(principal.authenticated_at * 1000)
            if principal.authenticated_at
            else None  # somebody impersonates the user
        ),
        methods=as_set(principal.methods),
        impersonator=None if principal.impersonation is None else principal.acting,
    )


def _token_in(scope: Scope, cookies: tuple[bytes, bytes]) -> bytes | None:
    """Return the access token of a usual request; None: admission must look at the request.

    Args:
        scope: the ASGI scope of the request.
        cookies: the names of the cookies.
    """
    bearer = cookie = None
    for name, value in scope["headers"]:
        if name == b"authorization":
            if bearer is not None or value[:7].lower() != b"bearer ":
                return None
            bearer = value[7:]
        elif name == b"cookie":
            if cookie is not None:
                return None
            cookie = value
        elif name == b"x-access-token":
            return None
    if bearer is not None or cookie is None or scope.get("method") not in SAFE_METHODS:
        return bearer
    try:
        return read_cookies([cookie], cookies).get(cookies[0])
    except Refusal:
        return None


def _as_change(scope: Scope, connection: HTTPConnection) -> Scope:
    """Return the scope of a WebSocket as that of a request that changes something.

    A page of any site may open a WebSocket, and the browser sends cookies with it. So a cookie
    counts only if the page is one of ours (RFC 6455, section 10.2).
    """
    headers: Headers = list(scope["headers"])
    if (token := offered_token(connection)) is not None:
        headers.append((b"authorization", b"Bearer " + token.encode("latin-1", "replace")))
    return {**scope, "type": "http", "method": "POST", "headers": headers}


def _refuse_outside_tests() -> None:
    """Refuse what would make a server unsafe.

    Raises:
        RuntimeError: pytest runs no test in this process.
    """
    if "pytest" not in sys.modules or "PYTEST_CURRENT_TEST" not in os.environ:
        raise RuntimeError("gatelodge.testing works only while pytest runs a test.")


async def _invite(house: House) -> None:
    """Print the link that makes the first administrator, if there is none yet.

    Of several processes that start together, one prints it: a newer link ends the older one.
    """
    secret = await house.setup.invite(unless_within=TOGETHER)
    if secret is not None:
        link = f"{house.settings.public_base}/setup?token={secret}"
        with contextlib.suppress(OSError):
            print(  # noqa: T201 - never in a log
                f"Gatelodge has no administrator yet. This link makes one:\n  {link}",
                file=sys.stderr,
                flush=True,
            )
