"""The page for one's name, and for the username where it may be changed."""

import asyncio
from urllib.parse import urlencode

import pytest

from gatelodge.accounts.store import User
from gatelodge.app import House
from tests.pages.reader import ACCEPT, FORM, Reader
from tests.support.events import newest
from tests.support.naughty import NAUGHTY
from tests.support.people import PASSWORD, new_user

PATH = "/account/profile"
MAY = pytest.mark.parametrize("settings", [{"username_change": "on"}], indirect=True)


async def names_of(house: House, user: User) -> tuple[str, str]:
    """Return the name and the username of a user, as stored."""
    found = await house.stores.users.find(user.id)
    assert found is not None
    return found.name, found.username


async def test_somebody_says_what_to_call_them(reader: Reader, house: House, ann: User) -> None:
    """The account page shows it; the form shows it again; an empty field removes it."""
    account = await reader.open("/account")
    assert PATH in account.links
    assert "Name" not in account.text.split()
    assert (await reader.open(PATH)).form(PATH) == {"name": ""}

    saved = await reader.fill_in(PATH, name=" Ann <b>of</b> Green Gables ")

    assert (saved.path, saved.notice) == ("/account", "Your profile is saved.")
    assert "Name Ann <b>of</b> Green Gables" in saved.text
    assert (await reader.open("/account")).notice == ""
    assert "Hello, Ann <b>of</b> Green Gables" in (await reader.open("/")).text
    assert (await reader.open(PATH)).form(PATH) == {"name": "Ann <b>of</b> Green Gables"}
    assert (await reader.fill_in(PATH, name="")).notice == "Your profile is saved."
    assert await names_of(house, ann) == ("", "ann")
    assert "Hello, ann" in (await reader.open("/")).text


async def test_a_form_that_is_saved_leads_on_by_a_redirect(reader: Reader, ann: User) -> None:
    answer = await reader.post(PATH, {"name": ann.username})
    assert (answer.status_code, answer.headers["location"]) == (303, "/account")


@pytest.mark.parametrize("name", ["x" * 101, "x" * 3000, "a\u202eb"])
async def test_a_name_that_breaks_a_rule_is_told_beside_it(
    reader: Reader, house: House, ann: User, name: str
) -> None:
    page = await reader.fill_in(PATH, name=name)

    assert (page.status, page.path, page.focused) == (400, PATH, "name")
    assert page.problem("name").startswith("A name has at most 100 characters")
    assert page.alert == page.problem("name")
    assert page.form(PATH)["name"] == name[:1024]
    assert await names_of(house, ann) == ("", "ann")


async def test_a_username_stays_unless_the_setting_says_otherwise(
    reader: Reader, house: House, ann: User
) -> None:
    """The form does not offer it, and a form that was made by hand is told so."""
    page = await reader.send(PATH, name="Ann", username="anna")

    assert (page.status, page.alert) == (403, "Usernames cannot be changed here.")
    assert set(page.form(PATH)) == {"name"}
    assert await names_of(house, ann) == ("", "ann")


@MAY
async def test_somebody_changes_their_username(reader: Reader, house: House, ann: User) -> None:
    """Name and username in one form."""
    assert (await reader.open(PATH)).form(PATH) == {"name": "", "username": "ann"}
    assert (await reader.fill_in(PATH, name="Ann")).notice == "Your profile is saved."

    saved = await reader.fill_in(PATH, name="Anna", username="anna ")

    assert saved.notice == "Your profile is saved."
    assert "Username anna" in saved.text
    assert await names_of(house, ann) == ("Anna", "anna")
    assert "anna" in (await reader.open("/boards/user")).response.text
    await reader.send("/sign-out")
    assert (await reader.fill_in("/sign-in", username="ann", password=PASSWORD)).status == 401
    assert (await reader.fill_in("/sign-in", username="anna", password=PASSWORD)).status == 200


@MAY
@pytest.mark.parametrize(
    ("wrong", "field", "sentence"),
    [
        ({"username": "a"}, "username", "A username has 3 to 32 characters."),
        ({"username": ""}, "username", "A username has 3 to 32 characters."),
        ({"username": "Admin"}, "username", "That username is reserved."),
        ({"username": "BOB"}, "username", "That username is taken."),
    ],
)
async def test_what_is_wrong_is_told_beside_its_field(
    reader: Reader, house: House, ann: User, wrong: dict[str, str], field: str, sentence: str
) -> None:
    """What was typed is shown again; nothing is stored, the name neither."""
    await new_user(house, "bob")
    typed = {"name": "Anna", "username": "anna"} | wrong

    page = await reader.fill_in(PATH, **typed)

    assert (page.status, page.path, page.focused) == (400, PATH, field)
    assert page.problem(field).startswith(sentence)
    assert page.alert == page.problem(field)
    assert page.form(PATH) == typed
    assert await names_of(house, ann) == ("", "ann")
    assert (await reader.fill_in(PATH, username="anna")).status == 200


@MAY
async def test_several_mistakes_are_told_at_once(reader: Reader, ann: User) -> None:
    page = await reader.fill_in(PATH, name="x" * 101, username=f"{ann.username}?")

    assert page.problem("name")
    assert page.problem("username")
    assert page.focused == "name"


@MAY
async def test_a_form_that_is_sent_twice_at_once_does_its_work_once(
    reader: Reader, house: House, ann: User
) -> None:
    typed = {"name": "Anna", "username": "anna"}

    answers = await asyncio.gather(*(reader.post(PATH, typed) for _ in range(2)))

    assert {answer.status_code for answer in answers} == {303}
    assert "/account" in {answer.headers["location"] for answer in answers}
    events = await newest(house.stores.events, 9)
    assert [event.name for event in events].count("user.renamed") == 1
    assert await names_of(house, ann) == ("Anna", "anna")


@pytest.mark.parametrize(
    "settings",
    [{"username_change": "on", "sign_in_tries_per_account": 0}],
    indirect=True,
)
async def test_nothing_typed_makes_the_server_stumble(reader: Reader, ann: User) -> None:
    headers = {"Origin": "http://localhost:8080", "Accept": ACCEPT, "Content-Type": FORM}
    for text in NAUGHTY[::5]:
        encoded = text.encode("utf-8", "surrogatepass")
        for names in (("name",), ("name", "username")):
            body = urlencode({"username": ann.username} | dict.fromkeys(names, encoded))
            response = await reader.client.post(PATH, content=body, headers=headers)
            if response.headers.get("location") == PATH:
                response = await reader.ask(PATH)
            assert response.status_code in {303, 400, 413}, ascii(text[:99])


@MAY
async def test_the_page_speaks_german(reader: Reader, ann: User) -> None:
    reader.headers["Accept-Language"] = "de"
    page = await reader.fill_in(PATH, username=f"{ann.username}?")
    assert page.heading == "Profil bearbeiten"
    assert page.problem("username").startswith("Ein Benutzername")
