"""Where a new password is required, no way of signing in leads around it, on both databases."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest

from gatelodge.accounts.refusals import NoPassword
from gatelodge.accounts.store import SET_PASSWORD, User
from gatelodge.app import House
from gatelodge.audit import COMMAND
from gatelodge.credentials.refusals import RejectedPassword
from gatelodge.methods import BY_PASSKEY, BY_PASSWORD
from gatelodge.proofs.refusals import InvalidCode, PasswordMustChange, PasswordRequired
from gatelodge.sign_in.challenges import Challenge
from gatelodge.sign_in.opening import SignInContext
from gatelodge.sign_in.refusals import ChallengeOver, InvalidCredentials
from gatelodge.tokens.refusals import InvalidToken
from tests.services import test_letter_proofs as letters
from tests.services.test_letter_proofs import ABROAD, HOME, MEANWHILE, NEW, now, sign_in, sign_up
from tests.services.test_sign_in_by_code import with_factor
from tests.support.events import newest
from tests.support.held import Held
from tests.support.mailbox import Mailbox, delivered, token_in
from tests.support.people import PASSWORD

settings, pair, house = letters.settings, letters.pair, letters.house


async def required(house: House, *, verified: bool) -> User:
    """Return Ann, of whom a new password is required."""
    ann = await sign_up(house)
    if verified:
        await house.accounts.verify_email(ann, COMMAND)
    assert await house.accounts.require_new_password(ann, COMMAND)
    return await now(house, ann)


async def refused(signing_in: Awaitable[object]) -> PasswordMustChange:
    """Return the refusal of a sign-in."""
    with pytest.raises(PasswordRequired) as raised:
        await signing_in
    assert raised.value.code == "password_must_change"
    return raised.value


async def events(house: House) -> list[str]:
    """Return the names of the events so far, the newest first."""
    return [each.name for each in await newest(house.stores.events, 50)]


async def test_every_session_ends_and_the_password_signs_nobody_in(pair: list[House]) -> None:
    ann = await sign_up(pair[0])
    session = (await sign_in(pair[0])).session

    assert await pair[0].accounts.require_new_password(ann, COMMAND)
    assert not await pair[1].accounts.require_new_password(ann, COMMAND)

    stored = await now(pair[0], ann)
    assert stored.must == (SET_PASSWORD,)
    assert not session.is_live(stored, pair[0].clock.now())
    assert (await events(pair[0])).count("password.required") == 1
    await refused(sign_in(pair[1]))
    with pytest.raises(InvalidCredentials):  # a wrong password is told nothing
        await sign_in(pair[1], password="wrong horse battery")
    assert (await events(pair[0])).count("session.opened") == 1


async def test_a_letter_leads_to_a_new_password(pair: list[House], mailbox: Mailbox) -> None:
    """The present one is no new one."""
    ann = await required(pair[0], verified=True)

    refusal = await refused(sign_in(pair[0]))
    await delivered(pair[0])

    assert refusal.members == {"accessToken": None, "request": refusal.request}
    assert mailbox.kinds() == [("ann@example.com", "password-required")]
    code = mailbox.values()["code"]
    with pytest.raises(RejectedPassword):
        await pair[1].password_reset.by_code(refusal.request, code, PASSWORD, HOME)
    await pair[1].password_reset.by_code(refusal.request, code, NEW, HOME)
    assert (await now(pair[0], ann)).must == ()
    await sign_in(pair[0], password=NEW)


async def test_a_letter_for_a_forgotten_password_does_too(house: House, mailbox: Mailbox) -> None:
    await required(house, verified=False)
    await letters.asked(house)

    with pytest.raises(RejectedPassword):
        await house.password_reset.by_link(token_in(mailbox), PASSWORD, ABROAD)
    await house.password_reset.by_link(token_in(mailbox), NEW, ABROAD)

    await sign_in(house, password=NEW)


async def test_where_no_letter_is_known_to_arrive_the_password_sets_a_new_one(
    pair: list[House], mailbox: Mailbox
) -> None:
    ann = await required(pair[0], verified=False)

    refusal = await refused(sign_in(pair[0]))
    await delivered(pair[0])

    assert refusal.members == {"accessToken": None, "token": refusal.token}
    assert mailbox.mails == []
    with pytest.raises(RejectedPassword):
        await pair[1].password_reset.by_link(refusal.token, PASSWORD, HOME)
    await pair[1].password_reset.by_link(refusal.token, NEW, HOME)
    assert (await now(pair[0], ann)).email_verified_at is None
    await sign_in(pair[0], password=NEW)


async def test_with_a_second_factor_the_factor_sets_it_and_the_password_alone_does_not(
    house: House,
) -> None:
    """Where no letter is known to arrive. A remembered browser does not count either."""
    ann = await sign_up(house)
    codes = await with_factor(house, ann)
    opened = await house.sign_in.open_first(await now(house, ann), "bearer", HOME)
    cookie = await house.opening.remember(opened, HOME)
    assert await house.accounts.require_new_password(ann, COMMAND)

    outcome = await house.sign_in.sign_in("ann", PASSWORD, "bearer", HOME, remembered=cookie)

    assert isinstance(outcome, Challenge)
    waiting = await house.challenges.find(outcome.id)
    finishing = house.opening.finish_by_code(
        waiting, "recovery_code", codes[0], SignInContext(HOME)
    )
    refusal = await refused(finishing)
    assert (await events(house)).count("session.opened") == 1
    await house.password_reset.by_link(refusal.token, NEW, HOME)
    assert (await now(house, ann)).must == ()
    again = await house.sign_in.sign_in("ann", NEW, "bearer", HOME)
    assert isinstance(again, Challenge)


async def test_with_a_second_factor_a_letter_is_sent_before_it_is_asked_for(
    house: House, mailbox: Mailbox
) -> None:
    ann = await required(house, verified=True)
    await with_factor(house, ann)

    assert (await refused(sign_in(house))).request


async def test_a_code_from_a_letter_leads_to_a_new_password_too(
    house: House, mailbox: Mailbox
) -> None:
    """It has just proved the mailbox, so there is no second letter."""
    ann = await required(house, verified=True)
    service = replace(house.code_sign_in, allowed=True)
    house.letters.authors["sign-in-code"] = service.write
    request = await service.ask("ann@example.com", "en", HOME)
    await delivered(house)

    refusal = await refused(service.sign_in(request, mailbox.values()["code"], "bearer", HOME))

    await house.password_reset.by_link(refusal.token, NEW, HOME)
    assert (await now(house, ann)).must == ()


async def test_who_lost_the_password_by_a_code_from_a_letter_sets_one(
    house: House, mailbox: Mailbox
) -> None:
    """A stranger may have signed up with the address: the code voids the password."""
    ann = await required(house, verified=False)
    service = replace(house.code_sign_in, allowed=True)
    house.letters.authors["sign-in-code"] = service.write
    request = await service.ask("ann@example.com", "en", HOME)
    await delivered(house)

    refusal = await refused(service.sign_in(request, mailbox.values()["code"], "bearer", HOME))

    assert (await now(house, ann)).password_hash is None
    await house.password_reset.by_link(refusal.token, NEW, HOME)
    await sign_in(house, password=NEW)


async def test_a_passkey_leads_to_a_new_password_and_not_around_it(house: House) -> None:
    """By the method in which every sign-in with one ends; `tests/api/` shows one as a whole."""
    ann = await required(house, verified=False)
    codes = await with_factor(house, ann)
    assert codes

    refusal = await refused(
        house.opening.open_proved(await now(house, ann), BY_PASSKEY, "bearer", SignInContext(HOME))
    )

    await house.password_reset.by_link(refusal.token, NEW, HOME)
    assert (await now(house, ann)).must == ()


async def test_who_was_asked_for_the_factor_before_it_was_required_is_not_signed_in(
    house: House,
) -> None:
    ann = await sign_up(house)
    codes = await with_factor(house, ann)
    outcome = await house.sign_in.sign_in("ann", PASSWORD, "bearer", HOME)
    assert isinstance(outcome, Challenge)
    waiting = await house.challenges.find(outcome.id)
    assert await house.accounts.require_new_password(ann, COMMAND)

    with pytest.raises(ChallengeOver):
        await house.opening.finish_by_code(waiting, "recovery_code", codes[0], SignInContext(HOME))

    assert "session.opened" not in await events(house)


async def test_a_sign_in_under_way_is_not_finished(pair: list[House]) -> None:
    """It has read the user before, and its write needs the user as read."""
    ann = await sign_up(pair[0])
    held = Held(pair[0].stores.users, "find_by_username")
    slow = replace(pair[0].sign_in, users=held)  # type: ignore[arg-type]

    signing_in = asyncio.create_task(slow.sign_in("ann", PASSWORD, "bearer", HOME))
    await held.arrived.wait()
    await pair[1].accounts.require_new_password(ann, COMMAND)
    held.let_go.set()

    with pytest.raises(InvalidCredentials):
        await signing_in
    with pytest.raises(InvalidToken):
        await pair[0].sessions.open(ann, BY_PASSWORD, "bearer", HOME)


@pytest.mark.parametrize("meanwhile", MEANWHILE.values(), ids=MEANWHILE)
async def test_the_secret_is_void_when_the_account_is_another_one_by_now(
    house: House, meanwhile: Callable[[House, User], Awaitable[object]]
) -> None:
    ann = await required(house, verified=False)
    token = (await refused(sign_in(house))).token
    await meanwhile(house, ann)

    with pytest.raises(InvalidCode):
        await house.password_reset.by_link(token, NEW, HOME)


async def test_who_has_no_password_cannot_be_required_to_have_another(
    house: House, mailbox: Mailbox
) -> None:
    ann = await sign_up(house)
    ann = await house.accounts.verify_for_owner(ann, COMMAND)
    assert ann is not None

    with pytest.raises(NoPassword):
        await house.accounts.require_new_password(ann, COMMAND)


async def test_an_operator_who_sets_a_password_ends_it(house: House) -> None:
    ann = await required(house, verified=False)

    await house.accounts.set_password(ann, NEW, COMMAND)

    await sign_in(house, password=NEW)
