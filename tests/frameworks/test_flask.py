"""Flask: who makes a request, and who may use a route."""

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from enum import StrEnum
from typing import Any

import pytest
from flask import Flask
from flask.views import MethodView
from werkzeug.test import TestResponse

from gatelodge.flask import (
    Gatelodge,
    NotSignedIn,
    SyncVerifier,
    current_user,
    maybe_user,
    require,
)
from tests.client.conftest import Key
from tests.client.test_verifier import GOOD, SESSION
from tests.support.clock import FakeClock
from tests.support.issuer import ME, LittleServer, little_server


class Role(StrEnum):
    EDITOR = "editor"
    OWNER = "owner"


class Board(MethodView):
    decorators = (require(permission=["boards:read", "boards:write"]),)

    def get(self) -> str:
        return current_user.username


Get = Callable[..., Any]


@pytest.fixture
async def issuer() -> AsyncIterator[LittleServer]:
    async with little_server() as server:
        yield server


@pytest.fixture
async def app(issuer: LittleServer, clock: FakeClock) -> AsyncIterator[Flask]:
    """Return an application with a route of each kind."""
    app = Flask(__name__)
    app.testing = True
    verifier = SyncVerifier(issuer.address, freshness=timedelta(0), clock=clock)
    Gatelodge(verifier, app)

    @app.get("/public")
    def public() -> str:
        user = maybe_user()
        return "nobody" if user is None else user.username

    @app.get("/mine")
    @require()
    def mine() -> dict[str, object]:
        return {"name": current_user.username, "uuid": str(current_user.uuid)}

    @app.get("/unguarded")
    def unguarded() -> str:
        return current_user.username

    @app.get("/edit/<int:number>")
    @require(role=Role.EDITOR)
    def edit(number: int) -> str:
        return f"{number} by {current_user.username}"

    @app.get("/either")
    @require(role=[Role.EDITOR, "owner"], permission="notes:write")
    def either() -> str:
        return "either"

    @app.get("/vault")
    @require(aal=2, methods="otp", fresh=timedelta(minutes=5))
    def vault() -> str:
        return "gold"

    app.add_url_rule("/board", view_func=Board.as_view("board"))
    yield app
    await asyncio.to_thread(verifier.close)


@pytest.fixture
def get(app: Flask, issuer: LittleServer, clock: FakeClock) -> Get:
    """Return a function that asks for a path, as ann with these rights or with these headers."""
    key = Key("key_1")
    issuer.publish(key.jwk)

    async def ask(path: str, headers: Any = None, **rights: Any) -> TestResponse:
        issuer.say(ME, json.dumps(GOOD | rights).encode())
        if headers is None:
            headers = {"Authorization": f"Bearer {key.sign(issuer.address, clock)}"}
        return await asyncio.to_thread(app.test_client().get, path, headers=headers)

    return ask


async def test_a_route_knows_who_asks(get: Get) -> None:
    answer = await get("/mine")

    assert answer.status_code == 200
    assert answer.get_json()["name"] == "ann"


@pytest.mark.parametrize("path", ["/mine", "/unguarded", "/edit/7", "/either", "/board"])
async def test_without_a_token_every_route_that_needs_somebody_refuses(get: Get, path: str) -> None:
    """Also one that has no rule and uses `current_user`."""
    answer = await get(path, headers={})

    assert answer.status_code == 401
    assert answer.get_json() == {"code": "token_missing", "message": "No token provided!"}
    assert answer.headers["WWW-Authenticate"] == 'Bearer realm="gatelodge"'
    assert answer.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize(
    ("path", "rights", "status"),
    [
        ("/edit/7", {"roles": ["user", "editor"]}, 200),
        ("/edit/7", {"roles": ["user", "owner"]}, 403),
        ("/edit/7", {"roles": ["editors"], "permissions": ["editor"]}, 403),
        ("/either", {"roles": ["owner"], "permissions": ["notes:write"]}, 200),
        ("/either", {"roles": ["editor"], "permissions": ["notes:write"]}, 200),
        ("/either", {"roles": ["owner"], "permissions": []}, 403),
        ("/either", {"roles": [], "permissions": ["notes:write"]}, 403),
        ("/board", {"permissions": ["boards:write"]}, 200),
        ("/board", {"permissions": []}, 403),
    ],
)
async def test_a_route_admits_whoever_meets_all_conditions(
    get: Get, path: str, rights: dict[str, list[str]], status: int
) -> None:
    answer = await get(path, **rights)

    assert answer.status_code == status
    if status == 403:
        assert answer.get_json()["code"] == "forbidden"
        assert 'error="insufficient_scope"' in answer.headers["WWW-Authenticate"]


async def test_a_route_asks_when_and_how_somebody_has_signed_in(get: Get, clock: FakeClock) -> None:
    session = SESSION | {"authenticatedAt": clock.now().isoformat()}

    assert (await get("/vault", session=session | {"methods": ["otp", "mfa"]})).text == "gold"
    weak = await get("/vault", session=session | {"methods": ["pwd"]})
    assert weak.status_code == 401
    assert (weak.get_json()["max_age"], weak.get_json()["acr_values"]) == (300, "aal2")


async def test_a_bad_token_is_nobody_where_anybody_may_come(get: Get) -> None:
    assert (await get("/public")).text == "ann"
    for headers in ({}, {"Authorization": "Bearer x"}, {"Authorization": "Basic YTpi"}):
        assert (await get("/public", headers=headers)).text == "nobody"
    assert (await get("/mine", headers={"Authorization": "Bearer x"})).get_json() == {
        "code": "token_invalid",
        "message": "Unauthorized!",
    }


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({"Authorization": "Bearer one two"}, "token_conflict"),
        ({"Authorization": "Bearer "}, "token_conflict"),
        ({"Authorization": "Bearer one", "X-Access-Token": "two"}, "token_conflict"),
        ([("Authorization", "Bearer one"), ("Authorization", "Bearer two")], "token_conflict"),
        ([("X-Access-Token", "one"), ("X-Access-Token", "two")], "token_invalid"),
    ],
)
async def test_two_tokens_or_half_a_header_are_no_token(get: Get, headers: Any, code: str) -> None:
    answer = await get("/mine", headers=headers)

    assert answer.get_json()["code"] == code
    assert answer.status_code == (400 if code == "token_conflict" else 401)
    assert (await get("/public", headers=headers)).text == "nobody"


async def test_the_tutorials_header_carries_the_token_too(
    get: Get, issuer: LittleServer, clock: FakeClock
) -> None:
    answer = await get("/mine")
    token = answer.request.headers["Authorization"].removeprefix("Bearer ")

    assert (await get("/mine", headers={"X-Access-Token": token})).status_code == 200


async def test_nobody_is_let_in_while_the_server_is_away(
    get: Get, app: Flask, issuer: LittleServer
) -> None:
    await get("/mine")
    await issuer.stop()

    for path in ("/mine", "/public"):
        answer = await get(path)
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")
        assert answer.get_json()["code"] == "issuer_unavailable"


async def test_the_user_of_one_request_is_not_that_of_the_next(get: Get, app: Flask) -> None:
    """Also where both share an application context, as in tests."""

    def both() -> list[int]:
        with app.app_context():
            client, headers = app.test_client(), [{"Authorization": f"Bearer {token}"}, {}]
            return [client.get("/mine", headers=each).status_code for each in headers]

    token = (await get("/mine")).request.headers["Authorization"].removeprefix("Bearer ")
    assert await asyncio.to_thread(both) == [200, 401]


async def test_the_server_is_asked_once_for_a_request(get: Get, issuer: LittleServer) -> None:
    await get("/mine")

    assert issuer.asked.count(ME) == 1


async def test_an_application_answers_refusals_in_its_own_way(get: Get, app: Flask) -> None:
    @app.errorhandler(NotSignedIn)
    def lead_to_sign_in(refusal: NotSignedIn) -> tuple[str, int, dict[str, str]]:
        return "", 303, {"Location": f"/sign-in?because={refusal.code}"}

    answer = await get("/mine", headers={})
    assert (answer.status_code, answer.location) == (303, "/sign-in?because=token_missing")
    assert (await get("/edit/7")).status_code == 403


async def test_a_rule_above_its_route_is_found_before_it_guards_nothing(
    get: Get, app: Flask
) -> None:
    @require(role="editor")
    @app.get("/wrong")
    def wrong() -> str:
        raise AssertionError("it ran")

    with pytest.raises(RuntimeError, match=r"Put @require below @app\.route"):
        await get("/wrong", headers={})


def test_wrong_use_says_what_to_do(app: Flask) -> None:
    with pytest.raises(RuntimeError, match="installed in this application already"):
        Gatelodge("https://id.example.com", app)
    with pytest.raises(RuntimeError, match=r"GATELODGE_ISSUER in app\.config"):
        Gatelodge().init_app(Flask("other"))
    with pytest.raises(ValueError, match="begins with https"):
        Gatelodge("http://id.example.com", Flask("other"))
    with pytest.raises(ValueError, match="is empty"):
        require(role="")
    with (
        Flask("other").test_request_context(headers={"Authorization": "Bearer x"}),
        pytest.raises(RuntimeError, match="Install Gatelodge in this application"),
    ):
        maybe_user()


def test_the_issuer_may_stand_in_the_configuration() -> None:
    app = Flask("configured")
    app.config["GATELODGE_ISSUER"] = "https://id.example.com"
    Gatelodge().init_app(app)

    assert isinstance(app.extensions["gatelodge"], SyncVerifier)


def test_it_brings_no_other_framework_along() -> None:
    program = "import sys, gatelodge.flask; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, check=True
    )

    assert {"fastapi", "pydantic", "sqlalchemy", "granian"} & set(done.stdout.split()) == set()


@pytest.mark.parametrize(
    ("status", "code"),
    [(403, "second_factor_enrolment_required"), (401, "insufficient_user_authentication")],
)
async def test_whoever_must_prove_a_second_factor_first_is_nobody_here(
    app: Flask, issuer: LittleServer, clock: FakeClock, status: int, code: str
) -> None:
    """The server says so, and every route that needs somebody refuses with the same words."""
    key = Key("key_1")
    issuer.publish(key.jwk)
    issuer.say(ME, json.dumps({"code": code}).encode(), status=status)
    headers = {"Authorization": f"Bearer {key.sign(issuer.address, clock)}"}

    async def ask(path: str) -> TestResponse:
        return await asyncio.to_thread(app.test_client().get, path, headers=headers)

    for path in ("/mine", "/unguarded", "/edit/7", "/either", "/board", "/vault"):
        answer = await ask(path)
        assert (answer.status_code, answer.get_json()["code"]) == (status, code), path
    assert (await ask("/public")).text == "nobody"
