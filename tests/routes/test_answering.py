"""Which route answers a request: what the check believes is what FastAPI does."""

import asyncio
import itertools
import json
from collections.abc import Iterator
from typing import Any

from fastapi import APIRouter, FastAPI
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.requests import Request
from starlette.responses import Response

from gatelodge.routes.report import examine

PATHS = ["/a", "/b", "/{x}", "/{x:int}", "/{x}/b", "/a/{x}", "/a/{x:path}", "/{x:path}", "/1/b"]
PREFIXES = ["/a", "/b", "/{p}", "/1"]

route = st.tuples(st.just("route"), st.sampled_from(PATHS), st.sampled_from(["GET", "POST"]))
plain = st.tuples(st.just("plain"), st.sampled_from(PATHS), st.just("GET"))
tree = st.recursive(
    st.lists(st.one_of(route, plain), min_size=1, max_size=4),
    lambda below: st.lists(
        st.one_of(
            route,
            plain,
            st.tuples(st.just("include"), st.sampled_from(["", *PREFIXES]), below),
            st.tuples(st.just("mount"), st.sampled_from(PREFIXES), below),
        ),
        min_size=1,
        max_size=4,
    ),
    max_leaves=12,
)


def planted(parts: Any) -> FastAPI:
    """Return an application with these routes; each answers with a name of its own."""
    app = FastAPI(openapi_url=None, redirect_slashes=False)
    _plant(app, parts, iter(range(10_000)))
    return app


def _plant(router: Any, parts: Any, numbers: Iterator[int]) -> None:
    for kind, declared, more in parts:
        path = declared.replace("{p}", f"{{p{next(numbers)}}}")
        if kind in {"route", "plain"}:
            endpoint = _endpoint(f"route-{next(numbers)}", kind)
            add = router.add_api_route if kind == "route" else router.add_route
            add(path, endpoint, methods=[more])
            continue
        if kind == "include":
            inner = APIRouter()
            _plant(inner, more, numbers)
            router.include_router(inner, prefix=path)
        else:
            below = FastAPI(openapi_url=None, redirect_slashes=False)
            _plant(below, more, numbers)
            router.mount(path, below)


def _endpoint(name: str, kind: str) -> Any:
    async def endpoint() -> str:
        return name

    async def plain_endpoint(request: Request) -> Response:
        return Response(f'"{name}"', media_type="application/json")

    chosen: Any = endpoint if kind == "route" else plain_endpoint
    chosen.__qualname__ = name
    return chosen


@given(tree)
@settings(max_examples=60, deadline=None)
def test_the_route_that_is_thought_to_answer_does(parts: Any) -> None:
    app = planted(parts)
    lines = [line for line in examine(app) if line.method != "HEAD"]

    asked = {line.sample for line in lines if line.sample is not None}
    answered = asyncio.run(_answered(app, asked | OTHERS))

    for line in lines:
        name = line.where.rpartition(".")[2]
        if line.sample is not None:
            assert answered[line.sample] == name
        else:
            assert name not in answered.values()


OTHERS = {
    (method, "".join(f"/{each}" for each in segments))
    for method in ("GET", "POST")
    for length in range(1, 4)
    for segments in itertools.product(("a", "b", "1", "x"), repeat=length)
}
"""Requests beside those of the check, so that a route is not only thought to be out of reach."""


async def _answered(app: FastAPI, asked: set[tuple[str, str]]) -> dict[tuple[str, str], str]:
    """Return the name of the route that answers each request, or nothing."""
    return {request: await _answer(app, *request) for request in asked}


async def _answer(app: FastAPI, method: str, path: str) -> str:
    said: list[Any] = []
    scope = {"type": "http", "method": method, "path": path, "root_path": "", "scheme": "http"}
    more = {"query_string": b"", "headers": [(b"host", b"localhost")], "raw_path": path.encode()}

    async def receive() -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        said.append(message)

    await app({**scope, **more}, receive, send)
    return str(json.loads(said[1]["body"])) if said[0]["status"] == 200 else ""
