"""The door for whatever runs the server."""

from typing import Annotated, Literal

from pydantic import Field
from starlette.requests import Request
from starlette.responses import Response

from gatelodge.errors import NoSuchRoute
from gatelodge.gate.rules import ANYBODY
from gatelodge.health.metrics import Metrics
from gatelodge.stores import Stores
from gatelodge.web.bodies import Answer
from gatelodge.web.caller import token_in
from gatelodge.web.door import Door
from gatelodge.web.refusals import ConflictingTokens
from gatelodge.web.services import Provided

door = Door(tag="server")

MEDIA_TYPE = "text/plain; version=1.0.0; charset=utf-8"
"""Of Prometheus' text format."""


FeedStanding = Literal["fresh", "behind", "none"]


class Alive(Answer):
    """The process answers."""

    status: Literal["alive"] = "alive"


class Ready(Answer):
    """The process can do its work."""

    status: Literal["ready"] = "ready"
    database: Literal["answers"] = "answers"
    feed: FeedStanding = Field(
        description="Whether checks are answered from memory (fresh) or read the database."
    )
    feed_lag_seconds: float | None = Field(description="Since the change stream was heard of.")


@door.get("/healthz", rule=ANYBODY)
async def alive() -> Alive:
    """Say that the process answers; asks nothing else."""
    return Alive()


@door.get("/readyz", rule=ANYBODY)
async def ready(stores: Annotated[Stores, Provided(Stores)]) -> Ready:
    """Say whether the database answers; 503 when it does not.

    A feed that is behind makes checks slower, never wrong: it is shown, and is no reason for 503.
    """
    await stores.database.ping()
    feed = stores.feed.state()
    behind: FeedStanding = "none" if feed.kind == "none" else "behind"
    return Ready(feed="fresh" if feed.trusted else behind, feed_lag_seconds=feed.lag)


@door.get(
    "/metrics",
    rule=ANYBODY,
    refuses=(NoSuchRoute, ConflictingTokens),
    response_class=Response,
)
async def metrics(request: Request, numbers: Annotated[Metrics, Provided(Metrics)]) -> Response:
    """Give this worker's numbers to a scraper that presents GATELODGE_METRICS_TOKEN."""
    body = numbers.expose(token_in(request.scope["headers"]))
    return Response(body, media_type=MEDIA_TYPE)
