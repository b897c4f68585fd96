"""What a form leaves for the next page: a notice or a refusal, shown once, forged by nobody."""

from base64 import urlsafe_b64decode

import pytest

from gatelodge.accounts.store import User
from gatelodge.app import House
from gatelodge.audit import COMMAND
from gatelodge.pages.carried import EMPTY, LIFE, Carried
from gatelodge.pages.forms import Form
from gatelodge.pages.wording import NOTICES
from tests.pages.reader import ACCEPT, FORM, Reader
from tests.support.clock import FakeClock
from tests.support.people import PASSWORD

COOKIE = "gatelodge-page"
OTHER = "another horse battery"
WRONG = {"username": "b!", "email": "nope", "password": "a secret that is fine"}


def kept(reader: Reader) -> str:
    """Return the value of the cookie that carries."""
    return str(reader.client.cookies[COOKIE])


def keep(reader: Reader, value: str) -> None:
    """Put a value into that cookie."""
    del reader.client.cookies[COOKIE]
    reader.client.cookies.set(COOKIE, value, "localhost.local", "/")


async def change_password(reader: Reader) -> None:
    """Leave a notice for the account page."""
    response = await reader.post(
        "/account/password", {"currentPassword": PASSWORD, "newPassword": OTHER}
    )
    assert response.headers["location"] == "/account"


@pytest.mark.usefixtures("ann")
async def test_a_notice_is_shown_once(reader: Reader) -> None:
    """Its page has the bare address: Back, Reload and a bookmark show no notice."""
    await change_password(reader)

    assert (await reader.open("/account")).notice == NOTICES["password-changed"]
    assert kept(reader) == EMPTY
    assert (await reader.open("/account")).notice == ""


@pytest.mark.usefixtures("ann")
async def test_a_notice_waits_for_its_own_page(reader: Reader) -> None:
    await change_password(reader)

    for path in ("/", "/boards/user", "/nowhere"):
        assert (await reader.open(path)).notice == ""
    assert (await reader.open("/account")).notice


@pytest.mark.usefixtures("ann")
async def test_a_notice_that_nobody_came_for_is_forgotten(reader: Reader, clock: FakeClock) -> None:
    await change_password(reader)
    clock.advance(LIFE)

    assert (await reader.open("/account")).notice == ""


@pytest.mark.usefixtures("ann")
async def test_nobody_forges_a_notice(reader: Reader, house: House) -> None:
    """Neither with a link, nor with a cookie that another host of the domain sets."""
    for done in (*NOTICES, "x"):
        for path in ("/", "/account", "/sign-in", "/sign-out"):
            assert (await reader.open(f"{path}?done={done}")).notice == ""
    await change_password(reader)
    true = kept(reader)
    elsewhere = house.carrier.seal("/", Carried(notice="account-deleted"))
    for forged in (
        true[:-5] + "AAAA=",
        true[4:],
        elsewhere,
        "",
        "x" * 5000,
        "account-deleted",
    ):
        keep(reader, forged)
        assert (await reader.open("/account")).notice == ""
    keep(reader, true)
    assert (await reader.open("/account")).notice


async def test_a_sign_out_tells_so_once_although_it_deletes_all_cookies(
    reader: Reader, clock: FakeClock
) -> None:
    """`Clear-Site-Data` would delete a cookie of the same answer, so the address carries it."""
    await reader.sign_up("ann")
    response = await reader.post("/sign-out", {})
    assert response.headers["clear-site-data"] == '"cookies", "storage"'
    address = response.headers["location"]
    reader.client.cookies.clear()

    home = await reader.open(address)
    assert (home.path, home.response.url.query, home.notice) == ("/", b"", "You are signed out.")
    assert (await reader.open("/")).notice == ""

    clock.advance(LIFE)
    assert (await reader.open(address)).notice == "", "an old link says nothing"


@pytest.mark.usefixtures("ann")
async def test_the_sealed_notice_of_a_sign_out_tells_nothing_to_who_is_signed_in(
    reader: Reader, house: House
) -> None:
    sealed = house.carrier.seal("/sign-out", Carried(notice="signed-out"))

    page = await reader.open(f"/sign-out?done={sealed}")

    assert (page.heading, page.notice) == ("Sign out?", "")


# Refused forms


async def test_a_refused_form_leaves_no_post_behind_the_back_button(reader: Reader) -> None:
    """The browser is redirected to the form's page, which says what is wrong, once."""
    await reader.open("/sign-up")
    response = await reader.post("/sign-up", WRONG)
    assert (response.status_code, response.headers["location"]) == (303, "/sign-up")

    page = await reader.open("/sign-up")
    assert (page.status, page.focused) == (400, "username")
    assert page.problem("username")
    assert page.problem("email")
    assert page.form("/sign-up") == {"username": "b!", "email": "nope", "password": ""}

    again = await reader.open("/sign-up")
    assert (again.status, again.title) == (200, "Create an account · Gatelodge")
    assert again.form("/sign-up")["username"] == ""


async def test_the_cookie_has_no_password_and_nobody_reads_it(reader: Reader, house: House) -> None:
    await reader.open("/sign-up")
    await reader.post("/sign-up", WRONG)

    sealed = kept(reader)
    assert b"nope" not in urlsafe_b64decode(sealed)
    carried = house.carrier.unseal("/sign-up", sealed)
    assert carried is not None
    assert carried.form is not None
    assert carried.form.values == {"username": "b!", "email": "nope", "next": "", "password": ""}
    assert WRONG["password"] not in repr(carried.form.without_secrets())


async def test_the_way_back_outlives_a_refusal(reader: Reader) -> None:
    await reader.sign_up("ann")
    await reader.send("/sign-out")
    page = await reader.fill_in("/sign-in?next=/account%3Fa%3Db", username="ann", password="wrong")
    assert (page.status, page.form("/sign-in")["next"]) == (401, "/account?a=b")

    reloaded = await reader.open(str(page.response.url))
    assert (reloaded.status, reloaded.form("/sign-in")["next"]) == (200, "/account?a=b")


async def test_a_browser_without_cookies_and_a_program_get_the_refusal_at_once(
    reader: Reader,
) -> None:
    page = await reader.send("/sign-up", **WRONG)
    assert (page.status, page.response.request.method) == (400, "POST")
    await reader.open("/sign-up")
    origin = {"Origin": "http://localhost:8080", "Content-Type": FORM}

    for accept, status in (("*/*", 400), ("application/json", 400), (ACCEPT, 303)):
        answer = await reader.client.post(
            "/sign-up", data=WRONG, headers=origin | {"Accept": accept}
        )
        assert answer.status_code == status


async def test_a_form_too_large_for_a_cookie_is_shown_at_once(reader: Reader) -> None:
    await reader.open("/sign-up")

    page = await reader.send("/sign-up", **WRONG | {"username": "é" * 1000, "email": "ü" * 1000})

    assert (page.status, page.response.request.method) == (400, "POST")
    assert page.form("/sign-up")["username"] == "é" * 1000


async def test_a_refused_sign_in_is_told_to_somebody_who_is_signed_in(
    reader: Reader, house: House
) -> None:
    """They opened the form before, in another tab."""
    await reader.open("/sign-in")
    await reader.sign_up("ann")

    page = await reader.send("/sign-in", username="bob", password="wrong")

    assert (page.status, page.path) == (401, "/sign-in")
    assert page.problem("password")


@pytest.mark.parametrize("text", ["\ud800", "\x00", "</script>", "é" * 300, "😀" * 200])
def test_what_was_typed_comes_back_as_it_was(house: House, text: str) -> None:
    """Lone surrogates, which no form can contain, become question marks."""
    form = Form(values={"username": text}, problems={"username": "No."}, trouble=text)

    carried = house.carrier.unseal("/x", house.carrier.seal("/x", Carried(form=form, status=409)))

    assert carried is not None
    assert carried.form is not None
    assert carried.form.values["username"] == text.replace("\ud800", "?")
    assert (carried.status, carried.form.problems) == (409, {"username": "No."})


# A tab that was signed out elsewhere


@pytest.mark.parametrize("path", ["/account/password", "/account/delete", "/account/sign-out"])
async def test_a_form_of_a_tab_that_was_signed_out_asks_to_sign_in_again(
    reader: Reader, house: House, ann: User, path: str
) -> None:
    """Nothing is posted again by itself: after the sign-in the page is there with an empty form."""
    back = "/account" if path == "/account/sign-out" else path
    if back == path:
        await reader.open(path)
    await house.sessions.sign_out_everywhere(ann.id, COMMAND)

    page = await reader.send(path, password=PASSWORD)

    assert (page.path, page.notice) == ("/sign-in", NOTICES["was-signed-out"])
    returned = await reader.send(
        "/sign-in", **page.form("/sign-in") | {"username": "ann", "password": PASSWORD}
    )
    assert (returned.status, returned.path, returned.notice) == (200, back, "")
    assert await house.accounts.get_by_username("ann")


async def test_who_only_opens_a_page_is_not_told_that_they_were_signed_out(reader: Reader) -> None:
    assert (await reader.open("/account")).notice == ""
