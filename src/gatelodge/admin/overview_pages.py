"""The page with which the console begins: how things stand."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time

from starlette.responses import Response

from gatelodge.admin.doors import administrator, page
from gatelodge.admin.overview import Day, OverviewAdministration
from gatelodge.admin.rules import READ_USERS
from gatelodge.pages.door import PageDoor, Visit

door = PageDoor()

WIDTH, HEIGHT = 120, 32
"""The size of a small drawing; the page scales it."""

_EDGE = 2
BAR = 10
"""The width of a bar, with the gap beside it."""

BAR_HEIGHT = 80


@dataclass(frozen=True, slots=True)
class Bar:
    """One day in the drawing of new users.

    Attributes:
        x: where it begins.
        y: where its upper end is.
        height: how high it is.
    """

    x: int
    y: float
    height: float


@door.get("/admin/overview", rule=READ_USERS)
async def show_overview(visit: Visit) -> Response:
    """Show the figures of the last days, and the state of the server."""
    seen = await visit.ask(OverviewAdministration).show(administrator(visit))
    new_users = [each.new_users for each in seen.days]
    tallied = seen.days[-1].sign_ins is not None
    return page(
        visit,
        "overview.html",
        seen=seen,
        today=seen.days[-1],
        tallied=tallied,
        lines={
            name: points([getattr(each, name) for each in seen.days])
            for name in ("new_users", *(("sign_ins", "failures", "refusals") if tallied else ()))
        },
        bars=bars(new_users),
        most=max(new_users),
        total=sum(new_users),
        on=_on,
    )


def points(values: Sequence[int]) -> str:
    """Return the points of a line through these values, from left to right."""
    most = max(values) or 1
    step = WIDTH / max(1, len(values) - 1)
    room = HEIGHT - 2 * _EDGE
    return " ".join(
        f"{number * step:.1f},{HEIGHT - _EDGE - value / most * room:.1f}"
        for number, value in enumerate(values)
    )


def bars(values: Sequence[int]) -> list[Bar]:
    """Return a bar for each value; one that is not zero can be seen."""
    most = max(values) or 1
    found = []
    for number, value in enumerate(values):
        height = round(max(value / most * BAR_HEIGHT, 1.5 if value else 0), 1)
        found.append(Bar(number * BAR + 1, round(BAR_HEIGHT - height, 1), height))
    return found


def _on(day: Day) -> datetime:
    """Return a day as an instant, for its name in the reader's language."""
    return datetime.combine(day.day, time(12), UTC)
