"""Builds the application in one visible list: settings, stores, services, gate, doors."""

import contextlib
from collections.abc import AsyncIterator, Collection, Mapping
from functools import cached_property, partial
from typing import Literal, Self, TypeAlias

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import PlainTextResponse, Response
from typing_extensions import override

from gatelodge import __version__
from gatelodge.admin import console_pages as admin_console_pages
from gatelodge.admin import events_api as admin_events_api
from gatelodge.admin import events_pages as admin_events_pages
from gatelodge.admin import export_api as admin_export_api
from gatelodge.admin import impersonation_api, impersonation_pages
from gatelodge.admin import invitations_pages as admin_invitations_pages
from gatelodge.admin import keys_api as admin_keys_api
from gatelodge.admin import keys_pages as admin_keys_pages
from gatelodge.admin import letters_api as admin_letters_api
from gatelodge.admin import letters_pages as admin_letters_pages
from gatelodge.admin import overview_api as admin_overview_api
from gatelodge.admin import overview_pages as admin_overview_pages
from gatelodge.admin import roles_api as admin_roles_api
from gatelodge.admin import roles_pages as admin_roles_pages
from gatelodge.admin import sessions_api as admin_sessions_api
from gatelodge.admin import sessions_pages as admin_sessions_pages
from gatelodge.admin import settings_api as admin_settings_api
from gatelodge.admin import settings_pages as admin_settings_pages
from gatelodge.admin import user_pages as admin_user_pages
from gatelodge.admin import users_api as admin_users_api
from gatelodge.admin import users_pages as admin_users_pages
from gatelodge.admin.events import EventAdministration
from gatelodge.admin.impersonation import ImpersonationService
from gatelodge.admin.keys import KeyAdministration
from gatelodge.admin.letters import LetterAdministration
from gatelodge.admin.live import EventTail
from gatelodge.admin.overview import OverviewAdministration
from gatelodge.admin.roles import RoleAdministration
from gatelodge.admin.sessions import SessionAdministration
from gatelodge.admin.settings import SettingsAdministration
from gatelodge.admin.users import UserAdministration
from gatelodge.boards import api as boards_api
from gatelodge.boards import pages as boards_pages
from gatelodge.clock import Clock
from gatelodge.errors import Refusal
from gatelodge.factors import api as factors_api
from gatelodge.factors import pages as factors_pages
from gatelodge.factors import passkey_pages as own_passkey_pages
from gatelodge.factors.service import FactorService
from gatelodge.foundation import Foundation
from gatelodge.health import api as health_api
from gatelodge.health.metrics import Metrics
from gatelodge.letters.post import Post
from gatelodge.me import api as me_api
from gatelodge.me import pages as me_pages
from gatelodge.me.activity import Activity
from gatelodge.outbox import pages as outbox_pages
from gatelodge.pages import reference, static_files
from gatelodge.pages.again import WaitingForms
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
from gatelodge.proofs import api as proofs_api
from gatelodge.proofs import pages as proofs_pages
from gatelodge.sessions import api as sessions_api
from gatelodge.sessions import pages as sessions_pages
from gatelodge.sessions.asgi import FastRefresh
from gatelodge.sessions.renewal import SessionRenewal
from gatelodge.settings import Settings
from gatelodge.setup import pages as setup_pages
from gatelodge.sign_in import api as sign_in_api
from gatelodge.sign_in import pages as sign_in_pages
from gatelodge.sign_in import passkey_pages
from gatelodge.tasks import end_with_parent
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
from gatelodge.web.shell import App, Shell

Part: TypeAlias = Literal["api", "pages", "admin", "keys", "reference"]
"""A part of the routes that an application can have inside it."""

PARTS: Mapping[Part, tuple[Door | PageDoor, ...]] = {
    "api": (
        sign_in_api.door,
        sign_in_api.well_known_door,
        proofs_api.door,
        sessions_api.door,
        me_api.door,
        factors_api.door,
        verify_api.door,
    ),
    "pages": (
        sign_in_pages.door,
        passkey_pages.door,
        proofs_pages.door,
        sessions_pages.door,
        me_pages.door,
        factors_pages.door,
        own_passkey_pages.door,
        setup_pages.door,
        outbox_pages.door,
        static_files.door,
    ),
    "admin": (
        admin_users_api.door,
        admin_roles_api.door,
        admin_letters_api.door,
        admin_keys_api.door,
        admin_console_pages.door,
        admin_export_api.door,
        admin_users_pages.door,
        admin_user_pages.door,
        admin_invitations_pages.door,
        admin_roles_pages.door,
        admin_letters_pages.door,
        admin_keys_pages.door,
        admin_overview_api.door,
        admin_sessions_api.door,
        admin_events_api.door,
        admin_settings_api.door,
        admin_overview_pages.door,
        admin_sessions_pages.door,
        admin_events_pages.door,
        admin_settings_pages.door,
        impersonation_api.door,
        impersonation_api.end_door,
        impersonation_pages.door,
    ),
    "keys": (verify_api.keys_door,),
    "reference": (openapi.door, reference.door),
}
"""The doors of each part. What only a server of its own has is missing: the start page, the boards
and the routes for whoever watches the server."""

DOORS = (
    health_api.door,
    sign_in_api.door,
    sign_in_api.well_known_door,
    proofs_api.door,
    sessions_api.door,
    me_api.door,
    factors_api.door,
    boards_api.door,
    verify_api.door,
    verify_api.keys_door,
    admin_users_api.door,
    admin_roles_api.door,
    admin_letters_api.door,
    admin_keys_api.door,
    admin_export_api.door,
    admin_overview_api.door,
    admin_sessions_api.door,
    admin_events_api.door,
    admin_settings_api.door,
    impersonation_api.door,
    impersonation_api.end_door,
    openapi.door,
    boards_pages.door,
    sign_in_pages.door,
    passkey_pages.door,
    proofs_pages.door,
    sessions_pages.door,
    me_pages.door,
    factors_pages.door,
    own_passkey_pages.door,
    setup_pages.door,
    admin_console_pages.door,
    admin_users_pages.door,
    admin_user_pages.door,
    admin_invitations_pages.door,
    admin_roles_pages.door,
    admin_letters_pages.door,
    admin_keys_pages.door,
    admin_overview_pages.door,
    admin_sessions_pages.door,
    admin_events_pages.door,
    admin_settings_pages.door,
    impersonation_pages.door,
    outbox_pages.door,
    reference.door,
    static_files.door,
)
"""All doors, in the order in which the OpenAPI document lists their routes."""

TUTORIAL_PROGRAMS = frozenset({"/api/auth/signup", "/api/auth/signin", "/api/auth/signout"})
"""Where the tutorial's profile takes programs with a cookie jar, which say no `Origin`."""


class House(Foundation):
    """All services of one server, also those that its routes need; the routes are not part."""

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
    def waiting_forms(self) -> WaitingForms:
        """Keeps a form while its sender proves again who they are."""
        return WaitingForms(self.stores.one_time_tokens, self.clock, self.pages.site)

    @cached_property
    def factor_service(self) -> FactorService:
        """Lets users add and remove factors."""
        return FactorService(
            self.stores.factors,
            self.stores.one_time_tokens,
            self.second_factors,
            self.ceremonies,
            self.own_proof,
            self.opening,
            self.audit,
            self.clock,
            self.second_factor_policy,
            self.settings.site_name,
        )

    @cached_property
    def letter_administration(self) -> LetterAdministration:
        """Letters, for administrators."""
        return LetterAdministration(self.letters)

    @cached_property
    def key_administration(self) -> KeyAdministration:
        """Signing keys, for administrators."""
        return KeyAdministration(self.signing_keys, self.clock)

    @cached_property
    def role_administration(self) -> RoleAdministration:
        """Roles, for administrators."""
        return RoleAdministration(self.roles, self.stores.users)

    @cached_property
    def user_administration(self) -> UserAdministration:
        """Lets administrators see users, and act on them."""
        return UserAdministration(
            self.stores.users,
            self.stores.roles,
            self.accounts,
            self.sessions,
            self.invitations,
            self.password_reset,
            self.verification,
            self.second_factors,
            self.clock,
        )

    @cached_property
    def impersonation(self) -> ImpersonationService:
        """Lets administrators see the application as a user does."""
        return ImpersonationService(self.stores.users, self.stores.roles, self.sessions)

    @cached_property
    def activity(self) -> Activity:
        """Tells users what happened to their accounts."""
        return Activity(self.stores.events)

    @cached_property
    def session_administration(self) -> SessionAdministration:
        """Lets administrators see sessions, and end them."""
        return SessionAdministration(self.stores.sessions, self.stores.roles, self.sessions)

    @cached_property
    def event_administration(self) -> EventAdministration:
        """Lets administrators see what has happened."""
        return EventAdministration(self.stores.events, self.stores.users)

    @cached_property
    def event_tail(self) -> EventTail:
        """Lets administrators see what happens now."""
        return EventTail(self.stores.events, self.clock)

    @cached_property
    def settings_administration(self) -> SettingsAdministration:
        """Lets administrators see the settings in force."""
        return SettingsAdministration(self.settings)

    @cached_property
    def overview_administration(self) -> OverviewAdministration:
        """Lets administrators see how things stand."""
        return OverviewAdministration(
            self.stores,
            self.tallies,
            self.sessions,
            self.hashing_pool,
            self.settings,
            self.master_key,
            self.clock,
        )

    @cached_property
    def metrics(self) -> Metrics:
        """The metrics of this worker."""
        token = self.settings.metrics_token.get_secret_value()
        return Metrics.of(token, self.gate, self.hashing_pool)

    @contextlib.asynccontextmanager
    @override
    async def serve(self) -> AsyncIterator[Self]:
        async with super().serve():
            try:
                yield self
            finally:
                await self.event_tail.close()
                await self.overview_administration.close()


def build(
    settings: Settings,
    clock: Clock | None = None,
    *,
    home: str | None = None,
    sends: bool = True,
    post: Post | None = None,
) -> House:
    """Return the house that these settings describe; nothing is opened yet.

    Args:
        settings: what the operator decided.
        clock: what time it is; by default the machine's.
        home: the address of the start page of the application that the house is part of; None: the
            house is a server of its own.
        sends: whether it sends letters while it serves.
        post: what delivers letters; None: what the settings name.

    Raises:
        ConfigurationError: the secret key or another setting cannot be used.
    """
    house = House(settings, clock, home=home, sends=sends)
    if post is not None:
        house = house.replaced(post=post)
    return house.made()  # workers share what is made before they begin


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
    """Return the doors of a house: in an application, those that can be installed.

    The outbox is only where letters are kept instead of sent.
    """
    inside = [door for doors in PARTS.values() for door in doors]
    absent = [] if house.settings.post == "folder" else [outbox_pages.door]
    doors = [door for door in DOORS if door not in absent]
    return [door for door in doors if house.home is None or door in inside]


def absent_paths(house: House) -> frozenset[str]:
    """Return the paths of routes that the settings of a house leave out."""
    doors = doors_of(house)
    here = {route.path for door in doors for route in door.routes}
    return frozenset(paths_of(tuple(PARTS))) - here


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
