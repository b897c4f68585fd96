"""Signing in by a code from a letter, on both databases."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from gatelodge.accounts.refusals import InvalidEmail
from gatelodge.accounts.service import NewUser
from gatelodge.accounts.store import User
from gatelodge.app import House
from gatelodge.audit import COMMAND
from gatelodge.credentials.factors import Factor, FactorId, adding
from gatelodge.credentials.recovery_codes import digest_of_code, new_recovery_codes
from gatelodge.credentials.refusals import TooManyAttempts, WrongPassword
from gatelodge.proofs.refusals import InvalidCode
from gatelodge.sessions.lookup import Records
from gatelodge.sessions.refusals import InvalidRefreshToken
from gatelodge.sessions.service import SignedIn
from gatelodge.sign_in.by_code import CodeSignIn
from gatelodge.sign_in.challenges import Challenge
from gatelodge.sign_in.opening import SignInContext
from gatelodge.sign_in.refusals import InvalidCredentials, SignInByCodeOff
from gatelodge.tokens.refusals import InvalidToken
from tests.services import test_letter_proofs as letters
from tests.services.test_letter_proofs import ABROAD, HOME, MEANWHILE, NEW, now, sign_in, sign_up
from tests.support.clock import FakeClock
from tests.support.events import newest
from tests.support.held import Held
from tests.support.mailbox import Mailbox, delivered, subscribed, token_in
from tests.support.people import PASSWORD

settings, pair, house = letters.settings, letters.pair, letters.house

TEN_MINUTES = timedelta(minutes=10)


@pytest.fixture
def nodes(pair: list[House]) -> list[CodeSignIn]:
    """Return the service of both nodes, on which the setting is on."""
    for each in pair:
        vars(each)["code_sign_in"] = replace(each.code_sign_in, allowed=True)
        each.letters.authors.update(each.authors())
    return [each.code_sign_in for each in pair]


async def asked(house: House, email: str = "ann@example.com") -> str:
    """Ask for a code, and have the letter delivered."""
    request = await house.code_sign_in.ask(email, "en", ABROAD)
    await delivered(house)
    return request


async def signed_in(service: CodeSignIn, request: str, code: str) -> SignedIn:
    """Sign in by a code."""
    outcome = await service.sign_in(request, code, "bearer", HOME)
    assert isinstance(outcome, SignedIn)
    return outcome


async def test_who_reads_the_letter_is_signed_in_and_has_a_verified_address(
    house: House, nodes: list[CodeSignIn], mailbox: Mailbox
) -> None:
    ann = await sign_up(house)
    request = await asked(house, "ANN@example.com")

    outcome = await signed_in(nodes[1], request, mailbox.values()["code"].lower())

    assert mailbox.kinds() == [("ann@example.com", "sign-in-code")]
    assert mailbox.values()["language"] == "de"
    assert "link" not in mailbox.values()
    assert outcome.session.methods == ("otp",)
    assert outcome.session.is_live(await now(house, ann), house.clock.now())
    assert (await now(house, ann)).email_verified_at == house.clock.now()
    events = await newest(house.stores.events, 9)
    opened = next(each for each in events if each.name == "session.opened")
    assert (opened.actor, opened.detail["factor"]) == (ann.id, "email_code")


async def test_a_code_signs_in_once_however_many_send_it(
    house: House, nodes: list[CodeSignIn], mailbox: Mailbox
) -> None:
    await sign_up(house)
    request = await asked(house)
    code = mailbox.values()["code"]

    outcomes = await asyncio.gather(
        *(signed_in(nodes[n % 2], request, code) for n in range(4)), return_exceptions=True
    )

    assert sum(isinstance(each, SignedIn) for each in outcomes) == 1
    assert sum(isinstance(each, InvalidCode) for each in outcomes) == 3
    with pytest.raises(InvalidCode):
        await signed_in(nodes[0], request, code)


async def test_five_codes_may_be_tried(
    house: House, nodes: list[CodeSignIn], mailbox: Mailbox
) -> None:
    await sign_up(house)
    request = await asked(house)
    for _ in range(5):
        with pytest.raises(InvalidCode):
            await signed_in(nodes[0], request, "AAAA-AAAA")

    with pytest.raises(InvalidCode):
        await signed_in(nodes[0], request, mailbox.values()["code"])


async def test_a_code_works_for_ten_minutes_from_the_delivery_on(
    house: House, nodes: list[CodeSignIn], mailbox: Mailbox, clock: FakeClock
) -> None:
    await sign_up(house)
    for late, works in ((timedelta(seconds=1), True), (timedelta(0), False)):
        request = await nodes[0].ask("ann@example.com", "en", HOME)
        clock.advance(timedelta(hours=2))
        await delivered(house)
        clock.advance(TEN_MINUTES - late)
        if works:
            await signed_in(nodes[0], request, mailbox.values()["code"])
        else:
            with pytest.raises(InvalidCode):
                await signed_in(nodes[0], request, mailbox.values()["code"])


async def test_a_code_works_only_in_the_browser_that_asked_and_not_after_a_newer_one(
    house: House, nodes: list[CodeSignIn], mailbox: Mailbox
) -> None:
    await sign_up(house)
    first = await asked(house)
    old = mailbox.values()["code"]
    second = await asked(house)

    for request, code in ((first, old), (second, old), (first, mailbox.values()["code"])):
        with pytest.raises(InvalidCode):
            await signed_in(nodes[0], request, code)
    await signed_in(nodes[0], second, mailbox.values()["code"])


@pytest.mark.parametrize("meanwhile", MEANWHILE.values(), ids=MEANWHILE)
async def test_a_code_is_void_when_the_account_is_another_one_by_now(
    house: House,
    nodes: list[CodeSignIn],
    mailbox: Mailbox,
    meanwhile: Callable[[House, User], Awaitable[object]],
) -> None:
    ann = await sign_up(house)
    request = await asked(house)
    await meanwhile(house, ann)

    with pytest.raises(InvalidCode):
        await signed_in(nodes[0], request, mailbox.values()["code"])


async def test_who_has_no_account_or_a_disabled_one_gets_no_letter_and_the_same_answers(
    house: House, nodes: list[CodeSignIn], mailbox: Mailbox
) -> None:
    ann = await sign_up(house)
    await house.accounts.disable(ann, COMMAND)
    requests = [await asked(house), await asked(house, "nobody@example.com")]

    assert mailbox.mails == []
    assert len(requests[0]) == len(requests[1])
    for each in requests:
        for _ in range(7):
            with pytest.raises(InvalidCode):
                await signed_in(nodes[0], each, "AAAA-AAAA")


async def test_an_address_gets_five_codes_in_an_hour_and_twenty_in_a_day(
    house: House, nodes: list[CodeSignIn], mailbox: Mailbox, clock: FakeClock
) -> None:
    await sign_up(house)
    for count in (5, 10, 15, 20, 20):
        for _ in range(6):
            await house.letters.ask("sign-in-code", "ann@example.com", "ann@example.com")
        await delivered(house)
        assert len(mailbox.mails) == count
        clock.advance(timedelta(minutes=61))
    assert nodes


async def test_no_code_of_another_letter_signs_in(
    house: House, nodes: list[CodeSignIn], mailbox: Mailbox
) -> None:
    await sign_up(house)
    request = await letters.asked(house)

    with pytest.raises(InvalidCode):
        await signed_in(nodes[0], request, mailbox.values()["code"])


async def test_who_asks_for_many_letters_is_refused(nodes: list[CodeSignIn]) -> None:
    for number in range(20):
        await nodes[0].ask(f"u{number}@example.com", "en", HOME)

    with pytest.raises(TooManyAttempts):
        await nodes[1].ask("ann@example.com", "en", HOME)
    with pytest.raises(InvalidEmail):
        await nodes[0].ask("ann", "en", ABROAD)


async def test_nobody_signs_in_by_code_where_that_is_off(house: House, mailbox: Mailbox) -> None:
    """It is off by default. A letter that was asked for before is not sent."""
    await sign_up(house)
    on = replace(house.code_sign_in, allowed=True)
    request = await on.ask("ann@example.com", "en", HOME)
    await delivered(house)

    assert mailbox.mails == []
    with pytest.raises(SignInByCodeOff):
        await house.code_sign_in.ask("ann@example.com", "en", HOME)
    with pytest.raises(SignInByCodeOff):
        await house.code_sign_in.sign_in(request, "AAAA-AAAA", "bearer", HOME)


async def test_who_signs_in_by_code_on_a_new_device_is_told(
    house: House, nodes: list[CodeSignIn], mailbox: Mailbox, clock: FakeClock
) -> None:
    await sign_up(house)
    for origin in (HOME, ABROAD):
        request = await asked(house)
        await nodes[0].sign_in(request, mailbox.values()["code"], "cookie", origin)
        clock.advance(timedelta(minutes=1))
        await delivered(house)

    assert [kind for _, kind in mailbox.kinds()] == ["sign-in-code", "sign-in-code", "new-device"]


# Accounts that a stranger has made with somebody else's address


async def test_the_owner_of_the_address_locks_the_stranger_out(
    house: House, nodes: list[CodeSignIn], mailbox: Mailbox
) -> None:
    """The owner can set a password by the letter for a forgotten one."""
    await subscribed(house)
    account = await sign_up(house)
    stranger = await sign_in(house)
    request = await asked(house)

    owner = await signed_in(nodes[1], request, mailbox.values()["code"])

    stored = await now(house, account)
    assert owner.password_is_void
    assert (stored.password_hash, stored.epoch) == (None, account.epoch + 1)
    assert stored.email_verified_at == house.clock.now()
    assert owner.session.is_live(stored, house.clock.now())
    assert not stranger.session.is_live(stored, house.clock.now())
    with pytest.raises(InvalidRefreshToken):
        await house.sessions.refresh(stranger.tokens.refresh_token, HOME)
    with pytest.raises(InvalidCredentials):
        await sign_in(house)
    events = await newest(house.stores.events, 20)
    [voided] = [each for each in events if each.name == "password.reset"]
    assert (voided.target, voided.detail["password"]) == (account.id, "none")
    await delivered(house)
    assert ("ann@example.com", "password-changed") in mailbox.kinds()

    await letters.asked(house)
    await house.password_reset.by_link(token_in(mailbox), NEW, HOME)
    await sign_in(house, password=NEW)


async def test_a_stranger_who_never_signed_in_has_no_password_either(
    house: House, nodes: list[CodeSignIn], mailbox: Mailbox
) -> None:
    account = await sign_up(house)
    request = await asked(house)

    assert (await signed_in(nodes[0], request, mailbox.values()["code"])).password_is_void
    assert (await now(house, account)).password_hash is None


async def test_in_a_browser_that_the_user_has_used_before_all_stays(
    house: House, nodes: list[CodeSignIn], mailbox: Mailbox
) -> None:
    """The cookie of another user's browser is none of theirs."""
    ann = await sign_up(house)
    before = await sign_in(house)
    bob = await sign_up(house, "bob")
    await sign_in(house, "bob")
    for user, email, voided in ((ann, "ann@example.com", False), (bob, "bob@example.com", True)):
        request = await asked(house, email)
        code, device = mailbox.values()["code"], house.known_devices.with_user("", ann)
        outcome = await nodes[0].sign_in(request, code, "cookie", HOME, device=device)

        assert isinstance(outcome, SignedIn)
        assert outcome.password_is_void is voided
        assert (await now(house, user)).email_verified_at is not None
        assert ((await now(house, user)).password_hash is None) is voided

    assert before.session.is_live(await now(house, ann), house.clock.now())
    await sign_in(house)


async def test_a_verified_user_keeps_the_password_in_every_browser(
    house: House, nodes: list[CodeSignIn], mailbox: Mailbox
) -> None:
    ann = await sign_up(house)
    await house.accounts.verify_email(ann, COMMAND)
    before = await sign_in(house)
    request = await asked(house)

    assert not (await signed_in(nodes[0], request, mailbox.values()["code"])).password_is_void
    assert before.session.is_live(await now(house, ann), house.clock.now())
    await sign_in(house)


async def test_a_user_without_a_password_is_told_of_none(
    house: House, nodes: list[CodeSignIn], mailbox: Mailbox
) -> None:
    form = NewUser("ann", "ann@example.com", "", sets_password=True)
    ann = await house.accounts.create(form, COMMAND)
    request = await asked(house)

    assert not (await signed_in(nodes[0], request, mailbox.values()["code"])).password_is_void
    assert (await now(house, ann)).epoch == ann.epoch


async def change_password(house: House, signed_in: SignedIn) -> SignedIn:
    """Let the stranger change the password."""
    records = Records(signed_in.user, signed_in.session)
    return await house.sign_in.change_password(records, PASSWORD, NEW, ABROAD)


async def test_a_stranger_who_changes_the_password_first_voids_the_code(
    house: House, nodes: list[CodeSignIn], mailbox: Mailbox
) -> None:
    """Nothing is verified then. The next code locks the stranger out."""
    account = await sign_up(house)
    stranger = await sign_in(house)
    request = await asked(house)
    held = Held(house.stores.users, "find")
    slow = replace(nodes[0], users=held)  # type: ignore[arg-type]

    signing_in = asyncio.create_task(signed_in(slow, request, mailbox.values()["code"]))
    await held.arrived.wait()
    await change_password(house, stranger)
    held.let_go.set()

    with pytest.raises(InvalidCode):
        await signing_in
    assert (await now(house, account)).email_verified_at is None
    request = await asked(house)
    await signed_in(nodes[0], request, mailbox.values()["code"])
    with pytest.raises(InvalidCredentials):
        await sign_in(house, password=NEW)


async def test_beside_a_change_of_the_password_there_is_one_who_has_the_account(
    pair: list[House], nodes: list[CodeSignIn], mailbox: Mailbox
) -> None:
    """Either the code is refused and nothing is verified, or the stranger is locked out."""
    house = pair[0]
    for number in range(6):
        name = f"user{number}"
        account = await sign_up(house, name)
        stranger = await sign_in(house, name)
        request = await asked(house, account.email)

        owner, changed = await asyncio.gather(
            signed_in(nodes[0], request, mailbox.values()["code"]),
            change_password(pair[1], stranger),
            return_exceptions=True,
        )

        stored, at = await now(house, account), house.clock.now()
        lives = stranger.session.is_live(stored, at)
        if isinstance(owner, SignedIn):
            assert isinstance(changed, WrongPassword | InvalidToken)
            assert (lives, stored.password_hash) == (False, None)
            assert owner.session.is_live(stored, at)
            assert stored.email_verified_at is not None
        else:
            assert isinstance(owner, InvalidCode)
            assert isinstance(changed, SignedIn)
            assert (lives, stored.email_verified_at) == (True, None)


async def test_a_strangers_factor_gets_no_verified_address(
    house: House, nodes: list[CodeSignIn], mailbox: Mailbox
) -> None:
    """Whoever signed up with the address of another may have added a passkey, which signs in alone.

    Neither the owner of the address nor anybody else is let in by the letter, and nothing changes.
    """
    stranger = await sign_up(house)
    session = (await house.sign_in.open_first(stranger, "bearer", ABROAD)).session
    await with_factor(house, stranger)
    for _ in range(2):
        request = await asked(house)
        outcome = await nodes[0].sign_in(request, mailbox.values()["code"], "bearer", HOME)
        assert isinstance(outcome, Challenge)

    after = await now(house, stranger)
    assert (after.email_verified_at, after.epoch) == (None, stranger.epoch)
    assert after.password_hash is not None
    assert session.is_live(after, house.clock.now())


async def test_a_letter_and_a_second_factor_verify_the_address(
    house: House, nodes: list[CodeSignIn], mailbox: Mailbox
) -> None:
    ann = await sign_up(house)
    codes = await with_factor(house, ann)
    request = await asked(house)
    outcome = await nodes[0].sign_in(request, mailbox.values()["code"], "bearer", HOME)
    assert isinstance(outcome, Challenge)

    waiting = await house.challenges.find(outcome.id)
    await house.opening.finish_by_code(waiting, "recovery_code", codes[0], SignInContext(HOME))

    assert (await now(house, ann)).email_verified_at is not None


async def with_factor(house: House, user: User) -> list[str]:
    """Give a user an authenticator app; return the recovery codes."""
    at, codes = house.clock.now(), new_recovery_codes()
    phone = Factor(FactorId("fac_phone"), "totp", "Phone", at)
    digests = tuple(digest_of_code(each) for each in codes)
    unused = Factor(FactorId("fac_codes"), "recovery_codes", "", at, digests=digests)
    assert await house.stores.factors.change(user.id, adding(phone, limit=1, codes=unused))
    return codes
