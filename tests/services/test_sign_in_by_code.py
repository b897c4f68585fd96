"""Signing in by a code from a letter, on both databases."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from gatelodge.accounts.refusals import InvalidEmail
from gatelodge.accounts.store import User
from gatelodge.app import House
from gatelodge.audit import COMMAND
from gatelodge.credentials.refusals import TooManyAttempts
from gatelodge.proofs.refusals import InvalidCode
from gatelodge.sessions.service import SignedIn
from gatelodge.sign_in.by_code import CodeSignIn
from gatelodge.sign_in.refusals import SignInByCodeOff
from tests.services import test_letter_proofs as letters
from tests.services.test_letter_proofs import ABROAD, HOME, MEANWHILE, now, sign_up
from tests.support.clock import FakeClock
from tests.support.mailbox import Mailbox, delivered

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
    events = await house.stores.events.list_events(before=None, limit=9)
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
