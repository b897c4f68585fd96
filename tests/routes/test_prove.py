"""`prove` calls the routes of real applications, and catches those that do not keep their rules."""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from enum import Enum
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID

import pytest
from fastapi import APIRouter, BackgroundTasks, Body, Depends, FastAPI, Request, WebSocket
from fastapi.exceptions import HTTPException
from fastapi.responses import JSONResponse, StreamingResponse
from fastapi.routing import APIRoute
from starlette.applications import Starlette
from starlette.requests import HTTPConnection
from starlette.routing import Host, Mount

from gatelodge.accounts.refusals import InvalidRoleName
from gatelodge.audit import COMMAND
from gatelodge.errors import ConfigurationError
from gatelodge.fastapi import CurrentUser, Gatelodge, MaybeUser, User, current_user, public, require
from gatelodge.fastapi.dependencies import SignedIn
from gatelodge.routes import assert_guarded, calls
from gatelodge.routes.prove import Proof, prove

EDITOR = require(role="editor")
SIGNED_IN = Depends(current_user)
ALL = "somebody with every role"
ENDED = "somebody signed out, somebody disabled, a refresh token"


@pytest.fixture(autouse=True)
def own_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder where the application keeps its data when it is in use."""
    folder = tmp_path / "own"
    monkeypatch.setenv("GATELODGE_DATA_DIR", str(folder))
    return folder


async def answer() -> dict[str, int]:
    return {"answer": 42}


def application() -> tuple[FastAPI, Gatelodge]:
    auth = Gatelodge()
    app = FastAPI(lifespan=auth.lifespan, openapi_url=None)
    auth.install(app, prefix="/auth")
    return app, auth


def found(proof: Proof) -> dict[str, list[str]]:
    """Return what is wrong, by route."""
    by_route: dict[str, list[str]] = {}
    for each in proof.findings:
        by_route.setdefault(f"{each.line.method} {each.line.shown_path}", []).append(each.problem)
    return by_route


# Applications that keep their rules


class Kind(Enum):
    NOTE = "note"
    LIST = "list"


async def test_an_application_of_many_shapes_keeps_its_rules(
    own_data: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    app, _ = application()
    came: list[str] = []

    def heard(name: str) -> Callable[[], None]:
        return lambda: came.append(name)

    app.get("/", dependencies=[public])(answer)
    app.get("/welcome")(_welcome)
    app.get("/me", dependencies=[SIGNED_IN])(answer)
    app.add_api_route("/both", answer, methods=["GET", "HEAD", "POST"], dependencies=[EDITOR])
    app.get("/sure", dependencies=[require(role="editor", fresh=timedelta(minutes=10))])(answer)
    app.get("/sure/twice", dependencies=[require(role="editor", methods="otp", aal=2)])(answer)
    app.get("/two", dependencies=[EDITOR, require(permission="notes:delete")])(answer)
    app.get("/admin", dependencies=[require(role=["admin", "moderator"])])(answer)

    @app.get("/of/{id}/{uuid}/{kind}/{rest:path}", dependencies=[EDITOR, Depends(heard("typed"))])
    async def typed(id: int, uuid: UUID, kind: Kind, rest: str) -> None:  # noqa: A002
        came.append(f"{id} {kind.value}")

    @app.post("/body", dependencies=[SIGNED_IN])
    async def body(wanted: Annotated[list[int], Body()]) -> None: ...

    @app.get("/stream")
    async def stream(user: CurrentUser, later: BackgroundTasks) -> StreamingResponse:
        async def forever() -> AsyncIterator[str]:
            while True:
                yield "data: x\n\n"
                await asyncio.sleep(0.01)

        return StreamingResponse(forever())

    @app.websocket("/live")
    async def live(websocket: WebSocket, user: Annotated[User, EDITOR]) -> None:
        await websocket.accept()
        async for _ in websocket.iter_text():
            pass

    @app.websocket("/room")
    async def room(websocket: WebSocket, user: CurrentUser, number: int) -> None: ...

    below = FastAPI(openapi_url=None, dependencies=[EDITOR])
    below.get("/report")(answer)
    app.mount("/below", below)
    app.router.routes.append(Host("{any}.example.org", below))

    proof = await prove(app)

    assert found(proof) == {}
    assert proof.calls == proof.routes * 12
    assert (proof.routes, proof.skipped) == (17, 0)
    assert set(came) == {"typed", "1 note"}
    assert not os.path.exists(own_data)  # noqa: PTH110, ASYNC240 - of the disk itself
    assert "administrator" not in capfd.readouterr().err


async def _welcome(user: MaybeUser) -> str:
    return user.username if user else "stranger"


async def test_what_a_route_does_to_its_callers_counts_against_no_other() -> None:
    app, auth = application()

    @app.post("/a/leave")
    async def leave(user: CurrentUser) -> None:
        await auth._source.house.sessions.sign_out(user.session_id, COMMAND)

    @app.delete("/b/me")
    async def vanish(user: CurrentUser) -> None:
        accounts = auth._source.house.accounts
        await accounts.delete(await accounts.get_by_username(user.username), COMMAND)

    @app.delete("/c/me")
    async def stop(user: CurrentUser) -> None:
        accounts = auth._source.house.accounts
        await accounts.disable(await accounts.get_by_username(user.username), COMMAND)

    app.get("/d", dependencies=[EDITOR])(answer)

    assert found(await prove(app)) == {}


async def test_the_application_can_be_used_with_its_own_data_afterwards(own_data: Path) -> None:
    app, auth = application()
    app.get("/me", dependencies=[SIGNED_IN])(answer)
    await prove(app)

    async with app.router.lifespan_context(app):
        assert auth._source.house.settings.data_dir == own_data
    assert (own_data / "gatelodge.db").exists()


# Applications that do not: every route declares a rule


class Careless(APIRoute):
    """A class of routes that forgets what it was given."""

    def get_route_handler(self) -> Any:
        async def handler(request: Request) -> JSONResponse:
            return JSONResponse(await self.endpoint())

        return handler


class OnlyWrites(SignedIn):
    """A guard that asks for one method only."""

    async def __call__(self, connection: HTTPConnection) -> User:
        if connection.scope["method"] == "GET":
            return User("usr_x", "x", "", None, False, frozenset(), frozenset(), timedelta(0), "x")  # type: ignore[arg-type]
        return await super().__call__(connection)


class Decoy:
    """An application that shows one, and calls another."""

    def __init__(self, app: Any, other: Any) -> None:
        self.app, self._other = app, other

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await self._other(scope, receive, send)


def lying() -> FastAPI:
    app, _ = application()
    app.add_middleware(Meddling)

    overridden = require(role="editor")
    app.get("/overridden", dependencies=[overridden])(answer)
    app.dependency_overrides[overridden.dependency] = answer

    careless = APIRouter(route_class=Careless, dependencies=[EDITOR])
    careless.get("/careless")(answer)
    app.include_router(careless)

    lazy = Depends(OnlyWrites())
    app.add_api_route("/lazy", answer, methods=["GET", "PUT"], dependencies=[lazy])

    app.get("/cached", dependencies=[EDITOR])(answer)
    app.get("/lent", dependencies=[SIGNED_IN])(answer)
    app.get("/closed", dependencies=[SIGNED_IN])(answer)
    app.get("/closed-to-all", dependencies=[public])(answer)
    app.get("/asked-late", dependencies=[Depends(_missing), SIGNED_IN])(answer)
    app.get("/swallowed/{how}", dependencies=[EDITOR])(answer)
    app.get("/failing", dependencies=[Depends(_fails), SIGNED_IN])(answer)
    app.get("/never", dependencies=[require(role="Chief")])(answer)
    app.websocket("/opened", dependencies=[SIGNED_IN])(_opened)
    app.websocket("/slammed", dependencies=[SIGNED_IN])(_opened)
    app.add_exception_handler(HTTPException, _swallow)

    shown, called = FastAPI(openapi_url=None), FastAPI(openapi_url=None)
    shown.get("/in", dependencies=[SIGNED_IN])(answer)
    called.get("/in")(answer)
    app.mount("/decoy", Decoy(shown, called))
    app.get("/good", dependencies=[SIGNED_IN])(answer)
    return app


class Meddling:
    """A middleware that knows better."""

    def __init__(self, app: Any) -> None:
        self._app = app
        self._lent: list[Any] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        path = scope.get("path")
        if path == "/cached":
            await JSONResponse({"answer": 42})(scope, receive, send)
        elif path in {"/closed", "/closed-to-all"}:
            await JSONResponse({}, 403)(scope, receive, send)
        elif path == "/opened":
            await send({"type": "websocket.accept"})
        elif path == "/slammed":
            await send({"type": "websocket.close", "code": 1011})
        else:
            await self._app(self._with_token(scope), receive, send)

    def _with_token(self, scope: Any) -> Any:
        """Give everybody the token of whoever called another route last."""
        if scope["type"] != "http":
            return scope
        mine = [pair for pair in scope["headers"] if pair[0] == b"authorization"]
        if scope["path"] == "/lent":
            rest = [pair for pair in scope["headers"] if pair[0] != b"authorization"]
            return {**scope, "headers": [*rest, *self._lent]}
        self._lent = mine or self._lent
        return scope


async def _missing() -> None:
    raise HTTPException(404)


async def _fails() -> None:
    raise RuntimeError("it is {broken}")


async def _opened(websocket: WebSocket) -> None:
    await websocket.accept()


async def _swallow(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    status = 200 if "/swallowed" in request.url.path else error.status_code
    return JSONResponse({"wrong": error.detail}, status)


async def test_routes_that_do_not_keep_their_rules_are_caught() -> None:
    proof = await prove(lying())

    refused = f"nobody, {ENDED}"
    assert found(proof) == {
        "GET /overridden": [
            "the guard is overridden: role editor",
            f"admits {refused}, a plain user (200), whom its rule refuses",
        ],
        "GET /careless": [f"admits {refused}, a plain user (200), whom its rule refuses"],
        "GET /lazy": [f"admits {refused} (200), whom its rule refuses"],
        "GET /cached": [f"admits {refused}, a plain user (200), whom its rule refuses"],
        "GET /lent": [f"admits {refused} (200), whom its rule refuses"],
        "GET /closed": [
            f"refuses a plain user, role editor, {ALL} (403), whom its rule admits",
        ],
        "GET /closed-to-all": [
            f"refuses {refused}, a plain user, role editor, {ALL} (403), whom its rule admits",
        ],
        "GET /asked-late": [f"answers {refused} with 404, not with 401 or 403"],
        "GET /swallowed/{how}": [f"admits {refused}, a plain user (200), whom its rule refuses"],
        "GET /failing": [
            f"answers {refused} with 500 (RuntimeError: it is {{broken}}), not with 401 or 403",
        ],
        "GET /never": [
            f"Chief cannot exist: {InvalidRoleName.default}".removesuffix("."),
        ],
        "WS /opened": [f"admits {refused} (an open WebSocket), whom its rule refuses"],
        "WS /slammed": [f"answers {refused} with code 1011, not with 401 or 403"],
        "GET /decoy/in": [f"admits {refused} (200), whom its rule refuses"],
    }


async def test_a_route_without_a_rule_is_named_and_not_called() -> None:
    app, _ = application()

    @app.get("/hole")
    async def hole() -> None:
        raise AssertionError("it was called")

    proof = await prove(app)

    assert found(proof) == {"GET /hole": ["nobody says who may call it"]}
    assert (proof.routes, proof.calls) == (0, 0)
    with pytest.raises(AssertionError):
        await hole()


async def test_a_route_that_is_skipped_is_not_called() -> None:
    app, _ = application()

    @app.post("/payments/{number}/again", dependencies=[public])
    async def pay() -> None:
        paid.append(True)

    paid: list[bool] = []
    app.get("/me", dependencies=[SIGNED_IN])(answer)

    proof = await prove(app, skip=["/payments/*"])

    assert (proof.routes, proof.skipped, found(proof), paid) == (1, 1, {}, [])


async def test_a_route_that_does_not_answer_whom_it_should_refuse_is_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(calls, "ANSWER_SECONDS", 0.2)
    app, _ = application()
    waiting = asyncio.Event()
    app.get("/slow", dependencies=[Depends(waiting.wait), SIGNED_IN])(answer)

    said = found(await prove(app))

    assert said == {
        "GET /slow": [f"answers nobody, {ENDED} with no answer, not with 401 or 403"],
    }


# Applications that cannot be proved


async def test_an_application_without_gatelodge_is_refused() -> None:
    app = FastAPI(openapi_url=None)
    for each in (app, Starlette(routes=[Mount("/", application()[0])])):
        with pytest.raises(ConfigurationError, match="No Gatelodge is installed"):
            await prove(each)


async def test_an_application_with_a_server_beside_it_is_refused() -> None:
    app = FastAPI(openapi_url=None)
    Gatelodge("https://id.example.com").install(app)
    app.get("/me", dependencies=[SIGNED_IN])(answer)

    assert_guarded(app)
    with pytest.raises(ConfigurationError, match="asks a Gatelodge server beside it"):
        await prove(app)


async def test_an_application_that_does_not_start_is_explained() -> None:
    auth = Gatelodge()

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with auth.lifespan(app):
            raise OSError("no queue")
        yield

    app = FastAPI(lifespan=lifespan)
    auth.install(app)

    with pytest.raises(ConfigurationError, match=r"did not start: OSError: no queue"):
        await prove(app)


async def test_an_application_whose_lifespan_leaves_gatelodge_out_is_explained() -> None:
    app = FastAPI()
    Gatelodge().install(app)

    with pytest.raises(ConfigurationError, match="does not start Gatelodge"):
        await prove(app)
