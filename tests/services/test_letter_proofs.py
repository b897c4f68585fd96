"""What letters prove: forgotten passwords, addresses and notices, on both databases."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from gatelodge.accounts.pending import PendingSignUp
from gatelodge.accounts.refusals import (
    EmailTaken,
    InvalidEmail,
    RoleNotGrantable,
    SignUpClosed,
    UnknownRole,
    UsernameTaken,
)
from gatelodge.accounts.service import NewUser
from gatelodge.accounts.store import User
from gatelodge.app import House, build
from gatelodge.audit import COMMAND, Actor, Origin
from gatelodge.credentials.refusals import (
    ReauthenticationRequired,
    RejectedPassword,
    TooManyAttempts,
    WrongPassword,
)
from gatelodge.data_folder import DATABASE
from gatelodge.errors import Refusal
from gatelodge.proofs.refusals import EmailNotVerified, InvalidCode
from gatelodge.sessions.lookup import Records
from gatelodge.sessions.service import SignedIn
from gatelodge.settings import Settings
from gatelodge.sign_in.refusals import InvalidCredentials
from gatelodge.sign_in.service import SignedUp
from tests.support.breached import import_text, line
from tests.support.clock import FakeClock
from tests.support.databases import migrated
from tests.support.events import newest
from tests.support.mailbox import Mailbox, delivered, set_mail, subscribed, token_in, token_of
from tests.support.people import PASSWORD
from tests.support.settings import hashing_cheaply

HOME = Origin(address="192.0.2.7", user_agent="Mozilla/5.0 (X11; Linux x86_64) Firefox/131.0")
ABROAD = Origin(address="198.51.100.9", user_agent="curl/8.5.0")
NEW = "eight wild geese at dawn"
TEN_MINUTES = timedelta(minutes=10)
WANTS_ANNS = PendingSignUp("sgn_1", "eve", "ann@example.com", "ann@example.com", "hash")
"""A sign-up with an address that Ann has."""


@pytest.fixture
def settings(database: str, tmp_path: Path, request: pytest.FixtureRequest) -> Settings:
    """Return settings with a database of the test's own, and cheap hashes."""
    return hashing_cheaply(Settings(data_dir=tmp_path, database=database, hash_threads=1), request)


@pytest.fixture
async def pair(
    settings: Settings, clock: FakeClock, mailbox: Mailbox
) -> AsyncIterator[list[House]]:
    """Yield two houses over one database, like two nodes, which send nothing by themselves."""
    houses = [build(settings, clock) for _ in range(2)]
    if not settings.database:
        migrated(settings.data_dir / DATABASE)
    for each in houses:
        set_mail(each, mailbox)
    async with houses[0].open(), houses[1].open():
        yield houses


@pytest.fixture
def house(pair: list[House]) -> House:
    """Return one of the two."""
    return pair[0]


async def sign_up(house: House, name: str = "ann") -> User:
    """Let somebody sign up, and return the user."""
    form = NewUser(name, f"{name}@example.com", PASSWORD, language="de")
    return await house.accounts.sign_up(form, HOME)


async def sign_in(house: House, name: str = "ann", password: str = PASSWORD) -> SignedIn:
    """Sign in, and return the tokens."""
    outcome = await house.sign_in.sign_in(name, password, "bearer", HOME)
    assert isinstance(outcome, SignedIn)
    return outcome


async def now(house: House, user: User) -> User:
    """Return the user as stored."""
    found = await house.stores.users.find(user.id)
    assert found is not None
    return found


async def asked(house: House, email: str = "ann@example.com") -> str:
    """Ask for a new password, and have the letter delivered."""
    request = await house.password_reset.ask(email, "en", ABROAD)
    await delivered(house)
    return request


# Forgotten passwords


async def test_a_password_is_reset_with_the_link_of_a_letter(
    pair: list[House], mailbox: Mailbox
) -> None:
    ann = await sign_up(pair[0])
    session = await sign_in(pair[0])
    await asked(pair[0], "ANN@example.com")

    changed = await pair[1].password_reset.by_link(token_in(mailbox), NEW, ABROAD)

    assert mailbox.kinds() == [("ann@example.com", "reset-password")]
    assert mailbox.values()["language"] == "de"
    assert changed.email_verified_at is not None
    assert (await now(pair[0], ann)).epoch == ann.epoch + 1
    assert not session.session.is_live(changed, pair[0].clock.now())
    with pytest.raises(InvalidCredentials):
        await sign_in(pair[0])
    await sign_in(pair[0], password=NEW)


async def test_a_password_is_reset_with_the_code_where_it_was_asked_for(
    pair: list[House], mailbox: Mailbox
) -> None:
    await sign_up(pair[0])
    request = await asked(pair[0])
    code = mailbox.values()["code"]
    assert len(code) == 9
    assert code[4] == "-"

    await pair[1].password_reset.by_code(request, f" {code.lower().replace('-', ' ')}", NEW, HOME)

    await sign_in(pair[0], password=NEW)


async def test_an_address_that_nobody_has_gets_no_letter_and_the_same_answers(
    house: House, mailbox: Mailbox
) -> None:
    request = await asked(house, "nobody@example.com")
    ann = await sign_up(house)
    await house.accounts.disable(ann, COMMAND)
    disabled = await asked(house)

    assert mailbox.mails == []
    assert len(request) == len(disabled)
    for each in (request, disabled):
        for _ in range(7):
            with pytest.raises(InvalidCode):
                await house.password_reset.by_code(each, "AAAA-AAAA", NEW, HOME)


@pytest.mark.parametrize("by", ["link", "code"])
async def test_a_letter_works_once(house: House, mailbox: Mailbox, by: str) -> None:
    await sign_up(house)
    request = await asked(house)
    link, code = token_in(mailbox), mailbox.values()["code"]

    async def reset() -> object:
        if by == "link":
            return await house.password_reset.by_link(link, NEW, HOME)
        return await house.password_reset.by_code(request, code, NEW, HOME)

    outcomes = await asyncio.gather(*(reset() for _ in range(4)), return_exceptions=True)

    assert sum(isinstance(each, User) for each in outcomes) == 1
    assert sum(isinstance(each, InvalidCode) for each in outcomes) == 3
    with pytest.raises(InvalidCode):
        await house.password_reset.by_link(link, NEW, HOME)
    with pytest.raises(InvalidCode):
        await house.password_reset.by_code(request, code, NEW, HOME)


async def test_a_newer_letter_voids_the_one_before(house: House, mailbox: Mailbox) -> None:
    await sign_up(house)
    first = await asked(house)
    old_link, old_code = token_in(mailbox), mailbox.values()["code"]
    second = await asked(house)

    for attempt in (
        house.password_reset.by_link(old_link, NEW, HOME),
        house.password_reset.by_code(first, old_code, NEW, HOME),
        house.password_reset.by_code(second, old_code, NEW, HOME),
        house.password_reset.by_code(first, mailbox.values()["code"], NEW, HOME),
    ):
        with pytest.raises(InvalidCode):
            await attempt
    await house.password_reset.by_code(second, mailbox.values()["code"], NEW, HOME)


async def test_a_letter_that_comes_late_voids_no_newer_one(
    house: House, mailbox: Mailbox, clock: FakeClock
) -> None:
    """The mail server was away: the letter that was asked for first is written last."""
    await sign_up(house)
    await house.password_reset.ask("ann@example.com", "en", HOME)
    first, *_ = await house.stores.letters.claim(clock.now(), clock.now(), limit=1)
    await house.stores.letters.postpone(first, clock.now() + timedelta(minutes=1))
    clock.advance(timedelta(seconds=1))
    request = await asked(house)
    clock.advance(timedelta(minutes=2))
    await delivered(house)

    assert len(mailbox.mails) == 1
    await house.password_reset.by_code(request, mailbox.values()["code"], NEW, HOME)


async def test_five_wrong_codes_void_the_code_and_not_the_link(
    house: House, mailbox: Mailbox
) -> None:
    await sign_up(house)
    request = await asked(house)
    code = mailbox.values()["code"]
    with pytest.raises(RejectedPassword):  # costs no try
        await house.password_reset.by_code(request, code, "short", HOME)
    for _ in range(5):
        with pytest.raises(InvalidCode):
            await house.password_reset.by_code(request, "AAAA-AAAA", NEW, HOME)

    with pytest.raises(InvalidCode):
        await house.password_reset.by_code(request, code, NEW, HOME)
    await house.password_reset.by_link(token_in(mailbox), NEW, HOME)


async def test_a_breached_password_is_refused_and_the_letter_works_on(
    house: House, mailbox: Mailbox
) -> None:
    await sign_up(house)
    request = await asked(house)
    code = mailbox.values()["code"]
    import_text(line("iloveyou2025"), house.settings.breached_file)

    with pytest.raises(RejectedPassword, match="stolen"):
        await house.password_reset.by_code(request, code, "iloveyou2025", HOME)
    with pytest.raises(RejectedPassword, match="stolen"):
        await house.password_reset.by_link(token_in(mailbox), "iloveyou2025", HOME)

    await house.password_reset.by_code(request, code, NEW, HOME)
    await sign_in(house, password=NEW)


async def test_a_link_and_a_code_work_for_ten_minutes_from_the_delivery_on(
    house: House, mailbox: Mailbox, clock: FakeClock
) -> None:
    await sign_up(house)
    request = await house.password_reset.ask("ann@example.com", "en", HOME)
    clock.advance(timedelta(hours=20))
    await delivered(house)
    clock.advance(TEN_MINUTES - timedelta(seconds=1))
    await house.password_reset.check_link(token_in(mailbox))
    clock.advance(timedelta(seconds=1))

    with pytest.raises(InvalidCode):
        await house.password_reset.by_link(token_in(mailbox), NEW, HOME)
    with pytest.raises(InvalidCode):
        await house.password_reset.by_code(request, mailbox.values()["code"], NEW, HOME)


MEANWHILE: dict[str, Callable[[House, User], Awaitable[object]]] = {
    "the password is changed": lambda house, user: house.accounts.set_password(
        user, "another password 9", COMMAND
    ),
    "signed out everywhere": lambda house, user: house.sessions.sign_out_everywhere(
        user.id, Actor(user.id, HOME)
    ),
    "disabled": lambda house, user: house.accounts.disable(user, COMMAND),
    "deleted": lambda house, user: house.accounts.delete(user, COMMAND),
    "another address": lambda house, user: house.stores.users.set_email(
        user,
        house.audit.event("user.email_changed", COMMAND),
        email="new@example.com",
        email_key="new@example.com",
        verified_at=None,
    ),
}


@pytest.mark.parametrize("meanwhile", MEANWHILE.values(), ids=MEANWHILE)
async def test_a_link_is_void_when_the_account_is_another_one_by_now(
    house: House,
    mailbox: Mailbox,
    meanwhile: Callable[[House, User], Awaitable[object]],
) -> None:
    ann = await sign_up(house)
    request = await asked(house)
    await meanwhile(house, ann)

    for attempt in (
        house.password_reset.check_link(token_in(mailbox)),
        house.password_reset.by_link(token_in(mailbox), NEW, HOME),
        house.password_reset.by_code(request, mailbox.values()["code"], NEW, HOME),
    ):
        with pytest.raises(InvalidCode):
            await attempt


async def test_no_other_kind_of_secret_resets_a_password(house: House, mailbox: Mailbox) -> None:
    ann = await sign_up(house)
    await house.verification.ask(ann, "en")
    await delivered(house)
    verify = token_in(mailbox)
    setup = await house.setup.invite()

    for wrong in (verify, setup or "", "", ".", "..", "é.x", f"{verify}x", "A" * 5000):
        with pytest.raises(InvalidCode):
            await house.password_reset.by_link(wrong, NEW, HOME)


async def test_an_address_gets_three_letters_in_six_hours_and_five_in_a_day(
    house: House, mailbox: Mailbox, clock: FakeClock
) -> None:
    """Whoever asks more often is not told: it would tell who has an account."""
    await sign_up(house)
    for hours, count in ((0, 3), (7, 5), (7, 5), (11, 8)):
        clock.advance(timedelta(hours=hours))
        for _ in range(4):
            await asked(house)
        assert len(mailbox.mails) == count


async def sent_of_a_burst(pair: list[House], mailbox: Mailbox) -> list[int]:
    """Let two nodes send all that waits, 16 at once each; return which letters were sent."""
    asked_for = [
        each.message_id for each in await pair[0].stores.letters.list_letters(before=None, limit=99)
    ][::-1]
    async with pair[0].letters.sending(), pair[1].letters.sending():
        while await pair[0].stores.letters.count_waiting():  # noqa: ASYNC110 - others send
            await asyncio.sleep(0.01)
    return sorted(asked_for.index(each.message_id) for each in mailbox.mails)


async def test_of_a_burst_of_letters_the_first_three_are_sent(
    pair: list[House], mailbox: Mailbox
) -> None:
    await sign_up(pair[0])
    for _ in range(32):
        await pair[0].verification.greet_later(WANTS_ANNS)

    assert await sent_of_a_burst(pair, mailbox) == [0, 1, 2]


async def test_of_a_burst_of_letters_for_new_passwords_three_are_sent_at_most_and_one_works(
    pair: list[House], mailbox: Mailbox
) -> None:
    """One that is written after a newer one is dropped, and a later one may take its place."""
    await sign_up(pair[0])
    for number in range(32):
        origin = replace(ABROAD, address=f"198.51.100.{number}")
        await pair[0].password_reset.ask("ann@example.com", "en", origin)

    sent = await sent_of_a_burst(pair, mailbox)

    assert 1 <= len(sent) <= 3
    links = [mailbox.values(number)["link"] for number in range(len(sent))]
    for link in links:
        with contextlib.suppress(InvalidCode):
            await pair[1].password_reset.by_link(link.partition("token=")[2], NEW, HOME)
    await sign_in(pair[0], password=NEW)


async def test_letters_that_waited_for_the_mail_server_are_no_more_than_others(
    house: House, mailbox: Mailbox, clock: FakeClock
) -> None:
    """They were asked for at once, and are written when the limit of that time is over."""
    await sign_up(house)
    for _ in range(5):
        await house.verification.greet_later(WANTS_ANNS)
    clock.advance(timedelta(hours=20))
    await delivered(house)

    assert len(mailbox.mails) == 3


async def test_who_asks_for_many_letters_is_refused(house: House) -> None:
    for number in range(20):
        await house.password_reset.ask(f"u{number}@example.com", "en", HOME)

    with pytest.raises(TooManyAttempts):
        await house.password_reset.ask("ann@example.com", "en", HOME)
    with pytest.raises(TooManyAttempts):
        await house.verification.ask_again("ann@example.com", "en", HOME)
    await house.password_reset.ask("ann@example.com", "en", ABROAD)


@pytest.mark.parametrize(
    "address",
    ["", "ann", "ann@", "a@b@c", "ann@example.com\r\nBcc: eve@x.org", "ann@exa mple.com", "@x.org"],
)
async def test_what_is_no_address_is_refused(house: House, address: str) -> None:
    with pytest.raises(InvalidEmail):
        await house.password_reset.ask(address, "en", HOME)


# Addresses


async def test_an_address_is_verified_with_link_or_code(
    pair: list[House], mailbox: Mailbox
) -> None:
    ann, ben = await sign_up(pair[0]), await sign_up(pair[0], "ben")
    await pair[0].verification.ask(ann, "en")
    await delivered(pair[0])
    await pair[1].verification.by_link(token_in(mailbox), HOME)
    request = await pair[0].verification.ask_again("ben@example.com", "en", HOME)
    await delivered(pair[0])
    await pair[1].verification.by_code(request, mailbox.values()["code"], HOME)

    for each in (ann, ben):
        verified = await now(pair[0], each)
        assert verified == replace(each, email_verified_at=pair[0].clock.now())
    await pair[0].verification.ask(await now(pair[0], ann), "en")
    await delivered(pair[0])
    assert len(mailbox.mails) == 2


async def test_two_clicks_at_once_both_succeed_and_a_later_one_does_not(
    house: House, mailbox: Mailbox
) -> None:
    ann = await sign_up(house)
    await house.verification.ask(ann, "en")
    await delivered(house)
    link = token_in(mailbox)

    outcomes = await asyncio.gather(
        *(house.verification.by_link(link, HOME) for _ in range(2)), return_exceptions=True
    )

    assert any(isinstance(each, User) for each in outcomes)
    assert all(isinstance(each, User | InvalidCode) for each in outcomes)
    with pytest.raises(InvalidCode):
        await house.verification.by_link(link, HOME)


async def records(house: House, signed_in: SignedIn) -> Records:
    """Return the records of somebody who is signed in."""
    return Records(await now(house, signed_in.user), signed_in.session)


async def ask_change(
    house: House, signed_in: SignedIn, email: str, password: str | None = None
) -> str:
    """Ask for another address, and have the letter delivered."""
    caller = await records(house, signed_in)
    request = await house.verification.ask_change(caller, email, password, "en", HOME)
    await delivered(house)
    return request


async def test_another_address_is_the_users_when_its_letter_is_answered(
    house: House, mailbox: Mailbox, clock: FakeClock
) -> None:
    ann = await sign_up(house)
    signed_in = await sign_in(house)
    await ask_change(house, signed_in, "Ann@New.example")
    assert mailbox.kinds() == [("Ann@new.example", "email-change")]
    assert (await now(house, ann)).email == ann.email

    await house.verification.by_link(token_in(mailbox), HOME)

    changed = await now(house, ann)
    assert (changed.email, changed.email_key) == ("Ann@new.example", "ann@new.example")
    assert changed.email_verified_at == clock.now()
    await sign_in(house, "ann@new.example")
    clock.advance(timedelta(minutes=1))
    await delivered(house)
    assert mailbox.kinds()[1:] == [("ann@example.com", "email-changed")]


async def test_the_former_address_can_take_the_change_back(
    house: House, mailbox: Mailbox, clock: FakeClock
) -> None:
    """Even if whoever did it goes on and changes the address once more."""
    ann = await sign_up(house)
    thief = await sign_in(house)
    await ask_change(house, thief, "eve@new.example")
    await house.verification.by_link(token_in(mailbox), ABROAD)
    clock.advance(timedelta(days=6))
    await delivered(house)
    undo = token_in(mailbox, "undo_link")

    restored = await house.verification.undo(undo, HOME)

    assert (restored.email, restored.id) == (ann.email, ann.id)
    with pytest.raises(InvalidCredentials):  # whoever did it may know the password
        await sign_in(house)
    assert restored.epoch == ann.epoch + 1
    assert not thief.session.is_live(restored, clock.now())
    with pytest.raises(InvalidCode):
        await house.verification.undo(undo, HOME)


async def test_a_thief_who_changes_the_address_twice_does_not_escape(
    house: House, mailbox: Mailbox, clock: FakeClock
) -> None:
    """The first owner takes both changes back; what leads to the thief's address is void then."""
    ann = await sign_up(house)
    thief = await sign_in(house)
    for address in ("eve@one.example", "eve@two.example"):
        await ask_change(house, thief, address)
        await house.verification.by_link(token_in(mailbox), ABROAD)
        clock.advance(timedelta(seconds=1))
    clock.advance(timedelta(minutes=1))
    await delivered(house)
    undos = {
        mail.to: mailbox.values(number)["undo_link"].partition("token=")[2]
        for number, mail in enumerate(mailbox.mails)
        if mail.subject == "email-changed"
    }
    assert set(undos) == {"ann@example.com", "eve@one.example"}

    restored = await house.verification.undo(undos["ann@example.com"], HOME)

    assert restored.email == ann.email
    with pytest.raises(InvalidCode):
        await house.verification.undo(undos["eve@one.example"], ABROAD)
    assert (await now(house, ann)).email == ann.email


async def test_nobody_else_gets_a_former_address_while_it_can_be_taken_back(
    house: House, mailbox: Mailbox, clock: FakeClock
) -> None:
    """Not with a new account, nor with another one, nor by an operator."""
    ann = await sign_up(house)
    await sign_up(house, "eve")
    thief, other = await sign_in(house), await sign_in(house, "eve")
    await ask_change(house, thief, "thief@new.example")
    await house.verification.by_link(token_in(mailbox), ABROAD)
    clock.advance(timedelta(minutes=1))
    await delivered(house)
    undo = token_in(mailbox, "undo_link")
    clock.advance(timedelta(days=6, hours=23))

    form = NewUser("throwaway", "ANN@example.com", NEW)
    for refused in (
        house.accounts.sign_up(form, ABROAD),
        house.accounts.create(form, COMMAND),
        house.invitations.invite("ann@example.com", (), COMMAND),
    ):
        with pytest.raises(EmailTaken):
            await refused
    await ask_change(house, await sign_in(house, "eve"), "ann@example.com")
    assert len(mailbox.mails) == 2
    restored = await house.verification.undo(undo, HOME)

    assert (restored.id, restored.email) == (ann.id, ann.email)
    assert await house.accounts.kept.find("ann@example.com") is None
    assert other.user.id == (await house.accounts.get_by_username("eve")).id


async def test_a_letter_from_before_does_not_give_a_former_address_away(
    house: House, mailbox: Mailbox
) -> None:
    """It was written while nobody had the address."""
    await sign_up(house, "eve")
    await house.invitations.invite("ann@two.example", (), COMMAND)
    await delivered(house)
    await ask_change(house, await sign_in(house, "eve"), "ann@two.example")
    change, invitation = token_in(mailbox), token_of(mailbox.values(0))
    await sign_up(house)
    for address in ("ann@two.example", "ann@three.example"):
        await ask_change(house, await sign_in(house), address)
        await house.verification.by_link(token_in(mailbox), HOME)

    with pytest.raises(EmailTaken):
        await house.verification.by_link(change, HOME)
    with pytest.raises(InvalidCode):
        await house.invitations.accept(invitation, NewUser("dan", "", NEW), HOME)


async def test_a_former_address_is_kept_for_its_user_only_and_not_for_ever(
    house: House, mailbox: Mailbox, clock: FakeClock
) -> None:
    """The user takes it back by another change. It is free after 8 days, or without the user."""
    ann = await sign_up(house)
    for address in ("ann@new.example", "ann@example.com", "ann@new.example"):
        await ask_change(house, await sign_in(house), address)
        ann = await house.verification.by_link(token_in(mailbox), HOME)
        assert ann.email == address
    for name in ("dan", "cyd"):
        await sign_up(house, name)
        await ask_change(house, await sign_in(house, name), f"{name}@new.example")
        await house.verification.by_link(token_in(mailbox), HOME)
    with pytest.raises(EmailTaken):
        await house.accounts.sign_up(NewUser("cydny", "cyd@example.com", NEW), HOME)
    await house.accounts.delete(await house.accounts.get_by_username("cyd"), COMMAND)
    await house.accounts.sign_up(NewUser("cydny", "cyd@example.com", NEW), HOME)
    clock.advance(timedelta(days=8, seconds=1))

    await house.accounts.sign_up(NewUser("daniel", "dan@example.com", NEW), HOME)

    await house.letters.sweep()
    assert await house.stores.one_time_tokens.find("kept", "ann@example.com") is None


async def test_no_sign_up_slips_in_while_an_address_is_given_up(
    pair: list[House], mailbox: Mailbox, clock: FakeClock
) -> None:
    """However the reads of the one and the writes of the other meet."""
    ann = await sign_up(pair[0])
    await ask_change(pair[0], await sign_in(pair[0]), "thief@new.example")
    link = token_in(mailbox)
    changing = asyncio.create_task(pair[0].verification.by_link(link, ABROAD))
    outcomes: list[object] = []
    number = 0
    while not changing.done() or number < 5:
        form = NewUser(f"throwaway{number}", ann.email, NEW)
        outcomes += await asyncio.gather(
            pair[1].accounts.prepare(form),
            pair[0].accounts.find_email_holder(ann.email_key),
            return_exceptions=True,
        )
        number += 1

    assert (await changing).email == "thief@new.example"
    assert all(isinstance(each, EmailTaken) or each == ann.id for each in outcomes)


async def test_a_change_that_was_not_made_keeps_nothing_from_anybody(
    house: House, mailbox: Mailbox
) -> None:
    """The user has the address as before; it is free when they are gone."""
    ann = await sign_up(house)
    await house.accounts.kept.keep(ann, timedelta(days=8))  # and then the server died
    assert await house.accounts.find_email_holder(ann.email_key) == ann.id
    await sign_in(house, "ann@example.com")
    await house.accounts.delete(ann, COMMAND)

    assert (await sign_up(house)).id != ann.id


async def test_nobody_is_told_of_a_change_that_was_refused(
    house: House, mailbox: Mailbox, clock: FakeClock
) -> None:
    """Somebody else has got the address between the letter and the click."""
    await sign_up(house)
    await ask_change(house, await sign_in(house), "ben@example.com")
    link = token_in(mailbox)
    await sign_up(house, "ben")

    with pytest.raises(EmailTaken):
        await house.verification.by_link(link, HOME)

    clock.advance(timedelta(minutes=1))
    await delivered(house)
    assert mailbox.kinds() == [("ben@example.com", "email-change")]


async def test_a_letter_to_a_new_address_leaves_that_to_the_present_one_alone(
    house: House, mailbox: Mailbox
) -> None:
    ann = await sign_up(house)
    await house.verification.ask(ann, "en")
    await delivered(house)
    verify = token_in(mailbox)
    await ask_change(house, await sign_in(house), "ann@new.example")
    change = token_in(mailbox)

    assert (await house.verification.by_link(verify, HOME)).email == ann.email
    assert (await house.verification.by_link(change, HOME)).email == "ann@new.example"


async def test_an_address_that_another_user_has_gets_no_letter(
    house: House, mailbox: Mailbox
) -> None:
    await sign_up(house)
    await sign_up(house, "ben")

    assert await ask_change(house, await sign_in(house), "BEN@example.com")

    assert mailbox.mails == []


async def test_a_change_is_void_after_a_change_of_the_password(
    house: House, mailbox: Mailbox
) -> None:
    """Whoever had the session asked for it; the user has thrown them out."""
    ann = await sign_up(house)
    await ask_change(house, await sign_in(house), "eve@new.example")
    await house.accounts.set_password(ann, NEW, COMMAND)

    with pytest.raises(InvalidCode):
        await house.verification.by_link(token_in(mailbox), ABROAD)
    assert (await now(house, ann)).email == ann.email


async def test_an_older_sign_in_needs_the_password(
    house: House, mailbox: Mailbox, clock: FakeClock
) -> None:
    await sign_up(house)
    signed_in = await sign_in(house)
    clock.advance(timedelta(minutes=5, seconds=1))

    with pytest.raises(ReauthenticationRequired):
        await ask_change(house, signed_in, "ann@new.example")
    with pytest.raises(WrongPassword):
        await ask_change(house, signed_in, "ann@new.example", "wrong")
    assert await ask_change(house, signed_in, "ann@new.example", PASSWORD)


async def test_nobody_signs_in_before_the_address_is_verified_where_that_is_required(
    house: House, mailbox: Mailbox, clock: FakeClock
) -> None:
    """Whoever does not know the password is not told so. Administrators always may."""
    strict = replace(house.verification, mode="required")
    service = replace(house.sign_in, verification=strict)
    form = NewUser("ann", "ann@example.com", PASSWORD)

    made = await service.sign_up(form, "cookie", HOME)

    assert made.session is None
    assert made.request is not None
    with pytest.raises(InvalidCredentials):
        await service.sign_in("ann", "wrong", "bearer", HOME)
    clock.advance(timedelta(seconds=1))
    with pytest.raises(EmailNotVerified) as refused:
        await service.sign_in("ann", PASSWORD, "bearer", HOME)
    await delivered(house)
    assert len(mailbox.mails) == 2
    request = str(refused.value.members["request"])
    await strict.by_code(request, mailbox.values()["code"], HOME)
    assert isinstance(await service.sign_in("ann", PASSWORD, "bearer", HOME), SignedIn)
    await house.accounts.create(
        NewUser("ada", "ada@example.com", PASSWORD, roles=["admin"]), COMMAND
    )
    assert isinstance(await service.sign_in("ada", PASSWORD, "bearer", HOME), SignedIn)


# Known addresses


@pytest.fixture
async def secretive(house: House, mailbox: Mailbox, clock: FakeClock) -> AsyncIterator[House]:
    """Yield a house that tells nobody which addresses have accounts."""
    strict = house.settings.model_copy(update={"email_verification": "required"})
    assert strict.hides_known_emails
    hiding = build(strict, clock)
    set_mail(hiding, mailbox)
    async with hiding.open():
        yield hiding


async def began(house: House, name: str, email: str, password: str = NEW) -> str:
    """Let somebody sign up where the letter comes first, and return the half of the code."""
    form = NewUser(name, email, password, language="de")
    made = await house.sign_in.sign_up(form, "cookie", ABROAD)
    assert (made.user, made.session) == (None, None)
    return made.request or ""


async def test_a_sign_up_makes_no_user_whether_the_address_is_known_or_not(
    secretive: House, mailbox: Mailbox
) -> None:
    """The owner gets a letter, and the username is taken for a day either way."""
    ann = await sign_up(secretive)
    logged = len(await newest(secretive.stores.events, 100))

    known = await began(secretive, "eve", "ANN@example.com")
    new = await began(secretive, "bob", "bob@example.com")

    assert len(known) == len(new)
    assert len(await newest(secretive.stores.events, 100)) == logged
    for name in ("eve", "EVE", "bob"):
        assert await secretive.stores.users.find_by_username(name.lower()) is None
        with pytest.raises(UsernameTaken):
            await secretive.sign_in.sign_up(NewUser(name, "x@y.org", NEW), None, ABROAD)
    for role, refusal in (("admin", RoleNotGrantable), ("nobody-has-it", UnknownRole)):
        for email in ("ann@example.com", "new@example.com"):
            with pytest.raises(refusal):
                await secretive.sign_in.sign_up(NewUser("dan", email, NEW, [role]), None, ABROAD)
    letters = await secretive.letters.list_letters(limit=9)
    assert {each.kind for each in letters} == {"sign-up"}
    await delivered(secretive)
    assert sorted(mailbox.kinds()) == [
        (ann.email, "sign-up-known-address"),
        ("bob@example.com", "verify-email"),
    ]
    for request in (known, new):
        with pytest.raises(InvalidCode):
            await secretive.verification.by_code(request, "AAAA-AAAA", ABROAD)


async def test_the_answer_to_the_letter_makes_the_user(secretive: House, mailbox: Mailbox) -> None:
    """By link or code, with a verified address; the event is that of any other sign-up."""
    requests = [await began(secretive, name, f"{name}@example.com") for name in ("ann", "bob")]
    await delivered(secretive)
    values = {mail.to: mailbox.values(number) for number, mail in enumerate(mailbox.mails)}
    for each in ("ann", "bob"):
        with pytest.raises(InvalidCredentials):
            await sign_in(secretive, each, NEW)

    ann = await secretive.verification.by_link(token_of(values["ann@example.com"]), HOME)
    bob = await secretive.verification.by_code(requests[1], values["bob@example.com"]["code"], HOME)

    for user, name in ((ann, "ann"), (bob, "bob")):
        assert (user.username, user.email, user.language) == (name, f"{name}@example.com", "de")
        assert user.roles == ("user",)
        assert user.email_verified_at == user.created_at
        assert await now(secretive, user) == user
        assert (await sign_in(secretive, name, NEW)).user.id == user.id
        assert await secretive.accounts.pending.find(name) is None
    events = await newest(secretive.stores.events, 100)
    made = [each for each in events if each.name == "user.signed_up"]
    assert {(each.target, each.actor) for each in made} == {(ann.id, ann.id), (bob.id, bob.id)}
    with pytest.raises(InvalidCode):
        await secretive.verification.by_link(token_of(values["ann@example.com"]), HOME)


async def test_what_a_stranger_can_do_next_tells_nothing(
    secretive: House, mailbox: Mailbox, clock: FakeClock
) -> None:
    """Each step gets the same answer, whether the address has an account or not."""
    await sign_up(secretive)

    async def step(doing: Awaitable[object]) -> str:
        try:
            outcome = await doing
        except Refusal as refusal:
            return f"{refusal!r} {refusal.field} {refusal.members}"
        finally:
            await delivered(secretive)
        return f"{type(outcome)} {len(str(outcome))}"

    async def story(name: str, email: str) -> list[str]:
        form = NewUser(name, email, NEW)
        service, verification = secretive.sign_in, secretive.verification
        told = [
            await step(service.sign_up(form, "bearer", ABROAD)),
            await step(service.sign_in(name, NEW, "bearer", ABROAD)),
            await step(service.sign_in(email, NEW, "bearer", ABROAD)),
            await step(service.sign_up(form, "bearer", ABROAD)),
            await step(service.sign_up(form, "bearer", ABROAD, once=True)),
            await step(service.sign_up(replace(form, email="other@x.org"), None, ABROAD)),
            await step(verification.ask_again(email, "en", ABROAD)),
        ]
        clock.advance(timedelta(hours=24, minutes=1))
        other = NewUser(name, f"{name}@later.example", NEW)
        return [
            *told,
            await step(service.sign_in(name, NEW, "bearer", ABROAD)),
            await step(service.sign_up(other, "bearer", ABROAD)),
        ]

    assert await story("eve1", "ann@example.com") == await story("bob1", "bob@example.com")


async def test_of_many_sign_ups_at_once_one_gets_the_username(secretive: House) -> None:
    """And as many as there are usernames get one address, known or not."""
    await sign_up(secretive)
    for email in ("ann@example.com", "new@example.com"):
        name = email[:3] + "-1"
        forms = [NewUser(name, email, f"{NEW} {number}") for number in range(4)]
        forms += [NewUser(f"{name}{number}", email, NEW) for number in range(3)]
        outcomes = await asyncio.gather(
            *(secretive.sign_in.sign_up(form, None, HOME) for form in forms),
            return_exceptions=True,
        )
        assert sum(isinstance(each, UsernameTaken) for each in outcomes) == 3
        assert sum(isinstance(each, SignedUp) for each in outcomes) == 4


async def test_two_answers_at_once_make_one_user(secretive: House, mailbox: Mailbox) -> None:
    for name in ("ann", "bob", "cyd"):
        await began(secretive, name, f"{name}@example.com")
        await delivered(secretive)
        link = token_in(mailbox)
        answers = await asyncio.gather(
            *(secretive.verification.by_link(link, HOME) for _ in range(3)), return_exceptions=True
        )
        users = {each.id for each in answers if not isinstance(each, BaseException)}
        late = [each for each in answers if isinstance(each, BaseException)]
        assert len(users) == 1
        assert all(isinstance(each, InvalidCode) for each in late)  # it was used up before


async def test_the_letter_is_sent_again(secretive: House, mailbox: Mailbox) -> None:
    """To the newest sign-up with this address; the letters of another one work on."""
    await began(secretive, "ann", "ann@example.com")
    await delivered(secretive)
    first = token_in(mailbox)
    await secretive.verification.ask_again("ANN@example.com", "en", HOME)
    await delivered(secretive)
    again = token_in(mailbox)
    with pytest.raises(InvalidCode):
        await secretive.verification.by_link(first, HOME)
    await began(secretive, "mallory", "ann@example.com")
    await delivered(secretive)
    strange = token_in(mailbox)

    ann = await secretive.verification.by_link(again, HOME)

    assert ann.username == "ann"
    with pytest.raises(EmailTaken):
        await secretive.verification.by_link(strange, HOME)
    await secretive.verification.ask_again("ann@example.com", "en", HOME)
    await delivered(secretive)
    assert len(mailbox.mails) == 3
    assert await secretive.stores.users.find_by_username("mallory") is None


async def test_a_code_works_for_the_letter_that_was_sent_again(
    secretive: House, mailbox: Mailbox
) -> None:
    await began(secretive, "ann", "ann@example.com")
    await delivered(secretive)
    request = await secretive.verification.ask_again("ann@example.com", "en", HOME)
    await delivered(secretive)

    ann = await secretive.verification.by_code(request, mailbox.values()["code"], HOME)

    assert ann.username == "ann"


async def test_the_same_form_twice_is_one_sign_up_either_way(
    secretive: House, mailbox: Mailbox
) -> None:
    await sign_up(secretive)
    for form in (NewUser("eve", "ann@example.com", NEW), NewUser("bob", "bob@x.org", NEW)):
        both = await asyncio.gather(
            *(secretive.sign_in.sign_up(form, "cookie", ABROAD, once=True) for _ in range(2))
        )
        assert all(made.session is None and made.request for made in both)
        with pytest.raises(UsernameTaken):
            await secretive.sign_in.sign_up(
                replace(form, password="another password"), "cookie", ABROAD, once=True
            )
        with pytest.raises(UsernameTaken):
            await secretive.sign_in.sign_up(form, "cookie", ABROAD)
    await delivered(secretive)
    bob = await secretive.verification.by_link(token_in(mailbox), HOME)
    assert bob.username == "bob"


async def test_a_username_is_kept_for_a_day(
    secretive: House, mailbox: Mailbox, clock: FakeClock
) -> None:
    """The letter works as long as it says; but not if the name is somebody else's by then."""
    await sign_up(secretive)
    await began(secretive, "eve", "ann@example.com")
    links = {}
    for name in ("bob", "cyd"):
        await began(secretive, name, f"{name}@example.com")
        clock.advance(timedelta(minutes=1))
        await delivered(secretive)
        links[name] = token_in(mailbox)
    clock.advance(timedelta(hours=23, minutes=58, seconds=30))

    await began(secretive, "eve", "eve@example.com")
    await began(secretive, "bob", "robert@example.com")
    with pytest.raises(UsernameTaken):
        await secretive.verification.by_link(links["bob"], HOME)
    cyd = await secretive.verification.by_link(links["cyd"], HOME)
    await delivered(secretive)
    bob = await secretive.verification.by_link(token_in(mailbox), HOME)

    assert (cyd.username, bob.username, bob.email) == ("cyd", "bob", "robert@example.com")
    clock.advance(timedelta(hours=26))
    await secretive.letters.sweep()
    assert await secretive.stores.one_time_tokens.find("reserved", "eve") is None
    assert await secretive.stores.one_time_tokens.find("newest", "eve@example.com") is None


async def test_what_changed_before_the_answer_is_told_to_the_reader_only(
    secretive: House, mailbox: Mailbox
) -> None:
    """An operator takes the name or the address meanwhile, or closes the sign-up."""
    links = []
    for name in ("ann", "bob", "cyd"):
        await began(secretive, name, f"{name}@example.com")
        await delivered(secretive)
        links.append(token_in(mailbox))
    await secretive.accounts.create(NewUser("ann", "other@example.com", PASSWORD), COMMAND)
    await secretive.accounts.create(NewUser("robert", "bob@example.com", PASSWORD), COMMAND)

    with pytest.raises(UsernameTaken):
        await secretive.verification.by_link(links[0], HOME)
    with pytest.raises(EmailTaken):
        await secretive.verification.by_link(links[1], HOME)
    closed = replace(secretive.accounts, sign_up_open=False)
    with pytest.raises(SignUpClosed):
        await replace(secretive.verification, accounts=closed).by_link(links[2], HOME)


async def test_the_letter_tells_who_has_the_address_when_it_is_written(
    secretive: House, mailbox: Mailbox
) -> None:
    """A user who was deleted before has none; one who was made before has."""
    ann = await sign_up(secretive)
    await began(secretive, "eve", "ann@example.com")
    await began(secretive, "robert", "bob@example.com")
    await secretive.accounts.delete(ann, COMMAND)
    await sign_up(secretive, "bob")
    await delivered(secretive)

    assert sorted(mailbox.kinds()) == [
        ("ann@example.com", "verify-email"),
        ("bob@example.com", "sign-up-known-address"),
    ]
    eve = await secretive.verification.by_link(token_in(mailbox), HOME)
    assert (eve.username, eve.email) == ("eve", "ann@example.com")


async def test_a_former_address_counts_as_known(
    secretive: House, mailbox: Mailbox, clock: FakeClock
) -> None:
    """A sign-up from before it was known does not get it either."""
    await began(secretive, "eve", "ann@two.example")
    await delivered(secretive)
    early = token_in(mailbox)
    await secretive.accounts.verify_email(await sign_up(secretive), COMMAND)
    for address in ("ann@two.example", "ann@three.example"):
        await ask_change(secretive, await sign_in(secretive), address)
        await secretive.verification.by_link(token_in(mailbox), HOME)
    mailbox.mails.clear()

    await began(secretive, "mallory", "ann@two.example")
    await delivered(secretive)
    await secretive.verification.ask_again("ann@two.example", "en", ABROAD)
    await delivered(secretive)

    assert mailbox.kinds() == [("ann@two.example", "sign-up-known-address")]
    with pytest.raises(EmailTaken):
        await secretive.verification.by_link(early, ABROAD)


async def test_an_answer_counts_after_a_crash_before_its_letter_was_used_up(
    secretive: House, mailbox: Mailbox
) -> None:
    """The user is there already, and the second try finds them; nobody is made twice."""
    await began(secretive, "ann", "ann@example.com")
    await delivered(secretive)
    token = await secretive.verification.check_link(token_in(mailbox))
    ann = await secretive.accounts.finish_sign_up(PendingSignUp.of(token.facts), HOME)

    again = await secretive.verification.by_link(token_in(mailbox), HOME)

    assert again == ann


# Notices


async def test_who_changes_a_password_is_told_and_can_stop_it(
    house: House, mailbox: Mailbox
) -> None:
    await subscribed(house)
    ann = await sign_up(house)
    thief = await sign_in(house)
    caller = await records(house, thief)
    await house.sign_in.change_password(caller, PASSWORD, NEW, ABROAD)
    await delivered(house)
    assert mailbox.kinds() == [("ann@example.com", "password-changed")]
    stop = token_in(mailbox, "stop_link")

    outcomes = await asyncio.gather(
        *(house.notices.stop(stop, HOME) for _ in range(3)), return_exceptions=True
    )

    assert all(isinstance(each, User | InvalidCode) for each in outcomes)
    assert any(isinstance(each, User) for each in outcomes)
    assert (await now(house, ann)).epoch >= ann.epoch + 2
    with pytest.raises(InvalidCode):
        await house.notices.stop(stop, HOME)
    assert mailbox.values()["device"] == "Firefox (Linux)"


async def test_each_event_makes_one_notice(pair: list[House], mailbox: Mailbox) -> None:
    await subscribed(pair[0])
    ann = await sign_up(pair[0])
    await pair[0].accounts.grant(ann, "moderator", COMMAND)
    await asked(pair[0])
    await pair[0].password_reset.by_link(token_in(mailbox), NEW, ABROAD)
    for _ in range(2):
        await delivered(pair[1])
        await delivered(pair[0])

    assert sorted(mailbox.kinds()) == [
        ("ann@example.com", "password-changed"),
        ("ann@example.com", "reset-password"),
        ("ann@example.com", "role-granted"),
    ]


async def test_nobody_has_a_stranger_flooded_with_notices(house: House, mailbox: Mailbox) -> None:
    """Whoever signs up with an address of somebody else can cause a few letters a day."""
    await subscribed(house)
    ann, ben = await sign_up(house), await sign_up(house, "ben")
    await house.accounts.verify_email(ben, COMMAND)
    for number in range(6):
        for each in (ann, ben):
            await house.accounts.set_password(each, f"password number {number}", COMMAND)
        await delivered(house)

    told = [mail.to for mail in mailbox.mails]
    assert told.count("ann@example.com") == 3
    assert told.count("ben@example.com") == 6


async def test_who_signs_in_from_a_new_device_is_told(
    house: House, mailbox: Mailbox, clock: FakeClock
) -> None:
    """Not at the first sign-in, nor in a browser that has the cookie, nor from the same place."""
    await subscribed(house)
    await sign_up(house)

    async def from_(origin: Origin, cookie: str = "") -> SignedIn:
        outcome = await house.sign_in.sign_in("ann", PASSWORD, "cookie", origin, device=cookie)
        assert isinstance(outcome, SignedIn)
        clock.advance(timedelta(minutes=1))
        await delivered(house)
        return outcome

    first = await from_(HOME)
    cookie = house.known_devices.with_user("", first.user)
    await from_(ABROAD, cookie)
    await from_(HOME, "other.cookie.é")
    assert mailbox.mails == []

    await from_(replace(ABROAD, address="203.0.113.5"), "x")

    assert mailbox.kinds() == [("ann@example.com", "new-device")]
    assert mailbox.values()["device"] == "curl"
    with pytest.raises(InvalidCredentials):
        await house.sign_in.sign_in("ann", "wrong", "cookie", replace(HOME, address="203.0.113.9"))
    clock.advance(timedelta(minutes=1))
    await delivered(house)
    assert len(mailbox.mails) == 1


async def test_a_sign_in_that_came_to_nothing_is_not_told(
    house: House, mailbox: Mailbox, clock: FakeClock
) -> None:
    ann = await sign_up(house)
    await sign_in(house)
    await house.notices.ask_new_device(ann, ABROAD, "new")
    clock.advance(timedelta(minutes=1))
    await delivered(house)

    assert mailbox.mails == []


async def test_who_is_deleted_is_told(house: House, mailbox: Mailbox, clock: FakeClock) -> None:
    """And not whose deletion was refused."""
    ann = await sign_up(house)
    ada = await house.accounts.create(
        NewUser("ada", "ada@example.com", PASSWORD, roles=["admin"]), COMMAND
    )
    await house.accounts.delete(ann, COMMAND)
    with pytest.raises(Exception, match="administrator"):
        await house.accounts.delete(ada, COMMAND)
    clock.advance(timedelta(minutes=1))
    await delivered(house)

    assert mailbox.kinds() == [("ann@example.com", "account-deleted")]
