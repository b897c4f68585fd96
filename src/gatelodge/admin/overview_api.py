"""The JSON route of the overview."""

from datetime import date
from typing import Annotated, Literal

from pydantic import Field

from gatelodge.admin.doors import By, Number, number_of
from gatelodge.admin.overview import LetterCounts, Overview, OverviewAdministration, ServerState
from gatelodge.admin.rules import READ_USERS
from gatelodge.doctor.findings import Level
from gatelodge.gate.feed import FeedStatus
from gatelodge.web.bodies import Answer
from gatelodge.web.described import Description
from gatelodge.web.door import Door
from gatelodge.web.services import Provided

door = Door("/api/admin/overview", tag="admin")


class DayTold(Answer):
    """What happened on one day (UTC)."""

    day: date
    new_users: int
    sign_ins: int | None = None
    failures: int | None = Field(default=None, description="Sign-ins that failed.")
    refusals: int | None = Field(
        default=None, description="Requests that were refused, or had to wait."
    )


class LettersTold(Answer):
    """The letters that have not arrived."""

    waiting: Number
    given_up: Number


class FindingTold(Answer):
    """What the doctor remarks."""

    level: Level
    code: str
    message: str
    remedy: str


class ServerTold(Answer):
    """How the process that answers is doing."""

    version: str
    database: Literal["sqlite", "mongodb"]
    hash_threads: int
    hash_running: int
    hash_waiting: int
    feed: FeedStatus = Field(description="As in `GET /readyz`.")
    feed_lag_seconds: float | None = None
    findings: list[FindingTold] | None = Field(
        default=None, description="Null: the doctor is still looking."
    )


class OverviewTold(Answer):
    """How things stand. What the caller may not see is null."""

    users: Number | None = Field(default=None, description="Null: they are still being counted.")
    sessions: Number | None = Field(
        default=None, description="Those that sign somebody in, likewise."
    )
    days: list[DayTold] = Field(description="The last 30 days, the oldest first.")
    letters: LettersTold | None = None
    server: ServerTold | None = None


@door.get(
    "",
    rule=READ_USERS,
    told=Description(
        "See how things stand",
        gives={
            "users": {"number": 12480, "exact": True},
            "sessions": {"number": 3120, "exact": False},
            "days": [
                {
                    "day": "2026-01-31",
                    "newUsers": 12,
                    "signIns": 340,
                    "failures": 21,
                    "refusals": 4,
                }
            ],
            "letters": {
                "waiting": {"number": 0, "exact": True},
                "givenUp": {"number": 1, "exact": True},
            },
            "server": None,
        },
    ),
)
async def overview(
    by: By, figures: Annotated[OverviewAdministration, Provided(OverviewAdministration)]
) -> OverviewTold:
    """Return the figures of the last 30 days, and the state of the process that answers.

    They are a few seconds old at most. What happened on each day needs `events:read`, letters need
    `letters:manage`, and the server needs `settings:read`.
    """
    return _told(await figures.show(by))


def _told(seen: Overview) -> OverviewTold:
    letters = seen.letters
    return OverviewTold(
        users=None if seen.users is None else number_of(seen.users),
        sessions=None if seen.sessions is None else number_of(seen.sessions),
        days=[
            DayTold(
                day=each.day,
                new_users=each.new_users,
                sign_ins=each.sign_ins,
                failures=each.failures,
                refusals=each.refusals,
            )
            for each in seen.days
        ],
        letters=None if letters is None else _letters(letters),
        server=None if seen.server is None else _server(seen.server),
    )


def _letters(counts: LetterCounts) -> LettersTold:
    return LettersTold(waiting=number_of(counts.waiting), given_up=number_of(counts.given_up))


def _server(state: ServerState) -> ServerTold:
    findings = state.findings
    return ServerTold(
        version=state.version,
        database=state.database,
        hash_threads=state.hash_threads,
        hash_running=state.hash_running,
        hash_waiting=state.hash_waiting,
        feed=state.feed.status,
        feed_lag_seconds=state.feed.lag,
        findings=None
        if findings is None
        else [
            FindingTold(level=each.level, code=each.code, message=each.message, remedy=each.remedy)
            for each in findings
        ],
    )
