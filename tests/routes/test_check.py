"""`assert_guarded` and what `routes check` says: each hole is found, and no other is named."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from enum import Enum
from pathlib import Path
from typing import Annotated, Any

import pytest
from fastapi import APIRouter, Depends, FastAPI, HTTPException, Request, Security, WebSocket
from fastapi.routing import APIRoute
from starlette.applications import Starlette
from starlette.endpoints import HTTPEndpoint
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Host, Mount, Route, WebSocketRoute
from starlette.staticfiles import StaticFiles

from gatelodge.errors import ConfigurationError
from gatelodge.fastapi import (
    CurrentUser,
    Gatelodge,
    MaybeUser,
    User,
    current_user,
    maybe_user,
    public,
    require,
)
from gatelodge.routes import assert_guarded
from gatelodge.routes.report import Line, examine, problems_of

EDITOR = require(role="editor")
SIGNED_IN = Depends(current_user)


async def answer() -> dict[str, int]:
    """Answer; a route gets its guards from elsewhere."""
    return {"answer": 42}


async def plain(request: Request) -> Response:
    return PlainTextResponse("plain")


async def socket(websocket: WebSocket) -> None:
    await websocket.accept()


def guarded() -> FastAPI:
    """Return an application of many shapes in which every route has a rule."""
    app = FastAPI()
    Gatelodge().install(app, prefix="/auth")

    @app.get("/me")
    async def me(user: CurrentUser) -> str:
        return user.username

    @app.get("/welcome")
    async def welcome(user: MaybeUser) -> str:
        return "hello"

    app.get("/about", dependencies=[public])(answer)
    app.delete("/notes/{note}", dependencies=[EDITOR])(answer)
    app.websocket("/live", dependencies=[SIGNED_IN])(socket)

    inner = APIRouter(prefix="/deep")
    inner.get("/deeper")(answer)
    inner.websocket("/live")(socket)
    outer = APIRouter(prefix="/outer", dependencies=[require(permission="notes:read")])
    outer.include_router(inner)
    app.include_router(outer)

    below = FastAPI(dependencies=[EDITOR])
    below.get("/report")(answer)
    app.mount("/below", CORSMiddleware(below))
    return app


# The rules in words


def rules_of(app: Any, **options: Any) -> dict[str, str]:
    lines = examine(app, **options)
    return {f"{line.method} {line.shown_path}": line.words for line in lines if _own(line)}


def _own(line: Line) -> bool:
    return line.kind not in {"gatelodge", "documentation"}


def test_each_route_is_shown_with_its_rule() -> None:
    app = guarded()

    assert_guarded(app)
    assert rules_of(app) == {
        "GET /me": "signed in",
        "GET /welcome": "anybody",
        "GET /about": "anybody",
        "DELETE /notes/{note}": "role editor",
        "WS /live": "signed in",
        "GET /outer/deep/deeper": "notes:read",
        "WS /outer/deep/live": "notes:read",
        "GET /below/report": "role editor",
    }


def test_the_routes_of_fastapi_and_of_gatelodge_are_shown_too() -> None:
    lines = {f"{line.method} {line.path}": line for line in examine(guarded())}

    documents = "anybody (FastAPI's documentation)"
    assert lines["GET /docs"].words == lines["HEAD /openapi.json"].words == documents
    assert lines["GET /below/redoc"].words == documents
    assert lines["POST /auth/api/auth/signin"].words == "anybody"
    assert lines["GET /auth/api/auth/me"].words == "signed in"
    assert lines["GET /.well-known/change-password"].kind == "gatelodge"


def test_an_application_without_documentation_shows_none() -> None:
    app = FastAPI(openapi_url=None)
    app.get("/", dependencies=[public])(answer)

    assert [line.path for line in examine(app)] == ["/"]


class Roles(Enum):
    EDITOR = "editor"
    CHIEF = "chief"


Editor = Annotated[User, require(role=Roles)]


def test_several_guards_are_joined() -> None:
    app = FastAPI(dependencies=[SIGNED_IN])
    sure = require(permission="notes:delete", fresh=timedelta(minutes=10))

    async def editor(user: Editor) -> User:
        return user

    @app.get("/a", dependencies=[sure])
    async def a(user: Annotated[User, Depends(editor)]) -> None: ...

    @app.get("/b", dependencies=[public])
    async def b(user: MaybeUser) -> None: ...

    @app.get("/c", dependencies=[EDITOR, require(role=["editor", "chief"])])
    async def c() -> None: ...

    @app.get("/d", dependencies=[Security(current_user), require(fresh=timedelta(hours=1))])
    async def d() -> None: ...

    @app.get("/e", dependencies=[require(methods=["otp", "hwk"]), require(methods="otp", aal=2)])
    async def e() -> None: ...

    assert rules_of(app) == {
        "GET /e": "signed in by otp and signed in with a second factor",
        "GET /a": "role chief or editor and notes:delete and signed in within 10 minutes",
        "GET /b": "signed in",
        "GET /c": "role editor",
        "GET /d": "signed in within 1 hour",
    }


# Holes: each function plants one, and says what the report calls it

Plant = Callable[[FastAPI, Path], None]
PLANTED: dict[str, tuple[Plant, set[str]]] = {}


def planted(*named: str) -> Callable[[Plant], Plant]:
    """Say what is reported of an application after the function has changed it."""

    def keep(plant: Plant) -> Plant:
        PLANTED[plant.__name__] = (plant, set(named))
        return plant

    return keep


@planted("GET /hole")
def no_guard(app: FastAPI, folder: Path) -> None:
    app.get("/hole")(answer)


@planted("GET /sub/hole")
def in_a_mounted_application(app: FastAPI, folder: Path) -> None:
    """The dependencies of the application above do not reach it."""
    app.router.dependencies.append(EDITOR)
    below = FastAPI(openapi_url=None)
    below.get("/hole")(answer)
    app.mount("/sub", below)


@planted("GET /one/two/three/hole")
def in_an_application_three_mounts_deep(app: FastAPI, folder: Path) -> None:
    deepest = FastAPI(openapi_url=None)
    deepest.get("/hole")(answer)
    deepest.get("/guarded", dependencies=[EDITOR])(answer)
    middle = Starlette(routes=[Mount("/three", deepest)])
    app.mount("/one", Starlette(routes=[Mount("/two", middle)]))


@planted("POST /hole")
def by_add_api_route(app: FastAPI, folder: Path) -> None:
    app.add_api_route("/hole", answer, methods=["POST"])


@planted("WS /hole")
def a_websocket(app: FastAPI, folder: Path) -> None:
    app.get("/hole", dependencies=[SIGNED_IN])(answer)
    app.websocket("/hole")(socket)


@planted("WS /wrapped/hole")
def a_websocket_that_router_dependencies_do_not_reach(app: FastAPI, folder: Path) -> None:
    """Starlette's own routes take no dependencies, and no prefix, wherever they stand."""
    router = APIRouter(dependencies=[EDITOR])
    router.add_websocket_route("/wrapped/hole", socket)
    router.websocket("/wrapped/guarded")(socket)
    app.include_router(router)


@planted("HEAD /page")
def a_head(app: FastAPI, folder: Path) -> None:
    app.get("/page", dependencies=[SIGNED_IN])(answer)
    app.head("/page")(answer)


@planted("HEAD /page")
def a_head_of_a_plain_route_below(app: FastAPI, folder: Path) -> None:
    """FastAPI's GET answers no HEAD: that goes on to the next route of the path."""
    app.get("/page", dependencies=[SIGNED_IN])(answer)
    app.add_route("/page", plain)


@planted("GET /page/{name}", "GET /page/{other}")
def overridden_by_an_earlier_route(app: FastAPI, folder: Path) -> None:
    """The guarded one is never reached: it is named too."""
    app.get("/page/{name}")(answer)
    app.get("/page/{other}", dependencies=[EDITOR])(answer)


@planted("GET /late")
def declared_public_before_it_is_guarded(app: FastAPI, folder: Path) -> None:
    app.get("/{anything}", dependencies=[public])(answer)
    app.get("/late", dependencies=[EDITOR])(answer)


@planted("GET /late")
def a_stricter_rule_behind_a_weaker_one(app: FastAPI, folder: Path) -> None:
    app.get("/late", dependencies=[SIGNED_IN])(answer)
    app.get("/late", dependencies=[EDITOR])(answer)


@planted("GET /second/item")
def a_router_included_twice(app: FastAPI, folder: Path) -> None:
    router = APIRouter()
    router.get("/item")(answer)
    app.include_router(router, prefix="/first", dependencies=[EDITOR])
    app.include_router(router, prefix="/second")


@planted("GET /plain", "HEAD /plain")
def a_plain_route_below_the_dependencies_of_its_router(app: FastAPI, folder: Path) -> None:
    router = APIRouter(dependencies=[EDITOR])
    router.add_route("/plain", plain)
    app.include_router(router)


@planted("GET /early")
def dependencies_that_came_too_late(app: FastAPI, folder: Path) -> None:
    """FastAPI read them when the route was added."""
    router = APIRouter()
    app.include_router(router)
    app.get("/early")(answer)
    app.router.dependencies.append(EDITOR)
    app.get("/in-time")(answer)
    next(each for each in app.routes if getattr(each, "path", "") == "/early").dependencies.append(  # type: ignore[attr-defined]
        EDITOR
    )


@planted("GET /noted")
def a_guard_that_is_overridden(app: FastAPI, folder: Path) -> None:
    sure = require(role="chief")
    app.get("/noted", dependencies=[sure])(answer)
    app.dependency_overrides[sure.dependency] = answer


@planted("GET /noted")
def a_dependency_around_a_guard_that_is_overridden(app: FastAPI, folder: Path) -> None:
    async def chief(user: Annotated[User, require(role="chief")]) -> User:
        return user

    app.get("/noted", dependencies=[Depends(chief)])(answer)
    app.dependency_overrides[chief] = answer


@planted("ANY /legacy/{path:path}")
def an_application_of_another_kind(app: FastAPI, folder: Path) -> None:
    async def legacy(scope: Any, receive: Any, send: Any) -> None: ...

    app.mount("/legacy", legacy)


@planted("GET /static/{path:path}", "HEAD /static/{path:path}")
def static_files(app: FastAPI, folder: Path) -> None:
    app.mount("/static", StaticFiles(directory=folder))


@planted("GET /pages/{path:path}", "HEAD /pages/{path:path}")
def a_frontend(app: FastAPI, folder: Path) -> None:
    app.frontend("/pages", directory=folder)


@planted("GET /x/open/{path:path}", "HEAD /x/open/{path:path}")
def a_frontend_beside_a_guarded_one(app: FastAPI, folder: Path) -> None:
    closed = APIRouter(prefix="/closed", dependencies=[SIGNED_IN])
    closed.frontend("/", directory=folder)
    opened = APIRouter()
    opened.frontend("/open", directory=folder)
    app.include_router(closed)
    app.include_router(opened, prefix="/x")


@planted("GET admin.{domain}/hosted")
def on_another_host(app: FastAPI, folder: Path) -> None:
    below = FastAPI(openapi_url=None)
    below.get("/hosted")(answer)
    app.router.routes.append(Host("admin.{domain}", below))


@planted("GET /thing", "HEAD /thing", "PUT /thing", "ANY /bare")
def classes_that_answer(app: FastAPI, folder: Path) -> None:
    class Thing(HTTPEndpoint):
        async def get(self, request: Request) -> Response:
            return await plain(request)

        async def put(self, request: Request) -> Response:
            return await plain(request)

    class Bare:
        async def __call__(self, scope: Any, receive: Any, send: Any) -> None: ...

    app.router.routes.append(Route("/thing", Thing))
    app.router.routes.append(Route("/bare", Bare()))


@planted("ANY /{path:path}")
def a_default_that_answers_everything_else(app: FastAPI, folder: Path) -> None:
    async def fallback(scope: Any, receive: Any, send: Any) -> None: ...

    app.router.default = fallback


@planted("GET /only-by-middleware")
def a_middleware_is_no_rule(app: FastAPI, folder: Path) -> None:
    async def check(request: Request, call_next: Any) -> Response:
        return Response(status_code=401)

    app.add_middleware(BaseHTTPMiddleware, dispatch=check)
    app.get("/only-by-middleware")(answer)


@planted("GET /own")
def a_check_of_the_applications_own(app: FastAPI, folder: Path) -> None:
    async def key(request: Request) -> None:
        if request.headers.get("key") != "secret":
            raise HTTPException(401)

    app.get("/own", dependencies=[Depends(key)])(answer)


def named(app: Any) -> set[str]:
    return {f"{line.method} {line.shown_path}" for line in problems_of(examine(app))}


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_hole_is_found_and_no_other_is_named(name: str, tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text("<p>hello")
    app = guarded()
    plant, expected = PLANTED[name]

    plant(app, tmp_path)

    assert named(app) == expected
    with pytest.raises(AssertionError) as raised:
        assert_guarded(app)
    assert all(each in str(raised.value) for each in expected)


def test_all_holes_together_are_found(tmp_path: Path) -> None:
    """Without those that catch what others plant."""
    app = guarded()
    chosen = [
        *(no_guard, in_an_application_three_mounts_deep, by_add_api_route, a_websocket, a_head),
        *(overridden_by_an_earlier_route, a_router_included_twice, static_files, on_another_host),
        *(a_guard_that_is_overridden, a_plain_route_below_the_dependencies_of_its_router),
    ]
    for plant in chosen:
        plant(app, tmp_path)

    assert named(app) == set().union(*(PLANTED[plant.__name__][1] for plant in chosen))


# What is no hole


def test_overrides_that_leave_the_guards_are_no_problem() -> None:
    async def database() -> str:
        return "real"

    async def other(user: Editor, db: Annotated[str, Depends(database)]) -> None: ...

    async def chief(user: Editor, db: Annotated[str, Depends(database)]) -> None: ...

    app = FastAPI(openapi_url=None)
    app.get("/a", dependencies=[Depends(chief), Depends(database)])(answer)
    app.get("/b")(_hello)
    app.dependency_overrides |= {database: lambda: "fake", chief: other, maybe_user: lambda: None}

    assert_guarded(app)


async def _hello(user: MaybeUser) -> None: ...


def test_overrides_count_only_for_the_application_that_has_them() -> None:
    """FastAPI does not pass them on to an application that is mounted."""
    below = FastAPI(openapi_url=None)
    below.get("/a", dependencies=[SIGNED_IN])(answer)
    app = FastAPI(openapi_url=None)
    app.mount("/below", below)
    app.dependency_overrides[current_user] = answer

    assert_guarded(app)
    below.dependency_overrides[current_user] = answer
    assert named(app) == {"GET /below/a"}


def test_a_route_that_nobody_can_reach_is_no_hole() -> None:
    app = FastAPI(openapi_url=None)
    app.get("/items/{name}", dependencies=[EDITOR])(answer)
    app.get("/items/export")(answer)
    app.mount("/taken", FastAPI(openapi_url=None, dependencies=[EDITOR]))
    app.get("/taken/away")(answer)

    assert_guarded(app)
    rules = rules_of(app)
    assert "never reached: GET /items/{name}" in rules["GET /items/export"]
    assert "never reached: nothing answers there" in rules["GET /taken/away"]


@pytest.mark.parametrize(
    ("earlier", "later"),
    [
        ("/items/{id:int}", "/items/{name}"),
        ("/files/{name}", "/files/{path:path}"),
        ("/files/{one}/{two}", "/files/{path:path}"),
        ("/items/{id:uuid}", "/items/{name}"),
        ("/items/1", "/items/{id:int}"),
        ("/items/sample", "/items/{name}"),
        ("/{a}/b", "/{a}/{c}"),
    ],
)
def test_a_hole_behind_a_narrower_route_is_reached(earlier: str, later: str) -> None:
    app = FastAPI(openapi_url=None)
    app.get(earlier, dependencies=[EDITOR])(answer)
    app.get(later)(answer)

    assert named(app) == {f"GET {later}"}


def test_a_route_that_answers_only_some_requests_is_not_thought_unreached() -> None:
    """Its class looks at more than the path, such as a header with the version."""

    class Versioned(APIRoute):
        def matches(self, scope: Any) -> Any:
            match, child = super().matches(scope)
            asked = dict(scope["headers"]).get(b"version")
            return (match, child) if asked == b"2" else (type(match).NONE, {})

    app = FastAPI(openapi_url=None)
    app.get("/items", dependencies=[EDITOR])(answer)
    app.router.routes.append(Versioned("/items", answer, methods=["GET"]))

    assert named(app) == {"GET /items"}


def test_an_application_that_is_mounted_in_itself_ends_somewhere() -> None:
    app = FastAPI(openapi_url=None)
    app.mount("/again", app)

    assert named(app) == {"ANY /again/{path:path}"}


def test_what_has_no_dependencies_can_be_named_public(tmp_path: Path) -> None:
    app = guarded()
    app.mount("/static", StaticFiles(directory=tmp_path))
    app.add_route("/health", plain)

    assert_guarded(app, public=["/static/*", "/health"])
    assert rules_of(app, public=["/static/*", "/health"])["HEAD /health"] == "anybody"


@pytest.mark.parametrize("path", ["/statik/*", "/me"])
def test_a_public_path_that_fits_no_hole_is_refused(path: str) -> None:
    """A list that nobody needs any more would let the next hole pass."""
    with pytest.raises(ConfigurationError, match="No route that has no rule"):
        assert_guarded(guarded(), public=[path])


def test_an_application_of_no_known_kind_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="A dict is no application"):
        assert_guarded({})


def wrapped() -> Iterator[Any]:
    app = FastAPI(openapi_url=None)
    app.get("/hole")(answer)
    yield CORSMiddleware(CORSMiddleware(app))
    yield Starlette(routes=[Mount("/", app)])
    yield Mount("/", app)
    yield Starlette(routes=[Mount("/", routes=[Mount("/", app)])])


@pytest.mark.parametrize("app", list(wrapped()))
def test_an_application_inside_others_is_found(app: Any) -> None:
    if isinstance(app, Mount):
        app = Starlette(routes=[app])

    assert named(app) == {"GET /hole"}


def test_a_plain_application_has_no_rules() -> None:
    app = Starlette(routes=[Route("/a", plain), WebSocketRoute("/b", socket)])

    assert named(app) == {"GET /a", "HEAD /a", "WS /b"}
