"""Django: who makes a request, and who may use a view."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from enum import StrEnum
from typing import Any

import django
import pytest
from django.conf import settings
from django.contrib.auth import authenticate
from django.contrib.auth.decorators import login_required, permission_required
from django.core.exceptions import ImproperlyConfigured
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.test import AsyncClient, Client, override_settings
from django.urls import path
from django.utils.decorators import method_decorator
from django.views import View

from gatelodge.django import (
    GatelodgeMiddleware,
    IssuerUnavailable,
    Nobody,
    SyncVerifier,
    User,
    current_user,
    require,
)
from tests.client.conftest import Key
from tests.client.test_verifier import GOOD, SESSION
from tests.support.clock import FakeClock
from tests.support.issuer import ME, LittleServer, little_server

OURS = "gatelodge.django.GatelodgeMiddleware"
CSRF = "django.middleware.csrf.CsrfViewMiddleware"

if not settings.configured:
    settings.configure(
        SECRET_KEY="only for these tests",
        ROOT_URLCONF=__name__,
        ALLOWED_HOSTS=["testserver"],
        INSTALLED_APPS=["django.contrib.auth", "django.contrib.contenttypes"],
        MIDDLEWARE=[CSRF, OURS],
        AUTHENTICATION_BACKENDS=["gatelodge.django.GatelodgeBackend"],
        LOGIN_URL="/sign-in",
    )
    django.setup()


class Role(StrEnum):
    EDITOR = "editor"


def public(request: HttpRequest) -> HttpResponse:
    user: Any = request.user
    return HttpResponse(user.username if user.is_authenticated else "nobody")


@require()
def mine(request: HttpRequest) -> HttpResponse:
    user = current_user(request)
    assert request.user == user
    return JsonResponse({"name": user.username, "uuid": str(user.uuid), "id": user.pk})


@require(role=Role.EDITOR)
def edit(_: HttpRequest, number: int) -> HttpResponse:
    return HttpResponse(str(number))


@require(role=["editor", "owner"], permission="notes:write")
def either(_: HttpRequest) -> HttpResponse:
    return HttpResponse("either")


@require(aal=2, methods="otp", fresh=timedelta(minutes=5))
def vault(_: HttpRequest) -> HttpResponse:
    return HttpResponse("gold")


@require(role="editor")
async def later(request: HttpRequest) -> HttpResponse:
    user: Any = await request.auser()
    return HttpResponse(user.username)


@method_decorator(require(role="editor"), name="dispatch")
class Board(View):
    def get(self, request: HttpRequest) -> HttpResponse:
        return HttpResponse(current_user(request).username)


@login_required
def djangos_own(request: HttpRequest) -> HttpResponse:
    return HttpResponse(request.user.get_username())


@permission_required("notes:write", raise_exception=True)
def permitted(_: HttpRequest) -> HttpResponse:
    return HttpResponse("permitted")


urlpatterns = [
    path("public", public),
    path("mine", mine),
    path("edit/<int:number>", edit),
    path("either", either),
    path("vault", vault),
    path("later", later),
    path("board", Board.as_view()),
    path("own", djangos_own),
    path("permitted", permitted),
]

Ask = Callable[..., Any]


@pytest.fixture
async def issuer(clock: FakeClock) -> AsyncIterator[LittleServer]:
    """Yield the server that the application asks."""
    async with little_server() as server:
        verifier = SyncVerifier(server.address, freshness=timedelta(0), clock=clock)
        with override_settings(GATELODGE_ISSUER=verifier):
            yield server
        await asyncio.to_thread(verifier.close)


@pytest.fixture
def token(issuer: LittleServer, clock: FakeClock) -> str:
    """Return an access token of ann."""
    key = Key("key_1")
    issuer.publish(key.jwk)
    issuer.say(ME, json.dumps(GOOD).encode())
    return key.sign(issuer.address, clock)


@pytest.fixture(params=["WSGI", "ASGI"])
def ask(issuer: LittleServer, token: str, request: pytest.FixtureRequest) -> Ask:
    """Return a function that asks for a path, as ann with these rights or with these headers."""

    async def ask(path: str, headers: Any = None, method: str = "GET", **rights: Any) -> Any:
        issuer.say(ME, json.dumps(GOOD | rights).encode())
        given = {"Authorization": f"Bearer {token}"} if headers is None else headers
        if request.param == "ASGI":
            client = AsyncClient(enforce_csrf_checks=True)
            return await client.generic(method, path, headers=given)
        client = Client(enforce_csrf_checks=True)
        return await asyncio.to_thread(client.generic, method, path, headers=given)

    return ask


async def test_a_view_knows_who_asks(ask: Ask) -> None:
    answer = await ask("/mine")

    assert answer.status_code == 200
    assert (answer.json()["name"], answer.json()["id"]) == ("ann", GOOD["id"])


async def test_a_view_asks_when_and_how_somebody_has_signed_in(ask: Ask, clock: FakeClock) -> None:
    session = SESSION | {"authenticatedAt": clock.now().isoformat()}

    good = await ask("/vault", session=session | {"methods": ["otp", "mfa"]})
    assert good.content == b"gold"
    weak = await ask("/vault", session=session | {"methods": ["pwd"]})
    assert weak.status_code == 401
    assert (weak.json()["max_age"], weak.json()["acr_values"]) == (300, "aal2")


GUARDED = ["/mine", "/edit/7", "/either", "/later", "/board"]


@pytest.mark.parametrize("path", GUARDED)
async def test_without_a_token_every_guarded_view_refuses(ask: Ask, path: str) -> None:
    answer = await ask(path, headers={})

    assert answer.status_code == 401
    assert answer.json() == {"code": "token_missing", "message": "No token provided!"}
    assert answer["WWW-Authenticate"] == 'Bearer realm="gatelodge"'
    assert answer["Cache-Control"] == "no-store"


@pytest.mark.parametrize(
    ("path", "rights", "status"),
    [
        ("/edit/7", {"roles": ["user", "editor"]}, 200),
        ("/edit/7", {"roles": ["user", "owner"]}, 403),
        ("/edit/7", {"roles": ["editors"], "permissions": ["editor"]}, 403),
        ("/either", {"roles": ["owner"], "permissions": ["notes:write"]}, 200),
        ("/either", {"roles": ["owner"], "permissions": []}, 403),
        ("/either", {"roles": [], "permissions": ["notes:write"]}, 403),
        ("/later", {"roles": ["editor"]}, 200),
        ("/later", {"roles": ["user"]}, 403),
        ("/board", {"roles": ["editor"]}, 200),
        ("/board", {"roles": ["user"]}, 403),
        ("/permitted", {"permissions": ["notes:write"]}, 200),
        ("/permitted", {"permissions": ["notes:read"]}, 403),
    ],
)
async def test_a_view_admits_whoever_meets_all_conditions(
    ask: Ask, path: str, rights: dict[str, list[str]], status: int
) -> None:
    assert (await ask(path, **rights)).status_code == status


@pytest.mark.parametrize(
    ("headers", "code", "status"),
    [
        ({"Authorization": "Bearer x"}, "token_invalid", 401),
        ({"X-Access-Token": "x"}, "token_invalid", 401),
        ({"Authorization": "Basic YTpi"}, "token_missing", 401),
        ({"Authorization": "Bearer one two"}, "token_conflict", 400),
        ({"Authorization": "Bearer one", "X-Access-Token": "two"}, "token_conflict", 400),
    ],
)
async def test_a_bad_token_is_nobody_where_anybody_may_come(
    ask: Ask, headers: dict[str, str], code: str, status: int
) -> None:
    answer = await ask("/mine", headers=headers)

    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert (await ask("/public", headers=headers)).content == b"nobody"


async def test_what_django_has_for_users_works(ask: Ask) -> None:
    assert (await ask("/public")).content == b"ann"
    assert (await ask("/own")).content == b"ann"
    answer = await ask("/own", headers={})
    assert (answer.status_code, answer["Location"]) == (302, "/sign-in?next=/own")


async def test_the_server_is_asked_once_for_a_request_and_only_if_it_must_be(
    ask: Ask, issuer: LittleServer
) -> None:
    await ask("/mine")
    assert issuer.asked.count(ME) == 1
    await ask("/public", headers={})
    assert issuer.asked.count(ME) == 1


async def test_a_token_needs_no_csrf_token_and_nothing_else_goes_without(ask: Ask) -> None:
    assert (await ask("/mine", method="POST")).status_code == 200
    for headers in ({}, {"Authorization": "Basic YTpi"}, {"Cookie": "gatelodge-access=x"}):
        assert (await ask("/public", headers=headers, method="POST")).status_code == 403


async def test_nobody_is_let_in_while_the_server_is_away(ask: Ask, issuer: LittleServer) -> None:
    await ask("/mine")
    await issuer.stop()

    for asked in ("/mine", "/public", "/own"):
        answer = await ask(asked)
        assert (answer.status_code, answer["Retry-After"]) == (503, "1")
        assert answer.json()["code"] == "issuer_unavailable"


async def test_the_backend_finds_the_user_of_a_token(issuer: LittleServer, token: str) -> None:
    def find(**given: Any) -> Any:
        return authenticate(None, **given)

    user = await asyncio.to_thread(find, token=token)
    assert isinstance(user, User)
    assert (user.username, user.backend) == ("ann", "gatelodge.django.GatelodgeBackend")
    assert await asyncio.to_thread(find, token="x") is None
    assert await asyncio.to_thread(find, username="ann", password="x") is None
    await issuer.stop()
    with pytest.raises(IssuerUnavailable):
        await asyncio.to_thread(find, token=token)


async def test_a_user_answers_what_django_asks_of_users(issuer: LittleServer, token: str) -> None:
    rights = {"roles": ["user", "editor"], "permissions": ["notes:write"], "name": "Ann"}
    issuer.say(ME, json.dumps(GOOD | rights).encode())
    user: Any = await asyncio.to_thread(authenticate, None, token=token)

    assert user.groups.filter(name="editor").exists()
    assert not user.groups.filter(name="admin").exists()
    assert user.has_perm("notes:write")
    assert not user.has_perm("notes:write", obj=user)
    assert user.has_perms(["notes:write"])
    assert not user.has_perms(["notes:write", "notes:read"])
    assert not user.has_module_perms("notes")
    assert (user.get_full_name(), user.get_short_name(), str(user)) == ("Ann", "Ann", "ann")
    assert (user.is_active, user.is_staff, user.is_superuser) == (True, False, False)
    assert {user: 1}[User(user.signed_in)] == 1
    assert user != Nobody()


def test_nobody_may_do_nothing() -> None:
    nobody = Nobody()
    assert nobody.is_anonymous
    assert not nobody.is_authenticated
    assert not nobody.has_perm("notes:write")
    assert not nobody.has_perms(["notes:write"])
    assert not nobody.groups.exists()
    assert (str(nobody), nobody.get_username()) == ("nobody", "")


def test_wrong_use_says_what_to_do() -> None:
    def view(_: HttpRequest) -> HttpResponse:
        return HttpResponse()

    with pytest.raises(ImproperlyConfigured, match="Set GATELODGE_ISSUER"):
        GatelodgeMiddleware(view)
    with (
        override_settings(GATELODGE_ISSUER="http://id.example.com"),
        pytest.raises(ImproperlyConfigured, match="begins with https"),
    ):
        GatelodgeMiddleware(view)
    sessions = "django.contrib.auth.middleware.AuthenticationMiddleware"
    with (
        override_settings(GATELODGE_ISSUER="https://id.example.com", MIDDLEWARE=[OURS, sessions]),
        pytest.raises(ImproperlyConfigured, match="below"),
    ):
        GatelodgeMiddleware(view)
    with pytest.raises(ImproperlyConfigured, match="to MIDDLEWARE"):
        require()(view)(HttpRequest())
    with pytest.raises(ValueError, match="is empty"):
        require(role="")


@pytest.mark.parametrize(
    ("status", "code"),
    [(403, "second_factor_enrolment_required"), (401, "insufficient_user_authentication")],
)
async def test_whoever_must_prove_a_second_factor_first_is_nobody_here(
    issuer: LittleServer, token: str, status: int, code: str
) -> None:
    """The server says so, and every guarded view refuses with the same words."""
    issuer.say(ME, json.dumps({"code": code}).encode(), status=status)
    headers = {"Authorization": f"Bearer {token}"}
    for each in (*GUARDED, "/vault"):
        answer = await AsyncClient().get(each, headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (status, code), each
    assert (await AsyncClient().get("/public", headers=headers)).content == b"nobody"
    assert await asyncio.to_thread(authenticate, None, token=token) is None
