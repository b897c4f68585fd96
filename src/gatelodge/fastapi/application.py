"""`Gatelodge`: what an application makes one of, and installs."""

import contextlib
from collections.abc import AsyncIterator, Callable, Collection
from datetime import timedelta
from typing import Any

from fastapi import FastAPI

from gatelodge.app import PARTS, Part
from gatelodge.client.verifier import DEFAULT_FRESHNESS
from gatelodge.clock import Clock
from gatelodge.embedded.beside import Remote
from gatelodge.embedded.doorman import Doorman
from gatelodge.embedded.handlers import F
from gatelodge.embedded.routes import HouseRoutes
from gatelodge.embedded.sources import routes_for, source_for
from gatelodge.fastapi.dependencies import require
from gatelodge.fastapi.letters import Letters
from gatelodge.fastapi.openapi import complete_document
from gatelodge.fastapi.users import Users
from gatelodge.letters.post import Post
from gatelodge.webhook_signature import Secrets


class Gatelodge:
    """Sign-up, sign-in, sessions and roles for a FastAPI application.

    ::

        auth = Gatelodge()
        app = FastAPI(lifespan=auth.lifespan)
        auth.install(app)
    """

    user = staticmethod(require)
    """Makes a dependency with conditions: `Editor = Annotated[User, auth.user(role="editor")]`."""

    def __init__(
        self,
        issuer: str | None = None,
        /,
        *,
        freshness: timedelta = DEFAULT_FRESHNESS,
        home: str = "/",
        clock: Clock | None = None,
        webhook_secret: Secrets | None = None,
        post: Post | None = None,
        **settings: Any,
    ) -> None:
        """Remember the settings. Nothing is read, made or opened before the lifespan begins.

        Args:
            issuer: the address of a Gatelodge server beside the application; without it, Gatelodge
                runs in the application.
            freshness: how long an answer of that server counts, at most. 0 asks for each request.
            home: the address of the application's start page, where people go after sign-in.
            clock: what time it is; by default the machine's clock. For tests.
            webhook_secret: what `gatelodge webhook add` printed at the server beside the
                application, `whsec_…`, so that it can tell the functions of `on` what has happened;
                several while the secret is changed.
            post: what delivers letters, in place of a mail server; see docs/guides/mail.md.
            settings: settings by the names in docs/settings.md, in lower case and without the
                prefix: `public_url="https://example.com"`. They replace those of the environment.

        Raises:
            TypeError: there is no setting of this name, or the server beside has its own.
            ValueError: the address of the server is none of https, or the secret is none.
        """
        self._source = source_for(issuer, freshness, home, clock, settings, webhook_secret, post)
        self._installed: HouseRoutes | None = None

    @property
    def users(self) -> Users:
        """The users: to find, make and change them from the code of the application.

        Raises:
            TypeError: Gatelodge is a server beside the application, which has the users.
        """
        source = self._source
        if isinstance(source, Remote):
            raise TypeError("The users are in the server beside the application; see its API.")
        return Users(lambda: source.house)

    @property
    def letters(self) -> Letters:
        """Letters of the application's own, sent by the queue of Gatelodge.

        Raises:
            TypeError: Gatelodge is a server beside the application, which sends its own letters.
        """
        source = self._source
        if isinstance(source, Remote):
            raise TypeError("The server beside the application sends its own letters only.")
        return Letters(lambda: source.house)

    def on(self, *events: str) -> Callable[[F], F]:
        """Tell a function what has happened, at least once, after it is stored for good.

        ::

            @auth.on("user.deleted")
            async def forget(what: Notification) -> None: ...

        Of all processes of the application, one tells it. The function may come later again with
        the same `id`: so what it does should do no harm a second time. If it raises an exception or
        takes longer than a minute, it is told again, after waits that grow, for a day. It is known
        by its module and name; under another name it hears only of what happens from then on.

        Args:
            events: names from docs/events.md, such as `user.deleted`.

        With a server beside the application, its webhook tells the functions: `webhook_secret`. All
        functions that want to hear of an event are told again if one of them fails.

        Raises:
            TypeError: no event is named, or the server beside has no way to tell.
            ValueError: there is no such event, or another function has the same name.
            RuntimeError: the application runs already.
        """
        if isinstance(self._source, Remote) and not self._source.paths:
            raise TypeError(
                "The server beside the application tells events by a webhook: add one with "
                "`gatelodge webhook add`, and pass webhook_secret=… here."
            )

        def add(function: F) -> F:
            self._source.handlers.add(function, events)
            return function

        return add

    @contextlib.asynccontextmanager
    async def lifespan(self, app: FastAPI) -> AsyncIterator[None]:
        """Run Gatelodge as long as the application runs.

        An application with a lifespan of its own enters it there: `async with auth.lifespan(app):`.

        Raises:
            RuntimeError: `install` was not called, or a route of the application is one of ours.
            ConfigurationError: a setting, the secret key or the database cannot be used.
        """
        if self._installed is None:
            raise RuntimeError("Call auth.install(app) before the application starts.")
        _refuse_same_paths(app, self._installed)
        async with self._source.run():
            yield

    def install(
        self, app: FastAPI, prefix: str = "", *, parts: Collection[Part] = tuple(PARTS)
    ) -> None:
        """Bring the routes of Gatelodge into an application, and let its routes ask for the user.

        Args:
            app: the application.
            prefix: the path below which the routes of Gatelodge are, such as `/auth`. A server
                beside the application has its own routes: then nothing is installed but the guards,
                and the route for its webhook.
            parts: what is installed: the JSON API (`api`), the `pages`, the public `keys`, and the
                `reference` of the API.

        Raises:
            RuntimeError: this Gatelodge, or another one, is installed already.
            ValueError: the prefix is no path, or there is no such part.
        """
        if self._installed is not None:
            raise RuntimeError(
                "This Gatelodge is installed already. Make one for each application."
            )
        if any(isinstance(route, HouseRoutes) for route in app.router.routes):
            raise RuntimeError("Another Gatelodge is installed in this application already.")
        self._installed = routes_for(self._source, prefix, parts)
        app.router.routes.insert(0, self._installed)
        app.add_middleware(Doorman, source=self._source)
        complete_document(app, lambda: self._source.cookie)


def _refuse_same_paths(app: FastAPI, ours: HouseRoutes) -> None:
    """Refuse a route of the application that nobody could reach.

    Raises:
        RuntimeError: there is one.
    """
    for route in app.routes:
        path = getattr(route, "path", None)
        if path in ours.paths and route is not ours:
            raise RuntimeError(
                f"The application has a route {path}, and so has Gatelodge. Give one of them "
                'another path: auth.install(app, prefix="/auth"), for example.'
            )
