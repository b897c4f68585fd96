"""Builds everything in one visible list: settings, stores, services, gate, doors."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from urllib.parse import urlsplit

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import PlainTextResponse, Response

from gatelodge import __version__
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
from gatelodge.gate.principal import VerifiedTokens
from gatelodge.health import api as health_api
from gatelodge.health.metrics import Metrics
from gatelodge.master_key import MasterKey
from gatelodge.me import api as me_api
from gatelodge.me import pages as me_pages
from gatelodge.pages import static_files
from gatelodge.pages.answers import (
    answer_early,
    answer_http_error,
    answer_refusal,
    answer_unforeseen,
    answer_validation_error,
)
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
from gatelodge.tasks import end, end_with_parent, repeat
from gatelodge.tokens.access import AccessTokens
from gatelodge.tokens.keys import KEY_PREFIX, SigningKeys
from gatelodge.verify import api as verify_api
from gatelodge.web import openapi
from gatelodge.web.admission import Admission
from gatelodge.web.cookies import TokenDelivery
from gatelodge.web.cors import Cors
from gatelodge.web.fast_door import FastDoor, FastRoute
from gatelodge.web.proxies import TrustedProxies
from gatelodge.web.same_origin import SameOrigin
from gatelodge.web.services import Services
from gatelodge.web.shell import App, Shell

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
    static_files.door,
)

AUDIENCE = "gatelodge"

SWEEP_EVERY = timedelta(hours=1)
"""How often records that are of no more use are forgotten."""


@dataclass(frozen=True, slots=True)
class House:
    """Everything, built and wired, without a door yet."""

    settings: Settings
    stores: Stores
    clock: Clock
    audit: AuditLog
    hashing_pool: HashingPool
    signing_keys: SigningKeys
    access_tokens: AccessTokens
    accounts: AccountService
    sessions: SessionService
    attempts: AttemptGuard
    sign_in: SignInService
    tutorial: TutorialRefresh
    setup: SetupService
    lookup: SessionLookup
    gate: Gate
    delivery: TokenDelivery
    admission: Admission
    pages: Pages
    metrics: Metrics

    @contextlib.asynccontextmanager
    async def open(self, *, patient: bool = False) -> AsyncIterator["House"]:
        """Open the stores and keys, and close them in the end.

        Args:
            patient: whether to open while the database cannot be reached, too: `keep_in_step`
                then reads the keys as soon as it can.
        """
        await self.stores.database.start()
        try:
            try:
                await self.accounts.seed_roles()
                await self.signing_keys.ensure()
            except StoreUnavailable:
                if not patient:
                    raise
            yield self
        finally:
            await self.hashing_pool.close()
            await self.stores.database.stop()

    @contextlib.asynccontextmanager
    async def serve(self) -> AsyncIterator["House"]:
        """Open the house and do what a server does beside answering, until the end."""
        end_with_parent()
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
        """Let the gate and the signing keys hear of changes, whoever makes them."""
        loop = asyncio.get_running_loop()

        def forget(changed: str | None) -> None:
            self.gate.view.forget(changed)
            if changed is None or changed.startswith(f"{KEY_PREFIX}_"):
                self.signing_keys.invalidate()
                reloading.append(loop.create_task(self.signing_keys.reload()))
                reloading[:] = [task for task in reloading if not task.done()]

        reloading: list[asyncio.Task[None]] = []
        await self.stores.feed.follow(forget)
        try:
            yield
        finally:
            await self.stores.feed.leave()
            await asyncio.gather(*reloading, return_exceptions=True)


def build(settings: Settings, clock: Clock | None = None) -> House:
    """Return the house that these settings describe; nothing is opened yet.

    Raises:
        ConfigurationError: the secret key or the database cannot be used.
    """
    clock = clock or SystemClock()
    master_key = read_master_key(settings)
    stores = open_stores(settings.database_address)
    audit = AuditLog(stores.events, clock)
    hashing_pool = HashingPool(settings.hash_threads_per_worker, settings.hash_queue)
    attempts = AttemptGuard(
        stores.attempts,
        audit,
        clock,
        AttemptLimits.of(
            account=settings.sign_in_tries_per_account,
            address=settings.sign_in_tries_per_address,
            everybody=settings.sign_in_tries_in_all,
            sign_ups=settings.sign_ups_per_address,
        ),
        master_key.derive("log-names"),
        settings.workers,
    )
    passwords = Passwords(
        PasswordHasher(settings.hash_memory, settings.hash_passes),
        hashing_pool,
        attempts,
        settings.password_minimum,
        (settings.site_name, urlsplit(settings.public_origin).hostname or ""),
    )
    signing_keys = SigningKeys(
        stores.signing_keys,
        master_key,
        audit,
        clock,
        settings.access_token_life,
        settings.signing_key_life,
    )
    access_tokens = AccessTokens(
        signing_keys, clock, settings.public_origin, AUDIENCE, settings.access_token_life
    )
    refresh_tokens = RefreshTokens(master_key.derive("refresh-tokens"))
    sessions = SessionService(
        stores.sessions,
        stores.users,
        refresh_tokens,
        access_tokens,
        audit,
        clock,
        SessionLimits(settings.session_life, settings.session_idle, settings.refresh_grace),
    )
    lookup = SessionLookup(stores.sessions, clock)
    gate = Gate(VerifiedTokens(access_tokens), lookup, stores.feed, clock)
    delivery = TokenDelivery(
        clock=clock,
        default=settings.delivery,
        tutorial=settings.tutorial,
        secure=settings.secure,
        domain=settings.cookie_domain,
        same_site=settings.cookie_same_site,
        access_life=settings.access_token_life,
    )
    same_origin = SameOrigin(
        settings.public_origin, frozenset({settings.public_origin, *settings.known_origins})
    )
    accounts = AccountService(stores.users, stores.roles, passwords, attempts, audit, clock)
    return House(
        settings=settings,
        stores=stores,
        clock=clock,
        audit=audit,
        hashing_pool=hashing_pool,
        signing_keys=signing_keys,
        access_tokens=access_tokens,
        accounts=accounts,
        sessions=sessions,
        attempts=attempts,
        sign_in=SignInService(stores.users, passwords, sessions, audit, attempts),
        tutorial=TutorialRefresh(sessions, keeps_token=settings.tutorial),
        setup=SetupService(stores.one_time_tokens, accounts, clock),
        lookup=lookup,
        gate=gate,
        delivery=delivery,
        admission=Admission(gate, SessionRenewal(sessions), delivery, same_origin),
        pages=Pages(Site.of(settings), settings.templates_dir),
        metrics=Metrics.of(settings.metrics_token.get_secret_value(), gate, hashing_pool),
    )


def read_master_key(settings: Settings) -> MasterKey:
    """Return the key that the settings hold or name; by default a file beside the data.

    Raises:
        ConfigurationError: it is unfit, or others may read it.
    """
    if settings.secret_key is not None:
        return MasterKey.from_text(settings.secret_key.get_secret_value())
    named = settings.secret_key_file
    if named is not None and not named.exists():  # a misspelt name must not make a new key
        raise ConfigurationError(f"The secret key file {named} does not exist.")
    return MasterKey.from_file(named or settings.data_dir / SECRET_KEY)


def create_app(house: House) -> App:
    """Return the ASGI application over a house."""
    api = FastRefresh(create_api(house), house.sessions)
    known = house.settings.known_origins
    cors = Cors(api, known) if known else None
    hosts = (
        urlsplit(house.settings.public_origin).hostname or "",
        *house.settings.allowed_hosts,
    )
    refuse = partial(answer_early, house.audit, house.pages)
    shell = Shell(
        cors or api,
        hosts=hosts,
        secure=house.settings.secure,
        refuse=refuse,
        let_in=cors.headers_for if cors else None,
        client_of=TrustedProxies(house.settings.trusted_proxies).client_of,
    )
    return FastDoor(shell, house.gate, house.delivery.names, fast_routes(shell))


def fast_routes(shell: Shell) -> dict[str, FastRoute]:
    """Return what the fast door answers: the boards and forward-auth, as FastAPI would."""
    routes = {}
    for declared in (*boards_api.door.routes, *verify_api.door.routes):
        text = boards_api.CONTENT.get(declared.path)
        twin = Response() if text is None else PlainTextResponse(text)
        headers = shell.complete(twin.raw_headers)
        end = {"type": "http.response.body", "body": bytes(twin.body)}
        routes[declared.path] = FastRoute(declared.rule, headers, end, identity=text is None)
    return routes


def create_api(house: House) -> FastAPI:
    """Return the FastAPI application inside the shell."""

    @contextlib.asynccontextmanager
    async def lifespan(_api: FastAPI) -> AsyncIterator[None]:
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
    api.state.services = services_of(house)
    for door in DOORS:
        api.router.routes.extend(door.router.routes)  # flat: `include_router` nests them
    api.state.routes = [route for door in DOORS for route in door.routes]
    api.add_exception_handler(Refusal, answer_refusal)
    api.add_exception_handler(RequestValidationError, answer_validation_error)
    api.add_exception_handler(HTTPException, answer_http_error)
    api.add_exception_handler(Exception, answer_unforeseen)
    return api


def services_of(house: House) -> Services:
    """Return what the doors may ask for."""
    offered = (
        house.stores,
        house.signing_keys,
        house.accounts,
        house.sessions,
        house.sign_in,
        house.tutorial,
        house.setup,
        house.gate,
        house.lookup,
        house.delivery,
        house.admission,
        house.admission.same_origin,
        house.pages,
        house.metrics,
        house.audit,
    )
    return {type(service): service for service in offered}
