"""Letters are sent at least once, by whoever comes first, on both databases."""

import asyncio
import logging
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from gatelodge.app import House, build
from gatelodge.audit import COMMAND
from gatelodge.data_folder import DATABASE
from gatelodge.errors import StoreUnavailable
from gatelodge.letters.post import AnswerLost, Deferred, Undeliverable
from gatelodge.letters.refusals import LetterBeingSent, NoMail, NoSuchLetter
from gatelodge.letters.service import CLAIM, KEPT, MAX_CLAIMS, Written
from gatelodge.letters.store import Letter
from gatelodge.settings import Settings
from gatelodge.tasks import WAITS, end
from tests.contracts.failpoints import events_refused
from tests.support.clock import FakeClock
from tests.support.databases import migrated
from tests.support.events import newest
from tests.support.mailbox import Mailbox, Plainly

ANN = ("Ann@example.com", "ann@example.com")


@pytest.fixture
def settings(database: str, tmp_path: Path) -> Settings:
    """Return settings with a database of the test's own."""
    return Settings(data_dir=tmp_path, database=database, hash_threads=1)


@pytest.fixture
async def pair(
    settings: Settings, clock: FakeClock, mailbox: Mailbox
) -> AsyncIterator[list[House]]:
    """Yield two houses over one database, like two nodes, which send nothing by themselves."""
    houses = [build(settings, clock) for _ in range(2)]
    if not settings.database:
        migrated(settings.data_dir / DATABASE)
    for each in houses:
        letters = replace(each.letters, post=mailbox, writing=Plainly(each.settings))
        vars(each)["letters"] = letters
    async with houses[0].open(), houses[1].open():
        yield houses


async def only(house: House) -> Letter:
    """Return the only letter."""
    (letter,) = await house.stores.letters.list_letters(before=None, limit=2)
    return letter


async def test_a_letter_is_sent_once_and_nothing_is_kept_of_it(
    pair: list[House], mailbox: Mailbox
) -> None:
    await pair[0].letters.ask("test", *ANN, {"code": "SECRET"}, language="de")
    stored = await only(pair[1])
    assert b"SECRET" not in (stored.sealed_values or b"")

    sent = await asyncio.gather(*(pair[number % 2].letters.send_next() for number in range(6)))

    assert sent.count(True) == 1
    assert mailbox.values() == {"code": "SECRET", "language": "de"}
    assert mailbox.mails[0].to == ANN[0]
    assert mailbox.mails[0].message_id == f"{stored.id}@localhost"
    letter = await only(pair[0])
    assert (letter.state, letter.sealed_values) == ("sent", None)
    assert "SECRET" not in repr(stored)


async def test_two_nodes_send_each_of_many_letters_once(
    pair: list[House], mailbox: Mailbox
) -> None:
    for number in range(40):
        await pair[number % 2].letters.ask("test", f"u{number}@x.org", f"u{number}@x.org")
    mailbox.takes = 0.001

    async with pair[0].letters.sending(), pair[1].letters.sending():
        await mailbox.until(lambda: len(mailbox.mails) == 40)

    assert sorted(each.to for each in mailbox.mails) == sorted(f"u{n}@x.org" for n in range(40))
    assert len(set(mailbox.tried)) == len(mailbox.tried) == 40
    assert mailbox.most_at_once > 1


async def test_a_letter_is_tried_for_a_day_and_then_given_up(
    pair: list[House], mailbox: Mailbox, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    await pair[0].letters.ask("test", *ANN, {"code": "SECRET"})
    mailbox.failures = [Deferred("451 try later")] * (len(WAITS) + 1)

    with caplog.at_level(logging.INFO):
        for wait in WAITS:
            assert await pair[0].letters.send_next()
            assert not await pair[1].letters.send_next()
            clock.advance(wait)
        assert await pair[1].letters.send_next()

    letter = await only(pair[0])
    assert (letter.state, letter.error, mailbox.mails) == ("given_up", "451 try later", [])
    assert len(set(mailbox.tried)) == 1
    events = await newest(pair[0].stores.events, 9)
    [given_up] = [each for each in events if each.name == "letter.given_up"]
    assert (given_up.target, given_up.outcome) == (letter.id, "failure")
    assert given_up.detail == {"kind": "test", "error": "451 try later"}
    assert "SECRET" not in caplog.text


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
async def test_a_letter_is_not_given_up_without_its_event(
    pair: list[House], mailbox: Mailbox, clock: FakeClock
) -> None:
    await pair[0].letters.ask("test", *ANN)
    mailbox.failures = [Undeliverable("550 no such user")] * 2

    with (
        events_refused(pair[0].settings.database_address),
        pytest.raises(StoreUnavailable),
    ):
        await pair[0].letters.send_next()

    assert (await only(pair[0])).state == "waiting"
    clock.advance(CLAIM)
    assert await pair[1].letters.send_next()
    assert (await only(pair[0])).state == "given_up"
    events = await newest(pair[0].stores.events, 9)
    assert [each.name for each in events].count("letter.given_up") == 1


async def test_a_letter_that_was_given_up_can_be_sent_after_all(
    pair: list[House], mailbox: Mailbox
) -> None:
    await pair[0].letters.ask("test", *ANN, {"code": "SECRET"})
    mailbox.failures = [Undeliverable("550 no such user")]
    assert await pair[0].letters.send_next()
    letter = await only(pair[0])
    assert (letter.state, letter.failures, len(mailbox.tried)) == ("given_up", 0, 1)
    assert not await pair[0].letters.send_next()

    await pair[1].letters.retry(letter.id, COMMAND)
    assert await pair[0].letters.send_next()

    assert mailbox.values()["code"] == "SECRET"
    with pytest.raises(NoSuchLetter):
        await pair[1].letters.retry(letter.id, COMMAND)
    events = await newest(pair[0].stores.events, 9)
    [retried] = [each for each in events if each.name == "letter.retried"]
    assert (retried.actor, retried.target, retried.outcome) == ("command", letter.id, "success")


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
async def test_a_letter_is_not_sent_after_all_without_its_event(
    pair: list[House], mailbox: Mailbox, caplog: pytest.LogCaptureFixture
) -> None:
    await pair[0].letters.ask("test", *ANN)
    mailbox.failures = [Undeliverable("550 no such user")]
    assert await pair[0].letters.send_next()
    given_up = await only(pair[0])
    caplog.set_level(logging.INFO, "gatelodge.audit")

    with (
        events_refused(pair[0].settings.database_address),
        pytest.raises(StoreUnavailable),
    ):
        await pair[1].letters.retry(given_up.id, COMMAND)

    assert await only(pair[0]) == given_up
    assert "letter.retried" not in caplog.text
    await pair[1].letters.retry(given_up.id, COMMAND)
    assert caplog.text.count("letter.retried") == 1


async def test_a_letter_that_is_being_sent_is_not_sent_a_second_time(
    pair: list[House], mailbox: Mailbox
) -> None:
    await pair[0].letters.ask("test", *ANN)
    mailbox.takes = 0.2
    sending = asyncio.create_task(pair[0].letters.send_next())
    await mailbox.until(lambda: len(mailbox.tried) == 1)
    letter = await only(pair[0])

    with pytest.raises(LetterBeingSent):
        await pair[1].letters.retry(letter.id, COMMAND)
    assert not await pair[1].letters.send_next()
    assert await sending

    assert len(mailbox.tried) == len(mailbox.mails) == 1
    with pytest.raises(NoSuchLetter):
        await pair[1].letters.retry(letter.id, COMMAND)


async def test_a_node_that_dies_lets_go_of_its_letter(
    pair: list[House], mailbox: Mailbox, clock: FakeClock
) -> None:
    """It dies without a word: its claim ends by itself."""
    await pair[0].letters.ask("test", *ANN)
    await pair[0].stores.letters.claim(clock.now(), clock.now() + CLAIM, limit=1)

    assert not await pair[1].letters.send_next()
    clock.advance(CLAIM)
    assert await pair[1].letters.send_next()

    assert len(mailbox.mails) == 1


async def test_a_node_that_stops_gives_its_letter_back(pair: list[House], mailbox: Mailbox) -> None:
    await pair[0].letters.ask("test", *ANN)
    mailbox.takes = 3600
    sending = asyncio.create_task(pair[0].letters.send_next())
    await mailbox.until(lambda: bool(mailbox.tried))

    await end(sending)
    mailbox.takes = 0

    assert await pair[1].letters.send_next()
    assert len(mailbox.mails) == 1
    assert len(set(mailbox.tried)) == 1


async def test_a_letter_that_kills_whoever_sends_it_is_given_up(
    pair: list[House], mailbox: Mailbox, clock: FakeClock
) -> None:
    await pair[0].letters.ask("test", *ANN)
    for _ in range(MAX_CLAIMS):
        assert await pair[0].stores.letters.claim(clock.now(), clock.now() + CLAIM, limit=1)
        clock.advance(CLAIM)

    assert await pair[1].letters.send_next()

    assert ((await only(pair[0])).state, mailbox.tried) == ("given_up", [])


async def test_a_letter_that_cannot_be_written_is_tried_again(
    pair: list[House], mailbox: Mailbox, caplog: pytest.LogCaptureFixture
) -> None:
    """An operator's template may be broken, and mended."""

    async def fail(_letter: Letter, _values: object) -> Written:
        raise ValueError("template with SECRET")

    pair[0].letters.authors["test"] = fail
    await pair[0].letters.ask("test", *ANN)

    assert await pair[0].letters.send_next()

    letter = await only(pair[0])
    assert (letter.state, letter.failures) == ("waiting", 1)
    assert letter.error == "internal error: ValueError"
    assert any(each.message == "letter.failed" for each in caplog.records)


async def test_a_letter_is_written_once(
    pair: list[House], mailbox: Mailbox, clock: FakeClock
) -> None:
    """A letter that comes a second time has the same code and link as the first."""
    codes = iter(["first", "second"])

    async def write(_letter: Letter, _values: object) -> Written:
        return Written({"code": next(codes)}, subject="usr_ann", to="ann@else.org", language="de")

    for each in pair:
        each.letters.authors["test"] = write
    await pair[0].letters.ask("test", *ANN)
    mailbox.failures = [Deferred("451")]

    assert await pair[0].letters.send_next()
    clock.advance(WAITS[0])
    assert await pair[1].letters.send_next()

    assert mailbox.values() == {"code": "first", "language": "de"}
    assert mailbox.mails[0].to == "ann@else.org"
    assert (await only(pair[0])).subject == "usr_ann"


async def test_a_letter_for_nobody_is_dropped_with_its_address(
    pair: list[House], mailbox: Mailbox
) -> None:
    async def nobody(_letter: Letter, _values: object) -> None:
        return None

    pair[0].letters.authors["test"] = nobody
    await pair[0].letters.ask("test", *ANN)

    assert await pair[0].letters.send_next()

    letter = await only(pair[0])
    assert (letter.state, letter.to, letter.to_key, mailbox.tried) == ("dropped", "", "", [])


async def test_the_life_of_a_code_begins_when_the_letter_was_taken(
    pair: list[House], mailbox: Mailbox, clock: FakeClock
) -> None:
    """Or when nobody said whether it was: it may have been."""

    async def write(letter: Letter, _values: object) -> Written:
        await pair[0].letter_proofs.make("reset", "usr_ann", letter.id, timedelta(minutes=10), {})
        return Written({}, proof=("reset", "usr_ann"))

    for failure, wait in ((None, 0), (AnswerLost("cut"), 0), (Deferred("451"), 1)):
        pair[0].letters.authors["test"] = write
        await pair[0].letters.ask("test", *ANN)
        mailbox.failures = [failure] if failure else []
        assert await pair[0].letters.send_next()
        token = await pair[0].stores.one_time_tokens.find("reset", "usr_ann")
        assert token is not None
        if wait:
            assert token.life == 600
            clock.advance(WAITS[0])
            assert await pair[0].letters.send_next()
            token = await pair[0].stores.one_time_tokens.find("reset", "usr_ann")
            assert token is not None
        assert token.life is None
        assert token.expires_at == clock.now() + timedelta(minutes=10)
        clock.advance(WAITS[0])
        while await pair[0].letters.send_next():
            pass


async def test_one_cause_makes_one_letter(pair: list[House], mailbox: Mailbox) -> None:
    for each in (*pair, *pair):
        await each.letters.ask("test", *ANN, about="evt_1")
    other = {"username": "ann", "at": "2026-05-04T12:00:00+00:00"}
    await pair[0].letters.ask("account-deleted", *ANN, other, about="evt_1")

    while await pair[0].letters.send_next():
        pass

    assert sorted(mailbox.kinds()) == [(ANN[0], "account-deleted"), (ANN[0], "test")]


async def test_a_letter_waits_until_it_may_be_sent(
    pair: list[House], mailbox: Mailbox, clock: FakeClock
) -> None:
    await pair[0].letters.ask("test", *ANN, after=timedelta(seconds=5))

    assert not await pair[0].letters.send_next()
    clock.advance(timedelta(seconds=5))
    assert await pair[0].letters.send_next()


async def test_nobody_asks_for_letters_without_mail(pair: list[House]) -> None:
    without = replace(pair[0].letters, post=None)

    with pytest.raises(NoMail):
        await without.ask("test", *ANN)
    async with without.sending():
        pass


async def test_letters_and_tokens_that_are_over_are_deleted(
    pair: list[House], mailbox: Mailbox, clock: FakeClock
) -> None:
    await pair[0].letters.ask("test", *ANN)
    await pair[0].letters.send_next()
    await pair[0].letters.ask("test", *ANN)
    await pair[0].letters.sweep()
    assert len(await pair[0].stores.letters.list_letters(before=None, limit=9)) == 2

    clock.advance(KEPT + timedelta(seconds=1))
    await pair[0].letters.sweep()

    assert (await only(pair[0])).state == "waiting"


async def test_only_who_holds_the_request_may_try_codes(
    pair: list[House], mailbox: Mailbox
) -> None:
    request = await pair[0].letters.ask("test", *ANN)
    other = await pair[0].letters.ask("test", *ANN)
    letter_id = request.partition(".")[0]

    count = pair[1].letters.count_guess
    for wrong in ("", ".", "ltr_x.y", letter_id, f"{letter_id}.", other[:-1], "ltr_\udc00.x"):
        assert await count(wrong, 5) is None
    counted = [await count(request, 5) for _ in range(7)]

    assert [each is not None for each in counted] == [True] * 5 + [False] * 2
    assert await count(other, 5) is not None


async def test_a_change_while_a_letter_is_written_sends_no_second_one(
    pair: list[House], mailbox: Mailbox, clock: FakeClock
) -> None:
    """Whoever lost the claim while writing sends nothing: the code would be another one."""
    await pair[0].letters.ask("test", *ANN)
    arrived, let_go = asyncio.Event(), asyncio.Event()

    async def write(_letter: Letter, _values: object) -> Written:
        arrived.set()
        await let_go.wait()
        return Written({"code": "of the one that was late"})

    pair[0].letters.authors["test"] = write
    sending = asyncio.create_task(pair[0].letters.send_next())
    await arrived.wait()
    clock.advance(CLAIM)
    assert await pair[1].letters.send_next()
    let_go.set()

    assert await sending
    assert len(mailbox.mails) == 1


async def test_a_mail_server_in_trouble_is_tried_with_one_letter_at_a_time(
    pair: list[House], mailbox: Mailbox
) -> None:
    """Though many are on their way when the trouble begins."""
    for _ in range(40):
        await pair[0].letters.ask("test", *ANN)
    mailbox.takes = 0.05
    mailbox.failures = [Deferred("421 not now", is_general=True)] * 20

    async with pair[0].letters.sending():
        await mailbox.until(lambda: len(mailbox.tried) >= 16)
        await asyncio.sleep(0.5)

    assert len(mailbox.tried) <= 18
    assert mailbox.most_at_once <= 16
