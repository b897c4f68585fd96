"""What the fixtures of the plugin are."""

import functools
import itertools
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Protocol, TypeAlias

from anyio.from_thread import BlockingPortal
from fastapi import FastAPI

from gatelodge.accounts.service import NewUser
from gatelodge.embedded.user import User
from gatelodge.gate.conditions import Names, names_of
from gatelodge.methods import BY_PASSWORD
from gatelodge.testing.apps import source_of
from gatelodge.testing.authenticator import SoftwareAuthenticator
from gatelodge.testing.clients import Client, Running, UserClient
from gatelodge.testing.clock import StillClock
from gatelodge.testing.letters import Catcher, Letters
from gatelodge.testing.staff import ADDRESS, FreshDatabase, Staff
from gatelodge.tokens.pair import Delivery

PASSWORD = "correct horse battery"  # noqa: S105 - of users in tests

Who: TypeAlias = UserClient | User | str
"""A user: a client that `as_user` returned, a user that a route got, or the subject."""


class AsUser(Protocol):
    """The fixture `as_user`."""

    def __call__(
        self,
        role: Names = (),
        *,
        permissions: Names = (),
        username: str | None = None,
        name: str = "",
        email: str | None = None,
        email_verified: bool = True,
        password: str = PASSWORD,
        methods: Names = BY_PASSWORD,
        cookies: bool = False,
    ) -> UserClient:
        """Make a user, sign them in, and return their client; see `GatelodgeFixture.as_user`."""


class Travel(Protocol):
    """The fixture `travel`."""

    def __call__(
        self, *, seconds: float = 0, minutes: float = 0, hours: float = 0, days: float = 0
    ) -> datetime:
        """Move the clock on, and return the new time; see `GatelodgeFixture.travel`."""


class TotpNow(Protocol):
    """The fixture `totp_now`."""

    def __call__(self, user: Who) -> str:
        """Return the code that a user types now; see `GatelodgeFixture.totp_now`."""


class GatelodgeFixture:
    """The fixture `gatelodge`: users, sessions and time of the application under test.

    What a method changes counts from the next request on, as in use.

    Attributes:
        app: the application.
        letters: what was sent by e-mail; the fixture `letters`.
    """

    def __init__(
        self,
        app: FastAPI,
        staff: Staff,
        clock: StillClock,
        portal: BlockingPortal,
        running: Running,
    ) -> None:
        """Use what `opened` has made."""
        self.app = app
        self._staff = staff
        self._clock = clock
        self._portal = portal
        self._running = running
        self._numbers = itertools.count(1)
        self.letters = Letters(lambda: self._portal.call(self._staff.send))

    @classmethod
    @contextmanager
    def opened(
        cls, app: FastAPI, fresh: FreshDatabase, folder: Path, portal: BlockingPortal
    ) -> "Iterator[GatelodgeFixture]":
        """Point the Gatelodge of an application at a new database, until the context ends.

        Args:
            app: the application.
            fresh: what the database begins with.
            folder: where it is; the folder is deleted afterwards.
            portal: runs what the methods do.

        Raises:
            RuntimeError: no test runs, or the application runs already.
            UnusableApp: no Gatelodge is installed in the application.
        """
        source, clock = source_of(app), StillClock()
        running = Running(app, source)
        with (
            fresh.copied(folder),
            source.in_tests(fresh.settings_in(folder), clock) as house,
            portal.wrap_async_context_manager(house.open()),
        ):
            staff = Staff(house, source.handlers, Catcher(house.settings))
            portal.call(staff.subscribe)
            try:
                yield cls(app, staff, clock, portal, running)
            finally:
                running.stop()

    def as_user(
        self,
        role: Names = (),
        *,
        permissions: Names = (),
        username: str | None = None,
        name: str = "",
        email: str | None = None,
        email_verified: bool = True,
        password: str = PASSWORD,
        methods: Names = BY_PASSWORD,
        cookies: bool = False,
    ) -> UserClient:
        """Make a user, sign them in, and return their client.

        Args:
            role: a role that the user holds besides `user`, or several; as text or as members of an
                enum. A role that does not exist is made, with the `permissions`.
            permissions: what the user may do, even if none of their roles permits it.
            username: the username; by default `user-1`, `user-2` and so on.
            name: what to call the user.
            email: the e-mail address; by default made of the username, at example.com.
            email_verified: whether the user has shown that the address is theirs.
            password: the password.
            methods: how the user has signed in (`amr`; RFC 8176). With `mfa` among them, by several
                factors: `("pwd", "otp", "mfa")`.
            cookies: whether the client is a browser, which is signed in by cookies and sends
                requests from a page of the application. By default it sends the bearer header.

        Raises:
            Refusal: a value is refused as it would be at a sign-up, or the username is taken.
        """
        username = username or f"user-{next(self._numbers)}"
        wanted = NewUser(username, email or f"{username}@example.com", password, names_of(role))
        made = self._do(
            self._staff.make, wanted, names_of(permissions), name, email_verified=email_verified
        )
        client = self.sign_in(made.id, methods=methods, cookies=cookies)
        client.password = password
        return client

    def sign_in(
        self, user: Who, *, methods: Names = BY_PASSWORD, cookies: bool = False
    ) -> UserClient:
        """Sign a user in once more, as on another device, and return the client.

        Args:
            user: the user.
            methods: how the user signs in; see `as_user`.
            cookies: whether the client is a browser; see `as_user`.

        Raises:
            NoSuchUser: there is no such user.
            ValueError: the user is disabled, or a method has no name.
        """
        delivery = self._staff.house.delivery
        way: Delivery = "cookie" if cookies else "bearer"
        done = self._do(self._staff.sign_in, _subject(user), way, names_of(methods))
        return UserClient(
            self._running,
            done.user,
            password=user.password if isinstance(user, UserClient) else "",
            access_token=done.tokens.access_token,
            refresh_token=done.tokens.refresh_token,
            cookies=(delivery.access_cookie, delivery.refresh_cookie) if cookies else None,
        )

    def totp_now(self, user: Who) -> str:
        """Return the code that the authenticator app of a user shows now.

        A user without an app gets one: from then on, a sign-in asks for its code. A code works
        once, and shows for 30 seconds: after `travel(seconds=30)` there is another one. Of several
        apps, also of those that the user set up by the API, it is that of the newest.

        Raises:
            NoSuchUser: there is no such user.
        """
        code: str = self._do(self._staff.totp_now, _subject(user))
        return code

    def authenticator(self) -> SoftwareAuthenticator:
        """Return a browser at the address of the application, with a new authenticator."""
        return SoftwareAuthenticator(ADDRESS)

    def signed_out(self) -> Client:
        """Return a client that nobody is signed in with."""
        return Client(self._running)

    def revoke(self, user: Who) -> None:
        """End all sessions of a user: the next request is refused."""
        self._do(self._staff.revoke, _subject(user))

    def disable(self, user: Who) -> None:
        """Disable a user: their sessions end, and they cannot sign in."""
        self._do(self._staff.disable, _subject(user))

    def enable(self, user: Who) -> None:
        """Enable a user again; they have to sign in again."""
        self._do(self._staff.enable, _subject(user))

    def delete(self, user: Who) -> None:
        """Delete a user."""
        self._do(self._staff.delete, _subject(user))

    def grant(self, user: Who, role: Names) -> None:
        """Grant a role to a user, or several. A role that does not exist is made."""
        for name in names_of(role):
            self._do(self._staff.grant, _subject(user), name)

    def take(self, user: Who, role: Names) -> None:
        """Take a role from a user, or several."""
        for name in names_of(role):
            self._do(self._staff.take, _subject(user), name)

    def tell(self) -> int:
        """Tell the functions of `auth.on` all that has happened, and return how often one was told.

        In tests nobody else tells them. They run in another thread and event loop than the
        application. What a function raises is raised here, and it is not told again in this test.
        """
        told: int = self._do(self._staff.tell)
        return told

    @property
    def now(self) -> datetime:
        """The time that Gatelodge believes it is. It stands still until `travel`."""
        return self._clock.now()

    def travel(
        self, *, seconds: float = 0, minutes: float = 0, hours: float = 0, days: float = 0
    ) -> datetime:
        """Move the clock of Gatelodge on, and return the new time.

        Access tokens expire after 10 minutes, sessions after 14 days without use and after 30 days
        at the latest, unless the settings of the application say otherwise.

        Raises:
            ValueError: the time would go back.
        """
        by = timedelta(seconds=seconds, minutes=minutes, hours=hours, days=days)
        return self._clock.travel(by)

    def _do(self, act: "Callable[..., Awaitable[Any]]", *given: Any, **named: Any) -> Any:
        """Run an act of the staff to its end."""
        return self._portal.call(functools.partial(act, *given, **named))


def _subject(user: Who) -> str:
    """Return the id of a user."""
    if isinstance(user, UserClient):
        return user.user.subject
    return user.subject if isinstance(user, User) else user
