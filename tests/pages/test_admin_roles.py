"""The console's pages of roles: the table, the preview, one role, its deletion."""

from datetime import timedelta

import httpx2
import pytest

from gatelodge.accounts.permissions import USERS_IMPERSONATE
from gatelodge.accounts.store import Rights
from gatelodge.admin.authority import Administrator
from gatelodge.app import House
from gatelodge.audit import COMMAND, Actor
from tests.pages.reader import Page, Reader, text_of
from tests.support.clock import FakeClock
from tests.support.events import newest
from tests.support.people import PASSWORD, new_user, sign_in_browser

ROLES = "/admin/roles"
CHANGES = f"{ROLES}/changes"
ROLE = f"{ROLES}/role"


@pytest.fixture
async def adele(reader: Reader, house: House) -> str:
    """Return the id of an administrator, whom the reader is signed in as; there is an editor."""
    await house.roles.create("editor", "Edits pages.", ["pages:edit"], COMMAND)
    return (await sign_in_browser(reader.client, house, "adele", "admin")).id


def box(page: Page, role: str, permission: str) -> dict[str, str]:
    """Return the attributes of the box where a role and a permission meet."""
    column = _id_of(page, ".//thead//th[@id]", "a", role)
    row = _id_of(page, ".//tbody//th", "code", permission)
    return dict(page.one(f".//input[@aria-labelledby='{row} {column}']").attrib)


def _id_of(page: Page, path: str, part: str, text: str) -> str:
    """Return the id of the head of a row or a column, by the text of a part of it."""
    heads = (each for each in page.tree.iterfind(path) if text_of(each.findall(part)[0]) == text)
    return next(heads).attrib["id"]


async def send(
    reader: Reader, page: Page, *, on: list[dict[str, str]], off: list[dict[str, str]]
) -> Page:
    """Send the table with some boxes ticked and others cleared, as a browser does."""
    ticked = {
        each.attrib["value"]
        for each in page.tree.iterfind(".//table//input[@checked]")
        if "disabled" not in each.attrib
    }
    ticked |= {each["value"] for each in on}
    ticked -= {each["value"] for each in off}
    hidden = {
        name: page.one(f".//input[@name='{name}']").attrib["value"]
        for name in ("roles", "permissions", "was")
    }
    return await reader.send(ROLES, **hidden, on=sorted(ticked))  # type: ignore[arg-type]


async def permissions_of(house: House, name: str) -> tuple[str, ...]:
    """Return what a role permits."""
    return (await house.roles.get(name)).permissions


async def test_the_table_shows_what_each_role_permits(
    reader: Reader, house: House, adele: str
) -> None:
    """Nobody can take from `admin` what it must have, nor give what only a command gives."""
    page = await reader.open(ROLES)

    assert page.status == 200
    assert "checked" in box(page, "editor", "pages:edit")
    assert "checked" not in box(page, "user", "pages:edit")
    assert "disabled" not in box(page, "user", "pages:edit")
    assert {"checked", "disabled"} <= box(page, "admin", "users:read").keys()
    assert "disabled" in box(page, "user", USERS_IMPERSONATE)
    assert "Delete users" in page.text


async def test_changes_are_shown_with_whom_they_affect_and_made_when_that_was_confirmed(
    reader: Reader, house: House, adele: str
) -> None:
    await new_user(house, "ben", "editor")
    page = await reader.open(ROLES)
    preview = await send(
        reader,
        page,
        on=[box(page, "user", "pages:edit"), box(page, "editor", "users:read")],
        off=[box(page, "editor", "pages:edit")],
    )

    assert preview.path == CHANGES
    assert "editor" in preview.text
    assert "loses pages:edit Nobody is affected now" in preview.text
    assert "gets users:read Users who gain it: 1 ben" in preview.text
    assert "gets pages:edit Users who gain it: 1 you" in preview.text
    assert await permissions_of(house, "editor") == ("pages:edit",)

    done = await reader.send(CHANGES, **preview.form(CHANGES))

    assert done.path == ROLES
    assert "The roles are changed" in done.notice
    assert await permissions_of(house, "editor") == ("users:read",)
    assert await permissions_of(house, "user") == ("account:manage", "pages:edit")
    events = await newest(house.stores.events, 100)
    by = {each.actor for each in events if each.name in {"role.permitted", "role.forbidden"}}
    assert adele in by


async def test_what_somebody_else_changed_meanwhile_stays(
    reader: Reader, house: House, adele: str
) -> None:
    page = await reader.open(ROLES)
    await house.roles.permit("editor", "users:read", COMMAND)
    await house.roles.forbid("editor", "pages:edit", COMMAND)

    preview = await send(reader, page, on=[box(page, "editor", "events:read")], off=[])
    await reader.send(CHANGES, **preview.form(CHANGES))

    assert await permissions_of(house, "editor") == ("users:read", "events:read")


async def test_a_change_that_is_so_already_is_told(
    reader: Reader, house: House, adele: str
) -> None:
    page = await reader.open(f"{CHANGES}?give=editor/pages:edit")

    assert "It is so already." in page.text
    assert CHANGES not in [each.get("action") for each in page.tree.iterfind(".//form")]


async def test_nothing_that_was_changed_leads_back(reader: Reader, adele: str) -> None:
    page = await reader.open(ROLES)

    same = await send(reader, page, on=[], off=[])

    assert same.path == ROLES
    assert same.notice == "You have changed nothing."
    assert (await reader.open(CHANGES)).path == ROLES


async def test_a_helper_ticks_only_boxes_within_their_reach(reader: Reader, house: House) -> None:
    await house.roles.create("editor", "", ["pages:edit"], COMMAND)
    await house.roles.create("helper", "", ["roles:write", "pages:edit", "events:read"], COMMAND)
    await sign_in_browser(reader.client, house, "henry", "helper")

    page = await reader.open(ROLES)

    assert "disabled" in box(page, "moderator", "pages:edit")
    assert "disabled" in box(page, "editor", "users:read")
    assert "disabled" not in box(page, "editor", "pages:edit")
    assert "out of your reach" in page.text
    preview = await send(
        reader,
        page,
        on=[box(page, "editor", "events:read"), box(page, "moderator", "pages:edit")],
        off=[],
    )
    assert "events:read" in preview.text
    assert "moderator" not in preview.text  # that box was none to tick
    for query in ("give=moderator/pages:edit", "give=editor/users:read", "take=admin/users:read"):
        refused = await reader.open(f"{CHANGES}?{query}")
        assert refused.status == 403
        posted = await reader.post(CHANGES, dict([query.split("=")]))  # type: ignore[arg-type]
        assert posted.status_code in {200, 403}
    assert "pages:edit" not in await permissions_of(house, "moderator")
    assert "users:read" not in await permissions_of(house, "editor")


async def test_of_changes_that_are_made_together_each_has_its_outcome(
    reader: Reader, house: House, adele: str
) -> None:
    page = await reader.send(CHANGES, give="editor/a:b gone/a:b", take="admin/users:read")

    assert page.heading == "Done: 1 of 3"
    assert "There is no such role." in page.text
    assert "cannot lose the permissions that administer" in page.text
    assert await permissions_of(house, "editor") == ("pages:edit", "a:b")


async def test_whoever_only_sees_users_sees_the_table_and_changes_nothing(
    reader: Reader, house: House
) -> None:
    await house.roles.create("reader", "", ["users:read"], COMMAND)
    await sign_in_browser(reader.client, house, "rita", "reader")

    page = await reader.open(ROLES)

    assert page.status == 200
    assert "Look at the changes" not in page.text
    assert f"{ROLES}/new" not in page.links
    assert (await reader.open(f"{ROLE}?role=reader")).status == 200
    assert "Delete this role" not in (await reader.open(f"{ROLE}?role=reader")).text
    assert (await reader.open(f"{ROLES}/new")).status == 403


async def test_a_form_waits_while_its_sender_proves_again_who_they_are(
    reader: Reader, house: House, clock: FakeClock, adele: str
) -> None:
    """The preview asks for the proof, so that nothing has to be sent twice."""
    page = await reader.open(ROLES)
    clock.advance(timedelta(minutes=6))

    asked = await send(reader, page, on=[], off=[box(page, "editor", "pages:edit")])

    assert asked.path == "/sign-in/again"
    back = await reader.send(
        "/sign-in/again", next=asked.form("/sign-in/again")["next"], password=PASSWORD
    )
    assert back.path == CHANGES
    assert "loses pages:edit" in back.text
    assert (await reader.send(CHANGES, **back.form(CHANGES))).path == ROLES
    assert await permissions_of(house, "editor") == ()


@pytest.mark.parametrize(
    "fields",
    [
        {"roles": "editor", "permissions": "pages:edit", "was": ""},
        {"roles": "editor", "permissions": "pages:edit a:b", "was": "1"},
        {"roles": "", "permissions": "", "was": "111111"},
        {"roles": "🔑", "permissions": "x", "was": "12", "on": "99999999999999999999"},
    ],
)
async def test_a_table_that_no_page_has_sent_is_refused(
    reader: Reader, house: House, adele: str, fields: dict[str, str]
) -> None:
    before = await house.roles.list_roles()

    answer = await reader.post(ROLES, fields)

    assert answer.status_code == 400
    assert await house.roles.list_roles() == before


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("give=editor", 400),
        ("give=editor/a:b&take=editor/a:b", 400),
        ("give=editor/none", 400),
        ("give=%00/a:b", 404),
        ("give=nobody/a:b", 404),
        ("give=" + "+".join(f"editor/a:{number}" for number in range(41)), 400),
        ("take=admin/users:read", 409),
    ],
)
async def test_an_address_that_asks_for_what_cannot_be_gets_a_page_that_says_so(
    reader: Reader, adele: str, query: str, status: int
) -> None:
    page = await reader.open(f"{CHANGES}?{query}")

    assert page.status == status
    assert page.heading


async def test_too_many_changes_at_once_are_refused_and_nothing_ticked_is_lost(
    reader: Reader, house: House, adele: str
) -> None:
    for number in range(14):
        await house.roles.create(f"a{number:02}", "", [f"area-{number:02}:act"], COMMAND)
    page = await reader.open(ROLES)
    free = [
        dict(each.attrib)
        for each in page.tree.iterfind(".//table//input")
        if not {"checked", "disabled"} & each.attrib.keys()
    ]
    assert len(free) > 40

    refused = await send(reader, page, on=free[:41], off=[])

    assert "At most 40 changes" in refused.alert
    ticked = {each.get("value") for each in refused.tree.iterfind(".//table//input[@checked]")}
    assert {each["value"] for each in free[:41]} <= ticked


async def test_tables_of_many_roles_and_permissions_lead_on(
    reader: Reader, house: House, adele: str
) -> None:
    for number in range(8):
        permissions = [f"area-{number}:act-{each}" for each in range(4)]
        await house.roles.create(f"role-{number}", "", permissions, COMMAND)

    seen: set[tuple[str, str]] = set()
    wanted = {
        (role.name, each.name)
        for role in await house.roles.list_roles()
        for each in await house.role_administration.list_permissions(_nobody(), limit=1000)
    }
    column = ROLES
    while column:
        row, first = column, await reader.open(column)
        while row:
            page = await reader.open(row)
            roles = page.one(".//input[@name='roles']").attrib["value"].split()
            permissions = page.one(".//input[@name='permissions']").attrib["value"].split()
            pairs = {(role, each) for role in roles for each in permissions}
            assert not seen & pairs
            seen |= pairs
            row = link_of(page, "Next")
        column = link_of(first, "More roles")
    assert seen == wanted


def link_of(page: Page, text: str) -> str:
    """Return where the link with this text leads; empty if there is none."""
    links = (each for each in page.tree.iterfind(".//main//a[@href]") if text_of(each) == text)
    return next((each.attrib["href"] for each in links), "")


def _nobody() -> Administrator:
    return Administrator(Actor(None), Rights())


async def test_a_search_shows_some_permissions_and_says_if_there_are_none(
    reader: Reader, adele: str
) -> None:
    some = await reader.open(f"{ROLES}?q=users:")
    none = await reader.open(f"{ROLES}?q=nothing-like-this")

    assert some.one(".//input[@name='permissions']").attrib["value"].split() == [
        "users:delete",
        "users:impersonate",
        "users:read",
        "users:write",
    ]
    assert "No such permission" in none.text


async def test_a_role_is_made_described_extended_and_deleted(
    reader: Reader, house: House, adele: str
) -> None:
    await reader.open(f"{ROLES}/new")
    made = await reader.send(
        f"{ROLES}/new",
        name=" writer ",
        description="Writes.",
        permissions=["pages:edit"],  # type: ignore[arg-type]
        further="pages:print",
    )
    assert (made.path, made.heading) == (ROLE, "writer")
    assert "The role is made" in made.notice
    assert await permissions_of(house, "writer") == ("pages:edit", "pages:print")

    described = await reader.send(ROLE, role="writer", description="Writes much.", further="")
    assert "Writes much." in described.text
    preview = await reader.send(ROLE, role="writer", description="Writes much.", further="a:b")
    assert preview.path == CHANGES
    assert "gets a:b" in preview.text

    question = await reader.open(f"{ROLES}/delete?role=writer")
    assert "Nobody holds it." in question.text
    gone = await reader.send(f"{ROLES}/delete", **question.form(f"{ROLES}/delete"))
    assert gone.notice == "The role is deleted."
    assert "writer" not in [role.name for role in await house.roles.list_roles()]


@pytest.mark.parametrize(
    ("fields", "field", "told"),
    [
        ({"name": ""}, "name", "Enter a name."),
        ({"name": "No Name"}, "name", "1 to 64 characters"),
        ({"name": "editor"}, "name", "There is a role of this name already."),
        ({"name": "writer", "description": "a" * 257}, "description", "256"),
        ({"name": "writer", "further": "pages"}, "further", "two words"),
    ],
)
async def test_what_is_wrong_with_a_new_role_stands_beside_its_field(
    reader: Reader, house: House, adele: str, fields: dict[str, str], field: str, told: str
) -> None:
    before = await house.roles.list_roles()
    await reader.open(f"{ROLES}/new")

    page = await reader.send(f"{ROLES}/new", permissions="pages:edit", **fields)

    assert page.path == f"{ROLES}/new"
    assert told in page.problem(field)
    assert "checked" in page.one(".//input[@value='pages:edit']").attrib
    assert await house.roles.list_roles() == before


async def test_a_role_that_is_held_is_taken_from_its_holders_by_an_administrator(
    reader: Reader, house: House, adele: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In several steps if many hold it."""
    monkeypatch.setattr("gatelodge.admin.roles.TAKEN_AT_ONCE", 2)
    monkeypatch.setattr("gatelodge.accounts.roles.HOLDERS_AT_ONCE", 2)
    for name in ("ben", "carol", "dora"):
        await new_user(house, name, "editor")

    question = await reader.open(f"{ROLES}/delete?role=editor")
    assert "Users who hold it: 3." in question.text
    left = await reader.send(f"{ROLES}/delete", **question.form(f"{ROLES}/delete"))
    assert left.heading == "Take editor from the users who are left?"
    gone = await reader.send(f"{ROLES}/delete", **left.form(f"{ROLES}/delete"))

    assert (gone.path, gone.notice) == (ROLES, "The role is deleted.")
    assert not await house.roles.is_held("editor")


async def test_a_helper_is_told_why_a_role_cannot_be_deleted(reader: Reader, house: House) -> None:
    await house.roles.create("helper", "", ["roles:write", "pages:edit"], COMMAND)
    await sign_in_browser(reader.client, house, "henry", "helper")

    page = await reader.open(f"{ROLES}/delete?role=helper")

    assert "You can delete only roles that nobody holds." in page.text
    assert "Delete helper" not in page.text
    for fields in ({"role": "helper"}, {"role": "helper", "take": "yes"}):
        answer = await reader.post(f"{ROLES}/delete", fields)
        assert answer.status_code in {303, 403}
    assert await house.roles.get("helper")


async def test_built_in_roles_are_never_deleted(reader: Reader, house: House, adele: str) -> None:
    page = await reader.open(f"{ROLES}/delete?role=moderator")
    await reader.post(f"{ROLES}/delete", {"role": "moderator", "take": "yes"})

    assert "cannot be deleted" in page.text
    assert await house.roles.get("moderator")
    assert "Delete this role" not in (await reader.open(f"{ROLE}?role=moderator")).text


@pytest.mark.parametrize("name", ["nobody", "", "%00", "%F0%9F%94%91", "a" * 900])
async def test_a_role_that_there_is_not_is_not_found(reader: Reader, adele: str, name: str) -> None:
    for path in (ROLE, f"{ROLES}/delete"):
        assert (await reader.open(f"{path}?role={name}")).status == 404


async def test_the_largest_table_stays_light(
    client: httpx2.AsyncClient, reader: Reader, house: House, adele: str
) -> None:
    """With stylesheet and script: 60 KB at most, and three requests."""
    for number in range(9):
        permissions = [f"some-area-{number}:some-act-{each}" for each in range(8)]
        await house.roles.create(f"some-role-{number}", "", permissions, COMMAND)

    page = await reader.open(ROLES)
    loaded = [each.attrib["href"] for each in page.tree.iterfind(".//link[@rel='stylesheet']")]
    loaded += [each.attrib["src"] for each in page.tree.iterfind(".//script[@src]")]
    sizes = [len((await client.get(each)).content) for each in loaded]

    assert len(page.tree.findall(".//table//input")) == 120
    assert len(loaded) == 2
    assert len(page.response.content) + sum(sizes) <= 60 * 1024
