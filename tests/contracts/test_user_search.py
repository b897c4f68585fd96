"""What every store promises about lists of users: found by what they are, page by page."""

import asyncio
import itertools
import json
import random
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from gatelodge.accounts.names import email_key, username_key
from gatelodge.accounts.search import UserQuery, name_key
from gatelodge.accounts.store import User
from gatelodge.credentials.factors import SECOND_FACTORS, adding, removing
from gatelodge.ids import USER_PREFIX, UserId, new_id
from gatelodge.stores import Stores
from gatelodge.stores.mongo import user_search as in_mongodb
from gatelodge.stores.sql import user_search as in_sqlite
from tests.contracts.builders import A_MINUTE, NOON, a_factor, a_session, a_user, an_event

A_DAY = timedelta(days=1)
EVERYBODY = 10_000

# Names that begin alike, written in several ways.
NAMES = (
    "Ann Smith",
    "ANNA Müller",
    "anna mu\u0308ller",
    "Äneas",
    "Straße",
    "STRASSE",
    "ｆｕｌｌ width",
    "名前",
    "Zoë \U0001f98a",
    "  spaced   out ",
    "\ud7ff\ue000 edge",
    "%_'\"\\$",
    "",
    "",
    "",
)
STARTS = (
    "ann",
    "An",
    "ÄN",
    "strasse",
    "straße",
    "full",
    "名",
    "zoe\u0308",
    "zoë",
    "spaced out",
    "u1",
)
STARTS += (
    "%",
    "_",
    "%_",
    "$",
    "\ud7ff",
    "user1@",
    "USER1@Exam",
    "nobody at all",
    "a" * 500,
    "\ud800",
)


def one_of_many(number: int, some: random.Random) -> User:
    """Return a user who has some things in common with others."""
    created = NOON + some.randrange(40) * timedelta(hours=6)
    signed_in = None if some.random() < 0.3 else created + some.randrange(9) * A_DAY
    letters = some.choice(("ann", "anna", "u", "zo", "user"))
    kinds = some.choice([(), (), ("totp",), ("passkey",), ("totp", "passkey", "recovery_codes")])
    kinds = some.choice([kinds, kinds, kinds, (*kinds, "browser"), ("recovery_codes",)])
    # A name of a factor is no kind, whatever it says.
    named = '"kind": "totp" passkey browser'
    address = f"{some.choice((letters, 'user'))}{number}@Example.org"
    return a_user(
        f"{letters}{number}",
        id=UserId(new_id(USER_PREFIX, NOON + some.randrange(9) * A_DAY)),
        email=address,
        email_key=email_key(address),
        created_at=created,
        last_sign_in_at=signed_in,
        name=some.choice(NAMES),
        roles=tuple(some.sample(("user", "moderator", "admin", "rare"), some.randrange(4))),
        email_verified_at=some.choice((None, created)),
        disabled_at=some.choice((None, None, None, created)),
        factors=tuple(a_factor(kind, name=named) for kind in kinds),
    )


def some_query(some: random.Random) -> UserQuery:
    """Return a query with a few conditions."""
    wanted: dict[str, Any] = {
        "text": some.choice(STARTS),
        "role": some.choice(("user", "moderator", "rare", "nobody's")),
        "enabled": some.choice((True, False)),
        "verified": some.choice((True, False)),
        "factor": some.choice(("any", "none", "totp", "passkey", "recovery_codes", "browser")),
    }
    for name in ("created_from", "created_before", "signed_in_from", "signed_in_before"):
        wanted[name] = NOON + some.randrange(-10, 400) * timedelta(hours=1)
    chosen = some.sample(sorted(wanted), some.choice((0, 1, 1, 2, 2, 3, 4)))
    return UserQuery(
        **{name: wanted[name] for name in chosen},
        order=some.choice(("created", "username", "last_sign_in")),
        descending=some.choice((True, False)),
    )


def matches(user: User, query: UserQuery) -> bool:
    """Say by the words of the port whether a user matches."""
    kinds = {each.kind for each in user.factors}
    second = bool(kinds & set(SECOND_FACTORS))
    has = {"any": second, "none": not second}.get(query.factor or "", query.factor in kinds)
    signed_in = user.last_sign_in_at
    return (
        (not query.text or which_begins(user, query.text) is not None)
        and (query.role is None or query.role in user.roles)
        and (query.enabled is None or query.enabled == (user.disabled_at is None))
        and (query.verified is None or query.verified == (user.email_verified_at is not None))
        and (query.factor is None or has)
        and (query.created_from is None or user.created_at >= query.created_from)
        and (query.created_before is None or user.created_at < query.created_before)
        and (query.signed_in_from is None or (signed_in or NOON - A_DAY) >= query.signed_in_from)
        and (
            query.signed_in_before is None
            or (signed_in is not None and signed_in < query.signed_in_before)
        )
    )


def which_begins(user: User, text: str) -> tuple[int, str] | None:
    """Return which name of a user begins with a text, and the key of this name."""
    starts = (username_key(text), text.lower(), name_key(text))
    keys = (user.username_key, user.email_key, name_key(user.name))
    for number, (key, start) in enumerate(zip(keys, starts, strict=True)):
        if start and key.startswith(start):
            return number, key
    return None


def in_order(users: list[User], query: UserQuery) -> list[UserId]:
    """Return the ids of the users who match, in the order of the query."""
    found = [user for user in users if matches(user, query)]
    long_ago = NOON - 1000 * A_DAY

    def place(user: User) -> tuple[Any, str]:
        if query.text:
            return which_begins(user, query.text), user.id
        if query.order == "username":
            return user.username_key, user.id
        if query.order == "last_sign_in":
            return user.last_sign_in_at or long_ago, user.id
        return user.created_at, user.id

    descending = query.descending and not query.text
    return [user.id for user in sorted(found, key=place, reverse=descending)]


async def walked(
    stores: Stores, query: UserQuery, limit: int = EVERYBODY, *, most: int = EVERYBODY
) -> list[User]:
    """Return the users on all pages of a list."""
    found: list[User] = []
    after: str | None = None
    for _ in range(most):
        page = await stores.users.search(query, after=after, limit=limit)
        assert len(page.users) <= limit
        found += page.users
        after = page.after
        if after is None:
            return found
    raise AssertionError("the list does not end")


@pytest.fixture
def bounds(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Return what sets how much a page looks at, in every store."""

    def set_bounds(few: int, examined: int) -> None:
        for module in (in_sqlite, in_mongodb):
            monkeypatch.setattr(module, "FEW", few)
            monkeypatch.setattr(module, "EXAMINED", examined)

    return set_bounds


@pytest.fixture
async def users(stores: Stores) -> list[User]:
    """Store users who have much in common, and return them."""
    some = random.Random(16)
    everybody = [one_of_many(number, some) for number in range(160)]
    for user in everybody:
        await stores.users.add(user, an_event())
    return everybody


async def test_a_list_has_those_who_match_in_its_order_whatever_a_page_looks_at(
    stores: Stores, users: list[User], bounds: Any
) -> None:
    """As a plain model says, by pages of any length, with any conditions at a time."""
    some = random.Random(2)
    for _ in range(100):
        query = some_query(some)
        bounds(some.choice((0, 3, 12, 40, 5_000)), some.choice((1, 2, 7, 30, 10_000)))
        limit = some.choice((1, 2, 5, 50, 1_000))

        found = await walked(stores, query, limit)

        assert [user.id for user in found] == in_order(users, query), query
        assert all(user in users for user in found)
        most = some.choice((1, 5, 60, 1_000))
        count = await stores.users.count_matching(query, limit=most)
        number = len(found)
        assert count.number == number if count.exact else count.number <= number, query
        assert count.number <= most
        assert not (count.exact and number >= most)


async def test_a_list_goes_on_where_it_was_however_the_next_page_is_found(
    stores: Stores, users: list[User], bounds: Any
) -> None:
    """So when a condition comes to be met by many, or by few, nobody is skipped or repeated."""
    some = random.Random(3)
    for _ in range(40):
        query = some_query(some)
        found: list[UserId] = []
        after: str | None = None
        while True:
            bounds(some.choice((0, 10, 5_000)), some.choice((3, 20, 10_000)))
            page = await stores.users.search(query, after=after, limit=some.choice((1, 4, 20)))
            found += [user.id for user in page.users]
            after = page.after
            if after is None:
                break
        assert found == in_order(users, query), query


async def test_each_condition_alone_counts_exactly(stores: Stores, users: list[User]) -> None:
    day = NOON + 3 * A_DAY
    for conditions in (
        {},
        {"role": "rare"},
        {"enabled": False},
        {"enabled": True},
        {"verified": True},
        {"verified": False},
        *({"factor": each} for each in ("any", "none", "totp", "passkey", "browser")),
        {"created_from": day},
        {"created_before": day},
        {"signed_in_from": day},
        {"signed_in_before": day},
        {"text": "ann"},
    ):
        query = UserQuery(**conditions)
        expected = len(in_order(users, query))
        count = await stores.users.count_matching(query, limit=1_000)
        assert (count.number, count.exact) == (expected, True), conditions
        assert expected > 0


async def test_all_users_are_counted_and_those_of_each_period(
    stores: Stores, users: list[User]
) -> None:
    assert (await stores.users.count_users()).number == len(users)
    bounds = [NOON + number * A_DAY for number in range(12)]

    numbers = await stores.users.count_created(bounds)

    assert numbers == [
        sum(first <= user.created_at < last for user in users)
        for first, last in itertools.pairwise(bounds)
    ]
    assert sum(numbers) == len(users)


async def test_nobody_is_listed_where_nobody_is(stores: Stores) -> None:
    for query in (UserQuery(), UserQuery(text="a"), UserQuery(role="x"), UserQuery(factor="any")):
        page = await stores.users.search(query, after=None, limit=5)
        assert (page.users, page.after) == ([], None)
        assert (await stores.users.count_matching(query, limit=5)).number == 0
    assert (await stores.users.count_users()).number == 0
    assert await stores.users.count_created([NOON, NOON + A_DAY]) == [0]


async def test_what_is_typed_is_no_pattern_and_no_operator(stores: Stores) -> None:
    for name in ("50% off", "5000", "a_b", "axb", "x.y", ".*", "[a-z]", "^start", "$where"):
        await stores.users.add(a_user(name=name), an_event())
    for text, expected in (
        ("50%", ["50% off"]),
        ("a_", ["a_b"]),
        (".", [".*"]),
        ("x.", ["x.y"]),
        ("[", ["[a-z]"]),
        ("^", ["^start"]),
        ("$", ["$where"]),
        ("*", []),
        ("'", []),
    ):
        found = await walked(stores, UserQuery(text=text))
        assert [user.name for user in found] == expected, text


async def test_white_space_is_no_text(stores: Stores) -> None:
    user = a_user(name="Ann")
    await stores.users.add(user, an_event())
    assert await walked(stores, UserQuery(text="  ")) == [user]
    assert await walked(stores, UserQuery(text=" ann ")) == [user]


async def test_a_user_is_found_by_the_names_of_today(stores: Stores) -> None:
    """By the new ones at once, and by the former ones no longer."""
    user = a_user("Before", name="Old Name")
    await stores.users.add(user, an_event())

    renamed = await stores.users.rename(
        user, an_event(), name="Ｎｅｗ NAME", username="After", username_key="after"
    )
    assert renamed is not None
    moved = await stores.users.set_email(
        renamed, an_event(), email="m@new.org", email_key="m@new.org", verified_at=NOON
    )

    for text in ("new n", "afte", "m@new"):
        assert await walked(stores, UserQuery(text=text)) == [moved], text
    for text in ("old n", "befo", "Before@"):
        assert await walked(stores, UserQuery(text=text)) == [], text

    nameless = await stores.users.rename(
        renamed, an_event(), name="", username="After", username_key="after"
    )
    assert nameless is not None
    assert await walked(stores, UserQuery(text="new n")) == []


async def test_a_name_in_other_letters_is_still_found(stores: Stores) -> None:
    """A change of the name that leaves its key as it was leaves the user to be found."""
    user = a_user(name="ann")
    await stores.users.add(user, an_event())
    await stores.users.rename(
        user, an_event(), name="ANN", username=user.username, username_key=user.username_key
    )
    assert [each.name for each in await walked(stores, UserQuery(text="an"))] == ["ANN"]


async def test_lists_follow_what_is_changed(stores: Stores) -> None:
    """Roles, factors, disabling, verifying and signing in count at the next page."""
    user = a_user(roles=())
    await stores.users.add(user, an_event())

    async def is_found(**conditions: Any) -> bool:
        return bool(await walked(stores, UserQuery(**conditions)))

    assert await is_found(factor="none", enabled=True, verified=False)
    app, codes = a_factor("totp"), a_factor("recovery_codes")
    await stores.factors.change(user.id, adding(app, limit=1, codes=codes))
    assert await is_found(factor="totp")
    assert await is_found(factor="any")
    assert await is_found(factor="recovery_codes")
    assert not await is_found(factor="none")
    await stores.factors.change(user.id, lambda factors: tuple(f for f in factors if f != app))
    assert await is_found(factor="recovery_codes")
    assert await is_found(factor="none")
    assert not await is_found(factor="any")
    await stores.factors.change(user.id, removing(codes.id))
    assert not await is_found(factor="recovery_codes")

    await stores.users.grant(user.id, "editor", an_event())
    assert await is_found(role="editor")
    await stores.users.withdraw(user.id, "editor", an_event())
    assert not await is_found(role="editor")

    session = a_session(user_id=user.id, created_at=NOON + A_MINUTE)
    assert await stores.sessions.open(session, an_event())
    assert await is_found(signed_in_from=NOON, order="last_sign_in")
    assert not await is_found(signed_in_before=NOON + A_MINUTE)

    await stores.users.reset_password(user, "new", an_event(), at=NOON)
    assert await is_found(verified=True)
    await stores.users.disable(user.id, NOON, an_event())
    assert await is_found(enabled=False)
    await stores.users.enable(user.id, an_event())
    assert not await is_found(enabled=False)
    await stores.users.remove(user.id, an_event())
    assert not await is_found()


BAD_CURSORS = [
    *(
        "",
        "x",
        "0",
        "null",
        "[]",
        "{}",
        '"',
        "[" * 10_000,
        "[1,2,3,4,5]",
        '{"a":1,"b":2,"c":3,"d":4}',
    ),
    *(json.dumps(each) for each in ("a", 1, True, [None] * 4, [[], {}, {}, {}], ["created"] * 4)),
    "1" * 5_000,
    "[" + "9" * 5_000 + "]",
]


@pytest.mark.parametrize("order", ["created", "username", "last_sign_in", "text"])
async def test_a_text_that_is_no_place_in_the_list_is_refused(stores: Stores, order: str) -> None:
    """It never reaches the database: no operator and no number that it cannot store."""
    for number in range(3):
        await stores.users.add(a_user(f"ann{number}", name="Ann"), an_event())
    queries = {
        "text": UserQuery(text="ann"),
        **{each: UserQuery(order=each) for each in ("created", "username", "last_sign_in")},  # type: ignore[arg-type]
    }
    page = await stores.users.search(queries[order], after=None, limit=1)
    assert page.after is not None
    kind, stretch, key, user_id = json.loads(page.after)
    bad = [
        [kind, stretch, key],
        [kind, stretch, key, user_id, 1],
        ["else", stretch, key, user_id],
        [kind, -1, key, user_id],
        [kind, 3, key, user_id],
        [kind, True, key, user_id],
        [kind, 0.0, key, user_id],
        *([kind, stretch, each, user_id] for each in ({"$gt": ""}, [], True, 1.5, -1, 1 << 70)),
        *([kind, stretch, each, user_id] for each in ("\ud800", "bob" if order == "text" else 0.1)),
        *(
            [kind, stretch, key, each]
            for each in ({"$gt": ""}, [], None, 7, "ü", "x" * 99, "\ud800")
        ),
    ]
    foreign = [
        (await stores.users.search(other, after=None, limit=1)).after
        for name, other in queries.items()
        if name != order
    ]
    turned = replace(queries[order], descending=False)
    if order != "text":
        foreign.append((await stores.users.search(turned, after=None, limit=1)).after)

    for after in (*BAD_CURSORS, *map(json.dumps, bad), *foreign):
        with pytest.raises(ValueError):  # noqa: PT011 - of whatever kind, the door says the same
            await stores.users.search(queries[order], after=after, limit=1)


async def test_a_list_goes_on_after_whoever_is_gone(stores: Stores) -> None:
    """A page ends with a user who is deleted, or renamed, before the next one is asked for."""
    everybody = [a_user(f"ann{number}", created_at=NOON + number * A_MINUTE) for number in range(6)]
    for user in everybody:
        await stores.users.add(user, an_event())
    for query in (
        UserQuery(descending=False),
        UserQuery(order="username", descending=False),
        UserQuery(text="ann"),
    ):
        page = await stores.users.search(query, after=None, limit=2)
        gone = page.users[-1]
        await stores.users.remove(gone.id, an_event())
        rest = await stores.users.search(query, after=page.after, limit=9)
        left = [user.id for user in everybody[everybody.index(gone) + 1 :]]
        assert [user.id for user in rest.users] == left
        await stores.users.add(gone, an_event())


async def test_whoever_stays_is_seen_once_while_others_come_and_go(
    stores: Stores, bounds: Any
) -> None:
    """At full speed, and between those who stay, in every order."""
    bounds(25, 40)
    some = random.Random(5)

    def one(number: int) -> User:
        created = NOON + some.randrange(50) * A_MINUTE
        signed_in = some.choice((None, created, created + A_DAY))
        return a_user(
            f"ann{some.randrange(10**6):06}{number}",
            name=some.choice(("Ann", "Anna", "Bob")),
            created_at=created,
            last_sign_in_at=signed_in,
            roles=("rare",) if number % 10 == 0 else ("user",),
            disabled_at=some.choice((None, created)),
            factors=some.choice(((), (a_factor(),))),
        )

    staying = [one(number) for number in range(120)]
    for user in staying:
        await stores.users.add(user, an_event())
    changes, at_work = 0, True

    async def come_and_go(first: int) -> None:
        nonlocal changes
        for number in itertools.count(first, 100):
            if not at_work:
                return
            user = one(number)
            await stores.users.add(user, an_event())
            session = a_session(user_id=user.id, created_at=NOON + number * A_MINUTE)
            await asyncio.gather(
                stores.users.disable(user.id, NOON, an_event()),
                stores.users.grant(user.id, "rare", an_event()),
                stores.sessions.open(session, an_event()),
                stores.factors.change(user.id, adding(a_factor(), limit=9)),
            )
            await stores.users.remove(user.id, an_event())
            changes += 6

    writers = [asyncio.create_task(come_and_go(1000 + each)) for each in range(4)]
    orders = ("created", "username", "last_sign_in")
    queries = [
        *(UserQuery(order=o, descending=d) for o in orders for d in (True, False)),
        *(UserQuery(text=text) for text in ("ann", "a", "bob")),
        *(UserQuery(order=order, role="rare") for order in orders),
        *(UserQuery(order=order, enabled=False, factor="any") for order in orders),
        UserQuery(text="ann", role="rare"),
    ]
    for query in itertools.islice(itertools.cycle(queries), 3 * len(queries)):
        found = [user.id for user in await walked(stores, query, some.choice((1, 5, 17)))]
        wanted = in_order(staying, query)
        kept = {user.id for user in staying}
        assert [each for each in found if each in kept] == wanted, query
    at_work = False
    await asyncio.gather(*writers)
    assert changes > 300
