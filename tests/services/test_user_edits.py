"""An operator edits a user: what becomes of letters, links and the former address."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from gatelodge.accounts.refusals import EmailTaken, NoSuchUser, UserDisabled, UsernameTaken
from gatelodge.accounts.service import NewNames, NewUser
from gatelodge.app import House
from gatelodge.audit import COMMAND, Actor
from gatelodge.letters.refusals import NoMail
from gatelodge.proofs.refusals import InvalidCode
from tests.services import test_letter_proofs as letters
from tests.services.test_letter_proofs import (
    ABROAD,
    HOME,
    NEW,
    ask_change,
    asked,
    now,
    sign_in,
    sign_up,
)
from tests.support.clock import FakeClock
from tests.support.events import newest
from tests.support.held import Held
from tests.support.mailbox import Mailbox, delivered, subscribed, token_in
from tests.support.people import PASSWORD

settings, pair, house = letters.settings, letters.pair, letters.house

ADMIN = Actor("usr_admin", HOME)
SHORTLY = timedelta(seconds=20)
"""After this time, a notice that was asked for before a change is due."""


async def test_a_user_is_told_what_an_administrator_did_to_the_account(
    pair: list[House], mailbox: Mailbox
) -> None:
    """Not why, and not with a link: a sign-out would stop nothing."""
    await subscribed(pair[0])
    ann, accounts = await sign_up(pair[0]), pair[0].accounts
    await accounts.verify_email(ann, COMMAND)
    by_herself = Actor(ann.id, HOME)
    ann = await accounts.rename(await now(pair[0], ann), NewNames("Ann Lee", None), ADMIN)
    ann = await accounts.rename(ann, NewNames(None, "annie"), by_herself)
    await delivered(pair[1])
    assert mailbox.kinds() == []

    ann = await accounts.rename(ann, NewNames("Ann", "ann.lee"), ADMIN)
    await delivered(pair[1])
    await accounts.disable(ann, ADMIN, reason="Sends spam.")
    await delivered(pair[0])
    await accounts.enable(ann, ADMIN)
    await delivered(pair[1])

    told = ["username-changed", "account-disabled", "account-enabled"]
    assert [kind for _, kind in mailbox.kinds()] == told
    for number in range(3):
        values = mailbox.values(number)
        assert set(values) == {"username", "at", "language"}
        assert values["username"] == "ann.lee"


async def test_both_mailboxes_are_told_of_another_address(
    pair: list[House], mailbox: Mailbox, clock: FakeClock
) -> None:
    """The former one gets no link that takes it back: it may be why the address was changed."""
    ann = await sign_up(pair[0])
    session = (await sign_in(pair[0])).session

    changed = await pair[0].verification.set_for(ann, "Ann@New.example", ADMIN, verified=True)

    clock.advance(SHORTLY)
    await delivered(pair[1])
    assert (changed.email, changed.email_verified_at is not None) == ("Ann@new.example", True)
    assert sorted(mailbox.kinds()) == [
        ("Ann@new.example", "email-set"),
        ("ann@example.com", "email-replaced"),
    ]
    assert [set(mailbox.values(n)) for n in range(2)] == [{"username", "at", "language"}] * 2
    assert mailbox.values()["language"] == "de"
    assert session.is_live(await now(pair[1], ann), clock.now())
    [event] = [
        each for each in await newest(pair[0].stores.events, 9) if each.name == "user.email_changed"
    ]
    assert (event.actor, event.target, event.detail) == ("usr_admin", ann.id, {})


async def test_an_address_that_is_not_verified_gets_the_letter_that_verifies_it(
    house: House, mailbox: Mailbox, clock: FakeClock
) -> None:
    ann = await sign_up(house)
    await house.accounts.verify_email(ann, COMMAND)
    asking = replace(house.verification, mode="offered")

    changed = await asking.set_for(await now(house, ann), "ann@new.example", ADMIN, verified=False)

    assert changed.email_verified_at is None
    clock.advance(SHORTLY)
    await delivered(house)
    assert ("ann@new.example", "verify-email") in mailbox.kinds()
    await house.verification.by_link(token_in(mailbox), ABROAD)
    assert (await now(house, ann)).email_verified_at is not None


async def test_what_letters_to_the_former_address_could_do_is_void(
    house: House, mailbox: Mailbox, clock: FakeClock
) -> None:
    ann = await sign_up(house)
    await asked(house)
    reset = token_in(mailbox)
    await house.verification.ask_again("ann@example.com", "en", ABROAD)
    await delivered(house)
    verify = token_in(mailbox)
    caller = await sign_in(house)
    await ask_change(house, caller, "thief@evil.example")
    change = token_in(mailbox)
    assert len({reset, verify, change}) == 3

    await house.verification.set_for(ann, "ann@new.example", ADMIN, verified=True)

    with pytest.raises(InvalidCode):
        await house.password_reset.by_link(reset, NEW, ABROAD)
    for each in (verify, change):
        with pytest.raises(InvalidCode):
            await house.verification.by_link(each, ABROAD)
    assert (await now(house, ann)).email == "ann@new.example"


async def test_links_that_take_earlier_changes_back_are_void(
    house: House, mailbox: Mailbox, clock: FakeClock
) -> None:
    """Whoever reads the first mailbox could otherwise have the account back."""
    ann = await sign_up(house)
    await ask_change(house, await sign_in(house), "ann@second.example")
    await house.verification.by_link(token_in(mailbox), HOME)
    clock.advance(SHORTLY)
    await delivered(house)
    undo = token_in(mailbox, "undo_link")

    await house.verification.set_for(
        await now(house, ann), "ann@third.example", ADMIN, verified=True
    )

    with pytest.raises(InvalidCode):
        await house.verification.undo(undo, ABROAD)
    assert (await now(house, ann)).email == "ann@third.example"


async def test_what_is_the_same_changes_nothing_and_is_told_to_nobody(
    house: House, mailbox: Mailbox, clock: FakeClock
) -> None:
    ann = await sign_up(house)
    before = await newest(house.stores.events, 50)

    assert await house.verification.set_for(ann, ann.email, ADMIN, verified=False) == ann

    verified = await house.verification.set_for(ann, ann.email, ADMIN, verified=True)
    spelt = await house.verification.set_for(verified, "ANN@example.com", ADMIN, verified=True)
    doubted = await house.verification.set_for(spelt, "ANN@example.com", ADMIN, verified=False)
    assert verified.email_verified_at == spelt.email_verified_at == clock.now()
    assert doubted.email_verified_at is None
    clock.advance(SHORTLY)
    await delivered(house)
    assert mailbox.mails == []
    events = await newest(house.stores.events, 50)
    assert sorted(each.name for each in events if each not in before) == [
        "user.email_changed",
        "user.email_unverified",
        "user.email_verified",
    ]


async def test_a_taken_address_is_refused_and_told_to_nobody(
    house: House, mailbox: Mailbox, clock: FakeClock
) -> None:
    """One that somebody takes at the same moment, too."""
    ann = await sign_up(house)
    await sign_up(house, "eve")
    with pytest.raises(EmailTaken):
        await house.verification.set_for(ann, "EVE@example.com", ADMIN, verified=True)

    held = Held(house.accounts, "find_email_holder")
    slow = replace(house.verification, accounts=held)  # type: ignore[arg-type]
    setting = asyncio.create_task(slow.set_for(ann, "new@example.com", ADMIN, verified=True))
    await held.arrived.wait()
    await house.accounts.sign_up(NewUser("newcomer", "new@example.com", PASSWORD), ABROAD)
    held.let_go.set()
    with pytest.raises(EmailTaken):
        await setting

    clock.advance(SHORTLY)
    await delivered(house)
    assert mailbox.mails == []
    assert (await now(house, ann)).email == "ann@example.com"


async def test_a_disabled_user_is_edited_and_one_who_is_deleted_is_not(
    house: House, mailbox: Mailbox, clock: FakeClock
) -> None:
    ann = await sign_up(house)
    await house.accounts.disable(ann, COMMAND, reason="Left.")

    named = await house.accounts.rename(ann, NewNames("Ann Lee", "ann.lee"), ADMIN)
    moved = await house.verification.set_for(ann, "ann@new.example", ADMIN, verified=False)

    assert (named.name, named.username, named.disabled_reason) == ("Ann Lee", "ann.lee", "Left.")
    assert (moved.email, moved.disabled_at is not None) == ("ann@new.example", True)
    clock.advance(SHORTLY)
    await delivered(house)
    assert sorted(kind for _, kind in mailbox.kinds()) == ["email-replaced", "email-set"]
    await house.accounts.delete(moved, COMMAND)
    with pytest.raises(NoSuchUser):
        await house.accounts.rename(named, NewNames("Ann"), ADMIN)
    with pytest.raises(NoSuchUser):
        await house.verification.set_for(moved, "ann@third.example", ADMIN, verified=True)


async def test_without_mail_an_address_is_changed_all_the_same(house: House) -> None:
    ann = await sign_up(house)
    without = replace(house.verification, letters=replace(house.letters, post=None))

    changed = await without.set_for(ann, "ann@new.example", ADMIN, verified=False)

    assert changed.email == "ann@new.example"


async def test_an_operator_gives_usernames_as_users_may_not(house: House) -> None:
    """Where users keep theirs, and reserved ones; not those of others, nor of sign-ups."""
    ann, _ = await sign_up(house), await sign_up(house, "eve")

    renamed = await house.accounts.rename(ann, NewNames(username="Support"), ADMIN)

    assert (renamed.username, renamed.username_key) == ("Support", "support")
    with pytest.raises(UsernameTaken):
        await house.accounts.rename(renamed, NewNames(username="EVE"), ADMIN)
    hiding = replace(house.accounts, hides_emails=True)
    await hiding.begin_sign_up(NewUser("waits", "waits@example.com", PASSWORD), ABROAD)
    with pytest.raises(UsernameTaken):
        await hiding.rename(renamed, NewNames(username="waits"), ADMIN)


async def test_a_letter_for_a_new_password_goes_out_although_strangers_used_up_the_limit(
    house: House, mailbox: Mailbox
) -> None:
    ann = await sign_up(house)
    for _ in range(4):
        await asked(house)
    assert len(mailbox.mails) == 3

    await house.password_reset.ask_for(ann, ADMIN)
    await delivered(house)

    assert mailbox.kinds()[3:] == [("ann@example.com", "reset-password")]
    events = await newest(house.stores.events, 50)
    [sent] = [each for each in events if each.name == "password.letter_sent"]
    assert (sent.actor, sent.target) == ("usr_admin", ann.id)
    await house.password_reset.by_link(token_in(mailbox), NEW, HOME)
    await sign_in(house, password=NEW)


async def test_no_letter_goes_to_who_is_disabled_or_where_there_is_no_mail(
    house: House, mailbox: Mailbox
) -> None:
    ann = await sign_up(house)
    without = replace(house.password_reset, letters=replace(house.letters, post=None))
    with pytest.raises(NoMail):
        await without.ask_for(ann, ADMIN)
    await house.accounts.disable(ann, COMMAND)

    for refused in (
        house.password_reset.ask_for(await now(house, ann), ADMIN),
        house.invitations.send_again(await now(house, ann), ADMIN),
    ):
        with pytest.raises(UserDisabled):
            await refused
    events = await newest(house.stores.events, 50)
    assert "password.letter_sent" not in [each.name for each in events]


async def test_who_has_set_no_password_yet_gets_the_letter_of_new_users_again(
    house: House, mailbox: Mailbox, clock: FakeClock
) -> None:
    made = await house.invitations.create(NewUser("ann", "ann@example.com"), COMMAND)
    clock.advance(timedelta(days=30))
    await house.invitations.send_again(made, ADMIN)
    await delivered(house)

    clock.advance(timedelta(days=6))
    await house.password_reset.by_link(token_in(mailbox), NEW, HOME)

    await sign_in(house, password=NEW)
