"""The console's pages of users: what administrators do there, in a browser without JavaScript."""

import re
from dataclasses import replace
from datetime import timedelta
from typing import Any

import httpx2
import pytest

from gatelodge.accounts.permissions import EVENTS_READ, SESSIONS_END, USERS_READ, USERS_WRITE
from gatelodge.accounts.service import NewUser
from gatelodge.accounts.store import User
from gatelodge.admin.users import BULK_LIMIT
from gatelodge.admin.users_pages import ON_A_PAGE
from gatelodge.app import House
from gatelodge.audit import COMMAND
from gatelodge.credentials.own_proof import FRESH
from gatelodge.ids import new_id
from tests.pages.reader import Page, Reader
from tests.pages.test_again import prove
from tests.pages.test_letters import path_in
from tests.pages.test_walk import another_browser
from tests.support.clock import FakeClock
from tests.support.mailbox import Mailbox, delivered
from tests.support.people import PASSWORD, new_user, sign_in_browser

USERS = "/admin/users"
LATER = FRESH + timedelta(seconds=2)


@pytest.fixture
def house(posting_house: House) -> House:
    """Return a house whose letters go into a mailbox when a test says so."""
    return posting_house


@pytest.fixture
async def root(client: httpx2.AsyncClient, house: House) -> User:
    """Return the administrator whom the reader is signed in as."""
    return await sign_in_browser(client, house, "root", "admin")


async def made(house: House, username: str, **facts: Any) -> User:
    """Return a new user with this username."""
    wanted = NewUser(username, f"{username}@example.com", PASSWORD)
    return await house.accounts.create(replace(wanted, **{"roles": ("user",)} | facts), COMMAND)


async def now(house: House, user: User) -> User:
    """Return a user as they are stored now."""
    return await house.accounts.get_by_username(user.username)


async def of_support(
    client: httpx2.AsyncClient, house: House, *permissions: str, name: str = "sue"
) -> User:
    """Sign the reader in as somebody who holds a role with these permissions."""
    if "support" not in {each.name for each in await house.roles.list_roles()}:
        await house.roles.create("support", "Helps.", permissions, COMMAND)
    return await sign_in_browser(client, house, name, "support")


def shown(page: Page) -> list[str]:
    """Return the names in the list of users, in their order."""
    return ["".join(each.itertext()) for each in page.tree.iterfind(".//a[@class='opens']")]


def path_of(user: User, act: str = "") -> str:
    """Return the path of a user's page, or of an act on the user."""
    return f"{USERS}/{user.id}{act}"


# Finding somebody


@pytest.mark.usefixtures("root")
async def test_somebody_is_found_by_the_start_of_a_name_or_by_filters(
    reader: Reader, house: House, clock: FakeClock
) -> None:
    clock.advance(timedelta(seconds=1))
    await made(house, "bob", name="Robert Ray", email_verified=True)
    clock.advance(timedelta(seconds=1))
    await made(house, "carol", name="Carol Bo", roles=("user", "moderator"))
    clock.advance(timedelta(seconds=1))
    await house.accounts.disable(await made(house, "dave"), COMMAND)

    every = await reader.open(USERS)
    assert shown(every) == ["dave", "Carol Bo", "Robert Ray", "root"]
    assert "4 users" in every.text
    assert "1–4 of 4" not in every.text  # one page needs no foot
    for query, names in (
        ("q=BO", ["Robert Ray"]),
        ("q=carol@ex", ["Carol Bo"]),
        ("q=%20robert+ra", ["Robert Ray"]),
        ("q=ray", []),
        ("role=moderator", ["Carol Bo"]),
        ("state=disabled", ["dave"]),
        ("verified=yes", ["Robert Ray"]),
        ("factor=any", []),
        ("order=username", ["Robert Ray", "Carol Bo", "dave", "root"]),
        ("order=oldest", ["root", "Robert Ray", "Carol Bo", "dave"]),
        ("from=2026-05-04&until=2026-05-04&state=disabled", ["dave"]),
        ("until=2026-05-03", []),
        ("seen_from=2026-05-04", ["root"]),
        ("seen_until=2026-05-03", []),
    ):
        page = await reader.open(f"{USERS}?{query}")
        assert (page.status, shown(page)) == (200, names), query
    nobody = await reader.open(f"{USERS}?q=nobody")
    assert "Try fewer letters, or take a filter away." in nobody.text
    assert USERS in nobody.links


@pytest.mark.usefixtures("root")
async def test_a_filter_can_be_taken_away_again(reader: Reader, house: House) -> None:
    """Each is shown with a link to the same list without it; the form has what was asked for."""
    await made(house, "carol", roles=("user", "moderator"))

    page = await reader.open(f"{USERS}?q=car&role=moderator&verified=no")

    assert shown(page) == ["carol"]
    assert f"{USERS}?q=car&verified=no" in page.links
    assert f"{USERS}?q=car&role=moderator" in page.links
    sent = page.form(USERS)
    assert (sent["q"], sent["role"], sent["verified"], sent["state"]) == (
        "car",
        "moderator",
        "no",
        "",
    )


@pytest.mark.usefixtures("root")
@pytest.mark.parametrize(
    "query",
    [
        "state=maybe",
        "verified=1",
        "factor=browser",
        "order=password_hash",
        "from=yesterday",
        "until=9999-12-31",
        "seen_from=2026-02-30",
        "after=nonsense",
        "after=%00",
        f"q={'x' * 255}",
        "q=a&q=b",
    ],
)
async def test_what_the_page_does_not_offer_is_refused(reader: Reader, query: str) -> None:
    page = await reader.open(f"{USERS}?{query}")

    assert (page.status, page.heading) == (400, "That did not work")


@pytest.mark.usefixtures("root")
@pytest.mark.parametrize("query", ["q=%00", "q=%F0%9F%A6%8A", "q='%22<b>", "q=%ED%A0%80", "role=x"])
async def test_whatever_is_looked_for_is_looked_for(reader: Reader, query: str) -> None:
    assert (await reader.open(f"{USERS}?{query}")).status == 200


@pytest.mark.usefixtures("root")
async def test_the_pages_of_the_list_show_everybody_once(reader: Reader, house: House) -> None:
    for number in range(2 * ON_A_PAGE):
        await new_user(house, f"user{number:02}")

    page, seen = await reader.open(f"{USERS}?order=username"), []
    for told in ("1–20 of 41", "21–40 of 41", "41–41 of 41"):
        seen += shown(page)
        assert told in page.text
        following = page.tree.find(".//a[@rel='next']")
        page = page if following is None else await reader.open(following.attrib["href"])

    assert seen == ["root", *(f"user{number:02}" for number in range(2 * ON_A_PAGE))]


@pytest.mark.usefixtures("root")
async def test_of_very_many_who_match_some_are_counted(
    reader: Reader, house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(ON_A_PAGE + 1):
        await made(house, f"ann{number:02}")
    monkeypatch.setattr("gatelodge.admin.users.COUNTED", 3)
    many, few = await reader.open(f"{USERS}?q=ann"), await reader.open(f"{USERS}?q=ann01")
    german = await reader.open(f"{USERS}?q=ann&language=de")

    assert "3 or more users" in many.text
    assert "1–20 of 3 or more" in many.text
    assert "1 user" in few.text
    assert "1–20 von 3 oder mehr" in german.text


@pytest.mark.usefixtures("root")
async def test_who_is_alone_learns_how_others_come_in(reader: Reader, house: House) -> None:
    page = await reader.open(USERS)
    assert "You are the only user so far" in page.text
    assert "/admin/invitations/new" in page.links

    await new_user(house, "bob")
    assert "You are the only user" not in (await reader.open(USERS)).text


async def test_a_full_page_of_users_weighs_little(reader: Reader, house: House, root: User) -> None:
    """At most 60 KB in 4 requests, uncompressed, with names as long as they come."""
    for number in range(ON_A_PAGE):
        user = await made(house, f"{'w' * 28}{number:02}", name=f"{number:02} {'W' * 97}")
        await house.accounts.grant(user, "moderator", COMMAND)
        await house.accounts.disable(user, COMMAND)
    for path in (f"{USERS}?order=newest", path_of(root)):
        page = await reader.open(path)
        loaded = {each.attrib["href"] for each in page.tree.iterfind(".//head/link[@href]")}
        loaded |= {each.attrib["src"] for each in page.tree.iterfind(".//*[@src]")}
        weight = len(page.response.content)
        for address in loaded:
            asset = await reader.ask(address)
            assert asset.headers["cache-control"] == "public, max-age=31536000, immutable"
            weight += len(asset.content)

        assert len(loaded) + 1 <= 4
        assert weight <= 60 * 1024, weight
        print(f"{path}: {len(page.response.content)} bytes, {weight} in all")  # noqa: T201


# One user


@pytest.mark.usefixtures("root")
async def test_a_page_shows_one_user_and_no_secret(reader: Reader, house: House) -> None:
    bob = await made(house, "bob", name="Bob <b>", roles=("user", "moderator"))
    phone = another_browser(house, **{"User-Agent": "curl/8.14"})
    await phone.fill_in("/sign-in", username="bob", password=PASSWORD)

    page = await reader.open(path_of(bob))

    assert page.heading == "Bob <b>"
    for told in ("bob@example.com", bob.id, "moderator", "curl", "session.opened", "user.created"):
        assert told in page.text, told
    assert not re.search(r"argon2|rt_|eyJ", page.response.text)
    assert path_of(bob, "/disable") in page.links


@pytest.mark.usefixtures("root")
@pytest.mark.parametrize("user_id", ["usr_x", "x", "usr_" + "0" * 36, "..%2f", "%00", "ü"])
async def test_an_id_that_nobody_has_is_not_found(reader: Reader, user_id: str) -> None:
    for act in ("", "/edit", "/roles", "/disable", "/delete", "/end-sessions"):
        assert (await reader.open(f"{USERS}/{user_id}{act}")).status == 404
    for act in ("/disable", "/enable", "/delete", "/reset-factors"):
        assert (await reader.send(f"{USERS}/{user_id}{act}")).status == 404


@pytest.mark.usefixtures("root")
async def test_who_is_disabled_is_out_on_the_next_page_and_may_come_back(
    reader: Reader, house: House
) -> None:
    phone = another_browser(house)
    await phone.sign_up("bob")
    bob = await house.accounts.get_by_username("bob")
    assert (await reader.open(path_of(bob, "/disable"))).heading == "Disable bob?"

    page = await reader.fill_in(path_of(bob, "/disable"), reason="Sends spam.")

    assert (page.path, page.notice) == (
        path_of(bob),
        "The user is disabled, and signed out everywhere.",
    )
    assert "Reason: Sends spam." in page.text
    assert "user.disabled by root" in page.text
    assert (await phone.open("/account")).heading == "Sign in"

    page = await reader.send(path_of(bob, "/enable"))
    assert page.notice == "The user can sign in again."
    back = await phone.fill_in("/sign-in", username="bob", password=PASSWORD)
    assert back.heading == "Hello, bob"


@pytest.mark.usefixtures("root")
async def test_a_reason_that_cannot_be_kept_is_told_beside_its_field(
    reader: Reader, house: House
) -> None:
    bob = await new_user(house, "bob")

    page = await reader.fill_in(path_of(bob, "/disable"), reason="x" * 300)

    assert (page.path, page.status) == (path_of(bob, "/disable"), 400)
    assert page.problem("reason") == "A reason is one line of at most 256 printable characters."
    assert page.form(path_of(bob, "/disable"))["reason"] == "x" * 300
    assert (await now(house, bob)).disabled_at is None


@pytest.mark.usefixtures("root")
async def test_roles_are_granted_and_taken_and_count_on_the_next_page(
    reader: Reader, house: House
) -> None:
    phone = another_browser(house)
    await phone.sign_up("bob")
    bob = await house.accounts.get_by_username("bob")
    page = await reader.open(path_of(bob, "/roles"))
    assert page.heading == "Roles of bob"
    assert page.boxes("roles") == {"admin": False, "moderator": False, "user": True}

    saved = await reader.fill_in(path_of(bob, "/roles"), roles=["moderator", "user"])
    assert (saved.path, saved.notice) == (path_of(bob), "The roles are saved.")
    assert (await phone.open("/boards/mod")).heading == "Moderator board"

    await reader.fill_in(path_of(bob, "/roles"), roles=["user"])
    assert (await phone.open("/boards/mod")).status == 403


@pytest.mark.usefixtures("root")
async def test_saving_roles_undoes_nothing_that_somebody_else_has_changed(
    reader: Reader, house: House
) -> None:
    """While the page was open, Bob became a moderator. Taking `user` leaves that as it is."""
    bob = await new_user(house, "bob")
    filled = (await reader.open(path_of(bob, "/roles"))).form(path_of(bob, "/roles"))
    await house.accounts.grant(bob, "moderator", COMMAND)

    await reader.send(path_of(bob, "/roles"), **filled | {"roles": []})

    assert (await now(house, bob)).roles == ("moderator",)


@pytest.mark.usefixtures("root")
async def test_an_edit_changes_what_was_changed_and_nothing_else(
    reader: Reader, house: House
) -> None:
    bob = await made(house, "bob", email_verified=True)
    path = path_of(bob, "/edit")
    filled = (await reader.open(path)).form(path)

    page = await reader.send(path, **filled | {"name": "Bob Ray", "email": "bob@example.org"})

    assert (page.path, page.notice) == (path_of(bob), "The user is saved.")
    user = await now(house, bob)
    assert (user.name, user.username, user.email) == ("Bob Ray", "bob", "bob@example.org")
    assert user.email_verified_at is None, "another address is another mailbox"

    await new_user(house, "carol")
    page = await reader.fill_in(path, username="carol", email="x")
    assert page.problem("username") or page.problem("email")
    page = await reader.fill_in(path, username="")
    assert page.problem("username") == "Enter a username."

    page = await reader.send(path_of(bob, "/verify-email"))
    assert page.path == path_of(bob)
    assert (await now(house, bob)).email_verified_at is not None


@pytest.mark.usefixtures("root")
async def test_who_cannot_get_in_gets_a_letter_and_a_known_password_is_void(
    reader: Reader, house: House, mailbox: Mailbox
) -> None:
    bob = await made(house, "bob", email_verified=True)
    page = await reader.send(path_of(bob, "/password-letter"))
    assert (page.path, page.notice) == (path_of(bob), "The letter is on its way.")
    await delivered(house)
    assert mailbox.kinds()[-1][0] == "bob@example.com"

    question = await reader.open(path_of(bob, "/require-new-password"))
    assert question.heading == "Require a new password of bob?"
    page = await reader.send(path_of(bob, "/require-new-password"))
    assert page.notice == "At the next sign-in, the user sets a new password."
    assert "They must choose a new one at the next sign-in." in page.text
    phone = another_browser(house)
    refused = await phone.fill_in("/sign-in", username="bob", password=PASSWORD)
    assert refused.heading != "Hello, bob"


@pytest.mark.usefixtures("root")
async def test_sessions_are_ended_one_by_one_or_all(reader: Reader, house: House) -> None:
    phone, laptop = another_browser(house, **{"User-Agent": "curl/8"}), another_browser(house)
    await phone.sign_up("bob")
    bob = await house.accounts.get_by_username("bob")
    await laptop.fill_in("/sign-in", username="bob", password=PASSWORD)
    (first,) = [
        each.id
        for each in await house.sessions.list_own(bob, before=None, limit=9)
        if each.user_agent == "curl/8"
    ]

    page = await reader.send(path_of(bob, "/end-session"), session=first)
    assert (page.path, page.notice) == (path_of(bob), "The session has ended.")
    assert (await phone.open("/account")).heading == "Sign in"
    assert (await laptop.open("/account")).heading == "Your account"
    again = await reader.send(path_of(bob, "/end-session"), session=first)
    assert (again.status, again.notice) == (200, "")

    page = await reader.fill_in(path_of(bob, "/end-sessions"))
    assert page.notice == "The user is signed out everywhere."
    assert "Nowhere." in page.text
    assert (await laptop.open("/account")).heading == "Sign in"


async def test_a_deletion_asks_first_who_one_is(
    reader: Reader, house: House, root: User, clock: FakeClock
) -> None:
    bob = await made(house, "bob", name="Bob Ray")
    assert (await reader.open(path_of(bob, "/delete"))).heading == "Delete Bob Ray?"
    clock.advance(LATER)

    question = await prove(reader, await reader.open(path_of(bob, "/delete")))
    assert (question.path, question.heading) == (path_of(bob, "/delete"), "Delete Bob Ray?")
    page = await reader.fill_in(path_of(bob, "/delete"))

    assert (page.path, page.notice) == (USERS, "The user is deleted.")
    assert shown(page) == ["root"]
    assert (await reader.open(path_of(bob))).status == 404


async def test_the_last_administrator_stays(reader: Reader, house: House, root: User) -> None:
    """Nobody is offered to disable or delete themselves. Whoever sends the form is refused."""
    page = await reader.open(path_of(root))
    assert "This is you." in page.text
    assert path_of(root, "/disable") not in page.links
    assert path_of(root, "/delete") not in page.links
    for act in ("/disable", "/delete"):
        assert (await reader.send(path_of(root, act))).status == 409

    page = await reader.fill_in(path_of(root, "/roles"), roles=["user"])
    assert page.status == 409
    assert page.alert
    assert (await now(house, root)).roles == ("user", "admin")


# Several at once


@pytest.mark.usefixtures("root")
async def test_the_chosen_ones_are_named_and_the_report_tells_of_each(
    reader: Reader, house: House
) -> None:
    bob, carol, dave = [await new_user(house, name) for name in ("bob", "carol", "dave")]
    await house.accounts.disable(dave, COMMAND)
    listed = await reader.open(f"{USERS}?order=username")
    assert set(listed.boxes("user")) >= {bob.id, carol.id, dave.id}
    chosen = "&".join(f"user={each.id}" for each in (bob, dave))
    back = "next=/admin/users%3Forder%3Dusername"

    question = await reader.open(f"{USERS}/selected?act=disable&{chosen}&{back}")
    assert question.heading == "Disable 2 users?"
    assert "bob" in question.text
    assert "carol" not in question.text
    sent = question.form(f"{USERS}/selected")
    report = await reader.send(
        f"{USERS}/selected", **sent | {"reason": "Spam.", "user": [bob.id, dave.id]}
    )

    assert report.heading == "Done: 1 of 2"
    assert "bob Disabled" in report.text
    assert "dave Was disabled before" in report.text
    assert f"{USERS}?order=username" in report.links
    assert (await now(house, bob)).disabled_reason == "Spam."
    assert (await now(house, carol)).disabled_at is None


@pytest.mark.usefixtures("root")
async def test_a_choice_waits_for_the_proof(reader: Reader, house: House, clock: FakeClock) -> None:
    """A whole page of chosen users, whose form comes back after the password."""
    users = [await new_user(house, f"user{number:02}") for number in range(ON_A_PAGE)]
    path = f"{USERS}/selected"
    clock.advance(LATER)

    asked = await reader.send(path, act="grant", user=[each.id for each in users], role="moderator")
    question = await prove(reader, asked)

    assert question.notice == "Nothing has changed yet. Please send the form once more."
    assert question.heading == f"Grant {ON_A_PAGE} users a role?"
    sent = question.form(path)
    assert sent["role"] == "moderator"
    report = await reader.send(path, **sent | {"user": [each.id for each in users]})
    assert report.heading == f"Done: {ON_A_PAGE} of {ON_A_PAGE}"
    assert {(await now(house, each)).roles for each in users} == {("user", "moderator")}


@pytest.mark.usefixtures("root")
async def test_a_choice_from_several_pages_waits_whole_for_the_proof(
    reader: Reader, house: House, clock: FakeClock
) -> None:
    """Nobody who was chosen is lost on the way, however long the list of ids is."""
    users = [await new_user(house, f"user{number:02}") for number in range(40)]
    path = f"{USERS}/selected"
    clock.advance(LATER)

    asked = await reader.send(path, act="grant", user=[each.id for each in users], role="moderator")
    question = await prove(reader, asked)

    assert question.heading == "Grant 40 users a role?"
    asked_about = question.tree.iterfind(".//input[@name='user']")
    assert {each.attrib["value"] for each in asked_about} == {each.id for each in users}


@pytest.mark.usefixtures("root")
async def test_more_users_than_are_acted_on_at_once_are_refused_and_nobody_is_changed(
    reader: Reader, house: House, clock: FakeClock
) -> None:
    bob = await new_user(house, "bob")
    ids = [bob.id, *(new_id("usr", clock.now()) for _ in range(BULK_LIMIT))]

    asked = await reader.send(f"{USERS}/selected", act="disable", user=ids)

    assert asked.status == 400
    assert "At most 200 users can be chosen at once. Nothing was done." in asked.text
    assert (await now(house, bob)).disabled_at is None
    report = await reader.send(f"{USERS}/selected", act="disable", user=[*ids[:-1], bob.id])
    assert report.heading == f"Done: 1 of {BULK_LIMIT}"
    assert (await now(house, bob)).disabled_at is not None


@pytest.mark.usefixtures("root")
async def test_an_address_that_chooses_too_many_users_is_refused(reader: Reader) -> None:
    """Only a short address gets through, so these ids belong to nobody."""
    chosen = "&".join(f"user={number}" for number in range(BULK_LIMIT + 1))

    page = await reader.open(f"{USERS}/selected?act=enable&{chosen}")

    assert page.status == 400
    assert "At most 200 users can be chosen at once." in page.text


@pytest.mark.usefixtures("root")
async def test_who_has_chosen_nobody_is_told_so(reader: Reader) -> None:
    page = await reader.open(f"{USERS}/selected?act=delete&next={USERS}%3Fstate%3Denabled")

    assert page.path == USERS
    assert page.response.url.query == b"state=enabled"
    assert page.notice == "Nobody was chosen. Tick the users first."
    assert (await reader.open(f"{USERS}/selected?act=promote&user=usr_x")).status == 200
    elsewhere = await reader.open(f"{USERS}/selected?act=delete&next=https://evil.example/")
    assert elsewhere.path == USERS


@pytest.mark.usefixtures("root")
async def test_the_report_says_in_the_language_of_the_reader_why_a_role_cannot_be_taken(
    reader: Reader, house: House
) -> None:
    bob = await new_user(house, "bob")
    await house.roles.create("vip", "", (), COMMAND)
    await house.accounts.grant(bob, "vip", COMMAND)
    await of_support(reader.client, house, USERS_READ, USERS_WRITE)
    reader.headers["Accept-Language"] = "de"

    report = await reader.send(f"{USERS}/selected", act="withdraw", user=[bob.id], role="vip")

    assert "bob Sie können nur Rollen nehmen, die Sie auch geben könnten." in report.text
    assert (await now(house, bob)).roles == ("user", "vip")


# New users


@pytest.mark.usefixtures("root")
async def test_a_user_is_created_with_a_password_or_gets_a_letter(
    reader: Reader, house: House, mailbox: Mailbox, clock: FakeClock
) -> None:
    path = f"{USERS}/new"
    page = await reader.fill_in(
        path,
        username="bob",
        email="bob@example.com",
        password=PASSWORD,
        roles=["user", "moderator"],
    )
    assert (page.heading, page.notice) == ("bob", "The user is created.")
    assert (await house.accounts.get_by_username("bob")).roles == ("user", "moderator")

    page = await reader.fill_in(path, username="carol", email="carol@example.com", name="Carol")
    assert page.notice == "The user is created. A letter lets them choose a password."
    clock.advance(timedelta(minutes=1))
    await delivered(house)
    assert mailbox.kinds() == [("carol@example.com", "set-password")]

    page = await reader.fill_in(path, username="bob", email="dora@example.com", password=PASSWORD)
    assert page.status == 400
    assert page.problem("username") == "That username is taken. Please choose another."
    assert page.boxes("roles")["user"]
    page = await reader.send(path)
    assert (page.problem("username"), page.problem("email")) == (
        "Enter a username.",
        "Enter your e-mail address.",
    )


async def test_somebody_is_invited_accepts_or_is_not_let_in_any_more(
    reader: Reader, house: House, root: User, mailbox: Mailbox
) -> None:
    path = "/admin/invitations"
    assert "Nobody is invited" in (await reader.open(path)).text
    page = await reader.fill_in(f"{path}/new", email="bob@example.com", roles=["moderator"])
    assert (page.path, page.notice) == (path, "The invitation is on its way.")
    assert "The letter was not sent yet." in page.text
    await delivered(house)
    phone = another_browser(house)
    await phone.open(path_in(mailbox))
    made_one = await phone.fill_in("/invitation", username="bob", password=PASSWORD)
    assert made_one.status == 200
    assert (await house.accounts.get_by_username("bob")).roles == ("moderator",)
    assert "bob@example.com" not in (await reader.open(path)).text

    await reader.fill_in(f"{path}/new", email="carol@example.com")
    await delivered(house)
    listed = await reader.open(path)
    page = await reader.send(f"{path}/withdraw", **listed.form(f"{path}/withdraw"))
    assert page.notice == "The invitation is void."
    assert (await phone.open(path_in(mailbox))).status == 410
    again = await reader.send(f"{path}/withdraw", **listed.form(f"{path}/withdraw"))
    assert (again.path, again.status, again.notice) == (path, 200, "")


# Who may do what


async def test_who_administers_sees_the_way_into_the_console(
    client: httpx2.AsyncClient, house: House, reader: Reader
) -> None:
    """And nobody else: for them there is no such entry in the menu."""
    await sign_in_browser(client, house, "ann")
    assert "/admin" not in (await reader.open("/account")).links
    assert (await reader.open("/admin")).status == 403

    await of_support(client, house, USERS_READ)
    assert "/admin" in (await reader.open("/account")).links
    assert (await reader.open("/admin")).path == "/admin/overview"
    page = await reader.open(USERS)
    assert {each for each in page.links if each.startswith("/admin")} >= {USERS}
    assert f"{USERS}/new" not in page.links
    assert page.boxes("user") == {}
    assert (await reader.open(f"{USERS}/new")).status == 403


async def test_who_may_open_no_list_of_the_console_is_told_so_and_what_they_did(
    client: httpx2.AsyncClient, house: House, reader: Reader
) -> None:
    """They act on users whose addresses they were given, and come back here."""
    bob = await new_user(house, "bob")
    await of_support(client, house, SESSIONS_END, "account:manage")
    assert "/admin" in (await reader.open("/account")).links

    page = await reader.open("/admin")
    assert (page.status, page.heading) == (200, "Administration")
    assert "Ask an administrator for users:read, too." in page.text
    assert f"{USERS}/new" not in page.links

    done = await reader.send(path_of(bob, "/end-sessions"))
    assert (done.status, done.path) == (200, "/admin")
    assert done.notice == "The user is signed out everywhere."


async def test_who_may_only_create_users_finds_how(
    client: httpx2.AsyncClient, house: House, reader: Reader
) -> None:
    await of_support(client, house, USERS_WRITE)

    page = await reader.open("/admin")

    assert {f"{USERS}/new", "/admin/invitations/new"} <= set(page.links)
    assert (await reader.open(f"{USERS}/new")).status == 200


async def test_nobody_acts_on_somebody_who_may_do_more(
    client: httpx2.AsyncClient, house: House, reader: Reader
) -> None:
    """Users out of reach are shown, without acts; a form that is sent all the same is refused."""
    boss, bob = await new_user(house, "boss", "admin"), await new_user(house, "bob")
    await of_support(client, house, USERS_READ, USERS_WRITE, "account:manage")

    page = await reader.open(path_of(boss))
    assert "This user may do more than you may, so you may not act on them." in page.text
    assert [each for each in page.links if each.startswith(path_of(boss, "/"))] == []
    assert "user.created" not in page.text  # they may not read events
    for act in ("/disable", "/edit", "/roles"):
        assert (await reader.open(path_of(boss, act))).status == 403
    assert (await reader.send(path_of(boss, "/disable"))).status == 403
    assert boss.id not in (await reader.open(USERS)).boxes("user")

    report = await reader.send(f"{USERS}/selected", act="disable", user=[boss.id, bob.id])
    assert report.heading == "Done: 1 of 2"
    assert "boss This user may do more than you may" in report.text
    assert (await now(house, boss)).disabled_at is None
    denied = await reader.send(f"{USERS}/selected", act="delete", user=[bob.id])
    assert denied.status == 403


async def test_nobody_grants_what_they_do_not_have(
    client: httpx2.AsyncClient, house: House, reader: Reader
) -> None:
    bob = await new_user(house, "bob")
    await of_support(client, house, USERS_READ, USERS_WRITE, "account:manage")
    path = path_of(bob, "/roles")
    page = await reader.open(path)
    fixed = {
        each.attrib["value"]
        for each in page.tree.iterfind(".//input[@name='roles']")
        if "disabled" in each.attrib
    }
    assert fixed == {"admin", "moderator"}

    refused = await reader.fill_in(path, roles=["user", "admin"])
    assert refused.status == 403
    assert (await now(house, bob)).roles == ("user",)
    granted = await reader.fill_in(path, roles=["user", "support"])
    assert granted.notice == "The roles are saved."
    assert "admin" not in (await reader.open(f"{USERS}/new")).boxes("roles")


async def test_who_may_read_events_sees_those_about_a_user(
    client: httpx2.AsyncClient, house: House, reader: Reader
) -> None:
    bob = await new_user(house, "bob")
    await of_support(client, house, USERS_READ, EVENTS_READ)

    page = await reader.open(path_of(bob))
    assert "The account was made user.created" in page.text
    [created] = [each for each in page.links if "/admin/events/evt_" in each]
    assert "The account was made" in (await reader.open(created)).text
    reader.headers["Accept-Language"] = "de"
    assert "Das Konto wurde angelegt user.created" in (await reader.open(path_of(bob))).text


# Templates


async def test_the_console_can_be_given_other_templates(
    reader: Reader, root: User, tmp_path: Any, house: House
) -> None:
    """They lie in `admin` in the operator's folder. A `base.html` of theirs is not used here."""
    assert root
    folder = tmp_path / "templates"
    (folder / "admin").mkdir(parents=True)
    (folder / "base.html").write_text("nothing")
    (folder / "admin" / "users.html").write_text(
        '{% extends "gatelodge/admin/users.html" %}{% block title %}People{% endblock %}'
    )
    house.pages._environment = type(house.pages)(house.pages.site, folder)._environment

    page = await reader.open(USERS)

    assert page.title == "People · Gatelodge"
    assert shown(page) == ["root"]
