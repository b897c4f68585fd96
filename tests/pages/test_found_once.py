"""The caller of a request is found once: one request never trades its refresh cookie twice.

The grace is zero here, so a second trade of the same cookie would end the session as stolen.
"""

from datetime import timedelta

import httpx2
import pytest

from gatelodge.accounts.store import User
from gatelodge.app import House
from gatelodge.sessions.store import Session
from tests.pages.reader import Reader
from tests.support.clock import FakeClock
from tests.support.events import newest
from tests.support.people import PASSWORD

STRICT = pytest.mark.parametrize("settings", [{"refresh_grace": timedelta(0)}], indirect=True)
LATER = timedelta(minutes=11)
"""After this time the access token has expired, and the session has not."""

NAMES = ["gatelodge-access", "gatelodge-refresh"]


def names_set(answer: httpx2.Response) -> list[str]:
    """Return the names of the cookies that an answer sets."""
    return [line.partition("=")[0] for line in answer.headers.get_list("set-cookie")]


async def only_session(house: House, user: User) -> Session:
    """Return the only live session of a user."""
    (session,) = await house.sessions.list_own(user, before=None, limit=9)
    return session


async def trades_of(house: House, user: User) -> int:
    """Return how often the refresh token of the user's only session was traded."""
    return (await only_session(house, user)).generation


@STRICT
@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/", 200),
        ("/sign-in", 303),
        ("/setup?token=x", 303),
        ("/account", 200),
        ("/boards/admin", 403),
        ("/nowhere", 404),
        ("/account?done=a&done=b", 400),
        ("/account/sign-out", 405),
    ],
)
async def test_a_page_trades_once_whatever_it_answers(
    reader: Reader, house: House, ann: User, clock: FakeClock, path: str, status: int
) -> None:
    before = await trades_of(house, ann)
    clock.advance(LATER)
    answer = await reader.ask(path)
    assert answer.status_code == status
    assert [name for name in names_set(answer) if name in NAMES] == NAMES
    assert await trades_of(house, ann) == before + 1
    clock.advance(LATER)
    assert (await reader.open("/account")).heading == "Your account"
    assert await trades_of(house, ann) == before + 2


@STRICT
@pytest.mark.parametrize(
    ("path", "fields", "status"),
    [
        ("/account/password", {"currentPassword": "not it", "newPassword": "not it"}, 303),
        (
            "/account/password",
            {"currentPassword": "not the right one", "newPassword": PASSWORD},
            303,
        ),
        ("/account/password", {"unknown": "field"}, 400),
        ("/sign-in/again", {"password": "not the right one"}, 303),
        ("/account/delete", {}, 303),
        ("/account/sign-out", {}, 400),
        ("/account/sign-out", {"session": "ses_other"}, 303),
        ("/boards/admin", {}, 405),
        ("/nowhere", {"a": "b"}, 404),
    ],
)
async def test_a_form_that_is_posted_late_trades_once(
    reader: Reader,
    house: House,
    ann: User,
    clock: FakeClock,
    path: str,
    fields: dict[str, str],
    status: int,
) -> None:
    before = await trades_of(house, ann)
    clock.advance(LATER)
    answer = await reader.post(path, fields)
    assert answer.status_code == status
    assert [name for name in names_set(answer) if name in NAMES] == NAMES
    assert await trades_of(house, ann) == before + 1
    clock.advance(LATER)
    assert (await reader.open("/account")).heading == "Your account"


@STRICT
async def test_the_refusal_page_knows_who_was_refused(
    reader: Reader, ann: User, clock: FakeClock
) -> None:
    """The page of a refusal shows the caller that the refusal was about."""
    clock.advance(LATER)
    page = await reader.open("/boards/admin")
    assert page.status == 403
    assert "/account" in page.links


@STRICT
async def test_a_trade_that_is_refused_is_not_tried_again(
    reader: Reader, house: House, ann: User, clock: FakeClock
) -> None:
    """The token was used elsewhere: the session ends, and is recorded as reused once."""
    old = dict(reader.client.cookies)
    clock.advance(LATER)
    await reader.ask("/account")
    reader.client.cookies.clear()
    for name, value in old.items():
        reader.client.cookies.set(name, value, domain="localhost.local", path="/")
    answer = await reader.ask("/nowhere")
    assert (answer.status_code, names_set(answer)) == (404, [])
    assert await house.sessions.list_own(ann, before=None, limit=9) == []
    events = await newest(house.stores.events, 99)
    assert [each.name for each in events].count("refresh_token.reused") == 1


@STRICT
@pytest.mark.parametrize("path", ["/", "/nowhere", "/account", "/boards/admin"])
async def test_two_cookies_of_one_name_trade_nothing(
    reader: Reader, house: House, ann: User, clock: FakeClock, path: str
) -> None:
    before = await trades_of(house, ann)
    clock.advance(LATER)
    refresh = reader.client.cookies["gatelodge-refresh"]
    reader.client.cookies.clear()
    twice = f"gatelodge-refresh={refresh}; gatelodge-refresh=rt_other"
    answer = await reader.client.get(path, headers=reader.headers | {"Cookie": twice})
    assert (answer.status_code in {200, 303, 404}, names_set(answer)) == (True, [])
    assert await trades_of(house, ann) == before


@STRICT
async def test_one_cookie_that_is_sent_twice_is_traded_once(
    reader: Reader, house: House, ann: User, clock: FakeClock
) -> None:
    before = await trades_of(house, ann)
    clock.advance(LATER)
    cookie = f"gatelodge-refresh={reader.client.cookies['gatelodge-refresh']}"
    reader.client.cookies.clear()
    headers = reader.headers | {"Cookie": f"{cookie}; {cookie}"}
    answer = await reader.client.get("/boards/admin", headers=headers)
    assert (answer.status_code, names_set(answer)[-2:]) == (403, NAMES)
    assert await trades_of(house, ann) == before + 1
