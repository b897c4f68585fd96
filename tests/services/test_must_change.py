"""A breached password signs nobody in where it must be changed, on both databases."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta

import bcrypt
import pytest

from gatelodge.accounts.roles import ADMIN
from gatelodge.accounts.store import User
from gatelodge.app import House
from gatelodge.audit import COMMAND
from gatelodge.credentials.refusals import RejectedPassword
from gatelodge.proofs.refusals import InvalidCode, PasswordMustChange
from gatelodge.sign_in.challenges import Challenge
from gatelodge.sign_in.opening import SignInContext
from gatelodge.sign_in.refusals import InvalidCredentials
from gatelodge.sign_in.service import AtBreached
from tests.services import test_letter_proofs as letters
from tests.services.test_letter_proofs import ABROAD, HOME, MEANWHILE, NEW, now, sign_in, sign_up
from tests.services.test_sign_in_by_code import with_factor
from tests.support.breached import import_text, line
from tests.support.clock import FakeClock
from tests.support.events import newest
from tests.support.held import Held
from tests.support.mailbox import Mailbox, delivered, subscribed, token_in
from tests.support.people import PASSWORD

settings, pair, house = letters.settings, letters.pair, letters.house


@pytest.fixture(autouse=True)
def breached(pair: list[House]) -> None:
    """Have the setting on at both nodes, and the password of everybody on the list."""
    for each in pair:
        demand(each, "change")


def demand(house: House, at_breached: AtBreached, *, verification: str = "offered") -> None:
    """Let a house do this with breached passwords."""
    strict = replace(house.verification, mode=verification)
    vars(house)["sign_in"] = replace(house.sign_in, verification=strict, at_breached=at_breached)


async def with_breached(house: House, *, verified: bool, admin: bool = False) -> User:
    """Return Ann, whose password got onto the list after she had signed up."""
    ann = await sign_up(house)
    if admin:
        await house.accounts.grant(ann, ADMIN, COMMAND)
    if verified:
        await house.accounts.verify_email(ann, COMMAND)
    import_text(line(PASSWORD), house.settings.breached_file)
    return await now(house, ann)


async def refused(house: House) -> PasswordMustChange:
    """Try to sign in with the breached password, and return the refusal."""
    with pytest.raises(PasswordMustChange) as raised:
        await sign_in(house)
    return raised.value


async def events(house: House) -> list[str]:
    """Return the names of the events so far."""
    return [each.name for each in await newest(house.stores.events, 50)]


async def test_a_letter_leads_to_a_new_password(pair: list[House], mailbox: Mailbox) -> None:
    """The answer alone sets none: whoever knows a breached password may be a thief."""
    ann = await with_breached(pair[0], verified=True)

    refusal = await refused(pair[0])
    await delivered(pair[0])

    assert "session.opened" not in await events(pair[0])
    assert refusal.members == {"accessToken": None, "request": refusal.request}
    assert mailbox.kinds() == [("ann@example.com", "password-breached")]
    assert mailbox.values()["language"] == "de"
    with pytest.raises(InvalidCode):
        await pair[1].password_reset.by_link(refusal.request, NEW, HOME)
    code = mailbox.values()["code"]
    with pytest.raises(RejectedPassword, match="stolen"):
        await pair[1].password_reset.by_code(refusal.request, code, PASSWORD, HOME)
    await pair[1].password_reset.by_code(refusal.request, code, NEW, HOME)
    await sign_in(pair[0], password=NEW)
    assert (await now(pair[0], ann)).epoch == ann.epoch + 1


async def test_the_link_of_that_letter_works_too(house: House, mailbox: Mailbox) -> None:
    await with_breached(house, verified=True)
    await refused(house)
    await delivered(house)

    await house.password_reset.by_link(token_in(mailbox), NEW, ABROAD)

    await sign_in(house, password=NEW)


async def test_letters_for_forgotten_passwords_do_not_use_that_letter_up(
    house: House, mailbox: Mailbox
) -> None:
    """Anybody can ask for those."""
    await with_breached(house, verified=True)
    for _ in range(4):
        await letters.asked(house)
    assert len(mailbox.mails) == 3

    await refused(house)
    await delivered(house)

    assert mailbox.kinds()[3:] == [("ann@example.com", "password-breached")]


async def test_where_no_letter_is_known_to_arrive_the_password_sets_a_new_one(
    pair: list[House], mailbox: Mailbox
) -> None:
    """That verifies no address. The user is told by a notice."""
    await subscribed(pair[0])
    demand(pair[0], "off")
    ann = await with_breached(pair[0], verified=False)
    session = (await sign_in(pair[0])).session
    demand(pair[0], "change")

    refusal = await refused(pair[0])
    assert refusal.members == {"accessToken": None, "token": refusal.token}
    assert session.is_live(await now(pair[0], ann), pair[0].clock.now())
    await pair[1].password_reset.by_link(refusal.token, NEW, HOME)

    changed = await now(pair[0], ann)
    assert changed.email_verified_at is None
    assert not session.is_live(changed, pair[0].clock.now())
    assert {"password.changed", "password.reset"} & set(await events(pair[0])) == {
        "password.changed"
    }
    await delivered(pair[0])
    assert mailbox.kinds() == [("ann@example.com", "password-changed")]
    with pytest.raises(InvalidCode):
        await pair[0].password_reset.by_link(refusal.token, "another horse battery", HOME)
    with pytest.raises(InvalidCredentials):
        await sign_in(pair[0])
    await sign_in(pair[0], password=NEW)


async def test_without_mail_nobody_is_locked_out(house: House) -> None:
    await with_breached(house, verified=True, admin=True)
    without = replace(house.password_reset, letters=replace(house.letters, post=None))
    vars(house)["sign_in"] = replace(house.sign_in, reset=without)

    refusal = await refused(house)

    await house.password_reset.by_link(refusal.token, NEW, HOME)
    await sign_in(house, password=NEW)


async def test_where_addresses_must_be_verified_one_letter_does_both(
    house: House, mailbox: Mailbox
) -> None:
    ann = await with_breached(house, verified=False)
    demand(house, "change", verification="required")

    refusal = await refused(house)
    await delivered(house)

    await house.password_reset.by_code(refusal.request, mailbox.values()["code"], NEW, HOME)
    assert (await now(house, ann)).email_verified_at is not None
    await sign_in(house, password=NEW)


async def test_an_administrator_whose_address_nobody_verified_needs_no_letter(
    house: House, mailbox: Mailbox
) -> None:
    await with_breached(house, verified=False, admin=True)
    demand(house, "change", verification="required")

    assert (await refused(house)).token
    await delivered(house)
    assert mailbox.mails == []


@pytest.mark.parametrize("meanwhile", MEANWHILE.values(), ids=MEANWHILE)
async def test_the_secret_is_void_when_the_account_is_another_one_by_now(
    house: House, meanwhile: Callable[[House, User], Awaitable[object]]
) -> None:
    ann = await with_breached(house, verified=False)
    token = (await refused(house)).token
    await meanwhile(house, ann)

    with pytest.raises(InvalidCode):
        await house.password_reset.by_link(token, NEW, HOME)


async def test_the_secret_works_for_ten_minutes_and_until_the_next_sign_in(
    house: House, clock: FakeClock
) -> None:
    await with_breached(house, verified=False)
    first = (await refused(house)).token
    second = (await refused(house)).token
    with pytest.raises(InvalidCode):
        await house.password_reset.by_link(first, NEW, HOME)

    clock.advance(timedelta(minutes=10))
    with pytest.raises(InvalidCode):
        await house.password_reset.by_link(second, NEW, HOME)


async def test_of_many_who_use_the_secret_one_sets_the_password(pair: list[House]) -> None:
    await with_breached(pair[0], verified=False)
    token = (await refused(pair[0])).token
    wanted = [f"wild geese at dawn {number}" for number in range(6)]

    outcomes = await asyncio.gather(
        *(
            pair[number % 2].password_reset.by_link(token, each, HOME)
            for number, each in enumerate(wanted)
        ),
        return_exceptions=True,
    )

    [won] = [number for number, each in enumerate(outcomes) if isinstance(each, User)]
    assert sum(isinstance(each, InvalidCode) for each in outcomes) == 5
    await sign_in(pair[0], password=wanted[won])


async def test_another_hash_of_the_same_password_voids_nothing(house: House) -> None:
    """Another sign-in may bring it up to date after the user was read."""
    ann = await with_breached(house, verified=False)
    token = (await refused(house)).token
    weaker = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(4)).decode()
    held = Held(house.stores.users, "find")
    slow = replace(house.password_reset, users=held)  # type: ignore[arg-type]

    setting = asyncio.create_task(slow.by_link(token, NEW, HOME))
    await held.arrived.wait()
    await house.stores.users.replace_password_hash(ann.id, str(ann.password_hash), weaker)
    held.let_go.set()
    await setting

    await sign_in(house, password=NEW)


async def test_the_password_alone_sets_no_new_one_for_who_has_a_second_factor(
    house: House, mailbox: Mailbox
) -> None:
    """Where no letter is known to arrive, the second factor is asked for, in every browser.

    It does not help to have got the link before the factor was added.
    """
    ann = await with_breached(house, verified=False)
    early = (await refused(house)).token
    codes = await with_factor(house, ann)
    with pytest.raises(InvalidCode):
        await house.password_reset.by_link(early, NEW, ABROAD)
    cookie = await in_a_remembered_browser(house, await now(house, ann))

    outcome = await house.sign_in.sign_in("ann", PASSWORD, "bearer", ABROAD, remembered=cookie)

    assert isinstance(outcome, Challenge)
    waiting = await house.challenges.find(outcome.id)
    signed_in = await house.opening.finish_by_code(
        waiting, "recovery_code", codes[0], SignInContext(HOME)
    )
    assert signed_in.password_is_breached
    assert (await now(house, ann)).epoch == ann.epoch


async def in_a_remembered_browser(house: House, ann: User) -> str:
    """Return the cookie of a browser in which a sign-in by both factors was remembered."""
    opened = await house.sign_in.open_first(ann, "bearer", HOME)
    cookie = await house.opening.remember(opened, HOME)
    assert not house.opening.asks(await now(house, ann), cookie)
    return cookie


async def test_a_letter_sets_a_new_one_with_a_second_factor_too(
    house: House, mailbox: Mailbox
) -> None:
    """And signs nobody in."""
    ann = await with_breached(house, verified=True)
    await with_factor(house, ann)

    refusal = await refused(house)
    await delivered(house)
    await house.password_reset.by_code(refusal.request, mailbox.values()["code"], NEW, HOME)

    outcome = await house.sign_in.sign_in("ann", NEW, "bearer", HOME)
    assert isinstance(outcome, Challenge)
