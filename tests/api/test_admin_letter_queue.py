"""The API for letters: what waits, what was given up and why, and sending it again."""

from datetime import timedelta

import httpx2
import pytest

from gatelodge.app import House, create_app
from gatelodge.audit import COMMAND
from gatelodge.letters.post import Deferred, Undeliverable
from tests.support.events import newest
from tests.support.mailbox import Mailbox
from tests.support.people import Person, signed_in

LETTERS = "/api/admin/letters"
REASON = "550 5.1.1 No such user"


@pytest.fixture
async def postmaster(posting_house: House) -> Person:
    """Return somebody who may see to letters, and nothing else."""
    house = posting_house
    await house.roles.create("postmaster", "", ["letters:manage"], COMMAND)
    transport = httpx2.ASGITransport(app=create_app(house), raise_app_exceptions=False)
    client = httpx2.AsyncClient(transport=transport, base_url="http://localhost:8080")
    return await signed_in(client, house, "petra", "postmaster")


async def ask_for(house: House, name: str) -> str:
    """Ask for a letter whose text has a secret, and return its id."""
    to = f"{name}@example.com"
    request = await house.letters.ask("test", to, to, {"link": "https://x.org/?token=s3cret"})
    return request.partition(".")[0]


async def test_letters_are_listed_with_what_became_of_them(
    posting_house: House, mailbox: Mailbox, postmaster: Person
) -> None:
    """Of those that were given up it says why, and what to do."""
    mailbox.failures = [Undeliverable(REASON), Deferred("451 Greylisted")]
    given_up = await ask_for(posting_house, "ann")
    await posting_house.letters.send_next()
    deferred = await ask_for(posting_house, "ben")
    await posting_house.letters.send_next()

    answer = (await postmaster.get(LETTERS)).json()

    assert [each["id"] for each in answer["items"]] == [deferred, given_up]
    assert answer["waiting"] == {"number": 1, "exact": True}
    assert answer["givenUp"] == {"number": 1, "exact": True}
    assert answer["next"] is None
    waits, ended = answer["items"]
    assert (waits["state"], waits["tries"], waits["error"]) == ("waiting", 1, "451 Greylisted")
    assert "tried again by itself" in waits["advice"]
    assert waits["dueAt"] is not None
    assert (ended["state"], ended["to"], ended["error"]) == ("given_up", "ann@example.com", REASON)
    assert "for good" in ended["advice"]
    assert ended["dueAt"] is None
    assert (await postmaster.get(f"{LETTERS}/{given_up}")).json() == ended


async def test_nothing_of_what_is_written_in_a_letter_is_shown(
    posting_house: House, postmaster: Person
) -> None:
    letter = await ask_for(posting_house, "ann")

    for path in (LETTERS, f"{LETTERS}/{letter}"):
        text = (await postmaster.get(path)).text
        assert "ann@example.com" in text
        assert "s3cret" not in text
        assert "sealed" not in text.lower()


async def test_letters_are_listed_by_state_and_in_pages(
    posting_house: House, mailbox: Mailbox, postmaster: Person
) -> None:
    mailbox.failures = [Undeliverable(REASON)]
    given_up = await ask_for(posting_house, "ann")
    await posting_house.letters.send_next()
    waiting = [await ask_for(posting_house, name) for name in ("ben", "carol", "dora")]

    first = (await postmaster.get(f"{LETTERS}?state=waiting&limit=2")).json()
    cursor = first["next"]
    second = (await postmaster.get(f"{LETTERS}?state=waiting&limit=2&cursor={cursor}")).json()
    both = (await postmaster.get(f"{LETTERS}?state=waiting&state=given_up")).json()

    listed = [each["id"] for page in (first, second) for each in page["items"]]
    assert listed == waiting[::-1]
    assert second["next"] is None
    assert [each["id"] for each in both["items"]] == [*waiting[::-1], given_up]
    assert (await postmaster.get(f"{LETTERS}?state=lost")).json()["code"] == "invalid_request"


async def test_a_letter_that_was_given_up_is_sent_again(
    posting_house: House, mailbox: Mailbox, postmaster: Person
) -> None:
    """A proof of the last minutes is not asked for: the letter goes where it was to go."""
    mailbox.failures = [Undeliverable(REASON)]
    letter = await ask_for(posting_house, "ann")
    await posting_house.letters.send_next()

    again = await postmaster.send("POST", f"{LETTERS}/{letter}/retry")
    await posting_house.letters.send_next()

    assert again.json()["state"] == "waiting"
    assert [mail.to for mail in mailbox.mails] == ["ann@example.com"]
    events = await newest(posting_house.stores.events, 100)
    [retried] = [each for each in events if each.name == "letter.retried"]
    assert (retried.actor, retried.target) == (postmaster.answer["id"], letter)
    sent = await postmaster.send("POST", f"{LETTERS}/{letter}/retry")
    assert (sent.status_code, sent.json()["code"]) == (404, "letter_not_found")


async def test_a_letter_that_is_being_sent_is_left_alone(
    posting_house: House, postmaster: Person
) -> None:
    letter = await ask_for(posting_house, "ann")
    now = posting_house.clock.now()
    await posting_house.stores.letters.claim(now, now + timedelta(minutes=4), limit=1)

    answer = await postmaster.send("POST", f"{LETTERS}/{letter}/retry")

    assert (answer.status_code, answer.json()["code"]) == (409, "letter_being_sent")


@pytest.mark.parametrize("letter", ["ltr_x", "%ff", "%00", "🔑", "a" * 3000, "ltr_" + "0" * 36])
async def test_an_id_that_no_letter_has_is_not_found(postmaster: Person, letter: str) -> None:
    shown = await postmaster.get(f"{LETTERS}/{letter}")
    retried = await postmaster.send("POST", f"{LETTERS}/{letter}/retry")

    for answer in (shown, retried):
        assert (answer.status_code, answer.json()["code"]) == (404, "letter_not_found")


async def test_who_may_see_users_sees_no_letters(posting_house: House, postmaster: Person) -> None:
    """The addresses of letters are for those who may see to letters."""
    await posting_house.roles.create("reader", "", ["users:read", "users:write"], COMMAND)
    rita = await signed_in(postmaster.client, posting_house, "rita", "reader")
    letter = await ask_for(posting_house, "ann")

    for answer in (
        await rita.get(LETTERS),
        await rita.get(f"{LETTERS}/{letter}"),
        await rita.send("POST", f"{LETTERS}/{letter}/retry"),
    ):
        assert answer.status_code == 403
        assert "example.com" not in answer.text
