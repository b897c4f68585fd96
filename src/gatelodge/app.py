"""Builds the application in one visible list: settings, stores, services, gate, doors."""

import asyncio
import contextlib
import copy
from collections.abc import AsyncIterator, Collection, Mapping
from datetime import timedelta
from functools import cached_property, partial
from typing import Literal, TypeAlias
from urllib.parse import urlsplit

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import PlainTextResponse, Response

from gatelodge import __version__
from gatelodge.accounts.roles import RoleService
from gatelodge.accounts.service import AccountService
from gatelodge.audit import AuditLog
from gatelodge.boards import api as boards_api
from gatelodge.boards import pages as boards_pages
from gatelodge.clock import Clock, SystemClock
from gatelodge.credentials.attempts import AttemptGuard, AttemptLimits
from gatelodge.credentials.hashing_pool import HashingPool
from gatelodge.credentials.passwords import PasswordHasher
from gatelodge.credentials.service import Passwords
from gatelodge.data_folder import SECRET_KEY
from gatelodge.errors import ConfigurationError, Refusal, StoreUnavailable
from gatelodge.gate.gate import Gate
from gatelodge.gate.watchers import Watchers
from gatelodge.health import api as health_api
from gatelodge.health.metrics import Metrics
from gatelodge.master_key import MasterKey
from gatelodge.me import api as me_api
from gatelodge.me import pages as me_pages
from gatelodge.pages import reference, static_files
from gatelodge.pages.answers import (
    answer_early,
    answer_http_error,
    answer_refusal,
    answer_unforeseen,
    answer_validation_error,
)
from gatelodge.pages.carried import Carrier
from gatelodge.pages.door import PageDoor
from gatelodge.pages.html import Pages, Site
from gatelodge.sessions import api as sessions_api
from gatelodge.sessions import pages as sessions_pages
from gatelodge.sessions.asgi import FastRefresh
from gatelodge.sessions.lookup import SessionLookup
from gatelodge.sessions.refresh_tokens import RefreshTokens
from gatelodge.sessions.renewal import SessionRenewal
from gatelodge.sessions.service import SessionLimits, SessionService
from gatelodge.sessions.tutorial import TutorialRefresh
from gatelodge.settings import Settings
from gatelodge.setup import pages as setup_pages
from gatelodge.setup.service import SetupService
from gatelodge.sign_in import api as sign_in_api
from gatelodge.sign_in import pages as sign_in_pages
from gatelodge.sign_in.service import SignInService
from gatelodge.stores import Stores, open_stores
from gatelodge.tasks import end, end_with_parent, repeat, start
from gatelodge.tokens.access import AccessTokens
from gatelodge.tokens.claims import AUDIENCE
from gatelodge.tokens.keys import KEY_PREFIX, SigningKeys
from gatelodge.verify import api as verify_api
from gatelodge.web import openapi
from gatelodge.web.admission import Admission
from gatelodge.web.cookies import TokenDelivery
from gatelodge.web.cors import Cors
from gatelodge.web.door import Door
from gatelodge.web.fast_door import FastDoor, FastRoute
from gatelodge.web.proxies import TrustedProxies
from gatelodge.web.public_address import BelowPath, PublicAddress
from gatelodge.web.same_origin import SameOrigin
from gatelodge.web.services import Services
from gatelodge.web.shell import App, Shell

Part: TypeAlias = Literal["api", "pages", "keys", "reference"]
"""A part of the routes that an application can have inside it."""

PARTS: Mapping[Part, tuple[Door | PageDoor, ...]] = {
    "api": (sign_in_api.door, sessions_api.door, me_api.door, verify_api.door),
    "pages": (
        sign_in_pages.door,
        sessions_pages.door,
        me_pages.door,
        setup_pages.door,
        static_files.door,
    ),
    "keys": (verify_api.keys_door,),
    "reference": (openapi.door, reference.door),
}
"""The doors of each part. What only a server of its own has is missing: the start page, the boards
and the routes for whoever watches the server."""

DOORS = (
    health_api.door,
    sign_in_api.door,
    sessions_api.door,
    me_api.door,
    boards_api.door,
    verify_api.door,
    verify_api.keys_door,
    openapi.door,
    boards_pages.door,
    sign_in_pages.door,
    sessions_pages.door,
    me_pages.door,
    setup_pages.door,
    reference.door,
    static_files.door,
)
"""All doors, in the order in which the OpenAPI document lists their routes."""

TUTORIAL_PROGRAMS = frozenset({"/api/auth/signup", "/api/auth/signin", "/api/auth/signout"})
"""Where the tutorial's profile takes programs with a cookie jar, which say no `Origin`."""

SWEEP_EVERY = timedelta(hours=1)
"""How often records that are not needed any more are deleted."""


class House:
    """All services of one server, connected to each other; the routes are not part of it.

    Each service is named once, in the property that makes it. `build` makes all of them. Nothing is
    opened before `open` or `serve`.

    Attributes:
        settings: the settings, as read from the environment.
        clock: tells the current time.
        home: the address of the start page of the application that the house is part of; None: the
            house is a server of its own.
    """

    def __init__(
        self, settings: Settings, clock: Clock, *, make_key: bool = True, home: str | None = None
    ) -> None:
        """Remember what everything else is made of."""
        self.settings = settings
        self.clock = clock
        self.home = home
        self._make_key = make_key

    # The master key, the database and the audit log

    @cached_property
    def master_key(self) -> MasterKey:
        """The key that other keys are derived from."""
        return read_master_key(self.settings, make=self._make_key)

    @cached_property
    def stores(self) -> Stores:
        """All ports, for the one database."""
        return open_stores(self.settings.database_address)

    @cached_property
    def audit(self) -> AuditLog:
        """The audit log."""
        return AuditLog(self.stores.events, self.clock)

    # credentials/

    @cached_property
    def hashing_pool(self) -> HashingPool:
        """The threads that hash passwords."""
        return HashingPool(self.settings.hash_threads_per_worker, self.settings.hash_queue)

    @cached_property
    def attempts(self) -> AttemptGuard:
        """The limits on failed tries."""
        limits = AttemptLimits.of(
            account=self.settings.sign_in_tries_per_account,
            address=self.settings.sign_in_tries_per_address,
            everybody=self.settings.sign_in_tries_in_all,
            sign_ups=self.settings.sign_ups_per_address,
        )
        key = self.master_key.derive("log-names")
        return AttemptGuard(self.stores.attempts, self.audit, self.clock, limits, key)

    @cached_property
    def passwords(self) -> Passwords:
        """The password rules and password hashing."""
        return Passwords(
            PasswordHasher(self.settings.hash_memory, self.settings.hash_passes),
            self.hashing_pool,
            self.attempts,
            self.settings.password_minimum,
            (self.settings.site_name, urlsplit(self.settings.public_origin).hostname or ""),
        )

    # tokens/

    @cached_property
    def signing_keys(self) -> SigningKeys:
        """The keys that sign access tokens."""
        return SigningKeys(
            self.stores.signing_keys,
            self.master_key,
            self.audit,
            self.clock,
            self.settings.access_token_life,
            self.settings.signing_key_life,
        )

    @cached_property
    def access_tokens(self) -> AccessTokens:
        """Issues and verifies access tokens."""
        life, issuer = self.settings.access_token_life, self.settings.public_base
        return AccessTokens(self.signing_keys, self.clock, issuer, AUDIENCE, life)

    # accounts/, gate/, sessions/

    @cached_property
    def accounts(self) -> AccountService:
        """Users and their roles."""
        stores, guard = self.stores, self.attempts
        return AccountService(
            stores.users,
            stores.roles,
            self.passwords,
            guard,
            self.audit,
            self.clock,
            sign_up_open=self.settings.sign_up == "open",
            username_change=self.settings.username_change == "on",
        )

    @cached_property
    def roles(self) -> RoleService:
        """Roles, and what they permit."""
        return RoleService(self.stores.roles, self.stores.users, self.audit)

    @cached_property
    def sessions(self) -> SessionService:
        """Opens, refreshes and ends sessions."""
        settings = self.settings
        return SessionService(
            self.stores.sessions,
            self.stores.users,
            RefreshTokens(self.master_key.derive("refresh-tokens")),
            self.access_tokens,
            self.audit,
            self.clock,
            SessionLimits(
                settings.session_life,
                settings.session_idle,
                settings.refresh_grace,
                self.stores.database.clock_skew,
            ),
        )

    @cached_property
    def lookup(self) -> SessionLookup:
        """What the gate asks when its memory has no answer."""
        return SessionLookup(self.stores.sessions, self.clock, with_profile=self.home is not None)

    @cached_property
    def gate(self) -> Gate:
        """Answers who makes a request, and whether they may make it."""
        return Gate(self.access_tokens, self.lookup, self.stores.feed, self.clock)

    @cached_property
    def watchers(self) -> Watchers:
        """Those who wait for a change of a user, such as open WebSockets."""
        return Watchers(self.stores.feed)

    # sign_in/, setup/

    @cached_property
    def sign_in(self) -> SignInService:
        """Signs users in."""
        return SignInService(
            self.stores.users,
            self.accounts,
            self.passwords,
            self.sessions,
            self.audit,
            self.attempts,
            self.clock,
        )

    @cached_property
    def tutorial(self) -> TutorialRefresh:
        """The refresh route of the tutorial."""
        return TutorialRefresh(self.sessions, keeps_token=self.settings.tutorial)

    @cached_property
    def setup(self) -> SetupService:
        """The setup link, which makes the first administrator."""
        return SetupService(self.stores.one_time_tokens, self.accounts, self.clock)

    # web/, pages/, health/

    @cached_property
    def delivery(self) -> TokenDelivery:
        """Delivers tokens in bodies or cookies."""
        return TokenDelivery(
            clock=self.clock,
            default=self.settings.delivery,
            tutorial=self.settings.tutorial,
            secure=self.settings.secure,
            domain=self.settings.cookie_domain,
            same_site=self.settings.cookie_same_site,
            access_life=self.settings.access_token_life,
            name=self.settings.cookie_name,
            port=self.settings.cookie_port,
        )

    @cached_property
    def public_address(self) -> PublicAddress:
        """Where users reach this server."""
        return PublicAddress(self.settings.public_origin, self.settings.public_path)

    @cached_property
    def same_origin(self) -> SameOrigin:
        """The origins whose pages may change something with our cookies."""
        public = self.settings.public_origin
        programs = TUTORIAL_PROGRAMS if self.settings.tutorial else frozenset()
        return SameOrigin(public, frozenset({public, *self.settings.known_origins}), programs)

    @cached_property
    def admission(self) -> Admission:
        """Admits or refuses requests."""
        renewal = SessionRenewal(self.sessions)
        return Admission(self.gate, renewal, self.delivery, self.same_origin)

    @cached_property
    def pages(self) -> Pages:
        """Renders pages."""
        return Pages(Site.of(self.settings, self.home), self.settings.templates_dir)

    @cached_property
    def carrier(self) -> Carrier:
        """Carries a notice or a refused form to the next page."""
        return Carrier(self.master_key, self.pages.site, self.clock)

    @cached_property
    def metrics(self) -> Metrics:
        """The metrics of this worker."""
        token = self.settings.metrics_token.get_secret_value()
        return Metrics.of(token, self.gate, self.hashing_pool)

    def services(self) -> Services:
        """Return every service by its type, as doors ask for them."""
        made = (getattr(self, name) for name in _SERVICES)
        return {type(service): service for service in made}

    def replaced(self, **services: object) -> "House":
        """Return a copy with these services replaced.

        Services that were already made keep the old services inside.
        """
        other = copy.copy(self)
        vars(other).update(services)
        return other

    @contextlib.asynccontextmanager
    async def open(self, *, patient: bool = False) -> AsyncIterator["House"]:
        """Open the stores and read the keys; close the stores when the context ends.

        Args:
            patient: whether to succeed even if the database cannot be reached. `keep_in_step`
                then reads the keys later.

        Raises:
            StoreUnavailable: the database cannot be reached, and `patient` is false.
        """
        await self.stores.database.start()
        try:
            try:
                await self.roles.seed()
                await self.signing_keys.ensure()
            except StoreUnavailable:
                if not patient:
                    raise
            yield self
        finally:
            await self.signing_keys.ring.close()
            await self.hashing_pool.close()
            await self.stores.database.stop()

    @contextlib.asynccontextmanager
    async def serve(self) -> AsyncIterator["House"]:
        """Open the house, and run the server's background tasks until the context ends."""
        async with self.open(patient=True), self._follow_changes():
            chores = [
                asyncio.create_task(self.signing_keys.keep_in_step()),
                asyncio.create_task(repeat(self.sessions.sweep, SWEEP_EVERY)),
                asyncio.create_task(repeat(self.attempts.sweep, SWEEP_EVERY)),
            ]
            try:
                yield self
            finally:
                await end(*chores)

    @contextlib.asynccontextmanager
    async def _follow_changes(self) -> AsyncIterator[None]:
        """Pass changes from the feed to the gate and the signing keys, until the context ends."""

        def forget(changed: str | None) -> None:
            self.gate.memory.forget(changed)
            self.watchers.notify(changed)
            if changed is None or changed.startswith(f"{KEY_PREFIX}_"):
                self.signing_keys.ring.invalidate()
                reloading.append(start(self.signing_keys.ring.refresh))
                reloading[:] = [task for task in reloading if not task.done()]

        reloading: list[asyncio.Task[None]] = []
        await self.stores.feed.follow(forget)
        try:
            yield
        finally:
            await self.watchers.close()
            await self.stores.feed.leave()
            await end(*reloading)


_SERVICES = tuple(name for name, made in vars(House).items() if isinstance(made, cached_property))


def build(
    settings: Settings,
    clock: Clock | None = None,
    *,
    make_key: bool = True,
    home: str | None = None,
) -> House:
    """Return the house that these settings describe; nothing is opened yet.

    Args:
        settings: what the operator decided.
        clock: what time it is; by default the machine's.
        make_key: whether a secret key file is made where there is none.
        home: the address of the start page of the application that the house is part of; None: the
            house is a server of its own.

    Raises:
        ConfigurationError: the secret key or another setting cannot be used.
    """
    house = House(settings, clock or SystemClock(), make_key=make_key, home=home)
    house.services()  # workers share what is made before they begin
    return house


def read_master_key(settings: Settings, *, make: bool = True) -> MasterKey:
    """Return the key that the settings hold or name; by default a file beside the data.

    Raises:
        ConfigurationError: it is unfit, others may read it, or there is none and `make` is False.
    """
    if settings.secret_key is not None:
        return MasterKey.from_text(settings.secret_key.get_secret_value())
    named = settings.secret_key_file
    file = named or settings.data_dir / SECRET_KEY
    if (named or not make) and not file.exists():  # a misspelt name must not make a new key
        raise ConfigurationError(f"The secret key file {file} does not exist.")
    return MasterKey.from_file(file)


def create_app(house: House) -> App:
    """Return the ASGI application of a house."""
    api = FastRefresh(create_api(house), house.sessions)
    known = house.settings.known_origins
    cors = Cors(api, known) if known else None
    hosts = (house.settings.public_host, *house.settings.allowed_hosts)
    refuse = partial(answer_early, house.audit, house.pages)
    shell = Shell(
        cors or api,
        hosts=hosts,
        hsts=house.settings.hsts if house.settings.secure else "off",
        refuse=refuse,
        cors_headers=cors.headers_for if cors else None,
        client_of=TrustedProxies(house.settings.trusted_proxies).client_of,
    )
    door = FastDoor(shell, house.gate, house.delivery.names, fast_routes(shell))
    path = house.public_address.path
    paths = [route.path for each in doors_of(house) for route in each.routes]
    return BelowPath(door, path, paths) if path else door


def doors_of(house: House) -> list[Door | PageDoor]:
    """Return the doors of a house: in an application, those that can be installed."""
    inside = [door for doors in PARTS.values() for door in doors]
    return [door for door in DOORS if house.home is None or door in inside]


def paths_of(parts: Collection[Part]) -> list[str]:
    """Return the paths of the routes of these parts."""
    return [route.path for part in parts for door in PARTS[part] for route in door.routes]


def fast_routes(shell: Shell) -> dict[str, FastRoute]:
    """Return the fast door's routes (boards, forward-auth), with the answers that FastAPI gives."""
    routes = {}
    for declared in (*boards_api.door.routes, *verify_api.door.routes):
        text = boards_api.CONTENT.get(declared.path)
        answer = Response() if text is None else PlainTextResponse(text)
        headers = shell.complete(answer.raw_headers)
        end = {"type": "http.response.body", "body": bytes(answer.body)}
        routes[declared.path] = FastRoute(declared.rule, headers, end, identity=text is None)
    return routes


def create_api(house: House) -> FastAPI:
    """Return the FastAPI application inside the shell."""

    @contextlib.asynccontextmanager
    async def lifespan(_api: FastAPI) -> AsyncIterator[None]:
        end_with_parent()
        async with house.serve():
            yield

    api = FastAPI(
        title="Gatelodge",
        version=__version__,
        lifespan=lifespan,
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    api.state.services = house.services()
    doors = doors_of(house)
    for door in doors:
        api.router.routes.extend(door.router.routes)  # flat: `include_router` nests them
    api.state.routes = [route for door in doors for route in door.routes]
    api.add_exception_handler(Refusal, answer_refusal)
    api.add_exception_handler(RequestValidationError, answer_validation_error)
    api.add_exception_handler(HTTPException, answer_http_error)
    api.add_exception_handler(Exception, answer_unforeseen)
    return api
