"""Guessing passwords: how many tries are allowed, from where, and who is not affected."""

import asyncio
import threading
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from datetime import timedelta
from pathlib import Path

import httpx2
import pytest
from sqlalchemy import func, select

from gatelodge.app import House, build, create_app
from gatelodge.audit import COMMAND, Origin
from gatelodge.credentials import attempts
from gatelodge.credentials.lines import MAX_WAITING
from gatelodge.data_folder import DATABASE
from gatelodge.settings import Settings
from gatelodge.stores.sql.database import SqlDatabase
from gatelodge.stores.sql.tables import reservations
from tests.support.clock import FakeClock
from tests.support.databases import migrated
from tests.support.people import PASSWORD, Person, signed_in_by_the_door
from tests.support.server import Server

HOME, ABROAD = "203.0.113.7", "198.51.100.9"
OTHER = "eight wild geese at dawn"
WRONG = "not the password at all"

ClientAt = Callable[[str], httpx2.AsyncClient]


@pytest.fixture
async def at(house: House) -> AsyncIterator[ClientAt]:
    """Return a function that returns a client at an address."""
    app = create_app(house)
    async with AsyncExitStack() as stack:
        made: dict[str, httpx2.AsyncClient] = {}

        def client_at(address: str) -> httpx2.AsyncClient:
            transport = httpx2.ASGITransport(app=app, client=(address, 50000))
            client = httpx2.AsyncClient(transport=transport, base_url="http://localhost:8080")
            stack.push_async_callback(client.aclose)
            return made.setdefault(address, client)

        yield client_at


async def sign_in(
    client: httpx2.AsyncClient, name: str, password: str = PASSWORD, **headers: str
) -> httpx2.Response:
    """Try to sign in."""
    credentials = {"username": name, "password": password}
    return await client.post("/api/auth/signin", json=credentials, headers=headers)


async def guess(client: httpx2.AsyncClient, name: str, times: int) -> list[int]:
    """Try a wrong password so many times, one after the other. Return the statuses."""
    return [(await sign_in(client, name, WRONG)).status_code for _ in range(times)]


def wait_of(refused: httpx2.Response) -> int:
    """Return how many seconds a refusal says that the caller must wait."""
    assert refused.status_code == 429
    assert refused.json()["code"] == "too_many_attempts"
    return int(refused.headers["Retry-After"])


async def test_after_ten_failures_one_waits_and_each_wait_is_twice_as_long(
    client: httpx2.AsyncClient, house: House, clock: FakeClock
) -> None:
    """Even with the right password; and what was failed before is forgotten with a success."""
    ann = await signed_in_by_the_door(client, house, "ann")
    assert await guess(client, "ann", 10) == [401] * 10

    waits = []
    for _ in range(9):
        waits.append(wait_of(await ann.sign_in()))
        clock.advance(timedelta(seconds=waits[-1] - 1))
        assert wait_of(await ann.sign_in()) == 1, "a try that comes too early is not counted"
        clock.advance(timedelta(seconds=1))
        assert await guess(client, "ann", 1) == [401]
    assert waits == [30, 60, 120, 240, 480, 960, 1920, 3600, 3600]

    clock.advance(timedelta(hours=1))
    assert (await ann.sign_in()).status_code == 200
    assert await guess(client, "ANN", 10) == [401] * 10, "all ten tries are there again"
    assert await guess(client, "ann", 1) == [429]


async def test_failures_are_forgotten_when_five_minutes_have_passed(
    client: httpx2.AsyncClient, house: House, clock: FakeClock
) -> None:
    """Since the first of them."""
    ann = await signed_in_by_the_door(client, house, "ann")
    assert await guess(client, "ann", 9) == [401] * 9
    clock.advance(timedelta(minutes=5))
    assert await guess(client, "ann", 9) == [401] * 9
    assert (await ann.sign_in()).status_code == 200


async def test_a_name_that_nobody_has_is_refused_like_any_other(
    client: httpx2.AsyncClient, house: House
) -> None:
    """Nothing of an answer tells who has an account."""
    await signed_in_by_the_door(client, house, "ann")
    for name in ("ann", "nobody"):
        assert await guess(client, name, 10) == [401] * 10
    known, unknown = await sign_in(client, "ann", WRONG), await sign_in(client, "nobody", WRONG)

    assert wait_of(known) == wait_of(unknown)
    assert shape_of(known) == shape_of(unknown)


@pytest.mark.parametrize("typed", ["ann@example.com", " Ann@EXAMPLE.com ", "ANN@example.com\n"])
async def test_one_signs_in_by_username_or_by_address(
    client: httpx2.AsyncClient, house: House, typed: str
) -> None:
    await signed_in_by_the_door(client, house, "ann")
    await signed_in_by_the_door(client, house, "bob")

    for name in (typed, "ann"):
        answer = await sign_in(client, name)
        assert (answer.status_code, answer.json()["username"]) == (200, "ann")


async def test_two_names_of_a_user_have_one_count(
    client: httpx2.AsyncClient, house: House, clock: FakeClock
) -> None:
    """A success by one of them, an operator and a new password clear it for both."""
    ann = await signed_in_by_the_door(client, house, "ann")
    assert await guess(client, "ann@example.com", 5) == [401] * 5
    assert await guess(client, "ann", 6) == [401] * 5 + [429]
    assert await guess(client, "Ann@Example.COM", 1) == [429]

    clock.advance(timedelta(seconds=30))
    assert (await sign_in(client, "ann@example.com")).status_code == 200
    assert await guess(client, "ann", 11) == [401] * 10 + [429]
    user = await house.accounts.get_by_username("ann")
    assert await house.sign_in.forgive(user, COMMAND)
    assert (await sign_in(client, "ann@example.com")).status_code == 200
    assert ann.answer["email"] == "ann@example.com"


@pytest.mark.parametrize("unknown", ["nobody@example.com", "ann@", "@", "ann@@example.com"])
async def test_an_address_that_nobody_has_is_refused_like_any_other(
    client: httpx2.AsyncClient, house: House, unknown: str
) -> None:
    """Also one that is no address; and each has a count of its own."""
    await signed_in_by_the_door(client, house, "ann")
    assert await guess(client, "ann@example.com", 10) == [401] * 10
    assert await guess(client, unknown.upper(), 10) == [401] * 10
    known = await sign_in(client, "ann@example.com", WRONG)
    other = await sign_in(client, unknown, WRONG)

    assert wait_of(known) == wait_of(other)
    assert shape_of(known) == shape_of(other)


async def test_a_text_of_any_kind_in_place_of_an_address_is_refused(
    client: httpx2.AsyncClient,
) -> None:
    for typed in (
        "@" * 1024,
        "a" * 500 + "@example.com",
        "ann@\u202eexample.com",
        "\uff20",
    ):
        assert (await sign_in(client, typed)).status_code == 401


def shape_of(response: httpx2.Response) -> tuple[object, ...]:
    """Return the headers and the body of an answer without the request's id."""
    headers = {name: value for name, value in response.headers.items() if name != "x-request-id"}
    return headers, response.json() | {"request_id": ""}


@pytest.mark.real_hash
async def test_every_failure_leaves_at_a_multiple_of_a_tenth_of_a_second(
    client: httpx2.AsyncClient, house: House
) -> None:
    """Though places that we know are looked for only where there is a user."""
    await signed_in_by_the_door(client, house, "ann")
    loop = asyncio.get_running_loop()
    for name in ("ann", "nobody"):
        began = loop.time()
        assert await guess(client, name, 10) == [401] * 10
        assert loop.time() - began >= 10 * 0.1
        began = loop.time()
        assert await guess(client, name, 3) == [429] * 3
        assert loop.time() - began >= 3 * 0.1


async def test_one_address_cannot_try_many_names(
    client: httpx2.AsyncClient, house: House, at: ClientAt
) -> None:
    """Whoever comes from elsewhere is let in, and whatever else that address asks is answered."""
    ann = await signed_in_by_the_door(client, house, "ann")
    thief = at(ABROAD)
    for number in range(10):
        assert await guess(thief, f"user{number}", 1) == [401]

    assert wait_of(await sign_in(thief, "ann")) == 30
    assert (await sign_in(at(HOME), "ann")).status_code == 200
    board = await thief.get("/api/test/user", headers=ann.headers)
    assert board.status_code == 200, "a signed-in user does not have to wait"


async def test_people_behind_one_address_do_not_keep_each_other_out_for_ever(
    at: ClientAt, clock: FakeClock
) -> None:
    """After a wait, one mistyped password does not lengthen the wait; ten more do."""
    for number in range(10):
        assert await guess(at(ABROAD), f"user{number}", 1) == [401]
    assert wait_of(await sign_in(at(ABROAD), "ann")) == 30
    clock.advance(timedelta(seconds=30))
    for number in range(10):
        assert await guess(at(ABROAD), f"user{number}", 1) == [401]
    assert wait_of(await sign_in(at(ABROAD), "ann")) == 60


async def test_success_does_not_make_up_for_failures_of_an_address(
    client: httpx2.AsyncClient, house: House, at: ClientAt
) -> None:
    """An account of one's own opens no way to guess others' passwords."""
    await signed_in_by_the_door(client, house, "mallory")
    for number in range(10):
        assert (await sign_in(at(ABROAD), "mallory")).status_code == 200
        assert await guess(at(ABROAD), f"user{number}", 1) == [401]
    assert wait_of(await sign_in(at(ABROAD), "bob")) == 30


@pytest.mark.parametrize("settings", [{"sign_in_tries_per_account": 0}], indirect=True)
async def test_success_makes_up_for_nothing_where_names_are_not_counted(
    client: httpx2.AsyncClient, house: House, at: ClientAt
) -> None:
    """Neither for an address nor for everybody."""
    await signed_in_by_the_door(client, house, "mallory")
    assert await guess(at(ABROAD), "bob", 9) == [401] * 9
    assert (await sign_in(at(ABROAD), "mallory")).status_code == 200
    assert await guess(at(ABROAD), "bob", 2) == [401, 429]


@pytest.mark.parametrize(
    ("one", "other", "together"),
    [
        ("2001:db8:1:2::1", "2001:db8:1:2:ffff::9", True),
        ("2001:db8:1:2::1", "2001:db8:1:3::1", False),
        ("203.0.113.7", "::ffff:203.0.113.7", True),
        ("203.0.113.7", "203.0.113.8", False),
        ("127.0.0.1", "127.0.0.1", False),
    ],
)
async def test_addresses_of_one_customer_count_together(
    at: ClientAt, one: str, other: str, together: bool
) -> None:
    """A /64 network is one customer.

    The loopback address is not limited: behind a proxy that is not configured, it is everybody.
    """
    for number in range(10):
        assert await guess(at(one), f"user{number}", 1) == [401]
    assert await guess(at(other), "nobody", 1) == [429 if together else 401]


@pytest.mark.parametrize("settings", [{"sign_in_tries_in_all": 12}], indirect=True)
async def test_failures_of_everybody_together_are_limited(
    client: httpx2.AsyncClient, house: House, at: ClientAt
) -> None:
    """However many addresses and names they come from; a device that we know is let in."""
    await signed_in_by_the_door(client, house, "ann")
    assert (await sign_in(at(HOME), "ann")).status_code == 200
    for number in range(12):
        assert await guess(at(f"198.51.100.{number}"), f"user{number}", 1) == [401]

    assert wait_of(await sign_in(at("192.0.2.1"), "bob")) == 30
    assert (await sign_in(at(HOME), "ann")).status_code == 200


@pytest.mark.parametrize("settings", [{"sign_in_tries_in_all": 12}], indirect=True)
async def test_mistakes_after_an_attack_do_not_keep_everybody_out(
    at: ClientAt, clock: FakeClock
) -> None:
    """The wait doubles only after as many failures again. A few mistakes do not lengthen it."""
    for number in range(12):
        assert await guess(at(f"198.51.100.{number}"), f"user{number}", 1) == [401]
    assert wait_of(await sign_in(at(HOME), "bob")) == 30
    clock.advance(timedelta(seconds=30))

    for number in range(12):
        assert await guess(at(f"192.0.2.{number}"), f"user{number}", 1) == [401]
    assert wait_of(await sign_in(at(HOME), "bob")) == 60
    clock.advance(timedelta(minutes=6))
    for number in range(11):
        assert await guess(at(f"203.0.113.{number}"), f"user{number}", 1) == [401]
    assert await guess(at(ABROAD), "bob", 1) == [401]


async def test_a_few_failures_a_day_end_at_a_hundred_too(
    client: httpx2.AsyncClient, house: House, clock: FakeClock
) -> None:
    """Who stays below the limit each day is stopped as well."""
    await signed_in_by_the_door(client, house, "ann")
    looked_at = 0
    for _ in range(20):
        looked_at += (await guess(client, "ann", 9)).count(401)
        clock.advance(timedelta(hours=25))
        await house.attempts.sweep()
    assert looked_at == 100


async def test_strangers_lock_nobody_out_whose_place_we_know(
    client: httpx2.AsyncClient, house: House, at: ClientAt
) -> None:
    """Where a session was opened that still lives, the right password opens another one."""
    await signed_in_by_the_door(client, house, "ann")
    assert (await sign_in(at(HOME), "ann")).status_code == 200
    assert await guess(at(ABROAD), "ann", 11) == [401] * 10 + [429]

    assert (await sign_in(at(HOME), "ann")).status_code == 200
    assert wait_of(await sign_in(at(ABROAD), "ann")) == 30, "strangers still have to wait"
    assert await guess(at(HOME), "ann", 11) == [401] * 10 + [429], "a known address is limited too"


async def test_strangers_lock_no_browser_out_that_is_signed_in(
    client: httpx2.AsyncClient, house: House, at: ClientAt
) -> None:
    """The cookie of its session, which ends with the new one, tells who it is."""
    await signed_in_by_the_door(client, house, "ann")
    await signed_in_by_the_door(client, house, "bob")
    credentials = {"username": "ann", "password": PASSWORD, "delivery": "cookie"}
    browser = at("192.0.2.1")
    assert (await browser.post("/api/auth/signin", json=credentials)).status_code == 200
    assert await guess(at(ABROAD), "ann", 11) == [401] * 10 + [429]
    assert await guess(at("198.51.100.3"), "bob", 11) == [401] * 10 + [429]

    moved = {"Cookie": "; ".join(f"{name}={value}" for name, value in browser.cookies.items())}
    elsewhere = at("192.0.2.99")
    ours = {"Sec-Fetch-Site": "same-origin"} | moved
    other = credentials | {"username": "bob"}
    refused = await elsewhere.post("/api/auth/signin", json=other, headers=ours)
    assert refused.status_code == 429, "the session belongs to another user"
    let_in = await elsewhere.post("/api/auth/signin", json=credentials, headers=ours)
    assert let_in.status_code == 200


async def test_a_hundred_failures_block_sign_in_until_an_operator_lifts_that(
    client: httpx2.AsyncClient, house: House, clock: FakeClock
) -> None:
    """However slowly they came (NIST SP 800-63B-4, section 3.2.2)."""
    ann = await signed_in_by_the_door(client, house, "ann")
    user = await house.accounts.get_by_username("ann")
    for _ in range(100):
        assert await guess(client, "ann", 1) == [401]
        clock.advance(timedelta(hours=2))

    assert wait_of(await ann.sign_in()) == 3600
    clock.advance(timedelta(days=20))
    assert wait_of(await ann.sign_in()) == 3600
    assert await house.sign_in.forgive(user, COMMAND)
    assert not await house.sign_in.forgive(user, COMMAND)
    assert (await ann.sign_in()).status_code == 200


async def test_one_address_signs_up_twenty_times_an_hour(
    client: httpx2.AsyncClient, at: ClientAt, clock: FakeClock
) -> None:
    """Sign-ups with a taken name count too: they are a way to learn which names exist."""
    assert (await Person("ann", client).sign_up()).status_code == 200
    statuses = [(await Person("ann", at(ABROAD)).sign_up()).status_code for _ in range(19)]
    assert statuses == [400] * 19
    assert (await Person("bob", at(ABROAD)).sign_up()).status_code == 200

    assert wait_of(await Person("cid", at(ABROAD)).sign_up()) == 3600
    assert (await Person("cid", at(HOME)).sign_up()).status_code == 200
    clock.advance(timedelta(hours=1))
    assert (await Person("dan", at(ABROAD)).sign_up()).status_code == 200


@pytest.mark.real_hash
async def test_of_many_guesses_at_once_ten_are_looked_at(
    client: httpx2.AsyncClient, house: House
) -> None:
    """The others are refused; and nothing is left behind of who waited."""
    await signed_in_by_the_door(client, house, "ann")
    answers = await asyncio.gather(*(sign_in(client, "ann", WRONG) for _ in range(50)))

    assert Counter(each.status_code for each in answers) == {401: 10, 429: 40}
    assert not house.attempts.lines._lines
    assert await tries_in_progress(house) == 0


@pytest.fixture
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let everybody wait for their turn, however slow a busy machine hashes."""
    monkeypatch.setattr(attempts, "_PATIENCE_SECONDS", 60.0)


@pytest.mark.real_hash
@pytest.mark.usefixtures("patience")
async def test_of_many_who_are_right_at_once_all_are_let_in(
    client: httpx2.AsyncClient, house: House
) -> None:
    """They take turns."""
    await signed_in_by_the_door(client, house, "ann")
    answers = await asyncio.gather(*(sign_in(client, "ann") for _ in range(40)))

    assert {each.status_code for each in answers} == {200}
    assert not house.attempts.lines._lines
    assert await tries_in_progress(house) == 0


@pytest.mark.real_hash
@pytest.mark.usefixtures("patience")
async def test_who_fills_the_queue_for_one_name_is_in_nobodys_way(
    client: httpx2.AsyncClient, house: House
) -> None:
    """Those of another name wait for their own turns."""
    await signed_in_by_the_door(client, house, "mallory")
    await signed_in_by_the_door(client, house, "ann")
    flood = [asyncio.create_task(sign_in(client, "mallory")) for _ in range(100)]
    await until_so_many_wait(house, "mallory", MAX_WAITING)
    honest = await asyncio.gather(*(sign_in(client, "ann") for _ in range(20)))
    assert {each.status_code for each in honest} == {200}
    assert {each.status_code for each in await asyncio.gather(*flood)} == {200, 503}


@pytest.mark.real_hash
@pytest.mark.usefixtures("patience")
async def test_who_gives_up_waiting_is_in_nobodys_way(
    client: httpx2.AsyncClient, house: House
) -> None:
    """Of thirty who wait, every second one goes away."""
    await signed_in_by_the_door(client, house, "ann")
    waiting = [asyncio.create_task(sign_in(client, "ann")) for _ in range(40)]
    await until_so_many_wait(house, "ann", 20)
    for task in waiting[::2]:
        task.cancel()
    answers = await asyncio.gather(*waiting, return_exceptions=True)

    left = [each for each in answers if isinstance(each, httpx2.Response)]
    assert len(left) >= 20
    assert {each.status_code for each in left} == {200}
    assert not house.attempts.lines._lines
    assert await tries_in_progress(house) == 0


@pytest.mark.real_hash
async def test_a_password_that_could_not_be_checked_is_not_wrong(
    client: httpx2.AsyncClient, house: House
) -> None:
    """When the queue for hashes is full, nothing is counted; nor is anything written."""
    await signed_in_by_the_door(client, house, "ann")
    pool = house.hashing_pool
    places = [pool.take() for _ in range(pool.threads + pool.queue)]
    for _ in range(30):
        assert (await sign_in(client, "ann", WRONG)).status_code == 503
    for place in places:
        place.leave()

    assert await house.stores.attempts.find([name_of(house, "ann")]) == {}
    assert await tries_in_progress(house) == 0
    assert (await sign_in(client, "ann")).status_code == 200


@pytest.mark.real_hash
async def test_a_try_that_is_cancelled_before_its_hash_counts_as_nothing(
    client: httpx2.AsyncClient, house: House
) -> None:
    """Its place in the pool is free again, and so is its reservation."""
    await signed_in_by_the_door(client, house, "ann")
    pool, key = house.hashing_pool, name_of(house, "ann")
    go_on = [threading.Event() for _ in range(pool.threads)]
    blocking = [asyncio.create_task(pool.run(each.wait, 20)) for each in go_on]
    guesses = [asyncio.create_task(sign_in(client, "ann", WRONG)) for _ in range(5)]
    await until(lambda: pool.waiting == 5)
    for guess_ in guesses:
        guess_.cancel()
    await asyncio.gather(*guesses, return_exceptions=True)
    assert await house.stores.attempts.find([key]) == {}
    assert await tries_in_progress(house) == 0

    for each in go_on:
        each.set()
    await asyncio.gather(*blocking)


async def test_a_try_that_is_cancelled_during_its_hash_counts_as_failed(house: House) -> None:
    """The hash goes on, and a password that is looked at is counted."""
    begun, go_on = threading.Event(), threading.Event()

    def check() -> bool:
        begun.set()
        return go_on.wait(20)

    wanted = house.attempts.by_name("ann", Origin())
    checking = asyncio.create_task(house.attempts.judge(wanted, house.hashing_pool, check))
    await asyncio.to_thread(begun.wait)
    checking.cancel()
    await asyncio.gather(checking, return_exceptions=True)
    go_on.set()

    key = name_of(house, "ann")
    assert (await house.stores.attempts.find([key]))[key].failures == 1
    assert await tries_in_progress(house) == 0


def name_of(house: House, name: str) -> str:
    """Return the key that failures of a name are counted for."""
    return house.attempts.by_name(name, Origin()).counted[0].key


async def tries_in_progress(house: House) -> int:
    """Return how many tries are reserved in the store."""
    database = house.stores.database
    assert isinstance(database, SqlDatabase)
    count = select(func.count()).select_from(reservations)
    return await database.read(lambda connection: connection.execute(count).scalar_one())


async def until(holds: Callable[[], bool]) -> None:
    """Return as soon as this holds."""
    async with asyncio.timeout(20):
        while not holds():  # noqa: ASYNC110
            await asyncio.sleep(0)


async def until_so_many_wait(house: House, username: str, number: int) -> None:
    """Return as soon as so many wait for their turn at one name."""
    lines, name = house.attempts.lines, name_of(house, username)
    await until(lambda: lines.waiting(name) >= number)


async def test_failures_outlive_a_restart(settings: Settings, clock: FakeClock) -> None:
    """Failures are kept in the database."""
    async with restarted(settings, clock) as (client, house):
        await signed_in_by_the_door(client, house, "ann")
        assert await guess(client, "ann", 10) == [401] * 10
    async with restarted(settings, clock) as (client, _):
        assert wait_of(await sign_in(client, "ann")) == 30


@asynccontextmanager
async def restarted(
    settings: Settings, clock: FakeClock
) -> AsyncIterator[tuple[httpx2.AsyncClient, House]]:
    """Yield a client of a house over the same data."""
    migrated(settings.data_dir / DATABASE)
    built = build(settings, clock)
    async with built.serve():
        transport = httpx2.ASGITransport(app=create_app(built))
        async with httpx2.AsyncClient(
            transport=transport, base_url="http://localhost:8080"
        ) as client:
            yield client, built


async def test_who_is_signed_in_cannot_guess_the_password_either(
    client: httpx2.AsyncClient, house: House
) -> None:
    """A session may be stolen; and strangers' failures keep nobody from a new password."""
    ann = await signed_in_by_the_door(client, house, "ann")
    assert await guess(client, "ann", 11) == [401] * 10 + [429]
    assert await change(ann, WRONG) == 400
    assert await change(ann, PASSWORD) == 200
    for _ in range(10):
        assert await change(ann, WRONG) == 400
    assert await change(ann, OTHER) == 429


async def test_a_new_password_begins_anew(
    client: httpx2.AsyncClient, house: House, clock: FakeClock
) -> None:
    """A new user starts without failures, and so does a user who changes the password."""
    for _ in range(100):
        assert await guess(client, "ann", 1) == [401]
        clock.advance(timedelta(hours=2))
    ann = await signed_in_by_the_door(client, house, "ann")
    assert await guess(client, "ann", 11) == [401] * 10 + [429]
    assert await change(ann, PASSWORD) == 200
    ann.password = OTHER
    assert (await ann.sign_in()).status_code == 200


async def change(person: Person, current: str) -> int:
    """Try to change the password. Return the status."""
    body = {"currentPassword": current, "newPassword": OTHER}
    answer = await person.client.post("/api/auth/password", json=body, headers=person.headers)
    return answer.status_code


@pytest.mark.parametrize(
    "settings",
    [
        {
            "sign_in_tries_per_account": 0,
            "sign_in_tries_per_address": 0,
            "sign_in_tries_in_all": 0,
            "sign_ups_per_address": 0,
        }
    ],
    indirect=True,
)
async def test_limits_can_be_turned_off(at: ClientAt) -> None:
    """A setting of 0 turns its limit off."""
    assert await guess(at(HOME), "ann", 25) == [401] * 25
    for number in range(25):
        assert (await Person(f"user{number}", at(HOME)).sign_up()).status_code == 200


async def test_two_workers_look_at_no_more_guesses_than_one(tmp_path: Path) -> None:
    """Of a hundred wrong guesses at once, each over a connection of its own, exactly ten."""
    with running(tmp_path) as server:
        limits = httpx2.Limits(max_connections=100)
        async with httpx2.AsyncClient(base_url=server.url, limits=limits, timeout=60) as client:
            answers = await asyncio.gather(*(sign_in(client, "ann", WRONG) for _ in range(100)))
            last = await sign_in(client, "ann", WRONG)
    statuses = Counter(each.status_code for each in answers)
    assert statuses[401] == 10
    assert set(statuses) <= {401, 429, 503}
    assert last.status_code == 429


@contextmanager
def running(folder: Path) -> Iterator[Server]:
    """Yield the real server with two workers."""
    with Server(folder, workers=2) as server:
        yield server
