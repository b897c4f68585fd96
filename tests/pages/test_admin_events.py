"""The pages of what happened."""

from datetime import timedelta

import pytest

from gatelodge.app import House
from gatelodge.audit import COMMAND
from tests.contracts.builders import an_event
from tests.pages.reader import Page, Reader
from tests.support.clock import NOON, FakeClock
from tests.support.people import new_user, sign_in_browser

PAGE = "/admin/events"
ROWS = ".//tbody[@class='rows']/tr"


@pytest.fixture
async def reader(reader: Reader, house: House) -> Reader:
    """Return an administrator with a browser."""
    await sign_in_browser(reader.client, house, "adele", "admin")
    return reader


def names(page: Page) -> list[str]:
    """Return the names of the events on a page."""
    return [each.text or "" for each in page.tree.iterfind(f"{ROWS}//a/code")]


def live(page: Page) -> str | None:
    """Return where new events for this page come from, or None."""
    return page.one(".//tbody[@class='rows']").get("data-live")


async def test_what_happened_is_listed_and_each_event_has_a_page(
    reader: Reader, house: House, clock: FakeClock
) -> None:
    clock.advance(timedelta(minutes=5))
    ann = await new_user(house, "ann")
    clock.advance(timedelta(minutes=5))
    await house.accounts.grant(ann, "moderator", COMMAND)

    page = await reader.open(PAGE)
    row = page.tree.findall(ROWS)[0]
    event = await reader.open(row.find(".//a").attrib["href"])  # type: ignore[union-attr]

    assert "role.granted" in page.text
    assert "ann" in page.text
    assert event.heading == "role.granted"
    for told in ("moderator", "command", "ann", ann.id, row.attrib["data-id"], "done"):
        assert told in event.text
    assert f"/admin/users/{ann.id}" in event.links
    assert f"/admin/events?target={ann.id}" in event.links
    of_ann = await reader.open(f"/admin/events?target={ann.id}")
    assert "session.opened" not in of_ann.text
    gone = await reader.open("/admin/events/evt_nothing")
    assert (gone.status, "no such event" in gone.text) == (404, True)


async def test_events_are_found_by_who_what_where_and_when(
    reader: Reader, house: House, clock: FakeClock
) -> None:
    ann = await new_user(house, "ann")
    clock.advance(timedelta(days=3))
    at = clock.now()
    for event in (
        an_event(at=at, actor=ann.id, target="ses_x", name="session.opened"),
        an_event(at=at, actor="command", target=ann.id, name="role.granted", address="192.0.2.9"),
        an_event(at=at, actor="command", target="usr_other", name="role.granted"),
    ):
        await house.stores.events.add(event)

    async def found(query: str) -> int:
        page = await reader.open(f"{PAGE}?{query}")
        assert page.status == 200
        return len(page.tree.findall(ROWS))

    for who in ("ann", "ann@example.com", ann.id):
        assert await found(f"who={who}&from=2026-05-06") == 2
    assert await found("who=ann&name=role.granted") == 1
    assert await found("address=192.0.2.9") == 1
    assert await found("name=role.granted&from=2026-05-07&until=2026-05-07") == 2
    assert await found("name=role.granted&until=2026-05-06") == 0
    assert await found("who=nobody-of-this-name") == 0


async def test_nothing_found_says_what_to_do_and_keeps_what_was_typed(reader: Reader) -> None:
    page = await reader.open(f"{PAGE}?who=bob%3Cb%3E&name=role.granted&from=2026-05-01")

    assert page.one(".//*[@class='empty']/h2").text == "Nothing found"
    assert page.one(".//input[@id='who']").attrib["value"] == "bob<b>"
    assert page.one(".//input[@id='name']").attrib["value"] == "role.granted"
    chips = [each.attrib["aria-label"] for each in page.tree.iterfind(".//a[@class='chip']")]
    assert chips == [
        "Without: Who: bob<b>",
        "Without: What: role.granted",
        "Without: From: 2026-05-01",
    ]


@pytest.mark.parametrize(
    "query",
    [
        "from=yesterday",
        "until=9999-12-31",
        "who=" + "x" * 257,
        "after=!",
        "name=a&name=b",
        "who=%00",
    ],
)
async def test_a_query_that_cannot_be_read_is_refused(reader: Reader, query: str) -> None:
    assert (await reader.open(f"{PAGE}?{query}")).status == 400


async def test_the_first_page_says_where_new_events_come_from(reader: Reader, house: House) -> None:
    """The stream has the same conditions, and begins after the newest event that is shown."""
    ann = await new_user(house, "ann")
    page = await reader.open(f"{PAGE}?who=ann&name=user.created")
    newest = page.one(ROWS).attrib["data-id"]

    assert live(page) == (f"/api/admin/events/live?about={ann.id}&name=user.created&after={newest}")
    answer = await reader.ask(f"{live(page)}&seconds=0")
    assert answer.status_code == 200
    assert newest not in answer.text
    empty = await reader.open(f"{PAGE}?name=role.deleted")
    assert live(empty) == "/api/admin/events/live?name=role.deleted"
    past = await reader.open(f"{PAGE}?until=2026-05-04")
    assert live(past) is None


async def test_long_lists_are_walked_page_by_page(reader: Reader, house: House) -> None:
    for number in range(60):
        event = an_event(at=NOON + timedelta(minutes=number), name="role.granted")
        await house.stores.events.add(event)
    page = await reader.open(f"{PAGE}?name=role.granted")
    seen = names(page)
    while (link := page.tree.find(".//a[@rel='next']")) is not None:
        page = await reader.open(link.attrib["href"])
        assert live(page) is None
        seen += names(page)

    assert seen.count("role.granted") == 60


async def test_a_page_of_events_is_small(reader: Reader, house: House) -> None:
    user = await new_user(house, "somebody-with-a-long-name")
    for number in range(25):
        at = NOON + timedelta(minutes=number)
        await house.stores.events.add(
            an_event(at=at, name="factor.renamed", actor=user.id, target=user.id)
        )

    page = await reader.open(PAGE)

    assert len(page.response.content) < 30_000
