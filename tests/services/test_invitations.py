"""Invitations, and users who set their passwords themselves, on both databases."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any, cast

import pytest

from gatelodge.accounts.refusals import (
    EmailTaken,
    InvalidEmail,
    InvalidName,
    InvalidUsername,
    NoSuchUser,
    UnknownRole,
    UsernameTaken,
)
from gatelodge.accounts.service import NewUser
from gatelodge.accounts.store import User
from gatelodge.app import House
from gatelodge.audit import COMMAND
from gatelodge.credentials.refusals import RejectedPassword, TooManyAttempts
from gatelodge.errors import OutcomeUnknown, StoreUnavailable
from gatelodge.letters.refusals import NoMail
from gatelodge.proofs.invitations import LIFE, TAKEN_FOR, Invitation, Invitations
from gatelodge.proofs.refusals import InvalidCode, InvitationInUse
from gatelodge.sign_in.refusals import InvalidCredentials
from gatelodge.tasks import end
from tests.contracts.failpoints import events_refused, failing
from tests.services import test_letter_proofs as letters
from tests.services.test_letter_proofs import HOME, NEW, now, sign_up
from tests.support.clock import FakeClock
from tests.support.events import newest
from tests.support.held import Held
from tests.support.mailbox import Mailbox, delivered, subscribed, token_in
from tests.support.people import PASSWORD

settings, pair, house = letters.settings, letters.pair, letters.house

ANN = NewUser("ann", "", PASSWORD, name="Ann Lee", language="de")
A_SECOND = timedelta(seconds=1)


async def invited(house: House, *roles: str, email: str = "Ann@Example.com") -> Invitation:
    """Invite somebody, and have the letter delivered."""
    made = await house.invitations.invite(email, roles, COMMAND)
    await delivered(house)
    return made


async def accepted(house: House, link: str, wanted: NewUser = ANN) -> User:
    """Accept an invitation."""
    return await house.invitations.accept(link, wanted, HOME)


async def names(house: House) -> list[str]:
    """Return the names of the stored events, the newest first."""
    return [each.name for each in await newest(house.stores.events, 99)]


async def test_who_is_invited_has_the_roles_and_a_verified_address(
    pair: list[House], mailbox: Mailbox
) -> None:
    made = await invited(pair[0], "moderator", "user", "moderator")

    ann = await accepted(pair[1], token_in(mailbox))

    assert mailbox.kinds() == [("Ann@example.com", "invitation")]
    assert made == Invitation(made.id, "Ann@example.com", ("moderator", "user"), "command", None)
    assert ann.roles == ("moderator", "user")
    assert ann.email == "Ann@example.com"
    assert (ann.name, ann.language) == ("Ann Lee", "de")
    assert ann.email_verified_at == pair[0].clock.now()
    assert await now(pair[0], ann) == ann
    assert (await letters.sign_in(pair[0])).user.id == ann.id
    assert {"invitation.sent", "invitation.accepted"} <= set(await names(pair[0]))


async def test_who_has_accepted_is_told_unless_that_is_muted(
    house: House, mailbox: Mailbox
) -> None:
    await subscribed(house)
    await invited(house)
    await accepted(house, token_in(mailbox))
    await delivered(house)

    assert mailbox.kinds()[1:] == [("Ann@example.com", "invitation-accepted")]
    assert mailbox.values()["username"] == "ann"
    muted = replace(house.notices, muted=frozenset({"invitation-accepted"}))
    assert "invitation.accepted" in house.notices.events
    assert "invitation.accepted" not in muted.events


async def test_the_link_does_not_show_the_address_however_long_it_is(
    house: House, mailbox: Mailbox
) -> None:
    label = "a" * 59
    email = f"{'b' * 64}@{label}.{label}.{label}.example"
    await invited(house, email=email)

    link = token_in(mailbox)

    assert len(link) <= 256
    assert (await accepted(house, link)).email == email


async def test_many_who_accept_together_make_one_user(pair: list[House], mailbox: Mailbox) -> None:
    await invited(pair[0])
    link = token_in(mailbox)

    outcomes = await asyncio.gather(
        *(accepted(pair[n % 2], link, replace(ANN, username=f"ann{n}")) for n in range(6)),
        return_exceptions=True,
    )

    assert sum(isinstance(each, User) for each in outcomes) == 1
    assert sum(isinstance(each, InvalidCode) for each in outcomes) == 5
    assert len(await pair[0].accounts.list_users(after=None, limit=9)) == 1


async def test_the_same_form_sent_twice_gets_the_same_user(
    pair: list[House], mailbox: Mailbox, clock: FakeClock
) -> None:
    """At the same time and a moment later; not with other values, nor without the link."""
    await invited(pair[0])
    link = token_in(mailbox)

    together = await asyncio.gather(*(accepted(each, link) for each in pair))
    later = await accepted(pair[0], link)

    assert {each.id for each in together} == {later.id}
    for other in (replace(ANN, username="ben"), replace(ANN, password=NEW)):
        with pytest.raises(InvalidCode):
            await accepted(pair[0], link, other)
    with pytest.raises(InvalidCode):
        await accepted(pair[0], f"{link}x")
    clock.advance(timedelta(minutes=3))
    with pytest.raises(InvalidCode):
        await accepted(pair[0], link)


async def test_an_accepted_invitation_makes_no_second_user_after_the_first_is_gone(
    house: House, mailbox: Mailbox
) -> None:
    await invited(house)
    link = token_in(mailbox)
    await house.accounts.delete(await accepted(house, link), COMMAND)

    with pytest.raises(InvalidCode):
        await accepted(house, link)
    assert await house.accounts.list_users(after=None, limit=9) == []


async def test_a_newer_invitation_voids_the_older_one_and_its_letter(
    house: House, mailbox: Mailbox
) -> None:
    """Also the one whose letter waits."""
    await invited(house, "admin")
    old = token_in(mailbox)
    await house.invitations.invite("ann@example.com", ["moderator"], COMMAND)
    with pytest.raises(InvalidCode):
        await accepted(house, old)
    await invited(house, "user")

    assert len(mailbox.mails) == 2
    assert (await accepted(house, token_in(mailbox))).roles == ("user",)


async def test_an_invitation_is_open_for_seven_days_from_its_delivery_on(
    house: House, mailbox: Mailbox, clock: FakeClock
) -> None:
    await house.invitations.invite("ann@example.com", [], COMMAND)
    (waiting,) = await house.invitations.list_open(limit=9)
    clock.advance(timedelta(hours=20))
    await delivered(house)
    (sent,) = await house.invitations.list_open(limit=9)
    assert (waiting.expires_at, sent.expires_at) == (None, clock.now() + LIFE)
    clock.advance(LIFE - A_SECOND)
    await house.invitations.check_link(token_in(mailbox))
    clock.advance(A_SECOND)

    with pytest.raises(InvalidCode):
        await accepted(house, token_in(mailbox))
    assert await house.invitations.list_open(limit=9) == []


async def test_an_invitation_can_be_withdrawn_before_its_letter_leaves_and_after(
    house: House, mailbox: Mailbox
) -> None:
    await invited(house, email="ben@example.com")
    await invited(house)
    link = token_in(mailbox)
    assert [each.email for each in await house.invitations.list_open(limit=9)] == [
        "Ann@example.com",
        "ben@example.com",
    ]
    await house.invitations.invite("cat@example.com", [], COMMAND)

    assert await house.invitations.withdraw("ANN@example.com", COMMAND)
    assert await house.invitations.withdraw("cat@example.com", COMMAND)
    await delivered(house)

    assert not await house.invitations.withdraw("ann@example.com", COMMAND)
    assert {mail.to for mail in mailbox.mails} == {"ben@example.com", "Ann@example.com"}
    with pytest.raises(InvalidCode):
        await accepted(house, link)
    assert (await names(house)).count("invitation.withdrawn") == 2


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
async def test_nobody_is_invited_and_nothing_withdrawn_without_its_event(
    house: House, clock: FakeClock
) -> None:
    invite, withdraw = house.invitations.invite, house.invitations.withdraw
    await invite("ann@example.com", ["moderator"], COMMAND)
    before = await house.invitations.list_open(limit=9)

    with events_refused(house.settings.database_address):
        for email in ("ann@example.com", "ben@example.com"):
            with pytest.raises(StoreUnavailable):
                await invite(email, [], COMMAND)
        with pytest.raises(StoreUnavailable):
            await withdraw("ann@example.com", COMMAND)

    assert await house.invitations.list_open(limit=9) == before
    clock.advance(TAKEN_FOR)
    assert await withdraw("ann@example.com", COMMAND)
    told = [each for each in await names(house) if each.startswith("invitation")]
    assert told == ["invitation.withdrawn", "invitation.sent"]


@pytest.mark.usefixtures("lost_sockets")
@pytest.mark.parametrize("database", ["mongodb"], indirect=True)
async def test_an_invitation_whose_letter_was_not_stored_has_its_event(house: House) -> None:
    """Whoever invites hears that it may not have been done, and invites again."""
    address = house.settings.database
    with (
        failing(address, "insert", collection="letters", errorCode=11601),
        pytest.raises(OutcomeUnknown),
    ):
        await house.invitations.invite("ann@example.com", [], COMMAND)

    assert len(await house.invitations.list_open(limit=9)) == 1
    assert (await names(house)).count("invitation.sent") == 1


def held(house: House, store: str, method: str) -> tuple[Held, Invitations]:
    """Return the invitations of a house, whose accounts are held up at a method of a store."""
    accounts, invitations = house.accounts, house.invitations
    if store == "one_time_tokens":
        stopped = Held(house.stores.one_time_tokens, method)
        return stopped, replace(invitations, tokens=cast("Any", stopped))
    stopped = Held(getattr(accounts, store), method)
    return stopped, replace(
        invitations, accounts=replace(accounts, **{store: cast("Any", stopped)})
    )


async def test_one_that_is_withdrawn_while_it_is_being_accepted_makes_nobody(
    pair: list[House], mailbox: Mailbox
) -> None:
    """The password is not hashed yet when it is withdrawn; that takes a while."""
    await invited(pair[0], "admin")
    stopped, slow = held(pair[0], "roles", "list_roles")
    accepting = asyncio.create_task(slow.accept(token_in(mailbox), ANN, HOME))
    await stopped.arrived.wait()

    assert await pair[1].invitations.withdraw("ann@example.com", COMMAND)

    stopped.let_go.set()
    with pytest.raises(InvalidCode):
        await accepting
    assert await pair[0].accounts.list_users(after=None, limit=9) == []


async def test_one_that_is_accepted_first_is_not_withdrawn(
    pair: list[House], mailbox: Mailbox, clock: FakeClock
) -> None:
    """Whoever withdraws it is told so, and hears a moment later how it stands."""
    await invited(pair[0])
    stopped, slow = held(pair[0], "one_time_tokens", "put")
    accepting = asyncio.create_task(slow.accept(token_in(mailbox), ANN, HOME))
    await stopped.arrived.wait()

    with pytest.raises(InvitationInUse):
        await pair[1].invitations.withdraw("ann@example.com", COMMAND)
    with pytest.raises(InvitationInUse):
        await pair[1].invitations.accept(token_in(mailbox), replace(ANN, username="a.lee"), HOME)
    withdrawing = asyncio.create_task(pair[1].invitations.withdraw("ann@example.com", COMMAND))
    stopped.let_go.set()

    assert (await accepting).username == "ann"
    assert not await withdrawing
    assert "invitation.withdrawn" not in await names(pair[0])


async def test_of_many_who_accept_and_withdraw_together_one_decides(
    pair: list[House], mailbox: Mailbox
) -> None:
    made = 0
    for number in range(12):
        email = f"u{number}@example.com"
        await invited(pair[0], email=email)
        link = token_in(mailbox)
        accepting = [
            asyncio.create_task(accepted(each, link, replace(ANN, username=f"u{number}.{n}")))
            for n, each in enumerate(pair)
        ]
        await asyncio.sleep(number / 500)
        withdrawn = await asyncio.gather(
            *(each.invitations.withdraw(email, COMMAND) for each in pair), return_exceptions=True
        )
        outcomes = await asyncio.gather(*accepting, return_exceptions=True)
        users = [each for each in outcomes if isinstance(each, User)]
        assert len(users) + withdrawn.count(True) == 1, (outcomes, withdrawn)
        made += len(users)

    assert len(await pair[0].accounts.list_users(after=None, limit=99)) == made


async def test_one_whose_user_was_refused_can_be_accepted_again(
    pair: list[House], mailbox: Mailbox
) -> None:
    """Somebody else gets the username at the last moment."""
    await invited(pair[0])
    stopped, slow = held(pair[0], "one_time_tokens", "put")
    accepting = asyncio.create_task(slow.accept(token_in(mailbox), ANN, HOME))
    await stopped.arrived.wait()
    other = NewUser("ann", "other@example.com", PASSWORD)
    await pair[1].accounts.sign_up(other, HOME)
    stopped.let_go.set()

    with pytest.raises(UsernameTaken):
        await accepting

    again = await accepted(pair[1], token_in(mailbox), replace(ANN, username="ann.lee"))
    assert (again.username, again.email) == ("ann.lee", "Ann@example.com")


async def test_a_refused_one_does_not_come_back_when_it_was_replaced(
    pair: list[House], mailbox: Mailbox
) -> None:
    await invited(pair[0], "admin")
    old = token_in(mailbox)
    stopped, slow = held(pair[0], "one_time_tokens", "put")
    accepting = asyncio.create_task(slow.accept(old, ANN, HOME))
    await stopped.arrived.wait()
    await pair[1].accounts.sign_up(NewUser("ann", "other@example.com", PASSWORD), HOME)
    await invited(pair[1], "moderator")
    stopped.let_go.set()

    with pytest.raises(UsernameTaken):
        await accepting

    wanted = replace(ANN, username="ann.lee")
    with pytest.raises(InvalidCode):
        await accepted(pair[0], old, wanted)
    assert (await accepted(pair[0], token_in(mailbox), wanted)).roles == ("moderator",)


async def test_one_that_was_taken_by_a_server_that_died_can_be_accepted_after_a_minute(
    pair: list[House], mailbox: Mailbox, clock: FakeClock
) -> None:
    await invited(pair[0])
    stopped, slow = held(pair[0], "one_time_tokens", "put")
    dies = asyncio.create_task(slow.accept(token_in(mailbox), ANN, HOME))
    await stopped.arrived.wait()
    await end(dies)
    with pytest.raises(InvitationInUse):
        await accepted(pair[1], token_in(mailbox))
    (waiting,) = await pair[1].invitations.list_open(limit=9)

    clock.advance(TAKEN_FOR)

    assert waiting.email == "Ann@example.com"
    assert (await accepted(pair[1], token_in(mailbox))).username == "ann"
    assert await pair[1].invitations.list_open(limit=9) == []


async def test_nobody_is_invited_who_has_an_account_or_to_roles_that_do_not_exist(
    house: House, mailbox: Mailbox
) -> None:
    await sign_up(house)
    for email, roles, refusal in (
        ("ANN@example.com", (), EmailTaken),
        ("ben@example.com", ("king",), UnknownRole),
        ("ben", (), InvalidEmail),
    ):
        with pytest.raises(refusal):
            await house.invitations.invite(email, roles, COMMAND)
    silent = replace(house.invitations, letters=replace(house.letters, post=None))
    with pytest.raises(NoMail):
        await silent.invite("ben@example.com", (), COMMAND)
    await delivered(house)

    assert mailbox.mails == []
    assert await house.invitations.list_open(limit=9) == []


async def test_an_invitation_is_void_when_somebody_has_got_the_address(
    house: House, mailbox: Mailbox
) -> None:
    await invited(house)
    await house.invitations.invite("ben@example.com", [], COMMAND)
    await sign_up(house)
    await sign_up(house, "ben")
    await delivered(house)

    assert [mail.to for mail in mailbox.mails] == ["Ann@example.com"]
    with pytest.raises(InvalidCode):
        await house.invitations.check_link(token_in(mailbox))
    with pytest.raises(InvalidCode):
        await accepted(house, token_in(mailbox), replace(ANN, username="other"))


@pytest.mark.parametrize(
    ("roles", "held"), [(("moderator", "editor"), "moderator"), (("editor",), "user")]
)
async def test_a_role_that_was_deleted_meanwhile_is_left_out(
    house: House, mailbox: Mailbox, roles: tuple[str, ...], held: str
) -> None:
    await house.roles.create("editor", "", [], COMMAND)
    await invited(house, *roles)
    await house.roles.delete("editor", COMMAND)

    assert (await accepted(house, token_in(mailbox))).roles == (held,)


async def test_what_breaks_a_rule_can_be_corrected(house: House, mailbox: Mailbox) -> None:
    await sign_up(house, "ben")
    await invited(house)
    link = token_in(mailbox)

    for change, refusal in (
        ({"username": "admin"}, InvalidUsername),
        ({"username": "a b"}, InvalidUsername),
        ({"username": "BEN"}, UsernameTaken),
        ({"password": "short"}, RejectedPassword),
        ({"password": "ann@example.com"}, RejectedPassword),
        ({"name": "A\u202enn"}, InvalidName),
    ):
        with pytest.raises(refusal):
            await accepted(house, link, replace(ANN, **change))
    assert (await accepted(house, link)).username == "ann"


async def test_nobody_finds_out_many_usernames_with_one_invitation(
    house: House, mailbox: Mailbox
) -> None:
    await sign_up(house, "ben")
    await invited(house)
    refused: list[type[BaseException]] = []
    for _ in range(25):
        with pytest.raises((UsernameTaken, TooManyAttempts)) as raised:
            await accepted(house, token_in(mailbox), replace(ANN, username="ben"))
        refused.append(raised.type)

    assert refused.count(UsernameTaken) == 19  # the sign-up of Ben counts too
    assert refused[-1] is TooManyAttempts


async def test_no_other_kind_of_secret_accepts_an_invitation(
    house: House, mailbox: Mailbox
) -> None:
    await sign_up(house, "ben")
    await house.password_reset.ask("ben@example.com", "en", HOME)
    await delivered(house)

    for wrong in (token_in(mailbox), "", ".", "é.x", "A" * 5000):
        with pytest.raises(InvalidCode):
            await accepted(house, wrong)


# Users who set their passwords themselves


async def created(house: House, clock: FakeClock) -> User:
    """Create a user without a password, and have the letter delivered."""
    wanted = NewUser("ann", "ann@example.com", roles=["moderator"])
    user = await house.invitations.create(wanted, COMMAND)
    clock.advance(timedelta(minutes=1))
    await delivered(house)
    return user


async def test_a_user_without_a_password_sets_one_with_the_link_of_a_letter(
    pair: list[House], mailbox: Mailbox, clock: FakeClock
) -> None:
    ann = await created(pair[0], clock)
    assert mailbox.kinds() == [("ann@example.com", "set-password")]
    assert (ann.password_hash, ann.roles, ann.must) == (None, ("moderator",), ())
    with pytest.raises(InvalidCredentials):
        await letters.sign_in(pair[0])
    clock.advance(LIFE - A_SECOND)

    changed = await pair[1].password_reset.by_link(token_in(mailbox), NEW, HOME)

    assert changed.email_verified_at is not None
    assert (await letters.sign_in(pair[0], password=NEW)).user.id == ann.id
    with pytest.raises(InvalidCode):
        await pair[1].password_reset.by_link(token_in(mailbox), PASSWORD, HOME)


async def test_the_link_to_set_a_password_works_for_seven_days(
    house: House, mailbox: Mailbox, clock: FakeClock
) -> None:
    """Whoever comes later asks for a new letter, as somebody who has forgotten theirs."""
    await created(house, clock)
    clock.advance(LIFE)
    with pytest.raises(InvalidCode):
        await house.password_reset.by_link(token_in(mailbox), NEW, HOME)
    await letters.asked(house)

    await house.password_reset.by_link(token_in(mailbox), NEW, HOME)


@pytest.mark.parametrize("used", ["set-password", "reset-password"])
async def test_a_stranger_who_says_to_have_forgotten_the_password_voids_no_letter_of_a_new_user(
    house: House, mailbox: Mailbox, clock: FakeClock, used: str
) -> None:
    """Nor shortens it. Whichever link is used first, the other one is void then."""
    ann = await created(house, clock)
    await letters.asked(house)
    links = {
        mail.subject: mailbox.values(number)["link"].partition("token=")[2]
        for number, mail in enumerate(mailbox.mails)
    }
    assert set(links) == {"set-password", "reset-password"}
    if used == "set-password":
        clock.advance(LIFE - A_SECOND)

    await house.password_reset.check_link(links[used])
    assert (await house.password_reset.by_link(links[used], NEW, HOME)).id == ann.id

    assert (await letters.sign_in(house, password=NEW)).user.id == ann.id
    for each in links.values():
        with pytest.raises(InvalidCode):
            await house.password_reset.by_link(each, PASSWORD, HOME)


BEFORE_THE_LETTER: dict[str, Callable[[House, User], Awaitable[object]]] = {
    "has a password": lambda house, user: house.accounts.set_password(user, NEW, COMMAND),
    "disabled": lambda house, user: house.accounts.disable(user, COMMAND),
    "deleted": lambda house, user: house.stores.users.remove(
        user.id, house.audit.event("user.deleted", COMMAND)
    ),
}


@pytest.mark.parametrize("meanwhile", BEFORE_THE_LETTER.values(), ids=BEFORE_THE_LETTER)
async def test_who_needs_no_letter_gets_none(
    house: House,
    mailbox: Mailbox,
    clock: FakeClock,
    meanwhile: Callable[[House, User], Awaitable[object]],
) -> None:
    ann = await house.invitations.create(NewUser("ann", "ann@example.com"), COMMAND)
    await meanwhile(house, ann)
    clock.advance(timedelta(minutes=1))
    await delivered(house)

    assert mailbox.mails == []


async def test_nobody_is_created_without_a_password_where_no_letters_are_sent(
    house: House,
) -> None:
    silent = replace(house.invitations, letters=replace(house.letters, post=None))
    with pytest.raises(NoMail):
        await silent.create(NewUser("ann", "ann@example.com"), COMMAND)

    with pytest.raises(NoSuchUser):
        await house.accounts.get_by_username("ann")
