"""The pages of how things stand, and of the settings in force."""

from datetime import timedelta

import pytest

from gatelodge.accounts.permissions import USERS_READ
from gatelodge.admin.overview_pages import bars, points
from gatelodge.app import House
from gatelodge.audit import COMMAND
from tests.pages.reader import Page, Reader, text_of
from tests.support.clock import FakeClock
from tests.support.people import new_user, sign_in_browser

OVERVIEW = "/admin/overview"


@pytest.fixture
async def reader(reader: Reader, house: House) -> Reader:
    """Return an administrator with a browser."""
    await sign_in_browser(reader.client, house, "adele", "admin")
    return reader


def tiles(page: Page) -> dict[str, str]:
    """Return the figures of a page, by their names."""
    found = page.tree.findall(".//*[@class='panel tile']")
    return {text_of(each[0]): text_of(each[1]) for each in found}


async def test_the_console_begins_with_the_figures(
    reader: Reader, house: House, clock: FakeClock
) -> None:
    """Drawings have a table beside them, in which all of it can be read."""
    await house.tallies.add()
    clock.advance(timedelta(days=1))
    await sign_in_browser(reader.client, house, "eve", "admin")
    await new_user(house, "ann")
    await house.tallies.add()

    page = await reader.open("/admin")

    assert page.path == OVERVIEW
    assert tiles(page) == {
        "Users": "3",
        "Sign-ins today": "1",
        "Failed sign-ins today": "0",
        "Refusals today": "0",
        "Active sessions": "2",
        "Letters waiting": "0",
    }
    rows = [[text_of(cell) for cell in row] for row in page.tree.iterfind(".//tbody/tr")]
    assert len(rows) == 30
    assert rows[0][1:] == ["2", "1", "0", "0"]
    assert rows[1][1:] == ["1", "1", "0", "0"]
    drawing = page.one(".//*[@role='img']")
    assert drawing.attrib["aria-label"] == "New users on each of the last 30 days, 2 at most"
    assert "answered from memory" in page.text
    assert len(page.response.content) < 30_000


async def test_what_the_doctor_remarks_is_shown(reader: Reader) -> None:
    page = await reader.open(OVERVIEW)
    while "It is still looking" in page.text:
        page = await reader.open(OVERVIEW)

    assert "Set GATELODGE_PASSWORD_MINIMUM=15" in page.text
    assert "warning" in page.text


async def test_who_may_see_users_only_sees_their_figures_only(reader: Reader, house: House) -> None:
    await house.roles.create("looker", "Looks", (USERS_READ,), COMMAND)
    await sign_in_browser(reader.client, house, "lou", "looker")

    page = await reader.open(OVERVIEW)

    assert tiles(page) == {"Users": "2", "Active sessions": "2"}
    assert "doctor" not in page.text
    assert {len(row) for row in page.tree.iterfind(".//tbody/tr")} == {2}


@pytest.mark.parametrize("values", [[0] * 30, [5] * 30, [*range(30)], [0, 10**9], [7]])
def test_a_drawing_stays_within_its_frame(values: list[int]) -> None:
    """What is more than nothing can be seen."""
    pairs = [tuple(map(float, each.split(","))) for each in points(values).split()]
    assert len(pairs) == len(values)
    assert all(0 <= x <= 120 and 0 <= y <= 32 for x, y in pairs)
    for bar, value in zip(bars(values), values, strict=True):
        assert (bar.height > 0) == (value > 0)
        assert 0 <= bar.y <= bar.y + bar.height <= 80.1


async def test_the_settings_are_listed_with_those_that_are_set_first(
    reader: Reader, house: House
) -> None:
    page = await reader.open("/admin/settings")
    chosen, left = page.tree.findall(".//table")

    def values(table: object) -> dict[str, str]:
        rows = table.findall(".//tbody/tr")  # type: ignore[attr-defined]
        return {text_of(row.find(".//code")): text_of(row[1]) for row in rows}

    assert values(chosen)["GATELODGE_DATA_DIR"] == str(house.settings.data_dir)
    assert values(chosen)["GATELODGE_SECRET_KEY"] == "set, and secret"
    assert values(left)["GATELODGE_HSTS"] == "host"
    assert values(left)["GATELODGE_LANGUAGE"] == "not set"
    made = (house.settings.data_dir / "secret.key").read_text().strip()
    assert made not in page.response.text
    assert len(page.response.content) < 30_000


async def test_all_of_it_speaks_german(reader: Reader) -> None:
    reader.headers["Accept-Language"] = "de"
    for path, heading in (
        (OVERVIEW, "Übersicht"),
        ("/admin/sessions", "Sitzungen"),
        ("/admin/events", "Ereignisse"),
        ("/admin/settings", "Einstellungen"),
    ):
        page = await reader.open(path)
        assert (page.status, page.heading) == (200, heading)
