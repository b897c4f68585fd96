"""What every store promises about the factors of users."""

import asyncio
from dataclasses import replace

import pytest

from gatelodge.accounts.store import User
from gatelodge.credentials.factors import (
    Change,
    Factor,
    LastFactor,
    NotFirst,
    adding,
    remembering,
    removing,
    removing_all,
    renaming,
    replacing,
    using_code,
    using_passkey,
    using_step,
)
from gatelodge.errors import AlreadyExists
from gatelodge.ids import UserId
from gatelodge.stores import Stores
from tests.contracts.builders import A_MINUTE, NOON, a_factor, a_session, a_user, an_event

MANY = 20
NOBODY = UserId("usr_nobody")
CODES = tuple(bytes([number]) * 32 for number in range(10))

FULL = a_factor(
    "passkey",
    name="Schlüssel “名”",
    last_used_at=NOON + A_MINUTE,
    counter=7,
    sealed_secret=b"\x00\xff",
    digests=CODES[:2],
    expires_at=NOON + 2 * A_MINUTE,
    public_key=bytes(range(256)),
    transports=("internal", "hybrid"),
    syncable=True,
    synced=True,
)


async def someone(stores: Stores, *factors: Factor, **changes: object) -> User:
    """Return a stored user who has these factors."""
    user = a_user(factors=factors, **changes)
    await stores.users.add(user, an_event())
    return user


async def factors_of(stores: Stores, user: User) -> tuple[Factor, ...]:
    """Return the factors that are stored with a user, however the user is found."""
    found = await stores.users.find(user.id)
    assert found is not None
    assert await stores.users.find_by_username(user.username_key) == found
    return found.factors


async def test_a_factor_comes_back_as_it_was_kept(stores: Stores) -> None:
    bare = a_factor("totp", sealed_secret=b"sealed")
    user = await someone(stores)
    session = a_session(user_id=user.id)
    await stores.sessions.add(session)

    assert await stores.factors.change(user.id, adding(FULL, limit=2)) == (FULL,)
    assert await stores.factors.change(user.id, adding(bare, limit=2)) == (FULL, bare)

    assert await factors_of(stores, user) == (FULL, bare)
    found = await stores.sessions.find_with_user(session.id)
    assert found is not None
    assert found[1].factors == (FULL, bare)


async def test_a_user_is_stored_with_factors(stores: Stores) -> None:
    totp = a_factor()
    assert await factors_of(stores, await someone(stores, totp)) == (totp,)
    assert await factors_of(stores, await someone(stores)) == ()


async def test_of_new_users_with_one_passkey_exactly_one_is_stored(stores: Stores) -> None:
    """The names of the others are free."""
    passkey = a_factor("passkey")
    users = [a_user(factors=(a_factor("passkey"), passkey)) for _ in range(MANY)]

    outcomes = await asyncio.gather(
        *(stores.users.add(each, an_event()) for each in users), return_exceptions=True
    )

    refused = [each for each in outcomes if isinstance(each, AlreadyExists)]
    assert [each.field for each in refused] == ["credential_id"] * (MANY - 1)
    assert outcomes.count(None) == 1
    for user, outcome in zip(users, outcomes, strict=True):
        if outcome is None:
            assert await factors_of(stores, user) == user.factors
        else:
            assert await stores.users.find(user.id) is None
            names = {"username": user.username, "username_key": user.username_key}
            again = replace(a_user(), **names, email=user.email, email_key=user.email_key)
            await stores.users.add(replace(again, factors=user.factors[:1]), an_event())


async def test_only_so_many_of_a_kind_are_added(stores: Stores) -> None:
    user = await someone(stores, a_factor())

    assert await stores.factors.change(user.id, adding(a_factor(), limit=1), an_event()) is None
    assert await stores.factors.change(user.id, adding(a_factor("passkey"), limit=1)) is not None
    assert len(await factors_of(stores, user)) == 2


async def test_recovery_codes_come_with_a_factor_unless_there_are_some(stores: Stores) -> None:
    """Of two that are added at once, one brings them."""
    user = await someone(stores)
    codes = [a_factor("recovery_codes", digests=CODES) for _ in range(2)]

    await asyncio.gather(
        *(stores.factors.change(user.id, adding(a_factor(), limit=9, codes=each)) for each in codes)
    )

    kinds = [each.kind for each in await factors_of(stores, user)]
    assert kinds == ["totp", "recovery_codes", "totp"]


async def test_of_many_that_are_added_at_once_none_is_lost_and_none_too_many(
    stores: Stores,
) -> None:
    user = await someone(stores)

    added = await asyncio.gather(
        *(stores.factors.change(user.id, adding(a_factor(), limit=5)) for _ in range(MANY))
    )

    assert len([each for each in added if each is not None]) == 5
    assert len(await factors_of(stores, user)) == 5


async def test_of_many_that_must_be_the_first_one_is_added(stores: Stores) -> None:
    """Whoever has proved one factor adds none to those that somebody else has just added."""
    user = await someone(stores)
    outcomes = await asyncio.gather(
        *(
            stores.factors.change(
                user.id, adding(a_factor(kind), limit=9, must_be_first=True), an_event()
            )
            for kind in ("totp", "passkey") * 5
        ),
        return_exceptions=True,
    )
    assert [type(each) for each in outcomes].count(NotFirst) == len(outcomes) - 1
    assert len(await factors_of(stores, user)) == 1


@pytest.mark.parametrize("change", [{"epoch": 2}, {"disabled_at": NOON}])
async def test_an_act_that_began_before_is_refused(
    stores: Stores, change: dict[str, object]
) -> None:
    """Somebody was signed out everywhere or disabled since."""
    user = await someone(stores, **{"epoch": 1} | change)

    changed = await stores.factors.change(user.id, adding(a_factor(), limit=9), an_event(), epoch=1)

    assert changed is None
    assert await factors_of(stores, user) == ()


async def test_nobody_has_no_factors(stores: Stores) -> None:
    assert await stores.factors.change(NOBODY, adding(a_factor(), limit=9), an_event()) is None
    assert await stores.factors.change(NOBODY, removing_all(), an_event()) is None


async def test_a_passkey_belongs_to_one_user(stores: Stores) -> None:
    passkey = a_factor("passkey")
    users = [await someone(stores) for _ in range(MANY)]

    outcomes = await asyncio.gather(
        *(stores.factors.change(each.id, adding(passkey, limit=9)) for each in users),
        return_exceptions=True,
    )

    assert len([each for each in outcomes if isinstance(each, AlreadyExists)]) == MANY - 1
    having = [each for each in users if await factors_of(stores, each)]
    assert len(having) == 1
    with pytest.raises(AlreadyExists) as caught:  # the owner has it once
        await stores.factors.change(having[0].id, adding(passkey, limit=9))
    assert caught.value.field == "credential_id"
    assert await factors_of(stores, having[0]) == (passkey,)


@pytest.mark.parametrize("way", ["removed", "reset", "deleted"])
async def test_a_passkey_that_is_gone_is_free_again(stores: Stores, way: str) -> None:
    passkey, other = a_factor("passkey"), a_factor("passkey")
    user, newcomer = await someone(stores, other, passkey), await someone(stores)

    match way:
        case "removed":
            await stores.factors.change(user.id, removing(passkey.id), an_event())
        case "reset":
            await stores.factors.change(user.id, removing_all(), an_event(), ends_sessions=True)
        case _:
            await stores.users.remove(user.id, an_event())

    assert await stores.factors.change(newcomer.id, adding(passkey, limit=9)) == (passkey,)
    if way == "removed":
        assert await factors_of(stores, user) == (other,)
        with pytest.raises(AlreadyExists):
            await stores.factors.change(newcomer.id, adding(other, limit=9))


async def one_of_many(stores: Stores, user: User, change: Change) -> None:
    """Show that of many callers with the same change, exactly one makes it."""
    outcomes = await asyncio.gather(
        *(stores.factors.change(user.id, change, an_event()) for _ in range(MANY))
    )
    assert len([each for each in outcomes if each is not None]) == 1


async def test_a_step_works_once(stores: Stores) -> None:
    totp = a_factor(counter=4)
    user = await someone(stores, totp, a_factor())

    await one_of_many(stores, user, using_step(totp.id, 5, NOON + A_MINUTE))

    used, other = await factors_of(stores, user)
    assert (used.counter, used.last_used_at) == (5, NOON + A_MINUTE)
    assert other.counter == 0
    for earlier in (5, 4):
        assert await stores.factors.change(user.id, using_step(totp.id, earlier, NOON)) is None
    assert await stores.factors.change(user.id, using_step(totp.id, 6, NOON)) is not None


async def test_a_recovery_code_works_once(stores: Stores) -> None:
    user = await someone(stores, a_factor("recovery_codes", digests=CODES))

    await one_of_many(stores, user, using_code(CODES[3], NOON))

    (codes,) = await factors_of(stores, user)
    assert codes.digests == (*CODES[:3], *CODES[4:])
    assert codes.last_used_at == NOON


async def test_codes_that_are_used_at_once_are_all_used(stores: Stores) -> None:
    user = await someone(stores, a_factor("recovery_codes", digests=CODES))

    await asyncio.gather(
        *(stores.factors.change(user.id, using_code(each, NOON)) for each in CODES[:9])
    )

    assert (await factors_of(stores, user))[0].digests == CODES[9:]


async def test_new_recovery_codes_void_the_old(stores: Stores) -> None:
    totp, old = a_factor(), a_factor("recovery_codes", digests=CODES[:5])
    new = a_factor("recovery_codes", digests=CODES[5:])
    user, without = await someone(stores, totp, old), await someone(stores)

    assert await stores.factors.change(user.id, replacing(new), an_event()) == (totp, new)

    assert await stores.factors.change(user.id, using_code(CODES[0], NOON), an_event()) is None
    assert await stores.factors.change(without.id, replacing(new), an_event()) is None


async def test_a_sign_count_goes_up_or_stays_at_0(stores: Stores) -> None:
    passkey = a_factor("passkey")
    user = await someone(stores, passkey)

    async def use(count: int) -> bool:
        change = using_passkey(passkey.id, count, NOON, synced=True)
        return await stores.factors.change(user.id, change) is not None

    assert [await use(count) for count in (0, 0, 3, 3, 2, 0, 4)] == [
        *(True, True, True, False, False, False, True)
    ]
    (used,) = await factors_of(stores, user)
    assert (used.counter, used.last_used_at, used.synced) == (4, NOON, True)


async def test_a_factor_gets_another_name(stores: Stores) -> None:
    totp, other = a_factor(), a_factor()
    user = await someone(stores, other, totp)

    await one_of_many(stores, user, renaming(totp.id, "Tablet"))

    assert await factors_of(stores, user) == (other, replace(totp, name="Tablet"))


async def test_what_stands_in_for_a_factor_goes_with_the_last(stores: Stores) -> None:
    totp, passkey = a_factor(), a_factor("passkey")
    others = (a_factor("recovery_codes", digests=CODES), a_factor("browser"))
    user = await someone(stores, totp, passkey, *others)

    await one_of_many(stores, user, removing(totp.id))

    assert await factors_of(stores, user) == (passkey, *others)
    await one_of_many(stores, user, removing(passkey.id))
    assert await factors_of(stores, user) == ()


async def test_the_last_factor_is_not_removed_from_two_sides(stores: Stores) -> None:
    factors = a_factor("passkey"), a_factor(), a_factor("recovery_codes")
    user = await someone(stores, *factors)

    outcomes = await asyncio.gather(
        *(
            stores.factors.change(user.id, removing(each.id, unless_last=True), an_event())
            for each in factors[:2]
        ),
        return_exceptions=True,
    )

    assert len([each for each in outcomes if isinstance(each, LastFactor)]) == 1
    assert len(await factors_of(stores, user)) == 2
    gone = removing(factors[2].id, unless_last=True)  # it only stands in for the other
    assert await stores.factors.change(user.id, gone) is not None


async def test_a_reset_ends_every_session(stores: Stores) -> None:
    user = await someone(stores, a_factor("passkey"), a_factor("recovery_codes"))
    session = a_session(user_id=user.id)
    await stores.sessions.add(session)

    await stores.factors.change(user.id, removing_all(), an_event(), ends_sessions=True)

    found = await stores.sessions.find_with_user(session.id)
    assert found is not None
    assert found[1].factors == ()
    assert found[1].epoch == user.epoch + 1
    assert not found[0].is_live(found[1], NOON)


async def test_browsers_are_remembered_up_to_a_number(stores: Stores) -> None:
    user = await someone(stores, a_factor())

    def browser(minute: int, **changes: object) -> Factor:
        created_at = NOON + minute * A_MINUTE
        values = {"created_at": created_at, "expires_at": created_at + 9 * A_MINUTE} | changes
        return a_factor("browser", **values)

    over, of_before, first, second = (
        browser(0, expires_at=NOON),
        browser(1, counter=5),
        browser(1),
        browser(2),
    )
    for each in (over, of_before, first, second, third := browser(3)):
        assert await stores.factors.change(user.id, remembering(each, most=2)) is not None

    assert (await factors_of(stores, user))[1:] == (second, third)
    without = await someone(stores)
    assert await stores.factors.change(without.id, remembering(third, most=2)) is None
