"""The routes for programs that run and watch the server: health, readiness, metrics."""

from typing import Annotated, Literal

from pydantic import Field
from starlette.requests import Request
from starlette.responses import Response

from gatelodge.errors import NoSuchRoute
from gatelodge.gate.feed import FeedStatus
from gatelodge.gate.rules import ANYBODY
from gatelodge.health.metrics import Metrics
from gatelodge.stores import Stores
from gatelodge.web.bearer import token_in
from gatelodge.web.bodies import Answer
from gatelodge.web.described import Description
from gatelodge.web.door import Door
from gatelodge.web.refusals import ConflictingTokens
from gatelodge.web.services import Provided

door = Door(tag="server")

MEDIA_TYPE = "text/plain; version=1.0.0; charset=utf-8"
"""The media type of Prometheus' text format."""


class Alive(Answer):
    """The process answers."""

    status: Literal["alive"] = "alive"


class Ready(Answer):
    """The process can serve requests."""

    status: Literal["ready"] = "ready"
    database: Literal["answers"] = "answers"
    feed: FeedStatus = Field(
        description="fresh: checks are answered from memory; behind, none: they read the database."
    )
    feed_lag_seconds: float | None = Field(
        description="Seconds since the last answer of the change stream."
    )


@door.get(
    "/healthz", rule=ANYBODY, told=Description("Is the process alive?", gives={"status": "alive"})
)
async def alive() -> Alive:
    """Say that the process answers; nothing else is checked, not even the database.

    For a supervisor that restarts a process that hangs.
    """
    return Alive()


@door.get(
    "/readyz",
    rule=ANYBODY,
    told=Description(
        "Can the server work?",
        gives={"status": "ready", "database": "answers", "feed": "fresh", "feedLagSeconds": 0.1},
    ),
)
async def ready(stores: Annotated[Stores, Provided(Stores)]) -> Ready:
    """Say whether the database answers; 503 if it does not.

    A feed that is behind makes checks slower, not wrong. It is shown, but it is no reason for 503.
    """
    await stores.database.ping()
    feed = stores.feed.state()
    return Ready(feed=feed.status, feed_lag_seconds=feed.lag)


@door.get(
    "/metrics",
    rule=ANYBODY,
    told=Description(
        "Numbers for Prometheus",
        gives="# TYPE gatelodge_hashing_queue gauge\ngatelodge_hashing_queue 0.0\n",
    ),
    refuses=(NoSuchRoute, ConflictingTokens),
    response_class=Response,
)
async def metrics(request: Request, numbers: Annotated[Metrics, Provided(Metrics)]) -> Response:
    """Return this worker's metrics to a scraper that presents GATELODGE_METRICS_TOKEN."""
    body = numbers.expose(token_in(request.scope["headers"]))
    return Response(body, media_type=MEDIA_TYPE)
