"""`routes check` and `routes prove` for applications that `GatelodgeMiddleware` guards."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.endpoints import HTTPEndpoint
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Host, Mount, Route, Router, WebSocketRoute
from starlette.staticfiles import StaticFiles
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket

from gatelodge.asgi import Condition, GatelodgeMiddleware, public, require, signed_in
from gatelodge.fastapi import CurrentUser
from gatelodge.fastapi import require as depends_on
from gatelodge.routes import assert_guarded
from gatelodge.routes.prove import prove
from gatelodge.routes.report import examine, problems_of

EDITOR = require(role="editor")


async def plain(request: Request) -> Response:
    return PlainTextResponse("plain")


async def socket(websocket: WebSocket) -> None:
    await websocket.accept()


async def legacy(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer everything, as an application that nobody can look into, without a lifespan."""
    assert scope["type"] != "lifespan"
    if scope["type"] == "websocket":
        await WebSocket(scope, receive, send).accept()
        return
    await PlainTextResponse("legacy")(scope, receive, send)


@dataclass
class Plan:
    """A Starlette application before it is made."""

    routes: list[BaseRoute] = field(default_factory=list)
    rules: dict[str, Condition] = field(default_factory=dict)
    default: Any = "public"

    @property
    def app(self) -> Starlette:
        guard = Middleware(GatelodgeMiddleware, routes=self.rules, default=self.default)
        return Starlette(routes=self.routes, middleware=[Middleware(CORSMiddleware), guard])


def guarded() -> Plan:
    """Return an application of many shapes in which each route has a line."""
    below = Starlette(routes=[Route("/report", plain), WebSocketRoute("/live", socket)])
    return Plan(
        routes=[
            Route("/", plain),
            Route("/notes", plain, methods=["GET", "POST"]),
            Route("/notes/{number:int}", plain, methods=["DELETE"]),
            Route("/files/{path:path}", plain),
            WebSocketRoute("/live", socket),
            Mount("/below", below),
        ],
        rules={
            "GET /": public,
            "GET /notes": signed_in,
            "POST /notes": require(permission="notes:write"),
            "DELETE /notes/{id:int}": EDITOR,
            "* /files/{rest:path}": require(role="editor", fresh=timedelta(minutes=5)),
            "WEBSOCKET /live": signed_in,
            "GET /below/report": EDITOR,
            "WEBSOCKET /below/live": EDITOR,
        },
    )


def rules_of(app: Any, **options: Any) -> dict[str, str]:
    return {
        f"{line.method} {line.shown_path}": line.words
        for line in examine(app, **options)
        if line.kind != "gatelodge"
    }


def named(app: Any) -> set[str]:
    return {f"{line.method} {line.shown_path}" for line in problems_of(examine(app))}


# What is guarded


def test_each_route_is_shown_with_its_rule() -> None:
    app = guarded().app

    assert_guarded(app)
    assert rules_of(app) == {
        "GET /": "anybody",
        "HEAD /": "anybody",
        "GET /notes": "signed in",
        "HEAD /notes": "signed in",
        "POST /notes": "notes:write",
        "DELETE /notes/{number:int}": "role editor",
        "GET /files/{path:path}": "role editor and signed in within 5 minutes",
        "HEAD /files/{path:path}": "role editor and signed in within 5 minutes",
        "WS /live": "signed in",
        "GET /below/report": "role editor",
        "HEAD /below/report": "role editor",
        "WS /below/live": "role editor",
    }


def test_the_routes_of_gatelodge_are_shown_too() -> None:
    lines = {f"{line.method} {line.path}": line for line in examine(guarded().app)}

    assert lines["GET /api/auth/me"].words == "signed in"
    assert lines["GET /api/auth/me"].kind == "gatelodge"


def shapes() -> Mapping[str, Any]:
    routes = [Route("/notes", plain)]
    rules = {"GET /notes": EDITOR}
    guard = Middleware(GatelodgeMiddleware, routes=rules, default="public")
    around = CORSMiddleware(
        GatelodgeMiddleware(Starlette(routes=routes), default="public", routes=rules)
    )
    added = Starlette(routes=routes)
    added.add_middleware(GatelodgeMiddleware, "https://id.example.com", **guard.kwargs)
    built = Starlette(routes=routes, middleware=[guard])
    built.middleware_stack = built.build_middleware_stack()
    return {
        "around": around,
        "added, a server beside": added,
        "built": built,
        "router": Router(routes, middleware=[guard]),
        "mount": Starlette(routes=[Mount("/", routes=routes, middleware=[guard])]),
        "route": Starlette(routes=[Route("/notes", plain, middleware=[guard])]),
        "mounted": Starlette(
            routes=[Mount("/", Starlette(routes=routes, middleware=[guard]))],
        ),
    }


@pytest.mark.parametrize("shape", shapes())
def test_the_middleware_is_found_wherever_it_stands(shape: str) -> None:
    app = shapes()[shape]

    assert_guarded(app)
    assert rules_of(app) == {"GET /notes": "role editor", "HEAD /notes": "role editor"}


def test_the_lines_of_a_mounted_application_are_paths_inside_it() -> None:
    guard = Middleware(GatelodgeMiddleware, routes={"GET /notes": EDITOR}, default="public")
    below = Starlette(routes=[Route("/notes", plain), Route("/hole", plain)], middleware=[guard])
    app = Starlette(routes=[Mount("/below", below)])

    assert rules_of(app)["GET /below/notes"] == "role editor"
    assert named(app) == {"GET /below/hole", "HEAD /below/hole"}


def test_the_default_guards_what_has_no_line() -> None:
    plan = guarded()
    plan.default = "signed in"
    plan.routes.append(Route("/forgotten", plain))

    assert_guarded(plan.app)
    assert rules_of(plan.app)["GET /forgotten"] == "signed in"


def test_a_line_and_a_dependency_are_both_asked() -> None:
    app = FastAPI()

    @app.get("/notes")
    async def notes(user: CurrentUser) -> None: ...

    @app.get("/both", dependencies=[depends_on(role="chief")])
    async def both() -> None: ...

    rules = {"GET /notes": EDITOR, "GET /both": require(permission="notes:read")}
    app.add_middleware(GatelodgeMiddleware, routes=rules, default="public")

    found = rules_of(app)
    assert found["GET /notes"] == "role editor"
    assert found["GET /both"] == "role chief and notes:read"
    assert found["GET /docs"] == "anybody (FastAPI's documentation)"


def test_a_default_that_closes_closes_the_documentation_too() -> None:
    app = FastAPI()
    app.add_middleware(GatelodgeMiddleware, default="signed in")

    assert rules_of(app)["GET /docs"] == "signed in (FastAPI's documentation)"


def test_a_route_that_lines_divide_is_shown_in_parts() -> None:
    plan = Plan(
        routes=[Route("/notes/{name}", plain, methods=["PUT"])],
        rules={"PUT /notes/export": EDITOR, "PUT /notes/{id:int}": signed_in},
        default="signed in",
    )

    assert rules_of(plan.app) == {
        "PUT /notes/export": "role editor",
        "PUT /notes/{id:int}": "signed in",
        "PUT /notes/{name}": "signed in",
    }


def test_an_application_that_nobody_can_look_into_is_shown_by_its_lines() -> None:
    rules = {"GET /": public, "POST /notes": EDITOR, "WEBSOCKET /live": signed_in}
    closed = GatelodgeMiddleware(legacy, default="signed in", routes=rules)
    opened = GatelodgeMiddleware(legacy, default="public", routes=rules)

    assert_guarded(closed)
    assert rules_of(closed) == {
        "GET /": "anybody",
        "POST /notes": "role editor",
        "WS /live": "signed in",
        "ANY /{path:path}": "signed in",
    }
    assert named(opened) == {"ANY /{path:path}"}
    assert_guarded(opened, public=["/{path:path}"])


def test_a_line_fits_a_path_with_a_slash_at_its_end() -> None:
    """The middleware reads it in both ways, as some frameworks do."""
    app = Plan(routes=[Route("/notes/", plain)], rules={"GET /notes": EDITOR}).app

    assert_guarded(app)
    assert rules_of(app)["GET /notes/"] == "role editor"


# Holes: each function plants one, and says what the report calls it

Plant = Callable[[Plan, Path], None]
PLANTED: dict[str, tuple[Plant, set[str]]] = {}


def planted(*named: str) -> Callable[[Plant], Plant]:
    """Say what is reported of an application after the function has changed it."""

    def keep(plant: Plant) -> Plant:
        PLANTED[plant.__name__] = (plant, set(named))
        return plant

    return keep


@planted("GET /hole", "HEAD /hole")
def no_line(plan: Plan, folder: Path) -> None:
    plan.routes.append(Route("/hole", plain))


@planted("POST /notes/{number:int}")
def another_method(plan: Plan, folder: Path) -> None:
    plan.routes.append(Route("/notes/{number:int}", plain, methods=["POST"]))


@planted("HEAD /page")
def a_head_that_no_line_names(plan: Plan, folder: Path) -> None:
    plan.routes.append(Route("/page", plain, methods=["POST", "HEAD"]))
    plan.rules["POST /page"] = signed_in


@planted("WS /notes")
def a_websocket_beside_a_route(plan: Plan, folder: Path) -> None:
    plan.routes.append(WebSocketRoute("/notes", socket))


@planted("WS /hook")
def a_websocket_that_any_method_does_not_mean(plan: Plan, folder: Path) -> None:
    plan.routes += [Route("/hook", plain), WebSocketRoute("/hook", socket)]
    plan.rules["* /hook"] = signed_in


@planted("GET /below/hole", "HEAD /below/hole")
def in_a_mounted_application(plan: Plan, folder: Path) -> None:
    [below] = [each for each in plan.routes if isinstance(each, Mount)]
    below.app.router.routes.append(Route("/hole", plain))  # type: ignore[attr-defined]


@planted("GET /one/two/notes", "HEAD /one/two/notes")
def two_mounts_deep(plan: Plan, folder: Path) -> None:
    """Lines name whole paths: those for `/notes` say nothing of `/one/two/notes`."""
    plan.routes.append(Mount("/one", routes=[Mount("/two", routes=[Route("/notes", plain)])]))


@planted("GET /hole", "HEAD /hole", "GET /whole")
def a_line_with_a_slip(plan: Plan, folder: Path) -> None:
    plan.routes.append(Route("/hole", plain))
    plan.rules["GET /whole"] = EDITOR


@planted("GET /items/{name}", "HEAD /items/{name}")
def a_line_for_a_part_of_a_route(plan: Plan, folder: Path) -> None:
    plan.routes.append(Route("/items/{name}", plain))
    plan.rules["GET /items/{number:int}"] = EDITOR


@planted("GET /tree/{rest:path}", "HEAD /tree/{rest:path}")
def a_line_without_slashes_for_a_route_with(plan: Plan, folder: Path) -> None:
    plan.routes.append(Route("/tree/{rest:path}", plain))
    plan.rules["GET /tree/{rest}"] = EDITOR


@planted("GET /items/export")
def a_stricter_line_behind_a_weaker_one(plan: Plan, folder: Path) -> None:
    plan.routes += [Route("/items/export", plain), Route("/items/{name}", plain)]
    plan.rules |= {"GET /items/{name}": signed_in, "GET /items/export": EDITOR}


@planted("GET /static/{path:path}", "HEAD /static/{path:path}")
def static_files(plan: Plan, folder: Path) -> None:
    plan.routes.append(Mount("/static", StaticFiles(directory=folder)))


@planted("ANY /legacy/{path:path}")
def an_application_of_another_kind(plan: Plan, folder: Path) -> None:
    plan.routes.append(Mount("/legacy", legacy))
    plan.rules |= {"GET /legacy/admin": EDITOR, "* /legacy": EDITOR}


@planted("GET admin.{domain}/hosted", "HEAD admin.{domain}/hosted")
def on_another_host(plan: Plan, folder: Path) -> None:
    plan.routes.append(Host("admin.{domain}", Starlette(routes=[Route("/hosted", plain)])))


@planted("PUT /thing")
def a_class_that_answers(plan: Plan, folder: Path) -> None:
    class Thing(HTTPEndpoint):
        async def get(self, request: Request) -> Response:
            return await plain(request)

        async def put(self, request: Request) -> Response:
            return await plain(request)

    plan.routes.append(Route("/thing", Thing))
    plan.rules["GET /thing"] = signed_in


@planted("ANY /bare")
def a_route_of_all_methods_with_a_line_for_some(plan: Plan, folder: Path) -> None:
    class Bare:
        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None: ...

    plan.routes.append(Route("/bare", Bare()))
    plan.rules |= {f"{each} /bare": EDITOR for each in ("GET", "POST", "PUT", "DELETE")}


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_hole_is_found_and_no_other_is_named(name: str, tmp_path: Path) -> None:
    plan = guarded()
    plant, expected = PLANTED[name]

    plant(plan, tmp_path)

    assert named(plan.app) == expected
    with pytest.raises(AssertionError) as raised:
        assert_guarded(plan.app)
    assert all(each in str(raised.value) for each in expected)


def test_lines_without_effect_say_why() -> None:
    plan = guarded()
    plan.routes += [Route("/items/export", plain), Route("/items/{name}", plain)]
    plan.rules |= {"GET /items/{name}": signed_in, "GET /items/export": EDITOR, "GET /x": EDITOR}

    lines = {line.path: line.words for line in problems_of(examine(plan.app))}

    assert lines == {
        "/items/export": 'role editor is declared, but "GET /items/{name}" comes before it, and '
        "decides",
        "/x": "role editor is declared, but no route answers there",
    }


# The proof


@pytest.fixture
def own_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder where the application keeps its data when it is in use."""
    folder = tmp_path / "own"
    monkeypatch.setenv("GATELODGE_DATA_DIR", str(folder))
    return folder


async def test_a_guarded_application_keeps_its_rules(own_data: Path) -> None:
    proof = await prove(guarded().app)

    assert proof.findings == []
    assert proof.routes == 12
    assert not await asyncio.to_thread(own_data.exists)


async def test_a_middleware_around_an_application_is_proved(own_data: Path) -> None:
    rules = {"GET /": public, "POST /notes": EDITOR}
    proof = await prove(GatelodgeMiddleware(legacy, default="signed in", routes=rules))

    assert proof.findings == []
    assert proof.routes == 3


async def test_a_middleware_that_answers_before_ours_is_found(own_data: Path) -> None:
    class Hasty:
        def __init__(self, app: Any) -> None:
            self.app = app

        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            hasty = scope["type"] == "http" and scope["path"] == "/notes"
            await (legacy if hasty else self.app)(scope, receive, send)

    app = Plan([Route("/notes", plain, methods=["PUT"])], {"PUT /notes": EDITOR}).app
    app.add_middleware(Hasty)

    [finding] = (await prove(app)).findings

    assert finding.line.path == "/notes"
    assert finding.problem.startswith("admits nobody, somebody signed out")
