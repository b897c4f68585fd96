"""The pytest plugin of Gatelodge. pytest imports it in every project: it must cost nothing."""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from anyio.from_thread import BlockingPortal
    from fastapi import FastAPI

    from gatelodge.testing.authenticator import SoftwareAuthenticator
    from gatelodge.testing.clients import Client
    from gatelodge.testing.fixture import AsUser, GatelodgeFixture, TotpNow, Travel, Who
    from gatelodge.testing.letters import Letters
    from gatelodge.testing.staff import FreshDatabase

_NO_APP = (
    "Gatelodge does not know the application. Name it in the configuration of pytest "
    '(gatelodge_app = "myapp.main:app"), or write a fixture gatelodge_app that returns it.'
)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the setting `gatelodge_app`."""
    parser.addini(
        "gatelodge_app",
        "the FastAPI application with Gatelodge inside, or a function that makes it: module:name",
        type="string",
        default="",
    )


@pytest.fixture
def gatelodge_app(request: pytest.FixtureRequest) -> "FastAPI":
    """The application under test: the one that the setting `gatelodge_app` names.

    Override it to return an application that your own fixtures make.
    """
    from gatelodge.testing.apps import UnusableApp, load_app  # noqa: PLC0415 - only when used

    name: str = request.config.getini("gatelodge_app")
    if not name:
        pytest.fail(_NO_APP, pytrace=False)
    try:
        return load_app(name, request.config.rootpath)
    except UnusableApp as unusable:
        pytest.fail(str(unusable), pytrace=False)


@pytest.fixture(scope="session")
def _gatelodge_portal() -> "Iterator[BlockingPortal]":
    """An event loop in a thread, for what tests do to users."""
    from anyio.from_thread import start_blocking_portal  # noqa: PLC0415 - only when used

    with start_blocking_portal("asyncio") as portal:
        yield portal


@pytest.fixture(scope="session")
def _gatelodge_database(
    _gatelodge_portal: "BlockingPortal", tmp_path_factory: pytest.TempPathFactory
) -> "Iterator[FreshDatabase]":
    """The database with which each test begins."""
    from gatelodge.testing.staff import FreshDatabase  # noqa: PLC0415 - only when used

    with FreshDatabase.made(tmp_path_factory.mktemp("gatelodge-fresh"), _gatelodge_portal) as fresh:
        yield fresh


@pytest.fixture
def gatelodge(
    gatelodge_app: "FastAPI",
    _gatelodge_database: "FreshDatabase",
    _gatelodge_portal: "BlockingPortal",
    tmp_path_factory: pytest.TempPathFactory,
) -> "Iterator[GatelodgeFixture]":
    """The Gatelodge of the application, on a temporary database, with its clock in your hand.

    `gatelodge.disable(user)`, `enable`, `delete`, `grant(user, role)`, `take(user, role)`,
    `revoke(user)`, `sign_in(user)` and `travel(minutes=11)` count from the next request on.
    """
    from gatelodge.testing.apps import UnusableApp  # noqa: PLC0415 - only when used
    from gatelodge.testing.fixture import GatelodgeFixture  # noqa: PLC0415 - only when used

    folder = tmp_path_factory.mktemp("gatelodge")
    try:
        with GatelodgeFixture.opened(
            gatelodge_app, _gatelodge_database, folder, _gatelodge_portal
        ) as fixture:
            yield fixture
    except UnusableApp as unusable:
        pytest.fail(str(unusable), pytrace=False)


@pytest.fixture
def as_user(gatelodge: "GatelodgeFixture") -> "AsUser":
    """Makes a user who is signed in, and returns their client.

    `as_user(role="moderator").get("/notes")`. Give `headers=as_user().bearer` to a client of your
    own, or `as_user(cookies=True)` for a browser. Further arguments: `permissions`, `username`,
    `name`, `email`, `email_verified`, `password`. A role that does not exist is made.
    """
    return gatelodge.as_user


@pytest.fixture
def signed_out(gatelodge: "GatelodgeFixture") -> "Client":
    """A client of the application that nobody is signed in with."""
    return gatelodge.signed_out()


@pytest.fixture
def revoke(gatelodge: "GatelodgeFixture") -> "Callable[[Who], None]":
    """Ends all sessions of a user: the next request is refused."""
    return gatelodge.revoke


@pytest.fixture
def travel(gatelodge: "GatelodgeFixture") -> "Travel":
    """Moves the clock of Gatelodge on: after `travel(minutes=11)` access tokens have expired."""
    return gatelodge.travel


@pytest.fixture
def totp_now(gatelodge: "GatelodgeFixture") -> "TotpNow":
    """Returns the code that a user's authenticator app shows: `totp_now(user)`.

    A user without an app gets one. A code works once; `travel(seconds=30)` brings the next one.
    """
    return gatelodge.totp_now


@pytest.fixture
def authenticator(gatelodge: "GatelodgeFixture") -> "SoftwareAuthenticator":
    """A browser at the address of the application, with an authenticator for passkeys.

    `authenticator.create(options)` makes a passkey, and `authenticator.get(options)` signs with it.
    """
    return gatelodge.authenticator()


@pytest.fixture
def letters(gatelodge: "GatelodgeFixture") -> "Letters":
    """The letters that the application sends: `letters.last(to="ada@example.com").code`.

    Also `link`, `subject`, `text`, `html`, `to`, `kind`, `language` and `values`. Nothing goes over
    the network. `letters.all()` returns all letters.
    """
    return gatelodge.letters
