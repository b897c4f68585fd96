"""What `CurrentUser` costs in a FastAPI application that has Gatelodge inside."""

import random
from collections import defaultdict
from pathlib import Path
from statistics import median

from bench.load import Generator, Load, get
from bench.measures import peers
from bench.people import let_in
from bench.process import LOAD_CORE, SERVER_CORE
from bench.report import Row, cost_row, spread
from bench.server import Server, StandIn
from bench.sizes import Sizes

AT_A_TIME = 32
BARE = "application, no guard"
_GUARDED = {
    "application, an empty dependency": "/empty",
    "application, HTTPBearer of FastAPI": "/header",
    "application, CurrentUser": "/user",
    "application, require(role=...)": "/role",
}


def measure(sizes: Sizes, folder: Path) -> list[Row]:
    """Return the CPU time of a route with and without a guard, and what the guard adds.

    A dependency that does nothing, and FastAPI's own `HTTPBearer`, which splits a header and checks
    nothing, show what FastAPI takes for any dependency.

    If the peers are installed, the same is measured of fastapi-users and fastapi-fullauth.
    """
    with StandIn(folder / "embedded", "embedded") as server, Generator({LOAD_CORE}) as generator:
        token = let_in(server, 1)[0]
        bare = [get(path, token) for path in ("/bare", "/bare-last")]  # around those with guards
        requests = {BARE: bare}
        requests |= {name: [get(path, token)] for name, path in _GUARDED.items()}
        rows = _compare(sizes, generator, server, requests, BARE)
        if (peers.ENVIRONMENT / "python").exists():
            with peers.FastApiUsers(folder / "fastapi-users") as other:
                rows += _of_fastapi_users(sizes, generator, other)
            with peers.FastApiFullAuth(folder / "fastapi-fullauth") as other:
                rows += _of_fastapi_fullauth(sizes, generator, other)
    return rows


def _of_fastapi_users(sizes: Sizes, generator: Generator, server: Server) -> list[Row]:
    server.post("/register", {"email": peers.EMAIL, "password": peers.PASSWORD}, expect=201)
    fields = {"username": peers.EMAIL, "password": peers.PASSWORD}
    bare = "fastapi-users, no guard"
    requests = {bare: [get("/bare", "")]}
    for strategy in ("jwt", "database"):
        token = server.post_form(f"/{strategy}/login", fields)["access_token"]
        requests[f"fastapi-users, {strategy} strategy"] = [get(f"/check/{strategy}", token)]
    return _compare(sizes, generator, server, requests, bare)


def _of_fastapi_fullauth(sizes: Sizes, generator: Generator, server: Server) -> list[Row]:
    who = {"email": peers.EMAIL, "password": peers.PASSWORD}
    server.post("/api/v1/auth/register", who, expect=202)
    token = server.post("/api/v1/auth/login", who)["access_token"]
    bare = "fastapi-fullauth, no guard"
    requests = {bare: [get("/bare", "")], "fastapi-fullauth, CurrentUser": [get("/check", token)]}
    return _compare(sizes, generator, server, requests, bare)


def _compare(
    sizes: Sizes, generator: Generator, server: Server, requests: dict[str, list[str]], bare: str
) -> list[Row]:
    """Measure the requests in short rounds, in an order that changes."""
    server.pin({SERVER_CORE})
    costs = defaultdict[str, list[float]](list)
    order = random.Random(1)
    for turn in range(1 + sizes.check_rounds):
        for name in order.sample(list(requests), len(requests)):
            load = Load(server.port, requests[name], AT_A_TIME, max(AT_A_TIME, sizes.checks))
            cost = server.cpu_each(generator, load).total
            if turn:  # the first one warms up
                costs[name].append(cost)
    rows = [cost_row(name, costs[name]) for name in requests]
    for name in requests:
        if name != bare:
            more = [
                1_000_000 * (one - other)
                for one, other in zip(costs[name], costs[bare], strict=True)
            ]
            note = f"difference within a round; {spread(more, 1)}"
            rows.append(Row(f"{name}, beyond no guard", median(more), "µs CPU", note))
    return rows
